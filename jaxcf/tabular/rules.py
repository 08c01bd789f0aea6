"""What each column of a table may become, by name and in original units."""

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike

from jaxcf.constraints import Constraints, rows_of
from jaxcf.tabular.coding import TableCoding
from jaxcf.tabular.columns import Categorical, Category, Column, Numeric, Ordinal
from jaxcf.tabular.relations import ReadRelations

_NOWHERE = -1.0
_ENDS = ("lower", "upper")


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
        step: what it may become are multiples of it, for numbers, in original units: 100 for
            hundreds. 0 leaves it to the column, whose integers stay integers. A value that isn't
            changed may lie between, and none changes where no multiple lies within the limits.
        move_in: whether a row that starts outside is moved to the nearest value that the rule
            allows, which counts as a change; else such a row has a status that says so. A value
            that must stay, or that would have to move against its direction, isn't moved.

    Examples:
        >>> rules = {"age": Rule(increase_only=True), "job": Rule(allowed=("clerk", "pilot"))}
    """

    lower: Any = None
    upper: Any = None
    frozen: ArrayLike = False
    increase_only: ArrayLike = False
    decrease_only: ArrayLike = False
    allowed: Iterable[Category] | np.ndarray | None = None
    step: ArrayLike = 0.0
    move_in: ArrayLike = False

    def __post_init__(self) -> None:
        if isinstance(self.allowed, Iterator):  # what can be read only once
            object.__setattr__(self, "allowed", tuple(self.allowed))

    def in_words(self) -> str:
        """What it asks, as the rest of a sentence that begins with the name of the column.

        Returns:
            Nothing where it asks nothing.

        Examples:
            >>> Rule(increase_only=True, upper=65).in_words()
            'may only rise and is at most 65'
            >>> Rule(allowed=("clerk", "pilot")).in_words(), Rule(lower=[18, 30]).in_words()
            ('is clerk or pilot', 'has a lower limit for each row')
        """
        said = [
            "stays as it is" if _one(self.frozen) else "",
            "may only rise" if _one(self.increase_only) else "",
            "may only fall" if _one(self.decrease_only) else "",
            _limits_in_words(self.lower, self.upper),
            _allowed_in_words(self.allowed),
            f"is a multiple of {_one(self.step):.10g}" if _one(self.step) else "",
        ]
        per_row = {
            "stays as it is": self.frozen,
            "may only rise": self.increase_only,
            "may only fall": self.decrease_only,
            "is a multiple of a step of its own": self.step,
        }
        said += [f"{words} in some rows" for words, given in per_row.items() if np.ndim(given)]
        *first, last = [one for one in said if one] or [""]
        return f"{', '.join(first)} and {last}" if first else last

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


def _one(given: ArrayLike) -> Any:
    """What holds for all rows; nothing where each has its own."""
    return None if np.ndim(given) else np.asarray(given).item()


def _limits_in_words(lower: Any, upper: Any) -> str:
    ends = {"lower": lower, "upper": upper}
    per_row = [name for name, end in ends.items() if end is not None and np.ndim(end)]
    if per_row:
        return f"has {' and '.join(f'a {name} limit' for name in per_row)} for each row"
    low, high = (f"{end:.10g}" if isinstance(end, int | float) else end for end in (lower, upper))
    if lower is None:
        return "" if upper is None else f"is at most {high}"
    return f"is at least {low}" if upper is None else f"is between {low} and {high}"


def _allowed_in_words(allowed: Any) -> str:
    if allowed is None:
        return ""
    if isinstance(allowed, np.ndarray) and allowed.ndim == 2:
        return "is one of those that its row allows"
    names = [str(one) for one in allowed] or ["nothing"]
    if isinstance(allowed, Set):  # in no order of its own
        names = sorted(names)
    return f"is {', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else f"is {names[0]}"


class ReadRules(NamedTuple):
    """The rules of some rows, in both units.

    Attributes:
        constraints: in coordinates, for the search.
        lower: `[n, columns]`, least values allowed; the way back keeps to them exactly.
        upper: `[n, columns]`, greatest values allowed.
        steps: `[n, columns]`, whose multiples are allowed; 0 for the column's own step.
        ruled: the names of the columns that the rules speak about.
    """

    constraints: Constraints
    lower: Float[np.ndarray, "n columns"]
    upper: Float[np.ndarray, "n columns"]
    steps: Float[np.ndarray, "n columns"]
    ruled: tuple[str, ...]

    def limits(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Lower, upper and steps of some rows."""
        return self.lower[rows], self.upper[rows], self.steps[rows]


