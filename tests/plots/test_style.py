"""Looks that differ in more than colour."""

from typing import Any

import numpy as np
import pytest

from jaxcf.plots.style import COLOURS, look, new_figure, show_image, signed_change
from jaxcf.utils.images import is_image, value_range


def test_looks_differ_in_more_than_colour():
    looks = [look(index) for index in range(24)]
    assert len(set(looks)) == 24
    for one in range(8):
        for other in range(one):
            assert looks[one].colour != looks[other].colour
            assert looks[one].marker != looks[other].marker
            assert looks[one].hatch != looks[other].hatch


@pytest.mark.parametrize("count", [1, 3, 7])
def test_colours_differ_in_lightness_where_there_are_few(count):
    red, green, blue = (
        np.array([int(colour[i : i + 2], 16) for colour in COLOURS]) for i in (1, 3, 5)
    )
    grey = (0.299 * red + 0.587 * green + 0.114 * blue) / 255
    # Only markers, lines and hatches can tell the closest apart in grey print.
    assert len(set(grey[:count].round(2))) == count


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 1), (4, 6, 3)])
def test_an_image_is_shown_on_the_given_scale(shape):
    axis: Any = new_figure(1, 1).subplots()
    show_image(axis, np.full(shape, 0.5), -1, 2)
    shown = axis.images[0]
    assert shown.get_array().shape[:2] == (4, 6)
    assert shown.get_clim() == (-1, 2)
    assert is_image(shape)
    assert not is_image((*shape, 2))


def test_colours_are_shown_on_the_given_scale_too():
    axis: Any = new_figure(1, 1).subplots()
    image = np.array([[[-1.0, 0.0, 1.0]]])
    show_image(axis, image, -1, 1)
    np.testing.assert_allclose(axis.images[0].get_array(), [[[0, 0.5, 1]]])


def test_the_scale_is_that_of_images_unless_they_go_beyond_it():
    assert value_range(np.array([0.4, 0.6])) == (0, 1)
    assert value_range(np.array([-2.0, 255.0, np.nan, np.inf])) == (-2, 255)
    assert value_range(np.array([np.nan])) == (0, 1)


def test_a_change_of_colour_is_no_smaller_than_that_of_its_channels():
    change = np.random.default_rng(0).normal(size=(4, 5, 3))
    shown = signed_change(change)
    np.testing.assert_array_equal(np.abs(shown), np.abs(change).max(axis=2))
    assert all(shown[i, j] in change[i, j] for i in range(4) for j in range(5))
    np.testing.assert_array_equal(signed_change(change[..., 0]), change[..., 0])
