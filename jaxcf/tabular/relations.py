"""What columns must be to each other, in original units: linear relations and implications."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
from jaxtyping import Bool, Float

from jaxcf.data.written_numbers import is_number_text
from jaxcf.relations import Relations
from jaxcf.tabular.coding import TableCoding
from jaxcf.tabular.columns import (
    Categorical,
    Column,
    Numeric,
    clip_to_points,
    grid_of,
    point_beside,
)
from jaxcf.tabular.schema import Schema

_FORMS = (
    '"a + b <= c", "total == a + b", "2 * a - b >= 10" (numbers), or "if job = pilot then '
    'age >= 21"; a name that holds spaces or signs may stand in double quotes'
)
# What sums of float64 leave, as a share of their terms.
_ROUNDING = 1e-9
# What mends one relation may break another.
_SWEEPS = 4
# Less than two levels of a category are ever apart, in coordinates.
_BESIDE = 1e-6


@dataclass(frozen=True)
class Relation:
    """What columns must be to each other.

    Args:
        text: a linear relation of numbers with `<=`, `>=` or `==`, such as "a + b <= c", or
            "if CONDITION then CONDITION", where a condition compares one column with a number
            (`<=`, `>=`, `==`) or with categories (`= this|that`, `!= this|that`). Names that hold
            spaces or signs may stand in double quotes.
        move_in: whether rows that break it as they are may be explained: what they become keeps to
            it. Else they have a status that says so.

    Examples:
        >>> Relation("if job = pilot then age >= 21").move_in
        False
    """

    text: str
    move_in: bool = False


class Condition(NamedTuple):
    """What one column is.

    Attributes:
        place: of the column.
        lower: it is at least that; a number, or the rank of an ordinal category.
        upper: it is at most that.
        allowed: for categories, which it may be; None for numbers.
        special: the codes of the column that aren't numbers.
    """

    place: int
    lower: float
    upper: float
    allowed: tuple[int, ...] | None
    special: tuple[float, ...] = ()

    def speaks_of(self, values: Float[np.ndarray, "m columns"]) -> Bool[np.ndarray, " m"]:
        """Where the value is neither missing nor a code."""
        value = values[:, self.place]
        return ~np.isnan(value) & ~np.isin(value, self.special)

    def holds(self, values: Float[np.ndarray, "m columns"]) -> Bool[np.ndarray, " m"]:
        """Where it does; nowhere where it doesn't speak of the value."""
        value = values[:, self.place]
        if self.allowed is not None:
            return np.isin(value, self.allowed)
        return (value >= self.lower) & (value <= self.upper) & self.speaks_of(values)


class Implication(NamedTuple):
    """What follows for one column from what another is."""

    condition: Condition
    consequence: Condition

    def holds(self, values: Float[np.ndarray, "m columns"]) -> Bool[np.ndarray, " m"]:
        """Where it does; everywhere where the condition doesn't, or of what isn't spoken of."""
        broken = self.condition.holds(values) & ~self.consequence.holds(values)
        return ~(broken & self.consequence.speaks_of(values))


class Linear(NamedTuple):
    """A sum of weighted columns that must not exceed a limit, or must be it.

    Attributes:
        places: of the columns, in the order in which they follow others.
        weights: of each.
        limit: of the sum.
        equal: whether the sum must be the limit.
        rounding: how much of its terms the sum may be off.
        special: the codes of each column that aren't numbers.
    """

    places: tuple[int, ...]
    weights: tuple[float, ...]
    limit: float
    equal: bool
    rounding: float
    special: tuple[tuple[float, ...], ...]

    def speaks_of(self, values: Float[np.ndarray, "m columns"]) -> Bool[np.ndarray, " m"]:
        """Rows in which all of it are numbers: nothing is missing, and nothing a code."""
        found = np.ones(len(values), bool)
        for place, codes in zip(self.places, self.special, strict=True):
            found &= np.isfinite(values[:, place]) & ~np.isin(values[:, place], codes)
        return found

    def beyond(self, values: Float[np.ndarray, "m columns"]) -> Float[np.ndarray, " m"]:
        """How far the sum lies beyond the limit, or beside it; 0 where that is rounding."""
        terms = values[:, self.places] * np.array(self.weights)
        beyond = terms.sum(axis=1) - self.limit
        allowance = self.rounding * (np.abs(terms).sum(axis=1) + abs(self.limit))
        off = np.abs(beyond) > allowance if self.equal else beyond > allowance
        return np.where(off, beyond, 0.0)

    def holds(self, values: Float[np.ndarray, "m columns"]) -> Bool[np.ndarray, " m"]:
        """Where it does; everywhere where it doesn't speak of the row."""
        return (self.beyond(values) == 0) | ~self.speaks_of(values)


