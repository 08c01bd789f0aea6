"""Models outside JAX: what the prediction term and each gradient estimator cost.

    python -m benchmarks.blackbox [--quick] [--json FILE] [--n 142] [--model mlp]

Explains rows of breast_cancer for a scikit-learn model under objective C, whose prediction term
needs a gradient, with every estimator, and under E, which needs none. Predictions are rows that
the model was asked for, per explained row; those of C without any estimate of a gradient would be
those of E. Prints a table; writes JSON rows. Compile time stands apart.
"""

import argparse
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from benchmarks import common
from jaxcf import (
    BlackBox,
    CentralDifferences,
    ExactJacobian,
    Explainer,
    Explanations,
    RandomDirections,
    SearchOptions,
    data,
)
from jaxcf.predictors.jacobians import Gradient

_MODELS = {
    "logistic": lambda: LogisticRegression(max_iter=1000),
    "mlp": lambda: MLPClassifier((32,), max_iter=1000, random_state=0),
    "forest": lambda: RandomForestClassifier(100, random_state=0),
}

# Trees are constant between their thresholds: their differences must cross some.
_EPSILONS = {"forest": 0.1}


def main() -> None:
    """Measure, print, write."""
    options = _options()
    dataset = data.load("breast_cancer")
    model = _MODELS[options.model]().fit(dataset.x_train, dataset.y_train)
    x = dataset.x_test[: options.n]
    rows = []
    for objective, name, gradient in _cases(options.model, model):
        explainer = Explainer(
            BlackBox(model.predict_proba, dataset.num_classes, gradient),
            objective=objective,
            search=SearchOptions(max_steps=options.max_steps),
        ).fit(dataset.x_train)
        explainer.explain(x)  # compiles, and warms up what the model keeps
        rows.append(_row(options, objective, name, explainer.explain(x)))
    _print(rows)
    if options.json is not None:
        common.write(options.json, rows)


def _options() -> argparse.Namespace:
    parser = common.parser(__doc__)
    parser.add_argument("--n", type=int, default=142)
    parser.add_argument("--model", choices=_MODELS, default="mlp")
    parser.add_argument("--max-steps", type=int, default=500)
    parser.set_defaults(data="breast_cancer")
    return common.quickly(parser.parse_args(), n=16, max_steps=100, data="breast_cancer")


def _cases(name: str, model: Any) -> list[tuple[str, str, Gradient]]:
    central = CentralDifferences(_EPSILONS.get(name, 1e-3))
    directions = RandomDirections(8, central.epsilon)
    cases: list[tuple[str, str, Gradient]] = [
        ("C", "central", central),
        ("C", "central, every 4th", replace(central, every=4)),
        ("C", "8 directions", directions),
        ("C", "8 directions, every 4th", replace(directions, every=4)),
        ("C", "2 directions", replace(directions, count=2)),
        ("E", "none", central),
    ]
    if name == "logistic":
        cases.insert(1, ("C", "exact", ExactJacobian(_exactly(model))))
    return cases


def _exactly(model: LogisticRegression) -> Any:
    def function(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        probabilities = model.predict_proba(x)
        slope = np.prod(probabilities, axis=1)[:, None] * model.coef_
        return probabilities, np.stack([-slope, slope], axis=1)

    return function


def _row(
    options: argparse.Namespace, objective: str, gradient: str, explanations: Explanations
) -> dict[str, Any]:
    summary = explanations.summary()
    return {
        "system": common.SYSTEM,
        "data": options.data,
        "model": options.model,
        "n": summary["n"],
        "objective": objective,
        "gradient": gradient,
        "validity": summary["found"] / summary["needed"],
        "elastic_net": summary["elastic_net"],
        "steps": summary["steps"],
        "predictions_per_row": float(explanations.scores["predictions"].mean()),
        "predictions_per_found_row": summary["predictions"],
        "seconds": summary["seconds"],
    }


def _print(rows: list[dict[str, Any]]) -> None:
    first = rows[0]
    columns = "objective", "gradient", "validity", "elastic net", "steps, median"
    common.print_table(
        f"{first['data']}, {first['model']}, n = {first['n']}",
        (*columns, "predictions per row", "of found rows", "search s"),
        [
            (
                row["objective"],
                row["gradient"],
                f"{row['validity']:.3f}",
                common.text(row["elastic_net"], ".3f"),
                common.text(row["steps"]["median"], ".0f"),
                f"{row['predictions_per_row']:.0f}",
                common.text(row["predictions_per_found_row"], ".0f"),
                f"{row['seconds']['search']:.2f}",
            )
            for row in rows
        ],
    )


if __name__ == "__main__":
    main()
