"""All kinds of networks: their descriptions, and what goes in and comes out."""

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
)
from jaxcf.models.networks.registry import build

IMAGES = {"image_shape": [9, 8, 2]}
IMAGE_CLASSES = IMAGES | {"num_classes": 3}
ARCHITECTURES = [
    {"kind": "ConvolutionalClassifier"} | IMAGE_CLASSES,
    {"kind": "ConvolutionalAutoencoder", "code_channels": 2} | IMAGES,
    {"kind": "DenseClassifier", "num_features": 6, "num_classes": 3, "hidden": [5]},
    {"kind": "DenseAutoencoder", "num_features": 6, "code_size": 2, "hidden": [5, 4]},
    {"kind": "ResidualClassifier", "widths": [4, 5]} | IMAGE_CLASSES,
    {"kind": "SmoothResidualClassifier", "widths": [4, 5]} | IMAGE_CLASSES,
    {"kind": "BlockClassifier", "widths": [4, 5], "hidden": 6} | IMAGE_CLASSES,
    {"kind": "StridedClassifier", "widths": [4, 5]} | IMAGE_CLASSES,
    {"kind": "MixerClassifier", "patch": 3, "width": 4, "depth": 1} | IMAGE_CLASSES,
    {"kind": "AveragingClassifier", "widths": [4, 5]} | IMAGE_CLASSES,
    {"kind": "PlainClassifier", "widths": [4, 5]} | IMAGE_CLASSES,
    {"kind": "DepthwiseClassifier", "patch": 3, "width": 4, "depth": 1} | IMAGE_CLASSES,
]


def abstract(architecture):
    """A network with shapes and types in place of its weights."""
    return nnx.eval_shape(lambda: build(architecture, nnx.Rngs(0)))


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda one: one["kind"])
def test_an_architecture_survives_json_and_builds_an_equal_structure(architecture):
    network = abstract(architecture)
    assert network.architecture == architecture
    again = abstract(json.loads(json.dumps(network.architecture)))
    assert nnx.graphdef(again) == nnx.graphdef(network)
    assert hash(nnx.graphdef(again)) == hash(nnx.graphdef(network))


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda one: one["kind"])
def test_all_weights_are_float32_and_named_by_layer(architecture):
    for layer in nnx.to_pure_dict(nnx.state(abstract(architecture))).values():
        assert set(layer) <= {"bias", "gain", "kernel"}
        assert {array.dtype for array in layer.values()} == {np.dtype("float32")}


@pytest.mark.parametrize("shape", [(9, 10, 1), (4, 7, 3)])
def test_reconstructions_have_the_shape_of_the_images(shape):
    network = ConvolutionalAutoencoder(shape, code_channels=2, rngs=nnx.Rngs(0))
    x = jnp.asarray(np.random.default_rng(0).uniform(size=(2, *shape)), jnp.float32)
    code = jax.jit(network.encode)(x)
    assert code.shape == (2, -(-shape[0] // 4), -(-shape[1] // 4), 2)
    rebuilt = jax.jit(network.__call__)(x)
    assert rebuilt.shape == x.shape
    np.testing.assert_allclose(rebuilt, jax.jit(network.decode)(code), atol=1e-6)
    classifier = ConvolutionalClassifier(shape, 4, rngs=nnx.Rngs(0))
    assert jax.eval_shape(classifier, x).shape == (2, 4)


def test_a_dense_pair_works_on_rows():
    x, rngs = jnp.linspace(0, 1, 12).reshape(2, 6), nnx.Rngs(0)
    assert DenseClassifier(6, 3, hidden=(5,), rngs=rngs)(x).shape == (2, 3)
    autoencoder = DenseAutoencoder(6, code_size=2, hidden=(5, 4), rngs=rngs)
    assert autoencoder.encode(x).shape == (2, 2)
    rebuilt = autoencoder(x)
    assert rebuilt.shape == x.shape
    assert bool(jnp.all((rebuilt > 0) & (rebuilt < 1)))


@pytest.mark.parametrize(
    "network",
    [
        lambda rngs: ConvolutionalAutoencoder((9, 8, 2), code_channels=2, rngs=rngs),
        lambda rngs: DenseAutoencoder(6, code_size=2, hidden=(5, 4), rngs=rngs),
    ],
    ids=["image", "row"],
)
def test_the_last_bias_sets_the_mean_reconstruction(network):
    autoencoder = network(nnx.Rngs(0))
    autoencoder.output_layer.kernel[...] *= 0
    autoencoder.output_layer.bias[...] = jax.scipy.special.logit(0.25)
    shape = (1, 9, 8, 2) if isinstance(autoencoder, ConvolutionalAutoencoder) else (1, 6)
    np.testing.assert_allclose(jax.jit(autoencoder.__call__)(jnp.zeros(shape)), 0.25, rtol=1e-6)


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