class Room(NamedTuple):
    """Where the values of rows may go.

    Attributes:
        begun: `[m, columns]`, what the search starts from.
        lower: `[m, columns]`, least values allowed.
        upper: `[m, columns]`, greatest values allowed.
        steps: `[m, columns]`, whose multiples are allowed; 0 for the column's own step.
        levels: `[m, columns, most]`, the coordinates of the categories allowed, padded with
            infinity; None where no column has categories.
    """

    begun: Float[np.ndarray, "m columns"]
    lower: Float[np.ndarray, "m columns"]
    upper: Float[np.ndarray, "m columns"]
    steps: Float[np.ndarray, "m columns"]
    levels: Float[np.ndarray, "m columns most"] | None

    def of(self, rows: np.ndarray) -> "Room":
        """Of some of the rows."""
        levels = None if self.levels is None else self.levels[rows]
        begun, lower, upper, steps = (array[rows] for array in self[:4])
        return Room(begun, lower, upper, steps, levels)


@dataclass(frozen=True, eq=False)
class ReadRelations:
    """The relations of a table, with its columns found.

    Made by `read_relations`.

    Args:
        coding: of the table.
        linear: sums of columns.
        implications: what follows from what.
        at_start: those that rows must keep to as they are.
    """

    coding: TableCoding
    linear: tuple[Linear, ...] = ()
    implications: tuple[Implication, ...] = ()
    at_start: tuple[Linear | Implication, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.linear or self.implications)

    def hold(self, values: Float[np.ndarray, "m columns"]) -> Bool[np.ndarray, " m"]:
        """Which rows keep to all of them."""
        return _all_hold((*self.linear, *self.implications), values)

    def refuse(self, values: Float[np.ndarray, "m columns"]) -> Bool[np.ndarray, " m"]:
        """Which rows break, as they are, one that they must keep to."""
        return ~_all_hold(self.at_start, values)

    def mended(
        self,
        values: Float[np.ndarray, "m columns"],
        held: Bool[np.ndarray, "m columns"],
        room: Room,
    ) -> Float[np.ndarray, "m columns"]:
        """Move what may move until all hold, as little as need be.

        What is moved goes back towards where it began before anything goes farther away.

        Args:
            values: `[m, columns]`, of rows that break one.
            held: `[m, columns]`, what must stay as it is.
            room: where the rows may go.

        Returns:
            Values `[m, columns]`; rows that can't be mended break a relation still.
        """
        values = values.copy()
        for _ in range(_SWEEPS):
            for implication in self.implications:
                self._follow(implication, values, held, room)
            for linear in self.linear:
                self._balance(linear, values, held, room)
            if self.hold(values).all():
                break
        return values

    def _balance(self, linear: Linear, values: np.ndarray, held: np.ndarray, room: Room) -> None:
        """Bring the sum onto its limit, column after column, in place."""
        for back in (True, False):
            for place, weight in zip(linear.places, linear.weights, strict=True):
                rows = np.flatnonzero((linear.beyond(values) != 0) & ~held[:, place])
                rows = rows[linear.speaks_of(values[rows])]
                if not len(rows):
                    continue
                column = self.coding.schema.columns[place]
                assert isinstance(column, Numeric)
                own, begun = values[rows, place], room.begun[rows, place]
                move = -linear.beyond(values[rows]) / weight
                grid = grid_of(column.step, column.grid_start, room.steps[rows, place])
                # A sum that must not exceed its limit may lie below; one that must be it may not.
                goal = point_beside(own + move, (move > 0) != linear.equal, *grid)
                if back:  # no farther than where it began
                    goal = np.where((goal - begun) * (own - begun) <= 0, begun, goal)
                    goal = np.where((begun - own) * move > 0, goal, own)
                else:
                    low, high = room.lower[rows, place], room.upper[rows, place]
                    goal = clip_to_points(goal, low, high, *grid)
                stays = np.isnan(goal) | np.isin(goal, column.special)
                stays |= (goal - own) * move < 0
                values[rows, place] = np.where(stays, own, goal)

    def _follow(
        self, implication: Implication, values: np.ndarray, held: np.ndarray, room: Room
    ) -> None:
        """Do what follows, or take back what it follows from, in place."""
        condition, consequence = implication
        rows = np.flatnonzero(~implication.holds(values) & ~held[:, consequence.place])
        if len(rows):
            values[rows, consequence.place] = self._nearest(
                consequence, values[rows], room.of(rows)
            )
        rows = np.flatnonzero(~implication.holds(values) & ~held[:, condition.place])
        if len(rows):
            back = ~condition.holds(room.begun[rows])
            rows = rows[back]
            values[rows, condition.place] = room.begun[rows, condition.place]

    def _nearest(self, one: Condition, values: np.ndarray, room: Room) -> np.ndarray:
        """The nearest values that a condition allows; their own where there is none."""
        place = one.place
        column, own = self.coding.schema.columns[place], values[:, place]
        low = np.fmax(room.lower[:, place], one.lower)
        high = np.fmin(room.upper[:, place], one.upper)
        if isinstance(column, Numeric):
            steps = room.steps[:, place]
            there = column.within(column.on_grid(own, steps), low, high, steps)
            keeps = np.isnan(there) | np.isin(there, column.special) | np.isin(own, column.special)
            return np.where(keeps, own, there)
        numbers = self.coding.levels[place, : len(column.categories)]
        index = np.arange(len(numbers))
        may = room.lower[:, [place]] < room.upper[:, [place]]
        allowed = np.isin(index, one.allowed or ()) & may
        if not isinstance(column, Categorical):
            allowed &= (index >= low[:, None]) & (index <= high[:, None])
        if room.levels is not None:
            among = room.levels[:, place]
            allowed &= (numbers.astype(np.float32)[None, :, None] == among[:, None]).any(axis=2)
        distance = np.abs(numbers - numbers[np.nan_to_num(own).astype(np.intp)][:, None])
        nearest = np.where(allowed, distance, np.inf).argmin(axis=1)
        return np.where(allowed.any(axis=1), nearest, own)

    @property
    def in_coordinates(self) -> Relations | None:
        """The same for the search; None where there are none."""
        if not self:
            return None
        columns = self.coding.schema.columns
        most = max((len(one.places) for one in self.linear), default=1)
        feature = np.zeros((len(self.linear), most), np.int32)
        weight = np.zeros((len(self.linear), most), np.float32)
        limit = np.zeros(len(self.linear), np.float32)
        equal = np.array([one.equal for one in self.linear], bool)
        for row, one in enumerate(self.linear):
            numbers = [columns[place] for place in one.places]
            scales = np.array([number.scale for number in numbers if isinstance(number, Numeric)])
            begin = np.array([number.lower for number in numbers if isinstance(number, Numeric)])
            weights = np.array(one.weights)
            # Of the length of its normal: else a limit of millions would be lost in float32.
            length = np.linalg.norm(weights * scales)
            feature[row, : len(numbers)] = one.places
            weight[row, : len(numbers)] = weights * scales / length
            limit[row] = (one.limit - weights @ begin) / length
        pairs = [
            (begin, end, implication)
            for implication in self.implications
            for begin, end in self._intervals(implication.condition)
        ]
        num_levels = max(1, self.coding.levels.shape[-1])
        levels = np.full((len(pairs), num_levels), np.inf, np.float32)
        ends = np.array([[-np.inf, np.inf]] * len(pairs), np.float32).reshape(-1, 2)
        for row, (_, _, implication) in enumerate(pairs):
            consequence = implication.consequence
            if consequence.allowed is not None:
                kept = self.coding.levels[consequence.place, list(consequence.allowed)]
                levels[row, : len(kept)] = kept
            else:
                ends[row] = self._ends(consequence)
        implications = (
            np.array([implication.condition.place for _, _, implication in pairs], np.int32),
            *np.array([pair[:2] for pair in pairs], np.float32).reshape(-1, 2).T,
            np.array([implication.consequence.place for _, _, implication in pairs], np.int32),
            *ends.T,
            levels,
        )
        return Relations(*cast(Any, (feature, weight, limit, equal, *implications)))

    def _intervals(self, one: Condition) -> list[tuple[float, float]]:
        """Where a condition holds, in coordinates."""
        if one.allowed is None:
            return [self._ends(one)]
        levels = self.coding.levels[one.place, list(one.allowed)]
        return [(level - _BESIDE, level + _BESIDE) for level in levels.tolist()]

    def _ends(self, one: Condition) -> tuple[float, float]:
        column = self.coding.schema.columns[one.place]
        assert isinstance(column, Numeric)
        lower, upper = ((end - column.lower) / column.scale for end in (one.lower, one.upper))
        # Codes lie below all numbers.
        return max(lower, -0.5 if column.special else -np.inf), upper


