"""Convolution layers that are fast on a CPU, inside and outside of compiled loops.

Arrays are `[n, height, width, channels]` in float32, kernels `[3, 3, in, out]` or
`[2, 2, in, out]`. On a GPU or TPU every function is the stock `lax.conv_general_dilated`. On a CPU,
where XLA's convolution and max-pool gradients are slow (and slower still inside a loop), each is
written as matrix products on non-overlapping blocks of pixels:

*   convolution and 2x2 pooling: a window of pixels times one matrix gives the values at the four
    pooled positions at once;
*   two such layers in a row: the first computes its result in the block order that the second
    reads, so nothing is transposed in between;
*   the decoder: the last convolution maps a 4x4 block of pixels to the 6x6 window it reaches, and
    the windows are added where they overlap.

Measured on one core of an AMD EPYC with jax 0.10.2, batches of 32 and 64: processor time per image
for the value and gradient of prediction + reconstruction + encoding loss with respect to a 28x28
image is 0.25-0.28 ms, whether called once, in `lax.fori_loop`, or under `jax.vmap` in the loop.
With stock convolutions it is 0.45-0.7 ms called once and 1.4-1.6 ms in the loop.
"""

from collections.abc import Callable, Sequence
from functools import partial, reduce

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata
from jaxtyping import Array, Bool, Float

QUADRANTS = ((0, 0), (0, 1), (1, 0), (1, 1))
"""The 2x2 positions in scan order."""

