from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxcf.models import ConvolutionalAutoencoder, DenseClassifier, ModelFunction


def test_functions_of_equal_architectures_are_equal_and_trace_once():
    pair = [DenseClassifier(4, 3, rngs=nnx.Rngs(seed)) for seed in (0, 1)]
    functions = [ModelFunction.of(network, "classifier") for network in pair]
    assert functions[0] == functions[1]
    assert hash(functions[0]) == hash(functions[1])
    traces = []

    @partial(jax.jit, static_argnums=0)
    def apply(function, params, x):
        traces.append(function)
        return function(params, x)

    x = jnp.ones((2, 4))
    for function, network in zip(functions, pair, strict=True):
        np.testing.assert_allclose(
            apply(function, {"classifier": nnx.state(network)}, x), network(x), atol=1e-6
        )
    assert len(traces) == 1


def test_functions_differ_by_method_key_and_architecture():
    network = ConvolutionalAutoencoder((8, 8, 1), rngs=nnx.Rngs(0))
    other = ConvolutionalAutoencoder((8, 8, 1), code_channels=2, rngs=nnx.Rngs(0))
    functions = {
        ModelFunction.of(network, "autoencoder"),
        ModelFunction.of(network, "autoencoder", "encode"),
        ModelFunction.of(network, "other"),
        ModelFunction.of(other, "autoencoder"),
    }
    assert len(functions) == 4


def test_the_gradient_reaches_weights_and_input():
    network = DenseClassifier(4, 3, rngs=nnx.Rngs(0))
    predict = ModelFunction.of(network, "classifier")
    params = {"classifier": nnx.state(network)}
    total = lambda params, x: predict(params, x).sum()  # noqa: E731
    weights, x = jax.grad(total, (0, 1))(params, jnp.ones((2, 4)))
    assert jax.tree.structure(weights) == jax.tree.structure(params)
    assert np.any(x)
