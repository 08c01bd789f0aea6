"""The rows of a table as they go out, and the model's word about exactly these."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from jaxcf.predictors.blackbox import Failures
from jaxcf.predictors.trees import Thresholds
from jaxcf.tabular.coding import TableCoding
from jaxcf.tabular.columns import Numeric
from jaxcf.tabular.predictors import TableModel
from jaxcf.tabular.relations import ReadRelations, Room
from jaxcf.tabular.rules import ReadRules
from jaxcf.tabular.tables import OwnCells, Table, float_types

_ANY = (-np.inf, np.inf)


@dataclass(frozen=True, eq=False)
class FinalRows:
    """What points of the search stand for: the `FinalForm` of a table's rows.

    Args:
        model: the caller's, of rows of the table.
        coding: between the table and the coordinates.
        table: that was given.
        values: `[n, columns]`, of its rows.
        begun: `[n, columns]`, what the search starts from: the same, but for entries that a rule
            has moved in.
        read: the rules of its rows.
        relations: between its columns.
        starts: `[n, columns]`, where that lies.
    """

    model: TableModel
    coding: TableCoding
    table: Table
    values: Float[np.ndarray, "n columns"]
    begun: Float[np.ndarray, "n columns"]
    read: ReadRules
    relations: ReadRelations
    starts: Float32[np.ndarray, "n columns"]

    def originals(self, source_row: Int[np.ndarray, " m"]) -> Float[np.ndarray, "m columns"]:
        """The values of rows as they were given."""
        return self.values[source_row]

    @property
    def thresholds(self) -> Thresholds | None:
        """The thresholds of the model's trees, of each column in its units; None of others."""
        return self.model.thresholds

    @property
    def has_relations(self) -> bool:
        """Whether some columns must be something to each other."""
        return bool(self.relations)

    def exact(
        self, points: Float[np.ndarray, "m columns"], source_row: Int[np.ndarray, " m"]
    ) -> Float[np.ndarray, "m columns"]:
        """The values that some points stand for, under the relations too where that can be.

        Args:
            points: `[m, columns]`, in coordinates.
            source_row: `[m]`, the rows of the table they belong to.
        """
        exact = self.by_feature(points, source_row)
        return self.mended(exact, source_row, np.zeros(exact.shape, bool))

    def mended(
        self,
        exact: Float[np.ndarray, "m columns"],
        source_row: Int[np.ndarray, " m"],
        held: Bool[np.ndarray, "m columns"],
    ) -> Float[np.ndarray, "m columns"]:
        """The same values where the relations hold; else with others changed, if that helps.

        Args:
            exact: `[m, columns]`, on their grids and under the rules.
            source_row: `[m]`, the rows of the table they belong to.
            held: `[m, columns]`, which must stay.
        """
        wrong = np.flatnonzero(~self.relations.hold(exact))
        if not len(wrong):
            return exact
        mended, rows = exact.copy(), source_row[wrong]
        ended = self.relations.mended(exact[wrong], held[wrong], self._room(rows))
        mended[wrong] = self._as_held(ended, rows)
        return mended

    def _room(self, source_row: np.ndarray) -> Room:
        """Where values of some rows may go: within the rules, and what training rows span."""
        lower, upper, steps = self.read.limits(source_row)
        begun = self.begun[source_row]
        columns = self.coding.schema.columns
        ends = [(one.lower, one.upper) if isinstance(one, Numeric) else _ANY for one in columns]
        least, most = np.array(ends).T
        levels = self.read.constraints.levels
        return Room(
            begun,
            np.fmax(lower, np.fmin(least, begun)),
            np.fmin(upper, np.fmax(most, begun)),
            steps,
            None if levels is None else np.asarray(levels)[source_row],
        )

    def holds(
        self, exact: Float[np.ndarray, "m columns"], source_row: Int[np.ndarray, " m"]
    ) -> Bool[np.ndarray, " m"]:
        """Which values keep to all relations."""
        return self.relations.hold(exact)

    def by_feature(
        self, points: Float[np.ndarray, "m columns"], source_row: Int[np.ndarray, " m"]
    ) -> Float[np.ndarray, "m columns"]:
        """The values that some points stand for: on their grids, under the rules, as they are kept.

        Args:
            points: `[m, columns]`, in coordinates.
            source_row: `[m]`, the rows of the table they belong to.
        """
        begun = self.begun[source_row]
        lower, upper, steps = self.read.limits(source_row)
        exact = self.coding.values(points, begun, self.starts[source_row], lower, upper, steps)
        return self._as_held(exact, source_row)

    def of_feature(
        self,
        points: Float[np.ndarray, " m"],
        source_row: Int[np.ndarray, " m"],
        feature: Int[np.ndarray, " m"],
    ) -> Float[np.ndarray, " m"]:
        """The same of one column of each point.

        Args:
            points: `[m]`, in coordinates.
            source_row: `[m]`, the rows of the table they belong to.
            feature: `[m]`, the places of the columns.
        """
        arrays = (self.begun, self.starts, self.read.lower, self.read.upper, self.read.steps)
        known = (array[source_row, feature] for array in arrays)
        exact = self.coding.values_of(feature, points, *known)
        for place, kind in self._narrow:
            lines = np.flatnonzero(feature == place)
            exact[lines] = self._narrowed(exact[lines], source_row[lines], place, kind)
        return exact

    def _as_held(self, exact: np.ndarray, source_row: np.ndarray) -> np.ndarray:
        """Values as the caller's table holds them, in place."""
        for place, kind in self._narrow:
            exact[:, place] = self._narrowed(exact[:, place], source_row, place, kind)
        return exact

    def _narrowed(
        self, exact: np.ndarray, source_row: np.ndarray, place: int, kind: np.dtype
    ) -> np.ndarray:
        # what a column of float32 can't hold would be another number in the result
        lower, upper = self.read.lower[source_row, place], self.read.upper[source_row, place]
        held = _held(exact, kind, lower, upper)
        return np.where(exact != self.values[source_row, place], held, exact)

    @cached_property
    def _narrow(self) -> tuple[tuple[int, np.dtype], ...]:
        """The columns of numbers that the table holds in a narrower type, with the type."""
        columns = self.coding.schema.columns
        types = enumerate(float_types(self.table, self.coding.schema.names))
        return tuple(
            (place, kind)
            for place, kind in types
            if kind is not None and isinstance(columns[place], Numeric)
        )

    def own_cells(
        self, values: Float[np.ndarray, "m columns"], source_row: Int[np.ndarray, " m"]
    ) -> OwnCells:
        """Which cells of rows of some values are the caller's own."""
        return OwnCells(self.table, source_row, values == self.values[source_row])

    def points(
        self, exact: Float[np.ndarray, "m columns"], source_row: Int[np.ndarray, " m"]
    ) -> Float32[np.ndarray, "m columns"]:
        """Where exact values lie; those that the search starts from where it does."""
        begun = self.begun[source_row]
        same = (exact == begun) | np.isnan(begun)
        return np.where(same, self.starts[source_row], self.coding.coordinates(exact))

    def point_of_feature(
        self,
        exact: Float[np.ndarray, " m"],
        source_row: Int[np.ndarray, " m"],
        feature: Int[np.ndarray, " m"],
    ) -> Float32[np.ndarray, " m"]:
        """The same of one column of each."""
        begun = self.begun[source_row, feature]
        same = (exact == begun) | np.isnan(begun)
        coordinates = self.coding.coordinates_of(feature, exact)
        return np.where(same, self.starts[source_row, feature], coordinates)

    def predict(
        self,
        exact: Float[np.ndarray, "m columns"],
        source_row: Int[np.ndarray, " m"],
        failures: Failures,
        size: int | None = None,
    ) -> Float[np.ndarray, "m classes"]:
        """The model's probabilities of the very rows that have these values."""
        own = self.own_cells(exact, source_row)
        return self.model.probabilities(exact, own, failures, size)


def _held(values: np.ndarray, kind: np.dtype, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """The nearest numbers of a narrower type that lie within the limits; the values where none."""
    with np.errstate(over="ignore", invalid="ignore"):
        held = values.astype(kind)
        held = np.where(held.astype(float) > upper, np.nextafter(held, kind.type(-np.inf)), held)
        held = np.where(held.astype(float) < lower, np.nextafter(held, kind.type(np.inf)), held)
        inside = np.isfinite(held) & (held.astype(float) <= upper)
    return np.where(inside, held.astype(float), values)
