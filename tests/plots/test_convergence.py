"""Curves of several searches: the mean over the rows of the best objective so far."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made_explanations import made

from jaxcf import plots

ROWS = np.arange(6, dtype=np.float32).reshape(3, 2)
HISTORY = np.array([[4.0, 8.0, 2.0, np.nan], [np.nan] * 4, [6.0, 4.0, 5.0, 1.0]])


def run(history=HISTORY):
    return replace(made(ROWS), history={"l1": history / 4, "l2": 3 * history / 4})


def test_a_curve_is_the_mean_of_the_best_of_the_rows_that_were_searched():
    axes: Any = plots.convergence({"adam": run(), "own": run(2 * HISTORY)}, log=False)
    one, two = (line.get_ydata() for line in axes.get_lines())
    np.testing.assert_allclose(one, [5, 4, 3, 1.5])
    np.testing.assert_allclose(two, 2 * one)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["adam", "own"]
    assert len(axes.collections) == 2


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        (lambda: {}, "no run to draw"),
        (lambda: {"a": made(ROWS)}, "run 'a' has no history"),
        (lambda: {"a": run(), "b": run()[:2]}, "run 'b' explains other rows"),
        (lambda: {"a": run(np.full((3, 4), np.nan))}, "no row was searched"),
    ],
)
def test_what_can_t_be_drawn_is_said(runs, words):
    with pytest.raises(ValueError, match=words):
        plots.convergence(runs())
