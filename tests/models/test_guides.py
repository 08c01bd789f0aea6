from dataclasses import replace

import jax
import numpy as np
import pytest
from flax import nnx
from helpers import damage_file

from jaxcf.data import from_arrays, load
from jaxcf.models import (
    Adversary,
    Augmentation,
    TrainingInfo,
    guides,
    load_guide,
    pretrained_guide,
    pretrained_guide_names,
    pretrained_names,
    robust_accuracy,
    save_guide,
    train_classifier,
    train_guide,
)
from jaxcf.models.networks.registry import build


@pytest.fixture(scope="module")
def digits():
    return load("digits").first(test=128)


@pytest.fixture(scope="module")
def guide(digits):
    return train_guide(digits, quick=True)


@pytest.fixture
def saved(guide, tmp_path):
    path = tmp_path / "guide.npz"
    save_guide(path, guide)
    return path


def test_a_guide_withstands_what_an_ordinary_classifier_does_not(guide, digits):
    training = guide.metadata["training"]
    ordinary, _ = train_classifier(
        digits.x_train[: training["rows"]],
        digits.y_train[: training["rows"]],
        guide.network.architecture,
        epochs=training["epochs"],
    )
    withstood = robust_accuracy(ordinary, digits.x_test, digits.y_test, radius=guide.radius)
    assert guide.accuracy > 0.9
    assert guide.robust_accuracy > withstood + 0.1


def test_what_it_states_is_what_is_measured(guide, digits):
    logits = np.asarray(guide.predict(digits.x_test))
    assert (logits.argmax(1) == digits.y_test).mean() == pytest.approx(guide.accuracy, abs=0.01)
    facts = guide.metadata
    assert facts["data"]["name"] == "digits"
    assert (facts["rows"], facts["measured_on"]) == (128, "test rows")
    assert facts["training"]["rows"] + facts["held_out_rows"] == len(digits.x_train)
    assert facts["training"]["adversary"]["radius"] == guide.radius
    assert guide.confidence == facts["held_out_probabilities"]["0.5"]


def test_the_confidence_is_what_real_images_get_the_median_or_of_photographs_the_upper_quartile():
    probability = np.array([0.1, 0.2, 0.7, 0.9, 0.99])
    assert guides.confidence_of(probability, (28, 28, 1)) == 0.7
    assert guides.confidence_of(probability, (32, 32, 3)) == 0.9
    # Log-odds stay finite.
    assert guides.confidence_of(np.ones(4), (28, 28, 1)) < 1


def test_without_test_rows_the_held_out_ones_tell(digits):
    told = replace(digits, x_test=digits.x_test[:0], y_test=digits.y_test[:0])
    guide = train_guide(told, quick=True, radius=0.3)
    facts = guide.metadata
    assert (guide.radius, facts["radius_given"]) == (0.3, True)
    assert facts["measured_on"] == "held-out rows"
    assert guide.accuracy == facts["held_out_right"] / facts["held_out_rows"]


def test_the_functions_give_what_the_guide_gives(guide, digits):
    functions, x = guide.functions(), digits.x_test[:8]
    predict, params = functions.pop("predict"), functions.pop("params")
    np.testing.assert_allclose(predict(params, x), guide.predict(x), atol=1e-4)
    expected = {"output": "logits", "confidence": guide.confidence, "name": "digits guide"}
    assert functions == expected
    np.testing.assert_allclose(guide.network.head(guide.features(x)), guide.predict(x), atol=1e-4)


def test_what_is_loaded_is_what_was_saved(guide, saved, digits):
    again = load_guide(saved)
    numbers = [
        (g.name, g.confidence, g.radius, g.accuracy, g.robust_accuracy) for g in (guide, again)
    ]
    assert numbers[0] == numbers[1]
    assert again.metadata == guide.metadata
    assert again.functions()["predict"] == guide.functions()["predict"]
    np.testing.assert_array_equal(again.predict(digits.x_test), guide.predict(digits.x_test))


def test_its_weights_take_half_the_room(guide):
    for weight in jax.tree.leaves(nnx.state(guide.network)):
        np.testing.assert_array_equal(weight, np.asarray(weight).astype(np.float16))


