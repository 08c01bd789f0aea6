"""Layers for images: convolutions that are fast on a CPU, in compiled loops too, and stock ones.

Arrays are `[n, height, width, channels]` in float32, kernels `[3, 3, in, out]` or
`[2, 2, in, out]`. The `conv...` functions are the stock `lax.conv_general_dilated` on a GPU or TPU;
on a CPU each is written as matrix products (see `cpu_layers`). `convolve` is the stock one
everywhere.

Measured on one core of an AMD EPYC with jax 0.10.2, batches of 32: processor time per image for
the gradient of prediction + reconstruction + encoding loss with respect to a 28x28 image is
0.20-0.22 ms, whether called once or in `lax.fori_loop`. With stock convolutions it is 0.45-0.7 ms
called once and 1.4-1.6 ms in the loop.
"""

import functools
import operator
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxcf.models.networks import cpu_layers
from jaxcf.models.networks.cpu_layers import QUADRANTS, add_bias, first_maximum, pixel_matmul


def conv3x3(
    x: Float[Array, "n h w i"], kernel: Float[Array, "3 3 i o"], bias: Float[Array, " o"]
) -> Float[Array, "n h w o"]:
    """Convolve with zero padding, keeping height and width.

    `out[y, x, o] = bias[o] + sum_{a, b, i} x[y + a - 1, x + b - 1, i] kernel[a, b, i, o]`

    Args:
        x: Images `[n, h, w, i]`.
        kernel: Kernel `[3, 3, i, o]`.
        bias: Bias `[o]`.

    Returns:
        Images `[n, h, w, o]`.

    Examples:
        >>> import jax.numpy as jnp
        >>> conv3x3(jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1)), jnp.zeros(1))[0, 0, :, 0]
        Array([4., 6., 6., 4.], dtype=float32)
    """
    return _choose(cpu_layers.conv, convolve, x, kernel, bias)


def conv3x3_by_rows(
    x: Float[Array, "n h w i"], kernel: Float[Array, "3 3 i o"], bias: Float[Array, " o"]
) -> Float[Array, "n h w o"]:
    """`conv3x3`, faster for small images of many channels, and no slower in a compiled loop.

    On a CPU the three columns of a window are put side by side, one product gives what they add to
    each of three rows, and these are added.

    Args:
        x: Images `[n, h, w, i]`.
        kernel: Kernel `[3, 3, i, o]`.
        bias: Bias `[o]`.

    Returns:
        Images `[n, h, w, o]`.

    Examples:
        >>> import jax.numpy as jnp
        >>> x, kernel = jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1))
        >>> conv3x3_by_rows(x, kernel, jnp.zeros(1))[0, 0, :, 0]
        Array([4., 6., 6., 4.], dtype=float32)
    """
    return _choose(cpu_layers.conv_by_rows, convolve, x, kernel, bias)


def conv3x3_pool_relu_twice(
    x: Float[Array, "n h w i"],
    first_kernel: Float[Array, "3 3 i m"],
    first_bias: Float[Array, " m"],
    second_kernel: Float[Array, "3 3 m o"],
    second_bias: Float[Array, " o"],
) -> Float[Array, "n h4 w4 o"]:
    """Convolve, take the maximum over 2x2 windows, and rectify: twice, faster than one by one.

    `out = layer(layer(x, *first), *second)` with `layer = relu(max_pool_2x2(conv3x3))`

    An odd last row or column is dropped by the pooling, and of equal maxima the first in scan order
    gets the gradient (as in PyTorch).

    Args:
        x: Images `[n, h, w, i]`, with `h` and `w` at least 4.
        first_kernel: Kernel `[3, 3, i, m]`.
        first_bias: Bias `[m]`.
        second_kernel: Kernel `[3, 3, m, o]`.
        second_bias: Bias `[o]`.

    Returns:
        Images `[n, h // 4, w // 4, o]`.

    Examples:
        >>> import jax.numpy as jnp
        >>> kernels = jnp.ones((3, 3, 1, 8)), jnp.zeros(8), jnp.ones((3, 3, 8, 4)), jnp.zeros(4)
        >>> conv3x3_pool_relu_twice(jnp.ones((1, 8, 8, 1)), *kernels).shape
        (1, 2, 2, 4)
    """
    weights = (first_kernel, first_bias, second_kernel, second_bias)
    return _choose(cpu_layers.conv_pool_twice, _stock_conv_pool_twice, x, *weights)


