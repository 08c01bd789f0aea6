"""Adult at its quickest, on a generated table: rules hold, and the checks of the rules can fail."""

import json

import numpy as np
import pytest

from experiments import adult, adult_table


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("adult")
    adult.main(["--quick", "--out", str(out)])
    return out / "generated"


@pytest.fixture(scope="module")
def result(folder):
    parts = [json.loads((folder / f"{part}.json").read_text()) for part in ("settings", "trees")]
    joined = {name: parts[0][name] | parts[1][name] for name in ("models", "changed_share")}
    return joined | {"rows": parts[0]["rows"] + parts[1]["rows"]}


def test_counterfactuals_are_found_confirmed_and_possible(result):
    rows = {row["setting"]: row for row in result["rows"]}
    assert list(rows) == ["C abdm", "C mvdm", "C rules", "trees E"]
    for name, row in rows.items():
        assert row["found"] / row["n"] == row["validity"]["mean"]
        assert row["validity"]["mean"] >= (0.5 if name == "C rules" else 0.95)
        assert row["confirmed"] == row["found"]
        assert row["entries"] == 0
        assert row["seconds"] > 0
        assert row["train distance"]["n"] == min(100, row["found"])
    assert rows["C rules"]["rules"] == 0
    assert rows["C abdm"]["rules"] is None
    assert rows["trees E"]["predictions"]["mean"] > 1


def test_frozen_columns_do_not_change(result):
    shares = result["changed_share"]["C rules"]
    assert all(shares[name] == 0 for name in adult_table.FROZEN)
    assert sum(shares.values()) > 0.5
    assert "education-num" not in shares


def test_models_say_how_good_they_are(result):
    for name in ("education categorical", "education ordinal", "gradient boosting"):
        assert 0.7 < result["models"][name]["test_accuracy"] <= 1


def test_the_orders_of_education_are_written_and_drawn(folder):
    education = json.loads((folder / "education.json").read_text())
    assert education["rank_correlation"]["years of school"] == 1
    numbers = [row["number"] for row in education["rows"] if row["method"] == "mvdm"]
    assert (min(numbers), max(numbers)) == (0, 1)
    for name in ("education.png", "settings.png", "trees.png"):
        assert (folder / name).stat().st_size > 10_000


def test_what_breaks_the_rules_or_cannot_be_is_counted():
    table = adult_table.load(None, quick=True)
    schema = adult_table.schema(table, ordinal=True)
    before = table.train.take(slice(50)).columns
    after = {name: column.copy() for name, column in before.items()}
    count = adult_table.broken_rules
    outside = (before["hours-per-week"] < 10) | (before["hours-per-week"] > 80)
    assert count(before, after, table.education) == outside.sum()
    assert adult_table.impossible_entries(before, after, table, schema) == 0
    after["age"][0] -= 1
    after["sex"][1] = "other"
    after["fnlwgt"][2] += 1
    worse = np.flatnonzero(before["education"] == "Masters")[0]
    after["education"][worse] = "HS-grad"
    assert count(before, after, table.education) == outside.sum() + 4
    after["hours-per-week"] = after["hours-per-week"] + 0.5
    assert adult_table.impossible_entries(before, after, table, schema) == 51
