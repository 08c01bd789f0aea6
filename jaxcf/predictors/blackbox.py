"""Models outside JAX: asked in calls of a bounded size, so that what fails spares the other rows.

A search needs two things of a model, probabilities and their gradient. Here both come from calls
of a plain function on the host, one per step for all rows together; the compiled part of a step
(`lanes`) sees the probabilities as a linear function of the point, with the estimated Jacobian.
"""

import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

from jaxcf.predictors.calling import Caller, caller_of
from jaxcf.predictors.jacobians import CentralDifferences, Gradient
from jaxcf.utils.numbers import check_number, check_whole

TOLERANCE = 1e-3
"""How far probabilities may lie outside [0, 1], and their sum from 1."""

# What the softmax of half-precision numbers may be off by, in units of their precision.
_ROUNDINGS = 2

# A model that fails now and again, for rows of all kinds, must not make a run wait for ever.
_MOST_OUTAGES = 10

_LONGEST_WAIT = 60.0


class Failures:
    """What went wrong when a model was asked in one run, and whether it is out of reach.

    A model is out of reach while it fails for a row that it has answered before. Such an outage is
    waited for, see `BlackBox`.

    Args:
        warn: whether to warn of the first error of each kind; else it is only kept.

    Attributes:
        first: the first error in words; None where nothing went wrong.
        asked: `[n]`, how often the rows of the last batch were asked for, or once each.
        outage: whether the model has been out of reach.
    """

    def __init__(self, *, warn: bool = True) -> None:
        self._warn = warn
        self._kinds: set[str] = set()
        self.first: str | None = None
        self.asked: Int[np.ndarray, " n"] | int = 1
        self.outage = False
        self._answered: dict[int, tuple[Callable[[np.ndarray], Any], np.ndarray]] = {}
        self._given_up = False
        self._outages = 0

    def report(self, kind: str, text: str) -> None:
        """Take note of a row that got no answer."""
        self.first = self.first or text
        self._warn_once(
            kind, f"{text}; rows without an answer end with the status MODEL_NOT_FINITE"
        )

    def _warn_once(self, kind: str, text: str) -> None:
        if kind not in self._kinds:
            self._kinds.add(kind)
            if self._warn:
                warnings.warn(text, RuntimeWarning, stacklevel=3)

    def answered(
        self,
        box: "BlackBox",
        ask: Callable[[np.ndarray], Any],
        row: Shaped[np.ndarray, "1 *shape"],
    ) -> None:
        """Remember a row that a model has an answer for, and how to ask for it."""
        self._answered[id(box)] = ask, row.copy()

    @property
    def given_up(self) -> bool:
        """Whether a model that is out of reach isn't waited for, until it answers again."""
        return self._given_up

    def give_up(self) -> None:
        """Wait no longer."""
        self._given_up = True

    def start_over(self) -> None:
        """Wait once more for a model that has been given up."""
        self._given_up = False

    def _lost(self, box: "BlackBox", counts: Int[np.ndarray, " n"]) -> bool:
        """Whether a row that was answered before isn't any more; the first of the batch pays."""
        if id(box) not in self._answered:
            return False
        ask, row = self._answered[id(box)]
        counts[0] += 1
        try:
            ask(row.copy())
        except Exception:
            return True
        return False

    def ask_on(
        self,
        box: "BlackBox",
        attempt: "Callable[[], Answered]",
        raised: Exception,
        counts: Int[np.ndarray, " n"],
    ) -> "Answered":
        """Ask for a batch that has raised, until it is answered or nothing speaks for an outage.

        Args:
            box: says how often and how long.
            attempt: asks for the batch.
            raised: what it has raised.
            counts: how often each row of the batch was asked for.

        Returns:
            What the last attempt did. An error is that of the rows, unless `given_up`.
        """
        if self._given_up:
            if self._lost(box, counts):
                return raised
            self.start_over()
        answers, waits = attempt(), 0  # it may have been this one call
        while _raised(answers) and self._lost(box, counts):
            self._outages += waits == 0
            if waits == box.retries or self._outages > _MOST_OUTAGES:
                self.give_up()
                break
            self.outage = True
            self._warn_once(
                "outage",
                f"{in_words(answers)}, also for a row that was answered before: the model is out "
                f"of reach and asked again, up to {box.retries} times, after {box.backoff:g} s and "
                "twice as long each time; rows that are lost are searched again at the end",
            )
            time.sleep(min(box.backoff * 2**waits, _LONGEST_WAIT))
            waits += 1
            answers = attempt()
        return answers


class BadAnswer(Exception):
    """A model's answer that can't be read as one row of numbers per row."""


