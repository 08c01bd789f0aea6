"""Networks as pure functions `f(params, x)` that share compiled programs."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import jax
from flax import nnx
from jaxtyping import Array, ArrayLike, Float, PyTree

Params = Mapping[str, PyTree]
"""Weights of networks (`nnx.State`) by name."""

_KEY = "network"


@dataclass(frozen=True)
class ModelFunction:
    """One method of one kind of network, without its weights.

    `function(params, x) = method(network with weights params[key])(x)`

    Two functions of networks with equal architecture are equal and have equal hashes, so as static
    arguments of `jax.jit` they share one compiled program, with the weights traced.

    Args:
        graphdef: The structure of the network, from `nnx.split`.
        key: Which of the params are the network's weights.
        method: The method to call.

    Examples:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxcf.models.networks.dense import DenseClassifier
        >>> one, two = (DenseClassifier(4, 3, rngs=nnx.Rngs(seed)) for seed in (0, 1))
        >>> predict = ModelFunction.of(one, "classifier")
        >>> predict == ModelFunction.of(two, "classifier")
        True
        >>> predict({"classifier": nnx.state(two)}, jnp.zeros((5, 4))).shape
        (5, 3)
    """

    graphdef: nnx.GraphDef
    key: str
    method: str = "__call__"

    pure = True  # a promise to `jaxcf.predictors`: nothing in here ever changes

    @classmethod
    def of(cls, network: nnx.Module, key: str, method: str = "__call__") -> "ModelFunction":
        """Make the function of a network, which keeps none of its weights."""
        return cls(nnx.graphdef(network), key, method)

    def __call__(self, params: Params, x: Float[ArrayLike, "n *shape"]) -> Float[Array, "n *out"]:
        """Call the method on a batch."""
        network = nnx.merge(self.graphdef, params[self.key])
        return getattr(network, self.method)(x)


def call(
    network: nnx.Module, x: Float[ArrayLike, "n *shape"], method: str = "__call__"
) -> Float[Array, "n *out"]:
    """Call a network on a batch, compiled once for all networks of equal architecture.

    `call(network, x) = network(x)`

    Args:
        network: What to call.
        x: A batch.
        method: The method to call.

    Returns:
        What the network returns.

    Examples:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from jaxcf.models.networks.dense import DenseClassifier
        >>> call(DenseClassifier(4, 3, rngs=nnx.Rngs(0)), jnp.zeros((5, 4))).shape
        (5, 3)
    """
    # One key for all: the key is part of what makes two functions equal.
    return _call_jitted(ModelFunction.of(network, _KEY, method), {_KEY: nnx.state(network)}, x)


@partial(jax.jit, static_argnums=0)
def _call_jitted(function: ModelFunction, params: Params, x: Array) -> Array:
    return function(params, x)
