"""Batched functions over many rows: in batches of one size, and whether in a compiled loop."""

import math
from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# Rows of more bytes than these together go to a CPU in smaller batches. What a convolution makes of
# them for a moment would be more than the allocator keeps, so that every call would fetch all of it
# from the system anew: of MNIST's images 512 at once take three times as long as 128.
_BYTES_ON_CPU = 2**19
LARGEST, _SMALLEST = 512, 8


def batch_size(num_rows: int, shape: tuple[int, ...]) -> int:
    """The size of batches for so many rows: a power of two, so that few sizes are ever compiled.

    Args:
        num_rows: how many there are.
        shape: of one of them, in float32.

    Returns:
        No more than the rows need, and than is good for the device.

    Examples:
        >>> batch_size(20, (30,)), batch_size(1000, (30,))
        (32, 512)
    """
    largest = LARGEST
    if jax.default_backend() == "cpu":
        fitting = max(_SMALLEST, _BYTES_ON_CPU // (4 * max(1, math.prod(shape))))
        largest = min(largest, 1 << (fitting.bit_length() - 1))
    return min(largest, 1 << max(0, num_rows - 1).bit_length())


def map_batches(function: Callable[..., Any], *arrays: Any, size: int | None = None) -> Any:
    """Apply a batched function to rows of numpy arrays, batch by batch.

    Args:
        function: from arrays `[size, ...]` to a pytree of arrays `[size, ...]`.
        *arrays: each with the same number of rows, at least one row. The last batch is filled up
            with copies of its last row, and the surplus is cut off again.
        size: rows per batch; None chooses.

    Returns:
        The pytree with numpy arrays of all rows.
    """
    num_rows = len(arrays[0])
    size = size or batch_size(num_rows, np.shape(arrays[0])[1:])
    parts = []
    for start in range(0, num_rows, size):
        count = min(size, num_rows - start)
        batch = [_filled(array[start : start + count], size) for array in arrays]
        parts.append(jax.tree.map(lambda leaf, k=count: np.asarray(leaf)[:k], function(*batch)))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def _filled(array: np.ndarray, size: int) -> np.ndarray:
    missing = size - len(array)
    if not missing:
        return np.asarray(array)
    return np.concatenate([array, np.repeat(array[-1:], missing, axis=0)])


def slow_in_a_loop(
    function: Callable[..., Any], static: tuple[Hashable, ...], *arguments: Any
) -> bool:
    """Whether a compiled loop would slow a function down: on CPU it does for convolutions.

    XLA's CPU backend runs a convolution inside a loop up to twenty times slower than outside.

    Args:
        function: Called `function(*static, *arguments)`; one object for all calls, since the answer
            is remembered for it.
        static: What picks code.
        *arguments: Pytrees of arrays, or of their shapes and types.

    Returns:
        Whether each step is better one call.

    Examples:
        >>> import jax.numpy as jnp
        >>> slow_in_a_loop(jnp.matmul, (), jnp.ones((2, 3)), jnp.ones((3, 4)))
        False
    """
    if jax.default_backend() != "cpu":
        return False
    leaves, treedef = jax.tree.flatten(arguments)
    shapes = tuple(jax.ShapeDtypeStruct(jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves)
    return _holds_convolution(function, static, treedef, shapes)


@lru_cache(maxsize=64)
def _holds_convolution(
    function: Callable[..., Any],
    static: tuple[Hashable, ...],
    treedef: Any,
    shapes: tuple[jax.ShapeDtypeStruct, ...],
) -> bool:
    def applied(*leaves: jax.Array) -> Any:
        return function(*static, *jax.tree.unflatten(treedef, leaves))

    return "stablehlo.convolution" in jax.jit(applied).lower(*shapes).as_text()
