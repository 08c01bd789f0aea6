"""Kinds and numbers of prototypes are compared on the same images."""

import csv
import gzip
import json

import pytest

from experiments import prototypes

pytestmark = pytest.mark.usefixtures("programs_run_long")  # thousands of updates a row


def test_every_kind_and_number_explains_the_same_images(tmp_path, models_dir):
    arguments = [
        "--quick",
        "--limit",
        "30",
        "--out",
        str(tmp_path),
        "--models-dir",
        str(models_dir),
    ]
    prototypes.main(arguments)
    result = json.loads((tmp_path / "digits" / "prototypes.json").read_text())
    rows = result["rows"]
    mine = [row for row in rows if row["subject"] == "counterfactual"]
    assert {(row["kind"], row["k"]) for row in mine} == {
        (kind, k) for kind in ("nearest", "kdtree", "kmeans") for k in (1, 15)
    }
    assert {row["n"] for row in mine} == {30}
    assert all(row["found"] >= 25 for row in mine)
    # Another prototype is another search.
    assert len({row["l1"]["mean"] for row in mine}) == len(mine)
    # The settings of every search, and a line for every image of each.
    kinds = [settings["prototypes"]["kind"] for settings in result["search"].values()]
    assert kinds == ["nearest", "nearest", "kdtree", "kdtree", "kmeans", "kmeans"]
    with gzip.open(tmp_path / "digits" / "prototypes-instances.csv.gz", "rt") as file:
        instances = list(csv.DictReader(file))
    assert len(instances) == 30 * len(mine)
    found = [
        row for row in instances if (row["kind"], row["k"], row["found"]) == ("kdtree", "15", "1")
    ]
    assert len(found) == next(r["found"] for r in mine if (r["kind"], r["k"]) == ("kdtree", 15))
