"""counterfactuals.csv: safe to open in a spreadsheet, and true when it is read back."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from made_explanations import table

from jaxcf.cli.table_csv import harmless, write_counterfactuals
from jaxcf.data import read_table
from jaxcf.tabular import Categorical, Numeric, Schema

CATEGORIES = ("=cmd|'/c calc'!A0", "@SUM(1)", 'it\'s, a "quoted"\rline')
SCHEMA = Schema(
    (Numeric("-age", 18, 90, step=1.0), Numeric("pay", 0.0, 100.0), Categorical("job", CATEGORIES))
)
IDS = np.array(["+49 170", "-5", "'=1", "007"] * 3, object)


@pytest.fixture(scope="module")
def explanations():
    made = table(12, SCHEMA)
    values = made.values * [1, -1, 1]
    return replace(made.with_labels(IDS), values=values, class_names=("=no", "yes"))


def lines_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_no_text_is_a_formula_and_numbers_stay_numbers(explanations, tmp_path):
    path = tmp_path / "table.csv"
    write_counterfactuals(path, explanations, "=id", run="abc")
    with path.open(newline="", encoding="utf-8") as file:
        cells = [cell for line in csv.reader(file) for cell in line]
    begin_like_one = [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert begin_like_one
    for cell in begin_like_one:
        float(cell)
    columns = read_table(path)
    np.testing.assert_array_equal(columns["pay"], explanations.values[:, 1])
    assert (columns["pay"] < 0).any()
    assert set(columns["run"]) == {"abc"}


def test_an_apostrophe_taken_away_gives_every_text_back(explanations, tmp_path):
    for raw in (False, True):
        write_counterfactuals(tmp_path / f"{raw}.csv", explanations, "=id", run="abc", raw=raw)
    safe, given = lines_of(tmp_path / "False.csv"), lines_of(tmp_path / "True.csv")
    assert [line["=id"] for line in given] == IDS.tolist()
    assert [line["job"] for line in given] == explanations.counterfactual["job"].tolist()
    for one, other in zip(safe, given, strict=True):
        assert one.keys() - other.keys() == {"'=id", "'-age"}
        for cell, text in zip(one.values(), other.values(), strict=True):
            assert cell == harmless(text)


def test_only_what_was_changed_reads_as_changed():
    unchanged = ["'", "'s", "", "-1", "-1e5", "x=", " =x", -3, None]
    assert [harmless(cell) for cell in unchanged] == unchanged
    for text in ("=", "'=", "''=", "+x", "\tx", "\rx", "@x", "-x", "\uff1dx"):
        assert harmless(text) == f"'{text}"


def test_heads_are_told_apart_whatever_the_columns_are_called(tmp_path):
    schema = Schema((Numeric("row", 0, 9), Numeric("jaxcf_row", 0, 9), Numeric("pay", 0, 9)))
    write_counterfactuals(tmp_path / "answers.csv", table(4, schema))
    with (tmp_path / "answers.csv").open() as file:
        heads = next(csv.reader(file))
    assert len(set(heads)) == len(heads)
