"""Classifiers of further architectures, for judges: they never guide a search.

Each sees an image in another way than the classifiers that are explained and than each other: by
large kernels that leave out positions, by patches that are mixed, by averages of smooth responses,
by the strongest response around, by one small kernel per channel.
Each ends with a dense layer of few features (`features`) and one of logits (`head`).
"""

import itertools
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, ArrayLike, Float

from jaxcf.models.networks import layers
from jaxcf.models.networks.parts import (
    LayerNorm,
    StandardizedWeights,
    Weights,
    checked_image_shape,
    checked_size,
    checked_widths,
    describe,
)

NUM_FEATURES = 64
"""Numbers in the last layer but one: few, so that some hundred rows tell their covariance."""


class _FeatureClassifier(nnx.Module):
    """What all have in common: logits are one dense layer, `last`, of the features."""

    last: Weights

    @abstractmethod
    def features(self, x: Float[ArrayLike, "n h w c"]) -> Float[Array, "n features"]:
        """The last layer but one for a batch of images."""

    def head(self, features: Float[ArrayLike, "n features"]) -> Float[Array, "n classes"]:
        """Logits of a batch of features."""
        return _dense(jnp.asarray(features), self.last)

    def __call__(self, x: Float[ArrayLike, "n h w c"]) -> Float[Array, "n classes"]:
        """Logits of a batch of images."""
        return self.head(self.features(x))


