import json
import os
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx
from helpers import damage_file

from jaxcf.data import load
from jaxcf.models import (
    DenseAutoencoder,
    DenseClassifier,
    ModelSet,
    load_models,
    load_torch_models,
    pretrained,
    save_models,
)
from jaxcf.models.recipes import fingerprint
from jaxcf.models.training_loop import apply_in_batches
from jaxcf.utils.array_files import read_arrays

REFERENCE = Path(
    os.environ.get("JAXCF_REFERENCE", Path(__file__).parents[2] / "../shared/reference")
)


@pytest.fixture
def models():
    rngs = nnx.Rngs(0)
    pair = tuple(DenseAutoencoder(4, code_size=2, hidden=(3,), rngs=rngs) for _ in range(3))
    classifier = DenseClassifier(4, 2, hidden=(3,), rngs=rngs)
    return ModelSet(classifier, pair[0], pair[1:], {"data": {"name": "rows"}, "note": 1.5})


@pytest.fixture
def saved(models, tmp_path):
    path = tmp_path / "models.npz"
    save_models(path, models)
    return path


def test_what_is_loaded_is_what_was_saved(models, saved):
    again = load_models(saved)
    assert again.metadata == models.metadata
    assert again.classifier.architecture == models.classifier.architecture
    everything = [(m.classifier, m.autoencoder, m.class_autoencoders) for m in (models, again)]
    before, after = (jax.tree.leaves(nnx.state(networks)) for networks in everything)
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
        assert new.dtype == old.dtype
    assert [path.name for path in saved.parent.iterdir()] == ["models.npz"]


def test_loaded_functions_equal_the_saved_ones(models, saved):
    assert load_models(saved).functions()["encode"] == models.functions()["encode"]


def test_the_keys_name_the_layers(saved):
    arrays, description = read_arrays(saved)
    assert "classifier/dense1/kernel" in arrays
    assert "class_autoencoder_1/decoder2/bias" in arrays
    assert description["schema_version"] == 1


KEY = "classifier/dense1/kernel"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda a, d: a.pop(KEY), "lacks the array 'classifier/dense1/kernel'"),
        (lambda a, d: a.update({"classifier/dense9/kernel": a[KEY]}), "of no layer.*dense9"),
        (lambda a, d: a.update({KEY: a[KEY].T}), r"shape \(3, 4\).*expected \(4, 3\)"),
        (lambda a, d: a.update({KEY: a[KEY].astype(np.float64)}), "type float64, expected"),
        (lambda a, d: a.update({KEY: a[KEY] * np.nan}), "holds NaN or infinity"),
        (lambda a, d: d.pop("format"), "holds no jaxcf models"),
        (lambda a, d: d.update(schema_version=99), "schema version 99: this version of jaxcf"),
        (lambda a, d: d.pop("architectures"), "doesn't describe its networks"),
        (lambda a, d: d.update(metadata=[]), "doesn't describe its networks"),
        (lambda a, d: d["architectures"].pop("classifier"), "expected a classifier"),
        (lambda a, d: d["architectures"].update(classifier={"kind": "X"}), "no valid classifier"),
        (lambda a, d: d["architectures"].update(classifier=3), "no valid classifier"),
        (
            lambda a, d: d["architectures"].update(classifier=d["architectures"]["autoencoder"]),
            "no valid classifier",
        ),
    ],
)
def test_a_wrong_file_says_what_is_wrong(saved, damage, message):
    damage_file(saved, damage)
    with pytest.raises(ValueError, match=message):
        load_models(saved)


def test_a_damaged_file_is_an_error(saved):
    saved.write_bytes(b"no archive")
    with pytest.raises(ValueError, match="damaged"):
        load_models(saved)


def test_a_damaged_file_from_torch_is_an_error(saved):
    saved.write_bytes(saved.read_bytes()[:200])
    with pytest.raises(ValueError, match="damaged"):
        load_torch_models(saved)


def test_a_file_of_other_arrays_is_an_error(saved, tmp_path):
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match="not a file that jaxcf wrote"):
        load_models(tmp_path / "other.npz")
    with pytest.raises(ValueError, match="lacks a classifier or an autoencoder"):
        load_torch_models(tmp_path / "other.npz")


