"""What one step of all lanes asks of a black box, and the answers: probabilities and Jacobians."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxcf.predictors.blackbox import (
    BadAnswer,
    BlackBox,
    Failures,
    ask_in_calls,
    call_with_bisection,
    calls,
    read_probabilities,
)
from jaxcf.predictors.jacobians import ExactJacobian, Neighbours, Plan


class Questions(NamedTuple):
    """What a step asks of a black box, one entry per lane.

    Attributes:
        judged: `[lanes, *shape]`, the points whose decision counts.
        queried: where the gradient is wanted, if that is another point; else None.
        running: `[lanes]`, whose answers are needed.
        due: `[lanes]`, whose Jacobian is to be found anew; None where no gradient is needed.
        lower: `[lanes, *shape]`, the range.
        upper: likewise.
        evaluation: `[lanes]`, how many points of the lane's search came before.
    """

    judged: Any
    queried: Any
    running: Any
    due: Any
    lower: Any
    upper: Any
    evaluation: Any


class Answers(NamedTuple):
    """What a black box says of them; zeros for lanes that weren't asked for.

    Attributes:
        judged: `[lanes, classes]`.
        queried: `[lanes, classes]`, where the gradient is wanted; None where that is no other
            point.
        due: as asked.
        jacobian: `[lanes, classes, *shape]` where due; None where no gradient is needed.
        predictions: `[lanes]`, how many rows each has cost.
    """

    judged: Any
    queried: Any
    due: Any
    jacobian: Any
    predictions: Any


def answer(box: BlackBox, questions: Questions, failures: Failures) -> Answers:
    """Ask a black box for all lanes at once.

    Args:
        box: the model.
        questions: numpy arrays.
        failures: told of what goes wrong.

    Returns:
        The answers, float32.
    """
    num_lanes, *shape = questions.judged.shape
    running = np.flatnonzero(questions.running)
    due = np.flatnonzero(questions.due) if questions.due is not None else running[:0]
    moved = questions.judged if questions.queried is None else questions.queried
    exact = isinstance(box.gradient, ExactJacobian)
    plan = None if exact or not len(due) else _plan(box, questions, moved, due)

    # Where the framework gives the Jacobian it gives the probabilities as well.
    asked_otherwise = due if exact else due[:0]
    plain = np.setdiff1d(running, asked_otherwise)
    sources: list[tuple[np.ndarray, Callable[[slice], np.ndarray]]] = []
    sources.append(_rows(questions.judged, running if moved is not questions.judged else plain))
    if questions.queried is not None:
        sources.append(_rows(moved, plain))
    if plan is not None:
        sources.append((due[plan.row], lambda chosen: plan.points(chosen).reshape(-1, *shape)))
    lanes = np.concatenate([lane for lane, _ in sources])
    asked, counts = ask_in_calls(box, _stacked(sources), len(lanes), failures)
    parts = np.split(asked, np.cumsum([len(lane) for lane, _ in sources])[:-1])

    judged = np.zeros((num_lanes, box.num_classes))
    judged[sources[0][0]] = parts[0]
    at_query = judged
    if questions.queried is not None:
        at_query = np.zeros_like(judged)
        at_query[plain] = parts[1]
    jacobian = None
    if questions.due is not None:
        jacobian = np.zeros((num_lanes, box.num_classes, *shape), np.float32)
    if jacobian is not None and len(due):
        if isinstance(box.gradient, ExactJacobian):
            function = box.gradient.function
            at_query[due], found, again = _ask_for_jacobians(box, function, moved[due], failures)
            lanes = np.concatenate([lanes, due])
            counts = np.concatenate([counts, again])
        else:
            assert plan is not None
            found = plan.jacobian(at_query[due], parts[-1])
        jacobian[due] = found.reshape(len(due), box.num_classes, *shape)
    return Answers(
        judged=judged.astype(np.float32),
        queried=None if questions.queried is None else at_query.astype(np.float32),
        due=questions.due,
        jacobian=jacobian,
        predictions=np.bincount(lanes, counts, minlength=num_lanes).astype(np.int32),
    )


def _plan(box: BlackBox, questions: Questions, points: np.ndarray, due: np.ndarray) -> Plan:
    assert not isinstance(box.gradient, ExactJacobian)
    shape = points.shape[1:]
    epsilon = np.broadcast_to(np.asarray(box.gradient.epsilon, np.float32), shape)
    point, lower, upper = (
        array[due].reshape(len(due), -1) for array in (points, questions.lower, questions.upper)
    )
    step = epsilon.reshape(1, -1)
    above = np.clip(point + step, lower, upper)
    below = np.clip(point - step, lower, upper)
    return box.gradient.plan(Neighbours(point, above, below, questions.evaluation[due]))


def _rows(array: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, Callable[[slice], np.ndarray]]:
    return rows, lambda chosen: array[rows[chosen]]


def _stacked(
    sources: Sequence[tuple[np.ndarray, Callable[[slice], np.ndarray]]],
) -> Callable[[slice], np.ndarray]:
    """The rows of several sources as one, of which any slice can be had."""

    def rows(chosen: slice) -> np.ndarray:
        parts, first = [], 0
        for lane, make in sources:
            start, stop = max(chosen.start - first, 0), min(chosen.stop - first, len(lane))
            if start < stop:
                parts.append(make(slice(start, stop)))
            first += len(lane)
        return np.concatenate(parts)

    return rows


def _ask_for_jacobians(
    box: BlackBox, function: Callable[[np.ndarray], Any], x: np.ndarray, failures: Failures
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities, Jacobians, and how often each row was asked for."""
    asked, counts = np.full((len(x), box.num_classes), np.nan), np.zeros(len(x), np.int32)
    jacobians = np.full((len(x), box.num_classes, *x.shape[1:]), np.nan, np.float32)

    def ask(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        probabilities, jacobian = box.call(function, x)
        jacobian = np.asarray(jacobian, np.float32)
        expected = (len(x), box.num_classes, *x.shape[1:])
        if jacobian.shape != expected:
            raise BadAnswer(f"the Jacobian has shape {jacobian.shape}; expected {expected}")
        return read_probabilities(probabilities, len(x), box.num_classes), jacobian

    for call in calls(box, len(x)):
        into = (asked[call], jacobians[call], counts[call])
        call_with_bisection(box, ask, x[call], into, failures)
    return asked, jacobians, counts
