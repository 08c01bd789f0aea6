"""Flax NNX networks for rows `[features]`: a classifier and an autoencoder of dense layers."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, ArrayLike, Float

from jaxcf.models.networks import layers
from jaxcf.models.networks.parts import (
    INITIAL_BIAS,
    Weights,
    checked_size,
    describe,
)


class DenseClassifier(nnx.Module):
    """A classifier for table rows: dense layers with rectifiers in between.

    `logits = dense(relu(... relu(dense(x))))`

    Args:
        num_features: Columns of a row.
        num_classes: How many logits to return.
        hidden: Sizes of the hidden layers.
        rngs: Where the initial weights are drawn from.

    Raises:
        ValueError: If a size is not a positive integer.

    Examples:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> DenseClassifier(30, 2, rngs=nnx.Rngs(0))(jnp.zeros((5, 30))).shape
        (5, 2)
    """

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        hidden: Sequence[int] = (32, 32),
        rngs: nnx.Rngs,
    ):
        self.num_features = checked_size("num_features", num_features)
        self.num_classes = checked_size("num_classes", num_classes)
        self.hidden = tuple(checked_size("hidden", size) for size in hidden)
        _add_dense(self, "dense", (num_features, *self.hidden, num_classes), rngs)

    @property
    def architecture(self) -> dict[str, Any]:
        """What `build` needs to make this network with other weights."""
        return describe(self, "num_features", "num_classes", "hidden")

    def __call__(self, x: Float[ArrayLike, "n features"]) -> Float[Array, "n classes"]:
        """Logits of a batch of rows."""
        return _apply_dense(self, "dense", len(self.hidden) + 1, x)


class DenseAutoencoder(nnx.Module):
    """An autoencoder for table rows in [0, 1]: dense layers with rectifiers in between.

    `encode(x) = dense(relu(... dense(x)))`, `decode(z) = sigmoid(dense(relu(... dense(z))))`

    Args:
        num_features: Columns of a row.
        code_size: Numbers in a code.
        hidden: Sizes of the encoder's hidden layers; the decoder has them in reverse.
        rngs: Where the initial weights are drawn from.

    Raises:
        ValueError: If a size is not a positive integer.

    Examples:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> model = DenseAutoencoder(30, code_size=6, rngs=nnx.Rngs(0))
        >>> model.encode(jnp.zeros((5, 30))).shape, model(jnp.zeros((5, 30))).shape
        ((5, 6), (5, 30))
    """

    def __init__(
        self, num_features: int, *, code_size: int, hidden: Sequence[int] = (32,), rngs: nnx.Rngs
    ):
        self.num_features = checked_size("num_features", num_features)
        self.code_size = checked_size("code_size", code_size)
        self.hidden = tuple(checked_size("hidden", size) for size in hidden)
        sizes = num_features, *self.hidden, code_size
        _add_dense(self, "encoder", sizes, rngs)
        _add_dense(self, "decoder", sizes[::-1], rngs)

    @property
    def architecture(self) -> dict[str, Any]:
        """What `build` needs to make this network with other weights."""
        return describe(self, "num_features", "code_size", "hidden")

    @property
    def output_layer(self) -> Weights:
        """The layer before the sigmoid."""
        return getattr(self, f"decoder{len(self.hidden) + 1}")

    def encode(self, x: Float[ArrayLike, "n features"]) -> Float[Array, "n codes"]:
        """Codes of a batch of rows."""
        return _apply_dense(self, "encoder", len(self.hidden) + 1, x)

    def decode(self, z: Float[ArrayLike, "n codes"]) -> Float[Array, "n features"]:
        """Rows of a batch of codes."""
        return jax.nn.sigmoid(_apply_dense(self, "decoder", len(self.hidden) + 1, z))

    def __call__(self, x: Float[ArrayLike, "n features"]) -> Float[Array, "n features"]:
        """Reconstructions of a batch of rows."""
        return self.decode(self.encode(x))


def _add_dense(module: nnx.Module, name: str, sizes: Sequence[int], rngs: nnx.Rngs) -> None:
    """Add layers `name1`, `name2`, ... of the given sizes, the last without a rectifier."""
    last = len(sizes) - 1
    for number, (inputs, outputs) in enumerate(itertools.pairwise(sizes), 1):
        scale, bias = (2 * inputs, 0.0) if number == last else (inputs, INITIAL_BIAS)
        layer = Weights((inputs, outputs), inputs=scale, bias=bias, rngs=rngs)
        setattr(module, f"{name}{number}", layer)


def _apply_dense(module: nnx.Module, name: str, count: int, x: ArrayLike) -> Array:
    x = jnp.asarray(x)
    for number in range(1, count + 1):
        kernel, bias = getattr(module, f"{name}{number}")
        x = layers.add_bias(x @ kernel, bias)
        if number < count:
            x = jax.nn.relu(x)
    return x
