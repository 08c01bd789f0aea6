"""The counterfactuals of a table, in original units and names."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxcf.results import html
from jaxcf.results.accessors import Accessor
from jaxcf.results.counts import Counts
from jaxcf.results.explanations import (
    Explanations,
    check_declared,
    check_equal_rows,
    check_kind_and_length,
    check_source_rows,
    describe,
    overview_html,
    pack,
    unpack,
)
from jaxcf.results.parts import JoinedParts, open_explanations
from jaxcf.tabular.coding import TableCoding, coding_from_json, coding_to_json
from jaxcf.tabular.columns import Numeric
from jaxcf.tabular.frames import FrameKind, describe_frame, read_frame
from jaxcf.tabular.tables import (
    Labels,
    OwnCells,
    Table,
    plain_labels,
    read_columns,
    read_labels,
)
from jaxcf.tabular.written_tables import plain_table
from jaxcf.utils.array_files import ArrayFile, write_arrays
from jaxcf.utils.file_checks import (
    ArrayRule,
    check_arrays,
    check_format,
    check_lengths,
    check_shapes,
)
from jaxcf.utils.selection import chosen_rows

if TYPE_CHECKING:
    from pandas import DataFrame

FORMAT = "jaxcf.table_explanations"
SCHEMA_VERSION = 1

_ARRAYS = {"original_values": ArrayRule("f", 2), "values": ArrayRule("f", 2)}

_LABELS = "labels"

_OPTIONAL = {_LABELS: ArrayRule("iuU", 1)}


class Change(NamedTuple):
    """One column of one row that differs.

    Attributes:
        column: its name.
        old: in the original.
        new: in the counterfactual.
    """

    column: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.column}: {self.old} -> {self.new}"


@dataclass(frozen=True, eq=False)
class TableExplanations:
    """The counterfactuals of the rows of a table and everything known about them.

    Attributes:
        core: in coordinates, with status, classes, probabilities and all the rest.
        coding: between the table and the coordinates.
        original_values: `[n, columns]`, see `Schema.read`; NaN where an entry can't be read.
        values: `[n, columns]`, of the counterfactuals; they obey the rules exactly.
        like: the table that was given, whose kind `original` and `counterfactual` have. Loaded from
            a file what that remembers of it: the library of a frame and the types of its columns,
            or an empty mapping, which makes them mappings from names to columns, as they are also
            where that library isn't installed.
        problems: why rows couldn't be read, by row of the table.
        class_names: one per class, if known.
        labels: `[n]`, what the caller calls the rows: the index of the DataFrame that was given, or
            what `with_labels` was; None where they have no names. They go along wherever rows are
            chosen, repeated or put in another order.
        ruled: the names of the columns that rules spoke about; None where that isn't known.
    """

    core: Explanations
    coding: TableCoding
    original_values: Float[np.ndarray, "n columns"]
    values: Float[np.ndarray, "n columns"]
    like: Table | FrameKind
    problems: Mapping[int, str] = field(default_factory=dict)
    class_names: tuple[str, ...] | None = None
    labels: Labels | None = None
    ruled: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.core)

    def __repr__(self) -> str:
        return f"TableExplanations({self.counts.brief})"

    def __getitem__(self, rows: Any) -> "TableExplanations":
        """The chosen rows: a slice, a mask, row numbers or one row number."""
        chosen = chosen_rows(len(self), rows)
        return replace(
            self,
            core=self.core[chosen],
            original_values=self.original_values[chosen],
            values=self.values[chosen],
            labels=None if self.labels is None else self.labels[chosen],
        )

    def with_labels(self, labels: Labels) -> "TableExplanations":
        """The same explanations with names of the rows, such as the identifiers of customers.

        Args:
            labels: one per row of the table that was explained; several counterfactuals of one row
                have the same.

        Returns:
            The explanations with `labels`, which `to_pandas`, files and reports show.

        Raises:
            ValueError: if there are fewer labels than rows, or not one per row.
        """
        given, rows = read_labels(labels), self.source_row
        if len(self) and len(given) <= int(rows.max()):
            raise ValueError(
                f"there are {len(given)} labels, and a row {int(rows.max())}; pass one per row of "
                "the table that was explained"
            )
        return replace(self, labels=given[rows])

    @property
    def found(self) -> Bool[np.ndarray, " n"]:
        """Whether each row has a counterfactual that the model confirmed."""
        return self.core.found

    @property
    def counts(self) -> Counts:
        """How many rows were found, of how many that needed a counterfactual."""
        return self.core.counts

    @property
    def status(self) -> Int[np.ndarray, " n"]:
        """`Status` codes."""
        return self.core.status

    @property
    def source_row(self) -> Int[np.ndarray, " n"]:
        """The row of the table that each row belongs to."""
        return self.core.source_row

    @property
    def original_class(self) -> Int[np.ndarray, " n"]:
        """What the model decides for the originals; -1 for invalid rows."""
        return self.core.original_class

    @property
    def original_probabilities(self) -> Float[np.ndarray, "n classes"]:
        """Class probabilities of the originals."""
        return self.core.original_probabilities

    @property
    def counterfactual_class(self) -> Int[np.ndarray, " n"]:
        """What the model decides for the counterfactuals; -1 for invalid rows."""
        return self.core.counterfactual_class

    @property
    def probabilities(self) -> Float[np.ndarray, "n classes"]:
        """Class probabilities of the counterfactuals."""
        return self.core.probabilities

    @property
    def target_class(self) -> Int[np.ndarray, " n"]:
        """The class of the prototype; -1 where there is none."""
        return self.core.target_class

    @property
    def steps(self) -> Int[np.ndarray, " n"]:
        """Updates used."""
        return self.core.steps

    @property
    def losses(self) -> Mapping[str, Float[np.ndarray, " n"]]:
        """Each weighted loss term at the counterfactuals, in coordinates."""
        return self.core.losses

    @property
    def scores(self) -> Mapping[str, Float[np.ndarray, " n"]]:
        """Further values per row."""
        return self.core.scores

    @property
    def settings(self) -> Mapping[str, Any]:
        """What produced this."""
        return self.core.settings

    @property
    def seconds(self) -> Mapping[str, float]:
        """Wall time by part of the work."""
        return self.core.seconds

    @property
    def messages(self) -> list[str]:
        """Each row's status in words; for rows that can't be read, what is wrong with them."""
        rows = self.core.source_row.tolist()
        return [
            self.problems.get(row, message)
            for row, message in zip(rows, self.core.messages, strict=True)
        ]

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth a second look, see `Schema.summary`; none where rules aren't known."""
        if self.ruled is None:
            return ()
        return self.coding.schema.summary(self.ruled)["notes"]

    @cached_property
    def original(self) -> Table:
        """The rows as they were read, in original units and category names."""
        return self._written(self.original_values, self._example)

    @cached_property
    def counterfactual(self) -> Table:
        """The counterfactuals, in original units and category names; else the best effort."""
        return self._written(self.values, self._example)

    def columns_of(self, values: Float[np.ndarray, "n columns"]) -> dict[str, np.ndarray]:
        """Columns by name of some values of these rows, whose unchanged cells are the caller's own.

        Args:
            values: `[n, columns]`, such as `values` or `original_values`.
        """
        return self._written(values, {})

    def changes_frame(self) -> Table:
        """Every changed cell of every row, one line for each, found or not.

        Returns:
            A table of the kind that was given: "id" (what the row is called: its label, such as the
            index of a DataFrame, else its number in the table), "column", "old" and "new". Where
            a column of these holds entries of several types, pandas has objects and other frames
            texts.

        Examples:
            >>> import jax
            >>> from jaxcf.tabular import TableExplainer
            >>> weights = np.array([[9.0, -9.0]])
            >>> explainer = TableExplainer(lambda x: jax.nn.softmax((x - 0.5) @ weights))
            >>> table = {"age": [20, 30, 50, 60]}
            >>> changes = explainer.fit(table).explain(table).changes_frame()
            >>> {name: column[:2].tolist() for name, column in changes.items()}
            {'id': [0, 1], 'column': ['age', 'age'], 'old': [20, 30], 'new': [41, 41]}
        """
        row, place = np.nonzero(self.changed)
        names = self.coding.schema.names
        ids = self.source_row if self.labels is None else self.labels
        if isinstance(self.like, np.ndarray):
            tables = self.columns_of(self.original_values), self.columns_of(self.values)
        else:
            tables = self.original, self.counterfactual
        before, after = (
            [columns[name].entries for name in names] for columns in map(read_columns, tables)
        )
        lines = list(zip(row.tolist(), place.tolist(), strict=True))
        return plain_table(
            {
                "id": ids[row].tolist(),
                "column": [names[one] for one in place.tolist()],
                "old": [before[where][one] for one, where in lines],
                "new": [after[where][one] for one, where in lines],
            },
            self._example,
        )

    @cached_property
    def _example(self) -> Table:
        """A table of the kind that was given."""
        if not isinstance(self.like, FrameKind):
            return self.like
        empty = self.like.empty(self.coding.schema.columns)
        return {} if empty is None else empty

    def _written(self, values: np.ndarray, like: Table) -> Table:
        # What was loaded from a file has no table of its own.
        known = isinstance(self.like, np.ndarray) or (
            not isinstance(self.like, FrameKind) and len(self.like)
        )
        kept = values == self.original_values
        own = OwnCells(self.like, self.source_row, kept) if known else None
        return self.coding.schema.write(values, like, self.labels, own)

    def values_at(
        self, coordinates: Float[np.ndarray, "n *more columns"]
    ) -> Float[np.ndarray, "n *more columns"]:
        """The values that coordinates of these rows stand for, such as those of `Traces`.

        Args:
            coordinates: `[n, ..., columns]`, any number of points per row.

        Returns:
            Values, see `Schema.read`: NaN where a coordinate is; those of a row's original where a
            coordinate is its original's.
        """
        values = np.empty(coordinates.shape)
        for row, starts in enumerate(self.core.original):
            points = coordinates[row].reshape(-1, coordinates.shape[-1])
            originals = np.broadcast_to(self.original_values[row], points.shape)
            starts = np.broadcast_to(starts, points.shape)
            found = self.coding.values(points, originals, starts)
            values[row] = found.reshape(coordinates.shape[1:])
        return values

    @property
    def changed(self) -> Bool[np.ndarray, "n columns"]:
        """Which columns differ from the original."""
        return self.coding.schema.changed(self.original_values, self.values)

    def changes(self, row: int) -> list[Change]:
        """What is different in one row's counterfactual, column by column."""
        one = self[row]
        before, after = one.columns_of(one.original_values), one.columns_of(one.values)
        return [
            Change(name, before[name][0], after[name][0])
            for name, differs in zip(self.coding.schema.names, one.changed[0], strict=True)
            if differs
        ]

    @property
    def distance(self) -> Float[np.ndarray, "n columns"]:
        """How far each column moved: numbers in original units, categories 1 where they differ.

        0 where an entry can't be read or was a special code; ordinal columns count ranks.
        """
        moved = np.abs(np.nan_to_num(self.values - self.original_values))
        moved = np.where(self.coding.schema.special(self.original_values), 0.0, moved)
        numbers = [isinstance(one, Numeric) for one in self.coding.schema.columns]
        ordered = np.isinf(self.coding.levels).all(axis=1) | np.array(numbers)
        return np.where(ordered, moved, moved > 0)

    def summary(self) -> dict[str, Any]:
        """As `Explanations.summary`, with the means of each column's moves over the found rows.

        Returns:
            What `Explanations.summary` gives, with "changed" counted in columns of the table,
            "changed_share" (how often each column changed) and "moved" (how far it moved where it
            did), both by name, and the "notes".
        """
        changed, moved = self.changed[self.found], self.distance[self.found]
        names = self.coding.schema.names
        counts = changed.sum(axis=0)
        means = moved.sum(axis=0) / np.maximum(counts, 1)
        return self.core.summary() | {
            "changed": float(changed.sum(axis=1).mean()) if len(changed) else None,
            "changed_share": {
                name: float(count / max(len(changed), 1))
                for name, count in zip(names, counts, strict=True)
            },
            "moved": {
                name: float(mean) if count else None
                for name, mean, count in zip(names, means, counts, strict=True)
            },
            "notes": list(self.notes),
        }

    def to_pandas(self, *, probabilities: bool = False) -> "DataFrame":
        """The counterfactuals with their status and classes beside them (needs pandas).

        The columns are "row", those of the table, and those of docs/summary.md; the index is that
        of the DataFrame that was explained, or the labels of the rows, where there are some.

        Args:
            probabilities: whether to add one column per class, "probability_NAME".

        Raises:
            ImportError: if pandas is not installed.
        """
        facts = self.core.to_pandas(class_names=self.class_names, probabilities=probabilities)
        facts["changed"] = self.changed.sum(axis=1)
        columns = self.columns_of(self.values)
        for place, (name, entries) in enumerate(read_columns(columns).items()):
            facts.insert(place + 1, name, entries.entries, allow_duplicates=True)
        return facts if self.labels is None else facts.set_axis(self.labels, axis=0)

    plot = Accessor("plot")
    """Pictures: `plot()`, `plot.path(row)`, ...; see `jaxcf.plots.accessor.PlotAccessor`."""

    @property
    def num_changed(self) -> Int[np.ndarray, " n"]:
        """How many columns changed."""
        return self.changed.sum(axis=1)

    def check_same_rows(self, other: Any) -> None:
        """Check that other explanations are of the same rows of the same table, in the same order.

        Raises:
            TypeError: if they are of no table.
            ValueError: if they aren't; the message says how the rows differ.
        """
        check_kind_and_length(self, other)
        columns, others = self.coding.schema.columns, other.coding.schema.columns
        if columns != others:
            differing = sorted({one.name for one in set(columns) ^ set(others)})
            raise ValueError(
                f"the runs differ in their columns: {', '.join(differing) or 'another order'}; "
                "compare runs over the same table"
            )
        check_equal_rows(self.original_values, other.original_values)
        check_source_rows(self.core, other.core)

    def _repr_html_(self) -> str:
        changed, names = self.changed[self.found], self.coding.schema.names
        medians = {
            "updates": self.core.steps[self.found],
            f"changed columns, of {len(names)}": changed.sum(axis=1),
            "probability of the new class": self.probabilities[self.found].max(axis=1),
        }
        counts = sorted(
            zip(names, changed.sum(axis=0).tolist(), strict=True), key=lambda one: -one[1]
        )
        shares = [[name, f"{100 * count / len(changed):.0f} %"] for name, count in counts if count]
        tables = {"changed columns": html.Table(shares)} if shares else {}
        if self.notes:
            tables["notes"] = html.Table([[one] for one in self.notes])
        return overview_html(self.core, medians, class_names=self.class_names, tables=tables)

    def save(self, path: str | os.PathLike[str], *, run: str | None = None) -> None:
        """Write everything to one npz file, at once or not at all, without pickle.

        All but the table that was given, of which the library and the types of the columns are
        kept, and labels that are neither strings nor whole numbers.

        Args:
            path: of the file.
            run: of which run it is a part, where several files are.
        """
        metadata = {
            **described(self.coding, self.class_names, self.ruled),
            **describe_frame(self.like, self.coding.schema.names),
            "run": run,
            "explanations": describe(self.core),
            "problems": [[int(row), message] for row, message in self.problems.items()],
        }
        write_arrays(path, self.packed(), metadata)

    def packed(self) -> dict[str, np.ndarray]:
        """Every array by its name in a file."""
        arrays = pack(self.core) | {name: getattr(self, name) for name in _ARRAYS}
        labels = plain_labels(self.labels)
        return arrays if labels is None else arrays | {_LABELS: labels}

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "TableExplanations":
        """Read what `save` wrote, or all parts of a job's folder.

        Args:
            path: of a file, or of the folder of a job that is complete.

        Raises:
            FileNotFoundError: if there is no such file or job.
            ValueError: if it isn't such a file, is damaged, or of another schema version, or the
                job isn't complete.
        """
        with open_explanations(path) as file:
            return cls.read(path, file)

    @classmethod
    def read(
        cls, path: str | os.PathLike[str], file: ArrayFile | JoinedParts
    ) -> "TableExplanations":
        """Read a file that is open, or some parts of a job.

        Args:
            path: of it, for messages.
            file: what `open_explanations` or `JobFolder.read` gives.

        Raises:
            ValueError: if it is damaged, or of another schema version.
        """
        known = _checked_description(path, file)
        arrays = file.read(known.rules)
        core = unpack(path, _split(arrays)[1], file.metadata["explanations"])
        try:
            values = {name: known.coding.schema.checked(arrays[name]) for name in _ARRAYS}
        except ValueError as error:
            raise ValueError(f"{path} is damaged: {error}") from error
        may_lack = np.isfinite(known.coding.missing_coordinates)
        for name, array in values.items():
            if np.isinf(array).any() or np.isnan(array[core.found][:, ~may_lack]).any():
                raise ValueError(f"{path} is damaged: {name} hold infinity, or lack a row found")
        return cls(
            core=core,
            coding=known.coding,
            **values,
            like={} if known.frame is None else known.frame,
            problems=known.problems,
            class_names=known.class_names,
            ruled=known.ruled,
            labels=arrays.get(_LABELS),
        )


