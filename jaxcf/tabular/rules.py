"""What each column of a table may become, by name and in original units."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from jaxcf.constraints import Constraints, rows_of
from jaxcf.tabular.coding import TableCoding
from jaxcf.tabular.columns import Categorical, Category, Column, Numeric, Ordinal

_NOWHERE = -1.0


@dataclass(frozen=True, eq=False)
class Rule:
    """What one column may become. Anything may be given for all rows, or as `[n]`, one per row.

    Args:
        lower: least value allowed, in original units; the name of a category for an ordinal
            column. None sets no limit beyond what the training rows span.
        upper: greatest value allowed, likewise.
        frozen: whether the column must keep its value.
        increase_only: whether it may only grow; for numbers and ordinal columns.
        decrease_only: whether it may only fall; likewise.
        allowed: the names of the categories it may have, or a mask `[n, categories]`.

    Examples:
        >>> rules = {"age": Rule(increase_only=True), "job": Rule(allowed=("clerk", "pilot"))}
    """

    lower: Any = None
    upper: Any = None
    frozen: ArrayLike = False
    increase_only: ArrayLike = False
    decrease_only: ArrayLike = False
    allowed: Sequence[Category] | np.ndarray | None = None

    def of_rows(self, rows: Int[np.ndarray, " m"]) -> "Rule":
        """The rule of some of the rows that it is for, any of them as often as it is named.

        Raises:
            ValueError: if it is for fewer rows.

        Examples:
            >>> Rule(lower=[18, 30, 40], increase_only=True).of_rows(np.array([2])).lower.tolist()
            [40]
        """
        chosen: dict[str, Any] = {}
        for name, given in vars(self).items():
            if name == "allowed":  # names of categories are for all rows
                per_row = isinstance(given, np.ndarray) and given.ndim == 2
            else:
                given = np.asarray(given, object if name in ("lower", "upper") else None)
                per_row = given.ndim == 1
            if per_row:
                chosen[name] = rows_of(name, given, rows)
        return replace(self, **chosen)


Rules = Mapping[str, Rule]


class ReadRules(NamedTuple):
    """The rules of some rows, in both units.

    Attributes:
        constraints: in coordinates, for the search.
        lower: `[n, columns]`, least values allowed; the way back keeps to them exactly.
        upper: `[n, columns]`, greatest values allowed.
    """

    constraints: Constraints
    lower: Float[np.ndarray, "n columns"]
    upper: Float[np.ndarray, "n columns"]


def read_rules(
    rules: Rules, coding: TableCoding, values: Float[np.ndarray, "n columns"]
) -> ReadRules:
    """Turn the rules of a table into those of its coordinates.

    Args:
        rules: by column name.
        coding: of the table.
        values: `[n, columns]`, the rows they hold for.

    Returns:
        Constraints and limits of every row.

    Raises:
        ValueError: if a column doesn't exist, or a rule doesn't fit its column or the rows.

    Examples:
        >>> from jaxcf.tabular import Numeric, Schema, fit_category_values
        >>> schema = Schema((Numeric("age", 20, 60, step=1.0),))
        >>> values = np.array([[30.0]])
        >>> coding = TableCoding(schema, fit_category_values(schema, values, method="index"))
        >>> read_rules({"age": Rule(upper=40.5)}, coding, values).upper.tolist()
        [[40.0]]
    """
    columns, n = coding.schema.columns, len(values)
    for name in rules:
        coding.schema.index(name)  # raises where there is no such column
    coordinates = coding.coordinates(values)
    lower, upper = np.fmin(coordinates, 0), np.fmax(coordinates, 1)
    least, most = np.full(values.shape, -np.inf), np.full(values.shape, np.inf)
    masks = {
        name: np.zeros(values.shape, bool) for name in ("frozen", "increase_only", "decrease_only")
    }
    masks["frozen"] |= coding.constant
    levels = np.broadcast_to(coding.levels, (n, *coding.levels.shape))
    for place, column in enumerate(columns):
        rule = rules.get(column.name)
        if rule is None:
            continue
        _check_fits(rule, column)
        for name, mask in masks.items():
            mask[:, place] |= _mask(column, name, getattr(rule, name), n)
        low, high = (_limit(column, name, getattr(rule, name), n) for name in ("lower", "upper"))
        if (low > high).any():
            raise ValueError(
                f"the rule for column {column.name!r} has lower above upper; swap them"
            )
        least[:, place], most[:, place] = low, high
        lower[:, place] = _coordinate(coding, place, low, lower[:, place])
        upper[:, place] = _coordinate(coding, place, high, upper[:, place])
        if rule.allowed is not None:
            levels = levels.copy()
            mask = _allowed(column, rule.allowed, n)
            levels[:, place, : mask.shape[1]][~mask] = np.inf
            # Without any allowed category every row starts outside: a level that none has.
            levels[~mask.any(axis=1), place, 0] = _NOWHERE
    rising = masks["frozen"] | masks["increase_only"]
    falling = masks["frozen"] | masks["decrease_only"]
    inside = (values >= least) & (values <= most)
    # Rows that start outside are never searched: any limits do.
    least = np.where(inside, np.where(rising, values, least), -np.inf)
    most = np.where(inside, np.where(falling, values, most), np.inf)
    grids: dict[str, Any] = {}
    if levels.shape[-1] or coding.steps.any():
        grids["step"] = coding.steps
        grids["levels"] = levels if levels.shape[-1] else None
    return ReadRules(Constraints(lower, upper, **masks, **grids), least, most)


def _check_fits(rule: Rule, column: Column) -> None:
    if isinstance(column, Categorical):
        for name in ("lower", "upper"):
            if getattr(rule, name) is not None:
                raise ValueError(
                    f"column {column.name!r} is categorical and has no order; a rule for it takes "
                    f"allowed= or frozen=, not {name}="
                )
        for name in ("increase_only", "decrease_only"):
            if np.any(getattr(rule, name)):
                raise ValueError(
                    f"column {column.name!r} is categorical and has no order; a rule for it takes "
                    f"allowed= or frozen=, not {name}="
                )
    elif rule.allowed is not None and isinstance(column, Numeric):
        raise ValueError(
            f"column {column.name!r} is numeric; its rule takes lower= and upper=, not allowed="
        )


def _mask(column: Column, name: str, given: Any, n: int) -> np.ndarray:
    mask = np.asarray(given)
    if mask.dtype != bool or mask.shape not in ((), (n,)):
        raise ValueError(
            f"{name} of column {column.name!r} must be True or False, or {n} of them, got "
            f"{mask.dtype} of shape {mask.shape}"
        )
    return mask


def _limit(column: Column, name: str, given: Any, n: int) -> np.ndarray:
    """A limit in the units of the values, on the column's grid."""
    if given is None:
        return np.full(n, -np.inf if name == "lower" else np.inf)
    if isinstance(column, Ordinal):
        given = _ranks(column, given)
    try:
        limit = np.broadcast_to(np.asarray(given, np.float64), n)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} of column {column.name!r} must be a number, or {n} of them, got {given!r}"
        ) from error
    if np.isnan(limit).any():
        raise ValueError(f"{name} of column {column.name!r} holds NaN; leave it out instead")
    if isinstance(column, Numeric) and column.step:
        free = np.full(n, np.inf)
        ends = (limit, free) if name == "lower" else (-free, limit)
        outermost = np.full(n, -np.inf if name == "lower" else np.inf)
        return np.where(np.isinf(limit), limit, column.within(outermost, *ends))
    return limit