def read_probabilities(answered: Any, num_rows: int, num_classes: int) -> np.ndarray:
    """A model's answer as float64 `[num_rows, num_classes]`.

    Raises:
        BadAnswer: if it is anything else.
    """
    expected = (num_rows, num_classes)
    try:
        probabilities = np.asarray(answered, np.float64)
    except (TypeError, ValueError) as error:
        raise BadAnswer(
            f"predict returned {type(answered).__name__}, which is no array of numbers: {error}"
        ) from error
    if probabilities.shape != expected:
        hint = how_to_stack(probabilities.shape, num_rows, "np")
        if np.asarray(answered).dtype.kind in "iu":
            hint = "; for class numbers pass what gives probabilities, such as predict_proba"
        raise BadAnswer(
            f"predict returned shape {probabilities.shape} for {num_rows} rows; expected "
            f"{expected}, one row of class probabilities for each"
            f"{hint}"
        )
    return probabilities


def how_to_pass(model: Any) -> str:
    """What to do about a classifier where a function is wanted, to end an error with; else nothing.

    Args:
        model: what was passed in place of a function.

    Examples:
        >>> from sklearn.naive_bayes import GaussianNB
        >>> how_to_pass(GaussianNB()).split(",")[0]
        '; explainers take the model itself'
        >>> how_to_pass(3)
        ''
    """
    if not callable(getattr(model, "predict_proba", None)):
        return ""
    return (
        "; explainers take the model itself, as predict; options of a BlackBox go with its "
        "function, BlackBox(model.predict_proba, num_classes=len(model.classes_))"
    )


def how_to_stack(
    shape: tuple[int, ...], num_rows: int, module: str, output: str = "probabilities"
) -> str:
    """What to do about an answer of one number per row, to end an error with; else nothing.

    Args:
        shape: of the answer.
        num_rows: that were asked for.
        module: whose `stack` is at hand, "np" or "jnp".
        output: what is returned, "probabilities" or "logits".

    Returns:
        A clause, or an empty string where the answer has another shape.

    Examples:
        >>> how_to_stack((5, 1), 5, "np")
        '; of one probability p = answer[:, 0] make two: np.stack([1 - p, p], axis=1)'
        >>> how_to_stack((5, 3), 5, "np")
        ''
    """
    if shape not in ((num_rows,), (num_rows, 1)):
        return ""
    name, what, other = "p", "probability", "1 - p"
    if output == "logits":
        name, what, other = "s", "score", f"{module}.zeros_like(s)"
    column = f"{name} = answer[:, 0]" if len(shape) == 2 else name
    return f"; of one {what} {column} make two: {module}.stack([{other}, {name}], axis=1)"


Answered = tuple[np.ndarray, ...] | Exception
"""Arrays of answers, the probabilities first; or what was raised instead."""


