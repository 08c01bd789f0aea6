"""Rows that were in the target already are no failures: they are counted apart, everywhere."""

import numpy as np
import pytest
from helpers import made_explanations, mlp

from jaxcf import Status
from jaxcf.plots.grids import title
from jaxcf.results.comparison import compare
from jaxcf.results.counts import Counts


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (Counts(2000, 787, 0), "787 of 2000 found (39.4 %)"),
        (Counts(2000, 787, 1213), "787 of 787 found (100.0 %), 1213 already in the target"),
        (Counts(3, 0, 3), "0 of 0 found, 3 already in the target"),
        (Counts(0, 0, 0), "0 of 0 found"),
    ],
)
def test_the_share_is_of_rows_that_needed_one(counts, said):
    assert str(counts) == said
    assert counts.said() == said.replace(" found", "")


def test_a_result_says_it_wherever_it_is_shown():
    reports = []
    ready = mlp().fit()
    explanations = ready.explain(mlp().x, target=1, on_progress=reports.append)
    already = explanations.status == Status.ALREADY_IN_TARGET
    there, found = int(already.sum()), int(explanations.found.sum())
    assert 0 < there < 6
    assert 0 < found <= 6 - there
    counts = explanations.counts
    assert counts == (6, found, there)
    assert repr(explanations) == f"Explanations(n=6, found={found}, already_in_target={there})"
    assert str(counts) in explanations._repr_html_()
    summary = explanations.summary()
    assert (summary["n"], summary["found"], summary["needed"]) == (6, found, 6 - there)
    assert (reports[-1].found, reports[-1].already_in_target) == (found, there)
    row = int(np.flatnonzero(already)[0])
    assert title(explanations, row, None) == "1, there already"


def test_a_comparison_counts_them_apart_too():
    ends = (Status.FOUND, Status.ALREADY_IN_TARGET, Status.NOT_FOUND)
    first = made_explanations((2,), n=5, status=np.array([ends[i] for i in (0, 1, 1, 2, 2)]))
    second = made_explanations((2,), n=5, status=np.array([ends[i] for i in (0, 1, 0, 1, 2)]))
    assert dict(compare(first, second).counts) == {
        "both": 1,
        "only_first": 0,
        "only_second": 1,
        "neither": 1,
        "already_in_target": 2,
    }