def read_rules(
    rules: Rules,
    coding: TableCoding,
    values: Float[np.ndarray, "n columns"],
    missing: Bool[np.ndarray, "n columns"] | None = None,
    relations: ReadRelations | None = None,
) -> ReadRules:
    """Turn the rules of a table into those of its coordinates.

    Args:
        rules: by column name.
        coding: of the table.
        values: `[n, columns]`, the rows they hold for.
        missing: `[n, columns]`, which of their entries are missing and may be: these stay missing,
            whatever the rules; None for none.
        relations: between the columns; None for none. Rows that break them start outside.

    Returns:
        Constraints and limits of every row.

    Raises:
        TypeError: if the rules are no mapping from names to `Rule`.
        ValueError: if a column doesn't exist, or a rule doesn't fit its column or the rows.

    Examples:
        >>> from jaxcf.tabular import Numeric, Schema, fit_category_values
        >>> schema = Schema((Numeric("age", 20, 60, step=1.0),))
        >>> values = np.array([[30.0]])
        >>> coding = TableCoding(schema, fit_category_values(schema, values, method="index"))
        >>> read_rules({"age": Rule(upper=40.5)}, coding, values).upper.tolist()
        [[40.0]]
    """
    _check_kind(rules, coding)
    columns, n = coding.schema.columns, len(values)
    coordinates = coding.coordinates(values, missing)
    lower, upper = np.fmin(coordinates, 0), np.fmax(coordinates, 1)
    least, most = np.full(values.shape, -np.inf), np.full(values.shape, np.inf)
    masks = {
        name: np.zeros(values.shape, bool) for name in ("frozen", "increase_only", "decrease_only")
    }
    masks["frozen"] |= coding.constant
    levels = np.broadcast_to(coding.levels, (n, *coding.levels.shape))
    steps = np.zeros(values.shape)
    coded = coding.schema.special(values)
    typical = [(one.typical if isinstance(one, Numeric) else None) or 0.0 for one in columns]
    # Limits are for numbers, one of which a code may be replaced by.
    numbers = np.where(coded, typical, values)
    for place, column in enumerate(columns):
        rule = rules.get(column.name)
        if rule is None:
            continue
        _check_fits(rule, column)
        for name, mask in masks.items():
            mask[:, place] |= _mask(column, name, getattr(rule, name), n)
        steps[:, place] = _steps(column, rule.step, n)
        low, high = _limits(column, rule, numbers[:, place], steps[:, place])
        least[:, place], most[:, place] = low, high
        lower[:, place] = _coordinate(coding, place, low, lower[:, place])
        upper[:, place] = _coordinate(coding, place, high, upper[:, place])
        # One limit beyond what the training rows span takes the other end with it.
        if rule.upper is None:
            upper[:, place] = np.fmax(upper[:, place], lower[:, place])
        if rule.lower is None:
            lower[:, place] = np.fmin(lower[:, place], upper[:, place])
        if rule.allowed is not None:
            levels = levels.copy()
            mask = _allowed(column, rule.allowed, n)
            levels[:, place, : mask.shape[1]][~mask] = np.inf
            # Without any allowed category every row starts outside: a level that none has.
            levels[~mask.any(axis=1), place, 0] = _NOWHERE
    if coded.any():
        # A code is kept, where it may not change or has no number to become.
        instead = np.where(coded, _allowed_numbers(coding, numbers, least, most, steps), numbers)
        kept = coded & (np.isnan(instead) | np.any(list(masks.values()), axis=0))
        masks["frozen"] |= kept
        instead = np.where(np.isnan(instead), numbers, instead)
        least, most = np.where(coded, instead, least), np.where(coded, instead, most)
        reached = coding.coordinates(instead)
        lower = np.where(coded, np.fmin(coordinates, reached), lower)
        upper = np.where(coded, np.fmax(coordinates, reached), upper)
        two = np.full((*values.shape, levels.shape[-1]), np.inf, np.float32)
        two[..., 0], two[..., 1] = coordinates, reached
        levels = np.where(coded[:, :, None], two, levels)
    if missing is not None and missing.any():
        masks["frozen"] |= missing
        lower, upper = (np.where(missing, coordinates, end) for end in (lower, upper))
        levels = np.where(missing[:, :, None], np.inf, levels)
    rising = masks["frozen"] | masks["increase_only"]
    falling = masks["frozen"] | masks["decrease_only"]
    inside = (values >= least) & (values <= most) | coded
    # Rows that start outside are never searched: any limits do.
    least = np.where(inside, np.where(rising, values, least), -np.inf)
    most = np.where(inside, np.where(falling, values, most), np.inf)
    # Always of the same kind, so that a first rule with a step compiles nothing anew either.
    step, offset = _coordinate_steps(coding, steps)
    grid = {"step": step, "offset": offset, "levels": levels if levels.shape[-1] else None}
    if relations:
        refused = relations.refuse(values)
        lower = np.where(refused[:, None], coordinates + 1, lower)
        upper = np.where(refused[:, None], coordinates + 1, upper)
    related = None if relations is None else relations.in_coordinates
    constraints = Constraints(lower, upper, **masks, **grid, relations=related)
    return ReadRules(constraints, least, most, steps, tuple(rules))


