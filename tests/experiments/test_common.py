"""What the experiments share: results are written so that they can be read again."""

import csv
import gzip
import json

import numpy as np
import pytest

from experiments import common, measuring
from jaxcf.metrics import Interval


@pytest.fixture
def options(tmp_path):
    return common.read(common.parser("A test."), ["--quick", "--out", str(tmp_path)])


def test_quick_stands_for_digits_and_few_rows(options):
    assert (options.data, options.limit) == ("digits", 60)
    dataset = common.load_data(options)
    assert len(dataset.x_test) == 60
    assert len(common.load_real_images(options).x_test) == 451
    assert common.read(common.parser("A test."), []).data == "mnist"


def test_what_is_asked_for_beside_quick_stays(tmp_path):
    arguments = ["--quick", "--out", str(tmp_path), "--limit", "7"]
    asked = common.read(common.parser("A test."), arguments, seed=3)
    assert (asked.data, asked.limit, asked.seed) == ("digits", 7, 3)


def test_results_are_read_as_they_were_written(options):
    interval = Interval(0.5, 0.25, float("inf"), 3)
    instances = {"row": np.arange(2), "value": np.array([1.5, np.nan]), "found": [True, False]}
    folder = common.write(
        options, "test", [{"name": "a, b", "score": interval}], instances=instances, note=np.ones(2)
    )
    written = json.loads((folder / "test.json").read_text())
    assert written["rows"][0]["score"] == {"mean": 0.5, "lower": 0.25, "upper": None, "n": 3}
    assert written["note"] == [1, 1]
    assert written["settings"]["seed"] == 0
    assert written["machine"]["jax"]
    lines = list(csv.DictReader((folder / "test.csv").read_text().splitlines()))
    assert lines == [
        {"name": "a, b", "score": "0.5", "score_lower": "0.25"}
        | {"score_upper": "inf", "score_n": "3"}
    ]
    with gzip.open(folder / "test-instances.csv.gz", "rt") as file:
        rows = list(csv.reader(file))
    assert rows == [["row", "value", "found"], ["0", "1.5", "1"], ["1", "", "0"]]


def test_no_path_of_this_machine_is_recorded(options, tmp_path):
    folder = common.write(options, "test", [])
    assert str(tmp_path) not in (folder / "test.json").read_text()


def test_the_first_of_each_class_keep_their_order():
    rows = measuring.first_of_each_class(np.array([2, 0, 2, 0, 0, 2]), 2)
    assert rows.tolist() == [0, 1, 2, 3]
