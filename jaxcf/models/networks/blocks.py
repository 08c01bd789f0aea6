"""A small classifier of images whose blocks of pixels become channels before each convolution."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, ArrayLike, Float

from jaxcf.models.networks import layers
from jaxcf.models.networks.parts import (
    Weights,
    checked_image_shape,
    checked_size,
    checked_widths,
    describe,
)


class BlockClassifier(nnx.Module):
    """Convolutions of images whose 2x2 blocks of pixels became channels, then two dense layers.

    `features = relu(dense(flatten(relu(conv(blocks(... relu(conv(blocks(x)))))))))`, `logits =
    dense(features)`, convolutions 3x3 with zero padding.

    Nothing is pooled, so that the gradient reaches every pixel. Images of an odd number of rows or
    columns are padded with zeros at the bottom and right.

    Args:
        image_shape: `(height, width, channels)` of one image.
        num_classes: How many logits to return.
        widths: Channels after each convolution.
        hidden: Numbers in the last layer but one.
        rngs: Where the initial weights are drawn from.

    Raises:
        ValueError: If a size is not a positive integer, or nothing is left of the image.

    Examples:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> model = BlockClassifier((9, 8, 1), 10, widths=(4, 8), hidden=16, rngs=nnx.Rngs(0))
        >>> model.features(jnp.zeros((2, 9, 8, 1))).shape, model(jnp.zeros((2, 9, 8, 1))).shape
        ((2, 16), (2, 10))
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        num_classes: int,
        *,
        widths: Sequence[int] = (16, 32),
        hidden: int = 128,
        rngs: nnx.Rngs,
    ):
        height, width, channels = self.image_shape = checked_image_shape(image_shape)
        self.num_classes = checked_size("num_classes", num_classes)
        self.widths = checked_widths(widths, self.image_shape)
        self.hidden = checked_size("hidden", hidden)
        for number, (inputs, outputs) in enumerate(itertools.pairwise((channels, *self.widths)), 1):
            layer = Weights((3, 3, 4 * inputs, outputs), inputs=36 * inputs, rngs=rngs)
            setattr(self, f"conv{number}", layer)
            height, width = -(-height // 2), -(-width // 2)
        flat = height * width * self.widths[-1]
        self.dense = Weights((flat, hidden), inputs=flat, rngs=rngs)
        # Half the variance, since no rectifier follows.
        self.last = Weights((hidden, num_classes), inputs=2 * hidden, bias=0, rngs=rngs)

    @property
    def architecture(self) -> dict[str, Any]:
        """What `build` needs to make this network with other weights."""
        return describe(self, "image_shape", "num_classes", "widths", "hidden")

    def features(self, x: Float[ArrayLike, "n h w c"]) -> Float[Array, "n hidden"]:
        """The last layer but one for a batch of images."""
        x = jnp.asarray(x)
        for number in range(1, len(self.widths) + 1):
            # The formulation that is fastest for the few channels of the first, and many later.
            convolve = layers.conv3x3 if number == 1 else layers.conv3x3_by_rows
            x = jax.nn.relu(convolve(_blocks(x), *getattr(self, f"conv{number}")))
        kernel, bias = self.dense
        return jax.nn.relu(layers.add_bias(x.reshape(x.shape[0], -1) @ kernel, bias))

    def head(self, features: Float[ArrayLike, "n hidden"]) -> Float[Array, "n classes"]:
        """Logits of a batch of features."""
        kernel, bias = self.last
        return layers.add_bias(jnp.asarray(features) @ kernel, bias)

    def __call__(self, x: Float[ArrayLike, "n h w c"]) -> Float[Array, "n classes"]:
        """Logits of a batch of images."""
        return self.head(self.features(x))


def _blocks(x: Array) -> Array:
    """`[n, h, w, c]` as `[n, h / 2, w / 2, 4 c]`, the pixels of a block in scan order."""
    n, height, width, channels = x.shape
    x = jnp.pad(x, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)))
    x = x.reshape(n, -(-height // 2), 2, -(-width // 2), 2, channels)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(n, x.shape[1], x.shape[3], 4 * channels)
