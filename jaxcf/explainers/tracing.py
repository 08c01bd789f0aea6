"""Searches some rows of explanations once more and looks closely: how `Traces` are made."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxcf.constraints import Constraints, resolve, rows_of
from jaxcf.explainers.run import make_engine
from jaxcf.explainers.state import FittedState
from jaxcf.explainers.targets import as_target, read_targets
from jaxcf.objective import Instance
from jaxcf.predictors.blackbox import Failures
from jaxcf.predictors.inference import decode_all, encode_all, predict, predict_and_encode
from jaxcf.predictors.preprocess import as_pixels
from jaxcf.prototypes.kinds import KMeans
from jaxcf.results.explanations import Explanations
from jaxcf.results.traces import Traces
from jaxcf.search.engine import Pending, Recorded
from jaxcf.search.options import split_options
from jaxcf.search.status import Status
from jaxcf.utils.batching import batch_size
from jaxcf.utils.numbers import check_whole
from jaxcf.utils.selection import chosen_rows, evenly_spread, representative_rows
from jaxcf.utils.validation import check_names, column_names

SEARCHED = (
    Status.FOUND,
    Status.NOT_FOUND,
    Status.NEVER_MOVED,
    Status.NOT_CONFIRMED,
    Status.GUIDE_NOT_CONVINCED,
)
"""How rows end that have been searched to the end."""

# Files of 0.2 have a solver's name alone.
_SOLVER_OPTIONS = "solver_options"

# What the ways that are recorded at once may take, in bytes.
_MOST_MEMORY = 2**28


def choose_rows(explanations: Explanations, rows: Any, num_rows: int) -> Int[np.ndarray, " m"]:
    """The rows asked for; where none are, some that were searched, of all classes in turn.

    Args:
        explanations: to choose from.
        rows: a slice, a mask, row numbers or one of them, or None.
        num_rows: how many at most, where `rows` is None.

    Returns:
        Row numbers.
    """
    if rows is not None:
        return chosen_rows(len(explanations), rows)
    check_whole("num_rows", num_rows)
    searched = np.flatnonzero(np.isin(explanations.status, SEARCHED))
    chosen = representative_rows(
        explanations.found[searched], explanations.original_class[searched], num_rows
    )
    return searched[chosen]


def allowed_classes(explanations: Explanations, target: Any) -> Bool[np.ndarray, "m classes"]:
    """The classes that each row might become, from what `explain` was given.

    Args:
        explanations: only the rows that are asked about.
        target: as it was given to `explain`, for all of its rows.

    Returns:
        A mask.

    Raises:
        TypeError: if the target is of a wrong kind.
        ValueError: if it is for fewer rows.
    """
    m, num_classes = explanations.probabilities.shape
    target = as_target(target)
    if target is None:
        return np.arange(num_classes) != explanations.original_class[:, None]
    if isinstance(target, str) and target == "each":
        # Each search was for one class, and so was its prototype.
        return np.arange(num_classes) == explanations.target_class[:, None]
    if not hasattr(target, "__len__"):
        return read_targets(target, m, num_classes).allowed
    allowed = read_targets(target, len(target), num_classes).allowed
    return rows_of("target", allowed, explanations.source_row)


class Trajectory(NamedTuple):
    """What was recorded of one search: some points, when, and every loss."""

    evaluations: np.ndarray
    path: np.ndarray
    losses: np.ndarray


def trace_rows(
    state: FittedState,
    explanations: Explanations,
    x_train: Any,
    allowed: Bool[np.ndarray, "m classes"],
    constraints: Constraints | None,
    *,
    num_points: int,
    num_neighbours: int,
    num_rows: int,
) -> Traces:
    """Search all rows of some explanations again, and look at what surrounds them.

    Args:
        state: of the explainer that made them.
        explanations: only the rows wanted.
        x_train: `[n, *shape]`, as they were given to `fit`.
        allowed: the classes each row might become.
        constraints: of these rows.
        num_points: of the way, >= 2.
        num_neighbours: how many, >= 0.
        num_rows: of the whole explanations: as many are laid out, and asked about, as their search
            did, so all programs are compiled already.

    Returns:
        The traces, their rows numbered from 0.

    Raises:
        TypeError: if the training rows are no numbers.
        ValueError: if the training rows or the explanations are others than the explainer's, or the
            model is another than was fitted.
    """
    state.check_current()
    check_names(column_names(x_train), state.feature_names)
    x_train = as_pixels("x_train", x_train, state.preprocess)
    _check(state, explanations, x_train, num_points, num_neighbours)
    size = batch_size(num_rows, state.shape)
    _check_targets(state, explanations, allowed, size)
    trajectories = _search_again(state, explanations, allowed, constraints, num_points, num_rows)
    m, p = (
        len(explanations),
        max((len(one.evaluations) for one in trajectories.values()), default=0),
    )
    length = max((len(one.losses) for one in trajectories.values()), default=0)
    evaluations = np.full((m, p), -1)
    path = np.full((m, p, *state.shape), np.nan, np.float32)
    losses = np.full((m, length, len(state.objective.term_names)), np.nan, np.float32)
    for row, trajectory in trajectories.items():
        evaluations[row, : len(trajectory.evaluations)] = trajectory.evaluations
        path[row, : len(trajectory.path)] = trajectory.path
        losses[row, : len(trajectory.losses)] = trajectory.losses
    nearest_row = _nearest_rows(state, explanations, num_neighbours, size)
    nearest = np.where(
        (nearest_row < 0).reshape(*nearest_row.shape, *[1] * len(state.shape)),
        np.float32(np.nan),
        x_train[nearest_row],
    )
    return Traces(
        rows=np.arange(m),
        evaluations=evaluations,
        path=path,
        losses={name: losses[:, :, place] for place, name in enumerate(state.objective.term_names)},
        prototype=_prototypes(state, explanations, size),
        nearest=nearest,
        nearest_row=nearest_row,
        probabilities=_probabilities(state, path, evaluations >= 0, size),
    )


def _check(
    state: FittedState,
    explanations: Explanations,
    x_train: np.ndarray,
    num_points: int,
    num_neighbours: int,
) -> None:
    expected = (len(state.training_class), *state.shape)
    if x_train.shape != expected:
        raise ValueError(
            f"x_train has shape {x_train.shape}; expected the rows that the explainer was fitted "
            f"to, of shape {expected}"
        )
    check_whole("num_points", num_points, least=2)
    check_whole("num_neighbours", num_neighbours, least=0)
    for name, wanted in state.method_settings.items():
        given = explanations.settings.get(name)
        if name == "search" and isinstance(given, Mapping) and _SOLVER_OPTIONS not in given:
            wanted = {one: value for one, value in wanted.items() if one != _SOLVER_OPTIONS}
        if given != wanted:
            raise ValueError(
                f"these explanations were made with {name} {given}, the explainer has {wanted}; "
                "pass the explanations to the explainer that made them"
            )


# So much of a distance, and of a prototype, may be another batch's rounding.
_ROUNDING = 1e-3


def _check_targets(
    state: FittedState,
    explanations: Explanations,
    allowed: Bool[np.ndarray, "m classes"],
    size: int,
) -> None:
    """Check that rows were led to the class that they would be led to again."""
    led = np.isin(explanations.status, SEARCHED) & (explanations.target_class >= 0)
    axes = tuple(range(1, explanations.prototype.ndim))
    rows = np.flatnonzero(led & np.isfinite(explanations.prototype).all(axis=axes))
    if not len(rows):
        return
    led_to, allowed = explanations.target_class[rows], allowed[rows]
    encodings = _encodings(state, explanations.original[rows], size)
    again = state.prototypes.select(encodings, allowed)
    nearest = np.take_along_axis(again.distances, again.target_class[:, None], axis=1)[:, 0]
    wrong = ~np.take_along_axis(allowed, led_to[:, None], axis=1)[:, 0]
    # Alternatives are led to centroids, which may be those of k-means of other classes as well.
    if not isinstance(state.prototypes.kind, KMeans):
        only = np.arange(state.num_classes) == led_to[:, None]
        usual = state.prototypes.select(encodings, only)
        known = np.isclose(
            _flat(usual.prototype), _flat(explanations.prototype[rows]), _ROUNDING, _ROUNDING
        ).all(axis=1)
        distance = np.take_along_axis(usual.distances, led_to[:, None], axis=1)[:, 0]
        wrong |= known & (distance > (1 + _ROUNDING) * nearest)
    if wrong.any():
        first = int(np.argmax(wrong))
        raise ValueError(
            f"row {explanations.source_row[rows[first]]} was led to class {led_to[first]}, and "
            f"would be to class {again.target_class[first]} now: these explanations were made with "
            "another target; pass target= as explain was given it"
        )


def _flat(array: np.ndarray) -> np.ndarray:
    return array.reshape(len(array), -1)


def _search_again(
    state: FittedState,
    explanations: Explanations,
    allowed: np.ndarray,
    constraints: Constraints | None,
    num_points: int,
    num_rows: int,
) -> dict[int, Trajectory]:
    """What the rows that were searched were led through, by row."""
    rows = np.flatnonzero(np.isin(explanations.status, SEARCHED))
    if not len(rows):
        return {}
    _, limits = split_options(state.search, state.objective)
    num_rounds = int(limits.weight_rounds)
    x = explanations.original.astype(np.float32, copy=False)
    feasible_sets = resolve(constraints, state.feature_range, x)
    # Not a `Run`: what that predicts, refines and confirms is known of these rows.
    engine = make_engine(state, feasible_sets.grid_shapes, num_rows=num_rows)
    # The same search looks at as many points.
    longest = int(explanations.steps[rows].max()) + num_rounds
    at_once = min(engine.group_size, max(1, _MOST_MEMORY // (longest * x[0].nbytes)))
    trajectories = {}
    for start in range(0, len(rows), at_once):
        some = rows[start : start + at_once]
        instances = Instance.of_rows(
            x[some],
            explanations.original_class[some].astype(np.int32),
            allowed[some],
            explanations.prototype[some].astype(np.float32),
            feasible_sets.of(some)[:3],
        )
        for one in engine.record(Pending(some, instances)):
            trajectories[one.row] = _thinned(
                one, x[one.row], num_points, several_rounds=num_rounds > 1
            )
    return trajectories


def _thinned(
    recorded: Recorded, original: np.ndarray, num_points: int, several_rounds: bool
) -> Trajectory:
    """The way of one search to the point it kept, in few points."""
    path = recorded.path
    axes = tuple(range(1, path.ndim))
    there = np.flatnonzero((path == recorded.counterfactual).all(axis=axes))
    end = int(there[0]) if len(there) else len(path) - 1
    start = 0
    if several_rounds:  # each from the original
        at_original = (path[: end + 1] == original).all(axis=axes)
        last = int(np.flatnonzero(at_original)[-1])
        moved = np.flatnonzero(~at_original[:last])
        start = int(moved[-1]) + 1 if len(moved) else 0
    shown = start + evenly_spread(end - start + 1, num_points)
    return Trajectory(shown, path[shown], recorded.losses)


def _probabilities(
    state: FittedState, path: np.ndarray, there: np.ndarray, size: int
) -> Float[np.ndarray, "m p classes"]:
    """What the model says on the way: one question for the points of all rows."""
    said = np.full((*there.shape, state.num_classes), np.nan, np.float32)
    if there.any():
        said[there] = predict(state.models, state.params, path[there], Failures(), size)
    return said


def _prototypes(
    state: FittedState, explanations: Explanations, size: int
) -> Float[np.ndarray, "m *shape"]:
    """The prototypes in the space of the rows, as far as there is a way back."""
    x, prototype = explanations.original, explanations.prototype
    shown = np.full(x.shape, np.nan, np.float32)
    known = explanations.target_class >= 0
    models = state.models
    if known.any() and models.encode is None:
        shown[known] = prototype[known]
    elif known.any() and models.decode is not None:
        decoded = decode_all(models, state.params, x, prototype, size)
        shown[known] = decoded[known]
    return shown


def _nearest_rows(
    state: FittedState, explanations: Explanations, count: int, size: int
) -> Int[np.ndarray, "m k"]:
    """The numbers of the training rows of each counterfactual's class that lie nearest to it."""
    numbers = np.full((len(explanations), count), -1)
    classes = explanations.counterfactual_class
    rows = np.flatnonzero(classes >= 0)
    if not len(rows) or not count:
        return numbers
    encodings = _encodings(state, explanations.counterfactual[rows], size)
    for index in np.unique(classes[rows]):
        mine = classes[rows] == index
        members = np.flatnonzero(state.training_class == index)
        if len(members):
            nearest = state.prototypes.nearest_members(encodings[mine], int(index), count)
            numbers[rows[mine], : nearest.shape[1]] = members[nearest]
    return numbers


def _encodings(state: FittedState, x: np.ndarray, size: int) -> np.ndarray:
    models, params = state.models, state.params
    if models.encode is None:
        return x
    if models.black_box is not None:
        return encode_all(models, params, x, size)
    # The program that gives both is compiled already.
    return predict_and_encode(models, params, x, Failures(), size)[1]
