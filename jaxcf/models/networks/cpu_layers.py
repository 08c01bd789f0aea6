"""The convolution layers of `layers` as matrix products on blocks of pixels, for CPUs.

XLA's convolutions and the gradient of its max-pool are slow on a CPU, and slower still inside a
compiled loop. Here:

*   convolution and 2x2 pooling: a window of pixels times one matrix gives the values at the four
    pooled positions at once;
*   along the columns, Winograd's F(2, 3) halves the multiplications of inner layers;
*   two such layers in a row: the first computes its result in the block order that the second
    reads, so nothing is transposed in between;
*   the decoder: the last convolution maps a 4x4 block of pixels to the 6x6 window it reaches, and
    the windows are added where they overlap.
"""

from collections.abc import Sequence
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


def conv(x: Array, kernel: Array, bias: Array) -> Array:
    """`layers.conv3x3`."""
    n, height, width, channels = x.shape
    shifts = [(a, b) for a in range(3) for b in range(3)]
    if kernel.shape[3] >= channels:
        padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        taps = jnp.stack([padded[:, a : a + height, b : b + width] for a, b in shifts], -2)
        taps = taps.reshape(n, height, width, -1)
        return add_bias(taps @ kernel.reshape(9 * channels, -1), bias)
    # With few outputs it is cheaper to weigh each pixel first and shift the results.
    taps = pixel_matmul(x, kernel).reshape(n, height, width, -1)
    taps = jnp.pad(_keep(taps), ((0, 0), (1, 1), (1, 1), (0, 0)))
    taps = taps.reshape(n, height + 2, width + 2, 9, -1)
    shifted = (taps[:, a : a + height, b : b + width, 3 * a + b] for a, b in shifts)
    return add_bias(reduce(jnp.add, shifted), bias)


def conv_by_rows(x: Array, kernel: Array, bias: Array) -> Array:
    """`layers.conv3x3_by_rows`."""
    n, height, width, channels = x.shape
    padded = jnp.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)))
    across = jnp.concatenate([padded[:, :, b : b + width] for b in range(3)], -1)
    matrix = kernel.transpose(1, 2, 0, 3).reshape(3 * channels, -1)
    values = (across.reshape(-1, 3 * channels) @ matrix).reshape(n, height, width, 3, -1)
    values = jnp.pad(values, ((0, 0), (1, 1), (0, 0), (0, 0), (0, 0)))
    return add_bias(reduce(jnp.add, (values[:, a : a + height, :, a] for a in range(3))), bias)


def conv_pool_twice(
    x: Array, first_kernel: Array, first_bias: Array, second_kernel: Array, second_bias: Array
) -> Array:
    """`layers.conv3x3_pool_relu_twice`."""
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


def decode(x: Array, *weights: Array) -> Array:
    """`layers.conv_transpose2x2_relu_twice_conv3x3`."""
    n, height, width, _ = x.shape
    first_kernel, first_bias, second_kernel, second_bias, kernel, bias = weights
    inner, outputs = kernel.shape[2:]
    # Pixels stay grouped as [quadrant, pixel of the quadrant], which needs no transpose.
    hidden = jax.nn.relu(add_bias(pixel_matmul(x, first_kernel), first_bias))
    hidden = jax.nn.relu(add_bias(pixel_matmul(hidden, second_kernel), second_bias))
    hidden = hidden.reshape(n, height, width, 16 * inner)
    # A pixel adds its value to the 3x3 pixels around it, with the kernel flipped.
    matrix = _spread(kernel[::-1, ::-1], 6, BLOCK_PIXELS).transpose(3, 2, 0, 1, 4)
    windows = hidden @ matrix.reshape(16 * inner, 36 * outputs)
    image = _add_windows6x6(windows, outputs)
    return add_bias(image[:, 1 : 1 + 4 * height, 1 : 1 + 4 * width], bias)


