"""Asking a function that may fail: what it can't answer is found, and spares the other rows."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

TOLERANCE = 1e-3
"""How far probabilities may lie outside [0, 1], and their sum from 1."""


class Failures:
    """What went wrong when a model was asked: the first error of each kind, warned of once.

    Args:
        warn: whether to warn; else the first error is only kept.
    """

    def __init__(self, *, warn: bool = True) -> None:
        self._warn = warn
        self._kinds: set[str] = set()
        self.first: str | None = None

    def report(self, kind: str, text: str) -> None:
        """Take note of a row that got no answer."""
        self.first = self.first or text
        if kind not in self._kinds:
            self._kinds.add(kind)
            if self._warn:
                warnings.warn(
                    f"{text}; rows without an answer end with the status MODEL_NOT_FINITE",
                    RuntimeWarning,
                    stacklevel=2,
                )


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
        raise BadAnswer(
            f"predict returned shape {probabilities.shape} for {num_rows} rows; expected "
            f"{expected}, one row of class probabilities for each"
        )
    return probabilities


def ask_or_halve(
    ask: Callable[[np.ndarray], tuple[np.ndarray, ...]],
    x: np.ndarray,
    into: tuple[np.ndarray, ...],
    failures: Failures,
) -> None:
    """Ask for a batch; for its halves if that fails, down to single rows.

    Args:
        ask: from rows to arrays of answers, the probabilities first.
        x: the rows.
        into: where the answers are written; rows that get none are left as they are.
        failures: told of what goes wrong.
    """
    try:
        answers = ask(x.copy())  # a model may scale its input in place
    except Exception as error:
        if len(x) == 1:
            bad = isinstance(error, BadAnswer)
            text = str(error) if bad else f"predict raised {type(error).__name__}: {error}"
            failures.report("shape" if bad else "raised", text)
            return
        for half in (slice(None, len(x) // 2), slice(len(x) // 2, None)):
            ask_or_halve(ask, x[half], tuple(array[half] for array in into), failures)
        return
    fine = _are_probabilities(answers[0], failures)
    for array, values in zip(into, answers, strict=True):
        array[fine] = values[fine]


def _are_probabilities(answered: np.ndarray, failures: Failures) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        fine = ((answered >= -TOLERANCE) & (answered <= 1 + TOLERANCE)).all(axis=1)
        fine &= np.abs(answered.sum(axis=1) - 1) <= TOLERANCE
    if not fine.all():
        row = np.array2string(answered[np.argmin(fine)], precision=3, threshold=8)
        failures.report(
            "probabilities",
            f"predict returned {row} for a row, which are no probabilities: they must lie in "
            "[0, 1] and sum to 1 (take the softmax of logits)",
        )
    return fine
