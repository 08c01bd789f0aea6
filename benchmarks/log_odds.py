"""Tables: decisions by log-odds or by probabilities, under two weights of L1 and squared L2.

    python -m benchmarks.log_odds [--quick] [--json FILE] [--data-dir DIR] [--n 1000]

Wine and breast cancer of scikit-learn and, with `--data-dir`, Adult; a network of dense layers and
a logistic regression (the same without hidden layers). Rows that neither has learnt from are
explained under objective C with prototypes from a k-d tree, as `TableExplainer` does: by the search
alone, with what is tried after it by default, and by the search alone for a confidence of 0.9.

L1 and L2 are in spans: each column divided by its range, a category its learnt number. Plausible
is a counterfactual that lies near training rows of its new class (mean distance to 5 of them), and
that judges, which had no part in it, read as that class (a random forest, nearest neighbours and an
SVM, trained on the labels of the same rows). Seconds are medians of three calls that have compiled.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common
from jaxcf import Objective, Refinement, metrics
from jaxcf.data.labelled_tables import read_adult
from jaxcf.objective import PREDICTIONS
from jaxcf.tabular import FittedTableExplainer, TableExplainer
from jaxcf.tabular.classifiers import TableClassifier, train_table_classifier

WEIGHTS = ((0.1, 1.0), (1.0, 0.1))
"""Of L1 and of squared L2: jaxcf's own, and those of the presets for guides."""

MODES: Mapping[str, tuple[float, Refinement | None]] = {
    "search alone": (0.0, Refinement()),
    "default": (0.0, None),
    "0.9 sure": (0.9, Refinement()),
}
"""The confidence that is asked for, and what is tried after the search (None: the default)."""

MODELS = {"network": (64, 32), "logistic regression": ()}
"""The hidden layers of each."""

# Without hidden layers it takes more of them to be sure of anything.
_UPDATES, _BATCH = 4000, 128
_REPEATS = 3


@dataclass(frozen=True, eq=False)
class Task:
    """A table, parted.

    Attributes:
        name: of the data.
        train: columns of the training rows.
        train_classes: `[n]`, their labels.
        test: columns of the others.
        class_names: one per class.
    """

    name: str
    train: Mapping[str, np.ndarray]
    train_classes: np.ndarray
    test: Mapping[str, np.ndarray]
    class_names: tuple[str, ...]


def embedded(name: str) -> Task:
    """A data set of scikit-learn, a quarter of each class for testing.

    Args:
        name: "wine" or "breast_cancer".

    Returns:
        The parts, always the same.
    """
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    data: Any = getattr(datasets, f"load_{name}")()
    rows = np.arange(len(data.target))
    train, test = train_test_split(rows, test_size=0.25, stratify=data.target, random_state=0)
    columns = dict(zip(map(str, data.feature_names), data.data.T, strict=True))
    parts = ({key: column[part] for key, column in columns.items()} for part in (train, test))
    names = tuple(map(str, data.target_names))
    return Task(name, next(parts), np.asarray(data.target)[train], next(parts), names)


