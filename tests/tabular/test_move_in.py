"""Rows that start outside a rule, and are moved in where it says so."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from jaxcf import BlackBox, Status
from jaxcf.tabular import FittedTableExplainer, Rule, TableExplainer

TABLE = {"hours": np.arange(10, 60), "job": np.array(["clerk", "pilot"] * 25)}
ROWS = {"hours": np.array([30, 30, 50]), "job": np.array(["clerk", "pilot", "clerk"])}


def ask(table):
    granted = 1 / (1 + np.exp(40.5 - table["hours"] - 5.0 * (table["job"] == "pilot")))
    return np.stack([1 - granted, granted], axis=1)


@lru_cache
def ready() -> FittedTableExplainer:
    return TableExplainer(BlackBox(ask, 2), takes="table").fit(TABLE)


def test_rows_outside_a_rule_have_a_status_unless_it_moves_them_in():
    refused = ready().explain(ROWS, target=1, rules={"hours": Rule(lower=45, upper=60)})
    np.testing.assert_array_equal(refused.status[:2], Status.OUT_OF_RANGE)
    inside = Rule(lower=45, upper=60, move_in=True)
    moved = ready().explain(ROWS, target=1, rules={"hours": inside})
    np.testing.assert_array_equal(moved.status[:2], Status.FOUND)
    assert moved.counterfactual["hours"].tolist() == [45, 45, 50]
    assert [str(one) for one in moved.changes(0)] == ["hours: 30 -> 45"]
    np.testing.assert_array_equal(moved.original["hours"], ROWS["hours"])
    np.testing.assert_allclose(moved.probabilities, ask(moved.counterfactual), atol=1e-6)
    np.testing.assert_allclose(moved.original_probabilities, ask(ROWS), atol=1e-6)


def test_the_search_goes_on_where_moving_in_isn_t_enough():
    rules = {"hours": Rule(lower=31, move_in=True), "job": Rule(allowed=("clerk",), move_in=True)}
    result = ready().explain(ROWS, target=1, rules=rules)
    assert result.counterfactual["hours"].tolist() == [41, 41, 50]
    assert result.counterfactual["job"].tolist() == ["clerk"] * 3
    pilots = ready().explain(ROWS, target=1, rules={"job": Rule(allowed=("pilot",), move_in=True)})
    assert pilots.counterfactual["hours"].tolist() == [36, 36, 50]
    # What is in the class asked for already is given back as it is, outside its rule or not.
    assert pilots.status[2] == Status.ALREADY_IN_TARGET
    assert pilots.counterfactual["job"].tolist() == ["pilot", "pilot", "clerk"]
    np.testing.assert_allclose(pilots.probabilities[2], ask(ROWS)[2], atol=1e-6)


@pytest.mark.parametrize("against", ["frozen", "decrease_only"])
def test_nothing_is_moved_in_against_another_rule(against):
    rule = replace(Rule(lower=45, move_in=True), **{against: True})
    result = ready().explain(ROWS, target=1, rules={"hours": rule})
    np.testing.assert_array_equal(result.status[:2], Status.OUT_OF_RANGE)


def test_each_row_may_say_whether_it_is_moved():
    rule = Rule(lower=45, move_in=np.array([True, False, False]))
    result = ready().explain(ROWS, target=1, rules={"hours": rule})
    assert result.status.tolist() == [
        Status.FOUND,
        Status.OUT_OF_RANGE,
        Status.ALREADY_IN_TARGET,
    ]


def test_a_rule_that_no_value_fits_moves_nothing():
    rule = Rule(lower=40.2, upper=40.8, move_in=True)
    outside = ready().explain(ROWS, target=1, rules={"hours": rule})
    assert (outside.status == Status.OUT_OF_RANGE).all()
    assert (outside.original_class >= 0).all()