def read_relations(
    relations: Iterable[str | Relation] | None,
    coding: TableCoding,
    types: Sequence[np.dtype | None] = (),
) -> ReadRelations:
    """Read relations, and find their columns.

    Args:
        relations: texts, or such that say more; None for none.
        coding: of the table.
        types: in which the table holds the numbers of each column, where that is narrower than
            float64.

    Returns:
        What tells whether rows keep to them, and mends what doesn't.

    Raises:
        TypeError: if one is neither a text nor a `Relation`.
        ValueError: if one can't be read, names no column or category, or doesn't fit its column.

    Examples:
        >>> from jaxcf.tabular import Numeric, Schema, fit_category_values
        >>> schema = Schema((Numeric("part", 0, 9, step=1.0), Numeric("whole", 0, 9, step=1.0)))
        >>> values = np.array([[3.0, 5.0], [6.0, 5.0]])
        >>> coding = TableCoding(schema, fit_category_values(schema, values, method="index"))
        >>> read_relations(["part <= whole"], coding).hold(values).tolist()
        [True, False]
    """
    if isinstance(relations, (str, Relation)) or not isinstance(relations, Iterable | None):
        raise TypeError(
            f"relations must be a list of texts or of Relations, got {relations!r}; put one into "
            "brackets"
        )
    linear, implications, at_start = [], [], []
    for given in relations or ():
        relation = Relation(given) if isinstance(given, str) else given
        if not isinstance(relation, Relation):
            raise TypeError(
                f"a relation must be a text or a Relation, got {given!r}; expected {_FORMS}"
            )
        if not isinstance(relation.text, str):
            raise TypeError(f"a Relation must have a text, got {relation.text!r}; try {_FORMS}")
        found = _read(relation.text, coding.schema, types)
        for one in found:
            (linear if isinstance(one, Linear) else implications).append(one)
        if not relation.move_in:
            at_start += found
    return ReadRelations(coding, tuple(linear), tuple(implications), tuple(at_start))


