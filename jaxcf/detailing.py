"""Searches some rows of explanations once more and looks closely: how `Details` are made."""

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxcf import run, search
from jaxcf.blackbox import Failures
from jaxcf.constraints import Constraints, resolve, rows_of
from jaxcf.descriptions import decode_all, describe_all, encode_all
from jaxcf.details import Details, representative_rows
from jaxcf.engine import Block, EngineOptions
from jaxcf.explanations import Explanations
from jaxcf.inputs import as_rows
from jaxcf.objective import Instance
from jaxcf.selection import chosen_rows
from jaxcf.status import Status
from jaxcf.targets import read_targets

if TYPE_CHECKING:
    from jaxcf.fitted_explainer import FittedExplainer

SEARCHED = (Status.FOUND, Status.NOT_FOUND, Status.NEVER_MOVED, Status.NOT_CONFIRMED)
"""How rows end that have been searched to the end."""

# What the recorded ways of all lanes may take, in bytes.
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
    if target is None:
        return np.arange(num_classes) != explanations.original_class[:, None]
    if isinstance(target, str) and target == "each":
        # Each search was for one class, and so was its prototype.
        return np.arange(num_classes) == explanations.target_class[:, None]
    if not hasattr(target, "__len__") or getattr(target, "ndim", 1) == 0:
        return read_targets(target, m, num_classes).allowed
    allowed = read_targets(target, len(target), num_classes).allowed
    return rows_of("target", allowed, explanations.source_row)


class _Way(NamedTuple):
    """What was recorded of one search: some points, when, and every loss."""

    evaluations: np.ndarray
    path: np.ndarray
    losses: np.ndarray


def look_closer(
    explainer: "FittedExplainer",
    explanations: Explanations,
    x_train: Any,
    allowed: Bool[np.ndarray, "m classes"],
    constraints: Constraints | None,
    num_points: int,
    num_neighbours: int,
    size: int,
) -> Details:
    """Search all rows of some explanations again, and look at what surrounds them.

    Args:
        explainer: that made them.
        explanations: only the rows wanted.
        x_train: `[n, *shape]`, as they were given to `fit`.
        allowed: the classes each row might become.
        constraints: of these rows.
        num_points: of the way, >= 2.
        num_neighbours: >= 0.
        size: of the blocks in which models are asked; that of the whole explanations meets
            compiled programs.

    Returns:
        The details, their rows numbered from 0.

    Raises:
        TypeError: if the training rows are no numbers.
        ValueError: if the training rows or the explanations are others than the explainer's.
    """
    x_train = as_rows("x_train", x_train)
    _check(explainer, explanations, x_train, num_points, num_neighbours)
    ways = _search_again(explainer, explanations, allowed, constraints, num_points)
    m, p = len(explanations), max((len(one.evaluations) for one in ways.values()), default=0)
    length = max((len(one.losses) for one in ways.values()), default=0)
    evaluations = np.full((m, p), -1)
    path = np.full((m, p, *explainer.shape), np.nan, np.float32)
    losses = np.full((m, length, len(explainer.objective.term_names)), np.nan, np.float32)
    for row, way in ways.items():
        evaluations[row, : len(way.evaluations)] = way.evaluations
        path[row, : len(way.path)] = way.path
        losses[row, : len(way.losses)] = way.losses
    nearest_row = _nearest_rows(explainer, explanations, num_neighbours, size)
    nearest = np.where(
        (nearest_row < 0).reshape(*nearest_row.shape, *[1] * len(explainer.shape)),
        np.float32(np.nan),
        x_train[nearest_row],
    )
    return Details(
        rows=np.arange(m),
        evaluations=evaluations,
        path=path,
        losses={
            name: losses[:, :, place] for place, name in enumerate(explainer.objective.term_names)
        },
        prototype=_prototypes(explainer, explanations, size),
        nearest=nearest,
        nearest_row=nearest_row,
    )


def _check(
    explainer: "FittedExplainer",
    explanations: Explanations,
    x_train: np.ndarray,
    num_points: int,
    num_neighbours: int,
) -> None:
    expected = (len(explainer.training_class), *explainer.shape)
    if x_train.shape != expected:
        raise ValueError(
            f"x_train has shape {x_train.shape}; expected the rows that the explainer was fitted "
            f"to, of shape {expected}"
        )
    if num_points < 2 or num_neighbours < 0:
        raise ValueError(
            f"num_points must be at least 2 and num_neighbours at least 0, got {num_points} and "
            f"{num_neighbours}"
        )
    for name, wanted in run.method_settings(explainer).items():
        given = explanations.settings.get(name)
        if given != wanted:
            raise ValueError(
                f"these explanations were made with {name} {given}, the explainer has {wanted}; "
                "pass the explanations to the explainer that made them"
            )


