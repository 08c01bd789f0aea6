"""Frames of polars and Arrow, read and written through narwhals; and which kind a frame is of.

narwhals is imported where such a frame has been given, and imports none of their libraries itself.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxcf.data.written_numbers import EXACT
from jaxcf.tabular.columns import Category, Column, Numeric, Ordinal, is_missing

Frame = Any
"""A DataFrame of polars, a Table of Arrow, or what else narwhals knows that isn't lazy."""

# Whose frames come back from files.
_LIBRARIES = ("pandas", "polars", "pyarrow")

_FRAME = "frame"

_NUMBERS = "iuf"


def is_other_frame(table: Any) -> bool:
    """Whether a table is a frame of another library than pandas.

    Examples:
        >>> import pyarrow
        >>> is_other_frame(pyarrow.table({"age": [30]})), is_other_frame({"age": [30]})
        (True, False)
    """
    if isinstance(table, (Mapping, Sequence, np.ndarray)) or is_pandas(table):
        return False
    # Nobody's frame: not worth an import.
    if type(table).__module__.partition(".")[0] in ("builtins", "jaxlib"):
        return False
    return bool(_narwhals().dependencies.is_into_dataframe(table))


def is_pandas(table: Any) -> bool:
    """Whether a table is a DataFrame of pandas, which is never imported for it."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(table, pandas.DataFrame)


def _narwhals() -> Any:
    import narwhals.stable.v2 as narwhals

    return narwhals


def _wrapped(frame: Frame) -> Any:
    return _narwhals().from_native(frame, eager_only=True)


def as_pandas(frame: Frame) -> Any:
    """A frame as a DataFrame of pandas, which must be installed."""
    return _wrapped(frame).to_pandas()


def names_of(frame: Frame) -> list[str]:
    """The names of a frame's columns, those that stand there twice as well."""
    # Columns themselves, and not their names, are what Arrow means by the other word.
    names = getattr(frame, "column_names", None)
    return list(map(str, frame.columns if names is None else names))


def columns_of(frame: Frame, names: Sequence[str]) -> Frame:
    """The same frame with some of its columns, in the order of the names."""
    return _wrapped(frame).select(list(names)).to_native()


def rows_of(frame: Frame, rows: slice | np.ndarray) -> Frame:
    """The same frame with some of its rows: a slice, or their numbers."""
    return _wrapped(frame)[rows].to_native()


def read_column(frame: Frame, name: str) -> tuple[np.ndarray, tuple[Category, ...] | None]:
    """One column as an array, and the categories that it declares.

    Args:
        frame: of any library.
        name: of the column.

    Returns:
        `[n]`, of numbers or booleans, or of objects with None for what is missing; the categories
        of a polars Enum or an Arrow dictionary, else None.

    Examples:
        >>> import pyarrow
        >>> frame = pyarrow.table({"age": [30, None], "job": ["clerk", None]})
        >>> read_column(frame, "age")[0].tolist(), read_column(frame, "job")[0].tolist()
        ([30.0, nan], ['clerk', None])
    """
    narwhals, series = _narwhals(), _wrapped(frame).get_column(name)
    kind, declared = series.dtype, None
    gaps = kind.is_integer() and series.null_count() > 0
    # Beside NaN whole numbers are float64, which doesn't hold all of them.
    large = gaps and max(abs(series.min() or 0), abs(series.max() or 0)) > EXACT
    if kind.is_float() or (gaps and not large):
        narrow = kind == narwhals.Float32
        array = series.cast(kind if narrow else narwhals.Float64).to_numpy()
        return np.asarray(array, np.float32 if narrow else np.float64), None
    whole = (kind.is_integer() and not large) or kind.is_temporal()
    if whole or (kind == narwhals.Boolean and not series.null_count()):
        return np.asarray(series.to_numpy()), None
    # Polars' Categorical declares nothing: its categories are those that happen to be there.
    if kind == narwhals.Enum or (kind == narwhals.Categorical and not _is_polars(series)):
        declared = tuple(series.cat.get_categories().to_list())
    array = np.empty(len(series), object)
    for place, entry in enumerate(series.to_list()):
        array[place] = entry
    return array, declared


def _is_polars(wrapped: Any) -> bool:
    return wrapped.implementation.is_polars()


def column_types(frame: Frame) -> dict[str, np.dtype]:
    """The type in numpy of each column of numbers or booleans; objects for the others."""
    schema = _wrapped(frame).schema
    return {name: _numpy_type(kind) for name, kind in schema.items()}


def _numpy_type(kind: Any) -> np.dtype:
    if kind.is_integer() or kind.is_float():
        try:
            return np.dtype(str(kind).lower())
        except TypeError:  # 128 bits
            return np.dtype(object)
    return np.dtype(bool if str(kind) == "Boolean" else object)