def _all_hold(relations: tuple[Linear | Implication, ...], values: np.ndarray) -> np.ndarray:
    kept = np.ones(len(values), bool)
    for one in relations:
        kept &= one.holds(values)
    return kept


# Ahead of it are whole pairs of quotes: names and categories in quotes may hold any sign.
_OUTSIDE_QUOTES = r'(?=(?:[^"]*"[^"]*")*[^"]*$)'


def _read(
    text: str, schema: Schema, types: Sequence[np.dtype | None]
) -> list[Linear | Implication]:
    parts = re.fullmatch(rf"\s*if\s+(.+?)\s+then\s+{_OUTSIDE_QUOTES}(.+?)\s*", text)
    if parts is None:
        return [_linear(text, schema, types)]
    return [Implication(*(_condition(text, part, schema, types) for part in parts.groups()))]


# --- one column ----------------------------------------------------------------------------------


def _condition(text: str, part: str, schema: Schema, types: Sequence[np.dtype | None]) -> Condition:
    parts = re.fullmatch(rf"({_names(schema)})\s*(<=|>=|==|!=|=)\s*(.+)", part)
    if parts is None:
        raise ValueError(
            f"the relation {text!r} has {part!r}, which compares no column with a value by <=, >=, "
            f"= or !=; there are {', '.join(map(repr, schema.names))}"
        )
    name, sign, value = parts.group(1).strip('"'), parts.group(2), parts.group(3).strip()
    place = schema.index(name)
    column = schema.columns[place]
    if isinstance(column, Numeric):
        number = _number(text, column, value)
        if sign == "!=":
            raise ValueError(
                f"the relation {text!r} has != for column {name!r}, which holds numbers; use <=, "
                ">= or =="
            )
        narrow = types[place] if types else None
        if narrow is not None:  # as the column holds it: its 0.7 isn't that of float64
            number = float(narrow.type(number))
        lower = -np.inf if sign == "<=" else number
        upper = np.inf if sign == ">=" else number
        return Condition(place, lower, upper, None, column.special)
    return Condition(place, -np.inf, np.inf, _chosen(text, column, sign, value))