BLOCK_PIXELS = tuple((2 * a + p, 2 * b + q) for a, b in QUADRANTS for p, q in QUADRANTS)
"""The pixels of a 4x4 block: 2x2 quadrants of 2x2 pixels."""


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

    Example:
        >>> import jax.numpy as jnp
        >>> conv3x3(jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1)), jnp.zeros(1))[0, 0, :, 0]
        Array([4., 6., 6., 4.], dtype=float32)
    """
    return _choose(_matmul_conv, _stock_conv, x, kernel, bias)


def conv3x3_pool_relu(
    x: Float[Array, "n h w i"], kernel: Float[Array, "3 3 i o"], bias: Float[Array, " o"]
) -> Float[Array, "n h2 w2 o"]:
    """Convolve, take the maximum over 2x2 windows, and rectify.

    `out = relu(max_pool_2x2(conv3x3(x, kernel, bias)))`

    An odd last row or column is dropped by the pooling, and of equal maxima the first in scan order
    gets the gradient (as in PyTorch).

    Args:
        x: Images `[n, h, w, i]`.
        kernel: Kernel `[3, 3, i, o]`.
        bias: Bias `[o]`.

    Returns:
        Images `[n, h // 2, w // 2, o]`.

    Example:
        >>> import jax.numpy as jnp
        >>> conv3x3_pool_relu(jnp.ones((1, 4, 6, 1)), jnp.ones((3, 3, 1, 8)), jnp.zeros(8)).shape
        (1, 2, 3, 8)
    """
    return _choose(_matmul_conv_pool, _stock_conv_pool, x, kernel, bias)


def conv3x3_pool_relu_twice(
    x: Float[Array, "n h w i"],
    first_kernel: Float[Array, "3 3 i m"],
    first_bias: Float[Array, " m"],
    second_kernel: Float[Array, "3 3 m o"],
    second_bias: Float[Array, " o"],
) -> Float[Array, "n h4 w4 o"]:
    """Apply `conv3x3_pool_relu` twice, faster than two separate calls.

    `out = conv3x3_pool_relu(conv3x3_pool_relu(x, *first), *second)`

    Args:
        x: Images `[n, h, w, i]`, with `h` and `w` at least 4.
        first_kernel: Kernel `[3, 3, i, m]`.
        first_bias: Bias `[m]`.
        second_kernel: Kernel `[3, 3, m, o]`.
        second_bias: Bias `[o]`.

    Returns:
        Images `[n, h // 4, w // 4, o]`.

    Example:
        >>> import jax.numpy as jnp
        >>> kernels = jnp.ones((3, 3, 1, 8)), jnp.zeros(8), jnp.ones((3, 3, 8, 4)), jnp.zeros(4)
        >>> conv3x3_pool_relu_twice(jnp.ones((1, 8, 8, 1)), *kernels).shape
        (1, 2, 2, 4)
    """
    weights = (first_kernel, first_bias, second_kernel, second_bias)
    return _choose(_matmul_conv_pool_twice, _stock_conv_pool_twice, x, *weights)


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

    Example:
        >>> import jax.numpy as jnp
        >>> kernel = jnp.arange(4.0).reshape(2, 2, 1, 1)
        >>> conv_transpose2x2(jnp.ones((1, 1, 1, 1)), kernel, jnp.zeros(1))[0, :, :, 0]
        Array([[0., 1.],
               [2., 3.]], dtype=float32)
    """
    n, height, width, _ = x.shape
    quadrants = add_bias(_pixel_matmul(x, kernel), bias)
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

    Example:
        >>> import jax.numpy as jnp
        >>> up = jnp.ones((2, 2, 1, 1)), jnp.zeros(1)
        >>> conv = jnp.ones((3, 3, 1, 3)), jnp.zeros(3)
        >>> conv_transpose2x2_relu_twice_conv3x3(jnp.ones((1, 2, 2, 1)), *up, *up, *conv).shape
        (1, 8, 8, 3)
    """
    weights = (first_kernel, first_bias, second_kernel, second_bias, third_kernel, third_bias)
    return _choose(_matmul_decode, _stock_decode, x, *weights)


def _choose(cpu: Callable, other: Callable, *arguments: Array) -> Array:
    """Take the formulation for the platform that the program is compiled for."""
    if jax.default_backend() == "cpu":
        # There is nothing else it could be compiled for: tracing one of the two is enough.
        return cpu(*arguments)
    return lax.platform_dependent(*arguments, cpu=cpu, default=other)


# ---- the stock formulation, for GPU and TPU ----


def _stock_conv(x: Array, kernel: Array, bias: Array) -> Array:
    layout = ("NHWC", "HWIO", "NHWC")
    y = lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout)
    return add_bias(y, bias)


def _stock_conv_pool(x: Array, kernel: Array, bias: Array) -> Array:
    n, height, width, _ = x.shape
    y = _stock_conv(x, kernel, bias)[:, : height // 2 * 2, : width // 2 * 2]
    y = y.reshape(n, height // 2, 2, width // 2, 2, -1)
    first, *others = (y[:, :, a, :, b] for a, b in QUADRANTS)
    for other in others:
        first = _first_maximum(first, other)
    return jax.nn.relu(first)


def _stock_conv_pool_twice(
    x: Array, first_kernel: Array, first_bias: Array, second_kernel: Array, second_bias: Array
) -> Array:
    hidden = _stock_conv_pool(x, first_kernel, first_bias)
    return _stock_conv_pool(hidden, second_kernel, second_bias)


def _stock_decode(x: Array, *weights: Array) -> Array:
    hidden = jax.nn.relu(conv_transpose2x2(x, *weights[:2]))
    hidden = jax.nn.relu(conv_transpose2x2(hidden, *weights[2:4]))
    return _stock_conv(hidden, *weights[4:])


# ---- the matrix formulation, for CPUs ----


def _matmul_conv(x: Array, kernel: Array, bias: Array) -> Array:
    n, height, width, channels = x.shape
    shifts = [(a, b) for a in range(3) for b in range(3)]
    if kernel.shape[3] >= channels:
        padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        taps = jnp.stack([padded[:, a : a + height, b : b + width] for a, b in shifts], -2)
        taps = taps.reshape(n, height, width, -1)
        return add_bias(taps @ kernel.reshape(9 * channels, -1), bias)
    # With few outputs it is cheaper to weigh each pixel first and shift the results.
    taps = _pixel_matmul(x, kernel).reshape(n, height, width, -1)
    taps = jnp.pad(_keep(taps), ((0, 0), (1, 1), (1, 1), (0, 0)))
    taps = taps.reshape(n, height + 2, width + 2, 9, -1)
    shifted = (taps[:, a : a + height, b : b + width, 3 * a + b] for a, b in shifts)
    return add_bias(reduce(jnp.add, shifted), bias)


def _matmul_conv_pool(x: Array, kernel: Array, bias: Array) -> Array:
    n, height, width, channels = x.shape
    rows, columns = height // 2, width // 2
    edges = (1, 2 * rows + 1 - height), (1, 2 * columns + 1 - width)
    blocks = jnp.pad(x, ((0, 0), *edges, (0, 0))).reshape(n, rows + 1, 2, columns + 1, 2, channels)
    blocks = _keep(blocks.transpose(0, 1, 3, 2, 4, 5).reshape(n, rows + 1, columns + 1, -1))
    return _conv_pool_blocks(blocks, kernel, bias)


def _matmul_conv_pool_twice(
    x: Array, first_kernel: Array, first_bias: Array, second_kernel: Array, second_bias: Array
) -> Array:
    n, height, width, _ = x.shape
    rows, columns = height // 4 + 1, width // 4 + 1
    # Block (i, j) of the hidden layer holds its pixels (2i - 1 + a, 2j - 1 + b) for a, b in {0, 1}:
    # they see the 6x6 input pixels from (4i - 3, 4j - 3) on.
    edges = (3, max(4 * rows - 1 - height, 0)), (3, max(4 * columns - 1 - width, 0))
    windows = _windows6x6(jnp.pad(x, ((0, 0), *edges, (0, 0))), rows, columns)
    matrix = _spread(first_kernel, 6, BLOCK_PIXELS).reshape(windows.shape[-1], -1)
    values = (windows @ matrix).reshape(n, rows, columns, 4, 4, -1)
    inside = _inside(rows, height // 2)[:, None, :, None] & _inside(columns, width // 2)[:, None, :]
    inside = jnp.asarray(inside.reshape(1, rows, columns, 4, 1))
    hidden = _keep(_pool_relu(values, first_bias, inside))
    return _conv_pool_blocks(hidden.reshape(n, rows, columns, -1), second_kernel, second_bias)


def _matmul_decode(x: Array, *weights: Array) -> Array:
    n, height, width, _ = x.shape
    first_kernel, first_bias, second_kernel, second_bias, kernel, bias = weights
    inner, outputs = kernel.shape[2:]
    # Pixels stay grouped as [quadrant, pixel of the quadrant], which needs no transpose.
    hidden = jax.nn.relu(add_bias(_pixel_matmul(x, first_kernel), first_bias))
    hidden = jax.nn.relu(add_bias(_pixel_matmul(hidden, second_kernel), second_bias))
    hidden = hidden.reshape(n, height, width, 16 * inner)
    # A pixel adds its value to the 3x3 pixels around it, with the kernel flipped.
    matrix = _spread(kernel[::-1, ::-1], 6, BLOCK_PIXELS).transpose(3, 2, 0, 1, 4)
    windows = hidden @ matrix.reshape(16 * inner, 36 * outputs)
    image = _add_windows6x6(windows, outputs)
    return add_bias(image[:, 1 : 1 + 4 * height, 1 : 1 + 4 * width], bias)


def _conv_pool_blocks(blocks: Array, kernel: Array, bias: Array) -> Array:
    """`conv3x3_pool_relu` of blocks `[n, rows + 1, columns + 1, 2 * 2 * channels]`."""
    n, rows, columns, _ = blocks.shape
    rows, columns, (channels, outputs) = rows - 1, columns - 1, kernel.shape[2:]
    windows = jnp.stack([blocks[:, a : a + rows, b : b + columns] for a, b in QUADRANTS], -2)
    matrix = _spread(kernel, 4, QUADRANTS).reshape(2, 2, 2, 2, channels, 4 * outputs)
    matrix = matrix.transpose(0, 2, 1, 3, 4, 5).reshape(16 * channels, 4 * outputs)
    values = windows.reshape(n, rows, columns, 16 * channels) @ matrix
    return _keep(_pool_relu(values.reshape(n, rows, columns, 4, outputs), bias, jnp.array(True)))


@jax.custom_jvp
def _pool_relu(
    values: Float[Array, "*shape 4 o"], bias: Float[Array, " o"], inside: Bool[Array, "..."]
) -> Float[Array, "*shape o"]:
    """`relu(max over the four values + bias)`, and zero where not `inside`."""
    maximum = values[..., 0, :]
    for position in (1, 2, 3):
        maximum = _first_maximum(maximum, values[..., position, :])
    maximum = add_bias(maximum, bias)
    return jnp.where((maximum > 0) & inside, maximum, 0)


@_pool_relu.defjvp
def _pool_relu_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    # The position of the maximum, stored in two bytes, spares the backward pass the comparisons,
    # which XLA would otherwise repeat for each of the four positions.
    values, bias, inside = primals
    maximum, position = values[..., 0, :], jnp.int16(0)
    for other in (1, 2, 3):
        position = jnp.where(values[..., other, :] > maximum, jnp.int16(other), position)
        maximum = _first_maximum(maximum, values[..., other, :])
    position = _keep(jnp.where((add_bias(maximum, bias) > 0) & inside, position, jnp.int16(-1)))
    chosen = position[..., None, :] == lax.broadcasted_iota(
        jnp.int16, values.shape, values.ndim - 2
    )
    tangent = jnp.where(chosen, tangents[0], 0).sum(-2)
    tangent = tangent + jnp.where(position >= 0, _like(tangents[1], position), 0)
    return _pool_relu(*primals), tangent


def add_bias(x: Float[Array, "*shape o"], bias: Float[Array, " o"]) -> Float[Array, "*shape o"]:
    """Add `bias[o]` along the last axis, in any number of dimensions.

    Example:
        >>> import jax.numpy as jnp
        >>> add_bias(jnp.zeros((2, 2)), jnp.array([1.0, 2.0]))[0]
        Array([1., 2.], dtype=float32)
    """
    return x + _like(bias, x)


def _like(bias: Array, x: Array) -> Array:
    """The bias with leading axes, as many as x has."""
    return jnp.expand_dims(bias, tuple(range(x.ndim - 1)))


def _first_maximum(first: Array, second: Array) -> Array:
    return jnp.where(second > first, second, first)


def _inside(blocks: int, pixels: int) -> np.ndarray:
    """Which of the two pixels of each block, which starts one pixel early, exist: `[blocks, 2]`."""
    pixel = 2 * np.arange(blocks)[:, None] - 1 + np.arange(2)
    return (pixel >= 0) & (pixel < pixels)


def _pixel_matmul(x: Array, kernel: Array) -> Array:
    """Every pixel times every tap: `[..., i] -> [..., taps, o]`."""
    inputs, outputs = kernel.shape[2:]
    matrix = kernel.transpose(2, 0, 1, 3).reshape(inputs, -1)
    return (x @ matrix).reshape(*x.shape[:-1], -1, outputs)


def _spread(kernel: Array, window: int, offsets: Sequence[tuple[int, int]]) -> Array:
    """The 3x3 kernel at each offset of a window: `[window, window, i, offsets, o]`."""
    rest = window - 3
    pads = [((a, rest - a), (b, rest - b), (0, 0), (0, 0)) for a, b in offsets]
    return jnp.stack([jnp.pad(kernel, pad) for pad in pads], axis=-2)


def _windows6x6(x: Array, rows: int, columns: int) -> Array:
    """Windows of 6x6 pixels at every 4th pixel: `[n, rows, columns, 36 * channels]`."""
    n, height, width, channels = x.shape
    edges = (0, 4 * rows + 4 - height), (0, 4 * columns + 4 - width)
    blocks = jnp.pad(x, ((0, 0), *edges, (0, 0))).reshape(n, rows + 1, 4, columns + 1, 4, channels)
    blocks = blocks.transpose(0, 1, 3, 2, 4, 5)
    tall = jnp.concatenate([blocks[:, :-1], blocks[:, 1:, :, :2]], 3)
    windows = jnp.concatenate([tall[:, :, :-1], tall[:, :, 1:, :, :2]], 4)
    return windows.reshape(n, rows, columns, 36 * channels)


def _add_windows6x6(windows: Array, channels: int) -> Array:
    """Transpose of `_windows6x6`: `[n, 4 * rows + 4, 4 * columns + 4, channels]`."""
    n, rows, columns, _ = windows.shape
    image = (n, 4 * rows + 4, 4 * columns + 4, channels)
    cut = partial(_windows6x6, rows=rows, columns=columns)
    (result,) = jax.linear_transpose(cut, jax.ShapeDtypeStruct(image, windows.dtype))(windows)
    return result


@partial(jax.jit, inline=False)
def _identity(x: Array) -> Array:
    return lax.optimization_barrier(x)


def _keep(x: Array) -> Array:
    """Return x as it is, and have XLA store it (and its gradient) instead of recomputing it.

    XLA removes `optimization_barrier` before it fuses on a CPU, and would then repeat the sums that
    make x for each of the values that depend on it. A call that must not be inlined stays.
    """
    with set_xla_metadata(inlineable="false"):
        return _identity(x)
