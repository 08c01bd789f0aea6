"""The paper's settings on MNIST: does FISTA with a search for c find a counterfactual for all?

    python -m experiments.paper_preset [--data-dir DIR] [--limit 100] [--objectives ABCD]

Explains the first test images under each objective with a prediction term (A-D; the search for c
means nothing without one) and writes results/paper_preset.json.
"""

import argparse
from pathlib import Path

import jax

from jaxcf import Explainer, data, models, presets, storage
from jaxcf.version import __version__


def main() -> None:
    """Run the four objectives and write one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--objectives", default="ABCD")
    parser.add_argument("--out", type=Path, default=Path("results"))
    options = parser.parse_args()

    dataset = data.load(options.data, data_dir=options.data_dir)
    functions = models.pretrained(options.data).functions()
    rows = []
    for objective in options.objectives:
        explainer = Explainer(
            **functions, **presets.paper(objective), feature_range=(0.0, 1.0)
        ).fit(dataset.x_train)
        explanations = explainer.explain(dataset.x_test[: options.limit])
        rows.append({"objective": objective} | explanations.summary())
        print(objective, explanations, explanations.summary()["elastic_net"])
    storage.write_json(
        options.out / "paper_preset.json",
        {
            "data": options.data,
            "preset": "paper",
            "device": jax.devices()[0].device_kind,
            "versions": {"jaxcf": __version__, "jax": jax.__version__},
            "rows": rows,
        },
    )


if __name__ == "__main__":
    main()
