"""What is worth doing after the search, for arrays and for images: every step of the refinement.

    python -m benchmarks.after_search [--quick] [--json FILE] [--n 451]

breast_cancer as an array of 30 columns under C, and the digits under D with the shipped networks,
each with other things tried after the search. Distances are in the data's own scale ([0, 1]);
*to training* is the L1 to the nearest training row that the model puts into the new class. Who
else reads the new class: a forest, nearest neighbours and an SVM that were trained on the labels of
the training rows and had no part in the search. Prints a table; seconds are medians of three calls
that have compiled, and *asked* counts predictions per row where the model is a black box.
"""

import argparse
import statistics
import time
from collections.abc import Iterator, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.svm import SVC

from benchmarks import common
from jaxcf import BlackBox, Explainer, FittedExplainer, Refinement, data, metrics, models

_REPEATS = 3

REFINEMENTS: Mapping[str, Refinement] = {
    "nothing, the default": Refinement(),
    "put back": Refinement(sparsify=True),
    "put back, shrink": Refinement(sparsify=True, shrink=True),
    "walk back along the change": Refinement(tighten=True),
    "all that tables have": Refinement.for_tables(),
}
"""What is tried after the search."""


def main() -> None:
    """Measure, print, write."""
    options = _options()
    rows = list(_measured(options.n))
    shown = ("data", "after the search", "found", "changed", "l1", "l2", "to_training", "believed")
    print("| " + " | ".join((*shown, "ms per row", "asked")) + " |\n" + "|---" * 10 + "|")
    for row in rows:
        numbers = [f"{row[name]:.3g}" for name in shown[2:]]
        spent = f"{row['milliseconds']:.3g} | {row['asked'] or '-'}"
        print(f"| {row['data']} | {row['after the search']} | {' | '.join(numbers)} | {spent} |")
    if options.json is not None:
        common.write(options.json, rows)


def _options() -> argparse.Namespace:
    parser = common.parser(__doc__)
    parser.add_argument("--n", type=int, default=451)
    return common.quickly(parser.parse_args(), n=12)


def _measured(n: int) -> Iterator[dict[str, Any]]:
    for name in ("breast_cancer", "digits"):
        dataset = data.load(name)
        fitted = _fitted(name, dataset)
        others = _judges(dataset)
        for label, refinement in REFINEMENTS.items():
            if name == "digits" and refinement.begins_anew:
                continue  # prototypes are encodings there: no training row lies in input space
            yield {
                "data": name,
                "after the search": label,
                **_measure(fitted.with_options(refinement=refinement), dataset, others, n),
                "asked": _asked(name, dataset, refinement, n),
            }


def _fitted(name: str, dataset: Any) -> FittedExplainer:
    if name == "digits":
        return Explainer(**models.pretrained(name).functions()).fit(dataset.x_train)
    model = LogisticRegression(max_iter=1000).fit(dataset.x_train, dataset.y_train)
    weights = model.coef_.T.astype(np.float32), model.intercept_.astype(np.float32)

    def predict(x: Any) -> Any:
        score = x @ weights[0] + weights[1]
        return jnp.concatenate([-score / 2, score / 2], axis=1)

    return Explainer(predict, output="logits").fit(dataset.x_train)


def _judges(dataset: Any) -> list[Any]:
    x = dataset.x_train.reshape(len(dataset.x_train), -1)
    judges = RandomForestClassifier(200, random_state=0), KNeighborsClassifier(5), SVC()
    return [judge.fit(x, dataset.y_train) for judge in judges]


def _measure(fitted: FittedExplainer, dataset: Any, judges: list[Any], n: int) -> dict[str, float]:
    x = dataset.x_test[:n]
    answers = fitted.explain(x)
    seconds = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        fitted.explain(x)
        seconds.append(time.perf_counter() - began)
    found = answers.found
    ends = answers.counterfactual[found].reshape(found.sum(), -1)
    moved = answers.counterfactual[found] - answers.original[found]
    wanted = answers.counterfactual_class[found]
    train = dataset.x_train.reshape(len(dataset.x_train), -1)
    decided = np.asarray(fitted.explain(dataset.x_train).original_class)
    near = np.full(len(ends), np.nan)
    for one in np.unique(wanted):
        index = NearestNeighbors(n_neighbors=1, p=1, algorithm="brute").fit(train[decided == one])
        near[wanted == one] = index.kneighbors(ends[wanted == one])[0][:, 0]
    return {
        "n": len(x),
        "found": float(found.mean()),
        "changed": float(metrics.l0(moved).mean()),
        "l1": float(metrics.l1(moved).mean()),
        "l2": float(metrics.l2(moved).mean()),
        "to_training": float(near.mean()),
        "believed": float(np.mean([judge.predict(ends) == wanted for judge in judges])),
        "milliseconds": 1e3 * statistics.median(seconds) / len(x),
    }


def _asked(name: str, dataset: Any, refinement: Refinement, n: int) -> int | None:
    """How often a black box of the same kind is asked, per row."""
    if name == "digits":
        return None
    model = LogisticRegression(max_iter=1000).fit(dataset.x_train, dataset.y_train)
    explainer = Explainer(BlackBox(model.predict_proba, 2), objective="E", refinement=refinement)
    answers = explainer.fit(dataset.x_train).explain(dataset.x_test[:n])
    return round(float(answers.scores["predictions"].mean()))


if __name__ == "__main__":
    main()