def _allowed_numbers(
    coding: TableCoding,
    numbers: np.ndarray,
    least: np.ndarray,
    most: np.ndarray,
    steps: np.ndarray,
) -> np.ndarray:
    """The numbers nearest to some that the rules allow; NaN where they allow none."""
    found = numbers.copy()
    for place, column in enumerate(coding.schema.columns):
        if isinstance(column, Numeric) and column.special:
            on_grid = column.on_grid(numbers[:, place], steps[:, place])
            limits = least[:, place], most[:, place]
            found[:, place] = column.within(on_grid, *limits, steps[:, place])
            found[np.isin(found[:, place], column.special), place] = np.nan
    return found


def moved_in(
    rules: Rules, coding: TableCoding, values: Float[np.ndarray, "n columns"]
) -> Float[np.ndarray, "n columns"]:
    """The values that rows start from, where rules move those in that start outside.

    Args:
        rules: by column name.
        coding: of the table.
        values: `[n, columns]`, of the rows.

    Returns:
        The same values but for entries that are moved, each to the nearest one allowed: of
        categories to the one whose learnt number is nearest.

    Raises:
        TypeError: as `read_rules`.
        ValueError: likewise.

    Examples:
        >>> from jaxcf.tabular import Numeric, Schema, fit_category_values
        >>> schema = Schema((Numeric("hours", 10, 60, step=1.0),))
        >>> values = np.array([[30.0], [50.0]])
        >>> coding = TableCoding(schema, fit_category_values(schema, values, method="index"))
        >>> moved_in({"hours": Rule(lower=45, move_in=True)}, coding, values).tolist()
        [[45.0], [50.0]]
    """
    _check_kind(rules, coding)
    n, moved = len(values), values.copy()
    coded = coding.schema.special(values)
    for place, column in enumerate(coding.schema.columns):
        rule = rules.get(column.name)
        if rule is None or not np.any(rule.move_in):
            continue
        _check_fits(rule, column)
        masks = {
            name: np.broadcast_to(_mask(column, name, getattr(rule, name), n), n)
            for name in ("move_in", "frozen", "increase_only", "decrease_only")
        }
        own = values[:, place]
        inside = _nearest_inside(coding, place, rule, own)
        may = masks["move_in"] & ~masks["frozen"] & ~coded[:, place] & np.isfinite(own)
        may &= ~(masks["increase_only"] & (inside < own))
        may &= ~(masks["decrease_only"] & (inside > own))
        moved[:, place] = np.where(may, inside, own)
    return moved


def _nearest_inside(coding: TableCoding, place: int, rule: Rule, own: np.ndarray) -> np.ndarray:
    """The nearest values that a rule allows, of one column of rows; their own where none is."""
    column, n = coding.schema.columns[place], len(own)
    inside = own.copy()
    if not isinstance(column, Categorical):
        low, high = (_limit(column, name, getattr(rule, name), n) for name in _ENDS)
        outside = (own < low) | (own > high)
        if isinstance(column, Numeric):
            nearest = column.within(own, low, high, _steps(column, rule.step, n))
        else:
            nearest = np.clip(own, np.ceil(low), np.floor(high))
        inside = np.where(outside & ~np.isnan(nearest), nearest, own)
    if rule.allowed is None:
        return inside
    allowed = _allowed(column, rule.allowed, n)
    numbers = coding.levels[place, : allowed.shape[1]]
    known = np.where(np.isnan(inside), 0, inside).astype(np.intp)
    distance = np.abs(numbers[None] - numbers[known][:, None])
    nearest = np.where(allowed, distance, np.inf).argmin(axis=1)
    own_allowed = allowed[np.arange(n), known] | ~allowed.any(axis=1) | np.isnan(inside)
    return np.where(own_allowed, inside, nearest)


