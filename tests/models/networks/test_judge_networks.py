import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcf.models.networks.judge_networks import (
    AveragingClassifier,
    DepthwiseClassifier,
    MixerClassifier,
    PlainClassifier,
    StridedClassifier,
)

KINDS = [
    (StridedClassifier, {"widths": (4, 6)}),
    (MixerClassifier, {"patch": 3, "width": 8, "depth": 1}),
    (AveragingClassifier, {"widths": (4, 6)}),
    (PlainClassifier, {"widths": (4, 6)}),
    (DepthwiseClassifier, {"patch": 3, "width": 8, "depth": 1}),
]


@pytest.mark.parametrize(("kind", "sizes"), KINDS, ids=lambda case: getattr(case, "__name__", ""))
def test_the_head_of_the_features_is_the_prediction(kind, sizes):
    shape = (7, 10, 3)
    network = kind(shape, 5, rngs=nnx.Rngs(0), **sizes)
    x = jnp.asarray(np.random.default_rng(0).uniform(size=(3, *shape)), jnp.float32)
    features = jax.jit(network.features)(x)
    assert features.shape == (3, 64)
    np.testing.assert_allclose(network.head(features), jax.jit(network.__call__)(x), atol=1e-5)


@pytest.mark.parametrize("kind", [MixerClassifier, DepthwiseClassifier])
def test_every_pixel_of_an_image_that_needs_padding_is_seen(kind):
    network = kind((7, 10, 1), 2, patch=4, width=8, depth=1, rngs=nnx.Rngs(0))
    x = jnp.full((1, 7, 10, 1), 0.3)
    seen = jax.jit(jax.grad(lambda x: network(x)[0, 0]))(x)
    assert bool((seen != 0).all())


@pytest.mark.parametrize("sizes", [{"patch": 0}, {"width": -1}, {"depth": 1.5}])
def test_wrong_sizes_say_what_was_expected(sizes, without_type_checks):
    with pytest.raises(ValueError, match="expected positive integers"):
        MixerClassifier((8, 8, 1), 2, rngs=nnx.Rngs(0), **sizes)