def _ranks(column: Ordinal, given: Any) -> np.ndarray:
    places = {category: rank for rank, category in enumerate(column.categories)}
    names = np.asarray(given, object)
    unknown = [one for one in names.ravel().tolist() if one not in places]
    if unknown:
        raise ValueError(
            f"column {column.name!r} has no category {unknown[0]!r}; its categories are "
            f"{', '.join(map(repr, column.categories))}"
        )
    return np.array([places[one] for one in names.ravel().tolist()]).reshape(names.shape)


def _coordinate(coding: TableCoding, place: int, limit: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Where a limit lies in the search space; `free` where there is none."""
    column = coding.schema.columns[place]
    values = np.zeros((len(limit), len(coding.schema.columns)))
    known = np.isfinite(limit)
    if isinstance(column, Numeric):
        values[:, place] = np.where(known, limit, 0)
    else:
        last = len(column.categories) - 1
        values[:, place] = np.clip(np.where(known, limit, 0), 0, last)
    return np.where(known, coding.coordinates(values)[:, place], free)


def _allowed(column: Column, given: Any, n: int) -> np.ndarray:
    assert not isinstance(column, Numeric)
    count = len(column.categories)
    if isinstance(given, np.ndarray) and given.dtype == bool:
        if given.shape not in ((count,), (n, count)):
            raise ValueError(
                f"the mask of allowed categories of column {column.name!r} has shape "
                f"{given.shape}; expected ({count},) or ({n}, {count})"
            )
        return np.broadcast_to(given, (n, count))
    if isinstance(given, str):
        raise ValueError(
            f"allowed of column {column.name!r} must be a collection of categories, got the one "
            f"string {given!r}"
        )
    unknown = [one for one in given if one not in column.categories]
    if unknown:
        raise ValueError(
            f"column {column.name!r} has no category {unknown[0]!r}; its categories are "
            f"{', '.join(map(repr, column.categories))}"
        )
    allowed = np.array([one in given for one in column.categories])
    return np.broadcast_to(allowed, (n, count))
