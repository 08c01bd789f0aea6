"""The search space of a table, and the ways between it, the values and the model input.

A coordinate is a number for each column, mostly in [0, 1]: a numeric column scaled over the span of
the training rows, the rank of an ordinal category scaled likewise, the learnt number of a category.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from jaxcf.tabular.category_values import CategoryValues
from jaxcf.tabular.columns import (
    Categorical,
    Column,
    Numeric,
    Ordinal,
    clip_to_points,
    grid_of,
    nearest_points,
)
from jaxcf.tabular.schema import Schema
from jaxcf.tabular.straight_through import (
    Tables,
    code_intervals,
    code_values,
    entry_values,
    sort_levels,
    tabulate,
)
from jaxcf.utils.json_files import plain


@dataclass(frozen=True)
class TableCoding:
    """Between values, coordinates and the input of the explained model.

    Args:
        schema: Of the table.
        category_values: The numbers of the categories of its categorical columns.
        missing: For each column the coordinate that stands for a missing entry, None where entries
            may not be missing; None for no column.

    Raises:
        ValueError: If the category values belong to other columns or categories, or there isn't one
            coordinate of a missing entry per column.

    Examples:
        >>> from jaxcf.tabular.category_values import fit_category_values
        >>> table = {"age": [20, 30, 60], "job": ["clerk", "sailor", "pilot"]}
        >>> schema = Schema.infer(table)
        >>> values = schema.read(table)
        >>> coding = TableCoding(schema, fit_category_values(schema, values, method="index"))
        >>> coding.coordinates(values).tolist()
        [[0.0, 0.0], [0.25, 1.0], [1.0, 0.5]]
        >>> coding.model_input(jnp.array([[0.25, 0.4]])).tolist()  # 0.4: pilot is the nearest
        [[0.25, 0.0, 1.0, 0.0]]
    """

    schema: Schema
    category_values: CategoryValues
    missing: tuple[float | None, ...] | None = None

    def __post_init__(self) -> None:
        expected = {
            column.name: column.categories
            for column in self.schema.columns
            if isinstance(column, Categorical)
        }
        given = dict(zip(self.category_values.names, self.category_values.categories, strict=True))
        if given != expected:
            raise ValueError(
                f"the category values are for the columns {sorted(given)}; expected the schema's "
                f"categorical columns {sorted(expected)} with the same categories: fit them with "
                "this schema"
            )
        if self.missing is not None and len(self.missing) != len(self.schema.columns):
            raise ValueError(
                f"there are {len(self.missing)} coordinates of missing entries; expected one, or "
                f"None, for each of {len(self.schema.columns)} columns"
            )

    @cached_property
    def missing_coordinates(self) -> Float32[np.ndarray, " columns"]:
        """The coordinate of a missing entry of each column; NaN where none may be missing."""
        given = self.missing or (None,) * len(self.schema.columns)
        coordinates = np.array([np.nan if one is None else one for one in given], np.float32)
        coordinates.flags.writeable = False
        return coordinates

    @cached_property
    def levels(self) -> Float32[np.ndarray, "columns most"]:
        """The coordinate of each category, in the order of the schema, then infinity.

        Numeric columns have no levels: all infinite. Where some have special codes there are two at
        least: a code, and the number that it may be replaced by.
        """
        most = max((len(one) for one in self._column_levels), default=0)
        if self._codes:
            most = max(most, 2)
        levels = np.full((len(self.schema.columns), most), np.inf, np.float32)
        for place, one in enumerate(self._column_levels):
            levels[place, : len(one)] = one
        levels.flags.writeable = False
        return levels

    @cached_property
    def steps(self) -> Float32[np.ndarray, " columns"]:
        """The spacing of each column's grid in coordinates; 0 where there is none.

        Only numeric columns with a step have one; ordinal columns have levels.
        """
        steps = np.array(
            [
                column.step / column.span if isinstance(column, Numeric) and column.span else 0.0
                for column in self.schema.columns
            ],
            np.float32,
        )
        steps.flags.writeable = False
        return steps

    @property
    def constant(self) -> Bool[np.ndarray, " columns"]:
        """Which columns have one value only, and so can't change."""
        return self.schema.constant

    def coordinates(
        self,
        values: Float[np.ndarray, "n columns"],
        missing: Bool[np.ndarray, "n columns"] | None = None,
    ) -> Float32[np.ndarray, "n columns"]:
        """Where some values lie in the search space.

        Args:
            values: `[n, columns]`.
            missing: `[n, columns]`, which of the values are NaN because the entry is missing; None
                for none of them.

        Returns:
            Coordinates `[n, columns]`; NaN where a value is, but for missing entries of a column
            that may lack them. Numbers beyond those of the training
            rows lie outside [0, 1].

        Raises:
            ValueError: If the values don't fit the schema.
        """
        values = self.schema.checked(values)
        coordinates = self._coordinates_at(self._whole, values)
        if missing is not None:
            coordinates = np.where(missing, self.missing_coordinates, coordinates)
        return coordinates

    def coordinates_of(
        self, feature: Int[np.ndarray, " n"], values: Float[np.ndarray, " n"]
    ) -> Float32[np.ndarray, " n"]:
        """The same for one column of each row.

        Args:
            feature: `[n]`, the place of the column.
            values: `[n]`, its values.

        Returns:
            Coordinates `[n]`.
        """
        return self._coordinates_at(self._cells(feature), values)

    def _coordinates_at(self, cells: "_Cells", values: np.ndarray) -> np.ndarray:
        coordinates = np.empty(values.shape, np.float32)
        numbers = cells.numbers
        at = cells.of_numbers
        coordinates[at] = (values[at] - numbers.lower) / numbers.scale
        for place, column in self._codes:
            at = cells.of(place)
            given, there = values[at], coordinates[at]
            for code, coordinate in zip(column.special, column.special_coordinates, strict=True):
                there[given == code] = coordinate
            coordinates[at] = there
        for place in self._category_places:
            at = cells.of(place)
            given = values[at]
            known = np.where(np.isnan(given), 0, given).astype(np.intp)
            level = self._column_levels[place][known]
            coordinates[at] = np.where(np.isnan(given), np.nan, level)
        return coordinates

    def values(
        self,
        coordinates: Float[np.ndarray, "n columns"],
        original_values: Float[np.ndarray, "n columns"],
        original_coordinates: Float[np.ndarray, "n columns"],
        lower: Float[np.ndarray, "... columns"] | None = None,
        upper: Float[np.ndarray, "... columns"] | None = None,
        steps: Float[np.ndarray, "... columns"] | None = None,
    ) -> Float[np.ndarray, "n columns"]:
        """The exact way back from the search space.

        Args:
            coordinates: `[n, columns]`, wherever the search ended.
            original_values: `[n, columns]`, of the rows it started from.
            original_coordinates: `[n, columns]`, `coordinates(original_values)`.
            lower: `[columns]` or `[n, columns]`, least value allowed, for numeric and ordinal
                columns (the index of a category has no order); None for no limit.
            upper: The same for the greatest.
            steps: The same for other steps of numeric columns, whose multiples are counted from 0;
                0 or None for the column's own.

        Returns:
            Values `[n, columns]`. A coordinate that is its original's to the bit gives the original
            value to the bit, whatever the limits; so does one that rounds to the original's point
            of the grid, or whose grid has no point within the limits. Other numbers lie on the
            grid, within the limits, and are no special codes; categories are the nearest; NaN
            stays.

        Raises:
            ValueError: If the arrays don't fit the schema or each other, or a lower limit is above
                an upper one.
        """
        originals = self.schema.checked(original_values)
        ends = np.asarray(coordinates, np.float32)
        starts = np.asarray(original_coordinates, np.float32)
        if not ends.shape == starts.shape == originals.shape:
            raise ValueError(
                f"coordinates have shape {ends.shape}, the originals {starts.shape} and "
                f"{originals.shape}; expected the same rows and {originals.shape[1]} columns"
            )
        low = self._limits(lower, -np.inf, originals.shape, "lower")
        high = self._limits(upper, np.inf, originals.shape, "upper")
        if (low > high).any():
            row, place = np.argwhere(low > high)[0]
            raise ValueError(
                f"column {self.schema.names[place]!r} has lower={low[row, place]} above "
                f"upper={high[row, place]} in row {row}; expected lower <= upper"
            )
        grid = self._limits(steps, 0.0, originals.shape, "steps")
        return self._values_at(self._whole, ends, originals, starts, low, high, grid)

    def values_of(
        self,
        feature: Int[np.ndarray, " n"],
        coordinates: Float[np.ndarray, " n"],
        original_values: Float[np.ndarray, " n"],
        original_coordinates: Float[np.ndarray, " n"],
        lower: Float[np.ndarray, " n"],
        upper: Float[np.ndarray, " n"],
        steps: Float[np.ndarray, " n"],
    ) -> Float[np.ndarray, " n"]:
        """The same for one column of each row, where all are known to fit.

        Args:
            feature: `[n]`, the place of the column; what follows is of that column.
            coordinates: `[n]`.
            original_values: `[n]`.
            original_coordinates: `[n]`.
            lower: `[n]`.
            upper: `[n]`.
            steps: `[n]`.

        Returns:
            Values `[n]`.
        """
        ends = np.asarray(coordinates, np.float32)
        rest = original_values, original_coordinates, lower, upper, steps
        return self._values_at(self._cells(feature), ends, *rest)

    def _values_at(
        self,
        cells: "_Cells",
        ends: np.ndarray,
        originals: np.ndarray,
        starts: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        steps: np.ndarray,
    ) -> np.ndarray:
        found = np.empty(originals.shape)
        numbers, at = cells.numbers, cells.of_numbers
        grid = grid_of(numbers.step, numbers.start, steps[at])
        there = numbers.lower + ends[at].astype(np.float64) * numbers.scale
        found[at] = clip_to_points(nearest_points(there, *grid), low[at], high[at], *grid)
        for place, column in self._codes:
            at = cells.of(place)
            values = found[at]
            _avoid_codes(column, values, originals[at], np.fmax(column.step, steps[at]))
            found[at] = values
        for place in self._category_places:
            at = cells.of(place)
            found[at] = self._categories_at(place, ends[at], low[at], high[at])
        same = ends.view(np.int32) == starts.view(np.int32)
        same |= np.isnan(found) & ~np.isnan(ends)
        # a number may have been read that isn't the point of the grid to its last bit
        same |= np.abs(found - originals) <= np.maximum(cells.step, steps) * 1e-6
        return np.where(same, originals, found)

    def _limits(
        self, given: np.ndarray | None, default: float, shape: tuple[int, ...], what: str
    ) -> np.ndarray:
        array = np.asarray(default if given is None else given, np.float64)
        if (given is not None and array.shape not in (shape, shape[1:])) or np.isnan(array).any():
            raise ValueError(
                f"{what} has shape {array.shape} or holds NaN; expected numbers {shape[1:]} or "
                f"{shape}, in the units of the values"
            )
        return np.broadcast_to(array, shape)

    def with_codes(
        self, values: Float[np.ndarray, "n columns"], coordinates: Float[np.ndarray, "n columns"]
    ) -> Float[np.ndarray, "n columns"]:
        """Values as they are where the rows aren't known: special codes where some lie.

        Args:
            values: `[n, columns]`, of the coordinates, without codes.
            coordinates: `[n, columns]`.

        Returns:
            Values `[n, columns]`.
        """
        values = values.copy() if self._codes else values
        for place, column in self._codes:
            for code, low, high in code_intervals(column):
                at = coordinates[:, place]
                values[(at > low) & (at <= high), place] = code
        return values

    def _categories_at(
        self, place: int, ends: np.ndarray, low: np.ndarray, high: np.ndarray
    ) -> np.ndarray:
        order, middles = sort_levels(self._column_levels[place])
        nearest = order[np.searchsorted(middles, ends, side="left")].astype(np.float64)
        if not isinstance(self.schema.columns[place], Categorical):
            nearest = np.clip(nearest, np.ceil(low), np.floor(high))
        return np.where(np.isnan(ends), np.nan, nearest)

    def model_input(
        self, coordinates: Float[jax.Array | np.ndarray, "*n columns"]
    ) -> Float[jax.Array, "*n width"]:
        """What the explained model takes at some point of the search space, in JAX.

        A category is the nearest one, exactly: one 1 in its block, or its code. The gradient passes
        nonetheless, as if the entries were interpolated linearly between the two neighbouring
        categories: from one category towards the next its own entry falls and the other rises, at
        a rate of 1 / gap. On a category it is the mean of the slopes on both sides; at an end, and
        beyond it, the one there is. Numbers are affine, and their gradient exact.

        Args:
            coordinates: `[*n, columns]`; one row too, and under `jit`, `vmap` and `grad`.

        Returns:
            `[*n, width]`; a row with NaN is NaN throughout.
        """
        tables = self._tables
        coordinates = jnp.asarray(coordinates)
        fixed = jax.lax.stop_gradient(coordinates)
        entries = entry_values(tables.entries, fixed[..., tables.entries.column])
        codes = code_values(tables.codes, fixed[..., tables.codes.column])
        value, slope = (
            jnp.concatenate(pair, axis=-1)[..., tables.source]
            for pair in zip(entries, codes, strict=True)
        )
        # The difference is zero, and carries the derivative. Columns are spread over their entries
        # by a product with a 0/1 matrix, since the transpose of a gather is a scatter: serial on a
        # CPU, and summed in no fixed order on a GPU.
        change = jnp.matmul(coordinates - fixed, tables.spread, precision=jax.lax.Precision.HIGHEST)
        return value + slope * change

    @cached_property
    def _column_levels(self) -> tuple[np.ndarray, ...]:
        levels = []
        for column in self.schema.columns:
            if isinstance(column, Numeric):
                levels.append(np.empty(0, np.float32))
            elif isinstance(column, Categorical):
                levels.append(np.array(self.category_values.of(column.name), np.float32))
            else:
                count = len(column.categories)
                levels.append((np.arange(count) / max(count - 1, 1)).astype(np.float32))
        return tuple(levels)

    @cached_property
    def _codes(self) -> tuple[tuple[int, Numeric], ...]:
        """The columns with special codes, and where they stand."""
        columns = enumerate(self.schema.columns)
        return tuple((p, one) for p, one in columns if isinstance(one, Numeric) and one.special)

    @cached_property
    def _category_places(self) -> tuple[int, ...]:
        columns = enumerate(self.schema.columns)
        return tuple(place for place, one in columns if not isinstance(one, Numeric))

    @cached_property
    def _numbers(self) -> "_Numbers":
        given = [one for one in self.schema.columns if isinstance(one, Numeric)]
        return _Numbers(
            *(
                np.array([getattr(one, name) for one in given])
                for name in ("lower", "scale", "step", "grid_start")
            )
        )

    @cached_property
    def _number_places(self) -> np.ndarray:
        mask = np.array([isinstance(one, Numeric) for one in self.schema.columns])
        return np.flatnonzero(mask)

    @cached_property
    def _own_steps(self) -> np.ndarray:
        """`[columns]`, of their grids; 0 for none and for categories."""
        steps = np.zeros(len(self.schema.columns))
        steps[self._number_places] = self._numbers.step
        return steps

    @property
    def _whole(self) -> "_Cells":
        """The cells of arrays that have all columns."""
        at = (slice(None), self._number_places)
        return _Cells(self._numbers, at, lambda place: (slice(None), place), self._own_steps)

    def _cells(self, feature: np.ndarray) -> "_Cells":
        """The cells of arrays that have one column of each row."""
        order = np.full(len(self.schema.columns), -1)
        order[self._number_places] = np.arange(len(self._number_places))
        at = np.flatnonzero(order[feature] >= 0)
        numbers = _Numbers(*(array[order[feature[at]]] for array in self._numbers))
        steps = self._own_steps[feature]
        return _Cells(numbers, at, lambda place: np.flatnonzero(feature == place), steps)

    @cached_property
    def _tables(self) -> Tables:
        return tabulate(self.schema, self._column_levels)


