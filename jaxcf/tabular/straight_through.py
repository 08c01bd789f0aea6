"""Model input with exact categories and interpolated gradients, as a few array operations.

Every entry of a one-hot block has its own interval of coordinates, so the block needs no search for
the nearest category; numbers are the same entries with other constants. Codes (labels and ranks)
are a sum over the jumps between neighbouring categories.
"""

from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcf.tabular.columns import Categorical, Numeric, blocks_entries, is_block
from jaxcf.tabular.schema import Schema


class Entries(NamedTuple):
    """Constants of the numeric and one-hot entries, one per entry.

    Attributes:
        column: The column it belongs to.
        offset: The value is offset + factor * coordinate, both 0 for a one-hot entry.
        factor: See `offset`.
        nearest: A one-hot entry is 1 between these two, the upper one included.
        rise: Where interpolation raises a one-hot entry.
        rise_rate: By how much.
        fall: Where it lowers it.
        fall_rate: By how much.
        codes: `[3, codes, entries]`, for the special codes of numbers, nowhere for other entries:
            the interval in which the entry is one, the upper end included, and what it is there.
        code_slopes: `[codes, entries]`, the slope there: that of the way to the typical number.
    """

    column: np.ndarray
    offset: np.ndarray
    factor: np.ndarray
    nearest: np.ndarray
    rise: np.ndarray
    rise_rate: np.ndarray
    fall: np.ndarray
    fall_rate: np.ndarray
    codes: np.ndarray
    code_slopes: np.ndarray


class Codes(NamedTuple):
    """Constants of the columns given to the model as a code, padded to the most jumps.

    Attributes:
        column: `[codes]`, the column of each.
        first: `[codes]`, the code of the category with the least coordinate.
        jump: `[codes, most]`, from each category to the next.
        middle: `[codes, most]`, where the next becomes the nearest.
        between: `[2, codes, most]`, the coordinates of the two.
        rate: `[codes, most]`, the jump over their gap.
    """

    column: np.ndarray
    first: np.ndarray
    jump: np.ndarray
    middle: np.ndarray
    between: np.ndarray
    rate: np.ndarray


class Tables(NamedTuple):
    """All that `model_input` needs.

    Attributes:
        entries: Numeric and one-hot entries.
        codes: Labels and ranks.
        source: `[width]`, for each position of the input its place in entries, then codes.
        spread: `[columns, width]`, 1 where the position belongs to the column.
    """

    entries: Entries
    codes: Codes
    source: np.ndarray
    spread: np.ndarray