class _HalvingClassifier(_FeatureClassifier):
    """Convolutions, each of which halves the image, then the two dense layers."""

    kernel_size: ClassVar[int]
    rounds_up: ClassVar[bool]
    """Whether the larger half of an odd number of pixels is left."""

    def __init__(
        self,
        image_shape: Sequence[int],
        num_classes: int,
        *,
        widths: Sequence[int],
        rngs: nnx.Rngs,
    ):
        height, width, channels = self.image_shape = checked_image_shape(image_shape)
        self.num_classes = checked_size("num_classes", num_classes)
        self.widths = checked_widths(widths, self.image_shape)
        side = self.kernel_size
        for number, (inputs, outputs) in enumerate(itertools.pairwise((channels, *self.widths)), 1):
            layer = Weights(
                (side, side, inputs, outputs), inputs=side**2 * inputs, bias=0, rngs=rngs
            )
            setattr(self, f"conv{number}", layer)
            height, width = ((size + self.rounds_up) // 2 for size in (height, width))
        self.dense = _linear(height * width * self.widths[-1], NUM_FEATURES, rngs)
        self.last = _linear(NUM_FEATURES, num_classes, rngs)

    @property
    def architecture(self) -> dict[str, Any]:
        """What `build` needs to make this network with other weights."""
        return describe(self, "image_shape", "num_classes", "widths")


class StridedClassifier(_HalvingClassifier):
    """Large kernels with stride 2 and GELUs, then two dense layers.

    `features = gelu(dense(flatten(gelu(conv(... gelu(conv(2 x - 1)))))))`, `logits =
    dense(features)`, convolutions 5x5 with stride 2 and zero padding.

    Args:
        image_shape: `(height, width, channels)` of one image.
        num_classes: How many logits to return.
        widths: Channels after each convolution.
        rngs: Where the initial weights are drawn from.

    Raises:
        ValueError: If a size is not a positive integer, or nothing is left of the image.

    Examples:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> model = StridedClassifier((8, 8, 1), 10, widths=(8, 16), rngs=nnx.Rngs(0))
        >>> model.features(jnp.zeros((2, 8, 8, 1))).shape, model(jnp.zeros((2, 8, 8, 1))).shape
        ((2, 64), (2, 10))
    """

    kernel_size = 5
    rounds_up = True

    def features(self, x: Float[ArrayLike, "n h w c"]) -> Float[Array, "n features"]:
        """The last layer but one for a batch of images."""
        x = 2 * jnp.asarray(x) - 1
        for number in range(1, len(self.widths) + 1):
            x = jax.nn.gelu(layers.convolve(x, *getattr(self, f"conv{number}"), stride=2))
        return jax.nn.gelu(_dense(x.reshape(x.shape[0], -1), self.dense))


class _TokenClassifier(_FeatureClassifier):
    """Patches as tokens, some blocks of one kind, the mean of all tokens, then two dense layers."""

    def __init__(
        self,
        image_shape: Sequence[int],
        num_classes: int,
        *,
        patch: int = 4,
        width: int = 96,
        depth: int = 4,
        rngs: nnx.Rngs,
    ):
        self.image_shape = checked_image_shape(image_shape)
        self.num_classes = checked_size("num_classes", num_classes)
        self.patch = checked_size("patch", patch)
        self.width = checked_size("width", width)
        self.depth = checked_size("depth", depth)
        self.embedding = _linear(self._pixels, width, rngs)
        for number in range(1, depth + 1):
            self._add_block(number, rngs)
        self.norm = LayerNorm(width)
        self.dense = _linear(width, NUM_FEATURES, rngs)
        self.last = _linear(NUM_FEATURES, num_classes, rngs)

    @abstractmethod
    def _add_block(self, number: int, rngs: nnx.Rngs) -> None:
        """Make the layers of a block."""

    @property
    @abstractmethod
    def _pixels(self) -> int:
        """How many numbers a token is made of."""

    @property
    def _grid(self) -> tuple[int, int]:
        """Rows and columns of tokens; patches that jut out are padded."""
        height, width, _ = self.image_shape
        return -(-height // self.patch), -(-width // self.patch)

    @property
    def architecture(self) -> dict[str, Any]:
        """What `build` needs to make this network with other weights."""
        return describe(self, "image_shape", "num_classes", "patch", "width", "depth")


class MixerClassifier(_TokenClassifier):
    """An MLP-Mixer (Tolstikhin et al. 2021): dense layers along patches and along channels in turn.

    `tokens = dense(windows(2 x - 1))`, each a patch with half a patch around it; in each block
    `tokens += mlp(norm(tokens)^T)^T; tokens += mlp(norm(tokens))`, then
    `features = gelu(dense(mean(norm(tokens))))`, `logits = dense(features)`

    Images whose height or width is not divisible by the patch are padded with zeros at the bottom
    and right.

    Args:
        image_shape: `(height, width, channels)` of one image.
        num_classes: How many logits to return.
        patch: Height and width of a patch.
        width: Channels of a token.
        depth: Number of blocks.
        rngs: Where the initial weights are drawn from.

    Raises:
        ValueError: If a size is not a positive integer.

    Examples:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> model = MixerClassifier((9, 8, 1), 10, patch=2, width=8, depth=1, rngs=nnx.Rngs(0))
        >>> model.features(jnp.zeros((2, 9, 8, 1))).shape, model(jnp.zeros((2, 9, 8, 1))).shape
        ((2, 64), (2, 10))
    """

    def _add_block(self, number: int, rngs: nnx.Rngs) -> None:
        rows, columns = self._grid
        for name, size, hidden in (
            ("tokens", rows * columns, self.width),
            ("channels", self.width, 2 * self.width),
        ):
            setattr(self, f"block{number}_{name}_norm", LayerNorm(self.width))
            setattr(self, f"block{number}_{name}_in", _linear(size, hidden, rngs))
            setattr(self, f"block{number}_{name}_out", _linear(hidden, size, rngs))

    @property
    def _pixels(self) -> int:
        # Windows of twice the patch, so that neighbours overlap.
        return 4 * self.patch**2 * self.image_shape[2]

    def features(self, x: Float[ArrayLike, "n h w c"]) -> Float[Array, "n features"]:
        """The last layer but one for a batch of images."""
        x = _dense(self._patches(2 * jnp.asarray(x) - 1), self.embedding)
        for number in range(1, self.depth + 1):
            x = x + self._mix(number, "tokens", x, transposed=True)
            x = x + self._mix(number, "channels", x, transposed=False)
        return jax.nn.gelu(_dense(self.norm(x).mean(1), self.dense))

    def _patches(self, x: Array) -> Array:
        """Every patch with half a patch around it: `[n, patches, 4 * patch**2 * channels]`."""
        height, width, _ = self.image_shape
        patch = self.patch
        rows, columns = self._grid
        before, after = patch // 2, patch - patch // 2
        padding = (before, rows * patch - height + after), (before, columns * patch - width + after)
        x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
        x = x.reshape(-1, rows + 1, patch, columns + 1, patch, x.shape[-1])
        x = x.transpose(0, 1, 3, 2, 4, 5).reshape(-1, rows + 1, columns + 1, x[0, 0, :, 0].size)
        quarters = [x[:, a : a + rows, b : b + columns] for a in (0, 1) for b in (0, 1)]
        return jnp.concatenate(quarters, axis=-1).reshape(-1, rows * columns, 4 * x.shape[-1])

    def _mix(self, number: int, name: str, x: Array, *, transposed: bool) -> Array:
        norm, inward, outward = (
            getattr(self, f"block{number}_{name}_{part}") for part in ("norm", "in", "out")
        )
        x = norm(x)
        x = x.swapaxes(1, 2) if transposed else x
        x = _dense(jax.nn.gelu(_dense(x, inward)), outward)
        return x.swapaxes(1, 2) if transposed else x


class AveragingClassifier(_HalvingClassifier):
    """Convolutions with ELUs and average pooling, then two dense layers.

    `features = tanh(dense(flatten(pool(elu(conv(... pool(elu(conv(2 x - 1)))))))))`, `logits =
    dense(features)`, convolutions 3x3 with zero padding, pooling 2x2.

    Args:
        image_shape: `(height, width, channels)` of one image.
        num_classes: How many logits to return.
        widths: Channels after each convolution.
        rngs: Where the initial weights are drawn from.

    Raises:
        ValueError: If a size is not a positive integer, or nothing is left of the image.

    Examples:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> model = AveragingClassifier((8, 8, 1), 10, widths=(8, 16), rngs=nnx.Rngs(0))
        >>> model.features(jnp.zeros((2, 8, 8, 1))).shape, model(jnp.zeros((2, 8, 8, 1))).shape
        ((2, 64), (2, 10))
    """

    kernel_size = 3
    rounds_up = False

    def features(self, x: Float[ArrayLike, "n h w c"]) -> Float[Array, "n features"]:
        """The last layer but one for a batch of images."""
        # With so few input channels the formulation as a matrix product is the faster one.
        x = 2 * jnp.asarray(x) - 1
        for number in range(1, len(self.widths) + 1):
            weights = getattr(self, f"conv{number}")
            x = layers.conv3x3(x, *weights) if number == 1 else layers.convolve(x, *weights)
            x = layers.average_pool(jax.nn.elu(x))
        return jnp.tanh(_dense(x.reshape(x.shape[0], -1), self.dense))


class PlainClassifier(_FeatureClassifier):
    """Pairs of convolutions with GELUs and maximum pooling, then two dense layers.

    `features = gelu(dense(max_pixels(stage(... stage(gelu(conv(2 x - 1)))))))`, `stage(x) =
    gelu(conv(gelu(pool(conv(x)))))`, `logits = dense(features)`

    Convolutions are 3x3 with zero padding and standardized kernels (`StandardizedWeights`), and
    poolings take the largest of 2x2, so every width but the first halves the image.

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
        >>> model = PlainClassifier((32, 32, 3), 10, widths=(8, 16), rngs=nnx.Rngs(0))
        >>> model.features(jnp.zeros((2, 32, 32, 3))).shape, model(jnp.zeros((2, 32, 32, 3))).shape
        ((2, 64), (2, 10))
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        num_classes: int,
        *,
        widths: Sequence[int],
        rngs: nnx.Rngs,
    ):
        *_, channels = self.image_shape = checked_image_shape(image_shape)
        self.num_classes = checked_size("num_classes", num_classes)
        self.widths = checked_widths(widths, self.image_shape)
        self.stem = StandardizedWeights(channels, self.widths[0], rngs=rngs)
        for number, (narrow, wide) in enumerate(itertools.pairwise(self.widths), 1):
            setattr(self, f"stage{number}_widen", StandardizedWeights(narrow, wide, rngs=rngs))
            setattr(self, f"stage{number}_further", StandardizedWeights(wide, wide, rngs=rngs))
        self.dense = _linear(self.widths[-1], NUM_FEATURES, rngs)
        self.last = _linear(NUM_FEATURES, num_classes, rngs)

    @property
    def architecture(self) -> dict[str, Any]:
        """What `build` needs to make this network with other weights."""
        return describe(self, "image_shape", "num_classes", "widths")

    def features(self, x: Float[ArrayLike, "n h w c"]) -> Float[Array, "n features"]:
        """The last layer but one for a batch of images."""
        # With so few input channels the formulation as a matrix product is the faster one.
        x = jax.nn.gelu(layers.conv3x3(2 * jnp.asarray(x) - 1, *self.stem))
        for number in range(1, len(self.widths)):
            widen, further = (getattr(self, f"stage{number}_{n}") for n in ("widen", "further"))
            x = jax.nn.gelu(layers.max_pool(layers.convolve(x, *widen)))
            x = jax.nn.gelu(layers.convolve(x, *further))
        return jax.nn.gelu(_dense(x.max((1, 2)), self.dense))


class DepthwiseClassifier(_TokenClassifier):
    """Tokens that see their neighbours by one 3x3 kernel per channel, and mix channels in between.

    `tokens = dense(patches(2 x - 1))`; in each block `tokens += mlp(norm(depthwise(tokens)))`, as
    in ConvNeXt (Liu et al. 2022), then `features = gelu(dense(mean(norm(tokens))))`, `logits =
    dense(features)`

    Images whose height or width is not divisible by the patch are padded with zeros at the bottom
    and right.

    Args:
        image_shape: `(height, width, channels)` of one image.
        num_classes: How many logits to return.
        patch: Height and width of a patch.
        width: Channels of a token.
        depth: Number of blocks.
        rngs: Where the initial weights are drawn from.

    Raises:
        ValueError: If a size is not a positive integer.

    Examples:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> model = DepthwiseClassifier((9, 8, 3), 10, width=8, depth=1, rngs=nnx.Rngs(0))
        >>> model.features(jnp.zeros((2, 9, 8, 3))).shape, model(jnp.zeros((2, 9, 8, 3))).shape
        ((2, 64), (2, 10))
    """

    def _add_block(self, number: int, rngs: nnx.Rngs) -> None:
        width = self.width
        kernel = Weights((3, 3, width), inputs=2 * 9, bias=0, rngs=rngs)
        setattr(self, f"block{number}_depthwise", kernel)
        setattr(self, f"block{number}_norm", LayerNorm(width))
        setattr(self, f"block{number}_in", _linear(width, 2 * width, rngs))
        setattr(self, f"block{number}_out", _linear(2 * width, width, rngs))

    @property
    def _pixels(self) -> int:
        return self.patch**2 * self.image_shape[2]

    def features(self, x: Float[ArrayLike, "n h w c"]) -> Float[Array, "n features"]:
        """The last layer but one for a batch of images."""
        x = _dense(self._patches(2 * jnp.asarray(x) - 1), self.embedding)
        for number in range(1, self.depth + 1):
            depthwise, norm, inward, outward = (
                getattr(self, f"block{number}_{part}")
                for part in ("depthwise", "norm", "in", "out")
            )
            mixed = norm(layers.convolve_depthwise(x, *depthwise))
            x = x + _dense(jax.nn.gelu(_dense(mixed, inward)), outward)
        return jax.nn.gelu(_dense(self.norm(x).mean((1, 2)), self.dense))

    def _patches(self, x: Array) -> Array:
        """`[n, rows, columns, patch**2 * channels]`."""
        n, height, width, channels = x.shape
        patch = self.patch
        rows, columns = self._grid
        x = jnp.pad(x, ((0, 0), (0, rows * patch - height), (0, columns * patch - width), (0, 0)))
        x = x.reshape(n, rows, patch, columns, patch, channels).transpose(0, 1, 3, 2, 4, 5)
        return x.reshape(n, rows, columns, patch**2 * channels)


def _linear(inputs: int, outputs: int, rngs: nnx.Rngs) -> Weights:
    # Half the variance that rectifiers need.
    return Weights((inputs, outputs), inputs=2 * inputs, bias=0, rngs=rngs)


def _dense(x: Array, weights: Weights) -> Array:
    kernel, bias = weights
    # As a product of two matrices: half the time of one with more axes, on a CPU.
    flat = layers.add_bias(x.reshape(-1, x.shape[-1]) @ kernel, bias)
    return flat.reshape(*x.shape[:-1], -1)
