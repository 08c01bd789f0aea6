"""Bars of changed columns and lines of categories show the numbers they are given."""

from typing import Any

import numpy as np
import pytest

from jaxcf import plots


def test_every_setting_has_a_bar_per_column_from_most_to_least_changed():
    shares = {"C": {"age": 0.1, "job": 0.7, "pay": 0.4}, "E": {"age": 0.2, "job": 0.5, "pay": 0}}
    axis: Any = plots.changed_columns(shares, title="loans").axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["job", "pay", "age"]
    widths = [bar.get_width() for bar in axis.patches]
    np.testing.assert_allclose(widths, [0.7, 0.4, 0.1, 0.5, 0.0, 0.2])
    assert axis.get_legend_handles_labels()[1] == ["C", "E"]
    first, second = axis.patches[0], axis.patches[3]
    assert first.get_facecolor() != second.get_facecolor()
    assert first.get_hatch() != second.get_hatch()
    assert axis.get_title() == "loans"


def test_categories_stand_in_their_order_at_their_numbers():
    orders = {"abdm": [("a", 0.0), ("b", 0.4), ("c", 1.0)], "mvdm": [("c", 0.0), ("a", 1.0)]}
    axes: Any = plots.category_lines(orders).axes
    assert [axis.get_title() for axis in axes] == ["abdm", "mvdm"]
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["a", "b", "c"]
    np.testing.assert_allclose(axes[0].lines[0].get_xdata(), [0.0, 0.4, 1.0])


def test_nothing_to_draw_is_an_error():
    for shares in ({}, {"C": {}}):
        with pytest.raises(ValueError, match="nothing to draw"):
            plots.changed_columns(shares)
    for orders in ({}, {"abdm": []}):
        with pytest.raises(ValueError, match="nothing to draw"):
            plots.category_lines(orders)


def test_settings_with_other_columns_are_named():
    with pytest.raises(ValueError, match="'E' has the columns pay; the first one has age"):
        plots.changed_columns({"C": {"age": 0.1}, "E": {"pay": 0.1}})
