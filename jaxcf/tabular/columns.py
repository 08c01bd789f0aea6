"""What one column of a table holds: numbers, ordered categories or unordered categories."""

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

Category = str | int | float | bool
Scaling = Literal["unit", "standard", "original"]
CategoricalEncoding = Literal["one-hot", "drop-first", "label"]
OrdinalEncoding = Literal["rank", "unit"]

# Relative to the step: what float64 arithmetic leaves of a number that is a multiple of it, and of
# one that is many times the step.
_GRID_TOLERANCE = 1e-6
_ROUNDING = 4 * float(np.finfo(np.float64).eps)

MOST_DECIMALS = 8


@dataclass(frozen=True)
class Numeric:
    """A column of numbers.

    Args:
        name: Of the column.
        lower: Least value among the training rows.
        upper: Greatest value among the training rows.
        step: Values are multiples of it: 1.0 for whole numbers, 0.01 for numbers with two decimals
            (see `step_of`), 0 for any number. `lower` is moved down and `upper` up to a multiple,
            so that the grid starts at `lower`; a constant column keeps its value.
        mean: Over the training rows; needed where a model takes z-scores.
        deviation: Standard deviation over the training rows; needed where a model takes z-scores.
        special: Codes that stand for something else than numbers, such as -8 for "never": they are
            part of neither limits nor mean. A code is kept, or replaced by `typical`, and no number
            ever becomes one.
        typical: The number that a code may be replaced by, such as the median; None for the middle.

    Raises:
        ValueError: If the limits aren't finite or in order, the step or deviation is negative, a
            code isn't finite or is repeated, or the typical number lies beyond the limits.

    Examples:
        >>> hours = Numeric("hours", 0.5, 39.2, step=1.0)
        >>> hours.lower, hours.upper
        (0.0, 40.0)
        >>> Numeric("months", 1, 60, step=1.0, special=(-8, -9)).typical
        30.0
    """

    name: str
    lower: float
    upper: float
    step: float = 0.0
    mean: float | None = None
    deviation: float | None = None
    special: tuple[float, ...] = ()
    typical: float | None = None

    def __post_init__(self) -> None:
        _check_name(self.name)
        if not (math.isfinite(self.lower) and math.isfinite(self.upper)):
            raise ValueError(
                f"column {self.name!r} runs from {self.lower} to {self.upper}; expected finite "
                "limits"
            )
        if self.lower > self.upper:
            raise ValueError(
                f"column {self.name!r} has lower={self.lower} above upper={self.upper}; expected "
                "lower <= upper"
            )
        if not (math.isfinite(self.step) and self.step >= 0):
            raise ValueError(
                f"column {self.name!r} has step={self.step}; expected 0 for a continuous column or "
                "a positive step"
            )
        if self.mean is not None and not math.isfinite(self.mean):
            raise ValueError(f"column {self.name!r} has mean={self.mean}; expected a finite mean")
        if self.deviation is not None and not (
            math.isfinite(self.deviation) and self.deviation >= 0
        ):
            raise ValueError(
                f"column {self.name!r} has deviation={self.deviation}; expected 0 or more"
            )
        lower, upper = float(self.lower), float(self.upper)
        if self.step and lower < upper:
            lower = float(_multiple(_floor(lower / self.step), self.step))
            upper = float(_multiple(_ceil(upper / self.step), self.step))
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)
        self._check_special()

    def _check_special(self) -> None:
        special = tuple(float(one) for one in self.special)
        if not all(map(math.isfinite, special)) or len(set(special)) < len(special):
            raise ValueError(
                f"column {self.name!r} has the special codes {special}; expected finite numbers, "
                "each once"
            )
        object.__setattr__(self, "special", special)
        if not special:
            if self.typical is not None:
                raise ValueError(
                    f"column {self.name!r} has typical={self.typical} and no special codes, which "
                    "alone it is for; leave it out"
                )
            return
        typical = (self.lower + self.upper) / 2 if self.typical is None else float(self.typical)
        if not self.lower <= typical <= self.upper:
            raise ValueError(
                f"column {self.name!r} has typical={typical}; expected a number from {self.lower} "
                f"to {self.upper}"
            )
        typical = float(self.on_grid(np.array([typical]))[0])
        if typical in special:
            raise ValueError(
                f"column {self.name!r} has the typical number {typical}, which is a special code; "
                "give another"
            )
        object.__setattr__(self, "typical", typical)

    @property
    def span(self) -> float:
        """The distance from `lower` to `upper`; 0 for a constant column."""
        return self.upper - self.lower

    @property
    def scale(self) -> float:
        """What one unit of coordinate is worth: the span, or 1 for a constant column.

        The training rows of a constant column have coordinate 0 either way; with 1, a later row
        that holds another number still reaches the model with that number.
        """
        return self.span or 1.0

    def shift_and_scale(self, scaling: Scaling) -> tuple[float, float]:
        """The model takes (value - shift) / scale.

        Args:
            scaling: "unit", "standard" or "original".

        Returns:
            Shift and scale.

        Raises:
            ValueError: If z-scores are asked for without `mean` and `deviation`.
        """
        if scaling == "unit":
            return self.lower, self.scale
        if scaling == "original":
            return 0.0, 1.0
        if self.mean is None or self.deviation is None:
            raise ValueError(
                f"column {self.name!r} has no mean or no deviation; scaling='standard' needs both"
            )
        return self.mean, self.deviation or 1.0

    @property
    def decimals(self) -> int | None:
        """How many decimals its values have: 0 for whole numbers, None for any number."""
        if not self.step:
            return None
        return next((one for one in range(MOST_DECIMALS + 1) if _has(self.step, one)), None)

    def on_grid(self, values: np.ndarray, steps: np.ndarray | float = 0.0) -> np.ndarray:
        """The nearest point of the grid for each value; the values themselves without a step.

        Args:
            values: `[n]`.
            steps: multiples of another step instead, counted from 0; 0 keeps the column's own.
        """
        return nearest_points(values, *grid_of(self.step, self.grid_start, steps))

    def within(
        self,
        values: np.ndarray,
        lower: np.ndarray,
        upper: np.ndarray,
        steps: np.ndarray | float = 0.0,
    ) -> np.ndarray:
        """Clip to limits, staying on the grid; NaN where no point of it lies between them."""
        return clip_to_points(values, lower, upper, *grid_of(self.step, self.grid_start, steps))

    @property
    def special_coordinates(self) -> tuple[float, ...]:
        """Where its codes lie in the search space: a span below the numbers, which have 0 to 1."""
        # Where no point of the grid does, not even of rows beyond the training rows.
        step = self.step / self.scale
        beside = step / 4 if step > 2.0**-20 else 2.0**-12
        below = (-1 - beside - 0.01 * place for place in range(len(self.special)))
        return tuple(float(np.float32(one)) for one in below)

    @property
    def grid_start(self) -> float:
        """A point of the grid: 0, or the value of a constant column."""
        # Of a column that isn't constant `lower` is a multiple.
        return self.lower if self.span == 0 else 0.0


