"""Models outside JAX: anything that gives class probabilities for a numpy batch.

A search needs two things of a model, probabilities and their gradient. Here both come from calls
of a plain function on the host, one per step for all rows together; the compiled part of a step
(`lanes`) sees the probabilities as a linear function of the point, with the estimated Jacobian.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from jaxcf.asking import BadAnswer, Failures, ask_or_halve, read_probabilities
from jaxcf.estimators import CentralDifferences, ExactJacobian, Gradient, Neighbours, Plan

_MOST_LANES = 1024
_MOST_BYTES = 2**28


@dataclass(frozen=True)
class BlackBox:
    """A model outside JAX, to be passed as `Explainer(predict=...)`.

    A batch for which the function raises or returns the wrong shape is halved until single rows
    are left; these, and rows that get NaN or no probabilities, count as NaN, with a warning that
    says what happened. The other rows go on as if they were alone. Objectives with a prediction
    term (A to D) or with terms of the caller's own need the gradient; E and F do without, at one
    prediction per step.

    Args:
        predict: from numpy float32 `[n, *shape]` to probabilities `[n, classes]`, numpy or what
            numpy can read. Called from one thread at a time, that of the caller. It is no part of
            the compiled programs: a model that was fitted anew compiles nothing anew.
        num_classes: how many classes, >= 2.
        gradient: how the gradient is found: `CentralDifferences`, `RandomDirections` or
            `ExactJacobian`.
        max_rows_per_call: the most rows that one call gets, >= 1; None sets no bound.

    Raises:
        TypeError: if `predict` isn't a function, can't be hashed, or `gradient` is something else.
        ValueError: if a number is out of its range.

    Examples:
        >>> import numpy as np
        >>> def predict(x):
        ...     above = x.mean(axis=1) > 0
        ...     return np.stack([~above, above], axis=1)
        >>> box = BlackBox(predict, num_classes=2)
        >>> np.asarray(box(np.array([[1.0, 2.0], [-1.0, -2.0]], np.float32))).tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """

    predict: Callable[[np.ndarray], Any]
    num_classes: int
    gradient: Gradient = CentralDifferences()  # noqa: RUF009 (it is frozen)
    max_rows_per_call: int | None = None

    def __post_init__(self) -> None:
        if not callable(self.predict):
            raise TypeError(f"predict must be a function, got {type(self.predict).__name__}")
        if not isinstance(self.gradient, Gradient):
            raise TypeError(
                "gradient must be CentralDifferences, RandomDirections or ExactJacobian, got "
                f"{self.gradient!r}"
            )
        if self.num_classes < 2:
            raise ValueError(f"num_classes must be at least 2, got {self.num_classes}")
        if self.max_rows_per_call is not None and self.max_rows_per_call < 1:
            raise ValueError(f"max_rows_per_call must be at least 1, got {self.max_rows_per_call}")
        try:
            hash(self)
        except TypeError as error:
            raise TypeError(
                f"{error}: a black box is known by its function, which must be hashable; wrap it "
                "in a plain function"
            ) from error

    def __call__(
        self, x: Float[Array, "n *shape"] | Float[np.ndarray, "n *shape"]
    ) -> Float[Array, "n classes"]:
        """The probabilities as a JAX function, for other compiled code; without a gradient."""

        def ask(x: Any) -> np.ndarray:
            return self.ask(np.asarray(x), Failures()).astype(np.float32)

        shape = jax.ShapeDtypeStruct((x.shape[0], self.num_classes), jnp.float32)
        return jax.pure_callback(ask, shape, x, vmap_method="sequential")

    def ask(
        self, x: Shaped[np.ndarray, "n *shape"], failures: Failures
    ) -> Float[np.ndarray, "n classes"]:
        """The probabilities of a batch; rows of NaN where there are none."""
        return _ask_in_pieces(self, x.__getitem__, len(x), failures)

    def check(self, shape: tuple[int, ...]) -> None:
        """Check that the options fit instances of that shape.

        Raises:
            ValueError: if epsilon has another shape.
        """
        epsilon = np.shape(getattr(self.gradient, "epsilon", 0.0))
        if epsilon not in ((), shape):
            raise ValueError(
                f"epsilon has shape {epsilon}; expected one number, or one for each feature of "
                f"instances of shape {shape}"
            )

    def check_options(self, output: str, devices: Sequence[Any] | None) -> None:
        """Check that an explainer's options fit a model outside JAX.

        Raises:
            ValueError: if it is to return logits, or there are several devices.
        """
        if output != "probabilities":
            raise ValueError(
                f"a BlackBox must return probabilities, but output is {output!r}; take the softmax "
                "of the logits in its function"
            )
        if len(devices or ()) > 1:
            raise ValueError(
                f"a BlackBox is asked from one place, but the engine has {len(devices or ())} "
                "devices; pass EngineOptions(devices=None) or one device"
            )

    def check_answer(self, x: Shaped[np.ndarray, "n *shape"]) -> None:
        """Ask for a few rows, to find out soon that a function can't be what is wanted.

        Raises:
            ValueError: if the answer has another shape, or the function fails for every row.
        """
        failures = Failures(warn=False)
        try:
            read_probabilities(self.predict(x.copy()), len(x), self.num_classes)
        except BadAnswer as error:
            raise ValueError(str(error)) from error
        except Exception:
            # Perhaps the row's fault and not the function's.
            if np.isnan(self.ask(x, failures)).any(axis=1).all():
                raise ValueError(
                    f"predict failed for each of the first {len(x)} rows: {failures.first}"
                ) from None

    def lanes(self, shape: tuple[int, ...]) -> int:
        """How many rows to search at once where nobody says: what fits into a bounded memory."""
        if self.max_rows_per_call is not None:
            return _MOST_LANES
        num_features = max(1, math.prod(shape))
        points = 2 + self.gradient.predictions(num_features)
        return max(1, min(_MOST_LANES, _MOST_BYTES // (4 * num_features * points)))

    def stand_in(self) -> "BlackBox":
        """What compiled programs know of it: the same for all functions and step widths."""
        every = CentralDifferences(every=self.gradient.every)
        return BlackBox(_never_asked, self.num_classes, every)

    def settings(self) -> dict[str, Any]:
        """The options as plain values for records."""
        options = {name: value for name, value in vars(self.gradient).items() if name != "function"}
        return {
            "gradient": {"kind": type(self.gradient).__name__} | options,
            "max_rows_per_call": self.max_rows_per_call,
        }


def _never_asked(x: np.ndarray) -> np.ndarray:
    raise AssertionError(f"asked for {len(x)} rows inside a compiled program")


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
        The answers, float32. A batch that had to be asked again counts once.
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
    asked = _ask_in_pieces(box, _stacked(sources), len(lanes), failures)
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
            at_query[due], found = _ask_for_jacobians(
                box, box.gradient.function, moved[due], failures
            )
        else:
            assert plan is not None
            found = plan.jacobian(at_query[due], parts[-1])
        jacobian[due] = found.reshape(len(due), box.num_classes, *shape)
    counted = np.concatenate([lanes, asked_otherwise])
    return Answers(
        judged=judged.astype(np.float32),
        queried=None if questions.queried is None else at_query.astype(np.float32),
        due=questions.due,
        jacobian=jacobian,
        predictions=np.bincount(counted, minlength=num_lanes).astype(np.int32),
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


def _pieces(box: BlackBox, count: int) -> list[slice]:
    most = box.max_rows_per_call or max(1, count)
    return [slice(start, min(start + most, count)) for start in range(0, count, most)]


def _ask_in_pieces(
    box: BlackBox, rows: Callable[[slice], np.ndarray], count: int, failures: Failures
) -> np.ndarray:
    asked = np.full((count, box.num_classes), np.nan)

    def ask(x: np.ndarray) -> tuple[np.ndarray]:
        return (read_probabilities(box.predict(x), len(x), box.num_classes),)

    for piece in _pieces(box, count):
        ask_or_halve(ask, np.asarray(rows(piece), np.float32), (asked[piece],), failures)
    return asked


def _ask_for_jacobians(
    box: BlackBox, function: Callable[[np.ndarray], Any], x: np.ndarray, failures: Failures
) -> tuple[np.ndarray, np.ndarray]:
    asked = np.full((len(x), box.num_classes), np.nan)
    jacobians = np.full((len(x), box.num_classes, *x.shape[1:]), np.nan, np.float32)

    def ask(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        probabilities, jacobian = function(x)
        jacobian = np.asarray(jacobian, np.float32)
        expected = (len(x), box.num_classes, *x.shape[1:])
        if jacobian.shape != expected:
            raise BadAnswer(f"the Jacobian has shape {jacobian.shape}; expected {expected}")
        return read_probabilities(probabilities, len(x), box.num_classes), jacobian

    for piece in _pieces(box, len(x)):
        ask_or_halve(ask, x[piece], (asked[piece], jacobians[piece]), failures)
    return asked, jacobians