# --- the file ----------------------------------------------------------------------------


def described(
    coding: TableCoding, class_names: Sequence[str] | None, ruled: Sequence[str] | None
) -> dict[str, Any]:
    """What a file says of a table, whatever rows it holds, as plain values.

    Args:
        coding: between the table and the coordinates.
        class_names: one per class, if known.
        ruled: the columns that rules speak about, if known.
    """
    return {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "coding": coding_to_json(coding),
        "class_names": None if class_names is None else list(map(str, class_names)),
        "ruled": None if ruled is None else list(ruled),
    }


class _Description(NamedTuple):
    """What a file says of itself before its arrays are unpacked, once it was found to be right."""

    rules: dict[str, ArrayRule]
    coding: TableCoding
    problems: dict[int, str]
    class_names: tuple[str, ...] | None
    ruled: tuple[str, ...] | None
    frame: FrameKind | None


def _split(arrays: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A file's arrays of the table, and those of the explanations in coordinates."""
    names = {**_ARRAYS, **_OPTIONAL}
    own = {name: array for name, array in arrays.items() if name in names}
    return own, {name: array for name, array in arrays.items() if name not in names}


def _checked_description(
    path: str | os.PathLike[str], file: ArrayFile | JoinedParts
) -> _Description:
    metadata = file.metadata
    check_format(path, metadata, FORMAT, SCHEMA_VERSION)
    own, others = _split(file.headers)
    rules = check_arrays(path, own, _ARRAYS, _OPTIONAL)
    check_lengths(path, file.headers)
    described = metadata.get("explanations")
    if not isinstance(described, dict):
        raise ValueError(f"{path} is damaged: it doesn't describe its explanations")
    rules |= check_declared(path, others, described)
    try:
        coding = coding_from_json(metadata["coding"])
        problems = _problems(metadata["problems"])
        names = _class_names(metadata["class_names"], others["probabilities"].shape[1])
        # Files of earlier versions don't say.
        ruled = _ruled(metadata.get("ruled"), coding.schema.names)
        frame = read_frame(metadata, coding.schema.names)
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    n, columns = own["values"].shape[0], len(coding.schema.columns)
    check_shapes(path, own, dict.fromkeys(_ARRAYS, (n, columns)))
    if others["original"].shape[1:] != (columns,):
        raise ValueError(
            f"{path} is damaged: its coordinates have shape {others['original'].shape} for "
            f"{columns} columns"
        )
    return _Description(rules, coding, problems, names, ruled, frame)


def _problems(given: Any) -> dict[int, str]:
    """Why rows couldn't be read, from JSON's pairs of a row and a message."""
    pairs = given if isinstance(given, list) else [given]
    for pair in pairs:
        right = isinstance(pair, list) and [type(one) for one in pair] == [int, str]
        if not right:
            raise ValueError(f"a problem is {pair!r}; expected a row and a message")
    return dict(pairs)


def _ruled(given: Any, names: tuple[str, ...]) -> tuple[str, ...] | None:
    if given is None:
        return None
    if not isinstance(given, list) or not all(one in names for one in given):
        raise ValueError(f"ruled is {given!r}; expected names of columns")
    return tuple(given)


def _class_names(given: Any, count: int) -> tuple[str, ...] | None:
    if given is None:
        return None
    texts = isinstance(given, list) and all(isinstance(one, str) for one in given)
    if not texts or len(given) != count:
        raise ValueError(f"class_names are {given!r}; expected one text for each of {count}")
    return tuple(given)
