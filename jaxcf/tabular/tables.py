"""Tables as people have them: frames of pandas, polars or Arrow, or a mapping of columns.

No library of frames is imported here: where it isn't loaded, no table can be one of its.
"""

import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

from jaxcf.data.written_numbers import EXACT, is_number_text
from jaxcf.tabular import frames
from jaxcf.tabular.columns import Category, is_missing

# A frame of pandas, polars or Arrow (not named, for only Arrow is always there), a mapping, or an
# array of model input.
Table = Any

# What the caller calls the rows, one label each: a pandas Index, or an array.
Labels = Any

NUMBERS = "iuf"
"""The kinds of numpy's types that hold numbers."""

_NAMES = "bUO"


class Entries(NamedTuple):
    """One column as it was given.

    Attributes:
        entries: `[n]`, of numbers, booleans, strings or objects.
        categories: Those a categorical column of a frame declares, else None.
        ordered: Whether it declares an order.
    """

    entries: np.ndarray
    categories: tuple[Category, ...] | None = None
    ordered: bool = False

    @property
    def is_number(self) -> bool:
        """Whether the column holds numbers, by its type or one and all as objects."""
        if self.categories is not None:
            return False
        if self.entries.dtype.kind != "O":
            return self.entries.dtype.kind in NUMBERS
        # True is a number to Python, and none to those who write it.
        truths = (bool, np.bool_)
        kinds = self._kinds
        return bool(kinds) and all(
            issubclass(one, (Real, Decimal)) and not issubclass(one, truths) for one in kinds
        )

    @property
    def is_decimal(self) -> bool:
        """Whether the column holds decimals of Python's, as databases give amounts of money."""
        return self.entries.dtype.kind == "O" and self._kinds == {Decimal}

    @property
    def _kinds(self) -> set[type]:
        return {type(one) for one in self.entries.tolist() if not is_missing(one)}

    def as_list(self) -> list[Any]:
        """The entries as Python objects."""
        return [one.item() if isinstance(one, np.generic) else one for one in self.entries.tolist()]

    def missing(self) -> np.ndarray:
        """Which entries stand for nothing, `[n]`."""
        if self.entries.dtype.kind == "f":
            return np.isnan(self.entries)
        if self.entries.dtype.kind != "O":
            return np.zeros(len(self.entries), bool)
        return np.array([is_missing(one) for one in self.entries.tolist()], bool)


class OwnCells(NamedTuple):
    """Cells of rows to be written that are cells of a table that was given.

    Attributes:
        table: That was given.
        rows: `[n]`, its row for each row to be written.
        kept: `[n, columns]`, which cells are its own.
    """

    table: Table
    rows: np.ndarray
    kept: np.ndarray


def is_frame(table: Table) -> bool:
    """Whether a table is a frame of any library."""
    return frames.is_pandas(table) or frames.is_other_frame(table)


def read_columns(table: Table, names: Sequence[str] | None = None) -> dict[str, Entries]:
    """The columns of a table by name.

    Args:
        table: A frame or a mapping from names to columns.
        names: Those wanted, all of them if None; a table may hold others too.

    Returns:
        One entry per column, in the order of `names` or of the table.

    Raises:
        TypeError: If the table is of another kind or a column holds neither numbers nor names.
        ValueError: If names are repeated or missing, or columns differ in length.

    Examples:
        >>> read_columns({"age": [30, 40]})["age"].is_number
        True
    """
    if frames.is_pandas(table):
        given = [(str(name), table.iloc[:, place]) for place, name in enumerate(table.columns)]
    elif isinstance(table, Mapping):
        given = [(str(name), column) for name, column in table.items()]
    elif frames.is_other_frame(table):
        given = [(name, None) for name in frames.names_of(table)]
    else:
        kind, hint = type(table).__name__, ""
        if hasattr(table, "to_pandas"):
            # Frames of other libraries have the same name.
            kind = f"{type(table).__module__.partition('.')[0]} {kind}"
            hint = "; pass table.to_pandas()"
        elif hasattr(table, "collect"):
            hint = "; pass table.collect()"
        raise TypeError(
            f"the table is a {kind}; expected a frame of pandas, polars or Arrow, or a mapping "
            f"from column names to columns{hint}"
        )
    all_names = [name for name, _ in given]
    repeated = sorted({name for name in all_names if all_names.count(name) > 1})
    if repeated:
        raise ValueError(
            f"the table has more than one column named {', '.join(map(repr, repeated))}; expected "
            "each name once: rename or drop the others"
        )
    wanted = all_names if names is None else list(names)
    lacking = [name for name in wanted if name not in all_names]
    if lacking:
        raise ValueError(
            f"the table lacks the columns {', '.join(map(repr, lacking))}; it has "
            f"{', '.join(map(repr, all_names))}"
        )
    columns = dict(given)
    if frames.is_other_frame(table):
        read = {name: _checked(name, Entries(*frames.read_column(table, name))) for name in wanted}
    else:
        read = {name: read_entries(name, columns[name]) for name in wanted}
    lengths = {name: len(one.entries) for name, one in read.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name!r}: {length}" for name, length in lengths.items())
        raise ValueError(f"the columns differ in length ({shown}); expected one entry per row")
    return read


