"""Distributions, curves with intervals and loss curves show the numbers they are given."""

from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot

from experiments.plots import KINDS, curves_with_intervals, distributions, loss_curves
from jaxcf.metrics import Interval, mean_interval


def groups(*names, n=40):
    generator = np.random.default_rng(0)
    return {name: generator.gamma(2.0, size=n) for name in names}


# --- distributions -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_every_panel_shows_every_group(kind):
    panels = {title: groups("A", "B", "C") for title in ("steps", "L1", "IM1", "IM2")}
    figure = distributions(panels, kind=kind, log=["steps"])
    drawn: Any = [axis for axis in figure.axes if axis.axison]
    assert [axis.get_title() for axis in drawn] == list(panels)
    scale = "get_xscale" if kind == "ecdf" else "get_yscale"
    assert [getattr(axis, scale)() for axis in drawn] == ["log", "linear", "linear", "linear"]
    for axis in drawn:
        if kind == "ecdf":
            assert [line.get_label() for line in axis.lines] == ["A", "B", "C"]
        else:
            assert [label.get_text() for label in axis.get_xticklabels()] == ["A", "B", "C"]
    assert pyplot.get_fignums() == []


def test_a_box_is_the_middle_half_and_its_line_the_median():
    values = np.arange(101.0)
    axis: Any = distributions({"L1": {"A": values}}).axes[0]
    box = axis.patches[0].get_path().vertices[:, 1]
    assert (box.min(), box.max()) == (25.0, 75.0)
    ends = [line.get_ydata() for line in axis.lines]
    assert any(np.array_equal(end, [50.0, 50.0]) for end in ends)
    assert max(np.max(end) for end in ends) == 95.0


def test_rows_without_a_value_are_left_out_and_empty_groups_keep_their_place():
    values = np.array([1.0, np.nan, 3.0, np.inf])
    for kind in ("box", "violin"):
        panels = {"L1": {"A": np.full(3, np.nan), "B": values, "C": np.full(5, 2.0)}}
        axis: Any = distributions(panels, kind=kind).axes[0]
        assert [label.get_text() for label in axis.get_xticklabels()] == ["A", "B", "C"]
    line: Any = distributions({"L1": {"B": values}}, kind="ecdf").axes[0].lines[0]
    np.testing.assert_array_equal(line.get_xdata(), [1.0, 3.0])
    np.testing.assert_array_equal(line.get_ydata(), [0.5, 1.0])


def test_a_group_keeps_its_look_whichever_panel_it_is_in():
    panels = {"L1": groups("A", "B"), "IM1": groups("B")}
    axes: Any = distributions(panels).axes
    first, second = axes[:2]
    assert first.patches[1].get_facecolor() == second.patches[0].get_facecolor()
    assert first.patches[1].get_hatch() == second.patches[0].get_hatch() != ""


@pytest.mark.parametrize(
    ("panels", "options", "message"),
    [
        ({}, {}, "nothing to draw"),
        ({"L1": {}}, {}, "nothing to draw"),
        ({"L1": groups("A")}, {"kind": "pie"}, "unknown kind of distribution 'pie'; there are box"),
        ({"L1": groups("A")}, {"log": ["L2"]}, "log names L2; the panels are L1"),
    ],
)
def test_what_cannot_be_distributed_is_named(panels, options, message):
    with pytest.raises(ValueError, match=message):
        distributions(panels, **options)


# --- curves with intervals -----------------------------------------------------------------


