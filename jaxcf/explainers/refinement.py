"""What is tried after the search: a way to rows it has missed, and a way back along changes.

Both only ask the model for its decision, so they work where it has no gradient. A line search goes
from the original towards training rows of a target class, which the model is known to decide for.
What looks at features one by one is in `tightening`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product

import jax
import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike

from jaxcf.constraints import FeasibleSets
from jaxcf.explainers.acceptance import AcceptanceTest
from jaxcf.explainers.costs import BY, By, check_costs
from jaxcf.explainers.snapping import snap_rows
from jaxcf.prototypes.fitted import FittedPrototypes
from jaxcf.utils.json_files import plain
from jaxcf.utils.numbers import check_whole

# Where the rules keep a point from the training row itself, one beyond it may do.
_FACTORS = (1.0, 1.5, 2.0)


@dataclass(frozen=True, eq=False)
class Refinement:
    """What is tried after the search.

    Args:
        line_search: for rows whose search has found nothing: go from the original towards the
            nearest training rows of its targets, stop at the first feasible point that is a
            counterfactual, by bisection. Finds one for every row where the rules allow it, whatever
            the model, decision trees included. Needs prototypes in input space.
        copies: for every row: from each of so many nearest training rows that the model puts into a
            target class, features are copied one at a time, the one that helps most for what it
            costs first, until the decision changes; from 64 of them for a row that is still without
            a counterfactual. Needs prototypes in input space.
        values: for every row: features are moved one at a time, likewise, to one of so many values
            that training rows have. 0 leaves it out; otherwise it needs what `copies` needs.
        sparsify: for every counterfactual: put features back to the original, again and again the
            one whose return keeps most of the decision, while it holds; of more than 32 changed
            ones each once first, the least changed first. `scores["reset_features"]` says how many
            fewer are changed, `scores["reset_l1"]` by how much L1 fell.
        shrink: for every counterfactual: bisect each changed number towards its original, the one
            that has moved farthest first.
        tighten: for every counterfactual: walk back along its change while all models agree.
            Changes that aren't needed are dropped, small ones first, and the others are shrunk: for
            images, whose features are too many to be looked at one by one.
        cost: which of several counterfactuals of a row is the best. "nearest": the least sum of
            moves, each in units of the feature's median absolute deviation; a category counts 1;
            and a quarter for each changed feature, so that of answers about as near the one wins
            that changes fewer. "sparsest": the fewest changed features, then the nearest.
            "plausible": the nearest to training rows of its class, then the nearest.
        costs: what a move of one unit costs, by the feature's name or as an array, for features
            that are easier or harder to change than others; None is 1 for all.
        neighbours: how many training rows per target class the line search tries, >= 1.
        bisections: halvings of the way to one of them, and of each changed number, >= 1.
        tightenings: halvings of each of the two ways back, >= 1.

    Raises:
        TypeError: if a number is no whole number.
        ValueError: if it is too small, the cost is unknown, or costs aren't positive.

    Examples:
        >>> Refinement(sparsify=True).line_search
        False
    """

    line_search: bool = False
    copies: int = 0
    values: int = 0
    sparsify: bool = False
    shrink: bool = False
    tighten: bool = False
    cost: By = "nearest"
    costs: Mapping[str, float] | ArrayLike | None = None
    neighbours: int = 8
    bisections: int = 12
    tightenings: int = 6

    def __post_init__(self) -> None:
        for name in ("neighbours", "bisections", "tightenings"):
            check_whole(name, getattr(self, name))
        for name in ("copies", "values"):
            check_whole(name, getattr(self, name), least=0)
        if self.cost not in BY:
            raise ValueError(f"cost must be one of {', '.join(BY)}, got {self.cost!r}")
        if isinstance(self.costs, Mapping):
            object.__setattr__(self, "costs", dict(self.costs))
        check_costs(self.costs)

    @classmethod
    def for_tables(
        cls,
        cost: By = "nearest",
        costs: Mapping[str, float] | ArrayLike | None = None,
        *,
        copies: int = 2,
        values: int = 17,
    ) -> "Refinement":
        """All that looks at features one by one: the default of `TableExplainer`.

        Args:
            cost: which of several counterfactuals of a row is the best.
            costs: what a move of one unit costs, by name or as an array; None is 1 for all.
            copies: how many training rows features are copied from.
            values: how many values each feature is moved to.

        Returns:
            The options: a line search, copies, values, what isn't needed put back, numbers shrunk.

        Examples:
            >>> Refinement.for_tables("sparsest", {"age": 10}).costs
            {'age': 10}
        """
        return cls(
            line_search=True,
            copies=copies,
            values=values,
            sparsify=True,
            shrink=True,
            cost=cost,
            costs=costs,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Refinement):
            return NotImplemented
        return plain(vars(self)) == plain(vars(other))

    def __hash__(self) -> int:
        return hash(repr(plain(vars(self))))

    @property
    def brings_nearer(self) -> bool:
        """Whether anything is done to counterfactuals that the search has found."""
        return self.tighten or self.by_features

    @property
    def begins_anew(self) -> bool:
        """Whether counterfactuals are looked for from other beginnings than the search's end."""
        return bool(self.copies or self.values)

    @property
    def by_features(self) -> bool:
        """Whether features are looked at one by one."""
        return self.sparsify or self.shrink or self.begins_anew