def with_columns(table: Table, names: Sequence[str]) -> Table:
    """A table of the same kind with some of its columns, in the order of the names.

    Args:
        table: A frame or a mapping.
        names: Of columns that it has.

    Examples:
        >>> with_columns({"age": [30], "pay": [9.5], "job": ["clerk"]}, ["job", "age"])
        {'job': ['clerk'], 'age': [30]}
    """
    if frames.is_pandas(table):
        all_names = [str(name) for name in table.columns]
        if all_names == list(names):
            return table
        return table.iloc[:, [all_names.index(name) for name in names]]
    if frames.is_other_frame(table):
        return frames.columns_of(table, names)
    given = {str(name): column for name, column in table.items()}
    return {name: given[name] for name in names}


def with_rows(table: Table, rows: slice | np.ndarray) -> Table:
    """A table of the same kind with some of its rows.

    Args:
        table: A frame, or a mapping from names to columns.
        rows: Which: a slice, or the numbers of rows.

    Examples:
        >>> with_rows({"age": np.array([30, 40, 50])}, np.array([2, 0]))["age"].tolist()
        [50, 30]
    """
    if frames.is_pandas(table):
        return table.iloc[rows]
    if frames.is_other_frame(table):
        return frames.rows_of(table, rows)
    if isinstance(rows, slice):
        return {name: column[rows] for name, column in table.items()}
    return {name: read_entries(name, column).entries[rows] for name, column in table.items()}


def example_of(table: Table) -> Table:
    """A few rows of a table after which others can be written as well as after all of it.

    Args:
        table: A frame, or a mapping from names to columns.

    Returns:
        A table of the same kind with the same column types; lists, whose type goes by all of their
        entries, are left as they are.

    Examples:
        >>> table = {"old": np.array([30, 40, None, None, 50], object), "pay": np.arange(5)}
        >>> {name: column.tolist() for name, column in example_of(table).items()}
        {'old': [30, None], 'pay': [0, 2]}
    """
    if frames.is_pandas(table):
        columns = [table.iloc[:, place] for place in range(table.shape[1])]
    elif isinstance(table, Mapping) and all(hasattr(one, "dtype") for one in table.values()):
        columns = list(table.values())
    else:
        return table
    shown = {0}
    for column in columns:
        if column.dtype == np.dtype(object):  # the first entry of each kind, as what follows asks
            first: dict[tuple[bool, bool], int] = {}
            for place, entry in enumerate(column):
                first.setdefault((is_missing(entry), isinstance(entry, Integral)), place)
            shown.update(first.values())
    return with_rows(table, np.array(sorted(shown)))


def read_entries(name: str, column: Any) -> Entries:
    """One column of a mapping or a pandas DataFrame.

    Args:
        name: For messages.
        column: An array, a sequence or a Series.

    Raises:
        TypeError: If it holds what is neither numbers, booleans nor names.
        ValueError: If it has more than one entry per row.
    """
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(column, (pandas.Categorical, pandas.CategoricalIndex)):
        column = pandas.Series(column)
    if pandas is not None and isinstance(column, pandas.Series):
        entries = _from_series(pandas, column)
    else:
        entries = Entries(_from_sequence(column))
    return _checked(name, entries)


