"""Check what `jaxcf explain digits` wrote: `python .ci/check_run.py FOLDER`."""

import json
import sys
from pathlib import Path

from PIL import Image

from jaxcf import Explanations, data


def main(folder: Path) -> None:
    """Fail with an AssertionError if the run isn't what the README promises."""
    dataset = data.load("digits")
    explanations = Explanations.load(folder / "explanations.npz")
    summary = json.loads((folder / "summary.json").read_text())
    config = json.loads((folder / "config.json").read_text())
    assert len(explanations) == summary["n"] == len(dataset.x_test) > 0
    assert (explanations.original == dataset.x_test).all(), "rows must keep their order"
    assert summary["found"] == explanations.found.sum() >= 0.9 * summary["n"]
    changed = explanations.counterfactual_class != explanations.original_class
    assert changed[explanations.found].all(), "every found row must change class"
    assert config["guide"] == "shipped", "digits have a guide"
    assert (explanations.scores["guides_convinced"][explanations.found] == 1).all()
    assert {"median", "p99", "mean"} <= summary["steps"].keys()
    assert {"l1", "l2", "elastic_net", "changed", "im1", "im2"} <= summary.keys()
    assert {"models", "prototypes", "compile", "search", "total"} <= summary["seconds"].keys()
    assert config["data"]["name"] == "digits"
    with Image.open(folder / "grid.png") as picture:
        assert min(picture.size) > 200
    print(f"{folder}: {summary['found']} of {summary['n']} found, files as documented")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