def _check_kind(rules: Any, coding: TableCoding) -> None:
    if not isinstance(rules, Mapping):
        raise TypeError(
            f"rules must be a mapping from column names to Rule, got a {type(rules).__name__}"
        )
    for name, rule in rules.items():
        coding.schema.index(name)  # raises where there is no such column
        if not isinstance(rule, Rule):
            raise TypeError(
                f"the rule for column {name!r} must be a Rule, such as Rule(frozen=True), got "
                f"{rule!r}"
            )


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
    if np.any(rule.step) and not isinstance(column, Numeric):
        raise ValueError(f"column {column.name!r} holds categories; a step is for numbers")


def _mask(column: Column, name: str, given: Any, n: int) -> np.ndarray:
    mask = np.asarray(given)
    if mask.dtype != bool or mask.shape not in ((), (n,)):
        raise ValueError(
            f"{name} of column {column.name!r} must be True or False, or {n} of them, got "
            f"{mask.dtype} of shape {mask.shape}"
        )
    return mask


def _limits(
    column: Column, rule: Rule, values: np.ndarray, steps: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Both limits in the units of the values, on the column's grid or at a row's own value.

    A row whose value lies within the limits but beside the grid may keep it. Where another step
    than the column's is asked for, what the training rows span is a limit: multiples lie beyond.
    """
    low, high = (_limit(column, name, getattr(rule, name), len(values)) for name in _ENDS)
    if (low > high).any():
        raise ValueError(f"the rule for column {column.name!r} has lower above upper; swap them")
    if not isinstance(column, Numeric):
        return low, high
    free = np.full(len(values), np.inf)
    low = np.where((steps > 0) & np.isinf(low), np.fmin(column.lower, values), low)
    high = np.where((steps > 0) & np.isinf(high), np.fmax(column.upper, values), high)
    with np.errstate(invalid="ignore"):  # NaN lies nowhere
        inside = (values >= low) & (values <= high)
    first = np.where(np.isinf(low), low, column.within(-free, low, free, steps))
    last = np.where(np.isinf(high), high, column.within(free, -free, high, steps))
    return (
        np.where(inside, np.fmin(first, values), low),
        np.where(inside, np.fmax(last, values), high),
    )


def _limit(column: Column, name: str, given: Any, n: int) -> np.ndarray:
    if given is None:
        return np.full(n, -np.inf if name == "lower" else np.inf)
    if isinstance(column, Ordinal):
        given = _ranks(column, given)
    limit = _numbers(column, name, given, n)
    if np.isnan(limit).any():
        raise ValueError(f"{name} of column {column.name!r} holds NaN; leave it out instead")
    if (limit == (np.inf if name == "lower" else -np.inf)).any():
        raise ValueError(
            f"{name} of column {column.name!r} holds {'' if name == 'lower' else '-'}inf, which no "
            "number reaches; for no limit leave it out"
        )
    return limit


def _numbers(column: Column, name: str, given: Any, n: int) -> np.ndarray:
    try:
        return np.broadcast_to(np.asarray(given, np.float64), n)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} of column {column.name!r} must be a number, or {n} of them, got {given!r}"
        ) from error


def _steps(column: Column, given: Any, n: int) -> np.ndarray:
    steps = _numbers(column, "step", given, n)
    if not (np.isfinite(steps) & (steps >= 0)).all():
        raise ValueError(f"step of column {column.name!r} must be 0 or more and finite")
    own = column.step if isinstance(column, Numeric) else 0.0
    count = steps / (own or 1.0)
    if own and (np.abs(count - np.round(count)) > 1e-9 * np.fmax(count, 1)).any():
        raise ValueError(
            f"column {column.name!r} holds multiples of {own:g}; the step of its rule must be one, "
            "or the schema give the column more decimals"
        )
    return steps


def _coordinate_steps(coding: TableCoding, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Steps in the search space, and where in it the multiples of other steps than its own lie."""
    lower, scale = (
        np.array([getattr(one, name, default) for one in coding.schema.columns])
        for name, default in (("lower", 0.0), ("scale", 1.0))
    )
    given = steps > 0
    first = np.ceil(lower / np.where(given, steps, 1.0)) * steps
    step = np.where(given, steps / scale, coding.steps)
    return step, np.where(given, (first - lower) / scale, 0.0)


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
    # Of a column of booleans True and False are names, as its `unique()` has them.
    names = np.ndim(given) == 1 and all(isinstance(one, bool) for one in column.categories)
    if isinstance(given, np.ndarray) and given.dtype == bool and not names:
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
    given = list(given)  # a Series would be asked for its labels
    unknown = [one for one in given if one not in column.categories]
    if unknown:
        raise ValueError(
            f"column {column.name!r} has no category {unknown[0]!r}; its categories are "
            f"{', '.join(map(repr, column.categories))}"
        )
    allowed = np.array([one in given for one in column.categories])
    return np.broadcast_to(allowed, (n, count))