def _checked(name: str, entries: Entries) -> Entries:
    array = entries.entries
    if array.ndim != 1:
        raise ValueError(
            f"column {name!r} has shape {array.shape}; expected one entry per row, [n]"
        )
    if array.dtype.kind not in NUMBERS + _NAMES:
        raise TypeError(
            f"column {name!r} has dtype {array.dtype}; expected numbers, booleans or names of "
            "categories: convert it first, dates to numbers such as days since the first"
        )
    return entries


def _from_series(pandas: Any, column: Any) -> Entries:
    if isinstance(column.dtype, pandas.CategoricalDtype):
        categories = tuple(column.dtype.categories.tolist())
        return Entries(column.to_numpy(object), categories, bool(column.dtype.ordered))
    if isinstance(column.dtype, np.dtype):
        return Entries(column.to_numpy())
    types = pandas.api.types
    if types.is_numeric_dtype(column.dtype) and not types.is_bool_dtype(column.dtype):
        own = getattr(column.dtype, "numpy_dtype", None)
        if own == np.dtype(object):  # Arrow's decimals
            return Entries(column.to_numpy(object, na_value=None))
        kind = own if isinstance(own, np.dtype) and own.kind in NUMBERS else np.dtype(np.float64)
        if kind.kind == "f":
            return Entries(column.to_numpy(kind, na_value=np.nan))
        if not column.isna().any():
            return Entries(column.to_numpy(kind))
        if max(abs(int(column.min())), abs(int(column.max()))) > EXACT:  # as NaN's beside them
            return Entries(column.to_numpy(object, na_value=None))
        return Entries(column.to_numpy(np.float64, na_value=np.nan))
    if types.is_bool_dtype(column.dtype) and not column.isna().any():
        return Entries(column.to_numpy(bool))
    return Entries(column.to_numpy(object))


def _from_sequence(column: Any) -> np.ndarray:
    try:
        array = np.asarray(column)
    except ValueError:  # a sequence among the entries
        return as_objects(column)
    # numpy writes the NaN of ["a", nan] and the 1 of ["a", 1] as strings
    mixed = array.dtype.kind == "U" and not all(isinstance(one, str) for one in column)
    return as_objects(column) if mixed else array


def as_objects(column: Any) -> np.ndarray:
    """A sequence as an array of objects, whatever its entries are."""
    entries = list(column)
    array = np.empty(len(entries), object)
    for place, entry in enumerate(entries):
        array[place] = entry
    return array


def float_types(table: Table, names: Sequence[str]) -> list[np.dtype | None]:
    """For each column of a table its type, where that is of floats that hold less than float64.

    Examples:
        >>> float_types({"a": np.zeros(2, np.float32), "b": [0.5, 1]}, ["a", "b"])
        [dtype('float32'), None]
    """
    given = column_types(table)
    if given is None:
        return [None] * len(names)
    # pandas' own types of numbers name numpy's
    types = [getattr(given[name], "numpy_dtype", given[name]) for name in names]
    return [
        one if isinstance(one, np.dtype) and one.kind == "f" and one.itemsize < 8 else None
        for one in types
    ]


def column_types(table: Table) -> dict[str, Any] | None:
    """The type of each column of a table, None where it has none; None for an array."""
    if frames.is_pandas(table):
        return dict(zip(map(str, table.columns.tolist()), table.dtypes.tolist(), strict=True))
    if frames.is_other_frame(table):
        return frames.column_types(table)
    if isinstance(table, Mapping):
        return {str(name): getattr(column, "dtype", None) for name, column in table.items()}
    return None


def inexact_columns(
    table: Table, names: Sequence[str], values: np.ndarray, kept: np.ndarray
) -> list[str]:
    """The columns of a table that may hold numbers that float64 doesn't, in cells to be kept.

    Args:
        table: A DataFrame or a mapping.
        names: Of its columns.
        values: `[n, columns]`, what is to be written.
        kept: `[n, columns]`, which cells are the table's own.

    Examples:
        >>> given = {"id": np.array([2**53 + 1]), "pay": np.array([9.5])}
        >>> inexact_columns(given, ["id", "pay"], np.array([[2.0**53, 9.5]]), np.ones((1, 2), bool))
        ['id']
    """
    types = column_types(table) or {}
    beyond = np.asarray((kept & (np.abs(values) >= EXACT)).any(axis=0))
    # Objects and lists may hold any number, and some floats more digits.
    return [
        name
        for name, large in zip(names, beyond.tolist(), strict=True)
        if large or getattr(types.get(name), "kind", "O") == "O" or types[name] == np.longdouble
    ]