def _search_again(
    explainer: "FittedExplainer",
    explanations: Explanations,
    allowed: np.ndarray,
    constraints: Constraints | None,
    num_points: int,
) -> dict[int, _Way]:
    """What the rows that were searched were led through, by row."""
    rows = np.flatnonzero(np.isin(explanations.status, SEARCHED))
    if not len(rows):
        return {}
    rule, limits = search.split_options(explainer.options.search, explainer.objective)
    # The same search takes as many steps; a power of two meets compiled programs.
    known = int(explanations.steps[rows].max()) + int(limits.weight_rounds)
    full = int(limits.weight_rounds * (limits.max_steps + 1))
    length = min(full, 1 << known.bit_length())
    rule = search.Rule(rule.solver, rule.stop, history_length=length, path_length=length)
    x = explanations.original.astype(np.float32, copy=False)
    feasible_sets = resolve(constraints, explainer.feature_range, x)
    feasible: Any = feasible_sets.of(rows)
    instances = Instance(
        *cast(
            Any,
            (
                x[rows],
                explanations.original_class[rows].astype(np.int32),
                allowed[rows],
                explanations.prototype[rows].astype(np.float32),
                feasible.lower,
                feasible.upper,
            ),
        ),
        grid=feasible.grid,
    )
    # As many lanes as the first search had in a group of few rows, for what is known of these.
    most = max(1, _MOST_MEMORY // (length * x[0].nbytes))
    lanes = min(1 << (len(rows) - 1).bit_length(), most)
    options = EngineOptions(
        lanes=lanes, lanes_per_group=lanes, devices=explainer.options.engine.devices
    )
    engine = run.engine_of(explainer, rule, limits, options, feasible_sets.num_levels)
    several_rounds = int(limits.weight_rounds) > 1
    ways = {}
    for finished in engine.search([Block(rows, instances)]):
        for place, row in enumerate(finished.rows.tolist()):
            ways[row] = _thinned(
                finished.path[place],
                finished.history[place],
                finished.counterfactual[place],
                x[row],
                num_points,
                several_rounds,
            )
    return ways


def _thinned(
    path: np.ndarray,
    history: np.ndarray,
    kept: np.ndarray,
    original: np.ndarray,
    num_points: int,
    several_rounds: bool,
) -> _Way:
    """The way of one search to the point it kept, in few points."""
    axes = tuple(range(1, path.ndim))
    count = int(np.isfinite(path).all(axis=axes).sum())
    path, history = path[:count], history[:count]
    there = np.flatnonzero((path == kept).all(axis=axes))
    end = int(there[0]) if len(there) else count - 1
    start = 0
    if several_rounds:  # each from the original
        at_original = (path[: end + 1] == original).all(axis=axes)
        last = int(np.flatnonzero(at_original)[-1])
        moved = np.flatnonzero(~at_original[:last])
        start = int(moved[-1]) + 1 if len(moved) else 0
    shown = np.unique(np.linspace(start, end, num_points).round().astype(int))
    return _Way(shown, path[shown], history)


def _prototypes(
    explainer: "FittedExplainer", explanations: Explanations, size: int
) -> Float[np.ndarray, "m *shape"]:
    """The prototypes in the space of the rows, as far as there is a way back."""
    x, prototype = explanations.original, explanations.prototype
    shown = np.full(x.shape, np.nan, np.float32)
    known = explanations.target_class >= 0
    models = explainer.models
    if known.any() and models.encode is None:
        shown[known] = prototype[known]
    elif known.any() and models.decode is not None:
        decoded = decode_all(models, explainer.options.params, x, prototype, size)
        shown[known] = decoded[known]
    return shown


def _nearest_rows(
    explainer: "FittedExplainer", explanations: Explanations, count: int, size: int
) -> Int[np.ndarray, "m k"]:
    """The numbers of the training rows of each counterfactual's class that lie nearest to it."""
    numbers = np.full((len(explanations), count), -1)
    classes = explanations.counterfactual_class
    rows = np.flatnonzero(classes >= 0)
    if not len(rows) or not count:
        return numbers
    encodings = _encodings(explainer, explanations.counterfactual[rows], size)
    for index in np.unique(classes[rows]):
        mine = classes[rows] == index
        members = np.flatnonzero(explainer.training_class == index)
        if len(members):
            nearest = explainer.prototypes.nearest_members(encodings[mine], int(index), count)
            numbers[rows[mine], : nearest.shape[1]] = members[nearest]
    return numbers


def _encodings(explainer: "FittedExplainer", x: np.ndarray, size: int) -> np.ndarray:
    models, params = explainer.models, explainer.options.params
    if models.encode is None:
        return x
    if models.black_box is not None:
        return encode_all(models, params, x, size)
    # The program that gives both is compiled already.
    return describe_all(models, params, x, Failures(), size)[1]