@dataclass(frozen=True)
class Ordinal:
    """A column of categories in an order: they lie equally far apart.

    Args:
        name: Of the column.
        categories: In order, each once.
        encoding: What the model takes: "rank" (0, 1, 2, ...) or "unit" (the rank scaled to 0..1).

    Raises:
        ValueError: If there is no category, one is repeated or missing, or the encoding is unknown.

    Examples:
        >>> Ordinal("size", ("small", "medium", "large")).codes
        (0.0, 1.0, 2.0)
    """

    name: str
    categories: tuple[Category, ...]
    encoding: OrdinalEncoding = "rank"

    def __post_init__(self) -> None:
        object.__setattr__(self, "categories", _categories(self.name, self.categories))
        _check_choice(self.name, "encoding", self.encoding, get_args(OrdinalEncoding))

    @property
    def codes(self) -> tuple[float, ...]:
        """What the model takes for each category."""
        most = max(len(self.categories) - 1, 1) if self.encoding == "unit" else 1
        return tuple(rank / most for rank in range(len(self.categories)))


@dataclass(frozen=True)
class Categorical:
    """A column of categories without an order: the data decide how far apart they lie.

    Args:
        name: Of the column.
        categories: Each once; a value is an index into them.
        encoding: What the model takes: "one-hot" (a block of one entry per category), "drop-first"
            (the same without the first category, for which all are 0) or "label" (the index).

    Raises:
        ValueError: If there is no category, one is repeated or missing, the encoding is unknown, or
            the only category is dropped.

    Examples:
        >>> Categorical("job", ("clerk", "sailor"), encoding="label").codes
        (0.0, 1.0)
    """

    name: str
    categories: tuple[Category, ...]
    encoding: CategoricalEncoding = "one-hot"

    def __post_init__(self) -> None:
        object.__setattr__(self, "categories", _categories(self.name, self.categories))
        _check_choice(self.name, "encoding", self.encoding, get_args(CategoricalEncoding))
        if self.encoding == "drop-first" and len(self.categories) == 1:
            raise ValueError(
                f"column {self.name!r} has one category, which encoding='drop-first' drops; "
                "expected two or more, or encoding='one-hot'"
            )

    @property
    def codes(self) -> tuple[float, ...]:
        """The label of each category."""
        return tuple(float(index) for index in range(len(self.categories)))