def test_curves_go_through_the_means_and_reach_to_the_ends():
    series = {
        "D": [(0.5, 0.4, 0.7), (0.6, 0.5, 0.7)],
        "F": [mean_interval(np.arange(10.0)), Interval(np.nan, np.nan, np.nan, 0)],
    }
    axis: Any = curves_with_intervals([1, 10], series, x_label="K", y_label="share", log_x=True)
    assert (axis.get_xlabel(), axis.get_ylabel(), axis.get_xscale()) == ("K", "share", "log")
    first, second = axis.containers
    np.testing.assert_allclose(first[0].get_ydata(), [0.5, 0.6])
    ends = np.array([segment[:, 1] for segment in first[2][0].get_segments()])
    np.testing.assert_allclose(ends, [[0.4, 0.7], [0.5, 0.7]])
    np.testing.assert_allclose(second[0].get_ydata(), [4.5, np.nan])
    assert first[0].get_linestyle() != second[0].get_linestyle()
    assert first[0].get_marker() != second[0].get_marker()
    assert axis.get_legend_handles_labels()[1] == ["D", "F"]


def test_a_series_of_another_length_is_named():
    with pytest.raises(ValueError, match="the series 'D' has 1 values, but the grid 2"):
        curves_with_intervals([1, 2], {"D": [(0.5, 0.4, 0.6)]})
    with pytest.raises(ValueError, match="no series"):
        curves_with_intervals([1, 2], {})


# --- loss curves ---------------------------------------------------------------------------


def history_of(n=8, evaluations=12, **terms):
    """Row i ends after 4 + i evaluations; every term is the row's number, plus its own offset."""
    values = np.arange(n, dtype=np.float32)[:, None] + np.zeros((n, evaluations), np.float32)
    values[np.arange(evaluations) >= 4 + np.arange(n)[:, None]] = np.nan
    return {name: values + np.float32(offset) for name, offset in terms.items()}


def test_the_curve_is_the_median_of_the_rows_still_searched():
    history = history_of(l1=0, prototype=10)
    figure = loss_curves({"D": history}, example=2, log=["prototype"])
    axes: Any = figure.axes
    first, second, left = axes
    assert [axis.get_title() for axis in figure.axes] == ["l1", "prototype", "still searched"]
    assert second.get_yscale() == "symlog"
    median, example = first.lines
    # Eight rows at first; four are left at the ninth evaluation, three after it.
    np.testing.assert_allclose(median.get_ydata(), [3.5] * 4 + [4, 4.5, 5, 5.5])
    np.testing.assert_allclose(example.get_ydata()[:6], 2)
    assert np.isnan(example.get_ydata()[6:]).all()
    np.testing.assert_array_equal(left.lines[0].get_ydata(), [8, 8, 8, 8, 7, 6, 5, 4])


def test_a_term_that_an_objective_lacks_says_so():
    histories = {"D": history_of(prediction=0, l1=0), "F": history_of(l1=0)}
    axes: Any = np.array(loss_curves(histories).axes).reshape(2, 3)
    assert [axis.get_ylabel() for axis in axes[:, 0]] == ["D", "F"]
    assert [text.get_text() for text in axes[1, 0].texts] == ["not in it"]
    assert len(axes[1, 1].lines) == 1


def test_one_row_is_enough_to_draw():
    axis: Any = loss_curves({"D": history_of(n=1, l1=3)}, example=0).axes[0]
    np.testing.assert_allclose(axis.lines[0].get_ydata(), [3] * 4)


def test_a_missing_history_or_row_is_an_error():
    for nothing in ({}, {"D": {}}):
        with pytest.raises(ValueError, match="record_history=True"):
            loss_curves(nothing)
    with pytest.raises(ValueError, match="example=8, but the history of 'D' has 8 rows"):
        loss_curves({"D": history_of(l1=0)}, example=8)


def test_controls_are_marks_beside_the_boxes_and_named():
    panels = {"L1": groups("A", "B"), "steps": groups("A", "B")}
    controls = {"L1": {"unchanged": {"A": 0.0, "B": 0.0}, "real": {"B": 9.0}}}
    figure = distributions(panels, controls=controls)
    axis: Any = figure.axes[0]
    marks = {line.get_label(): line.get_ydata() for line in axis.lines}
    np.testing.assert_array_equal(marks["unchanged"], [0, 0])
    np.testing.assert_array_equal(marks["real"], [np.nan, 9])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["unchanged", "real"]
    assert not distributions(panels).legends
