"""The grid: what is drawn, from which rows, without touching the caller's figures."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers import made_explanations, pixels, texts, tick_labels

from jaxcf import Status, plots
from jaxcf.plots.style import new_figure
from jaxcf.utils.selection import representative_rows


@pytest.mark.parametrize("shape", [(8, 8), (8, 6, 1), (8, 8, 3)])
def test_images_show_original_counterfactual_and_difference(shape):
    explanations = made_explanations(shape)
    axes: Any = plots.grid(explanations, num_instances=3, class_names=["a", "b", "c"])
    heads, lines = tick_labels(axes)
    assert heads == ["a → b", "b → c", "c → a"]
    assert lines == ["original", "counterfactual", "difference\n(to ±0.25)"]
    shown = [image.get_array() for image in axes.images]
    assert len(shown) == 9
    for column in range(3):
        original, counterfactual = shown[column], shown[3 + column]
        np.testing.assert_array_equal(original.ravel(), explanations.original[column].ravel())
        np.testing.assert_array_equal(
            counterfactual.ravel(), explanations.counterfactual[column].ravel()
        )
    low, high = axes.images[6].get_clim()
    assert low == -high


@pytest.mark.parametrize(("shape", "channels"), [((3, 8, 6), None), ((1, 8, 3), "first")])
def test_images_with_channels_first_look_like_those_with_channels_last(shape, channels):
    explanations = made_explanations(shape)
    turned = replace(
        explanations,
        original=np.moveaxis(explanations.original, 1, -1),
        counterfactual=np.moveaxis(explanations.counterfactual, 1, -1),
    )
    axes: Any = explanations.plot(num_instances=2, channels=channels)
    np.testing.assert_array_equal(pixels(axes), pixels(turned.plot(num_instances=2)))
    if channels is None:
        assert explanations._repr_html_().count("<img") == 1
        assert explanations._repr_html_() == turned._repr_html_()


def test_an_image_that_is_none_as_the_caller_says_is_refused():
    with pytest.raises(ValueError, match=r"neither images .* with channels='last'"):
        made_explanations((3, 8, 6)).plot(channels="last")


def test_the_images_stand_apart_and_all_are_in_the_picture():
    axes: Any = plots.grid(made_explanations((8, 6, 1)), num_instances=4)
    extents = [tuple(image.get_extent()) for image in axes.images]
    assert len(set(extents)) == 12
    for index, (left, right, bottom, top) in enumerate(extents):
        for other in extents[:index]:
            assert right < other[0] or other[1] < left or bottom < other[3] or other[2] < top
        assert axes.get_xlim()[0] <= left < right <= axes.get_xlim()[1]
        assert axes.get_ylim()[1] <= top < bottom <= axes.get_ylim()[0]
        # as high as eight of its six pixels
        assert (bottom - top) / (right - left) == pytest.approx(8 / 6)


def test_the_picture_has_the_pixels_of_the_images():
    original = np.zeros((1, 2, 2, 1), np.float32)
    counterfactual = original.copy()
    counterfactual[0, 0, 0] = 1
    explanations = made_explanations((2, 2, 1), n=1, original=original)
    axes: Any = explanations.plot()
    assert (pixels(axes) == 255).all(axis=2).mean() < 0.6
    lighter = made_explanations((2, 2, 1), n=1, original=original, counterfactual=counterfactual)
    # Three tiles of four pixels: one pixel of one tile is white instead of the default's grey.
    blue, red = [0x05, 0x30, 0x61], [0x67, 0x00, 0x1F]
    found = pixels(lighter.plot())
    assert (found == blue).all(axis=2).mean() == pytest.approx(0.06, abs=0.03)
    assert not (found == red).all(axis=2).any()


def test_long_names_stand_on_two_lines():
    names = ["a long name", "another", "c"]
    axes: Any = plots.grid(made_explanations((8, 8)), num_instances=1, class_names=names)
    assert tick_labels(axes)[0] == ["a long name\n→ another"]


def test_what_brightens_one_channel_and_darkens_another_shows():
    original = np.full((1, 4, 4, 3), 0.5, np.float32)
    change = np.array([0.3, -0.4, 0.1], np.float32)
    explanations = made_explanations(
        (4, 4, 3), 1, original=original, counterfactual=original + change
    )
    shown: Any = plots.grid(explanations).images[2].get_array()
    np.testing.assert_allclose(shown, -0.4, rtol=1e-5)


def test_rows_show_the_most_changed_features_and_by_how_much():
    explanations = made_explanations((20,))
    names = [f"feature {i}" for i in range(20)]
    axes: Any = plots.grid(explanations, num_instances=2, feature_names=names)
    shown = explanations[np.array([0, 1])]
    largest = np.abs(shown.perturbation).max(axis=0)
    drawn = [names.index(name) for name in tick_labels(axes)[1]]
    assert set(drawn) == set(np.argsort(-largest, kind="stable")[:15])
    assert axes.get_xlabel().startswith("5 more features changed, by at most 0.")
    np.testing.assert_array_equal(axes.images[0].get_array(), shown.perturbation[:, drawn].T)
    written = [float(text) for text in texts(axes) if text != "≈ 0"]
    np.testing.assert_allclose(
        sorted(written)[-5:], sorted(shown.perturbation[:, drawn].ravel())[-5:], atol=0.006
    )


def test_features_that_stay_have_no_line():
    original = np.zeros((2, 4), np.float32)
    change = np.array([[0, 0.5, 0, 0], [0, 0, 0, -0.002]], np.float32)
    explanations = made_explanations((4,), 2, original=original, counterfactual=original + change)
    axes: Any = plots.grid(explanations)
    assert tick_labels(axes)[1] == ["feature 1", "feature 3"]
    assert texts(axes) == ["+0.50", "≈ 0"]


def test_found_rows_come_first_and_classes_take_turns():
    found = np.array([False, True, True, True, True])
    classes = np.array([0, 0, 0, 1, 2])
    assert representative_rows(found, classes, 3).tolist() == [1, 3, 4]
    assert representative_rows(found, classes, 9).tolist() == [0, 1, 2, 3, 4]


def test_rows_without_counterfactual_say_so():
    missed = made_explanations((8, 8), n=1, status=np.array([Status.NOT_FOUND]))
    assert tick_labels(plots.grid(missed))[0] == ["0, not found"]
    unreadable = made_explanations(
        (8, 8),
        n=1,
        original=np.full((1, 8, 8), np.nan, np.float32),
        counterfactual=np.full((1, 8, 8), np.nan, np.float32),
        status=np.array([Status.INVALID_INPUT]),
        original_class=np.array([-1]),
    )
    axes: Any = plots.grid(unreadable)
    assert tick_labels(axes)[0] == ["?, not found"]
    pixels(axes)


def test_the_axes_that_are_given_are_drawn_on():
    given = new_figure(4, 2).subplots()
    assert made_explanations((8, 8)).plot(given) is given
    assert given.images


def test_drawing_leaves_pyplot_alone():
    from matplotlib import pyplot

    made_explanations((8, 8)).plot()
    assert pyplot.get_fignums() == []


def test_nothing_to_draw_is_an_error():
    explanations = made_explanations((8, 8))
    with pytest.raises(ValueError, match="no row"):
        plots.grid(explanations[:0])
    with pytest.raises(ValueError, match="neither images"):
        plots.grid(made_explanations((4, 4, 2)))
    with pytest.raises(ValueError, match="num_instances must be at least 1, got 0"):
        plots.grid(explanations, num_instances=0)
    with pytest.raises(ValueError, match="got 2 names for 3 classes"):
        plots.grid(explanations, class_names=["a", "b"])
    with pytest.raises(ValueError, match="got 1 names for 4 features"):
        plots.grid(made_explanations((4,)), feature_names=["a"])


def test_what_rows_really_are_stands_beside_what_the_model_reads():
    explanations = made_explanations((5, 4))
    truth = ["cat", None, "dog", "cat", None, "dog"]
    names = ["cat", "dog", "cow"]
    axes: Any = explanations.plot(class_names=names, true_classes=truth)
    plain: Any = explanations.plot(class_names=names)
    rows = np.argsort(explanations.original_class, kind="stable")
    for row, told, bare in zip(rows, tick_labels(axes)[0], tick_labels(plain)[0], strict=True):
        assert told == (bare if truth[row] is None else f"{bare}\n(really {truth[row]})")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_row_that_is_not_finite_leaves_the_others_their_differences(value):
    explanations = made_explanations((4, 4, 1))
    broken = explanations.original.copy()
    broken[0, 0, 0] = value
    lost = replace(explanations, original=broken)
    axes: Any = plots.grid(lost, num_instances=len(lost))
    low, high = axes.images[-1].get_clim()
    assert np.isfinite([low, high]).all()
    assert high == -low > 0