def convolve(
    x: Float[Array, "n h w i"],
    kernel: Float[Array, "a b i o"],
    bias: Float[Array, " o"],
    *,
    stride: int = 1,
) -> Float[Array, "n h2 w2 o"]:
    """Convolve with zero padding by the stock formulation, on every platform.

    It is the fastest one for many channels, except in a compiled loop on a CPU, see
    `jaxcf.utils.batching.slow_in_a_loop`.

    Args:
        x: Images `[n, h, w, i]`.
        kernel: Kernel `[a, b, i, o]`.
        bias: Bias `[o]`.
        stride: Every so-many-th row and column is kept.

    Returns:
        Images `[n, ceil(h / stride), ceil(w / stride), o]`.

    Examples:
        >>> import jax.numpy as jnp
        >>> convolve(jnp.ones((1, 5, 5, 2)), jnp.ones((3, 3, 2, 4)), jnp.zeros(4), stride=2).shape
        (1, 3, 3, 4)
    """
    layout = ("NHWC", "HWIO", "NHWC")
    strides = (stride, stride)
    return add_bias(
        lax.conv_general_dilated(x, kernel, strides, "SAME", dimension_numbers=layout), bias
    )


def average_pool(x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 c"]:
    """Mean of 2x2 windows; an odd last row or column is dropped.

    `out[y, x] = mean_{a, b in {0, 1}} in[2 y + a, 2 x + b]`

    Args:
        x: Images `[n, h, w, c]`.

    Returns:
        Images `[n, h // 2, w // 2, c]`.

    Examples:
        >>> import jax.numpy as jnp
        >>> average_pool(jnp.arange(4.0).reshape(1, 2, 2, 1)).item()
        1.5
    """
    return _windows(x).mean((2, 4))


def max_pool(x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 c"]:
    """The largest of 2x2 windows; an odd last row or column is dropped.

    `out[y, x] = max_{a, b in {0, 1}} in[2 y + a, 2 x + b]`

    Args:
        x: Images `[n, h, w, c]`.

    Returns:
        Images `[n, h // 2, w // 2, c]`; of equal maxima each gets its share of the gradient.

    Examples:
        >>> import jax.numpy as jnp
        >>> max_pool(jnp.arange(4.0).reshape(1, 2, 2, 1)).item()
        3.0
    """
    return _windows(x).max((2, 4))


def convolve_depthwise(
    x: Float[Array, "n h w c"], kernel: Float[Array, "a b c"], bias: Float[Array, " c"]
) -> Float[Array, "n h w c"]:
    """Convolve each channel with a kernel of its own, keeping height and width.

    `out[y, x, c] = bias[c] + sum_{a, b} in[y + a - 1, x + b - 1, c] kernel[a, b, c]`, for 3x3

    As a sum of shifted images, which is one pass over them; grouped convolutions of so few inputs
    are slow on a GPU, too.

    Args:
        x: Images `[n, h, w, c]`.
        kernel: Kernel `[a, b, c]`, of odd sides.
        bias: Bias `[c]`.

    Returns:
        Images `[n, h, w, c]`.

    Examples:
        >>> import jax.numpy as jnp
        >>> x, kernel = jnp.ones((1, 3, 3, 1)), jnp.ones((3, 3, 1))
        >>> convolve_depthwise(x, kernel, jnp.zeros(1))[0, :, :, 0]
        Array([[4., 6., 4.],
               [6., 9., 6.],
               [4., 6., 4.]], dtype=float32)
    """
    height, width = x.shape[1:3]
    rows, columns, _ = kernel.shape
    around = ((rows // 2, rows // 2), (columns // 2, columns // 2))
    padded = jnp.pad(x, ((0, 0), *around, (0, 0)))
    shifted = (
        padded[:, a : a + height, b : b + width] * kernel[a, b].reshape(1, 1, 1, -1)
        for a in range(rows)
        for b in range(columns)
    )
    return add_bias(functools.reduce(operator.add, shifted), bias)


def conv_transpose2x2(
    x: Float[Array, "n h w i"], kernel: Float[Array, "2 2 i o"], bias: Float[Array, " o"]
) -> Float[Array, "n h2 w2 o"]:
    """Transposed convolution with stride 2: every pixel becomes 2x2 pixels.

    `out[2 y + a, 2 x + b, o] = bias[o] + sum_i x[y, x, i] kernel[a, b, i, o]`

    Args:
        x: Images `[n, h, w, i]`.
        kernel: Kernel `[2, 2, i, o]`, used without flipping.
        bias: Bias `[o]`.

    Returns:
        Images `[n, 2 h, 2 w, o]`.

    Examples:
        >>> import jax.numpy as jnp
        >>> kernel = jnp.arange(4.0).reshape(2, 2, 1, 1)
        >>> conv_transpose2x2(jnp.ones((1, 1, 1, 1)), kernel, jnp.zeros(1))[0, :, :, 0]
        Array([[0., 1.],
               [2., 3.]], dtype=float32)
    """
    n, height, width, _ = x.shape
    quadrants = add_bias(pixel_matmul(x, kernel), bias)
    quadrants = quadrants.reshape(n, height, width, 2, 2, -1)
    return quadrants.transpose(0, 1, 3, 2, 4, 5).reshape(n, 2 * height, 2 * width, -1)


def conv_transpose2x2_relu_twice_conv3x3(
    x: Float[Array, "n h w i"],
    first_kernel: Float[Array, "2 2 i m"],
    first_bias: Float[Array, " m"],
    second_kernel: Float[Array, "2 2 m k"],
    second_bias: Float[Array, " k"],
    third_kernel: Float[Array, "3 3 k o"],
    third_bias: Float[Array, " o"],
) -> Float[Array, "n h4 w4 o"]:
    """Upsample by 4 and convolve, faster than three separate calls.

    `out = conv3x3(relu(up(relu(up(x, first)), second)), third)` with `up = conv_transpose2x2`.

    Args:
        x: Images `[n, h, w, i]`.
        first_kernel: Kernel `[2, 2, i, m]`.
        first_bias: Bias `[m]`.
        second_kernel: Kernel `[2, 2, m, k]`.
        second_bias: Bias `[k]`.
        third_kernel: Kernel `[3, 3, k, o]`.
        third_bias: Bias `[o]`.

    Returns:
        Images `[n, 4 h, 4 w, o]`.

    Examples:
        >>> import jax.numpy as jnp
        >>> up = jnp.ones((2, 2, 1, 1)), jnp.zeros(1)
        >>> conv = jnp.ones((3, 3, 1, 3)), jnp.zeros(3)
        >>> conv_transpose2x2_relu_twice_conv3x3(jnp.ones((1, 2, 2, 1)), *up, *up, *conv).shape
        (1, 8, 8, 3)
    """
    weights = (first_kernel, first_bias, second_kernel, second_bias, third_kernel, third_bias)
    return _choose(cpu_layers.decode, _stock_decode, x, *weights)


def _windows(x: Array) -> Array:
    """`[n, h // 2, 2, w // 2, 2, c]`."""
    n, height, width, channels = x.shape
    even = x[:, : height // 2 * 2, : width // 2 * 2]
    return even.reshape(n, height // 2, 2, width // 2, 2, channels)


def _choose(cpu: Callable[..., Array], other: Callable[..., Array], *arguments: Array) -> Array:
    """Take the formulation for the platform that the program is compiled for."""
    if jax.default_backend() == "cpu":
        # There is nothing else it could be compiled for: tracing one of the two is enough.
        return cpu(*arguments)
    return lax.platform_dependent(*arguments, cpu=cpu, default=other)


# ---- the stock formulation, for GPU and TPU ----


def _stock_conv_pool(x: Array, kernel: Array, bias: Array) -> Array:
    n, height, width, _ = x.shape
    y = convolve(x, kernel, bias)[:, : height // 2 * 2, : width // 2 * 2]
    y = y.reshape(n, height // 2, 2, width // 2, 2, -1)
    first, *others = (y[:, :, a, :, b] for a, b in QUADRANTS)
    for other in others:
        first = first_maximum(first, other)
    return jax.nn.relu(first)


def _stock_conv_pool_twice(
    x: Array, first_kernel: Array, first_bias: Array, second_kernel: Array, second_bias: Array
) -> Array:
    hidden = _stock_conv_pool(x, first_kernel, first_bias)
    return _stock_conv_pool(hidden, second_kernel, second_bias)


def _stock_decode(x: Array, *weights: Array) -> Array:
    hidden = jax.nn.relu(conv_transpose2x2(x, *weights[:2]))
    hidden = jax.nn.relu(conv_transpose2x2(hidden, *weights[2:4]))
    return convolve(hidden, *weights[4:])
