import numpy as np
import pytest

from jaxcf.data import from_arrays
from jaxcf.models import train_models


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


def test_photographs_get_a_residual_network_that_sees_them_varied():
    x, y = two_kinds_of_rows((16, 16, 3), count=24)
    models = train_models(
        from_arrays(x, y, x[:6], y[:6], name="two"),
        classifier_epochs=1,
        autoencoder_epochs=60,
        class_autoencoder_epochs=60,
    )
    assert models.classifier.architecture["kind"] == "ResidualClassifier"
    assert models.autoencoder.architecture["code_channels"] == 8
    training = models.metadata["training"]
    assert training["classifier"]["augmentation"] == {"flip": True, "shift": 1, "noise": 0.0}
    assert training["autoencoder"]["augmentation"] is None
    # Of so few photographs no class autoencoder learns from the beginning.
    assert all(info["started_trained"] for info in training["class_autoencoders"])
    assert not training["autoencoder"]["started_trained"]


def test_digits_get_neither_flips_nor_shifts():
    x, y = two_kinds_of_rows((8, 8, 1))
    models = train_models(
        from_arrays(x, y, x[:6], y[:6], name="two"),
        classifier_epochs=1,
        autoencoder_epochs=120,
        class_autoencoder_epochs=120,
    )
    assert models.classifier.architecture["kind"] == "ConvolutionalClassifier"
    assert models.metadata["training"]["classifier"]["augmentation"] is None