def test_metadata_must_be_json(models, tmp_path):
    unwritable = ModelSet(models.classifier, models.autoencoder, (), {"array": np.zeros(2)})
    with pytest.raises(TypeError):
        save_models(tmp_path / "models.npz", unwritable)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["digits", "breast_cancer"])
def test_pretrained_models_are_as_good_on_the_same_data_as_they_state(name):
    models, dataset = pretrained(name), load(name)
    facts = models.metadata
    assert facts["data"]["train_sha256"] == fingerprint(dataset.x_train, dataset.y_train)
    right = apply_in_batches(models.classifier, dataset.x_test).argmax(1) == dataset.y_test
    assert right.mean() == pytest.approx(facts["test_accuracy"], abs=0.005)
    assert right.mean() > 0.95
    rebuilt = apply_in_batches(models.autoencoder, dataset.x_test)
    error = np.square(rebuilt - dataset.x_test).mean()
    assert error == pytest.approx(facts["test_reconstruction_error"], rel=1e-3)
    assert len(models.class_autoencoders) == dataset.num_classes


def test_the_pretrained_mnist_models_state_a_good_classifier():
    models = pretrained("mnist")
    assert models.metadata["test_accuracy"] >= 0.985
    assert models.classifier.architecture["image_shape"] == [28, 28, 1]
    assert len(models.class_autoencoders) == 10
    json.dumps(models.metadata)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"'breast_cancer', 'digits', 'mnist'"):
        pretrained("imagenet")


def test_weights_from_torch_compute_what_torch_computed():
    files = [REFERENCE / "seed_models.npz", REFERENCE / "seed_models_check.npz"]
    if not all(file.exists() for file in files):
        pytest.skip("reference files not present")
    models, check = load_torch_models(files[0]), np.load(files[1])

    def rows(name):
        array = check[name]
        return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array

    x, functions = rows("x"), models.functions()
    codes = jax.jit(functions["encode"])(functions["params"], x)
    softmax = jax.nn.softmax
    np.testing.assert_allclose(softmax(models.predict(x)), softmax(rows("logits")), atol=1e-6)
    np.testing.assert_allclose(codes, rows("enc"), atol=2e-5)
    np.testing.assert_allclose(models.reconstruct(x), rows("ae"), atol=1e-5)
    for label, reconstruct in enumerate(models.class_reconstruct()):
        np.testing.assert_allclose(reconstruct(x), rows(f"ae_class_{label}"), atol=1e-5)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda a: a.pop("ae_all/enc_conv2/bias"), "lacks the array 'autoencoder/encoder_conv2"),
        (lambda a: a.update(extra=np.zeros(1)), r"of no layer: \['extra'\]"),
        (
            lambda a: a.update({"classifier/dense/kernel": np.zeros((3, 5), np.float32)}),
            r"'classifier/dense/kernel' has shape \(5, 3\)",
        ),
    ],
)
def test_wrong_weights_from_torch_say_what_is_wrong(damage, message, tmp_path):
    shapes = {
        "classifier/conv1": (16, 1, 3, 3),
        "classifier/conv2": (32, 16, 3, 3),
        "classifier/dense": (3, 128),
        "ae_all/enc_conv1": (16, 1, 3, 3),
        "ae_all/enc_conv2": (16, 16, 3, 3),
        "ae_all/enc_conv3": (1, 16, 3, 3),
        "ae_all/dec_convt1": (1, 16, 2, 2),
        "ae_all/dec_convt2": (16, 16, 2, 2),
        "ae_all/dec_conv3": (1, 16, 3, 3),
    }
    arrays = {f"{layer}/kernel": np.ones(shape, np.float32) for layer, shape in shapes.items()}
    for layer, shape in shapes.items():
        outputs = shape[1] if "convt" in layer else shape[0]
        arrays[f"{layer}/bias"] = np.ones(outputs, np.float32)
    path = tmp_path / "torch.npz"
    np.savez(path, allow_pickle=False, **arrays)
    assert load_torch_models(path, image_shape=(8, 8, 1)).classifier.num_classes == 3
    damage(arrays)
    np.savez(path, allow_pickle=False, **arrays)
    with pytest.raises(ValueError, match=message):
        load_torch_models(path, image_shape=(8, 8, 1))
