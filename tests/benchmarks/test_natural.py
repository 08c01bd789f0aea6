"""Photographs before judges: what is measured, chosen and shown, on made-up judges and images."""

from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import natural, natural_drawing
from benchmarks.judged_configurations import SHIPPED, Given
from benchmarks.natural_configurations import (
    ALIKE,
    CANDIDATES,
    Aimed,
    Way,
    candidates,
    choose,
    finals,
    targets_of,
)
from benchmarks.natural_measures import measure
from benchmarks.natural_networks import ROBUST, SEEDS, Networks, coloured_digits, guide_name
from jaxcf import Explainer, Objective
from jaxcf.data import from_arrays
from jaxcf.metrics.robustness import blur
from jaxcf.results.evaluation import COUNTERFACTUAL, NOISE, REAL, UNCHANGED

CLASSES = ("dark", "bright")


def brightness(x, steepness=40.0):
    """Logits of images that are bright in the mean or aren't."""
    bright = steepness * (jnp.mean(jnp.asarray(x), axis=(1, 2, 3)) - 0.5)
    return jnp.stack([-bright, bright], axis=1)


# All that is asked of a set of models, and of a judge.
EXPLAINED: Any = SimpleNamespace(predict=brightness)


@pytest.fixture(scope="module")
def dataset():
    random = np.random.default_rng(0)
    x = random.uniform(0.2, 0.8, (40, 8, 8, 3)).astype(np.float32)
    y = np.arange(40) % 2
    x = np.clip(x + 0.2 * (2 * y - 1).reshape(-1, 1, 1, 1), 0, 1).astype(np.float32)
    return from_arrays(x, y, x, y, name="halves", class_names=CLASSES)


@pytest.fixture(scope="module")
def explanations(dataset):
    explainer = Explainer(brightness, output="logits", objective=Objective.named("A"))
    return explainer.fit(dataset.x_train).explain(dataset.x_test)


@pytest.fixture(scope="module")
def subjects(dataset, explanations):
    return measure(explanations, EXPLAINED, dataset, judges())


def judges() -> Any:
    """Two that see what the model sees, and a robust one that believes nobody but real images."""
    sure = SimpleNamespace(predict=lambda x: brightness(x, 1.0))

    def robust(x):
        mean = jnp.mean(jnp.asarray(x), axis=(1, 2, 3))
        bright = jnp.where(jnp.abs(mean - 0.5) > 0.16, 40 * (mean - 0.5), 0.0)
        # Whoever lies between is read as a third class.
        return jnp.stack([-bright, bright, jnp.full_like(bright, 0.1)], axis=1)

    named = {"one": sure.predict, "other": brightness, ROBUST: robust}
    return [SimpleNamespace(name=name, predict=predict) for name, predict in named.items()]


def test_ordinary_and_robust_judges_are_told_apart_and_controls_stand_beside(subjects):
    found = subjects[COUNTERFACTUAL]
    assert found["valid"].mean == 1
    assert found["oracle"].mean == 1
    assert found["robust"].mean <= 0.2
    assert subjects[UNCHANGED]["oracle"].mean == 0
    assert subjects[UNCHANGED]["stays"].mean == 1
    assert "high frequency" not in subjects[UNCHANGED]
    assert subjects[NOISE]["l2"].mean == pytest.approx(found["l2"].mean, rel=1e-3)
    assert subjects[REAL]["robust"].mean == 1
    assert subjects[REAL]["l2"].mean > found["l2"].mean


def test_of_what_nobody_found_there_is_nothing_but_the_count(dataset, explanations):
    missed = explanations[np.zeros(len(explanations), bool)]
    with_none = measure(missed, EXPLAINED, dataset, judges())
    assert set(with_none) == {COUNTERFACTUAL}
    assert set(with_none[COUNTERFACTUAL]) == {"found", "valid", "steps"}


def test_of_a_class_without_test_images_no_real_one_is_shown(dataset, explanations):
    bright = dataset.y_test == 1
    only_bright = from_arrays(
        dataset.x_train, dataset.y_train, dataset.x_test[bright], dataset.y_test[bright],
        name="bright", class_names=CLASSES,
    )  # fmt: skip
    found = measure(explanations, EXPLAINED, only_bright, judges())
    assert found[COUNTERFACTUAL]["oracle"].mean == 1
    assert found[REAL]["oracle"].mean == 1
    assert found[REAL]["stays"].mean == 0


def means(oracle, l2, robust=0.9, blurred=0.95):
    return {"oracle": oracle, "robust": robust, "oracle, blurred": blurred, "l2": l2}


