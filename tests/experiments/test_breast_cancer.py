"""Breast Cancer at its quickest: every setting, its controls, and numbers that add up."""

import csv
import gzip
import json

import pytest

from experiments import breast_cancer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("breast_cancer")
    breast_cancer.main(["--quick", "--out", str(out)])
    return out / "breast_cancer"


@pytest.fixture(scope="module")
def rows(folder):
    return json.loads((folder / "objectives.json").read_text())["rows"]


def test_every_objective_with_and_without_the_sparsity_pass_beside_its_controls(rows):
    settings = [(row["objective"], row["sparsified"]) for row in rows[::4]]
    assert settings == [(letter, sparse) for letter in "ABCD" for sparse in (False, True)]
    assert {row["subject"] for row in rows[1:4]} == {"unchanged", "noise", "real target"}


def test_everything_is_found_and_nothing_violated(rows):
    for row in rows[::4]:
        assert row["subject"] == "counterfactual"
        assert row["found"] / row["n"] == row["validity"]["mean"] >= 0.95
        assert row["violations"] == 0
        assert row["seconds"] > 0


def test_the_sparsity_pass_changes_fewer_columns_and_less(rows):
    for before, after in zip(rows[::8], rows[4::8], strict=True):
        assert after["changed"]["mean"] < before["changed"]["mean"] / 2
        assert after["l1 spans"]["mean"] < before["l1 spans"]["mean"]


def test_the_controls_are_what_they_should_be(rows):
    _, unchanged, _, real = rows[:4]
    assert unchanged["changed"]["mean"] == unchanged["l1 original"]["mean"] == 0
    assert real["oracle"]["mean"] > 0.8 > 0.2 > unchanged["oracle"]["mean"]
    assert real["im1"]["mean"] < unchanged["im1"]["mean"]


def test_the_summary_can_be_worked_out_from_the_instances(folder, rows):
    with gzip.open(folder / "objectives-instances.csv.gz", "rt") as file:
        lines = [
            row
            for row in csv.DictReader(file)
            if (row["objective"], row["sparsified"]) == ("C", "1")
        ]
    row = next(row for row in rows if (row["objective"], row["sparsified"]) == ("C", True))
    mean = sum(float(line["changed"]) for line in lines) / len(lines)
    assert mean == pytest.approx(row["changed"]["mean"], rel=1e-4)
    columns = json.loads((folder / "columns.json").read_text())["rows"]
    share = next(one for one in columns if one["setting"] == "C sparse")
    assert sum(value for name, value in share.items() if name != "setting") == pytest.approx(mean)
    for name in ("objectives.png", "columns.png"):
        assert (folder / name).stat().st_size > 10_000