def line_search(
    accepts: AcceptanceTest,
    prototypes: FittedPrototypes,
    feasible: FeasibleSets,
    targets: Bool[np.ndarray, "m classes"],
    rows: Int[np.ndarray, " m"],
    options: Refinement,
) -> tuple[Float[np.ndarray, "m *shape"], Bool[np.ndarray, " m"], Int[np.ndarray, " m"]]:
    """Go from each row towards training rows of its targets, to the first counterfactual.

    Args:
        accepts: says whether points are counterfactuals.
        prototypes: whose training rows lie in input space.
        feasible: the rules.
        targets: `[m, classes]`, the classes each row may have.
        rows: `[m]`, which rows of `feasible`.
        options: how many neighbours and bisections.

    Returns:
        The points, `[m, *shape]`; whether each is a counterfactual; the class it was sought in.
    """
    x = feasible.x[rows]
    sets = feasible.of(rows)
    best, reached = x.copy(), np.zeros(len(x), bool)
    length = np.full(len(x), np.inf)
    target_class = np.full(len(x), -1, np.int32)
    for index in range(targets.shape[1]):
        wanted = np.flatnonzero(targets[:, index])
        if not len(wanted) or not len(prototypes.members[index]):
            continue
        nearest = prototypes.nearest_members(x[wanted], index, options.neighbours)
        ends = prototypes.members[index][nearest].reshape(*nearest.shape, *prototypes.shape)
        bounds = jax.tree.map(lambda leaf, w=wanted: leaf[w], sets[:3])
        for neighbour, factor in product(range(ends.shape[1]), _FACTORS):
            way = ends[:, neighbour] - x[wanted]
            goal = snap_rows(x[wanted] + np.float32(factor) * way, x[wanted], bounds, accepts.size)
            distance = np.abs(goal - x[wanted]).reshape(len(wanted), -1).sum(axis=1)
            nearer = distance < length[wanted]
            arrived = np.zeros(len(wanted), bool)
            if nearer.any():
                arrived[nearer] = accepts(
                    goal[nearer], targets[wanted[nearer]], rows[wanted[nearer]]
                )
            better = wanted[arrived]
            best[better], reached[better] = goal[arrived], True
            length[better], target_class[better] = distance[arrived], index
    there = np.flatnonzero(reached)
    if len(there):
        start, goal = x[there], best[there]
        bounds = jax.tree.map(lambda leaf: leaf[there], sets[:3])
        way = _part_of_the_way(start, goal)

        def to(share: np.ndarray) -> np.ndarray:
            return snap_rows(way(share), start, bounds, accepts.size)

        wanted, bisections = targets[there], options.bisections
        best[there] = _least(accepts, to, goal, wanted, rows[there], bisections)
    return best, reached, target_class


def tighten(
    accepts: AcceptanceTest,
    feasible: FeasibleSets,
    counterfactual: Float[np.ndarray, "n *shape"],
    targets: Bool[np.ndarray, "n classes"],
    rows: Int[np.ndarray, " n"],
    options: Refinement,
) -> Float[np.ndarray, "n *shape"]:
    """Walk back towards the original while all agree: drop the small changes, then shrink the rest.

    Once each, by bisection: of how much of the change, by L1, can be put back, the least changed
    features first; and of how much nearer the point can move on the straight way. Dropping does
    nearly all of it, so there is no second turn.

    Args:
        accepts: says whether points are counterfactuals.
        feasible: the rules.
        counterfactual: `[n, *shape]`, points that `accepts` accepts.
        targets: `[n, classes]`, the classes each may have.
        rows: `[n]`, which rows of the batch they are.
        options: how many bisections.

    Returns:
        `[n, *shape]`, points that `accepts` accepts, none farther than before.
    """
    x, point = feasible.x[rows], counterfactual
    bounds = feasible.of(rows)[:3]
    for way_to in (_largest_changes, _part_of_the_way):
        way = way_to(x, point)

        def to(share: np.ndarray, way: Way = way) -> np.ndarray:
            return snap_rows(way(share), x, bounds, accepts.size)

        point = _least(accepts, to, point, targets, rows, options.tightenings)
    return point


Way = Callable[[np.ndarray], np.ndarray]
"""From how far along each row is, `[n]` in (0, 1), to the points there."""


def _part_of_the_way(x: np.ndarray, end: np.ndarray) -> Way:
    """On the straight line."""
    change = end - x
    return lambda share: x + share.reshape(-1, *[1] * (x.ndim - 1)) * change


def _largest_changes(x: np.ndarray, end: np.ndarray) -> Way:
    """The end where it lies farthest from the original, by so much of the change."""
    change = (end - x).reshape(len(x), -1)
    size = np.abs(change)
    order = np.argsort(-size, axis=1, kind="stable")
    largest_first = np.take_along_axis(size, order, axis=1)
    before = np.empty(size.shape)
    np.put_along_axis(before, order, np.cumsum(largest_first, axis=1, dtype=float), axis=1)
    before -= size
    total = size.sum(axis=1, keepdims=True)

    def way(share: np.ndarray) -> np.ndarray:
        kept = before < share[:, None] * total
        return x + np.where(kept, change, 0).reshape(x.shape)

    return way


def _least(
    accepts: AcceptanceTest,
    to: Way,
    end: np.ndarray,
    targets: np.ndarray,
    rows: np.ndarray,
    bisections: int,
) -> np.ndarray:
    """The first counterfactual on the way from each row to its end, to a power of 1/2.

    Args:
        accepts: says whether points are counterfactuals.
        to: the points that lie a share of their ways along, in (0, 1).
        end: `[n, *shape]`, points that are accepted.
        targets: `[n, classes]`.
        rows: `[n]`.
        bisections: how many.
    """
    kept = end.copy()
    low, high = np.zeros(len(end), np.float32), np.ones(len(end), np.float32)
    for _ in range(bisections):
        middle = (low + high) / 2
        point = to(middle)
        held = accepts(point, targets, rows)
        kept[held] = point[held]
        high, low = np.where(held, middle, high), np.where(held, low, middle)
    return kept
