import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcf.models import (
    ConvolutionalAutoencoder,
    ConvolutionalClassifier,
    DenseAutoencoder,
    DenseClassifier,
    build,
)


def networks(seed=0):
    rngs = nnx.Rngs(seed)
    return [
        ConvolutionalClassifier((9, 8, 2), 3, rngs=rngs),
        ConvolutionalAutoencoder((9, 8, 2), code_channels=2, rngs=rngs),
        DenseClassifier(6, 3, hidden=(5,), rngs=rngs),
        DenseAutoencoder(6, code_size=2, hidden=(5, 4), rngs=rngs),
    ]


@pytest.mark.parametrize("network", networks(), ids=lambda network: type(network).__name__)
def test_an_architecture_survives_json_and_builds_an_equal_structure(network):
    again = build(json.loads(json.dumps(network.architecture)), nnx.Rngs(1))
    assert again.architecture == network.architecture
    assert nnx.graphdef(again) == nnx.graphdef(network)
    assert hash(nnx.graphdef(again)) == hash(nnx.graphdef(network))


@pytest.mark.parametrize("network", networks(), ids=lambda network: type(network).__name__)
def test_all_weights_are_float32_and_named_by_layer(network):
    state = nnx.to_pure_dict(nnx.state(network))
    for layer in state.values():
        assert sorted(layer) == ["bias", "kernel"]
        assert {array.dtype for array in layer.values()} == {np.dtype("float32")}


@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 10, 1), (4, 7, 3), (28, 28, 1)])
def test_reconstructions_have_the_shape_of_the_images(shape):
    network = ConvolutionalAutoencoder(shape, code_channels=2, rngs=nnx.Rngs(0))
    x = jnp.asarray(np.random.default_rng(0).uniform(size=(2, *shape)), jnp.float32)
    code = jax.jit(network.encode)(x)
    assert code.shape == (2, -(-shape[0] // 4), -(-shape[1] // 4), 2)
    np.testing.assert_allclose(
        jax.jit(network.__call__)(x), jax.jit(network.decode)(code), atol=1e-6
    )
    assert jax.eval_shape(network, x).shape == x.shape
    classifier = ConvolutionalClassifier(shape, 4, rngs=nnx.Rngs(0))
    assert jax.eval_shape(classifier, x).shape == (2, 4)


def test_a_dense_pair_works_on_rows():
    x = jnp.linspace(0, 1, 12).reshape(2, 6)
    classifier, autoencoder = networks()[2:]
    assert classifier(x).shape == (2, 3)
    assert autoencoder.encode(x).shape == (2, 2)
    assert autoencoder(x).shape == x.shape
    assert bool(jnp.all((autoencoder(x) > 0) & (autoencoder(x) < 1)))


def test_the_last_bias_sets_the_mean_reconstruction():
    for network in (networks()[1], networks()[3]):
        network.output_layer.kernel[...] *= 0
        network.output_layer.bias[...] = jax.scipy.special.logit(0.25)
        width = (1, 9, 8, 2) if isinstance(network, ConvolutionalAutoencoder) else (1, 6)
        np.testing.assert_allclose(jax.jit(network.__call__)(jnp.zeros(width)), 0.25, rtol=1e-6)


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ({}, "unknown kind"),
        ({"kind": "Transformer"}, "unknown kind of network 'Transformer'"),
        ({"kind": "DenseClassifier", "num_features": 3}, "can't be made"),
        ({"kind": "DenseClassifier", "num_features": 0, "num_classes": 2}, "num_features holds 0"),
        ({"kind": "ConvolutionalClassifier", "image_shape": [3, 8, 1], "num_classes": 2}, "4"),
        ({"kind": "ConvolutionalClassifier", "image_shape": [8, 8], "num_classes": 2}, "channel"),
        (
            {"kind": "ConvolutionalAutoencoder", "image_shape": [8, 8, 1], "code_channels": 1.5},
            "1.5",
        ),
    ],
)
def test_a_wrong_architecture_says_what_was_expected(architecture, message):
    with pytest.raises(ValueError, match=message):
        build(architecture, nnx.Rngs(0))