def call_with_bisection(
    box: "BlackBox",
    ask: Callable[[np.ndarray], tuple[np.ndarray, ...]],
    x: np.ndarray,
    into: tuple[np.ndarray, ...],
    failures: Failures,
    *,
    part: bool = False,
) -> None:
    """Ask for a batch; for its halves if that fails, down to single rows.

    Args:
        box: says how often a call that raises is repeated.
        ask: from rows to arrays of answers, the probabilities first.
        x: the rows.
        into: where the answers are written, the last one how often each row was asked for; rows
            that get no answer are left as they are.
        failures: told of what goes wrong.
        part: whether the rows are part of a batch that has failed.
    """
    *arrays, counts = into

    def attempt() -> Answered:
        counts[:] += 1
        try:
            return ask(x.copy())  # a model may scale its input in place
        except Exception as error:
            return error

    answers = attempt()
    # What is known to hold a row that fails is halved without further ado.
    if _raised(answers) and box.retries and (not part or len(x) == 1):
        answers = failures.ask_on(box, attempt, answers, counts)
    if isinstance(answers, Exception):
        out_of_reach = _raised(answers) and box.retries and failures.given_up
        if len(x) == 1 or out_of_reach:
            failures.report("raised" if _raised(answers) else "shape", in_words(answers))
            return
        for half in (slice(None, len(x) // 2), slice(len(x) // 2, None)):
            call_with_bisection(
                box, ask, x[half], tuple(array[half] for array in into), failures, part=True
            )
        return
    failures.answered(box, ask, x[:1])
    fine = are_probabilities(answers[0], failures, "take the softmax of logits")
    for array, values in zip(arrays, answers, strict=True):
        array[fine] = values[fine]


def _raised(answers: Answered) -> TypeGuard[Exception]:
    """Whether the function raised; what it answers wrongly it would answer wrongly again."""
    return isinstance(answers, Exception) and not isinstance(answers, BadAnswer)


def in_words(error: Exception) -> str:
    """What went wrong when a model was asked."""
    if isinstance(error, BadAnswer):
        return str(error)
    return f"predict raised {type(error).__name__}: {error}"


def are_probabilities(
    answered: Shaped[np.ndarray, "n classes"], failures: Failures, for_logits: str
) -> Bool[np.ndarray, " n"]:
    """Which rows of an answer are probabilities: the one rule for models of every kind.

    Args:
        answered: in the model's own precision.
        failures: told of the first row that isn't.
        for_logits: what to do where logits were returned.

    Returns:
        A mask; rows that hold NaN are none.

    Examples:
        >>> failures = Failures(warn=False)
        >>> are_probabilities(np.array([[0.5, 0.5], [0.5, 0.48]]), failures, "").tolist()
        [True, False]
        >>> failures.first.split(":")[0]
        'predict returned [0.5  0.48] for a row, which are no probabilities'
    """
    precision = float(jnp.finfo(answered.dtype).eps)
    tolerance = max(TOLERANCE, _ROUNDINGS * precision)
    answered = answered.astype(np.float64)
    with np.errstate(invalid="ignore"):
        inside = (answered >= -tolerance) & (answered <= 1 + tolerance)
        # Looked at row by row, few classes take as long as a small model does to answer.
        within = np.ones(len(answered), bool)
        if not inside.all():
            within = np.asarray(inside.all(axis=1))
        fine = within & (np.abs(np.einsum("nc->n", answered) - 1) <= tolerance)
    if not fine.all():
        first = np.argmin(fine)
        row = np.array2string(answered[first], precision=3, threshold=8)
        hint = for_logits
        if within[first]:
            hint = (
                "divide by the sum, or, where classes don't exclude each other, explain one of "
                "them: of its probability p make two, [1 - p, p]"
            )
        failures.report(
            "probabilities",
            f"predict returned {row} for a row, which are no probabilities: expected numbers in "
            f"[0, 1] that sum to 1 ({hint})",
        )
    return fine


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

    A call that raises is repeated once before it is halved. If a row that was answered before fails
    as well, the model is out of reach: then the call is repeated after waits, and never halved. If
    it stays out of reach, the rows of that call are lost, later calls get one try each, and all
    rows that were lost are searched once more at the end. A run waits for ten outages at most.
    Every row of every call counts as a prediction.

    Args:
        predict: from numpy float32 `[n, *shape]` to probabilities `[n, classes]`, numpy or what
            numpy can read. Called in the caller's thread and by one thread at a time, also where
            several explainers share it; for fewer than 10,000 rows OpenMP is held to one thread
            (PyTorch's is left alone). It is no part of the compiled programs: a model that was
            fitted anew compiles nothing anew.
        num_classes: how many classes, >= 2.
        gradient: how the gradient is found: `CentralDifferences`, `RandomDirections` or
            `ExactJacobian`.
        max_rows_per_call: the most rows that one call gets, >= 1; None sets no bound.
        retries: how often a call is repeated while the model is out of reach, >= 0; with 0 a call
            that raises is halved at once.
        backoff: the seconds before the first of these, >= 0; before each further one it is twice as
            long, up to a minute.

    Raises:
        TypeError: if `predict` isn't a function or can't be hashed, `gradient` is something else,
            or a number is of another kind.
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
    retries: int = 3
    backoff: float = 1.0
    _caller: Caller = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not callable(self.predict):
            got = type(self.predict).__name__
            raise TypeError(f"predict must be a function, got {got}{how_to_pass(self.predict)}")
        if not isinstance(self.gradient, Gradient):
            raise TypeError(
                "gradient must be CentralDifferences, RandomDirections or ExactJacobian, got "
                f"{self.gradient!r}"
            )
        check_whole("num_classes", self.num_classes, least=2)
        if self.max_rows_per_call is not None:
            check_whole("max_rows_per_call", self.max_rows_per_call)
        check_whole("retries", self.retries, least=0)
        check_number("backoff", self.backoff, least=0)
        try:
            hash(self)
            object.__setattr__(self, "_caller", caller_of(self.predict))
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
        probabilities, failures.asked = ask_in_calls(self, x.__getitem__, len(x), failures)
        return probabilities

    def call(self, function: Callable[[np.ndarray], Any], x: Shaped[np.ndarray, "n *shape"]) -> Any:
        """What `predict` or the function of the gradient returns: they take turns."""
        return self._caller(function, x)

    def probabilities(self, x: Shaped[np.ndarray, "n *shape"]) -> Float[np.ndarray, "n classes"]:
        """The probabilities of a batch by one call.

        Raises:
            BadAnswer: if the function returns something else; what it raises itself is passed on.
        """
        return read_probabilities(self.call(self.predict, x), len(x), self.num_classes)

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
            "retries": self.retries,
            "backoff": self.backoff,
        }


def _never_asked(x: np.ndarray) -> np.ndarray:
    raise AssertionError(f"asked for {len(x)} rows inside a compiled program")


def calls(box: BlackBox, count: int) -> list[slice]:
    """Which rows each call gets, of so many in all."""
    most = box.max_rows_per_call or max(1, count)
    return [slice(start, min(start + most, count)) for start in range(0, count, most)]


def ask_in_calls(
    box: BlackBox, rows: Callable[[slice], np.ndarray], count: int, failures: Failures
) -> tuple[np.ndarray, np.ndarray]:
    """The probabilities `[count, classes]` of rows that are made when their call is due.

    And how often each was asked for.
    """
    asked, counts = np.full((count, box.num_classes), np.nan), np.zeros(count, np.int32)

    def ask(x: np.ndarray) -> tuple[np.ndarray]:
        return (box.probabilities(x),)

    for call in calls(box, count):
        into = (asked[call], counts[call])
        call_with_bisection(box, ask, np.asarray(rows(call), np.float32), into, failures)
    return asked, counts
