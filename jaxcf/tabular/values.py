"""Values column by column: checked, encoded for the model, decoded, and as entries of a table."""

from functools import lru_cache

import numpy as np

from jaxcf.tabular.columns import (
    Categorical,
    Column,
    Numeric,
    Scaling,
    blocks_entries,
    input_width,
    is_block,
    is_missing,
)

Columns = tuple[Column, ...]
Positions = tuple[tuple[int, ...], ...]


def check_values(columns: Columns, values: np.ndarray) -> np.ndarray:
    """Values as float64, if they fit the columns.

    Args:
        columns: One per column of the values.
        values: `[n, columns]`.

    Returns:
        The values.

    Raises:
        ValueError: If the shape is wrong or a value is no index of a category.
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 2 or array.shape[1] != len(columns):
        raise ValueError(
            f"values have shape {array.shape}; expected [n, {len(columns)}], one per column of "
            "the schema"
        )
    counts = _category_counts(columns)
    if counts is None:
        return array
    places, most = counts
    given = array[:, places]
    known = (given >= 0) & (given < most) & (given == np.floor(given)) | np.isnan(given)
    if not known.all():
        row, which = np.argwhere(~known)[0]
        raise ValueError(
            f"column {columns[places[which]].name!r} has the value {given[row, which]}; expected "
            f"the index of one of its categories, 0 to {int(most[which]) - 1}, or NaN"
        )
    return array


@lru_cache(maxsize=16)
def _category_counts(columns: Columns) -> tuple[np.ndarray, np.ndarray] | None:
    """Where the columns of categories stand, and how many each has; None where none does."""
    counts = {p: len(c.categories) for p, c in enumerate(columns) if not isinstance(c, Numeric)}
    return (np.array([*counts]), np.array([*counts.values()], float)) if counts else None


def encode_values(
    columns: Columns,
    positions: Positions,
    scaling: Scaling,
    values: np.ndarray,
    dtype: type[np.floating] = np.float64,
) -> np.ndarray:
    """Model input, computed in float64.

    Args:
        columns: One per column of the values.
        positions: Of each column in the model input.
        scaling: Of numeric columns.
        values: `[n, columns]`, checked.
        dtype: in which it is held.

    Returns:
        `[n, width]`; all entries of a NaN value are NaN.
    """
    width = sum(input_width(column) for column in columns)
    encoded = np.zeros((len(values), width), dtype)
    flat, begins = encoded.reshape(-1), np.arange(len(values)) * width
    for place, (column, places) in enumerate(zip(columns, positions, strict=True)):
        given = values[:, place]
        if isinstance(column, Numeric):
            shift, scale = column.shift_and_scale(scaling)
            encoded[:, places[0]] = (given - shift) / scale
            continue
        missing = np.isnan(given)
        known = np.where(missing, 0, given).astype(np.intp)
        if isinstance(column, Categorical) and is_block(column):
            # one entry of each row at most: a table's wide blocks are mostly zeros
            entry = np.full(len(column.categories), -1)
            entry[blocks_entries(column)] = places
            one = entry[known]
            has = one >= 0
            flat[(begins + one)[has]] = 1
        else:
            encoded[:, places[0]] = np.array(column.codes)[known]
        if missing.any():
            encoded[np.ix_(missing, np.array(places))] = np.nan
    return encoded


def decode_input(
    columns: Columns, positions: Positions, scaling: Scaling, x: np.ndarray
) -> np.ndarray:
    """The values of some model input: the way back from `encode_values`.

    Args:
        columns: One per column of the values.
        positions: Of each column in the model input.
        scaling: Of numeric columns.
        x: `[n, width]`.

    Returns:
        Values `[n, columns]`; NaN where a number isn't finite, a block isn't one-hot or a code is
        none.

    Raises:
        ValueError: If the array has another width or holds no numbers.
    """
    width = sum(input_width(column) for column in columns)
    if x.ndim != 2 or x.shape[1] != width or x.dtype.kind not in "biuf":
        raise ValueError(
            f"the array has shape {x.shape} and dtype {x.dtype}; expected numbers [n, {width}], "
            "model input as encode makes it: pass other tables as a frame or a mapping from "
            "names to columns"
        )
    x = x.astype(np.float64)
    return np.stack(
        [
            _decode_column(column, scaling, x[:, list(places)])
            for column, places in zip(columns, positions, strict=True)
        ],
        axis=1,
    )


def _decode_column(column: Column, scaling: Scaling, x: np.ndarray) -> np.ndarray:
    if isinstance(column, Numeric):
        shift, scale = column.shift_and_scale(scaling)
        numbers = np.where(np.isfinite(x[:, 0]), x[:, 0], np.nan) * scale + shift
        # scaling may have been done in float32; original units are left as they are
        return numbers if scaling == "original" else column.on_grid(numbers)
    if isinstance(column, Categorical) and is_block(column):
        if len(column.categories) > x.shape[1]:  # the one left out stands where no other does
            x = np.concatenate([1 - x.sum(axis=1, keepdims=True), x], axis=1)
        exact = np.isin(x, (0.0, 1.0)).all(axis=1) & (x.sum(axis=1) == 1)
        return np.where(exact, x.argmax(axis=1), np.nan)
    codes = np.array(column.codes)
    nearest = np.abs(x - codes).argmin(axis=1)
    # codes such as 1/3 come back from float32
    return np.where(np.isclose(x[:, 0], codes[nearest], 0, 1e-6), nearest, np.nan)


def entries_of(column: Column, values: np.ndarray) -> np.ndarray:
    """A column of a table from its values.

    Args:
        column: Its description.
        values: `[n]`.

    Returns:
        Numbers, integers where all lie on a grid of whole numbers; or categories as objects, None
        for NaN.
    """
    if isinstance(column, Numeric):
        whole = column.decimals == 0
        if not (whole and np.isfinite(values).all() and (values == np.round(values)).all()):
            return values
        least, most = values.min(initial=0), values.max(initial=0)
        if least >= -(2.0**63) and most < 2.0**63:
            return values.astype(np.int64)
        return values.astype(np.uint64) if least >= 0 and most < 2.0**64 else values
    entries = np.empty(len(values), object)
    entries[:] = [None if np.isnan(one) else column.categories[int(one)] for one in values]
    return entries


def describe_problem(column: Column, entry: object, named: bool) -> str:
    """Why an entry has no value.

    Args:
        column: Its description.
        entry: What the table holds.
        named: Whether the table was given, and so the entry is known.

    Returns:
        One clause.
    """
    if named and not is_missing(entry):
        shown = entry.item() if isinstance(entry, np.generic) else entry
        if isinstance(column, Numeric):
            return f"column {column.name!r} holds {shown!r}, which is no finite number"
        return (
            f"column {column.name!r} holds {shown!r}, which is none of its "
            f"{len(column.categories)} categories"
        )
    if named:
        return f"column {column.name!r} is missing"
    what = "a finite number" if isinstance(column, Numeric) else "one of its categories"
    return f"column {column.name!r} is missing or isn't {what}"
