"""What is tried after the search: a way to rows it has missed, and fewer features changed.

Both only ask the model for its decision, so they work where it has no gradient. A line search goes
from the original towards training rows of a target class, which the model is known to decide for;
the sparsity pass puts features back one by one while the decision holds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from jaxcf.constraints import FeasibleSets, snap
from jaxcf.explainers.final_form import FinalForm
from jaxcf.objective import Objective, Outputs, decision_margin, with_log_odds
from jaxcf.predictors.blackbox import Failures
from jaxcf.predictors.functions import ModelFunctions
from jaxcf.predictors.guides import Guides, ask_guides
from jaxcf.predictors.inference import encode_all, predict, predict_and_encode
from jaxcf.prototypes.fitted import FittedPrototypes
from jaxcf.prototypes.trust import Trust, scores_of
from jaxcf.utils.batching import batch_size, map_batches
from jaxcf.utils.numbers import check_whole

# Where the rules keep a point from the training row itself, one beyond it may do.
_FACTORS = (1.0, 1.5, 2.0)

# How often both ways back are taken: dropping changes leaves room to shrink, and the reverse.
_TURNS = 2


@dataclass(frozen=True)
class Refinement:
    """What is tried after the search.

    Args:
        line_search: for rows whose search has found nothing: go from the original towards the
            nearest training rows of its targets, stop at the first feasible point that is a
            counterfactual, by bisection. Finds one for every row where the rules allow it, whatever
            the model, decision trees included. Needs prototypes in input space.
        sparsify: for every counterfactual: put features back to the original, the least changed
            first, each for good where the decision holds. `scores["reset_features"]` says how
            many, `scores["reset_l1"]` by how much L1 fell.
        tighten: for every counterfactual: walk back along its change while all models agree.
            Changes that aren't needed are dropped, small ones first, and the others are shrunk.
            `scores["reset_l1"]` says by how much L1 fell.
        neighbours: how many training rows per target class the line search tries, >= 1.
        bisections: halvings of the way to one of them, >= 1.
        tightenings: halvings of each way back, >= 1: there are four of them.

    Raises:
        TypeError: if a number is no whole number.
        ValueError: if it is below 1.

    Examples:
        >>> Refinement(sparsify=True).line_search
        False
    """

    line_search: bool = False
    sparsify: bool = False
    tighten: bool = False
    neighbours: int = 8
    bisections: int = 12
    tightenings: int = 6

    def __post_init__(self) -> None:
        for name in ("neighbours", "bisections", "tightenings"):
            check_whole(name, getattr(self, name))

    @property
    def brings_nearer(self) -> bool:
        """Whether anything is done to counterfactuals that the search has found."""
        return self.sparsify or self.tighten


@dataclass(frozen=True, eq=False)
class AcceptanceTest:
    """Whether points are counterfactuals, by the rule of the search.

    Args:
        models: the functions.
        params: what they take first, if they do.
        guides: other models that have to agree, if there are any.
        objective: for its margin and confidence.
        failures: told of what goes wrong when a black box is asked.
        predictions: `[n]`, counts what each row of the batch has been asked for.
        original_class: `[n]`, of each row of the batch.
        trust: what trust scores are measured against, if they count.
        final_form: what points stand for, if that is more than the points; then it is asked about.
        source_row: `[n]`, the caller's row that each row of the batch belongs to.
    """

    models: ModelFunctions
    params: Any
    guides: Guides | None
    objective: Objective
    failures: Failures
    predictions: Int[np.ndarray, " n"]
    original_class: Int[np.ndarray, " n"]
    trust: Trust | None
    final_form: FinalForm | None
    source_row: Int[np.ndarray, " n"]

    @property
    def size(self) -> int:
        """Rows asked at once: the batch's own, so that few of its rows compile nothing anew."""
        return batch_size(len(self.predictions))

    def __call__(
        self,
        x: Float[np.ndarray, "m *shape"],
        targets: Bool[np.ndarray, "m classes"],
        rows: Int[np.ndarray, " m"],
    ) -> Bool[np.ndarray, " m"]:
        """Which of the points all models decide a target class for, as surely as asked for.

        Args:
            x: `[m, *shape]`.
            targets: `[m, classes]`.
            rows: `[m]`, which rows of the batch the points belong to, each at most once.
        """
        encodings = None
        if self.final_form is not None:
            probabilities = self.final_form.predict(x, self.source_row[rows], self.failures)
        elif self.trust is None:
            probabilities = predict(self.models, self.params, x, self.failures, self.size)
        else:
            probabilities, encodings = predict_and_encode(
                self.models, self.params, x, self.failures, self.size
            )
        if self.models.black_box is not None:
            self.predictions[rows] += self.failures.asked
        guides, guided = self.guides, []
        if guides is not None:
            said, counts = ask_guides(guides, x, self.failures, self.size)
            self.predictions[rows] += counts
            guided.append(said)
        confidence = jnp.float32(self.objective.confidence)

        def measure(probabilities: Any, targets: Any, *guided: Any) -> Any:
            guidance = None if guides is None else guides.guidance(*guided)
            outputs = Outputs(probabilities, guides=guidance)
            return _margins(self.objective.by_log_odds, confidence, outputs, targets)

        margin = map_batches(measure, probabilities, targets, *guided, size=self.size)
        decided = np.asarray(margin < -np.float32(self.objective.margin))
        if self.trust is None:
            return decided
        if encodings is None:
            encodings = encode_all(self.models, self.params, x, self.size)
        new_class = probabilities.argmax(axis=1)
        scores = scores_of(self.trust, encodings, self.original_class[rows], new_class, self.size)
        return decided & (scores > np.float32(self.trust.threshold))


