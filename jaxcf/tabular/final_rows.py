"""The rows of a table as they go out, and the model's word about exactly these."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int

from jaxcf.predictors.blackbox import Failures
from jaxcf.tabular.coding import TableCoding
from jaxcf.tabular.columns import Numeric
from jaxcf.tabular.predictors import TableModel
from jaxcf.tabular.rules import ReadRules
from jaxcf.tabular.tables import OwnCells, Table, float_types


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
        starts: `[n, columns]`, where that lies.
    """

    model: TableModel
    coding: TableCoding
    table: Table
    values: Float[np.ndarray, "n columns"]
    begun: Float[np.ndarray, "n columns"]
    read: ReadRules
    starts: Float32[np.ndarray, "n columns"]

    def originals(self, source_row: Int[np.ndarray, " m"]) -> Float[np.ndarray, "m columns"]:
        """The values of rows as they were given."""
        return self.values[source_row]

    def exact(
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
        types = float_types(self.table, self.coding.schema.names)
        for place, (column, kind) in enumerate(zip(self.coding.schema.columns, types, strict=True)):
            if kind is None or not isinstance(column, Numeric):
                continue
            # what a column of float32 can't hold would be another number in the result
            held = _held(exact[:, place], kind, lower[:, place], upper[:, place])
            moved = exact[:, place] != self.values[source_row, place]
            exact[:, place] = np.where(moved, held, exact[:, place])
        return exact

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
