"""Pictures: what is drawn, from which rows, without touching the caller's figures."""

import numpy as np
import pytest

from jaxcf import Explanations, Status, plots


def explanations_of(shape, n=6, status=None):
    rng = np.random.default_rng(0)
    original = rng.uniform(size=(n, *shape)).astype(np.float32)
    classes = np.arange(n, dtype=np.int32) % 3
    probabilities = np.eye(3, dtype=np.float32)[classes]
    return Explanations(
        original=original,
        counterfactual=np.clip(original + 0.25, 0, 1),
        status=np.zeros(n, np.int8) if status is None else np.asarray(status, np.int8),
        source_row=np.arange(n),
        original_class=classes,
        original_probabilities=probabilities,
        counterfactual_class=(classes + 1) % 3,
        probabilities=np.roll(probabilities, 1, axis=1),
        target_class=(classes + 1) % 3,
        prototype=np.zeros((n, 2), np.float32),
        steps=np.ones(n, np.int32),
        prediction_weight=np.ones(n, np.float32),
    )


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (8, 8, 3)])
def test_images_show_original_counterfactual_and_difference(shape):
    explanations = explanations_of(shape)
    figure = plots.grid(explanations, num_columns=3, class_names=["a", "b", "c"])
    axes = np.array(figure.axes).reshape(3, 3)
    assert [axis.get_title() for axis in axes[0]] == ["a → b", "b → c", "c → a"]
    long = plots.grid(explanations, num_columns=3, class_names=["a long name", "another", "c"])
    assert long.axes[0].get_title() == "a long name\n→ another"
    shown = axes[0, 1].images[0].get_array()
    np.testing.assert_array_equal(shown, explanations.original[1].reshape(shown.shape))
    shown = axes[1, 1].images[0].get_array()
    np.testing.assert_array_equal(shown, explanations.counterfactual[1].reshape(shown.shape))
    low, high = axes[2, 0].images[0].get_clim()
    assert low == -high


def test_tables_show_the_most_changed_features():
    explanations = explanations_of((12,))
    names = [f"feature {i}" for i in range(12)]
    figure = plots.grid(explanations, num_columns=2, feature_names=names)
    change = np.abs(explanations.perturbation[0])
    drawn = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert set(drawn) == {names[i] for i in np.argsort(-change, kind="stable")[:8]}


def test_found_rows_come_first_and_classes_take_turns():
    found = np.array([False, True, True, True, True])
    classes = np.array([0, 0, 0, 1, 2])
    assert plots.representative_rows(found, classes, 3).tolist() == [1, 3, 4]
    assert plots.representative_rows(found, classes, 9).tolist() == [0, 1, 2, 3, 4]


def test_rows_without_counterfactual_say_so():
    explanations = explanations_of((8, 8), n=1, status=[Status.NOT_FOUND])
    assert plots.grid(explanations).axes[0].get_title() == "0, not found"


def test_drawing_leaves_pyplot_alone():
    from matplotlib import pyplot

    explanations_of((8, 8)).plot()
    assert pyplot.get_fignums() == []


def test_nothing_to_draw_is_an_error():
    explanations = explanations_of((8, 8))
    with pytest.raises(ValueError, match="no row"):
        plots.grid(explanations[:0])
    with pytest.raises(ValueError, match="neither images"):
        plots.grid(explanations_of((4, 4, 2)))
