import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcf.models import DenseAutoencoder, DenseClassifier, ModelFunction, ModelSet


@pytest.fixture(scope="module")
def models():
    autoencoders = [DenseAutoencoder(6, code_size=2, rngs=nnx.Rngs(seed)) for seed in range(4)]
    classifier = DenseClassifier(6, 3, rngs=nnx.Rngs(9))
    return ModelSet(classifier, autoencoders[0], tuple(autoencoders[1:]))


def rows(count=2):
    return jnp.asarray(np.random.default_rng(0).uniform(size=(count, 6)), jnp.float32)


def test_functions_compute_what_the_networks_compute(models):
    functions, x = models.functions(), rows()
    params = functions["params"]
    assert functions["output"] == "logits"
    code = models.autoencoder.encode(x)
    for name, given, expected in (
        ("predict", x, models.classifier(x)),
        ("encode", x, code),
        ("decode", code, models.autoencoder(x)),
    ):
        np.testing.assert_allclose(functions[name](params, given), expected, atol=1e-6)
    np.testing.assert_allclose(models.predict(x), models.classifier(x), atol=1e-6)
    np.testing.assert_allclose(models.reconstruct(x), models.autoencoder(x), atol=1e-6)


def test_prototypes_in_input_space_need_the_whole_autoencoder(models):
    functions, x = models.functions(latent_prototypes=False), rows()
    assert not {"encode", "decode"} & functions.keys()
    reconstructed = functions["reconstruct"](functions["params"], x)
    np.testing.assert_allclose(reconstructed, models.autoencoder(x), atol=1e-6)


def test_the_class_autoencoders_share_one_program(models, monkeypatch):
    x, traced, call = rows(5), [], ModelFunction.__call__

    def counting(function, params, x):
        traced.append(function)
        return call(function, params, x)

    monkeypatch.setattr(ModelFunction, "__call__", counting)
    for reconstruct, network in zip(
        models.class_reconstruct(), models.class_autoencoders, strict=True
    ):
        np.testing.assert_allclose(reconstruct(x), network(x), atol=1e-6)
    assert len(traced) == 1
