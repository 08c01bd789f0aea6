"""Figure 3's quick run: paths, and how far they lead."""

import csv
import gzip
import json

import numpy as np
import pytest

from experiments import figure3
from jaxcf import data


@pytest.fixture(scope="module")
def written(tmp_path_factory, models_dir):
    out = tmp_path_factory.mktemp("results")
    figure3.main(["--quick", "--out", str(out), "--models-dir", str(models_dir)])
    return out / "digits"


@pytest.fixture(scope="module")
def report(written):
    return json.loads((written / "figure3.json").read_text())


@pytest.fixture(scope="module")
def instances(written):
    with gzip.open(written / "figure3-instances.csv.gz", "rt") as file:
        return list(csv.DictReader(file))


def test_both_pairs_are_searched_under_both_settings(report):
    pairs = [(row["pair"], row["settings"]) for row in report["rows"]]
    assert pairs == [(p, s) for p in ("9 to 4", "1 to 8") for s in ("default", "report")]
    for row in report["rows"]:
        assert row["found"]["n"] == row["n"] > 0
        assert row["found"]["mean"] > 0.5


def test_rows_are_of_the_class_they_are_said_to_be(instances):
    labels = data.load("digits").y_test
    for line in instances:
        assert labels[int(line["test_row"])] == int(line["from"])


def test_found_rows_have_come_nearer_and_no_path_is_shorter_than_straight(instances):
    found = [line for line in instances if line["found"] == "1"]
    start, end, approach, detour, steps = (
        np.array([float(line[name]) for line in found])
        for name in ("start", "end", "approach", "detour", "steps")
    )
    assert (steps >= 1).all()
    assert (detour >= 1 - 1e-4).all()
    np.testing.assert_allclose(approach, 1 - end / start, atol=1e-3)
    assert np.mean(approach > 0) > 0.8
    for line in instances:
        if line["found"] == "0":
            assert line["end"] == line["steps"] == ""


def test_the_shown_images_are_among_the_searched(report, instances):
    searched = {int(line["test_row"]) for line in instances}
    assert set(report["shown_rows"]) == {"9 to 4", "1 to 8"}
    assert set(report["shown_rows"].values()) <= searched


def test_the_picture_is_written(written):
    assert (written / "figure3.png").read_bytes().startswith(b"\x89PNG")
