"""The paper's settings on MNIST: does FISTA with a search for c find a counterfactual for all?

    python -m experiments.paper_preset [--data-dir DIR] [--limit 100] [--objectives ABCD]

Explains the first test images under each objective with a prediction term (A-D; the search for c
means nothing without one).
"""

from collections.abc import Sequence

from benchmarks.common import print_table, text
from experiments import common
from jaxcf import Explainer, metrics, presets


def main(arguments: Sequence[str] | None = None) -> None:
    """Explain the same images under every objective."""
    made = common.parser(__doc__)
    made.set_defaults(limit=100)
    made.add_argument("--objectives", default="ABCD", metavar="LETTERS")
    options = common.read(made, arguments, limit=10, objectives="AD")
    dataset = common.load_data(options)
    functions = common.load_model_set(options, dataset).functions()
    rows = []
    for objective in options.objectives:
        common.say(f"objective {objective}")
        explainer = Explainer(
            **functions, **presets.paper(objective), feature_range=(0.0, 1.0)
        ).fit(dataset.x_train)
        explanations = explainer.explain(dataset.x_test)
        found = explanations.found
        rows.append(
            {
                "objective": objective,
                "n": len(explanations),
                "found": int(found.sum()),
                "steps": metrics.mean_interval(explanations.steps[found].astype(float)),
                "elastic_net": metrics.mean_interval(explanations.elastic_net[found]),
                "seconds": explanations.seconds["search"],
            }
        )
    common.write(options, "paper_preset", rows, preset="paper")
    print_table(
        "the paper's settings",
        ("", "found", "elastic net", "updates", "seconds"),
        [
            (
                row["objective"],
                f"{row['found']} of {row['n']}",
                str(row["elastic_net"]),
                text(row["steps"].mean),
                text(row["seconds"]),
            )
            for row in rows
        ],
    )


if __name__ == "__main__":
    main()
