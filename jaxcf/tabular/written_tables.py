"""Tables written as people have them: after a frame or a mapping, with its types and its words."""

import math
import sys
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

from jaxcf.tabular import frames
from jaxcf.tabular.columns import Category, is_missing
from jaxcf.tabular.tables import NUMBERS, Labels, Table, as_objects, column_types, read_entries


def write_columns(
    columns: Mapping[str, np.ndarray],
    like: Table,
    categories: Mapping[str, tuple[Category, ...]] | None = None,
    labels: Labels | None = None,
) -> Table:
    """A table of the same kind as another.

    Args:
        columns: Numbers, or objects with None where there is no category.
        like: A frame or a mapping, whose column types are kept where the entries allow it; None for
            a mapping.
        categories: Of the columns that have some, in order where they have one: a categorical type
            of pandas that lacks one that is written is widened by it.
        labels: Of the rows, the index of a DataFrame; None takes that of `like` where it has as
            many rows.

    Returns:
        A frame of the same library, or a dictionary.

    Raises:
        TypeError: If `like` is neither.
    """
    if frames.is_pandas(like):
        pandas = sys.modules["pandas"]
        rows = len(next(iter(columns.values())))
        index = like.index if len(like) == rows else pandas.RangeIndex(rows)
        if labels is not None:
            index = labels if isinstance(labels, pandas.Index) else pandas.Index(labels)
        types = column_types(like) or {}
        names = {str(name): name for name in like.columns.tolist()}
        written = {}
        for name, column in columns.items():
            if types.get(name) == np.dtype(object):
                column = _objects_like(column, like[names[name]])
            written[names.get(name, name)] = _to_series(
                pandas, column, types.get(name), index, (categories or {}).get(name)
            )
        arrays = list(written.values())
        if all(isinstance(one, np.ndarray) and one.dtype == arrays[0].dtype for one in arrays):
            # at once: a thousand columns, one by one, would take as long as a model
            return pandas.DataFrame(np.stack(arrays, axis=1), index, list(written))
        return pandas.DataFrame(written, index=index)
    if like is None:
        return {name: _to_array(column, None) for name, column in columns.items()}
    if frames.is_other_frame(like):
        return frames.write_frame(columns, like, categories or {})
    if not isinstance(like, Mapping):
        raise TypeError(
            f"like is a {type(like).__name__}; expected a frame, a mapping from names to columns, "
            "an array of model input or None"
        )
    given = {str(name): column for name, column in like.items()}
    types, made = column_types(like) or {}, {}
    for name, column in columns.items():
        if types.get(name) == np.dtype(object):
            column = _objects_like(column, given[name])
        wanted = read_entries(name, given[name]).entries.dtype if name in given else None
        made[name] = _to_array(column, wanted)
    return made


def plain_table(columns: Mapping[str, list[Any]], like: Table) -> Table:
    """A table of the same kind as another, whose column types follow from the entries alone.

    Args:
        columns: By name; the entries of one may be of several types.
        like: A frame, or anything else for a mapping of arrays.

    Examples:
        >>> plain_table({"old": [30, "clerk"]}, {})["old"].tolist()
        [30, 'clerk']
    """
    if frames.is_other_frame(like):
        return frames.plain_frame(columns, like)
    arrays = {name: _of_one_type(entries) for name, entries in columns.items()}
    return sys.modules["pandas"].DataFrame(arrays) if frames.is_pandas(like) else arrays


def _of_one_type(entries: list[Any]) -> np.ndarray:
    """An array that keeps whole numbers whole beside others."""
    plain = [one.item() if isinstance(one, np.generic) else one for one in entries]
    types = {type(one) for one in plain}
    return np.array(plain) if len(types) == 1 and types < {bool, int, float} else as_objects(plain)