def write_frame(
    columns: Mapping[str, np.ndarray],
    like: Frame,
    categories: Mapping[str, tuple[Category, ...]],
) -> Frame:
    """A frame of the same library and column types as another.

    Args:
        columns: numbers, or objects with None where something is missing.
        like: whose types are kept where they hold the entries.
        categories: of the columns that have some, in order: a polars Enum that lacks one that is
            written is widened by it.

    Returns:
        The frame.

    Examples:
        >>> import pyarrow
        >>> like = pyarrow.table({"age": pyarrow.array([30], pyarrow.int16())})
        >>> written = write_frame({"age": np.array([31.0, np.nan])}, like, {})
        >>> written.schema.field("age").type, written["age"].to_pylist()
        (DataType(int16), [31, None])
    """
    wrapped = _wrapped(like)
    written = _joined(
        [
            _series(
                name,
                column,
                wrapped.get_column(name) if name in wrapped.columns else None,
                categories.get(name, ()),
                wrapped.implementation,
            )
            for name, column in columns.items()
        ]
    )
    frame = written.to_native()
    if not wrapped.implementation.is_pyarrow():
        return frame
    # narwhals has one type of texts and one of dictionaries, Arrow several.
    for place, name in enumerate(columns):
        if name in wrapped.columns and written.schema[name] == wrapped.schema[name]:
            field = like.schema.field(name)
            declared = read_column(like, name)[1]
            if declared is None:
                column = frame[name].cast(field.type)
            else:
                column = _dictionary(frame[name].to_pylist(), declared, field.type)
            frame = frame.set_column(place, field.with_type(column.type), column)
    return frame


def _dictionary(entries: list[Any], declared: tuple[Category, ...], kind: Any) -> Any:
    """A column of Arrow with the categories of another in their places, and new ones behind."""
    pyarrow = sys.modules["pyarrow"]
    categories = list(dict.fromkeys([*declared, *(one for one in entries if one is not None)]))
    places = {one: place for place, one in enumerate(categories)}
    numbers = [None if one is None else places[one] for one in entries]
    try:
        indices = pyarrow.array(numbers, kind.index_type)
    except pyarrow.ArrowInvalid:  # more categories than that type counts
        indices = pyarrow.array(numbers, pyarrow.int32())
    values = pyarrow.array(categories, kind.value_type)
    return pyarrow.DictionaryArray.from_arrays(indices, values, ordered=kind.ordered)


def _joined(columns: list[Any]) -> Any:
    # Not from_dict, which makes a polars Enum a Categorical.
    return columns[0].to_frame().with_columns(*columns[1:])


def _series(
    name: str, column: np.ndarray, given: Any, categories: tuple[Category, ...], backend: Any
) -> Any:
    narwhals = _narwhals()
    kind: Any = None if given is None else given.dtype
    gaps = np.array([is_missing(one) for one in column.tolist()], bool)
    if given is not None and column.dtype.kind in _NUMBERS and kind.is_float():
        # Whoever has NaN for what is missing gets NaN.
        gaps &= given.null_count() > 0
    entries: list[Any] = [
        None if gap else one for one, gap in zip(column.tolist(), gaps.tolist(), strict=True)
    ]
    if kind is not None and kind.is_integer():
        present = [one for one in entries if one is not None]
        if all(float(one).is_integer() for one in present):
            entries = [None if one is None else int(one) for one in entries]
    if kind is not None and kind == narwhals.Enum:
        declared = list(kind.categories)
        written = {one for one in entries if one is not None}.difference(declared)
        kind = narwhals.Enum([*declared, *(one for one in categories if one in written)])
    if kind == narwhals.Float32 and column.dtype.kind in _NUMBERS:
        with np.errstate(over="ignore"):
            back = column.astype(np.float32).astype(column.dtype)
        if not ((back == column) | (column != column)).all():
            kind = narwhals.Float64
    try:
        made = narwhals.new_series(name, entries, kind, backend=backend)
        if made.to_list() == entries or kind is None or not kind.is_integer():
            return made
    except Exception:  # each library has errors of its own for what a type doesn't hold
        pass
    return _natural_series(name, entries, backend)


def _natural_series(name: str, entries: list[Any], backend: Any) -> Any:
    """A column whose type follows from its entries; texts, where they are of several kinds."""
    plain = [one.item() if isinstance(one, np.generic) else one for one in entries]
    kinds = {type(one) for one in plain if one is not None}
    if kinds == {int, float}:
        plain = [None if one is None else float(one) for one in plain]
    elif len(kinds) > 1:
        # those of numpy's own, which write a float32 by as many digits as it has
        plain = [None if one is None else str(one) for one in entries]
    return _narwhals().new_series(name, plain, backend=backend)


def plain_frame(columns: Mapping[str, list[Any]], like: Frame) -> Frame:
    """A frame of the same library as another, whose types follow from the entries."""
    backend = _wrapped(like).implementation
    return _joined(
        [_natural_series(name, entries, backend) for name, entries in columns.items()]
    ).to_native()


# --- in files ----------------------------------------------------------------------------


