import inspect

import numpy as np
import pytest
from flax import nnx

from jaxcf.data import from_arrays
from jaxcf.models import Augmentation, TrainingInfo, recipes, train_models
from jaxcf.models.networks.registry import build


def two_kinds_of_rows(shape, count=60):
    generator = np.random.default_rng(0)
    y = np.arange(count) % 2
    strength = generator.uniform(0.2, 1, size=(count, *(1 for _ in shape)))
    pattern = np.linspace(0, 1, int(np.prod(shape))).reshape(shape)
    x = strength * np.where(y.reshape(strength.shape) == 1, pattern[None], 1 - pattern[None])
    return x.astype(np.float32), y.astype(np.int32)


def test_a_model_set_states_its_data_settings_and_quality():
    x, y = two_kinds_of_rows((5,))
    dataset = from_arrays(x[:40], y[:40], x[40:], y[40:], name="two")
    stages = []
    models = train_models(
        dataset,
        seed=3,
        classifier_epochs=30,
        autoencoder_epochs=60,
        class_autoencoder_epochs=60,
        on_progress=lambda stage, *_: stages.append(stage),
    )
    facts = models.metadata
    assert facts["data"]["name"] == "two"
    assert (facts["data"]["train_rows"], facts["data"]["test_rows"]) == (40, 20)
    assert len(facts["data"]["train_sha256"]) == 64
    assert facts["test_accuracy"] > 0.9
    assert facts["test_reconstruction_error"] < x.var()
    assert len(facts["class_test_reconstruction_errors"]) == 2
    assert facts["training"]["classifier"]["seed"] == 3
    assert [info["rows"] for info in facts["training"]["class_autoencoders"]] == [20, 20]
    expected = ["classifier", "autoencoder", "class autoencoder 0", "class autoencoder 1"]
    assert list(dict.fromkeys(stages)) == expected
    assert models.functions()["predict"](models.functions()["params"], x[:2]).shape == (2, 2)


def test_images_and_tables_only():
    x, y = two_kinds_of_rows((8, 8, 1))
    dataset = from_arrays(x, y, x, y, name="two")
    object.__setattr__(dataset, "kind", "table")
    with pytest.raises(ValueError, match=r"'table' with rows of shape \(8, 8, 1\)"):
        train_models(dataset)


@pytest.fixture
def asked(monkeypatch):
    """What each trainer is asked for; their networks have no weights and are never called."""
    arguments = {}

    def untrained(name, train):
        def call(*given, **options):
            bound = inspect.signature(train).bind(*given, **options).arguments
            arguments[name] = bound
            network = nnx.eval_shape(lambda: build(bound["architecture"], nnx.Rngs(0)))
            info = TrainingInfo(len(bound["x"]), 1, 1, 1.0, 0, 0.0, 0, 0.0)
            classes = bound.get("num_classes")
            return ((network,) * classes, (info,) * classes) if classes else (network, info)

        return call

    for name in ("train_classifier", "train_autoencoder", "train_class_autoencoders"):
        monkeypatch.setattr(recipes, name, untrained(name, getattr(recipes, name)))
    monkeypatch.setattr(
        recipes,
        "apply_in_batches",
        lambda network, x: x if hasattr(network, "decode") else np.zeros((len(x), 2)),
    )
    return arguments


def test_photographs_get_a_residual_network_that_sees_them_varied(asked):
    x, y = two_kinds_of_rows((16, 16, 3), count=24)
    models = train_models(from_arrays(x, y, x[:6], y[:6], name="two"))
    assert asked["train_classifier"]["architecture"]["kind"] == "ResidualClassifier"
    assert asked["train_classifier"]["augmentation"] == Augmentation(flip=True, shift=1)
    assert asked["train_autoencoder"]["architecture"]["code_channels"] == 8
    # Of so few photographs no class autoencoder learns from the beginning.
    assert asked["train_class_autoencoders"]["start"] is models.autoencoder


def test_digits_get_neither_flips_nor_shifts(asked):
    x, y = two_kinds_of_rows((8, 8, 1))
    train_models(from_arrays(x, y, x[:6], y[:6], name="two"))
    assert asked["train_classifier"]["architecture"]["kind"] == "ConvolutionalClassifier"
    assert asked["train_classifier"]["augmentation"] is None
    assert asked["train_class_autoencoders"]["start"] is None