def _objects_like(column: np.ndarray, given: Any) -> np.ndarray:
    """Objects as a given column has them: its whole numbers whole, its word for what is missing."""
    # Whoever fills entries in looks for either None or NaN.
    absent = next((one for one in given if is_missing(one)), None)
    entries = [absent if is_missing(one) else one for one in column.tolist()]
    # Whatever stands there besides numbers is a bad row, and no reason to write others otherwise.
    numbers = [one for one in given if isinstance(one, Real) and math.isfinite(one)]
    whole = all(isinstance(one, Integral) for one in numbers)
    if whole:
        entries = [
            int(one) if isinstance(one, float) and one.is_integer() else one for one in entries
        ]
    return as_objects(entries)


def _to_series(
    pandas: Any,
    column: np.ndarray,
    wanted: Any,
    index: Any,
    categories: tuple[Category, ...] | None,
) -> Any:
    if wanted is None or isinstance(wanted, np.dtype):
        array = _to_array(column, wanted)
        if array.dtype.kind in NUMBERS:
            # Whose type pandas would guess, of a column of its own no otherwise than of an array.
            return array
        # Of a column of objects it would make texts, with NaN for None.
        kept = object if wanted == array.dtype == np.dtype(object) else None
        return pandas.Series(array, index=index, dtype=kept)
    if isinstance(wanted, pandas.CategoricalDtype):
        wanted = _widened(pandas, wanted, column, categories)
    # pandas' own types hold missing entries; what doesn't fit one, such as half an integer, is
    # written as it is
    plain = pandas.Series(column, index=index)
    try:
        made = plain.astype(wanted)
    except (TypeError, ValueError):
        return plain
    narrow = isinstance(getattr(wanted, "numpy_dtype", None), np.dtype)
    if narrow and column.dtype.kind in NUMBERS and not (made == plain)[plain.notna()].all():
        return plain
    return made


def _widened(
    pandas: Any, wanted: Any, column: np.ndarray, known: tuple[Category, ...] | None
) -> Any:
    """A categorical type that holds the entries, for pandas makes others NaN without a word."""
    declared = wanted.categories.tolist()
    written = {one for one in column.tolist() if not is_missing(one)}
    lacking = written.difference(declared)
    if not lacking:
        return wanted
    if known is None:  # numbers, of which a type that lists some can't list all
        return column.dtype
    # Where the order of both is one, the new ones have their places in it; else there is no order.
    joined = [one for one in known if one in lacking or one in declared]
    if wanted.ordered and [one for one in joined if one in declared] == declared:
        return pandas.CategoricalDtype(joined, ordered=True)
    return pandas.CategoricalDtype([*declared, *(one for one in known if one in lacking)])


def _to_array(column: np.ndarray, wanted: np.dtype | None) -> np.ndarray:
    if column.dtype.kind == "O":
        entries = column.tolist()
        if any(is_missing(one) for one in entries) or (wanted is not None and wanted.kind == "O"):
            return column
        natural = np.array(entries)
        # nor a whole number that float64 can't hold beside one that isn't whole
        if natural.dtype.kind == "f" and natural.tolist() != entries:
            return column
        # numpy would write mixed categories as strings
        if natural.dtype.kind == "U" and not all(isinstance(one, str) for one in entries):
            return column
        return natural.astype(wanted) if _holds(natural, wanted) else natural
    if column.dtype == wanted:
        return column
    return column.astype(wanted) if _holds(column, wanted) else column


def _holds(column: np.ndarray, wanted: np.dtype | None) -> bool:
    if wanted is None or wanted.kind not in NUMBERS or column.dtype.kind not in NUMBERS:
        return False
    if wanted.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            # compared in the type that was given: float64 takes 2**53 + 1 for 2**53
            back = column.astype(wanted).astype(column.dtype)
        return bool(np.all((back == column) | (column != column)))
    limits = np.iinfo(wanted)
    whole = np.isfinite(column).all() and (column == np.round(column)).all()
    return bool(whole and ((column >= limits.min) & (column <= limits.max)).all())
