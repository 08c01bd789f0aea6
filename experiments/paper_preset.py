"""The paper's settings on MNIST: does FISTA with a search for c find a counterfactual for all?

    python -m experiments.paper_preset [--data-dir DIR] [--limit 100] [--objectives ABCD]

Explains the first test images under each objective with a prediction term (A-D; the search for c
means nothing without one). 100 images and four objectives take six minutes of processor time on two
cores. A to D all find a counterfactual for each of the 100, after 5,000 updates whatever was found
on the way, at elastic nets of 7.7, 82.9, 107 and 41.8.
"""

from collections.abc import Sequence

import numpy as np

from benchmarks.common import print_table, text
from experiments import common, explaining, tables
from jaxcf import metrics, presets


def main(arguments: Sequence[str] | None = None) -> None:
    """Explain the same images under every objective."""
    made = common.parser(__doc__)
    made.set_defaults(limit=100)
    made.add_argument("--objectives", default="ABCD", metavar="LETTERS")
    options = common.read(made, arguments, limit=10, objectives="AD")
    dataset = common.load_data(options)
    # The prototypes are the same under all objectives.
    fitted = explaining.fit(common.load_model_set(options, dataset), dataset, **presets.paper())
    rows, instances, search = [], [], {}
    for objective in options.objectives:
        common.say(f"objective {objective}")
        explanations = explaining.under(fitted, "paper", objective).explain(dataset.x_test)
        found = explanations.found
        search = explanations.settings
        values = {
            "test_row": np.arange(len(found)),
            "found": found,
            "steps": explanations.steps,
            "prediction_weight": explanations.prediction_weight,
            "l1": np.where(found, explanations.l1, np.nan),
            "elastic_net": np.where(found, explanations.elastic_net, np.nan),
        }
        instances.append(({"objective": objective}, values))
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
    common.write(
        options,
        "paper_preset",
        rows,
        instances=tables.stack(instances),
        preset="paper",
        search=search,
    )
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
