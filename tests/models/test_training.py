from typing import Any

import numpy as np
import pytest

from jaxcf.models import (
    CollapsedAutoencoderError,
    train_autoencoder,
    train_class_autoencoders,
    train_classifier,
)
from jaxcf.models.training_loop import apply_in_batches

DENSE = {"kind": "DenseAutoencoder", "num_features": 4, "code_size": 1, "hidden": [8]}
CLASSIFIER = {"kind": "DenseClassifier", "num_features": 4, "num_classes": 2, "hidden": [8]}


def rows(count=96, seed=0):
    """Rows on a line: one number tells all four columns."""
    position = np.random.default_rng(seed).uniform(size=(count, 1)).astype(np.float32)
    return np.concatenate([position, 1 - position, position / 2, position**2], axis=1)


def test_a_classifier_learns_and_reports_each_epoch():
    x, reports = rows(), []
    y = (x[:, 0] > 0.5).astype(np.int32)
    network, info = train_classifier(
        x, y, CLASSIFIER, epochs=40, batch_size=16, on_progress=lambda *told: reports.append(told)
    )
    test = rows(seed=1)
    assert (apply_in_batches(network, test).argmax(1) == (test[:, 0] > 0.5)).mean() > 0.95
    assert [told[:3] for told in reports] == [("classifier", i, 40) for i in range(1, 41)]
    assert reports[-1][3] == info.loss < reports[0][3]
    assert (info.rows, info.epochs, info.retries) == (96, 40, 0)


def test_the_same_seed_gives_the_same_weights():
    x = rows()
    first, second, other = (
        train_autoencoder(x, DENSE, seed=seed, epochs=30, batch_size=16)[0] for seed in (1, 1, 2)
    )
    one, same, different = (apply_in_batches(network, x) for network in (first, second, other))
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, different)


def test_class_autoencoders_know_only_their_class():
    x = np.concatenate([rows(60), 1 - rows(40)])
    labels = np.repeat([0, 1], [60, 40])
    networks, infos = train_class_autoencoders(
        x, labels, DENSE, num_classes=2, epochs=60, batch_size=16
    )
    assert [info.rows for info in infos] == [60, 40]
    for label, network in enumerate(networks):
        errors = np.square(apply_in_batches(network, x) - x).mean(1)
        assert errors[labels == label].mean() < errors[labels != label].mean()


def test_class_autoencoders_can_start_from_a_trained_one():
    x, labels = rows(60), np.repeat([0, 1], 30)
    common, _ = train_autoencoder(x, DENSE, epochs=60, batch_size=16)
    options: dict[str, Any] = {"num_classes": 2, "epochs": 1, "batch_size": 16, "max_tries": 1}
    networks, infos = train_class_autoencoders(x, labels, DENSE, start=common, **options)
    assert [info.started_trained for info in infos] == [True, True]
    for label, network in enumerate(networks):
        own = x[labels == label]
        assert np.square(apply_in_batches(network, own) - own).mean() < own.var(0).mean() / 2
    with pytest.raises(CollapsedAutoencoderError):
        train_class_autoencoders(x, labels, DENSE, **options)
    with pytest.raises(ValueError, match="start is a network"):
        train_class_autoencoders(x, labels, DENSE | {"hidden": [9]}, start=common, **options)


def test_images_are_learned_too():
    generator = np.random.default_rng(0)
    x = generator.uniform(size=(64, 1, 1, 1)).astype(np.float32) * np.ones((1, 8, 8, 1), np.float32)
    architecture = {"kind": "ConvolutionalAutoencoder", "image_shape": [8, 8, 1]}
    network, _ = train_autoencoder(x, architecture, epochs=40, batch_size=16)
    assert np.square(apply_in_batches(network, x) - x).mean() < 0.2 * x.var()


def test_a_collapse_is_retried_and_then_reported():
    # Rows that no code of one number can tell apart: noise in many columns.
    x = np.random.default_rng(0).uniform(size=(256, 60)).astype(np.float32)
    architecture = DENSE | {"num_features": 60}
    reports = []
    with pytest.raises(CollapsedAutoencoderError, match=r"each of 3 tries: give it a larger code"):
        train_autoencoder(
            x,
            architecture,
            epochs=2,
            max_tries=3,
            on_progress=lambda *told: reports.append(told[1]),
        )
    assert reports == [1, 2] * 3


def test_a_retry_is_counted():
    x = rows(32)
    # Too few updates to learn from some initial weights, enough from others.
    tries = [
        train_autoencoder(x, DENSE, seed=seed, epochs=9, batch_size=16, max_tries=50)[1].retries
        for seed in range(4)
    ]
    assert max(tries) > 0


def test_rows_all_alike_are_no_collapse():
    x = np.full((32, 4), 0.25, np.float32)
    network, info = train_autoencoder(x, DENSE, epochs=30, batch_size=16)
    assert info.retries == 0
    np.testing.assert_allclose(apply_in_batches(network, x), x, atol=0.05)


X, Y = rows(8), np.repeat([0, 1], 4)


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (lambda: train_classifier(X, Y[:5], CLASSIFIER), "labels must be 8 class numbers"),
        (lambda: train_classifier(X, Y + 1, CLASSIFIER), "labels must lie in 0 to 1, got 1 to 2"),
        (lambda: train_classifier(X, Y, DENSE), r"DenseAutoencoder is no classifier"),
        (lambda: train_classifier(X, Y, CLASSIFIER, epochs=0), r"epochs is 0"),
        (lambda: train_classifier(X[:0], Y[:0], CLASSIFIER), r"at least one float32 row"),
        (lambda: train_autoencoder(X, CLASSIFIER), r"DenseClassifier is no autoencoder"),
        (lambda: train_autoencoder(X / 0 * 0, DENSE), "8 of 8 training rows hold NaN"),
        (
            lambda: train_class_autoencoders(X, Y, DENSE, num_classes=3),
            r"no rows have the labels \[2\]",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_wrong_input_says_what_was_expected(train, message):
    with pytest.raises(ValueError, match=message):
        train()