def _avoid_codes(
    column: Numeric, found: np.ndarray, originals: np.ndarray, step: np.ndarray
) -> None:
    """Move numbers that are codes by chance towards their originals, in place."""
    for _ in column.special:
        hit = np.isin(found, column.special) & (found != originals)
        if not hit.any():
            return
        nearer = found + np.sign(originals - found) * step
        # Without a grid, or past it, the original is the nearest that is left.
        passed = (step == 0) | ((nearer - originals) * (found - originals) <= 0)
        found[hit] = np.where(passed, originals, nearer)[hit]


class _Numbers(NamedTuple):
    """Columns of numbers, side by side: a table may have a thousand of them.

    Attributes:
        lower: `[numbers]`, where coordinate 0 lies.
        scale: `[numbers]`, what a coordinate is worth.
        step: `[numbers]`, of their grids, 0 for none.
        start: `[numbers]`, a point of each grid.
    """

    lower: np.ndarray
    scale: np.ndarray
    step: np.ndarray
    start: np.ndarray


class _Cells(NamedTuple):
    """Where columns stand in arrays of values: in all of their columns, or one of each row.

    Attributes:
        numbers: of `of_numbers`, entry by entry.
        of_numbers: the index of the numbers.
        of: from the place of a column to its index.
        step: of the grids, wherever the arrays have entries; 0 for none.
    """

    numbers: _Numbers
    of_numbers: Any
    of: Callable[[int], Any]
    step: np.ndarray


