"""One row's path and losses, as they were recorded."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers import made_explanations, mlp, objective, search, texts, tick_labels

from jaxcf import Explanations, Status


def with_path(shape: tuple[int, ...], evaluations: int = 20, reached: int = 11) -> Explanations:
    """Rows that go straight to their counterfactual, in ten updates of twenty."""
    explanations = made_explanations(shape)
    share = np.linspace(0, 1, reached, dtype=np.float32).reshape(-1, *[1] * len(shape))
    path = np.full((6, evaluations, *shape), np.nan, np.float32)
    original, change = explanations.original[:, None], explanations.perturbation[:, None]
    path[:, :reached] = original + share * change
    path[:, reached - 1] = explanations.counterfactual
    history = np.full((6, evaluations), np.nan, np.float32)
    history[:, :reached] = np.linspace(0, 1, reached)
    return replace(
        explanations,
        path=path,
        history={"prediction": 2 - history, "l1": history},
        steps=np.full(6, reached - 1),
    )


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 1), (6, 5, 3), (3, 6, 5)])
def test_a_path_of_images_goes_from_the_original_to_the_counterfactual(shape):
    explanations = with_path(shape)
    names = ["a", "b", "c"]
    start, end = (
        f"{names[one[2].argmax()]}, {100 * one[2].max():.0f} %"
        for one in (explanations.original_probabilities, explanations.probabilities)
    )
    axes: Any = explanations.plot.path(2, num_points=4, class_names=names)
    ends = [f"original\n{start}", f"10\n{end}\ncounterfactual"]
    assert tick_labels(axes)[0] == [ends[0], "3", "7", ends[1]]
    asked = []

    def predict(points):
        asked.append(points)
        return np.tile([0.2, 0.7, 0.1], (len(points), 1))

    told: Any = explanations.plot.path(2, num_points=4, class_names=names, predict=predict)
    assert tick_labels(told)[0] == [ends[0], "3\nb, 70 %", "7\nb, 70 %", ends[1]]
    assert asked[0].shape == (4, *shape)
    first, *_, last = (image.get_array() for image in axes.images)
    ends = explanations.original[2], explanations.counterfactual[2]
    for shown, given in zip((first, last), ends, strict=True):
        given = np.moveaxis(given, 0, -1) if shape[0] == 3 else given
        np.testing.assert_array_equal(shown.ravel(), given.ravel())
    assert axes.get_title() == "c → a, found after 10 updates"


def test_a_counterfactual_off_the_path_is_shown_at_its_end():
    explanations = with_path((6, 5))
    mended = replace(explanations, counterfactual=explanations.counterfactual / 2)
    axes: Any = mended.plot.path(-1, num_points=4)
    labels = [label.split("\n") for label in tick_labels(axes)[0]]
    assert [label[0] for label in labels[:3]] == ["original", "5", "10"]
    assert labels[-1][-1] == "counterfactual"
    np.testing.assert_array_equal(axes.images[-1].get_array(), mended.counterfactual[-1])


def test_a_search_that_missed_ends_at_its_best_effort():
    explanations = with_path((6, 5))
    missed = replace(explanations, status=np.full(6, Status.NOT_FOUND))
    axes: Any = missed.plot.path(0, num_points=2)
    assert [label.split("\n")[-1] for label in tick_labels(axes)[0]][1:] == ["best effort"]
    assert axes.get_title() == "0, not found, after 10 updates"


def test_a_path_of_rows_has_a_curve_per_changed_feature():
    explanations = with_path((12,))
    moved = explanations.perturbation[1]
    names = [f"column {i}" for i in range(12)]
    axes: Any = explanations.plot.path(1, feature_names=names)
    *shown, rest, last = axes.get_legend_handles_labels()[1]
    assert (rest, last) == ("5 more", "counterfactual")
    assert set(shown) == {names[i] for i in np.argsort(-moved, kind="stable")[:7]}
    curves = {line.get_label(): line.get_ydata() for line in axes.lines}
    for name in shown:
        assert len(curves[name]) == 11
        assert curves[name][-1] == pytest.approx(moved[names.index(name)])
    drawn = [line for line in axes.lines if line.get_label() in shown]
    assert len({(line.get_color(), line.get_marker(), line.get_linestyle()) for line in drawn}) == 7


def test_losses_are_those_of_the_row_and_their_sum():
    explanations = with_path((4,))
    axes: Any = explanations.plot.losses(3, log=False)
    curves = {line.get_label(): line.get_ydata() for line in axes.lines}
    for name, values in explanations.history.items():
        np.testing.assert_array_equal(curves[name], values[3, :11])
    np.testing.assert_allclose(curves["sum"], 2)
    assert axes.get_yscale() == "linear"
    curved: Any = explanations.plot.losses(3)
    assert curved.get_yscale() == "symlog"
    shown = {line.get_label(): line.get_ydata() for line in curved.lines}["l1"]
    np.testing.assert_array_equal(shown, explanations.history["l1"][3, :11])
    # What is 0 stands at the bottom, and a line says where the scale ends.
    low, high = curved.transData.transform([(0, 0.0), (0, 2.0)])[:, 1]
    assert curved.bbox.y0 <= low < high <= curved.bbox.y1
    assert "linear below" in texts(curved)
    assert all(float(tick).is_integer() for tick in curved.get_xticks())


def test_a_real_search_shows_its_own_way():
    options = search(record_path=True, record_history=True)
    explanations = mlp().fit(objective=objective("C"), search=options).explain(mlp().x[:2])
    axes: Any = explanations.plot.path(0)
    assert len(axes.lines[0].get_xdata()) == explanations.steps[0] + 1
    curves: Any = explanations.plot.losses(0, log=False).lines
    last = {line.get_label(): line.get_ydata()[-1] for line in curves}
    for name, values in explanations.losses.items():
        assert last[name] == pytest.approx(values[0], rel=1e-3, abs=1e-4)


@pytest.mark.usefixtures("without_type_checks")
def test_what_was_not_recorded_says_how_to_record_it():
    bare, explanations = made_explanations((4,)), with_path((4,))
    with pytest.raises(ValueError, match=r"SearchOptions\(record_path=True\)"):
        bare.plot.path(0)
    with pytest.raises(ValueError, match=r"SearchOptions\(record_history=True\)"):
        bare.plot.losses(0)
    unsearched = replace(
        explanations,
        path=np.full_like(explanations.path, np.nan),
        status=np.full(6, Status.OUT_OF_RANGE),
    )
    with pytest.raises(ValueError, match="row 5 was never searched: the row itself lies outside"):
        unsearched.plot.path(5)
    with pytest.raises(IndexError, match="row 6 does not exist"):
        explanations.plot.path(6)
    several: Any = [1, 2]
    with pytest.raises(TypeError, match="row must be one row number, got list"):
        explanations.plot.losses(several)
    with pytest.raises(ValueError, match="num_points must be at least 2, got 1"):
        explanations.plot.path(0, num_points=1)
