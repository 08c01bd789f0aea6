"""Figure 5's quick run: where every loss term begins and ends."""

import csv
import gzip
import json

import numpy as np
import pytest

from experiments import figure5


@pytest.fixture(scope="module")
def written(tmp_path_factory, models_dir):
    out = tmp_path_factory.mktemp("results")
    figure5.main(["--quick", "--out", str(out), "--models-dir", str(models_dir)])
    return out / "digits"


@pytest.fixture(scope="module")
def report(written):
    return json.loads((written / "figure5.json").read_text())


@pytest.fixture(scope="module")
def terms(written):
    with gzip.open(written / "figure5-instances.csv.gz", "rt") as file:
        lines = list(csv.DictReader(file))
    names = dict.fromkeys(line["term"] for line in lines)
    return {name: [line for line in lines if line["term"] == name] for name in names}


def test_every_term_of_the_objective_has_a_line_per_image(report, terms):
    assert list(terms) == ["prediction", "l1", "l2", "reconstruction", "prototype"]
    assert [row["term"] for row in report["rows"]] == list(terms)
    assert {len(lines) for lines in terms.values()} == {report["rows"][0]["n"]}


def test_the_search_starts_without_a_cost_and_ends_at_another_decision(terms):
    for name in ("l1", "l2"):
        for line in terms[name]:
            if line["found"] == "1":
                assert float(line["first"]) == 0
                assert float(line["last"]) > 0
    for line in terms["prediction"]:
        if line["found"] == "1":
            # kappa is 0: the term is 0 from the decision's change on.
            assert float(line["first"]) > 0 == float(line["last"])
        else:
            assert line["first"] == line["last"] == ""


def test_the_summary_is_the_change_of_the_found_rows(report, terms):
    for row in report["rows"]:
        found = [line for line in terms[row["term"]] if line["found"] == "1"]
        assert row["found"] == len(found) == row["change"]["n"]
        change = np.mean([float(line["last"]) - float(line["first"]) for line in found])
        assert row["change"]["mean"] == pytest.approx(change, rel=1e-3, abs=1e-3)
    fall = {row["term"]: row["change"] for row in report["rows"]}
    assert fall["prototype"]["upper"] < 0


def test_the_example_is_one_of_the_images_and_drawn(report, written):
    assert 0 <= report["example_row"] < report["rows"][0]["n"]
    assert (written / "figure5.png").read_bytes().startswith(b"\x89PNG")
