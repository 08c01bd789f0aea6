"""Log-odds and probabilities on tables: the same rows, each measured by what it found."""

import pytest

from benchmarks import log_odds
from jaxcf import Refinement


def test_every_way_is_measured_on_the_same_rows(monkeypatch):
    monkeypatch.setattr(log_odds, "MODES", {"alone": (0.0, Refinement())})
    monkeypatch.setattr(log_odds, "MODELS", {"logistic regression": ()})
    monkeypatch.setattr(log_odds, "_UPDATES", 400)
    rows = list(log_odds.measure(log_odds.embedded("wine"), 6))
    ways = [(row["prediction"], row["l1_weight"], row["l2_weight"]) for row in rows]
    assert ways == [
        ("probability", 0.1, 1.0),
        ("log_odds", 0.1, 1.0),
        ("probability", 1.0, 0.1),
        ("log_odds", 1.0, 0.1),
    ]
    assert {row["n"] for row in rows} == {6}
    by_probability, by_log_odds = rows[:2]
    assert by_probability["found"] == by_log_odds["found"] == 1
    assert by_probability["l1"] != pytest.approx(by_log_odds["l1"], rel=1e-4)
    for row in rows:
        assert 0 <= row["judges"] <= 1
        assert 0 < row["l2"] < row["l1"]
        assert row["distance_to_class"] > 0