@dataclass(frozen=True)
class FrameKind:
    """The library of a frame and the types of its columns, as a file remembers them.

    Args:
        library: "pandas", "polars" or "pyarrow".
        types: the name of each column's type, in the words of the library.
    """

    library: str
    types: tuple[tuple[str, str], ...]

    def empty(self, columns: Sequence[Column]) -> Frame | None:
        """A frame of this kind without rows; None where the library isn't installed.

        Args:
            columns: of the schema, whose categories are those of the frame.
        """
        known = {column.name: column for column in columns}
        made = {"pandas": _empty_pandas, "polars": _empty_polars, "pyarrow": _empty_arrow}
        try:
            return made[self.library]({name: (kind, known[name]) for name, kind in self.types})
        except ImportError:
            return None


def kind_of(table: Any, names: Sequence[str]) -> FrameKind | None:
    """The kind of a frame that files remember; None of mappings, arrays and other frames.

    Args:
        table: any table.
        names: of the columns that count.
    """
    if isinstance(table, FrameKind):
        return table
    if is_pandas(table):
        types = {str(name): str(kind) for name, kind in table.dtypes.items()}
        library = "pandas"
    elif is_other_frame(table):
        library = str(_wrapped(table).implementation.value)
        if library == "pyarrow":
            types = {field.name: str(field.type) for field in table.schema}
        else:
            types = {name: type(kind).__name__ for name, kind in _wrapped(table).schema.items()}
    else:
        return None
    if library not in _LIBRARIES:
        return None
    return FrameKind(library, tuple((name, types[name]) for name in names if name in types))


def describe_frame(table: Any, names: Sequence[str]) -> dict[str, Any]:
    """What a file says of the kind of frame that was given; nothing of other tables.

    Args:
        table: that was given, or its kind.
        names: of the columns that count.

    Examples:
        >>> import pyarrow
        >>> describe_frame(pyarrow.table({"age": [30]}), ["age"])
        {'frame': {'library': 'pyarrow', 'types': {'age': 'int64'}}}
    """
    kind = kind_of(table, names)
    return {} if kind is None else {_FRAME: {"library": kind.library, "types": dict(kind.types)}}


def read_frame(described: Mapping[str, Any], names: Sequence[str]) -> FrameKind | None:
    """The kind of frame that a file speaks of, if it does.

    Args:
        described: what the file says.
        names: of the columns that there are.

    Raises:
        ValueError: if that is no kind of frame.
    """
    given = described.get(_FRAME)
    if given is None:
        return None
    fields: dict[str, Any] = given if isinstance(given, dict) else {}
    library, given_types = fields.get("library"), fields.get("types")
    types: dict[str, Any] = given_types if isinstance(given_types, dict) else {"": None}
    texts = all(isinstance(one, str) for one in types.values())
    if library not in _LIBRARIES or not texts or not set(types) <= set(names):
        raise ValueError(
            f"{_FRAME} is {given!r}; expected one of {', '.join(_LIBRARIES)}, and types of columns"
        )
    return FrameKind(library, tuple(types.items()))


_Described = Mapping[str, tuple[str, Column]]


def _empty_pandas(described: _Described) -> Frame:
    import pandas

    def type_of(kind: str, column: Column) -> Any:
        if kind == "category" and not isinstance(column, Numeric):
            ordered = isinstance(column, Ordinal)
            return pandas.CategoricalDtype(list(column.categories), ordered=ordered)
        try:
            return pandas.api.types.pandas_dtype(kind)
        except TypeError:  # a type of another version, or of a library beside it
            return object

    return pandas.DataFrame(
        {name: pandas.Series([], dtype=type_of(*one)) for name, one in described.items()}
    )


# Other types of polars hold no column that a schema has.
_POLARS = ("Categorical", "String", "Boolean", "Float32", "Float64", *(
    f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)
))  # fmt: skip


def _empty_polars(described: _Described) -> Frame:
    import polars  # pyright: ignore[reportMissingImports]  (nobody needs it to be there)

    def type_of(kind: str, column: Column) -> Any:
        if kind == "Enum" and not isinstance(column, Numeric):
            return polars.Enum([str(one) for one in column.categories])
        return getattr(polars, kind) if kind in _POLARS else None

    return polars.DataFrame(
        [polars.Series(name, [], dtype=type_of(*one)) for name, one in described.items()]
    )


def _empty_arrow(described: _Described) -> Frame:
    import pyarrow

    def column_of(kind: str, column: Column) -> Any:
        if kind.startswith("dictionary") and not isinstance(column, Numeric):
            none = pyarrow.array([], pyarrow.int32())
            return pyarrow.DictionaryArray.from_arrays(none, list(column.categories))
        try:
            return pyarrow.array([], pyarrow.type_for_alias(kind))
        except ValueError:
            return pyarrow.array([], pyarrow.string())

    return pyarrow.table({name: column_of(*one) for name, one in described.items()})