@partial(jax.jit, static_argnums=0)
def _margins(by_log_odds: bool, confidence: Any, outputs: Outputs, targets: Any) -> Any:
    outputs = with_log_odds(outputs) if by_log_odds else outputs
    margin_of = partial(decision_margin, confidence=confidence)
    return jax.vmap(margin_of)(outputs, targets)


def sparsify(
    accepts: AcceptanceTest,
    original: Float[np.ndarray, "n *shape"],
    counterfactual: Float[np.ndarray, "n *shape"],
    targets: Bool[np.ndarray, "n classes"],
    rows: Int[np.ndarray, " n"],
    unwanted: Bool[np.ndarray, "n features"],
) -> Float[np.ndarray, "n *shape"]:
    """Put features back to the original, the least changed first, while the decision holds.

    Args:
        accepts: says whether points are counterfactuals.
        original: `[n, *shape]`.
        counterfactual: `[n, *shape]`, points that `accepts` accepts.
        targets: `[n, classes]`, the classes each may have.
        rows: `[n]`, which rows of the batch they are.
        unwanted: `[n, features]`, what is to be put back before all else, such as features that an
            earlier counterfactual of the row has changed.

    Returns:
        `[n, *shape]`, points that `accepts` accepts and that change no more features. One
        prediction per row and changed feature.
    """
    shape = original.shape
    x, point = original.reshape(len(original), -1), counterfactual.reshape(len(original), -1).copy()
    change = np.abs(point - x)
    order = np.lexsort((change, ~unwanted, change == 0), axis=1)
    changed = np.count_nonzero(change, axis=1)
    for turn in range(int(changed.max(initial=0))):
        left = np.flatnonzero(changed > turn)
        feature = order[left, turn]
        tried = point[left]
        tried[np.arange(len(left)), feature] = x[left, feature]
        kept = accepts(tried.reshape(len(left), *shape[1:]), targets[left], rows[left])
        # The row itself is no counterfactual, not even where more confidence was asked for.
        kept &= (tried != x[left]).any(axis=1)
        point[left[kept]] = tried[kept]
    return point.reshape(shape)


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
            goal = _snap_rows(x[wanted] + np.float32(factor) * way, x[wanted], bounds, accepts.size)
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
            return _snap_rows(way(share), start, bounds, accepts.size)

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

    Twice each, by bisection: of how much of the change, by L1, can be put back, the least changed
    features first; and of how much nearer the point can move on the straight way.

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
    for _ in range(_TURNS):
        for way_to in (_largest_changes, _part_of_the_way):
            way = way_to(x, point)

            def to(share: np.ndarray, way: Way = way) -> np.ndarray:
                return _snap_rows(way(share), x, bounds, accepts.size)

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


def _snap_rows(point: np.ndarray, original: np.ndarray, bounds: Any, size: int) -> np.ndarray:
    lower, upper, grid = bounds
    leaves, structure = jax.tree.flatten(grid)

    def snapped(point: Any, original: Any, lower: Any, upper: Any, *leaves: Any) -> Any:
        grid = jax.tree.unflatten(structure, leaves)
        return _snap_batch(point, original, lower, upper, grid)

    return np.array(map_batches(snapped, point, original, lower, upper, *leaves, size=size))


_snap_batch = jax.jit(jax.vmap(snap))