KEY = "guide/dense/kernel"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda a, d: a.pop(KEY), "lacks the array 'guide/dense/kernel'"),
        (lambda a, d: a.update({KEY: a[KEY] * np.nan}), "holds NaN or infinity"),
        (lambda a, d: d.update(format="jaxcf models"), "holds no jaxcf guide"),
        (lambda a, d: d["metadata"].update(name=""), "states the name ''"),
        (lambda a, d: d["metadata"].pop("known"), "the metadata None"),
        (lambda a, d: d["metadata"].update(confidence=1.0), "the confidence 1.0"),
        (lambda a, d: d["metadata"].update(radius=0.0), "the radius 0.0"),
        (lambda a, d: d["metadata"].pop("accuracy"), "the accuracy None"),
        (lambda a, d: d["metadata"].update(robust_accuracy="good"), "robust_accuracy 'good'"),
        (lambda a, d: d["architectures"].update(more={}), r"the networks \['guide', 'more'\]"),
        (
            lambda a, d: d["architectures"].update(
                guide={"kind": "DenseClassifier", "num_features": 3, "num_classes": 2}
            ),
            "no valid guide: it is a DenseClassifier",
        ),
    ],
)
def test_a_wrong_file_says_what_is_wrong(saved, damage, message):
    damage_file(saved, damage)
    with pytest.raises(ValueError, match=message):
        load_guide(saved)


def test_the_shipped_ones_are_good_and_no_model_sets(digits):
    # Of photographs, a guide of so few weights reads one in five wrongly.
    least = {"digits": 0.97, "mnist": 0.97, "cifar10": 0.75}
    assert set(least) == set(pretrained_guide_names())
    assert not any("guide" in name for name in pretrained_names())
    for name in pretrained_guide_names():
        guide = pretrained_guide(name)
        assert not guide.metadata["quick"]
        assert guide.accuracy > least[name]
        assert guide.robust_accuracy > 0.6
    guide = pretrained_guide("digits")
    right = np.asarray(guide.predict(digits.x_test)).argmax(1) == digits.y_test
    assert right.mean() == pytest.approx(guide.accuracy, abs=0.03)


def test_of_others_none_is_shipped():
    with pytest.raises(ValueError, match=r"\['cifar10', 'digits', 'mnist'\].*train another"):
        pretrained_guide("caltech101")


def test_tables_have_no_guides():
    x, y = np.zeros((4, 3), np.float32), np.array([0, 1, 0, 1], np.int32)
    with pytest.raises(ValueError, match="expected 'image'"):
        train_guide(from_arrays(x, y, x, y, name="rows"))


def test_a_radius_is_positive(digits):
    with pytest.raises(ValueError, match=r"radius is 0\.0: expected a positive number"):
        train_guide(digits, radius=0.0)


@pytest.fixture
def asked(monkeypatch):
    """What the trainer is asked for; its network has no weights to speak of."""
    arguments = {}

    def untrained(x, y, architecture, **options):
        arguments.update(options, architecture=architecture, rows=len(x))
        info = TrainingInfo(len(x), 1, 1, 1.0, 0, 0.0, 0, 0.0)
        return build(architecture, nnx.Rngs(0)), info

    monkeypatch.setattr(guides, "train_classifier", untrained)
    monkeypatch.setattr(
        guides, "_probabilities", lambda _, x, y: (np.full(len(x), 0.9), np.full(len(x), True))
    )
    monkeypatch.setattr(guides, "robust_accuracy", lambda *_, **__: 0.5)
    return arguments


def images(shape, count=40):
    x = np.random.default_rng(0).uniform(size=(count, *shape)).astype(np.float32)
    y = (np.arange(count) % 2).astype(np.int32)
    return from_arrays(x, y, x[:6], y[:6], name="two")


def test_photographs_get_a_smooth_network_and_one_step(asked):
    guide = train_guide(images((32, 32, 3)))
    assert guide.network.architecture["kind"] == "SmoothResidualClassifier"
    assert asked["adversary"] == Adversary(guide.radius, steps=1)
    assert asked["augmentation"] == Augmentation(flip=True, shift=2)


@pytest.mark.parametrize(
    ("shape", "widths"),
    [((8, 8, 1), [16, 32]), ((9, 30, 3), [16, 32]), ((64, 64, 1), [16, 32, 64])],
)
def test_others_get_a_network_by_their_size_and_three_steps(asked, shape, widths):
    guide = train_guide(images(shape))
    assert guide.network.architecture["kind"] == "BlockClassifier"
    assert guide.network.architecture["widths"] == widths
    assert asked["adversary"].steps == 3
    assert asked["augmentation"] is None


def test_few_images_are_not_learnt_by_heart(asked):
    train_guide(images((8, 8, 1)))
    assert asked["epochs"] == 30


def test_a_guide_that_reads_nothing_rightly_has_no_confidence(asked, monkeypatch):
    nothing = lambda _, x, y: (np.zeros(len(x)), np.full(len(x), False))  # noqa: E731
    monkeypatch.setattr(guides, "_probabilities", nothing)
    with pytest.raises(ValueError, match="give a smaller radius, more rows, or more time"):
        train_guide(images((8, 8, 1)))
