"""What networks are put together from: weights, normalization, checks of sizes."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from jaxcf.models.networks.cpu_layers import add_bias

# A little above zero, so that few rectified units start, and stay, switched off.
INITIAL_BIAS = 0.01

# The standard deviation of a rectified standard normal number is one over this.
_RECTIFIER_GAIN = (2 / (1 - 1 / jnp.pi)) ** 0.5

_NORM_EPSILON = 1e-5


class Weights(nnx.Module):
    """A kernel and a bias: all that a layer has to remember.

    Args:
        shape: Shape of the kernel; the last axis counts the outputs.
        inputs: How many values are summed for one output, which sets the initial scale.
        bias: Initial value of the bias.
        rngs: Where the initial kernel is drawn from.

    Examples:
        >>> from flax import nnx
        >>> Weights((3, 3, 1, 16), inputs=9, rngs=nnx.Rngs(0)).bias.shape
        (16,)
    """

    def __init__(
        self, shape: Sequence[int], *, inputs: int, rngs: nnx.Rngs, bias: float = INITIAL_BIAS
    ):
        normal = jax.random.truncated_normal(rngs.params(), -2, 2, tuple(shape), jnp.float32)
        self.kernel = nnx.Param((2 / inputs) ** 0.5 * normal)
        self.bias = nnx.Param(jnp.full(shape[-1], bias, jnp.float32))

    def __iter__(self):
        """Kernel, then bias, as arrays."""
        return iter((self.kernel[...], self.bias[...]))


class StandardizedWeights(nnx.Module):
    """A 3x3 kernel that is used with mean 0 and a learned scale for each output, and a bias.

    `used = gain * sqrt(2 / (1 - 1/pi)) * (kernel - mean(kernel)) / (std(kernel) * sqrt(inputs))`

    With rectifiers in between, every layer then starts with outputs of variance 1, as under batch
    normalization, while rows stay independent of each other (Brock et al. 2021).

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        rngs: Where the initial kernel is drawn from.

    Examples:
        >>> from flax import nnx
        >>> kernel, bias = StandardizedWeights(3, 16, rngs=nnx.Rngs(0))
        >>> kernel.shape, bool(abs(kernel.mean()) < 1e-6)
        ((3, 3, 3, 16), True)
    """

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        normal = jax.random.normal(rngs.params(), (3, 3, inputs, outputs), jnp.float32)
        self.kernel = nnx.Param(normal / (9 * inputs) ** 0.5)
        self.gain = nnx.Param(jnp.ones(outputs, jnp.float32))
        self.bias = nnx.Param(jnp.zeros(outputs, jnp.float32))

    def __iter__(self):
        """The kernel as it is used, then the bias, as arrays."""
        kernel, gain = self.kernel[...], self.gain[...]
        centred = kernel - kernel.mean((0, 1, 2), keepdims=True)
        # The sum of squares is the variance times the number of inputs.
        norm = jnp.sqrt(jnp.square(centred).sum((0, 1, 2), keepdims=True) + _NORM_EPSILON)
        return iter((_RECTIFIER_GAIN * gain[None, None, None] * centred / norm, self.bias[...]))


class LayerNorm(nnx.Module):
    """Shifts and scales the last axis of an array to mean 0 and variance 1, then as it learned.

    `out = gain * (x - mean(x)) / std(x) + bias`

    Args:
        size: Length of the last axis.

    Examples:
        >>> import jax.numpy as jnp
        >>> LayerNorm(2)(jnp.array([[1.0, 3.0]])).round(2)
        Array([[-1.,  1.]], dtype=float32)
    """

    def __init__(self, size: int):
        self.gain = nnx.Param(jnp.ones(size, jnp.float32))
        self.bias = nnx.Param(jnp.zeros(size, jnp.float32))

    def __call__(self, x: Float[Array, "*n size"]) -> Float[Array, "*n size"]:
        """Normalize every row."""
        centred = x - x.mean(-1, keepdims=True)
        variance = jnp.square(centred).mean(-1, keepdims=True)
        gain = self.gain[...].reshape(*(1 for _ in x.shape[1:]), -1)
        return add_bias(gain * centred * lax.rsqrt(variance + _NORM_EPSILON), self.bias[...])


def describe(network: nnx.Module, *arguments: str) -> dict[str, Any]:
    """A network's architecture, JSON-able: its kind and the arguments it was made from, by name."""
    values = {name: getattr(network, name) for name in arguments}
    as_json = {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}
    return {"kind": type(network).__name__} | as_json


def checked_size(name: str, value: int) -> int:
    """The value if it is a positive integer; else a ValueError that names the argument."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} holds {value!r}: expected positive integers")
    return value


def checked_image_shape(image_shape: Sequence[int]) -> tuple[int, int, int]:
    """The shape as `(height, width, channels)` if it is one; else a ValueError."""
    shape = tuple(checked_size("image_shape", size) for size in image_shape)
    if len(shape) != 3 or min(shape[:2]) < 4:
        raise ValueError(
            f"image_shape is {shape}: expected (height, width, channels) with height and width of "
            "at least 4; add a channel axis, or pad smaller images"
        )
    return shape


def checked_widths(widths: Sequence[int], image_shape: tuple[int, int, int]) -> tuple[int, ...]:
    """The channels after each halving of an image if some pixel is left; else a ValueError."""
    if not len(widths):
        raise ValueError("widths is empty: expected at least one positive integer")
    checked = tuple(checked_size("widths", width) for width in widths)
    if min(image_shape[:2]) >> len(checked) < 1:
        raise ValueError(
            f"widths is {checked}: each halves the image, of which nothing would be left of "
            f"{image_shape}; give at most {min(image_shape[:2]).bit_length() - 1}"
        )
    return checked
