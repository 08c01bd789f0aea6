"""A classifier of colour photographs: a residual network without normalization of batches."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, ArrayLike, Float

from jaxcf.models.networks import layers
from jaxcf.models.networks.parts import (
    StandardizedWeights,
    Weights,
    checked_image_shape,
    checked_size,
    checked_widths,
    describe,
)

WIDTHS = (32, 64, 128)
"""Channels of the stages of `ResidualClassifier` by default."""


class ResidualClassifier(nnx.Module):
    """Stages of convolution, average pooling and a residual block, then a mean and a dense layer.

    `logits = dense(mean_pixels(stage(... stage(pool(relu(conv(2 x - 1)))))))`
    `stage(x) = y + relu(conv(relu(conv(y)))), y = pool(relu(conv(x)))`

    Convolutions are 3x3 with zero padding and standardized kernels (`StandardizedWeights`), and
    poolings 2x2, so every width halves the image. For 32x32x3 and the default widths a prediction
    takes 20 million multiplications.

    Args:
        image_shape: `(height, width, channels)` of one image.
        num_classes: How many logits to return.
        widths: Channels after the first convolution and of each stage.
        rngs: Where the initial weights are drawn from.

    Raises:
        ValueError: If a size is not a positive integer, or nothing is left of the image.

    Examples:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> model = ResidualClassifier((32, 32, 3), 10, widths=(8, 16), rngs=nnx.Rngs(0))
        >>> features = model.feature_map(jnp.zeros((2, 32, 32, 3)))
        >>> features.shape, model.head(features).shape
        ((2, 8, 8, 16), (2, 10))
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        num_classes: int,
        *,
        widths: Sequence[int] = WIDTHS,
        rngs: nnx.Rngs,
    ):
        *_, channels = self.image_shape = checked_image_shape(image_shape)
        self.num_classes = checked_size("num_classes", num_classes)
        self.widths = checked_widths(widths, self.image_shape)
        self.stem = StandardizedWeights(channels, self.widths[0], rngs=rngs)
        for number, (narrow, wide) in enumerate(itertools.pairwise(self.widths), 1):
            for name, inputs in (("widen", narrow), ("first", wide), ("second", wide)):
                layer = StandardizedWeights(inputs, wide, rngs=rngs)
                setattr(self, f"stage{number}_{name}", layer)
        # Half the variance, since no rectifier follows.
        last = self.widths[-1]
        self.dense = Weights((last, num_classes), inputs=2 * last, bias=0, rngs=rngs)

    @property
    def architecture(self) -> dict[str, Any]:
        """What `build` needs to make this network with other weights."""
        return describe(self, "image_shape", "num_classes", "widths")

    @staticmethod
    def activation(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """What comes after each convolution."""
        return jax.nn.relu(x)

    def feature_map(self, x: Float[ArrayLike, "n h w c"]) -> Float[Array, "n h2 w2 features"]:
        """What the dense layer sees the mean of, for a batch of images."""
        # With so few input channels the formulation as a matrix product is the faster one.
        x = layers.average_pool(self.activation(layers.conv3x3(2 * jnp.asarray(x) - 1, *self.stem)))
        for number in range(1, len(self.widths)):
            widen, first, second = (
                getattr(self, f"stage{number}_{name}") for name in ("widen", "first", "second")
            )
            x = layers.average_pool(self.activation(layers.convolve(x, *widen)))
            x = x + self.activation(
                layers.convolve(self.activation(layers.convolve(x, *first)), *second)
            )
        return x

    def head(self, features: Float[ArrayLike, "n h2 w2 features"]) -> Float[Array, "n classes"]:
        """Logits of a batch of feature maps."""
        kernel, bias = self.dense
        return layers.add_bias(jnp.asarray(features).mean((1, 2)) @ kernel, bias)

    def __call__(self, x: Float[ArrayLike, "n h w c"]) -> Float[Array, "n classes"]:
        """Logits of a batch of images."""
        return self.head(self.feature_map(x))


class SmoothResidualClassifier(ResidualClassifier):
    """A `ResidualClassifier` with SiLUs, whose gradient changes smoothly with the image.

    Of networks that learn from images moved against them, such ones learn more (Xie et al. 2020).

    Args:
        image_shape: `(height, width, channels)` of one image.
        num_classes: How many logits to return.
        widths: Channels after the first convolution and of each stage.
        rngs: Where the initial weights are drawn from.

    Raises:
        ValueError: If a size is not a positive integer, or nothing is left of the image.

    Examples:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> model = SmoothResidualClassifier((32, 32, 3), 10, widths=(8, 16), rngs=nnx.Rngs(0))
        >>> model.features(jnp.zeros((2, 32, 32, 3))).shape
        (2, 16)
    """

    @staticmethod
    def activation(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """What comes after each convolution."""
        return jax.nn.silu(x)

    def features(self, x: Float[ArrayLike, "n h w c"]) -> Float[Array, "n features"]:
        """The last layer but one for a batch of images."""
        return self.feature_map(x).mean((1, 2))
