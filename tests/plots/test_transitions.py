"""The matrix of classes counts every row once."""

from typing import Any

import numpy as np
import pytest
from helpers import made_explanations, pixels, texts, tick_labels

from jaxcf import Status


def test_every_row_is_counted_where_it_went():
    explanations = made_explanations(
        (2,),
        n=7,
        original_class=np.array([0, 0, 0, 2, 2, 0, -1]),
        counterfactual_class=np.array([1, 1, 2, 0, 2, 0, -1]),
        status=np.array([0, 0, 0, 0, Status.NOT_FOUND, Status.NEVER_MOVED, Status.INVALID_INPUT]),
    )
    axes: Any = explanations.plot.transitions(class_names=["low", "mid", "high"])
    heads, lines = tick_labels(axes)
    assert heads == ["low", "mid", "high", "not found"]
    assert lines == ["low", "mid", "high", "unreadable"]
    counts, ends = (image.get_array().tolist() for image in axes.images)
    assert counts == [[0, 2, 1], [0, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert ends == [[1], [0], [1], [1]]
    places = {text.get_position(): text.get_text() for text in axes.texts}
    assert sorted(places.values()) == ["0"] + ["1"] * 5 + ["2"]
    assert places[1, 0] == "2"
    assert axes.get_title() == "4 of 7 found (57.1 %)"


def test_rows_that_were_there_already_are_no_failures():
    status = np.array([0, Status.ALREADY_IN_TARGET, Status.NOT_FOUND])
    axes: Any = made_explanations((2,), n=3, status=status).plot.transitions()
    assert tick_labels(axes)[0] == ["0", "1", "2", "not found", "there already"]
    assert axes.images[1].get_array().tolist() == [[0, 0], [0, 1], [1, 0]]
    assert axes.get_title() == "1 of 2 found (50.0 %), 1 already in the target"


@pytest.mark.parametrize("found", [True, False])
def test_all_or_none_found_can_be_drawn(found):
    status = np.full(6, Status.FOUND if found else Status.NOT_FOUND)
    axes: Any = made_explanations((2,), status=status).plot.transitions()
    assert tick_labels(axes)[0] == ["0", "1", "2", "not found"]
    assert texts(axes).count("0") == (3 if found else 0)
    assert len(np.unique(pixels(axes).reshape(-1, 3), axis=0)) > 2


def test_more_rows_are_darker():
    classes = np.array([0] * 9 + [1])
    axes: Any = made_explanations(
        (2,), n=10, original_class=classes, counterfactual_class=1 - classes
    ).plot.transitions()
    image: Any = axes.images[0]
    often, seldom = image.cmap(image.norm([9, 1]))
    assert often[:3].sum() < seldom[:3].sum()


def test_the_same_classes_stand_down_and_across_and_the_diagonal_is_marked():
    explanations = made_explanations((2,), n=2, status=np.zeros(2, int))
    axes: Any = explanations.plot.transitions()
    assert axes.get_aspect() == 1
    assert axes.images[0].get_array().shape == (3, 3)
    (diagonal,) = axes.lines
    np.testing.assert_array_equal(diagonal.get_xdata(), diagonal.get_ydata())


def test_of_many_classes_those_are_drawn_that_occur():
    chances = np.full((2, 102), 1 / 102, np.float32)
    explanations = made_explanations(
        (2,),
        n=2,
        status=np.zeros(2, int),
        original_class=np.array([7, 90]),
        counterfactual_class=np.array([90, 101]),
        original_probabilities=chances,
        probabilities=chances,
    )
    heads, lines = tick_labels(explanations.plot.transitions())
    assert lines == ["7", "90", "101"]
    assert heads == [*lines, "not found"]


def test_no_row_is_an_error():
    with pytest.raises(ValueError, match="no row to draw"):
        made_explanations((2,))[:0].plot.transitions()
    with pytest.raises(ValueError, match="got 1 names for 3 classes"):
        made_explanations((2,)).plot.transitions(class_names=["a"])
