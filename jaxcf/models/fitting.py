"""The training loop, one compiled call per epoch, and calls on many rows."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, PyTree

from jaxcf.blocks import map_blocks
from jaxcf.models.functions import call
from jaxcf.models.networks import Autoencoder, Classifier, Network

Trained = TypeVar("Trained", bound=Network)


@dataclass(frozen=True)
class Settings:
    """How to train: passes over the rows, rows per update, peak of the one-cycle learning rate."""

    epochs: int
    batch_size: int
    learning_rate: float

    def __post_init__(self):
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"{name} is {value}: expected a positive number")

    def updates_per_epoch(self, rows: int) -> int:
        """How many batches it takes to see every row."""
        return -(-rows // self.batch_size)


def fit(
    network: Trained,
    loss_function: Callable[..., Array],
    data: tuple[Array, ...],
    rows: np.ndarray,
    settings: Settings,
    generator: np.random.Generator,
    updates: int,
    report: Callable[[int, float], None],
) -> tuple[Trained, float]:
    """Train a network on some rows, in a new order each epoch.

    `minimise mean_{n in rows} loss_function(network, *data_n)`

    Args:
        network: Where to start from; it is not changed.
        loss_function: Takes the network and a batch of the data.
        data: Arrays with one entry per row.
        rows: Which rows to train on.
        settings: How to train.
        generator: Orders the rows.
        updates: Updates per epoch.
        report: Called after each epoch with its number, from 1, and its mean loss.

    Returns:
        The trained network and the mean loss of the last epoch.
    """
    graphdef, params = nnx.split(network)
    optimizer_state = optax.scale_by_adam().init(params)
    schedule = optax.cosine_onecycle_schedule(settings.epochs * updates, settings.learning_rate)
    rates = np.asarray(jax.vmap(schedule)(np.arange(settings.epochs * updates)), np.float32)
    loss = np.inf
    for epoch in range(settings.epochs):
        # Orders follow each other until there are enough rows for the last batch to be full.
        size = updates * settings.batch_size
        orders = [generator.permutation(rows) for _ in range(-(-size // len(rows)))]
        batches = np.concatenate(orders)[:size].reshape(updates, settings.batch_size)
        params, optimizer_state, losses = _train_epoch(
            graphdef,
            loss_function,
            params,
            optimizer_state,
            data,
            batches,
            rates[epoch * updates : (epoch + 1) * updates],
        )
        loss = float(losses.mean())
        report(epoch + 1, loss)
    trained: Trained = nnx.merge(graphdef, params)
    return trained, loss


@partial(jax.jit, static_argnames=("graphdef", "loss_function"))
def _train_epoch(
    graphdef: nnx.GraphDef,
    loss_function: Callable[..., Array],
    params: PyTree,
    optimizer_state: optax.OptState,
    data: tuple[Array, ...],
    batches: Array,
    rates: Array,
) -> tuple[PyTree, optax.OptState, Array]:
    adam = optax.scale_by_adam()

    def update(carry, batch_and_rate):
        params, optimizer_state = carry
        batch, rate = batch_and_rate
        batch = tuple(array[batch] for array in data)
        loss, gradient = jax.value_and_grad(
            lambda params: loss_function(nnx.merge(graphdef, params), *batch)
        )(params)
        step, optimizer_state = adam.update(gradient, optimizer_state)
        params = jax.tree.map(lambda weight, change: weight - rate * change, params, step)
        return (params, optimizer_state), loss

    (params, optimizer_state), losses = jax.lax.scan(
        update, (params, optimizer_state), (batches, rates)
    )
    return params, optimizer_state, losses


def cross_entropy(network: Classifier, x: Array, y: Array) -> Array:
    """Mean cross entropy of a batch with integer labels."""
    return optax.softmax_cross_entropy_with_integer_labels(network(x), y).mean()


def squared_error(network: Autoencoder, x: Array) -> Array:
    """Mean squared error of the reconstruction of a batch."""
    return jnp.square(network(x) - x).mean()


def apply_in_blocks(
    network: Network, x: Float[np.ndarray, "n *shape"]
) -> Float[np.ndarray, "n *out"]:
    """Call a network on many rows, a block at a time.

    `result_n = network(x)_n`

    Args:
        network: What to call.
        x: Rows `[n, *shape]`.

    Returns:
        The results `[n, *out]`.

    Example:
        >>> import numpy as np
        >>> from flax import nnx
        >>> from jaxcf.models import DenseClassifier
        >>> network = DenseClassifier(4, 3, rngs=nnx.Rngs(0))
        >>> apply_in_blocks(network, np.zeros((7, 4), np.float32)).shape
        (7, 3)
    """
    return map_blocks(partial(call, network), x)