_KINDS: dict[str, type[Numeric] | type[Ordinal] | type[Categorical]] = {
    "numeric": Numeric,
    "ordinal": Ordinal,
    "categorical": Categorical,
}


def coding_to_json(coding: TableCoding) -> dict[str, Any]:
    """What a coding consists of, for JSON.

    Args:
        coding: Of a table.

    Returns:
        The "schema" with its "columns", "scaling" and "layout", the "category_values", and
        "missing" where entries may be.

    Examples:
        >>> schema = Schema((Ordinal("size", ("small", "large")),))
        >>> coding = TableCoding(schema, CategoryValues((), (), ()))
        >>> coding_to_json(coding)["schema"]["columns"][0]["categories"]
        ['small', 'large']
        >>> coding_from_json(coding_to_json(coding)) == coding
        True
    """
    schema = _fields(coding.schema) | {"columns": list(map(_of_column, coding.schema.columns))}
    numbers = _fields(coding.category_values)
    missing = {} if coding.missing is None else {"missing": coding.missing}
    return plain({"schema": schema, "category_values": numbers} | missing)


def coding_from_json(given: Any) -> TableCoding:
    """The coding that `coding_to_json` described.

    Args:
        given: What JSON held.

    Returns:
        A coding equal to the one described.

    Raises:
        ValueError: If it describes none.
    """
    try:
        given = _as_tuples(given)
        schema = _exactly(Schema, given["schema"])
        numbers = _exactly(CategoryValues, given["category_values"])
        columns = tuple(map(_to_column, schema.pop("columns")))
        # The classes check what they are given; wrong types stumble over their comparisons.
        coding = Schema(columns, **schema), CategoryValues(**numbers)
        return TableCoding(*coding, given.get("missing"))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(f"this is no description of a table: {error}") from error


