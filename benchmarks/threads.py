"""Models that use OpenMP, as black boxes: with threads of their own, and held to one.

    python -m benchmarks.threads [--quick] [--json FILE] [--n 142] [--repeats 5]

scikit-learn's gradient boosting computes with OpenMP, whose threads spin while they wait; so do
XLA's, which take the steps of a search in between. Explains rows of breast_cancer with each, and a
forest, which doesn't use OpenMP, as a control; then asks the boosting alone for more and more
rows, which says from how many on its threads are worth it. Both ways in turn, medians. Prints
tables; writes JSON rows.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from benchmarks import common
from jaxcf import BlackBox, CentralDifferences, Explainer, RandomDirections, SearchOptions, data
from jaxcf.predictors import calling

_MODELS = {
    "boosting": lambda: HistGradientBoostingClassifier(random_state=0),
    "forest": lambda: RandomForestClassifier(100, random_state=0),
}

# Trees are constant between their thresholds: the differences must cross some.
_CASES = {
    "E": ("E", CentralDifferences(0.1)),
    "C, 2 directions": ("C", RandomDirections(2, 0.1)),
    "C, central": ("C", CentralDifferences(0.1)),
}

_LARGEST = 100_000


def main() -> None:
    """Measure, print, write."""
    options = _options()
    dataset = data.load("breast_cancer")
    rows: list[dict[str, Any]] = []
    for name, make in _MODELS.items():
        model = make().fit(dataset.x_train, dataset.y_train)
        rows += [_search(options, dataset, name, model, case) for case in _CASES]
    boosting = _MODELS["boosting"]().fit(dataset.x_train, dataset.y_train)
    for count in (1, 100, 1000, 10_000, _LARGEST)[: 3 if options.quick else None]:
        rows.append(_call(options, dataset.x_train, boosting, count))
    _print(rows)
    if options.json is not None:
        common.write(options.json, rows)


def _options() -> argparse.Namespace:
    parser = common.parser(__doc__)
    parser.add_argument("--n", type=int, default=142)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--max-steps", type=int, default=100)
    parser.set_defaults(data="breast_cancer")
    small = {"n": 16, "repeats": 1, "max_steps": 20, "data": "breast_cancer"}
    return common.quickly(parser.parse_args(), **small)


def in_turn(task: Callable[[], Any], repeats: int) -> dict[str, float]:
    """The median seconds of a task with OpenMP's own threads and with one, by turns.

    Args:
        task: what to time; it has been run before.
        repeats: of each.

    Returns:
        "own" and "one".
    """
    seconds: dict[str, list[float]] = {"own": [], "one": []}
    for _ in range(repeats):
        for kind, limit in (("own", 0), ("one", _LARGEST + 1)):
            with mock.patch.object(calling, "ROWS_FOR_THREADS", limit):
                began = time.perf_counter()
                task()
                seconds[kind].append(time.perf_counter() - began)
    return {kind: float(np.median(values)) for kind, values in seconds.items()}


def _search(
    options: argparse.Namespace, dataset: data.Dataset, name: str, model: Any, case: str
) -> dict[str, Any]:
    objective, gradient = _CASES[case]
    fitted = Explainer(
        BlackBox(model.predict_proba, dataset.num_classes, gradient),
        objective=objective,
        search=SearchOptions(max_steps=options.max_steps),
    ).fit(dataset.x_train)
    x = dataset.x_test[: options.n]
    found = fitted.explain(x)  # compiles
    seconds = in_turn(lambda: fitted.explain(x), options.repeats)
    return {
        "system": common.SYSTEM,
        "model": name,
        "what": case,
        "n": len(x),
        "steps": int(found.steps.max()),
        "validity": float(found.found.mean()),
        "seconds": seconds,
    }


def _call(options: argparse.Namespace, x: np.ndarray, model: Any, count: int) -> dict[str, Any]:
    rows = np.resize(x, (count, *x.shape[1:]))
    box = BlackBox(model.predict_proba, 2)
    box.probabilities(rows)
    seconds = in_turn(lambda: box.probabilities(rows), max(5, options.repeats))
    return {
        "system": common.SYSTEM,
        "model": "boosting",
        "what": "one call",
        "n": count,
        "seconds": seconds,
    }


def _print(rows: list[dict[str, Any]]) -> None:
    columns = "what", "model", "rows", "own threads, ms", "one thread, ms", "ratio"
    common.print_table(
        "a search, and one call",
        columns,
        [
            (
                row["what"],
                row["model"],
                str(row["n"]),
                f"{1e3 * row['seconds']['own']:.1f}",
                f"{1e3 * row['seconds']['one']:.1f}",
                f"{row['seconds']['own'] / row['seconds']['one']:.2f}",
            )
            for row in rows
        ],
    )


if __name__ == "__main__":
    main()
