"""Cells of changed columns and lines of categories show the numbers they are given."""

from typing import Any

import numpy as np
import pytest
from helpers import made_explanations, texts, tick_labels

from experiments.plots import category_lines, changed_columns
from jaxcf import Status
from jaxcf.plots.tables import Directions, column_directions


def test_every_setting_has_a_cell_per_column_from_most_to_least_changed():
    shares = {"C": {"age": 0.1, "job": 0.7, "pay": 0.4}, "E": {"age": 0.2, "job": 0.5, "pay": 0}}
    axis: Any = changed_columns(shares, title="loans")
    assert tick_labels(axis) == (["C", "E"], ["job", "pay", "age"])
    np.testing.assert_allclose(axis.images[0].get_array(), [[0.7, 0.5], [0.4, 0.0], [0.1, 0.2]])
    assert texts(axis) == ["70", "50", "40", "0", "10", "20"]
    assert axis.get_title() == "loans"


def test_categories_stand_in_their_order_at_their_numbers():
    orders = {"abdm": [("a", 0.0), ("b", 0.4), ("c", 1.0)], "mvdm": [("c", 0.0), ("a", 1.0)]}
    axes: Any = category_lines(orders).axes
    assert [axis.get_title() for axis in axes] == ["abdm", "mvdm"]
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["a", "b", "c"]
    np.testing.assert_allclose(axes[0].lines[0].get_xdata(), [0.0, 0.4, 1.0])


def test_nothing_to_draw_is_an_error():
    for shares in ({}, {"C": {}}):
        with pytest.raises(ValueError, match="nothing to draw"):
            changed_columns(shares)
    for orders in ({}, {"abdm": []}):
        with pytest.raises(ValueError, match="nothing to draw"):
            category_lines(orders)


def test_settings_with_other_columns_are_named():
    with pytest.raises(ValueError, match="'E' has the columns pay; the first one has age"):
        changed_columns({"C": {"age": 0.1}, "E": {"pay": 0.1}})


def test_bars_are_parted_by_direction():
    columns = {
        "job": Directions(replaced=0.3),
        "age": Directions(rose=0.5, fell=0.25),
        "sex": Directions(),
    }
    axes: Any = column_directions(columns, title="loans")
    assert tick_labels(axes)[1] == ["age", "job", "sex"]
    assert texts(axes) == ["75 %", "30 %", "0 %"]
    bars = {bar.get_label(): bar for bar in axes.containers}
    assert list(bars) == ["rose", "fell", "replaced"]
    assert [bar.get_width() for bar in bars["rose"]] == [0.5, 0, 0]
    first = bars["fell"].patches[0]
    assert (first.get_x(), first.get_width()) == (0.5, 0.25)
    hatches = {bar.patches[0].get_hatch() for bar in bars.values()}
    assert len(hatches) == 3
    short: Any = column_directions(columns, num_columns=1)
    assert tick_labels(short)[1] == ["age"]
    assert "(2 more: in 30 % at most)" in short.get_xlabel()


def test_features_are_counted_over_the_found_rows_alone():
    original = np.zeros((4, 3), np.float32)
    change = np.array([[1, 0, 0], [-1, 0, 2], [1, 0, 0], [0, 9, 9]], np.float32)
    explanations = made_explanations(
        (3,),
        n=4,
        original=original,
        counterfactual=original + change,
        status=np.array([0, 0, 0, Status.NOT_FOUND]),
    )
    axes: Any = explanations.plot.changes(feature_names=["a", "b", "c"])
    assert tick_labels(axes)[1] == ["a", "c", "b"]
    assert texts(axes) == ["100 %", "33 %", "0 %"]
    rose, fell = axes.containers
    np.testing.assert_allclose([bar.get_width() for bar in rose], [2 / 3, 1 / 3, 0])
    np.testing.assert_allclose([bar.get_width() for bar in fell], [1 / 3, 0, 0])
    assert axes.get_title() == "3 counterfactuals"
    none: Any = explanations[explanations.status > 0].plot.changes()
    assert texts(none) == ["0 %"] * 3
    with pytest.raises(ValueError, match=r"shape \(4, 4\) are no rows \[features\]"):
        made_explanations((4, 4)).plot.changes()
    with pytest.raises(ValueError, match="nothing to draw"):
        column_directions({})
