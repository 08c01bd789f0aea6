"""Flax NNX networks for images: a classifier and an autoencoder of two convolutions.

Every network is called on a batch `[n, *shape]` with values in [0, 1]. Its `architecture` is a
JSON-able dictionary from which `build` makes a network of the same kind and sizes.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, ArrayLike, Float

from jaxcf.models.networks import layers
from jaxcf.models.networks.parts import Weights, checked_image_shape, checked_size, describe

FILTERS = (16, 32)
"""Channels after the first and second convolution of `ConvolutionalClassifier`."""

AUTOENCODER_FILTERS = 16
"""Channels of every hidden layer of `ConvolutionalAutoencoder`."""


class ConvolutionalClassifier(nnx.Module):
    """Two convolutions with pooling, then one dense layer.

    `logits = dense(flatten(relu(pool(conv32(relu(pool(conv16(x))))))))`, convolutions 3x3 with zero
    padding, pooling 2x2.

    Args:
        image_shape: `(height, width, channels)` of one image, height and width at least 4.
        num_classes: How many logits to return.
        rngs: Where the initial weights are drawn from.

    Raises:
        ValueError: If a size is not a positive integer, or an image is smaller than 4x4.

    Examples:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> model = ConvolutionalClassifier((28, 28, 1), 10, rngs=nnx.Rngs(0))
        >>> model(jnp.zeros((2, 28, 28, 1))).shape
        (2, 10)
    """

    def __init__(self, image_shape: Sequence[int], num_classes: int, *, rngs: nnx.Rngs):
        height, width, channels = self.image_shape = checked_image_shape(image_shape)
        self.num_classes = checked_size("num_classes", num_classes)
        first, second = FILTERS
        inputs = (height // 4) * (width // 4) * second
        self.conv1 = Weights((3, 3, channels, first), inputs=9 * channels, rngs=rngs)
        self.conv2 = Weights((3, 3, first, second), inputs=9 * first, rngs=rngs)
        # Half the variance, since no rectifier follows.
        self.dense = Weights((inputs, num_classes), inputs=2 * inputs, bias=0, rngs=rngs)

    @property
    def architecture(self) -> dict[str, Any]:
        """What `build` needs to make this network with other weights."""
        return describe(self, "image_shape", "num_classes")

    def feature_map(self, x: Float[ArrayLike, "n h w c"]) -> Float[Array, "n h4 w4 filters"]:
        """What the dense layer sees of a batch of images, still laid out as images."""
        return layers.conv3x3_pool_relu_twice(jnp.asarray(x), *self.conv1, *self.conv2)

    def head(self, features: Float[ArrayLike, "n h4 w4 filters"]) -> Float[Array, "n classes"]:
        """Logits of a batch of feature maps."""
        features = jnp.asarray(features)
        kernel, bias = self.dense
        return layers.add_bias(features.reshape(features.shape[0], -1) @ kernel, bias)

    def __call__(self, x: Float[ArrayLike, "n h w c"]) -> Float[Array, "n classes"]:
        """Logits of a batch of images."""
        return self.head(self.feature_map(x))


class ConvolutionalAutoencoder(nnx.Module):
    """Three convolutions down to a small image of codes, two transposed ones and a third back up.

    `encode(x) = conv(relu(pool(conv16(relu(pool(conv16(x)))))))`
    `decode(z) = sigmoid(conv(relu(up16(relu(up16(z))))))`

    Images whose height or width is not divisible by 4 are padded with zeros at the bottom and
    right, and cropped again after decoding.

    Args:
        image_shape: `(height, width, channels)` of one image, height and width at least 4.
        code_channels: Channels of the code, which is a quarter of the image in height and width.
        rngs: Where the initial weights are drawn from.

    Raises:
        ValueError: If a size is not a positive integer, or an image is smaller than 4x4.

    Examples:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> model = ConvolutionalAutoencoder((28, 28, 1), rngs=nnx.Rngs(0))
        >>> model.encode(jnp.zeros((2, 28, 28, 1))).shape, model(jnp.zeros((2, 28, 28, 1))).shape
        ((2, 7, 7, 1), (2, 28, 28, 1))
    """

    def __init__(self, image_shape: Sequence[int], *, code_channels: int = 1, rngs: nnx.Rngs):
        *_, channels = self.image_shape = checked_image_shape(image_shape)
        self.code_channels = codes = checked_size("code_channels", code_channels)
        filters = AUTOENCODER_FILTERS
        wide = 9 * filters
        self.encoder_conv1 = Weights((3, 3, channels, filters), inputs=9 * channels, rngs=rngs)
        self.encoder_conv2 = Weights((3, 3, filters, filters), inputs=wide, rngs=rngs)
        self.encoder_conv3 = Weights((3, 3, filters, codes), inputs=2 * wide, bias=0, rngs=rngs)
        self.decoder_up1 = Weights((2, 2, codes, filters), inputs=codes, rngs=rngs)
        self.decoder_up2 = Weights((2, 2, filters, filters), inputs=filters, rngs=rngs)
        self.decoder_conv = Weights((3, 3, filters, channels), inputs=2 * wide, bias=0, rngs=rngs)

    @property
    def architecture(self) -> dict[str, Any]:
        """What `build` needs to make this network with other weights."""
        return describe(self, "image_shape", "code_channels")

    @property
    def output_layer(self) -> Weights:
        """The layer before the sigmoid."""
        return self.decoder_conv

    def encode(self, x: Float[ArrayLike, "n h w c"]) -> Float[Array, "n h4 w4 codes"]:
        """Codes of a batch of images."""
        height, width, _ = self.image_shape
        padded = jnp.pad(x, ((0, 0), (0, -height % 4), (0, -width % 4), (0, 0)))
        hidden = layers.conv3x3_pool_relu_twice(padded, *self.encoder_conv1, *self.encoder_conv2)
        return layers.conv3x3(hidden, *self.encoder_conv3)

    def decode(self, z: Float[ArrayLike, "n h4 w4 codes"]) -> Float[Array, "n h w c"]:
        """Images of a batch of codes."""
        height, width, _ = self.image_shape
        weights = *self.decoder_up1, *self.decoder_up2, *self.decoder_conv
        image = layers.conv_transpose2x2_relu_twice_conv3x3(jnp.asarray(z), *weights)
        return jax.nn.sigmoid(image[:, :height, :width])

    def __call__(self, x: Float[ArrayLike, "n h w c"]) -> Float[Array, "n h w c"]:
        """Reconstructions of a batch of images."""
        return self.decode(self.encode(x))