def _conv_pool_blocks(blocks: Array, kernel: Array, bias: Array) -> Array:
    """`relu(max_pool_2x2(conv3x3))` of blocks of 2x2 pixels.

    The blocks are `[n, rows + 1, columns + 1, 2 * 2 * channels]` and begin one pixel early.

    Along the columns this is Winograd's F(2, 3): two neighbouring outputs of a filter of three
    taps from four products instead of the eight that a matrix of all windows takes. Along the
    rows the windows stay as they are, so that the matrix products remain large.
    """
    n, rows, columns, _ = blocks.shape
    rows, columns, (channels, outputs) = rows - 1, columns - 1, kernel.shape[2:]
    blocks = blocks.reshape(n, rows + 1, columns + 1, 2, 2, channels)

    def pixels(column: int) -> Array:
        """The four rows of every window in one of its four columns."""
        across = blocks[:, :, column // 2 : column // 2 + columns, :, column % 2]
        return jnp.concatenate([across[:, :rows], across[:, 1:]], 3)

    first, second, third, fourth = (pixels(column) for column in range(4))
    sums = jnp.stack([first - third, second + third, third - second, second - fourth])
    matrices = _product_with(_FOUR_PRODUCTS, kernel).reshape(4, 4 * channels, 2 * outputs)
    products = _keep(sums.reshape(4, -1, 4 * channels)) @ matrices
    one, two, three, four = (products[i].reshape(n, rows, columns, 2, outputs) for i in range(4))
    evens, odds = one + two + three, two - three - four
    values = [column[..., row, :] for row in (0, 1) for column in (evens, odds)]
    return _keep(_pool_relu(jnp.stack(values, -2), bias, jnp.array(True)))


@jax.custom_jvp
def _pool_relu(
    values: Float[Array, "*shape 4 o"], bias: Float[Array, " o"], inside: Bool[Array, "..."]
) -> Float[Array, "*shape o"]:
    """`relu(max over the four values + bias)`, and zero where not `inside`."""
    maximum = values[..., 0, :]
    for position in (1, 2, 3):
        maximum = first_maximum(maximum, values[..., position, :])
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
        maximum = first_maximum(maximum, values[..., other, :])
    position = _keep(jnp.where((add_bias(maximum, bias) > 0) & inside, position, jnp.int16(-1)))
    chosen = position[..., None, :] == lax.broadcasted_iota(
        jnp.int16, values.shape, values.ndim - 2
    )
    tangent = jnp.where(chosen, tangents[0], 0).sum(-2)
    tangent = tangent + jnp.where(position >= 0, _like(tangents[1], position), 0)
    return _pool_relu(*primals), tangent


def add_bias(x: Float[Array, "*shape o"], bias: Float[Array, " o"]) -> Float[Array, "*shape o"]:
    """Add `bias[o]` along the last axis, in any number of dimensions.

    Examples:
        >>> import jax.numpy as jnp
        >>> add_bias(jnp.zeros((2, 2)), jnp.array([1.0, 2.0]))[0]
        Array([1., 2.], dtype=float32)
    """
    return x + _like(bias, x)


def _like(bias: Array, x: Array) -> Array:
    """The bias with leading axes, as many as x has."""
    return jnp.expand_dims(bias, tuple(range(x.ndim - 1)))


def first_maximum(first: Array, second: Array) -> Array:
    """The larger one; where they are equal, the first, which then gets the whole gradient."""
    return jnp.where(second > first, second, first)


def _inside(blocks: int, pixels: int) -> np.ndarray:
    """Which of the two pixels of each block, which starts one pixel early, exist: `[blocks, 2]`."""
    pixel = 2 * np.arange(blocks)[:, None] - 1 + np.arange(2)
    return (pixel >= 0) & (pixel < pixels)


def pixel_matmul(x: Array, kernel: Array) -> Array:
    """Every pixel times every tap: `[..., i] -> [..., taps, o]`."""
    inputs, outputs = kernel.shape[2:]
    matrix = kernel.transpose(2, 0, 1, 3).reshape(inputs, -1)
    return (x @ matrix).reshape(*x.shape[:-1], -1, outputs)


def _spread(kernel: Array, window: int, offsets: Sequence[tuple[int, int]]) -> Array:
    """The 3x3 kernel at each offset of a window: `[window, window, i, offsets, o]`."""
    taken = np.zeros((window, window, len(offsets), 3, 3), np.float32)
    for place, (a, b) in enumerate(offsets):
        for row, column in np.ndindex(3, 3):
            taken[a + row, b + column, place, row, column] = 1
    return _product_with(taken, kernel)


def _four_products() -> Float[np.ndarray, "4 4 2 3 3"]:
    """What the weights of each of the four products are of the kernel's taps, by row and output."""
    across = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
    taken = np.zeros((4, 4, 2, 3, 3), np.float32)
    for output, row in np.ndindex(2, 3):
        taken[:, output + row, output, row] = across
    return taken


_FOUR_PRODUCTS = _four_products()


def _product_with(taken: Float[np.ndarray, "a b p 3 3"], kernel: Array) -> Array:
    """A 3x3 kernel's taps, each taken so many times: `[a, b, i, p, o]`.

    One product. What is cut, padded and stacked is a program of its own to XLA for each place: a
    tenth of what it takes to compile a search.
    """
    highest = lax.Precision.HIGHEST  # whatever the caller has as default
    return jnp.einsum("abprc,rcio->abipo", taken.astype(kernel.dtype), kernel, precision=highest)


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
