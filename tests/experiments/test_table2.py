"""Table 2 on the embedded digits: counts add up, controls stand beside, claims are decided."""

import csv
import gzip
import json

import pytest

from experiments import claims, table2

OBJECTIVES = "AD"
IMAGES = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory, models_dir):
    out = tmp_path_factory.mktemp("table2")
    folders = ["--out", str(out), "--models-dir", str(models_dir)]
    few = ["--limit", str(IMAGES)]
    table2.main(["--quick", "--parts", "report", "all", "--model-sets", "2", *folders, *few])
    return out / "digits"


def read(folder, part):
    return json.loads((folder / f"table2-{part}.json").read_text())


@pytest.mark.parametrize("part", ["report", "all"])
def test_every_objective_has_its_counterfactuals_and_three_controls(folder, part):
    rows = read(folder, part)["rows"]
    assert [row["objective"] for row in rows[::4]] == list(OBJECTIVES)
    assert {row["subject"] for row in rows[1:4]} == {"unchanged", "noise", "real target"}
    for row in rows[::4]:
        assert row["subject"] == "counterfactual"
        assert row["validity"]["mean"] == pytest.approx(row["found"] / row["n"])
        # What is measured is measured on the found rows, no others.
        assert row["l1"]["n"] == row["steps (found)"]["n"] == row["found"]


def test_the_reports_protocol_runs_over_independent_models_and_all_rows_over_one(folder):
    report, every = read(folder, "report"), read(folder, "all")
    assert len(report["models"]) == 2
    assert report["models"][0] != report["models"][1]
    assert len(every["models"]) == 1
    assert report["search"]["search"]["solver"] != every["search"]["search"]["solver"]
    assert every["rows"][0]["n"] == IMAGES
    assert report["rows"][0]["n"] == 2 * IMAGES  # less than ten of each class


@pytest.mark.parametrize("part", ["report", "all"])
def test_the_summary_can_be_worked_out_from_the_instances(folder, part):
    with gzip.open(folder / f"table2-{part}-instances.csv.gz", "rt") as file:
        instances = [row for row in csv.DictReader(file) if row["objective"] == "D"]
    row = next(row for row in read(folder, part)["rows"] if row["objective"] == "D")
    found = [one for one in instances if one["found"] == "1"]
    assert (len(instances), len(found)) == (row["n"], row["found"])
    mean = sum(float(one["steps"]) for one in found) / len(found)
    assert mean == pytest.approx(row["steps (found)"]["mean"], rel=1e-4)
    assert all(one["oracle"] == "" for one in instances if one["found"] == "0")


def test_what_the_report_mixes_is_kept_apart(folder):
    result = read(folder, "report")
    for letter, mixed in result["as_the_report_counts"].items():
        row = next(row for row in result["rows"] if row["objective"] == letter)
        assert mixed["updates"][0] == pytest.approx(row["steps (all)"]["mean"])
        if row["found"] < row["n"]:
            assert mixed["updates"][0] > row["steps (found)"]["mean"]


def test_claims_are_tested_in_pairs_of_what_was_run(folder):
    result = read(folder, "all")
    pairs = {line["pair"] for line in result["claims"]}
    assert "A - D" in pairs
    assert "B - D" not in pairs
    assert {line["verdict"] for line in result["claims"]} <= {
        claims.CONFIRMED,
        claims.REFUTED,
        claims.UNDECIDED,
    }
    for judge in result["judges"]:
        assert judge["accuracy"] > 0.8
    assert (folder / "table2-all.png").stat().st_size > 10_000
