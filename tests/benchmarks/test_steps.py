"""Searches before and now: the same rows, both of them measured, and fewer updates now."""

import numpy as np
import pytest

from benchmarks import steps


@pytest.fixture(scope="module")
def rows():
    return [*steps.of_images("digits", None, 0, 24), *steps.of_table("breast_cancer", None, 0, 24)]


def test_every_task_is_searched_both_ways(rows):
    assert [(row["task"], row["search"]) for row in rows] == [
        (task, when)
        for task in ("digits, D", "digits, near", "breast_cancer")
        for when in ("before", "now")
    ]
    assert {row["n"] for row in rows} == {24}
    assert {row["found"] for row in rows} == {1.0}


def test_the_default_takes_fewer_updates_and_goes_no_farther(rows):
    for before, now in zip(rows[::2], rows[1::2], strict=True):
        assert now["steps"] < 0.7 * before["steps"], now["task"]
        # Of few rows; `near` was chosen on larger images.
        assert now["l1"] < 1.1 * before["l1"], now["task"]


def test_rows_are_the_last_ones_where_there_are_no_more():
    assert steps.chosen(np.arange(10), 2, 3).tolist() == [2, 3, 4]
    assert steps.chosen(np.arange(10), 9, 4).tolist() == [6, 7, 8, 9]
    assert steps.chosen(np.arange(3), 9, 4).tolist() == [0, 1, 2]
