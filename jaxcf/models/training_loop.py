"""The training loop, compiled by epochs or by updates, and calls on many rows."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, ArrayLike, Float, PyTree

from jaxcf.models.adversary import Adversary, attack
from jaxcf.models.augmentation import Augmentation
from jaxcf.models.functions import call
from jaxcf.models.networks.registry import Autoencoder, Classifier, Network
from jaxcf.utils.batching import map_batches, slow_in_a_loop

Trained = TypeVar("Trained", bound=Network)


@dataclass(frozen=True)
class Settings:
    """How to train.

    Args:
        epochs: Passes over the rows.
        batch_size: Rows per update.
        learning_rate: Peak of the one-cycle learning rate.
        weight_decay: By how much of the learning rate each update shrinks the kernels.
        label_smoothing: How much of the probability a target spreads over all classes.
        augmentation: How each batch is varied; None leaves it as it is.
        adversary: How each batch is then moved against the network; None leaves it where it is.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    augmentation: Augmentation | None = None
    adversary: Adversary | None = None

    def __post_init__(self):
        for name in ("epochs", "batch_size", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}: expected a positive number")
        for name in ("weight_decay", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: expected 0 to below 1")

    def updates_per_epoch(self, rows: int) -> int:
        """How many batches it takes to see every row."""
        return -(-rows // self.batch_size)


@dataclass(frozen=True)
class _Static:
    """What is static about an update: other values are another program."""

    graphdef: nnx.GraphDef
    loss_function: Callable[..., Array]
    weight_decay: float
    augmentation: Augmentation | None
    attack_steps: int
    """Zero where there is no adversary."""
    one_by_one: bool = False
    """Whether no loop is compiled."""


_State = tuple[PyTree, optax.OptState]
"""The weights and what the optimizer remembers."""


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

    An epoch is one compiled loop, unless that would slow the network down.

    Args:
        network: Where to start from; it is not changed.
        loss_function: Takes the network and a batch of the data.
        data: Arrays with one entry per row; the first is what the augmentation varies, and the
            adversary moves.
        rows: Which rows to train on.
        settings: How to train.
        generator: Orders the rows.
        updates: Updates per epoch.
        report: Called after each epoch with its number, from 1, and its mean loss.

    Returns:
        The trained network and the mean loss of the last epoch.
    """
    graphdef, params = nnx.split(network)
    adversary = settings.adversary
    static = _Static(
        graphdef,
        loss_function,
        settings.weight_decay,
        settings.augmentation,
        adversary.steps if adversary else 0,
    )
    # Drawn only where it is needed, so that the orders are the same ones as without.
    seed = np.uint32(generator.integers(2**31) if settings.augmentation or adversary else 0)
    state = params, _optimizer(settings.learning_rate, settings.weight_decay).init(params)
    # Worked out beforehand, not by the optimizer: so all schedules share a program, and the weights
    # don't depend on how XLA fuses the schedule, which gives a third of the rates other last bits.
    total = settings.epochs * updates
    schedule = optax.cosine_onecycle_schedule(total, settings.learning_rate)
    rates = np.asarray(jax.vmap(schedule)(np.arange(total)), np.float32)
    radii = adversary.radii(total) if adversary else np.zeros(total, np.float32)
    if slow_in_a_loop(_loss, (static,), params, *(array[:1] for array in data)):
        static = replace(static, one_by_one=True)
    train_epoch = _train_epoch_one_by_one if static.one_by_one else _train_epoch
    loss = np.inf
    for epoch in range(settings.epochs):
        # Orders follow each other until there are enough rows for the last batch to be full.
        size = updates * settings.batch_size
        orders = [generator.permutation(rows) for _ in range(-(-size // len(rows)))]
        batches = np.concatenate(orders)[:size].reshape(updates, settings.batch_size)
        numbers = np.arange(epoch * updates, (epoch + 1) * updates)
        steps = (batches, rates[numbers], radii[numbers], numbers.astype(np.uint32))
        state, losses = train_epoch(static, data, seed, state, steps)
        loss = float(losses.mean())
        report(epoch + 1, loss)
    trained: Trained = nnx.merge(graphdef, state[0])
    return trained, loss


def _loss(static: _Static, params: PyTree, *batch: Array) -> Array:
    return static.loss_function(nnx.merge(static.graphdef, params), *batch)


def _optimizer(learning_rate: float | Array, weight_decay: float) -> optax.GradientTransformation:
    def kernels(params: PyTree) -> PyTree:
        # Biases and gains are no size that decay could keep in bounds.
        return jax.tree.map(lambda weight: weight.ndim > 1, params)

    return optax.adamw(learning_rate, weight_decay=weight_decay, mask=kernels)


def _update(
    static: _Static,
    data: tuple[Array, ...],
    seed: ArrayLike,
    state: _State,
    step: tuple[Array, Array, Array, Array],
) -> tuple[_State, Array]:
    """One step of Adam.

    `step` holds the rows of the batch, the rate, the adversary's radius, and how many came before.
    """
    (params, memory), (batch, rate, radius, number) = state, step
    first, *others = (array[batch] for array in data)
    if static.augmentation is not None:
        first = static.augmentation(jax.random.fold_in(jax.random.key(seed), number), first)
    if static.attack_steps:

        def loss_at(moved: Array) -> Array:
            return _loss(static, params, moved, *others)

        # Another key than that of the augmentation.
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), number), 1)
        first = attack(loss_at, key, first, radius, static.attack_steps, unrolled=static.one_by_one)
    loss, gradient = jax.value_and_grad(partial(_loss, static))(params, first, *others)
    changes, memory = _optimizer(rate, static.weight_decay).update(gradient, memory, params)
    return (optax.apply_updates(params, changes), memory), loss


_update_jitted = partial(jax.jit, static_argnames="static")(_update)


def _train_epoch_one_by_one(
    static: _Static,
    data: tuple[Array, ...],
    seed: ArrayLike,
    state: _State,
    steps: tuple[np.ndarray, ...],
) -> tuple[_State, Array]:
    losses = []
    for step in zip(*steps, strict=True):
        state, loss = _update_jitted(static, data, seed, state, step)
        losses.append(loss)
    return state, jnp.stack(losses)


@partial(jax.jit, static_argnames="static")
def _train_epoch(
    static: _Static,
    data: tuple[Array, ...],
    seed: ArrayLike,
    state: _State,
    steps: tuple[Array, Array, Array, Array],
) -> tuple[_State, Array]:
    return jax.lax.scan(partial(_update, static, data, seed), state, steps)


@dataclass(frozen=True)
class SmoothedCrossEntropy:
    """Mean cross entropy of a batch with integer labels, of which some is spread over all classes.

    Args:
        smoothing: How much of the probability is spread.
    """

    smoothing: float

    def __call__(self, network: Classifier, x: Array, y: Array) -> Array:
        """The loss of a network."""
        logits = network(x)
        labels = optax.smooth_labels(jax.nn.one_hot(y, logits.shape[-1]), self.smoothing)
        return optax.softmax_cross_entropy(logits, labels).mean()


def cross_entropy(network: Classifier, x: Array, y: Array) -> Array:
    """Mean cross entropy of a batch with integer labels."""
    return optax.softmax_cross_entropy_with_integer_labels(network(x), y).mean()


def squared_error(network: Autoencoder, x: Array) -> Array:
    """Mean squared error of the reconstruction of a batch."""
    return jnp.square(network(x) - x).mean()


def apply_in_batches(
    network: Network, x: Float[np.ndarray, "n *shape"]
) -> Float[np.ndarray, "n *out"]:
    """Call a network on many rows, a batch at a time.

    `result_n = network(x)_n`

    Args:
        network: What to call.
        x: Rows `[n, *shape]`.

    Returns:
        The results `[n, *out]`.

    Examples:
        >>> import numpy as np
        >>> from flax import nnx
        >>> from jaxcf.models import DenseClassifier
        >>> network = DenseClassifier(4, 3, rngs=nnx.Rngs(0))
        >>> apply_in_batches(network, np.zeros((7, 4), np.float32)).shape
        (7, 3)
    """
    return map_batches(partial(call, network), x)
