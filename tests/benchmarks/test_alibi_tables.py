"""Tables against alibi: answers of any library are scored alike, from the columns alone."""

import argparse
import os

import numpy as np
import pytest

from benchmarks import alibi_tables
from jaxcf.tabular import TableExplainer

ALIBI = os.environ.get("JAXCF_ALIBI_PYTHON")


@pytest.fixture(scope="module")
def iris():
    return alibi_tables.iris()


@pytest.fixture(scope="module")
def fitted(iris):
    return TableExplainer(**iris.classifier.functions()).fit(iris.table)


def test_scores_say_what_the_explanations_say(iris, fitted):
    result = fitted.explain(iris.rows(20))
    scores = alibi_tables.score(iris, fitted, result.values)
    np.testing.assert_array_equal(scores["valid"], result.found)
    np.testing.assert_array_equal(scores["changed"], result.changed.sum(axis=1))
    np.testing.assert_allclose(scores["moved"], result.core.l1, rtol=1e-4)


def test_an_answer_that_is_no_row_of_a_table_is_not_valid(iris, fitted):
    result = fitted.explain(iris.rows(5))
    values = result.values.copy()
    values[2, 0] = np.nan
    scores = alibi_tables.score(iris, fitted, values)
    assert scores["valid"].tolist() == [True, True, False, True, True]


def test_jaxcf_is_measured_at_both_numbers_of_rows(iris):
    options = argparse.Namespace(n=3, jaxcf_n=6, alibi_python=None)
    rows = alibi_tables.measure(iris, options)
    assert [(row["label"], row["rows"]) for row in rows] == [
        ("jaxcf, alibi's settings", 3),
        ("jaxcf, alibi's settings", 6),
        ("jaxcf, default", 3),
        ("jaxcf, default", 6),
    ]
    assert all(row["validity"] == 1 and row["seconds_per_row"] > 0 for row in rows)


@pytest.mark.skipif(ALIBI is None, reason="JAXCF_ALIBI_PYTHON names no interpreter with alibi")
def test_alibi_and_jaxcf_reach_the_same_objective_without_categories(iris):
    options = argparse.Namespace(n=3, jaxcf_n=3, alibi_python=ALIBI)
    equal, _, alibi = alibi_tables.measure(iris, options)
    assert alibi["validity"] == 1
    assert alibi["objective"] == pytest.approx(equal["objective"], rel=0.05)
