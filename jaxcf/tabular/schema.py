"""The description of a table, and the ways between the table, its values and the model input.

A table holds original units and category names. Its values are float64 `[n, columns]`: the number
of a numeric column, the index of the category of any other; NaN where an entry is missing or
unseen. The model input is float32 `[n, width]`, as the explained model takes it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

import numpy as np
from jaxtyping import Bool, Float, Float32, Shaped

from jaxcf.tabular.columns import (
    CategoricalEncoding,
    Category,
    Column,
    Numeric,
    Scaling,
    input_width,
    is_block,
    is_constant,
)
from jaxcf.tabular.inference import (
    Categories,
    Positions,
    check_present,
    describe_encoded,
    infer_columns,
)
from jaxcf.tabular.notes import column_notes, described
from jaxcf.tabular.tables import (
    Labels,
    OwnCells,
    Table,
    as_indices,
    as_numbers,
    inexact_columns,
    read_columns,
    with_own_numbers,
)
from jaxcf.tabular.values import (
    check_values,
    decode_input,
    describe_problem,
    encode_values,
    entries_of,
)
from jaxcf.tabular.written_tables import write_columns


@dataclass(frozen=True)
class Schema:
    """The columns of a table and how the explained model takes them.

    Build one from training rows with `Schema.infer`, from an encoded array with
    `Schema.from_encoded`, or by hand.

    Args:
        columns: `Numeric`, `Ordinal` or `Categorical`, in the order of the values.
        scaling: What the model takes for numeric columns: "unit" (0 to 1 over the training rows),
            "standard" (z-scores) or "original" units.
        layout: For each column the positions of its entries in the model input; None for one
            column after the other.

    Raises:
        ValueError: If there is no column, a name is repeated, the scaling is unknown or lacks the
            mean and deviation it needs, or the layout doesn't give every position once.

    Examples:
        >>> from jaxcf.tabular import Categorical, Numeric
        >>> schema = Schema((Numeric("age", 20, 60, 1.0), Categorical("job", ("clerk", "sailor"))))
        >>> values = schema.read({"age": [30, 60], "job": ["sailor", "clerk"]})
        >>> schema.width
        3
        >>> schema.encode(values).tolist()
        [[0.25, 0.0, 1.0], [1.0, 1.0, 0.0]]
    """

    columns: tuple[Column, ...]
    scaling: Scaling = "unit"
    layout: tuple[tuple[int, ...], ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(self.columns))
        repeated = sorted({name for name in self.names if self.names.count(name) > 1})
        if not self.columns or repeated:
            raise ValueError(
                f"the schema has {len(self.columns)} columns and repeats the names {repeated}; "
                "expected one or more columns, each name once"
            )
        if self.scaling not in get_args(Scaling):
            raise ValueError(
                f"scaling={self.scaling!r} is unknown; expected one of "
                f"{', '.join(get_args(Scaling))}"
            )
        for column in self.columns:
            if isinstance(column, Numeric):
                column.shift_and_scale(self.scaling)
        self._check_layout()

    def _check_layout(self) -> None:
        if self.layout is None:
            return
        layout = tuple(tuple(int(place) for place in places) for places in self.layout)
        object.__setattr__(self, "layout", layout)
        widths = [input_width(column) for column in self.columns]
        given = [len(places) for places in layout]
        places = sorted(place for one in layout for place in one)
        if given != widths or places != list(range(sum(widths))):
            raise ValueError(
                f"the layout gives the columns {given} positions, {places}; expected {widths}, "
                f"each of 0 to {sum(widths) - 1} once"
            )

    @classmethod
    def infer(
        cls,
        table: Table,
        *,
        ordinal: Mapping[str, Sequence[Category]] | None = None,
        categorical: Iterable[str] = (),
        decimals: Mapping[str, int | None] | None = None,
        special: Mapping[str, Collection[float]] | None = None,
        encoding: CategoricalEncoding = "one-hot",
        scaling: Scaling = "unit",
        keep_missing: bool = False,
    ) -> "Schema":
        """Find the columns from the training rows.

        The rules: numbers are numeric, in a column of objects, too, and stay whole, or keep to as
        many decimals as all training rows have at most; strings, booleans and
        other objects are categorical, their categories sorted; a categorical column of a frame
        is categorical with the categories it declares, and ordinal where pandas declares an order.
        A constant column stays, with coordinate 0, and can't change (`constant`). Text that is
        meant as dates or numbers ("2020-01-05", "1,200.50", "50%") is refused unless it is named
        categorical or ordinal; None, NaN and what pandas has for it are missing.

        Args:
            table: A frame of pandas, polars or Arrow, or a mapping from names to columns, without
                the label.
            ordinal: Names of ordinal columns, with their categories in order.
            categorical: Names of columns that are categorical whatever they hold.
            decimals: How many decimals the numbers of some columns have, where not those of the
                training rows: 0 for whole numbers, None for any number.
            special: Codes of some columns of numbers that stand for something else, such as
                `{"months": [-8]}` for "never", see `Numeric`; a code may be replaced by the median.
            encoding: What the model takes for categorical columns, "one-hot", "drop-first" (without
                an entry for the first category, as `get_dummies(drop_first=True)`) or "label".
            scaling: What it takes for numeric ones, "unit", "standard" or "original".
            keep_missing: Whether entries may be missing, for a model of the table itself that fills
                them in.

        Returns:
            The schema, in the column order of the table.

        Raises:
            ValueError: If a column name is repeated, entries are missing (the message names all
                columns), a column has over 500 categories or text that is meant as dates or
                numbers, or `ordinal`, `categorical`, `decimals` or `special` doesn't fit the
                table.
            TypeError: If the table is of another kind, or a column holds neither numbers nor names.

        Examples:
            >>> schema = Schema.infer({"age": [20, 60], "pay": [1.5, 2.0], "job": ["b", "a"]})
            >>> [type(column).__name__ for column in schema.columns]
            ['Numeric', 'Numeric', 'Categorical']
            >>> [column.decimals for column in schema.columns[:2]]
            [0, 1]
        """
        columns = infer_columns(
            table,
            ordinal=ordinal or {},
            categorical=categorical,
            decimals=decimals or {},
            special=special or {},
            encoding=encoding,
            keep_missing=keep_missing,
        )
        return cls(columns, scaling)

    @classmethod
    def from_encoded(
        cls,
        x: Shaped[np.ndarray, "n width"],
        names: Sequence[str] | None = None,
        *,
        one_hot: Mapping[str, Positions] | None = None,
        label_encoded: Mapping[str, Categories] | None = None,
        ordinal: Mapping[str, Categories] | None = None,
        integer: Iterable[str] = (),
        drop_first: Mapping[str, Category] | None = None,
        decimals: Mapping[str, int | None] | None = None,
    ) -> "Schema":
        """Describe an array that is encoded already, as the model takes it.

        `encode` gives the same layout back, numbers in the units of the array. The categories of a
        block are named after its positions, without the block's name if they all start with it.
        Numbers stay whole, or keep to as many decimals as all training rows have at most.

        Args:
            x: Training rows `[n, width]`.
            names: One name per position; None for column_0, column_1, ...
            one_hot: The name of each one-hot block and its positions, a slice or indices.
            label_encoded: The name of each column of labels 0, 1, 2, ... and how many there are, or
                the names of the categories.
            ordinal: The same for columns of ranks 0, 1, 2, ..., whose categories have an order.
            integer: Names of columns that are to be whole even where training rows aren't.
            drop_first: The names of the categories that blocks leave out, by block: that of a row
                with 0 everywhere, as `get_dummies(drop_first=True)` makes.
            decimals: How many decimals the numbers of some columns have, where not those of the
                training rows; None for any number.

        Returns:
            The schema; its columns are in the order of their first positions.

        Raises:
            ValueError: If a training row's block isn't one-hot, a code is none of the categories, a
                number is missing, or names or positions don't fit the array.

        Examples:
            >>> x = np.array([[30.0, 1, 0], [40.0, 0, 1]])
            >>> schema = Schema.from_encoded(x, ["age", "job_a", "job_b"], one_hot={"job": [1, 2]})
            >>> schema.read(x).tolist()
            [[30.0, 0.0], [40.0, 1.0]]
            >>> dummies = Schema.from_encoded(
            ...     x[:, :2], ["age", "job_a"], one_hot={"job": [1]}, drop_first={"job": "b"})
            >>> dummies.columns[1].categories, dummies.read(x[:, :2]).tolist()
            (('b', 'a'), [[30.0, 1.0], [40.0, 0.0]])
        """
        columns, layout = describe_encoded(
            x,
            names,
            one_hot or {},
            label_encoded or {},
            ordinal or {},
            integer,
            drop_first or {},
            decimals or {},
        )
        schema = cls(columns, "original", layout)
        bad = np.isnan(schema.read(np.asarray(x))).sum(axis=0)
        for column, count in zip(columns, bad, strict=True):
            if count:
                what = "a known code"
                if is_block(column):
                    what = "a block with one 1 and else 0 (all 0 where drop_first names it)"
                raise ValueError(
                    f"column {column.name!r} holds something else in {count} of {len(x)} training "
                    f"rows; expected {what}: correct or drop those rows"
                )
        return schema

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The name of each column."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.names)}

    @cached_property
    def positions(self) -> tuple[tuple[int, ...], ...]:
        """For each column the positions of its entries in the model input."""
        if self.layout is not None:
            return self.layout
        ends = np.cumsum([input_width(column) for column in self.columns])
        return tuple(
            tuple(range(int(end) - input_width(column), int(end)))
            for column, end in zip(self.columns, ends, strict=True)
        )

    @property
    def width(self) -> int:
        """The number of entries in one row of model input."""
        return sum(input_width(column) for column in self.columns)

    @property
    def constant(self) -> Bool[np.ndarray, " columns"]:
        """Which columns have one value only, and so can't change."""
        return np.array([is_constant(column) for column in self.columns])

    def special(self, values: Float[np.ndarray, "n columns"]) -> Bool[np.ndarray, "n columns"]:
        """Which values are codes that stand for something else than numbers.

        Examples:
            >>> schema = Schema.infer({"months": [-8, 3, 12]}, special={"months": [-8]})
            >>> schema.special(np.array([[-8.0], [3.0]])).tolist()
            [[True], [False]]
        """
        coded = np.zeros(np.shape(values), bool)
        for place, column in enumerate(self.columns):
            if isinstance(column, Numeric) and column.special:
                coded[:, place] = np.isin(values[:, place], column.special)
        return coded

    def index(self, name: str) -> int:
        """The place of a column among the values.

        Raises:
            ValueError: If there is no column of that name.
        """
        if name not in self._places:
            raise ValueError(
                f"there is no column {name!r}; there are {', '.join(map(repr, self.names))}"
            )
        return self._places[name]

    def summary(self, rules: Iterable[str] = (), table: Table | None = None) -> dict[str, Any]:
        """What each column is taken for, and what is worth a second look.

        Args:
            rules: The names of the columns that rules speak about, such as the rules themselves.
            table: The training rows, to look for numbers that may be codes; None looks for none.

        Returns:
            "columns": a few words for each, by name. "notes": sentences, among them which columns
            are named like what no advice can change (age, sex, birth, id, ...) though nothing
            forbids them to.

        Raises:
            ValueError: As `read` of the table.
            TypeError: Likewise.

        Examples:
            >>> schema = Schema.infer({"age": [20, 60], "pay": [1.5, 2.25]})
            >>> schema.summary()["columns"]
            {'age': 'whole numbers, 20 to 60', 'pay': 'numbers with 2 decimals, 1.5 to 2.25'}
            >>> schema.summary()["notes"], schema.summary({"age": "increases"})["notes"]
            (("nothing forbids this column to change: 'age'",), ())
        """
        words = {column.name: described(column) for column in self.columns}
        values = None if table is None else self.read(table)
        return {"columns": words, "notes": column_notes(self.columns, frozenset(rules), values)}

    def read(self, table: Table) -> Float[np.ndarray, "n columns"]:
        """The values of a table.

        Args:
            table: A frame or mapping, which may hold other columns too, or an array
                `[n, width]` of model input as `encode` makes it.

        Returns:
            Values `[n, columns]`, float64: NaN where an entry is missing, infinite, none of the
            categories, or a block that isn't exactly one-hot; the other entries are unaffected.
            `problems` says why. Numbers may lie outside the range of the training rows.

        Raises:
            ValueError: If a column is lacking or repeated, or the array has another width.
            TypeError: If the table is of another kind.
        """
        if isinstance(table, np.ndarray):
            return decode_input(self.columns, self.positions, self.scaling, table)
        entries = read_columns(table, self.names)
        columns = [
            as_numbers(entries[column.name])
            if isinstance(column, Numeric)
            else as_indices(entries[column.name], column.categories)
            for column in self.columns
        ]
        return np.stack(columns, axis=1)

    def missing(self, table: Table) -> Bool[np.ndarray, "n columns"]:
        """Which entries of a table stand for nothing: None, NaN and what pandas has for it.

        Args:
            table: As `read` takes it. Of an array the entries that are NaN.

        Returns:
            `[n, columns]`; an entry that is there but can't be read isn't missing.

        Raises:
            ValueError: As `read`.
            TypeError: Likewise.

        Examples:
            >>> schema = Schema.infer({"age": [30.0, 40.0], "job": ["clerk", "pilot"]})
            >>> schema.missing({"age": [None, 50.0], "job": ["sailor", None]}).tolist()
            [[True, False], [False, True]]
        """
        if isinstance(table, np.ndarray):
            gaps = np.isnan(np.asarray(table, np.float64))
            return np.stack([gaps[:, list(one)].all(axis=1) for one in self.positions], axis=1)
        entries = read_columns(table, self.names)
        return np.stack([entries[name].missing() for name in self.names], axis=1)

    def read_training(
        self, table: Table, *, keep_missing: bool = False
    ) -> Float[np.ndarray, "n columns"]:
        """The values of training rows, every one of which must be readable.

        Args:
            table: As `read` takes it.
            keep_missing: Whether entries may be missing.

        Raises:
            ValueError: If entries are missing or a row can't be read, besides what `read` raises.
            TypeError: If the table is of another kind.
        """
        values = self.read(table)
        missing = self.missing(table)
        if not keep_missing:
            check_present(dict(zip(self.names, missing.T, strict=True)))
        # Any value that can be read will do in place of what may be missing.
        problems = self.problems(np.where(missing, 0.0, values), table)
        if problems:
            row, message = next(iter(problems.items()))
            raise ValueError(
                f"{len(problems)} of {len(values)} training rows can't be read, the first is row "
                f"{row}: {message}; remove or mend them"
            )
        return values

    def write(
        self,
        values: Float[np.ndarray, "n columns"],
        like: Table | None = None,
        labels: Labels | None = None,
        own: OwnCells | None = None,
    ) -> Table:
        """The table of some values, in original units and with category names.

        Args:
            values: `[n, columns]`.
            like: What kind of table, with what column types: a frame, a mapping or an array of
                model input; None for a dictionary.
            labels: What the rows are called, the index of a DataFrame; None takes that of `like` if
                it has as many rows.
            own: Cells that are to be the caller's own, to the last bit; None writes the values,
                which are float64.

        Returns:
            The table, with the schema's columns only. Integer columns come as integers where every
            entry is whole; NaN becomes NaN in numeric columns and, in others, what `like` has where
            entries are missing, else None. A categorical column of a frame that lacks one of the
            categories gets it.

        Raises:
            ValueError: If the values don't fit the schema.
            TypeError: If `like` is of another kind.
        """
        values = self.checked(values)
        if isinstance(like, np.ndarray):
            encoded = encode_values(self.columns, self.positions, self.scaling, values)
            whole = like.dtype.kind in "iu" and np.array_equal(encoded, np.round(encoded))
            array = encoded.astype(like.dtype if whole or like.dtype.kind == "f" else np.float64)
            if own is not None and isinstance(own.table, np.ndarray):
                for place, places in enumerate(self.positions):
                    cells = np.ix_(own.kept[:, place], np.array(places))
                    array[cells] = own.table[own.rows][cells]
            return array
        written = {
            column.name: entries_of(column, values[:, place])
            for place, column in enumerate(self.columns)
        }
        if own is not None and not isinstance(own.table, np.ndarray):
            numbers = {one.name for one in self.columns if isinstance(one, Numeric)}
            inexact = inexact_columns(own.table, self.names, values, own.kept)
            some = [name for name in inexact if name in numbers]
            for name, given in (read_columns(own.table, some) if some else {}).items():
                kept = own.kept[:, self.index(name)]
                written[name] = with_own_numbers(written[name], given, own.rows, kept)
        categories = {
            one.name: one.categories for one in self.columns if not isinstance(one, Numeric)
        }
        return write_columns(written, like, categories, labels)

    def encode(self, values: Float[np.ndarray, "n columns"]) -> Float32[np.ndarray, "n width"]:
        """The model input of some values.

        Args:
            values: `[n, columns]`.

        Returns:
            Model input `[n, width]`; all entries of a NaN value are NaN.

        Raises:
            ValueError: If the values don't fit the schema.
        """
        values = self.checked(values)
        return encode_values(self.columns, self.positions, self.scaling, values, np.float32)

    def problems(
        self, values: Float[np.ndarray, "n columns"], table: Table | None = None
    ) -> dict[int, str]:
        """What is wrong with each row that can't be used.

        Args:
            values: `[n, columns]`, as `read` gave them.
            table: The table they were read from, so that the entries can be named.

        Returns:
            A message per bad row, by row number; rows without a problem aren't in it.

        Examples:
            >>> from jaxcf.tabular import Categorical, Numeric
            >>> schema = Schema((Numeric("age", 20, 60), Categorical("job", ("clerk", "sailor"))))
            >>> table = {"age": [30, 40], "job": ["clerk", "pilot"]}
            >>> schema.problems(schema.read(table), table)
            {1: "column 'job' holds 'pilot', which is none of its 2 categories"}
        """
        bad = np.isnan(self.checked(values))
        named = table is not None and not isinstance(table, np.ndarray)
        entries = read_columns(table, self.names) if named else {}
        messages: dict[int, list[str]] = {}
        for row, place in np.argwhere(bad).tolist():
            column = self.columns[place]
            entry = entries[column.name].entries[row] if named else None
            messages.setdefault(row, []).append(describe_problem(column, entry, named))
        return {row: "; ".join(several) for row, several in messages.items()}

    def checked(self, values: Float[np.ndarray, "n columns"]) -> Float[np.ndarray, "n columns"]:
        """The values as float64, if they fit the schema.

        Raises:
            ValueError: If the shape is wrong or a value is no index of a category.
        """
        return check_values(self.columns, values)

    def changed(
        self,
        values: Float[np.ndarray, "n columns"],
        other_values: Float[np.ndarray, "n columns"],
    ) -> Bool[np.ndarray, "n columns"]:
        """Which columns differ between two sets of values.

        Args:
            values: `[n, columns]`.
            other_values: `[n, columns]`, row by row.

        Returns:
            `[n, columns]`; exact, and an entry that is missing in both hasn't changed.

        Raises:
            ValueError: If the values don't fit the schema or each other.

        Examples:
            >>> from jaxcf.tabular import Categorical, Numeric
            >>> schema = Schema((Numeric("age", 20, 60), Categorical("job", ("clerk", "sailor"))))
            >>> schema.changed(np.array([[30.0, 1]]), np.array([[31.0, 1]])).tolist()
            [[True, False]]
        """
        first, second = self.checked(values), self.checked(other_values)
        if first.shape != second.shape:
            raise ValueError(
                f"values of shape {first.shape} and {second.shape} can't be compared; expected the "
                "same rows"
            )
        return (first != second) & ~(np.isnan(first) & np.isnan(second))
