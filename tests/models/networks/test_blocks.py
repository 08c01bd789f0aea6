import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcf.models import BlockClassifier
from jaxcf.models.networks.blocks import _blocks


def test_every_pixel_counts_of_an_image_that_needs_padding():
    network = BlockClassifier((7, 10, 3), 5, widths=(4, 6), hidden=8, rngs=nnx.Rngs(0))
    x = jnp.asarray(np.random.default_rng(0).uniform(size=(3, 7, 10, 3)), jnp.float32)
    features = jax.jit(network.features)(x)
    assert features.shape == (3, 8)
    np.testing.assert_allclose(network.head(features), jax.jit(network.__call__)(x), atol=1e-5)
    seen = jax.jit(jax.grad(lambda x: jnp.square(network(x)).sum()))(x)
    assert bool((seen != 0).all())


def test_a_block_becomes_the_channels_of_one_pixel():
    x = jnp.arange(12.0).reshape(1, 3, 4, 1)
    expected = [[[0, 1, 4, 5], [2, 3, 6, 7]], [[8, 9, 0, 0], [10, 11, 0, 0]]]
    np.testing.assert_array_equal(_blocks(x)[0], expected)


@pytest.mark.parametrize("sizes", [{"hidden": 0}, {"widths": (4, -1)}])
def test_wrong_sizes_say_what_was_expected(sizes, without_type_checks):
    with pytest.raises(ValueError, match="expected positive integers"):
        BlockClassifier((8, 8, 1), 2, rngs=nnx.Rngs(0), **sizes)