def adult(data_dir: Path) -> Task:
    """Adult: its own training and test rows."""
    train, test = read_adult(data_dir)
    return Task("adult", train.columns, train.classes(), test.columns, train.class_names)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write if asked."""
    made = common.parser(__doc__)
    made.add_argument("--n", type=int, default=1000, help="rows explained at most")
    options = made.parse_args(arguments)
    tasks = [embedded("wine")]
    if options.quick:
        options.n = min(options.n, 12)
    else:
        tasks.append(embedded("breast_cancer"))
        tasks += [] if options.data_dir is None else [adult(options.data_dir)]
    rows = [row for task in tasks for row in measure(task, options.n)]
    _print(rows)
    if options.json is not None:
        common.write(options.json, rows)


def measure(task: Task, count: int) -> Iterator[dict[str, Any]]:
    """Every setting on one table.

    Args:
        task: the table.
        count: how many of its test rows are explained at most.

    Yields:
        One record per model, mode, kind of decisions and pair of weights.
    """
    some = {name: column[:count] for name, column in task.test.items()}
    for model, hidden in MODELS.items():
        epochs = max(1, _UPDATES * _BATCH // len(task.train_classes))
        classifier = train_table_classifier(
            task.train,
            task.train_classes,
            task.class_names,
            hidden=hidden,
            epochs=None if hidden else epochs,
            batch_size=_BATCH,
        )
        for mode, (confidence, refinement) in MODES.items():
            fitted = TableExplainer(
                **classifier.functions(),
                objective=Objective.named("C", confidence=confidence),
                refinement=refinement,
            ).fit(task.train)
            court = _Court.of(task, fitted, classifier)
            for l1_weight, l2_weight in WEIGHTS:
                for prediction in PREDICTIONS:
                    objective = replace(
                        Objective.named("C", confidence=confidence),
                        prediction=prediction,
                        l1_weight=l1_weight,
                        l2_weight=l2_weight,
                    )
                    record = _measured(fitted.with_options(objective=objective), some, court)
                    yield {
                        "data": task.name,
                        "model": model,
                        "mode": mode,
                        "prediction": prediction,
                        "l1_weight": l1_weight,
                        "l2_weight": l2_weight,
                    } | record


@dataclass(frozen=True, eq=False)
class _Court:
    """What plausibility is measured by: training rows in coordinates, and judges of these."""

    coordinates: np.ndarray
    decided: np.ndarray
    judges: Mapping[str, Any]

    @classmethod
    def of(cls, task: Task, fitted: FittedTableExplainer, classifier: TableClassifier) -> "_Court":
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.neighbors import KNeighborsClassifier
        from sklearn.svm import SVC

        values = classifier.schema.read(task.train)
        coordinates = fitted.coding.coordinates(values)
        decided = np.asarray(classifier.predict(classifier.schema.encode(values))).argmax(axis=1)
        judges = {
            "forest": RandomForestClassifier(100, random_state=0),
            "neighbours": KNeighborsClassifier(5),
            "SVM": SVC(),
        }
        for judge in judges.values():
            judge.fit(coordinates[:_MOST_LEARNT], task.train_classes[:_MOST_LEARNT])
        return cls(coordinates, decided, judges)

    def plausibility(
        self, point: np.ndarray, original: np.ndarray, new: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The share of the judges that read the new class, the distance to training rows of it."""
        asked = {
            name: partial(_one_hot, judge, len(np.unique(self.decided)))
            for name, judge in self.judges.items()
        }
        believed = metrics.verdicts(asked, point, original, new).oracle_score
        return believed, metrics.distance_to_class(point, new, self.coordinates, self.decided)


# The SVM takes the square of their number.
_MOST_LEARNT = 10_000


def _one_hot(judge: Any, num_classes: int, x: Any) -> np.ndarray:
    return np.eye(num_classes)[judge.predict(np.asarray(x))]


def _measured(
    fitted: FittedTableExplainer, table: Mapping[str, np.ndarray], court: _Court
) -> dict[str, Any]:
    fitted.explain(table)  # compiles
    seconds = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        explanations = fitted.explain(table)
        seconds.append(time.perf_counter() - began)
    core, found = explanations.core, explanations.found
    chosen = core[found]
    believed, distance = court.plausibility(
        chosen.counterfactual, chosen.original_class, chosen.counterfactual_class
    )
    return {
        "n": len(core),
        "found": float(found.mean()),
        "l1": _mean(chosen.l1),
        "l2": _mean(chosen.l2),
        "changed": _mean(explanations.changed[found].sum(axis=1)),
        "steps": float(core.steps.mean()),
        "seconds": float(np.median(seconds)),
        "distance_to_class": _mean(distance),
        "judges": _mean(believed),
    }


def _mean(values: np.ndarray) -> float | None:
    return float(np.mean(values, dtype=np.float64)) if len(values) else None


def _print(rows: Sequence[dict[str, Any]]) -> None:
    forms = {"l1": ".3f", "l2": ".3f", "changed": ".2f", "steps": ".1f", "seconds": ".3f"}
    forms |= {"distance_to_class": ".3f", "judges": ".3f"}
    heads = ("found", "L1", "L2", "changed", "steps", "s", "to class", "judges")
    for data, model in dict.fromkeys((row["data"], row["model"]) for row in rows):
        some = [row for row in rows if (row["data"], row["model"]) == (data, model)]
        common.print_table(
            f"{data}, {model}, n = {some[0]['n']}",
            ("", "L1, L2 weight", "by", *heads),
            [
                (
                    row["mode"],
                    f"{row['l1_weight']:g}, {row['l2_weight']:g}",
                    row["prediction"],
                    f"{row['found']:.3f}",
                    *(common.text(row[name], form) for name, form in forms.items()),
                )
                for row in some
            ],
        )


if __name__ == "__main__":
    main()
