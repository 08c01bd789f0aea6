"""Figure 8's quick run: the files it writes, and what must hold between their numbers."""

import csv
import gzip
import json

import numpy as np
import pytest

from experiments import figure8
from jaxcf import Status


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("results")
    figure8.main(["--quick", "--out", str(out)])
    return out / "digits"


@pytest.fixture(scope="module")
def report(written):
    return json.loads((written / "figure8.json").read_text())


@pytest.fixture(scope="module")
def instances(written):
    with gzip.open(written / "figure8-instances.csv.gz", "rt") as file:
        return list(csv.DictReader(file))


def of_cell(instances, row):
    return [
        line
        for line in instances
        if (line["method"], int(line["pixels"])) == (row["method"], row["pixels"])
    ]


def test_every_method_has_every_size_of_mask(report):
    sizes = figure8.pixel_counts(64)
    cells = [(row["method"], row["pixels"]) for row in report["rows"]]
    assert cells == [(method, size) for method in figure8.METHODS for size in sizes]
    assert {row["n"] for row in report["rows"]} == {report["settings"]["limit"]}


def test_counts_agree_with_the_instances(report, instances):
    for row in report["rows"]:
        lines = of_cell(instances, row)
        assert [int(line["row"]) for line in lines] == list(range(row["n"]))
        flipped = [line["original_class"] != line["masked_class"] for line in lines]
        assert row["flipped"]["mean"] == pytest.approx(np.mean(flipped))
        searched = [line["status"] != "" for line in lines]
        assert not any(np.array(searched) & ~np.array(flipped))
        assert row["searched"] == sum(searched)
        assert row["searched"] == min(sum(flipped), report["settings"]["search_limit"])
        found = [line["status"] != "" and float(line["status"]) == Status.FOUND for line in lines]
        assert row["found"] == sum(found) == row["status"].get("found", 0)
        assert sum(row["status"].values()) == row["searched"]


def test_what_was_not_found_is_in_no_mean(report, instances):
    for row in report["rows"]:
        lines = [line for line in of_cell(instances, row) if line["recovered_l2"]]
        assert row["recovered_l2"]["n"] == row["masked_l2"]["n"] == row["found"] == len(lines)
        assert row["steps"]["n"] == row["ratio_l2"]["n"] == row["found"]
        if lines:
            mean = np.mean([float(line["recovered_l2"]) for line in lines])
            assert row["recovered_l2"]["mean"] == pytest.approx(mean, rel=1e-3)
        else:
            assert row["recovered_l2"]["mean"] is None


def test_masks_change_no_more_pixels_than_they_hold(report, instances):
    for row in report["rows"]:
        changed = [int(line["changed"]) for line in of_cell(instances, row)]
        assert max(changed) <= row["pixels"]
    by_cell = {(row["method"], row["pixels"]): row for row in report["rows"]}
    for size in figure8.pixel_counts(64):
        # Where there are enough pixels that aren't 0, all that are masked are of those.
        mean = {method: by_cell[method, size]["changed"]["mean"] for method in figure8.METHODS}
        assert mean[figure8.RANDOM_INK] >= mean[figure8.RANDOM]


def test_more_flips_by_what_counts_than_by_what_counts_least(report):
    share = {(row["method"], row["pixels"]): row["flipped"]["mean"] for row in report["rows"]}
    largest = figure8.pixel_counts(64)[-1]
    most, least = share[figure8.INTEGRATED, largest], share[figure8.LEAST, largest]
    assert most > share[figure8.RANDOM_INK, largest] > least


def test_the_report_says_how_it_was_made(report):
    assert report["search"]["objective"] == "D"
    assert report["settings"]["data"] == "digits"
    assert 0 <= report["completeness_error"] < 0.1
    for row in report["rows"]:
        assert row["flipped_not_blank"]["n"] == row["n"] - row["blank"]


def test_a_picture_is_written(written):
    assert (written / "figure8.png").read_bytes()[:4] == b"\x89PNG"


def test_tables_are_turned_away(tmp_path):
    with pytest.raises(ValueError, match="Grad-CAM needs a classifier with a feature_map"):
        figure8.main(["--data", "breast_cancer", "--out", str(tmp_path)])