def _fields(record: Any) -> dict[str, Any]:
    return {one.name: getattr(record, one.name) for one in fields(record)}


def _as_tuples(given: Any) -> Any:
    """JSON with its lists as tuples, as the classes have them."""
    if isinstance(given, dict):
        return {name: _as_tuples(one) for name, one in given.items()}
    return tuple(map(_as_tuples, given)) if isinstance(given, list) else given


def _exactly(made: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of an object, which must be the fields of a class: no default stands in."""
    expected = {one.name for one in fields(made)}
    if set(given) != expected:
        raise ValueError(
            f"{made.__name__} has the entries {sorted(given)}; expected {sorted(expected)}"
        )
    return dict(given)


# Left out where a column has none, so that files are what they were before there were codes.
_WITHOUT_CODES = {"special": (), "typical": None}


def _of_column(column: Column) -> dict[str, Any]:
    kind = next(name for name, one in _KINDS.items() if isinstance(column, one))
    entries = _fields(column)
    if isinstance(column, Numeric) and not column.special:
        entries = {name: one for name, one in entries.items() if name not in _WITHOUT_CODES}
    return {"kind": kind} | entries


def _to_column(given: Mapping[str, Any]) -> Column:
    entries = dict(given)
    made = _KINDS[entries.pop("kind")]
    if made is Numeric and "special" not in entries:
        entries |= _WITHOUT_CODES
    return made(**_exactly(made, entries))