Column = Numeric | Ordinal | Categorical


def is_block(column: Column) -> bool:
    """Whether the model takes the column as a block of entries, 1 for one and 0 for the others."""
    return isinstance(column, Categorical) and column.encoding != "label"


def blocks_entries(column: Categorical) -> slice:
    """Which categories have an entry in the column's block."""
    return slice(1 if column.encoding == "drop-first" else 0, None)


def input_width(column: Column) -> int:
    """How many entries of the model input the column takes."""
    if isinstance(column, Categorical) and is_block(column):
        return len(column.categories[blocks_entries(column)])
    return 1


def is_constant(column: Column) -> bool:
    """Whether the column has one value only, and so can't change."""
    return column.span == 0 if isinstance(column, Numeric) else len(column.categories) == 1


def is_missing(entry: object) -> bool:
    """Whether an entry stands for nothing: None, NaN, pandas' NA or NaT."""
    if isinstance(entry, (float, np.floating)):
        return bool(np.isnan(entry))
    # by name: pandas may not be there, and NA can't be compared
    return entry is None or type(entry).__name__ in ("NAType", "NaTType")


def grid_of(step: Any, start: Any, other: Any) -> tuple[np.ndarray, np.ndarray]:
    """The step and the start of a grid, where other steps may stand for its own.

    Args:
        step: Its own, 0 for none; of any shape, as all that follow.
        start: One of its points.
        other: Other steps, whose multiples are counted from 0; 0 keeps its own.
    """
    given = np.asarray(other) > 0
    return np.where(given, other, step), np.where(given, 0.0, start)