def test_the_nearest_way_that_convinces_is_chosen_and_else_the_most_convincing():
    one, two, three = CANDIDATES[:3]
    assert choose({one: means(0.97, 3), two: means(0.98, 2), three: means(0.9, 1)}) == two
    assert choose({one: means(0.9, 1), two: means(0.93, 2), three: means(0.8, 3)}) == two
    # Nor does what isn't believed after a blur convince, nor what wasn't found.
    blurry = means(0.99, 1, blurred=0.5)
    assert choose({one: blurry, two: means(0.97, 2), three: {}}) == two
    # Who reaches an aim by less than chance may give hasn't reached it.
    assert choose({one: means(0.951, 1), two: means(0.961, 2)}) == two


def test_names_are_distinct_and_the_chosen_way_is_led_by_guides_of_other_seeds():
    assert len(candidates()) == len(CANDIDATES)
    guides = [guide_name(0.5, seed) for seed in SEEDS]

    def led(way, guides=guides):
        return [name for name in finals(way, guides, CLASSES) if name.startswith("chosen, seed")]

    assert led(Way()) == ["chosen, seed 0", "chosen, seed 1", "chosen, seed 2"]
    assert led(Way(count=3)) == [
        "chosen, seeds 0 to 2",
        "chosen, seeds 3 to 5",
        "chosen, seeds 6 to 8",
    ]
    assert led(Way(count=2), guides[:3]) == ["chosen, seeds 0 to 1"]


def test_what_the_data_or_the_package_lacks_is_not_measured():
    guides = [guide_name(0.5, 0), guide_name(0.5, 1)]
    animals = [*ALIKE, *ALIKE.values()]
    assert not any("cat-dog" in name for name in finals(Way(), guides, CLASSES))
    assert any("cat-dog" in name for name in finals(Way(), guides, animals))
    assert not any("shipped" in name for name in finals(Way(), guides, CLASSES))
    assert any("shipped" in name for name in finals(Way(), [*guides, SHIPPED], CLASSES))


def test_a_guide_that_must_agree_out_of_focus_is_asked_of_both(dataset):
    network: Any = SimpleNamespace(
        functions=lambda: {
            "predict": lambda params, x: brightness(x),
            "params": {},
            "output": "logits",
            "confidence": 0.7,
            "name": "guide",
        }
    )
    explained: Any = SimpleNamespace(functions=lambda: {"predict": brightness, "output": "logits"})
    given = Given(explained, dataset, {guide_name(0.5, 0): network}, lambda: network)
    way = Way(blurred=True, letter="A")
    options = candidates([way])[way.name].options(given)
    sharp, soft = options["guides"]
    assert soft.name == "guide, blurred"
    # A checkerboard is grey in the mean, and its corners aren't.
    board = (np.indices((8, 8)).sum(0) % 2).astype(np.float32).reshape(1, 8, 8, 1).repeat(3, -1)
    blurred = np.asarray(soft.predict({}, board))
    np.testing.assert_allclose(blurred, sharp.predict({}, blur(board)), atol=1e-3)
    found = Explainer(**options).fit(dataset.x_train).explain(dataset.x_test[:4])
    assert found.found.all()


def test_test_images_that_nothing_is_measured_on_are_learnt_from(dataset):
    joined = natural._with_more_to_learn_from(dataset, 30)
    assert (len(joined.x_train), len(joined.x_test)) == (50, 30)
    np.testing.assert_array_equal(joined.x_train[40:], dataset.x_test[30:])
    np.testing.assert_array_equal(joined.y_train[40:], dataset.y_test[30:])


def test_radii_are_as_long_per_pixel_of_a_side_whatever_the_images(dataset, tmp_path):
    assert Networks(dataset, tmp_path, True).radius(0.5) == pytest.approx(0.125)


def test_an_aim_leaves_out_classes_that_have_none():
    aimed = Aimed("x", lambda given: {}, {"dark": "bright"})
    targets = targets_of(aimed, np.array([0, 1]), CLASSES)
    assert targets is not None
    assert targets.tolist() == [1, -1]


def test_each_class_is_shown_in_turn():
    labels = np.array([1, 1, 0, 1, 0])
    assert natural._first_of_each_class(labels).tolist() == [2, 0, 4, 1, 3]


def test_tables_and_pictures_hold_what_was_measured(subjects, explanations):
    row = {
        "configuration": "A",
        "data": "halves",
        "rows": [0, 40],
        "n": 40,
        "explained": 1.0,
        "judges": {"one": 0.9, "other": 1.0, ROBUST: 0.8},
        "guides": {},
        "subjects": {
            subject: {name: value._asdict() for name, value in values.items()}
            for subject, values in subjects.items()
        },
    }
    table = natural_drawing.markdown({"measured once": [row], "chosen from": []})
    assert "| A | 40 | 1.0000 | 1.000 |" in table
    figure = natural_drawing.grid(explanations[:3], [0, 0, 0], CLASSES)
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    assert titles[:2] == ["dark", "bright\n(truly dark)"]


def test_the_trial_shows_every_digit_in_colours():
    trial = coloured_digits()
    assert trial.shape == (16, 16, 3)
    assert set(trial.y_train.tolist()) == set(range(10))
    assert np.ptp(trial.x_train, axis=3).max() > 0.1