def sort_levels(levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The order of a column's categories, and the points in the middle between neighbours.

    Args:
        levels: Float32 `[k]`, all different.

    Returns:
        Indices `[k]` by ascending level, and middles `[k - 1]`; a coordinate on one belongs to the
        lower category.
    """
    order = np.argsort(levels)
    ascending = levels[order]
    return order, ((ascending[1:] + ascending[:-1]) / 2).astype(np.float32)


def tabulate(schema: Schema, column_levels: tuple[np.ndarray, ...]) -> Tables:
    """The constants of a schema whose categories lie at some levels.

    Args:
        schema: Of the table.
        column_levels: For each column float32 `[k]`, empty for a numeric one.

    Returns:
        The constants.
    """
    entries: list[tuple[np.ndarray, ...]] = []
    codes: list[tuple[np.ndarray, ...]] = []
    entry_positions: list[int] = []
    code_positions: list[int] = []
    special: dict[int, list[tuple[float, ...]]] = {}
    spread = np.zeros((len(schema.columns), schema.width), np.float32)
    for place, (column, positions) in enumerate(zip(schema.columns, schema.positions, strict=True)):
        spread[place, list(positions)] = 1
        if isinstance(column, Numeric):
            shift, scale = column.shift_and_scale(schema.scaling)
            if column.special:
                special[len(entry_positions)] = _special(column, shift, scale)
            entries.append(_number(place, (column.lower - shift) / scale, column.scale / scale))
            entry_positions.extend(positions)
        elif isinstance(column, Categorical) and is_block(column):
            block = _block(place, column_levels[place])
            entries.append(tuple(one[..., blocks_entries(column)] for one in block))
            entry_positions.extend(positions)
        else:
            codes.append(_jumps(place, column_levels[place], np.array(column.codes)))
            code_positions.extend(positions)
    source = np.argsort(np.array(entry_positions + code_positions))
    joined = _join_entries(entries)
    return Tables(_with_special(joined, special), _join_codes(codes), source, spread)


def code_intervals(column: Numeric) -> list[tuple[float, float, float]]:
    """Each special code of a column, and between which coordinates it is the nearest.

    Args:
        column: Of numbers.

    Returns:
        The code, the lower end and the upper end, which belongs to it.
    """
    at = [*column.special_coordinates]
    # Half way to the numbers; then half way from one code to the next.
    highest = [-0.5, *((one + other) / 2 for one, other in pairwise(at))]
    return list(zip(column.special, [*highest[1:], -np.inf], highest, strict=True))


def _special(column: Numeric, shift: float, scale: float) -> list[tuple[float, ...]]:
    assert column.typical is not None
    typical = (column.typical - column.lower) / column.scale
    found = []
    for (code, low, high), at in zip(
        code_intervals(column), column.special_coordinates, strict=True
    ):
        slope = (column.typical - code) / scale / (typical - at)
        found.append((low, high, (code - shift) / scale, slope))
    return found


def _with_special(entries: Entries, special: dict[int, list[tuple[float, ...]]]) -> Entries:
    most = max(map(len, special.values()), default=0)
    constants = np.full((4, most, len(entries.column)), np.inf, np.float32)
    for place, codes in special.items():
        constants[:, : len(codes), place] = np.array(codes).T
    return entries._replace(codes=constants[:3], code_slopes=constants[3])


def entry_values(constants: Entries, at: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Value and slope of the numeric and one-hot entries.

    Args:
        constants: `[entries]`.
        at: `[*n, entries]`, the coordinate of each one's column.

    Returns:
        Both `[*n, entries]`.
    """
    low, high = (_fit(one, at) for one in constants.nearest)
    nearest = (low < at) & (at <= high)
    value = _fit(constants.offset, at) + _fit(constants.factor, at) * at + nearest
    rise = _share(at, constants.rise) * _fit(constants.rise_rate, at)
    fall = _share(at, constants.fall) * _fit(constants.fall_rate, at)
    slope = _fit(constants.factor, at) + rise - fall
    for low, high, code, towards in zip(*constants.codes, constants.code_slopes, strict=True):
        there = (_fit(low, at) < at) & (at <= _fit(high, at))
        value = jnp.where(there, _fit(code, at), value)
        slope = jnp.where(there, _fit(towards, at), slope)
    return value, slope


def code_values(constants: Codes, at: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Value and slope of labels and ranks.

    Args:
        constants: `[codes]` and `[codes, most]`.
        at: `[*n, codes]`, the coordinate of each one's column.

    Returns:
        Both `[*n, codes]`.
    """
    each = at[..., None]
    passed = each > _fit(constants.middle, each)
    jumps = jnp.where(passed, _fit(constants.jump, each), 0).sum(-1)
    slope = (_share(each, constants.between) * _fit(constants.rate, each)).sum(-1)
    return _fit(constants.first, at) + jumps, slope


def _fit(constant: np.ndarray, at: jax.Array) -> jax.Array:
    # ranks are made equal here, for jax may be told to turn away arrays of unequal rank
    return jnp.asarray(np.expand_dims(constant, tuple(range(at.ndim - constant.ndim))))


def _share(at: jax.Array, interval: np.ndarray) -> jax.Array:
    """1 inside an interval, 0 outside, a half on its ends."""
    low, high = (_fit(one, at) for one in interval)
    inner = (low < at) & (at < high)
    closed = (low <= at) & (at <= high)
    return (inner.astype(at.dtype) + closed.astype(at.dtype)) / 2


def _number(place: int, offset: float, factor: float) -> tuple[np.ndarray, ...]:
    nowhere = np.full((2, 1), np.inf)
    nothing = np.zeros(1)
    return (
        np.array([place]),
        np.array([offset]),
        np.array([factor]),
        nowhere,
        nowhere,
        nothing,
        nowhere,
        nothing,
    )


def _block(place: int, levels: np.ndarray) -> tuple[np.ndarray, ...]:
    count = len(levels)
    order, middles = sort_levels(levels)
    edges = np.concatenate([[-np.inf], middles, [np.inf]])
    segments, rates = _segments(levels[order])
    outside = np.full((2, 1), np.inf)
    nothing = np.zeros(1)
    rank = np.argsort(order)
    return (
        np.full(count, place),
        np.zeros(count),
        np.zeros(count),
        np.stack([edges[:-1], edges[1:]])[:, rank],
        np.concatenate([outside, segments], axis=1)[:, rank],
        np.concatenate([nothing, rates])[rank],
        np.concatenate([segments, outside], axis=1)[:, rank],
        np.concatenate([rates, nothing])[rank],
    )


def _segments(ascending: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The stretches between neighbouring levels, the outer two without end, and 1 / length."""
    exact = ascending.astype(np.float64)
    segments = np.stack([exact[:-1], exact[1:]])
    rates = 1 / np.diff(exact)
    if rates.size:
        segments[0, 0], segments[1, -1] = -np.inf, np.inf
    return segments, rates


def _jumps(place: int, levels: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, ...]:
    order, middles = sort_levels(levels)
    segments, rates = _segments(levels[order])
    jumps = np.diff(codes[order])
    return np.array([place]), codes[order][:1], jumps, middles, segments, jumps * rates


def _join_entries(parts: list[tuple[np.ndarray, ...]]) -> Entries:
    if not parts:
        one = np.zeros(0, np.float32)
        two = np.zeros((2, 0), np.float32)
        return Entries(np.zeros(0, np.int32), one, one, two, two, one, two, one, *_NO_CODES)
    column, *constants = (np.concatenate(one, axis=-1) for one in zip(*parts, strict=True))
    floats = [one.astype(np.float32) for one in constants]
    return Entries(column.astype(np.int32), *[*floats, *_NO_CODES])


_NO_CODES = np.zeros((3, 0, 0), np.float32), np.zeros((0, 0), np.float32)


def _join_codes(parts: list[tuple[np.ndarray, ...]]) -> Codes:
    most = max((part[2].size for part in parts), default=0)
    column = np.array([part[0][0] for part in parts], np.int32)
    first = np.array([part[1][0] for part in parts], np.float32)
    jump = np.zeros((len(parts), most), np.float32)
    middle = np.full((len(parts), most), np.inf, np.float32)
    between = np.full((2, len(parts), most), np.inf, np.float32)
    rate = np.zeros((len(parts), most), np.float32)
    for place, part in enumerate(parts):
        count = part[2].size
        jump[place, :count] = part[2]
        middle[place, :count] = part[3]
        between[:, place, :count] = part[4]
        rate[place, :count] = part[5]
    return Codes(column, first, jump, middle, between, rate)
