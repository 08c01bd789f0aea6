"""Figure 4's quick run: the same images under several objectives and both settings."""

import csv
import gzip
import json

import numpy as np
import pytest

from experiments import figure4


@pytest.fixture(scope="module")
def written(tmp_path_factory, models_dir):
    out = tmp_path_factory.mktemp("results")
    figure4.main(["--quick", "--out", str(out), "--models-dir", str(models_dir)])
    return out / "digits"


@pytest.fixture(scope="module")
def report(written):
    return json.loads((written / "figure4.json").read_text())


@pytest.fixture(scope="module")
def instances(written):
    with gzip.open(written / "figure4-instances.csv.gz", "rt") as file:
        return list(csv.DictReader(file))


def test_every_objective_is_searched_under_both_settings(report, instances):
    keys = [(row["settings"], row["objective"]) for row in report["rows"]]
    assert keys == [(s, o) for s in ("report", "default") for o in "AD"]
    assert len(instances) == sum(row["n"] for row in report["rows"])


def test_only_found_rows_are_averaged(report, instances):
    for row in report["rows"]:
        mine = [
            line
            for line in instances
            if (line["settings"], line["objective"]) == (row["settings"], row["objective"])
        ]
        found = [line for line in mine if line["found"] == "1"]
        assert row["found"]["mean"] == pytest.approx(len(found) / len(mine))
        assert row["l1"]["n"] == len(found)
        if found:
            mean = np.mean([float(line["l1"]) for line in found])
            assert row["l1"]["mean"] == pytest.approx(mean, rel=1e-3)
        for line in found:
            assert float(line["l1"]) > 0
            assert 0.1 < float(line["probability"]) <= 1
            assert float(line["gap"]) > 0


def test_the_defaults_find_what_a_fixed_c_does_not(report):
    found = {(row["settings"], row["objective"]): row["found"]["mean"] for row in report["rows"]}
    assert found["default", "A"] > found["report", "A"]
    assert found["default", "D"] == 1


def test_the_shown_image_is_one_of_them_and_drawn(report, written):
    assert 0 <= report["shown_row"] < report["rows"][0]["n"]
    assert (written / "figure4.png").read_bytes().startswith(b"\x89PNG")