def with_own_numbers(
    written: np.ndarray, entries: Entries, rows: np.ndarray, kept: np.ndarray
) -> np.ndarray:
    """A column of numbers with the caller's own in place of those that float64 can't hold.

    Args:
        written: `[n]`, what is to be written.
        entries: The column that was given.
        rows: `[n]`, its entry for each.
        kept: `[n]`, which entries are its own.

    Returns:
        `[n]`; objects where no type of numpy holds them all.

    Examples:
        >>> given = Entries(np.array([2**53 + 1, 7]))
        >>> with_own_numbers(np.array([2.0**53, 8.0]), given, np.arange(2), np.array([True, False]))
        array([9007199254740993,                8])
    """
    own = entries.entries[rows]
    if own.dtype.kind in "iu":
        lost = kept & ((own > EXACT) | (own < -EXACT))
    elif own.dtype.kind == "O":
        lost = kept & np.array([isinstance(one, (Real, Decimal)) for one in own], bool)
    elif own.dtype == np.longdouble:
        return np.where(kept, own, written)
    else:
        return written
    decimals = entries.is_decimal
    if not (lost.any() or decimals):
        return written
    exact = np.empty(len(written), object)
    if decimals:
        # as many digits as tell the number from others, not those of its binary fraction
        exact[:] = [one if is_missing(one) else Decimal(repr(one)) for one in written.tolist()]
    elif all(isinstance(one, Integral) for one in own[lost]):
        exact[:] = [int(one) if float(one).is_integer() else one for one in written.tolist()]
    else:
        exact[:] = written.tolist()
    exact[lost] = own[lost].tolist()
    kind = entries.entries.dtype
    whole = kind.kind in "iu" and all(isinstance(one, int) for one in exact)
    limits = np.iinfo(kind) if whole else None
    if limits is not None and all(limits.min <= one <= limits.max for one in exact):
        return exact.astype(kind)
    return exact


def labels_of(table: Table) -> Labels | None:
    """What a table calls its rows: the index of a pandas DataFrame; None for other tables."""
    return table.index if frames.is_pandas(table) else None


def read_labels(labels: Any) -> Labels:
    """Labels of rows as they can be chosen from: a pandas Index as it is, else an array.

    Raises:
        ValueError: If there isn't one per row.

    Examples:
        >>> read_labels(["a", 1]).tolist()
        ['a', 1]
    """
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(labels, pandas.Index):
        return labels
    array = _from_sequence(labels)
    if array.ndim != 1:
        raise ValueError(f"labels have shape {array.shape}; expected one label per row, [n]")
    return array


def plain_labels(labels: Labels | None) -> np.ndarray | None:
    """Labels as an array of strings or of whole numbers; None where they are anything else.

    Examples:
        >>> plain_labels(np.array(["a", "b"], object)).dtype.kind, plain_labels([0.5])
        ('U', None)
    """
    array = np.asarray([] if labels is None else labels)
    if array.dtype.kind == "O" and array.ndim == 1 and all(isinstance(one, str) for one in array):
        array = array.astype(str)
    return array if labels is not None and array.dtype.kind in "iuU" else None


def as_numbers(entries: Entries) -> np.ndarray:
    """A column's entries as float64; NaN where one is no finite number."""
    if entries.entries.dtype.kind in NUMBERS + "b":
        numbers = entries.entries.astype(np.float64)
    else:
        numbers = np.array([_as_number(one) for one in entries.as_list()], np.float64)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _as_number(entry: Any) -> float:
    if isinstance(entry, str):  # to Python 18_25 is a number, too
        return float(entry) if is_number_text(entry) else np.nan
    try:
        return float(entry)
    except (TypeError, ValueError):
        return np.nan


def as_indices(entries: Entries, categories: tuple[Category, ...]) -> np.ndarray:
    """The index of each entry among the categories as float64; NaN where it is none of them."""
    index: dict[Any, float] = {one: float(place) for place, one in enumerate(categories)}
    return np.array([_look_up(index, one) for one in entries.as_list()], np.float64)


def _look_up(index: dict[Any, float], entry: Any) -> float:
    try:
        return index.get(entry, np.nan)
    except TypeError:  # what can't be hashed, such as a list, is no category
        return np.nan
