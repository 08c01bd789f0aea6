"""What the answers of `benchmarks.tables` are worth, whoever found them, from their values alone.

A number's *unit* is the median absolute deviation of its column over the training rows, at least a
twentieth of what their middle 98 % span (of their whole span, where that is 0); a changed category
counts 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from benchmarks.tables_process import Answers
from benchmarks.tables_tasks import Task
from jaxcf.explainers.costs import units_of

MEASURES = ("changed", "l1", "l2", "to_training")
"""Each of them better where it is smaller."""

_ROUNDING = 1e-6
_TOGETHER = 4_000_000


@dataclass(frozen=True)
class Scores:
    """What each of some rows' answers is worth; all `[rows]`, NaN where there is none to measure.

    Attributes:
        reached: whether its turn came.
        valid: whether it is a row of the table, keeps the rules, and the model puts it into
            another class (the target, where there is one).
        changed: columns.
        l1: sum of what they moved, in units.
        l2: root of the sum of the squares.
        to_training: least `l1` from a training row that the model puts into the same class.
        off_grid: whether a number had to be rounded to what the table can hold.
    """

    reached: np.ndarray
    valid: np.ndarray
    changed: np.ndarray
    l1: np.ndarray
    l2: np.ndarray
    to_training: np.ndarray
    off_grid: np.ndarray

    def of(self, measure: str) -> np.ndarray:
        """One of `MEASURES`."""
        return getattr(self, measure)


def units(task: Task) -> np.ndarray:
    """The unit of each column, `[columns]`; 1 for categories and constant columns."""
    return np.where(task.numeric, units_of(task.x_train), 1.0)


def distances(task: Task, ones: np.ndarray, others: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """How far each column moved between rows of values, in units; of the arrays' common shape."""
    moved = np.abs(ones - others) / unit
    return np.where(task.numeric, moved, np.not_equal(ones, others))


def score(task: Task, answers: Answers) -> Scores:
    """What answers to the first rows of a task are worth.

    Args:
        task: the table and the model, which is asked once more.
        answers: of any method.

    Returns:
        The scores. Numbers are rounded to what the table can hold, and a number that float32
        doesn't tell from the original is the original.
    """
    original = task.x[: len(answers.values)]
    unit = units(task)
    readable = _readable(task, answers.values)
    values = np.where(readable[:, None], answers.values, original)
    same = values.astype(np.float32) == original.astype(np.float32)
    values = np.where(same, original, values)
    # A row that isn't on the grid itself may stay as it is where it wasn't changed.
    rounded = np.where(same, original, task.on_grid(values))
    off_grid = np.asarray((np.abs(rounded - values) > _ROUNDING * unit).any(axis=1))
    before, after = task.predict(original), task.predict(rounded)
    classes, now = before.argmax(axis=1), after.argmax(axis=1)
    reached_class = now != classes
    if task.target is not None:
        reached_class = now == task.options["class_names"].index(task.target)
    valid = readable & reached_class & _kept(task, original, rounded)
    moved = distances(task, rounded, original, unit)
    columns = {
        "changed": np.not_equal(rounded, original).sum(axis=1),
        "l1": moved.sum(axis=1),
        "l2": np.sqrt(np.square(moved).sum(axis=1)),
        "to_training": _to_training(task, rounded, now, valid, unit),
    }
    nothing = {name: np.where(readable, column, np.nan) for name, column in columns.items()}
    return Scores(answers.reached, valid & answers.reached, **nothing, off_grid=off_grid)


def _readable(task: Task, values: np.ndarray) -> np.ndarray:
    """Which rows hold finite numbers, and categories that exist."""
    counts = np.array([len(getattr(one, "categories", ())) for one in task.schema.columns])
    with np.errstate(invalid="ignore"):
        category = (values % 1 == 0) & (values >= 0) & (values < counts)
    return np.asarray(np.where(task.numeric, np.isfinite(values), category).all(axis=1))


def _kept(task: Task, original: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Which rows keep the rules."""
    kept = np.ones(len(values), bool)
    for place, word in enumerate(task.rule_words):
        if word == "frozen":
            kept &= values[:, place] == original[:, place]
        elif word == "increase":
            kept &= values[:, place] >= original[:, place]
    return kept


def _to_training(
    task: Task, values: np.ndarray, classes: np.ndarray, wanted: np.ndarray, unit: np.ndarray
) -> np.ndarray:
    nearest = np.full(len(values), np.nan)
    for one in np.unique(classes[wanted]):
        known = task.x_train[task.train_classes == one]
        if not len(known):
            continue
        rows = np.flatnonzero(wanted & (classes == one))
        size = max(1, _TOGETHER // known.size)
        for start in range(0, len(rows), size):
            some = rows[start : start + size]
            moved = distances(task, values[some][:, None], known[None], unit)
            nearest[some] = moved.sum(axis=2).min(axis=1)
    return nearest


def ranks(scores: Mapping[str, Scores]) -> dict[str, dict[str, np.ndarray]]:
    """Where each method stands among all, row by row: 1 is best, equals share the mean place.

    Args:
        scores: by method, of the same rows.

    Returns:
        By method and measure `[rows]`, an answer that isn't valid behind all that are; NaN for rows
        that some method didn't reach.
    """
    reached = np.all([one.reached for one in scores.values()], axis=0)
    found: dict[str, dict[str, np.ndarray]] = {name: {} for name in scores}
    for measure in MEASURES:
        columns = [np.where(one.valid, one.of(measure), np.inf) for one in scores.values()]
        # What rounding alone tells apart is equal.
        places = rankdata(np.round(np.stack(columns), 9), axis=0)
        for name, row in zip(scores, places, strict=True):
            found[name][measure] = np.where(reached, row, np.nan)
    return found
