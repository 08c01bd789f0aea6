import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcf.models import (
    ConvolutionalAutoencoder,
    ModelSet,
    ResidualClassifier,
    SmoothResidualClassifier,
    load_models,
    save_models,
)
from jaxcf.models.networks.parts import StandardizedWeights


def network(shape=(9, 13, 1), widths=(4, 6, 8)):
    return ResidualClassifier(shape, 5, widths=widths, rngs=nnx.Rngs(0))


def images(shape, count=3):
    return jnp.asarray(np.random.default_rng(0).uniform(size=(count, *shape)), jnp.float32)


@pytest.mark.parametrize("shape", [(9, 13, 1), (8, 8, 3)])
def test_the_head_of_the_feature_map_is_the_prediction(shape):
    model, x = network(shape), images(shape)
    features = jax.jit(model.feature_map)(x)
    assert features.shape == (3, shape[0] // 8, shape[1] // 8, 8)
    assert float(features.min()) >= 0
    np.testing.assert_allclose(model.head(features), jax.jit(model.__call__)(x), atol=1e-5)


def test_the_smooth_one_curves_where_the_other_is_straight():
    x = images((8, 8, 3))
    smooth = SmoothResidualClassifier((8, 8, 3), 5, widths=(4, 6), rngs=nnx.Rngs(0))
    features = jax.jit(smooth.features)(x)
    np.testing.assert_allclose(features, jax.jit(smooth.feature_map)(x).mean((1, 2)), atol=1e-6)
    assert float(features.min()) < 0  # as SiLUs are, and rectifiers never


def test_rows_do_not_see_each_other():
    model, x = network(), images((9, 13, 1))
    predict = jax.jit(model.__call__)
    alone = jnp.concatenate([predict(x[i : i + 1]) for i in range(3)])
    np.testing.assert_allclose(predict(x), alone, atol=1e-5)


def test_a_kernel_is_used_with_mean_zero_and_one_size():
    kernel, _ = StandardizedWeights(6, 8, rngs=nnx.Rngs(1))
    np.testing.assert_allclose(kernel.mean((0, 1, 2)), 0, atol=1e-6)
    sizes = jnp.square(kernel).sum((0, 1, 2))
    np.testing.assert_allclose(sizes, sizes[0], rtol=1e-3)


def test_what_is_loaded_is_what_was_saved(tmp_path):
    rngs, shape = nnx.Rngs(0), (16, 16, 3)
    models = ModelSet(network(shape), ConvolutionalAutoencoder(shape, rngs=rngs))
    save_models(tmp_path / "models.npz", models)
    again, x = load_models(tmp_path / "models.npz"), images(shape)
    assert again.classifier.architecture == models.classifier.architecture
    np.testing.assert_array_equal(again.predict(x), models.predict(x))


@pytest.mark.parametrize(
    ("widths", "message"),
    [((), "widths is empty"), ((4, 0), "widths holds 0"), ((4,) * 5, "nothing would be left")],
)
def test_wrong_widths_say_what_was_expected(widths, message):
    with pytest.raises(ValueError, match=message):
        network(widths=widths)