def nearest_points(values: np.ndarray, step: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The nearest points of grids; the values themselves where the step is 0.

    Args:
        values: Of any shape that the others broadcast to.
        step: Of each grid.
        start: A point of it.
    """
    stepped = step > 0
    if not stepped.any():
        return np.array(values)
    step = np.where(stepped, step, 1.0)
    points = start + _multiple(np.round((values - start) / step), step)
    return np.where(stepped, points, values)


def point_beside(
    values: np.ndarray, above: np.ndarray, step: np.ndarray, start: np.ndarray
) -> np.ndarray:
    """The nearest points of grids on one side; the values themselves where the step is 0.

    Args:
        values: Of any shape that the others broadcast to.
        above: Whether the point lies above its value, or on it, rather than below.
        step: Of each grid.
        start: A point of it.
    """
    stepped = step > 0
    step = np.where(stepped, step, 1.0)
    count = (values - start) / step
    point = start + _multiple(np.where(above, _ceil(count), _floor(count)), step)
    return np.where(stepped, point, values)


def clip_to_points(
    values: np.ndarray, lower: np.ndarray, upper: np.ndarray, step: np.ndarray, start: np.ndarray
) -> np.ndarray:
    """Clip to limits, staying on the grids; NaN where no point of one lies between them.

    Args:
        values: On the grids; of any shape that the others broadcast to.
        lower: The least value allowed.
        upper: The greatest.
        step: Of each grid, 0 for none.
        start: A point of it.
    """
    stepped = step > 0
    if not stepped.any():
        return np.clip(values, lower, upper)
    step = np.where(stepped, step, 1.0)
    first, last = _ceil((lower - start) / step), _floor((upper - start) / step)
    lower = np.where(stepped, start + _multiple(first, step), lower)
    upper = np.where(stepped, start + _multiple(last, step), upper)
    return np.where(stepped & (first > last), np.nan, np.clip(values, lower, upper))


def step_of(decimals: int | None) -> float:
    """The step of numbers with so many decimals.

    Args:
        decimals: 0 for whole numbers, at most 8; None for any number.

    Raises:
        TypeError: If it is no whole number.
        ValueError: If it is below 0 or above 8.

    Examples:
        >>> step_of(2), step_of(0), step_of(None)
        (0.01, 1.0, 0.0)
    """
    if decimals is None:
        return 0.0
    if isinstance(decimals, bool) or not isinstance(decimals, (int, np.integer)):
        raise TypeError(
            f"decimals are {decimals!r}; expected a whole number, or None for any number"
        )
    if not 0 <= decimals <= MOST_DECIMALS:
        raise ValueError(f"decimals are {decimals}; expected 0 to {MOST_DECIMALS}, or None")
    return float(f"1e-{decimals}")


def _has(number: float, decimals: int) -> bool:
    shifted = number * 10**decimals
    return bool(round(shifted) and abs(shifted / round(shifted) - 1) < 1e-9)


def _multiple(count: Any, step: Any) -> Any:
    """The number nearest to so many times a step: 0.3, not 3 * 0.1."""
    parts = np.round(1 / np.asarray(step))
    of_one = np.abs(parts * step - 1) < 1e-12
    many = 10.0**MOST_DECIMALS
    shifted = np.round(step * many)
    written = (np.abs(shifted / many / step - 1) < 1e-12) & (step != np.round(step))
    multiple = np.where(written, count * shifted / many, count * step)
    return np.where(of_one, count / np.maximum(parts, 1.0), multiple)


def _slack(count: Any) -> Any:
    return np.clip(np.abs(count) * _ROUNDING, _GRID_TOLERANCE, 0.25)


def _ceil(count: Any) -> Any:
    return np.ceil(count - _slack(count))


def _floor(count: Any) -> Any:
    return np.floor(count + _slack(count))


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name:
        raise ValueError(
            f"a column is named {name!r}; expected a string that isn't empty: give it a name, or "
            "leave it out if it numbers the rows"
        )


def _check_choice(name: str, what: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(
            f"column {name!r} has {what}={value!r}; expected one of {', '.join(choices)}"
        )


def _categories(name: str, given: tuple[Category, ...]) -> tuple[Category, ...]:
    _check_name(name)
    if isinstance(given, str):
        raise ValueError(
            f"column {name!r} has one string, {given!r}, for categories; expected a tuple of them"
        )
    categories = tuple(one.item() if isinstance(one, np.generic) else one for one in given)
    if not categories:
        raise ValueError(f"column {name!r} has no categories; expected one or more")
    if any(is_missing(one) for one in categories):
        raise ValueError(
            f"column {name!r} has a missing entry among its categories; give it a name such as "
            "'missing'"
        )
    # 1, 1.0 and True are one key to Python, and so could not be told apart when a table is read
    if len(set(categories)) < len(categories):
        repeated = next(one for one in categories if categories.count(one) > 1)
        raise ValueError(
            f"column {name!r} has the category {repeated!r} more than once; expected each once"
        )
    return categories
