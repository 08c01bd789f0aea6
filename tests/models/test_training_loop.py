import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcf.models import Adversary, Augmentation, train_classifier, training_loop
from jaxcf.models.networks.registry import build
from jaxcf.models.networks.residual import ResidualClassifier
from jaxcf.utils.batching import slow_in_a_loop

SHAPE = (8, 8, 3)
RESIDUAL = {
    "kind": "ResidualClassifier",
    "image_shape": list(SHAPE),
    "num_classes": 2,
    "widths": [4, 6],
}


def rows(count=48):
    generator = np.random.default_rng(0)
    y = np.arange(count) % 2
    x = 0.5 * generator.uniform(size=(count, *SHAPE)) + 0.4 * y[:, None, None, None]
    return x.astype(np.float32), y.astype(np.int32)


def test_single_updates_are_those_of_the_compiled_epoch(monkeypatch):
    x, y = rows()
    trained = []
    for one_by_one in (True, False):
        monkeypatch.setattr(training_loop, "slow_in_a_loop", lambda *_, slow=one_by_one: slow)
        network, info = train_classifier(
            x,
            y,
            RESIDUAL,
            epochs=2,
            batch_size=16,
            weight_decay=0.1,
            label_smoothing=0.1,
            augmentation=Augmentation(flip=True, shift=1, noise=0.1),
            adversary=Adversary(0.2, steps=2),
        )
        trained.append((nnx.state(network), info.loss))
    (one, one_loss), (other, other_loss) = trained
    assert one_loss == pytest.approx(other_loss, rel=1e-3)
    for left, right in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(left, right, atol=2e-3)


def test_only_stock_convolutions_are_slow_in_a_loop():
    def answer(architecture):
        network = nnx.eval_shape(lambda: build(architecture, nnx.Rngs(0)))
        graphdef, params = nnx.split(network)
        return slow_in_a_loop(_apply, (graphdef,), params, jnp.zeros((1, *SHAPE)))

    assert jax.default_backend() != "cpu" or answer(RESIDUAL)
    for kind in ("ConvolutionalClassifier", "MixerClassifier"):
        sizes = {"image_shape": list(SHAPE), "num_classes": 2}
        assert not answer({"kind": kind} | sizes)


def _apply(graphdef, params, x):
    return nnx.merge(graphdef, params)(x)


def test_decay_shrinks_kernels_and_leaves_biases_alone():
    x, y = np.zeros((16, *SHAPE), np.float32), np.zeros(16, np.int32)

    def dense(decay):
        settings = training_loop.Settings(3, 16, 1e-2, weight_decay=decay)
        network = ResidualClassifier(SHAPE, 2, widths=(4,), rngs=nnx.Rngs(0))
        trained, _ = training_loop.fit(
            network,
            _no_loss,
            (jnp.asarray(x), jnp.asarray(y)),
            np.arange(16),
            settings,
            np.random.default_rng(0),
            1,
            lambda *_: None,
        )
        return trained.dense

    kept, shrunk = dense(0.0), dense(0.5)
    kernel = np.asarray(kept.kernel[...])
    np.testing.assert_array_less(np.abs(shrunk.kernel[...]), np.abs(kernel))
    np.testing.assert_array_equal(shrunk.bias[...], kept.bias[...])


def _no_loss(network, x, y):
    """Its gradient is zero, so that only decay moves anything."""
    return 0 * network(x).sum()


def test_smoothing_spreads_probability_over_all_classes():
    x, y = rows(8)
    network = ResidualClassifier(SHAPE, 2, widths=(4, 6), rngs=nnx.Rngs(0))
    log_probability = np.asarray(jax.nn.log_softmax(network(x)))
    target = 0.8 * np.eye(2)[y] + 0.2 / 2
    expected = -(target * log_probability).sum(1).mean()
    smoothed = training_loop.SmoothedCrossEntropy(0.2)(network, jnp.asarray(x), jnp.asarray(y))
    assert float(smoothed) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("wrong", [{"weight_decay": -0.1}, {"label_smoothing": 1.0}])
def test_settings_out_of_range_are_errors(wrong):
    x, y = rows()
    with pytest.raises(ValueError, match="expected 0 to below 1"):
        train_classifier(x, y, RESIDUAL, **wrong)
