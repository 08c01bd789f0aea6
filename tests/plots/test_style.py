"""Looks that differ in more than colour."""

from typing import Any

import numpy as np
import pytest

from jaxcf import plots
from jaxcf.plots.style import is_image, show_image


def test_looks_differ_in_more_than_colour():
    looks = [plots.look(index) for index in range(24)]
    assert len(set(looks)) == 24
    for one in range(8):
        for other in range(one):
            assert looks[one].colour != looks[other].colour
            assert looks[one].marker != looks[other].marker
            assert looks[one].hatch != looks[other].hatch


@pytest.mark.parametrize("count", [1, 3, 7])
def test_colours_differ_in_lightness_where_there_are_few(count):
    red, green, blue = (
        np.array([int(colour[i : i + 2], 16) for colour in plots.COLOURS]) for i in (1, 3, 5)
    )
    grey = (0.299 * red + 0.587 * green + 0.114 * blue) / 255
    # Only markers, lines and hatches can tell the closest apart in grey print.
    assert len(set(grey[:count].round(2))) == count


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 1), (4, 6, 3)])
def test_an_image_is_shown_on_the_given_scale(shape):
    axis: Any = plots.new_figure(1, 1).subplots()
    show_image(axis, np.full(shape, 0.5), -1, 2)
    shown = axis.images[0]
    assert shown.get_array().shape[:2] == (4, 6)
    assert shown.get_clim() == (-1, 2)
    assert is_image(shape)
    assert not is_image((*shape, 2))
