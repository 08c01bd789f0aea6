"""Strips of images along a path, and one image under several objectives."""

import itertools
from typing import Any

import numpy as np
import pytest

from experiments.plots import objective_rows
from jaxcf.plots.images import path_strip
from jaxcf.plots.style import new_figure

IMAGES = np.random.default_rng(0).uniform(size=(4, 6, 5, 1)).astype(np.float32)


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 1), (6, 5, 3)])
def test_a_strip_shows_all_images_in_order_without_overlap(shape):
    images = np.random.default_rng(1).uniform(size=(4, *shape))
    axis: Any = path_strip(images, ["original", "3", "6", "9"])
    for shown, image in zip(axis.images, images, strict=True):
        np.testing.assert_array_equal(shown.get_array().squeeze(), image.squeeze())
    extents = [image.get_extent() for image in axis.images]
    for (_, right, *_), (left, *_) in itertools.pairwise(extents):
        assert right < left
    low, high = axis.get_xlim()
    assert low <= extents[0][0]
    assert extents[-1][1] <= high
    assert [label.get_text() for label in axis.get_xticklabels()] == ["original", "3", "6", "9"]


def test_objectives_stand_side_by_side():
    original = IMAGES[0]
    counterfactuals = {"A": IMAGES[1], "D": IMAGES[2]}
    figure = new_figure(4, 6)
    objective_rows(
        figure,
        original,
        counterfactuals,
        reconstructions={"D": IMAGES[3]},
        captions={"D": "found"},
    )
    axes: Any = np.array(figure.axes).reshape(4, 2)
    # That of a column in the middle, so that one with large changes doesn't pale the others.
    reach = np.median([np.abs(one - original).max() for one in counterfactuals.values()])
    assert [axis.get_title() for axis in axes[0]] == ["A", "D"]
    assert [axis.get_ylabel() for axis in axes[:, 0]] == [
        "original",
        "counterfactual",
        f"difference\n(full colour: ±{reach:.2g})",
        "reconstruction",
    ]
    shown: Any = [
        [axis.images[0].get_array() if axis.images else None for axis in row] for row in axes
    ]
    for column, image in enumerate(counterfactuals.values()):
        np.testing.assert_array_equal(shown[0][column], original[..., 0])
        np.testing.assert_array_equal(shown[1][column], image[..., 0])
        np.testing.assert_allclose(shown[2][column], (image - original)[..., 0])
    assert shown[3][0] is None
    np.testing.assert_array_equal(shown[3][1], IMAGES[3, ..., 0])
    # One symmetric scale: equal colours are equal changes.
    limits = {axis.images[0].get_clim() for axis in axes[2]}
    assert len(limits) == 1
    assert limits.pop() == (pytest.approx(-reach), pytest.approx(reach))
    assert axes[3, 1].get_xlabel() == "found"


@pytest.mark.usefixtures("without_type_checks")
def test_what_is_no_image_is_named():
    with pytest.raises(ValueError, match="4 images and 1 labels"):
        path_strip(IMAGES, ["original"])
    with pytest.raises(ValueError, match=r"rows of shape \(5,\) are no images"):
        path_strip(np.zeros((2, 5)), ["0", "1"])
    figure = new_figure(1, 1)
    with pytest.raises(ValueError, match="no counterfactual"):
        objective_rows(figure, IMAGES[0], {})
    with pytest.raises(ValueError, match=r"the original, \(5,\), is no image"):
        objective_rows(figure, np.zeros(5), {"A": np.zeros(5)})
    with pytest.raises(ValueError, match=r"the image of 'A' has shape \(3, 5, 1\), but the orig"):
        objective_rows(figure, IMAGES[0], {"A": IMAGES[1][:3]})