def _number(text: str, column: Column, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise ValueError(
            f"the relation {text!r} compares column {column.name!r} with {value!r}, which is no "
            "number"
        )
    return number


def _chosen(text: str, column: Column, sign: str, value: str) -> tuple[int, ...]:
    """Which categories a comparison allows."""
    assert not isinstance(column, Numeric)
    named = {str(one): index for index, one in enumerate(column.categories)}
    given = [one.strip().strip('"') for one in re.split(rf"\|{_OUTSIDE_QUOTES}", value)]
    unknown = [one for one in given if one not in named]
    if unknown:
        raise ValueError(
            f"the relation {text!r} names {unknown[0]!r}, which is no category of column "
            f"{column.name!r}; it has {', '.join(named)}"
        )
    chosen = [named[one] for one in given]
    if sign in ("=", "=="):
        return tuple(sorted(chosen))
    if sign == "!=":
        return tuple(index for index in named.values() if index not in chosen)
    if isinstance(column, Categorical) or len(chosen) > 1:
        raise ValueError(
            f"the relation {text!r} has {sign} for column {column.name!r}, whose categories have "
            "no order, or for several of them; use = or !="
        )
    rank = chosen[0]
    return tuple(i for i in named.values() if (i <= rank if sign == "<=" else i >= rank))


# --- sums ----------------------------------------------------------------------------------------


def _linear(text: str, schema: Schema, types: Sequence[np.dtype | None]) -> Linear:
    sides = re.split(r"(<=|>=|==|=|<|>)", _without_quoted(text, schema))
    if len(sides) != 3 or sides[1] in "<>":
        raise ValueError(
            f"{text!r} is no relation; expected one <=, >= or == between two sums of columns: "
            f"{_FORMS}"
        )
    left, right = (_sum(text, side, schema) for side in (sides[0], sides[2]))
    sign = -1.0 if sides[1] == ">=" else 1.0
    weights = dict(left[0])
    for place, weight in right[0].items():
        weights[place] = weights.get(place, 0.0) - weight
    weights = {place: sign * weight for place, weight in weights.items() if weight}
    if not weights:
        raise ValueError(f"the relation {text!r} names no column; expected {_FORMS}")
    for place in weights:
        if not isinstance(schema.columns[place], Numeric):
            raise ValueError(
                f"the relation {text!r} adds up column {schema.names[place]!r}, which holds "
                'categories; expected numbers, or "if ... then ..."'
            )
    equal = sides[1][0] == "="
    numbers = {place: schema.columns[place] for place in weights}

    def follows(place: int) -> tuple[bool, float]:
        """A column that is the sum of others follows first, else what has the longest lever."""
        column = numbers[place]
        assert isinstance(column, Numeric)
        alone = equal and any(set(side[0]) == {place} for side in (left, right))
        return not alone, -abs(weights[place]) * column.scale

    places = tuple(sorted(weights, key=follows))
    kinds = [types[place] for place in places] if types else []
    narrow = [float(np.finfo(kind).eps) for kind in kinds if kind is not None]
    return Linear(
        places,
        tuple(weights[place] for place in places),
        sign * (right[1] - left[1]),
        equal,
        max([_ROUNDING, *narrow]),
        tuple(getattr(numbers[place], "special", ()) for place in places),
    )


def _sum(text: str, side: str, schema: Schema) -> tuple[dict[int, float], float]:
    """The weights of a sum's columns, and what it has besides."""
    weights: dict[int, float] = {}
    constant, rest, first = 0.0, side.strip(), True
    number = r"\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+"
    term = re.compile(
        rf"\s*(?P<sign>[+-])?\s*(?:(?P<times>{number})\s*\*\s*)?"
        rf"(?:(?P<name>{_names(schema, numbers=False)}|\0\d+\0)|(?P<number>{number}))\s*(?=[+-]|$)"
    )
    while rest:
        found = term.match(rest)
        if found is None or not (first or found["sign"]) or (found["times"] and found["number"]):
            shown = re.sub(r"\0(\d+)\0", lambda one: f'"{schema.names[int(one[1])]}"', rest)
            raise ValueError(
                f"the relation {text!r} has {shown!r}, which is no sum of columns; there are "
                f"{', '.join(map(repr, schema.names))}. Expected {_FORMS}"
            )
        signed = -1.0 if found["sign"] == "-" else 1.0
        if found["number"]:
            constant += signed * float(found["number"])
        else:
            place = _place(found["name"], schema)
            weights[place] = weights.get(place, 0.0) + signed * float(found["times"] or 1)
        if not np.isfinite([constant, *weights.values()]).all():
            raise ValueError(f"the relation {text!r} has a number that is too large for float64")
        rest, first = rest[found.end() :], False
    if first:
        raise ValueError(f"the relation {text!r} has an empty side; expected {_FORMS}")
    return weights, constant


def _names(schema: Schema, *, numbers: bool = True) -> str:
    """A pattern of the names of columns, the longest first: names may hold each other.

    Args:
        schema: of the table.
        numbers: whether a number without quotes may be a name, too.
    """
    longest = sorted(schema.names, key=len, reverse=True)
    plain = [one for one in longest if numbers or not is_number_text(one)]
    quoted = [rf'"{re.escape(one)}"' for one in longest]
    return "|".join([*quoted, *(rf"{re.escape(one)}(?!\w)" for one in plain)])


def _without_quoted(text: str, schema: Schema) -> str:
    """The same with the numbers of columns for names in quotes, which may hold any sign."""

    def found(match: re.Match[str]) -> str:
        if match[1] not in schema.names:
            raise ValueError(
                f"the relation {text!r} names {match[1]!r}, and there is no such column; there are "
                f"{', '.join(map(repr, schema.names))}"
            )
        return f"\0{schema.index(match[1])}\0"

    return re.sub(r'"([^"]*)"', found, text)


def _place(name: str, schema: Schema) -> int:
    if name.startswith("\0"):
        return int(name.strip("\0"))
    return schema.index(name.strip('"'))
