"""What a counterfactual may be: ranges, frozen features, directions, steps and allowed values.

The caller states rules per feature or per instance (`Constraints`); `resolve` fits them to the
rows, and the search takes each row's feasible set as traced values: other rules compile nothing
anew. `snap` is the one place where a point is brought onto them.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpy.typing import ArrayLike

from jaxcf.relations import Relations, implied, project

# What float32 leaves of a bound, an offset and a count of steps, in units of the largest of them;
# no more than this share of a step, or steps that float32 can't tell apart would all be one.
_ROUNDING = 4 * np.float32(np.finfo(np.float32).eps)
_MOST_OF_A_STEP = np.float32(0.05)

Range = tuple[Any, Any]


class Grid(NamedTuple):
    """The values that the features of one instance may take, where not all within the range.

    Attributes:
        step: `[*shape]`, the feature takes multiples of it, beside the offset; 0 for any value.
        offset: `[*shape]`, where the multiples are counted from.
        levels: `[*shape, most]`, the feature takes one of these; padded with infinity, which alone
            means any value.
        relations: between the features, if there are any.
    """

    step: Float[Array, "*shape"]
    offset: Float[Array, "*shape"]
    levels: Float[Array, "*shape most"]
    relations: Relations | None = None

    @classmethod
    def shapes(
        cls, shape: tuple[int, ...], num_levels: int, relations: Relations | None = None
    ) -> "Grid":
        """What the grid of one instance consists of, without values: shapes and types.

        Args:
            shape: `*shape`.
            num_levels: the most values a feature is held to.
            relations: between the features, if there are any.
        """
        point: Any = jax.ShapeDtypeStruct(shape, jnp.float32)
        levels: Any = jax.ShapeDtypeStruct((*shape, num_levels), jnp.float32)
        return cls(point, point, levels, relations and relations.shapes)


def snap(
    point: Float[Array, "*shape"],
    original: Float[Array, "*shape"],
    lower: Float[Array, "*shape"],
    upper: Float[Array, "*shape"],
    grid: Grid | None,
) -> Float[Array, "*shape"]:
    """The feasible point nearest to a point of ONE instance, feature by feature.

    Where features have relations to each other, first onto these; the grid may then lead half a
    step off them.

    Args:
        point: `[*shape]`.
        original: `[*shape]`; a feature that has no other feasible value keeps this one.
        lower: `[*shape]`, the smallest allowed values.
        upper: `[*shape]`, the largest allowed values.
        grid: the values that features may take, or None where any within the range will do.

    Returns:
        `[*shape]`.

    Examples:
        >>> import jax.numpy as jnp
        >>> x = jnp.array([0.5, 0.0])
        >>> levels = jnp.array([[jnp.inf] * 2, [0.0, 0.8]])
        >>> grid = Grid(jnp.array([0.25, 0.0]), jnp.zeros(2), levels)
        >>> [round(v, 2) for v in snap(jnp.full(2, 0.8), x, x - 1, x + 1, grid).tolist()]
        [0.75, 0.8]
    """
    clipped = jnp.clip(point, lower, upper)
    if grid is None:
        return clipped
    if grid.relations is None:
        return _on_grid(point, clipped, original, lower, upper, grid)
    together = project(clipped, lower, upper, grid.relations)
    there = _on_grid(together, together, original, lower, upper, grid)
    lower, upper, levels = implied(there, lower, upper, grid.levels, grid.relations)
    narrower = grid._replace(levels=levels)
    clipped = jnp.clip(together, lower, upper)
    return _on_grid(together, clipped, original, lower, upper, narrower)


def _on_grid(point: Any, clipped: Any, original: Any, lower: Any, upper: Any, grid: Grid) -> Any:
    """The point of a grid nearest to a point, which is also given clipped to its bounds."""
    step = jnp.where(grid.step > 0, grid.step, 1.0)
    slack = _slack(jnp, lower, upper, grid.offset, step)
    first = jnp.ceil((lower - grid.offset) / step - slack)
    last = jnp.floor((upper - grid.offset) / step + slack)
    count = jnp.clip(jnp.round((clipped - grid.offset) / step), first, last)
    multiple = jnp.clip(grid.offset + count * step, lower, upper)
    own = (first > last) | (jnp.abs(multiple - original) < slack * step)
    stepped = jnp.where(own, original, multiple)

    # Two plain reductions: XLA's CPU backend takes ten times as long for one that finds a place.
    away = jnp.abs(clipped[..., None] - grid.levels)
    as_near = ~(away > jnp.min(away, axis=-1, keepdims=True))  # any level is, to NaN
    level = jnp.min(jnp.where(as_near, grid.levels, jnp.inf), axis=-1)
    has_levels = jnp.any(jnp.isfinite(grid.levels), axis=-1)
    snapped = jnp.where(grid.step > 0, stepped, clipped)
    return jnp.where(point == original, original, jnp.where(has_levels, level, snapped))


def _slack(numpy: Any, lower: Any, upper: Any, offset: Any, step: Any) -> Any:
    """By what share of a step a multiple may lie beyond a bound, or beside a value, for rounding.

    Args:
        numpy: the arrays' own functions, numpy or `jax.numpy`.
        lower: of any shape, as all that follow.
        upper: likewise.
        offset: likewise.
        step: above 0.
    """
    largest = numpy.maximum(numpy.maximum(abs(lower), abs(upper)), abs(offset))
    return numpy.minimum(_ROUNDING * largest / step, _MOST_OF_A_STEP)


@dataclass(frozen=True, eq=False)
class Constraints:
    """What counterfactuals may be, in the units of the rows; every counterfactual obeys all of it.

    Where an explainer has a `preprocess`, these are pixels.

    Everything is None (no such rule), or an array for all rows (`*shape`, or what broadcasts to
    it) or for each its own (`[n, *shape]`). All of it is traced: other values compile nothing anew.

    Args:
        lower: smallest allowed values; None keeps the explainer's range.
        upper: largest allowed values.
        frozen: true where a feature must keep its value.
        increase_only: true where a feature may only grow.
        decrease_only: true where a feature may only fall.
        step: features take multiples of it, such as 1 for whole numbers or 1/255 for images in 8
            bits; 0 for any value. A feature that doesn't change keeps its value, on the grid or
            not, and so does one that has no multiple between its bounds. To the rounding of
            float32.
        offset: what multiples of `step` are counted from; None is 0.
        levels: `[*shape, most]` or `[n, *shape, most]`, the values a feature may take, padded with
            infinity; only infinities allow any.
        relations: between the features, for all rows; the search keeps to them but for float32's
            rounding and half a step, and the final form of the rows exactly.

    Raises:
        ValueError: if an array holds NaN, a bound exceeds the other, a step is negative, a step or
            an offset is infinite, or there is no level.

    Examples:
        >>> rules = Constraints(lower=0.0, upper=1.0, frozen=[True, False], step=[0.0, 0.5])
    """

    lower: ArrayLike | None = None
    upper: ArrayLike | None = None
    frozen: ArrayLike | None = None
    increase_only: ArrayLike | None = None
    decrease_only: ArrayLike | None = None
    step: ArrayLike | None = None
    offset: ArrayLike | None = None
    levels: ArrayLike | None = None
    relations: Relations | None = None

    def __post_init__(self) -> None:
        for name in ("lower", "upper", "step", "offset", "levels"):
            given = getattr(self, name)
            if given is not None and np.isnan(_numbers(name, given)).any():
                raise ValueError(f"{name} holds NaN; leave a rule out by passing None")
        for name in ("frozen", "increase_only", "decrease_only"):
            given = getattr(self, name)
            if given is not None and np.asarray(given).dtype != bool:
                raise ValueError(
                    f"{name} must hold True or False per feature, got {np.asarray(given).dtype}"
                )
        for name in ("step", "offset"):
            given = getattr(self, name)
            if given is not None and np.isinf(_numbers(name, given)).any():
                raise ValueError(
                    f"{name} must be finite everywhere (in float32), got {given!r}; only lower, "
                    "upper and levels may be infinite"
                )
        if self.levels is not None and np.shape(self.levels)[-1:] == (0,):
            raise ValueError(
                f"levels has shape {np.shape(self.levels)}, which leaves no value to take; pass "
                "one level at least, or infinity for any value"
            )
        if self.step is not None and (_numbers("step", self.step) < 0).any():
            raise ValueError("step must be >= 0 everywhere; 0 allows any value")
        if self.offset is not None and self.step is None:
            raise ValueError("offset says where a step is counted from; pass step as well")

    def of_rows(self, rows: Int[np.ndarray, " m"], shape: tuple[int, ...]) -> "Constraints":
        """The rules of some of the rows that these are for.

        Args:
            rows: `[m]`, any of them as often as it is named.
            shape: `*shape` of one instance.

        Returns:
            The same rules where all rows share them, else those of each.

        Raises:
            ValueError: if there are rules for fewer rows.

        Examples:
            >>> rules = Constraints(lower=[[0.0], [0.1], [0.2]], step=[0.5])
            >>> rules.of_rows(np.array([2, 0]), (1,)).lower.tolist()
            [[0.2], [0.0]]
        """
        given = {
            name: np.asarray(one)
            for name, one in vars(self).items()
            if one is not None and name != "relations"
        }
        shared = {name: len(shape) + (name == "levels") for name in given}
        return replace(
            self,
            **{
                name: rows_of(name, array, rows) if array.ndim > shared[name] else array
                for name, array in given.items()
            },
        )


def check_are_constraints(given: object) -> None:
    """Check that rules were given as such, or none.

    Raises:
        TypeError: if they are something else.
    """
    if not (given is None or isinstance(given, Constraints)):
        raise TypeError(
            f"constraints must be Constraints, got {type(given).__name__}; pass "
            "Constraints(lower=...), say"
        )


def rows_of(name: str, given: np.ndarray, rows: Int[np.ndarray, " m"]) -> np.ndarray:
    """The entries of some rows, from an array of one for each or of one for all.

    Raises:
        ValueError: if it has entries for fewer rows.
    """
    if len(given) == 1:
        return given[np.zeros(len(rows), int)]
    if len(rows) and rows.max() >= len(given):
        raise ValueError(
            f"{name} is for {len(given)} rows, and there is a row {rows.max()}; pass what "
            "explain was given for these explanations"
        )
    return given[rows]


class Feasible(NamedTuple):
    """What each of some rows may become.

    Attributes:
        lower: `[n, *shape]`.
        upper: `[n, *shape]`.
        grid: of `[n, ...]` arrays, or None where no feature is held to one.
        outside: `[n]`, rows that break the rules as they are.
        fixed: `[n]`, rows that have no other feasible value in any feature.
    """

    lower: Float[np.ndarray, "n *shape"]
    upper: Float[np.ndarray, "n *shape"]
    grid: Grid | None
    outside: Bool[np.ndarray, " n"]
    fixed: Bool[np.ndarray, " n"]


class FeatureRange(NamedTuple):
    """Smallest and largest values where a call states no others.

    Attributes:
        lower: broadcasts to `*shape`.
        upper: likewise.
        strict: whether rows outside it are refused; else they may keep their own values.
    """

    lower: ArrayLike
    upper: ArrayLike
    strict: bool


def range_of(given: Range | None, x_train: np.ndarray) -> FeatureRange:
    """The range asked for; else what the training rows span.

    Args:
        given: lower and upper, or None.
        x_train: `[n, *shape]`, n >= 1.

    Returns:
        The range: where none is given, of all features together for images and of each by itself
        for rows `[n, features]`, and not strict.

    Raises:
        ValueError: if the range that is given is none, see `check_range`.

    Examples:
        >>> range_of(None, np.array([[0.0, 5.0], [1.0, 3.0]])).upper.tolist()
        [1.0, 5.0]
    """
    if given is not None:
        return FeatureRange(*check_range(given, x_train.shape[1:]), strict=True)
    axes = 0 if x_train.ndim == 2 else None
    return FeatureRange(x_train.min(axis=axes), x_train.max(axis=axes), strict=False)


@dataclass(frozen=True, eq=False)
class FeasibleSets:
    """The rules of one call over its rows, as views: only `of` makes arrays, for the rows asked.

    Made by `resolve`.
    """

    x: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    strict: tuple[bool, bool]
    frozen: np.ndarray
    increase_only: np.ndarray
    decrease_only: np.ndarray
    step: np.ndarray | None
    offset: np.ndarray | None
    levels: np.ndarray | None
    relations: Relations | None

    @property
    def grid_shapes(self) -> Grid | None:
        """The grid of one row, as shapes and types; None where no feature is held to one."""
        if self.levels is None:
            return None
        return Grid.shapes(self.x.shape[1:], self.levels.shape[-1], self.relations)

    def repeat(self, rows: np.ndarray) -> "FeasibleSets":
        """The rules of the given rows, any of them as often as it is named."""
        arrays = {
            name: value[rows] for name, value in vars(self).items() if isinstance(value, np.ndarray)
        }
        return replace(self, **arrays)

    def of(self, rows: Any) -> Feasible:
        """Bounds and grids of the given rows."""
        x, lower, upper = self.x[rows], self.lower[rows], self.upper[rows]
        outside = np.zeros(x.shape, bool)
        strict_below, strict_above = self.strict
        with np.errstate(invalid="ignore"):
            outside |= (x < lower) if strict_below else False
            outside |= (x > upper) if strict_above else False
        # A row that may lie outside keeps its own value, or moves towards the range.
        lower = lower if strict_below else np.fmin(lower, x)
        upper = upper if strict_above else np.fmax(upper, x)
        lower = np.where(self.frozen[rows] | self.increase_only[rows], x, lower)
        upper = np.where(self.frozen[rows] | self.decrease_only[rows], x, upper)
        fixed = lower == upper
        grid = None
        if self.step is not None and self.offset is not None and self.levels is not None:
            levels = self.levels[rows]
            own = levels == x[..., None]
            within = (levels >= lower[..., None]) & (levels <= upper[..., None])
            has_levels = np.isfinite(levels).any(axis=-1)
            outside |= has_levels & ~own.any(axis=-1)
            levels = np.where(within | own, levels, np.inf).astype(np.float32, copy=False)
            fixed |= has_levels & (own | np.isinf(levels)).all(axis=-1)
            fixed |= ~has_levels & _only_own(x, lower, upper, self.step[rows], self.offset[rows])
            step, offset = self.step[rows], self.offset[rows]
            relations = self.relations and self.relations.of_rows(len(x))
            grid = Grid(*cast(Any, (step, offset, levels, relations)))
        axes = tuple(range(1, x.ndim))
        return Feasible(
            lower.astype(np.float32, copy=False),
            upper.astype(np.float32, copy=False),
            grid,
            np.asarray(outside.any(axis=axes)),
            np.asarray(fixed.all(axis=axes)),
        )


def _only_own(
    x: np.ndarray, lower: np.ndarray, upper: np.ndarray, step: np.ndarray, offset: np.ndarray
) -> np.ndarray:
    """Which features have a step, of which no multiple lies between the bounds but their own."""
    stepped = step > 0
    step = np.where(stepped, step, np.float32(1))
    with np.errstate(invalid="ignore"):  # rows may hold NaN
        slack = _slack(np, lower, upper, offset, step)
        first = np.ceil((lower - offset) / step - slack)
        last = np.floor((upper - offset) / step + slack)
        own = (first == last) & (np.abs(offset + first * step - x) < slack * step)
    return stepped & ((first > last) | own)


def resolve(
    constraints: Constraints | None, feature_range: FeatureRange, x: Float[np.ndarray, "n *shape"]
) -> FeasibleSets:
    """The rules of one call, checked against its rows.

    Args:
        constraints: of this call, or None.
        feature_range: the explainer's, where the call states no range.
        x: `[n, *shape]`, the rows to be explained; they may hold NaN.

    Returns:
        What gives the feasible set of any of the rows.

    Raises:
        ValueError: if an array doesn't fit the rows, or a lower bound exceeds an upper one.

    Examples:
        >>> import numpy as np
        >>> everywhere = FeatureRange(np.float32(0), np.float32(1), strict=True)
        >>> x = np.array([[0.25, 0.75]], np.float32)
        >>> resolve(Constraints(increase_only=[True, False]), everywhere, x).of([0]).lower.tolist()
        [[0.25, 0.0]]
    """
    rules = constraints or Constraints()
    shape = x.shape[1:]
    lower, strict_below = _bound("lower", rules.lower, feature_range.lower, feature_range, x)
    upper, strict_above = _bound("upper", rules.upper, feature_range.upper, feature_range, x)
    if (lower > upper).any():
        raise ValueError("a lower bound exceeds the upper one; constraints need lower <= upper")

    def mask(name: str, given: Any) -> np.ndarray:
        return _fit(name, np.array(False if given is None else given), x.shape, shape)

    step = offset = levels = None
    if not (rules.step is None and rules.levels is None and rules.relations is None):
        step, offset = (
            _fit(name, _numbers(name, 0.0 if given is None else given), x.shape, shape)
            for name, given in (("step", rules.step), ("offset", rules.offset))
        )
        levels = _numbers("levels", [np.inf] if rules.levels is None else rules.levels)
        most = levels.shape[-1] if levels.ndim else 1
        levels = _fit("levels", levels, (*x.shape, most), (*shape, most))
    return FeasibleSets(
        x,
        lower,
        upper,
        (strict_below, strict_above),
        mask("frozen", rules.frozen),
        mask("increase_only", rules.increase_only),
        mask("decrease_only", rules.decrease_only),
        step,
        offset,
        levels,
        rules.relations,
    )


def check_range(
    given: Any, shape: tuple[int, ...], name: str = "feature_range"
) -> tuple[np.ndarray, np.ndarray]:
    """A pair (lower, upper) as arrays that broadcast to `shape`.

    Raises:
        ValueError: if it is no such pair.
    """
    try:
        lower, upper = (np.array(end, np.float32) for end in given)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must be (lower, upper) of numbers or arrays, got {given!r}"
        ) from error
    for end_name, end in (("lower", lower), ("upper", upper)):
        _fit(f"the {end_name} end of {name}", end, shape, shape)
    if np.isnan(lower).any() or np.isnan(upper).any() or (lower > upper).any():
        raise ValueError(f"{name} needs lower <= upper everywhere, and no NaN")
    return lower, upper


def _bound(
    name: str, given: Any, default: ArrayLike, feature_range: FeatureRange, x: np.ndarray
) -> tuple[np.ndarray, bool]:
    if given is None:
        return np.broadcast_to(default, x.shape), feature_range.strict
    return _fit(name, _numbers(name, given), x.shape, x.shape[1:]), True


def _numbers(name: str, given: Any) -> np.ndarray:
    """A copy: the caller may fill the same array anew for the next batch."""
    try:
        return np.array(given, np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must be a number or an array of numbers, got {given!r}"
        ) from error


def _fit(name: str, array: np.ndarray, full: tuple[int, ...], shape: tuple[int, ...]) -> np.ndarray:
    try:
        return np.broadcast_to(array, full)
    except ValueError as error:
        raise ValueError(
            f"{name} has shape {array.shape}, which doesn't fit instances of shape {shape}"
        ) from error
