"""Which arrays these are: digests that are the same for the same numbers, wherever they lie."""

import hashlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def described_array(value: Any) -> str:
    """Type, shape and numbers of an array in a few words.

    Args:
        value: an array of any library, or a number.

    Returns:
        The number where there is one alone, else a digest of all.

    Raises:
        ValueError: if it is an array of JAX that was deleted.

    Examples:
        >>> described_array(np.float32(0.5))
        'float32()0.5'
    """
    if isinstance(value, jax.Array):
        if value.is_deleted():
            raise ValueError(
                f"it holds a deleted array of shape {value.shape}: something donated it to a "
                "compiled program (training steps and Keras's fit and predict do); give it the "
                "arrays that took its place"
            )
        if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            value = jax.random.key_data(value)
    array = np.asarray(value)
    if array.size == 1:
        return f"{array.dtype}{array.shape}{array.item()!r}"
    held = hashlib.sha256(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return f"{array.dtype}{array.shape}{held.hexdigest()}"


def fingerprint(weights: Any) -> str:
    """Tell the weights of a model from those of all others, whatever names they go by.

    Args:
        weights: a pytree of arrays; what it calls them doesn't count.

    Returns:
        64 hexadecimal digits.

    Raises:
        ValueError: if one of the arrays was deleted.

    Examples:
        >>> one = fingerprint({"a": np.ones(3)})
        >>> one == fingerprint([np.ones(3)]), one == fingerprint({"a": np.zeros(3)})
        (True, False)
    """
    words = " ".join(map(described_array, jax.tree.leaves(weights)))
    return hashlib.sha256(words.encode()).hexdigest()
