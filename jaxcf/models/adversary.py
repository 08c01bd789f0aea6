"""Images moved against a network, a little way and as it takes them worst: to train on and to test.

A network that learns from such images alone has gradients that draw what people see in a class.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, PyTree

from jaxcf.models.functions import call
from jaxcf.models.networks.registry import Classifier
from jaxcf.utils.batching import map_batches
from jaxcf.utils.numbers import check_whole
from jaxcf.utils.validation import check_labels

# Of the radius, all steps together: from wherever an image starts, it reaches the far side.
_WAY = 1.5
_TEST_STEPS = 10

# Images whose nearest neighbours are looked for: the median of more is the same within a twentieth.
_NEIGHBOURS_OF = 500
# The distances of so many images to all others are in memory at once.
_AT_ONCE = 100
# Of the two lengths, see `usual_radius`: on MNIST both give 2.
_DIFFERENCE_SHARE, _DISTANCE_SHARE = 1.15, 1 / 3


@dataclass(frozen=True)
class Adversary:
    """How images are moved against a network while it learns.

    `x' = x + d, |d|_2 <= radius`, where `steps` steps along the gradient make the loss large, from
    a random start, within [0, 1].

    Args:
        radius: How far an image is moved at most, as an L2 distance; traced.
        steps: How many steps of `1.5 radius / steps` each; static.
        ramp: Over which share of the updates the radius grows from 0; traced.

    Raises:
        ValueError: If the radius isn't positive, there is no step, or the ramp no share.

    Examples:
        >>> Adversary(radius=2.0, ramp=0.5).radii(8).tolist()
        [0.5, 1.0, 1.5, 2.0, 2.0, 2.0, 2.0, 2.0]
    """

    radius: float
    steps: int = 3
    ramp: float = 0.3

    def __post_init__(self):
        if not 0 < self.radius < np.inf:
            raise ValueError(f"radius is {self.radius}: expected a positive number")
        check_whole("steps", self.steps)
        if not 0 <= self.ramp <= 1:
            raise ValueError(f"ramp is {self.ramp}: expected 0 to 1")

    def radii(self, updates: int) -> Float[np.ndarray, " updates"]:
        """The radius of each of some updates."""
        done = np.arange(1, updates + 1) / max(self.ramp * updates, 1)
        return np.asarray(self.radius * np.minimum(done, 1), np.float32)


Loss = Callable[[Array], Array]
"""The mean loss of a batch of images."""


def attack(
    loss: Loss,
    key: Array,
    x: Float[Array, "n *shape"],
    radius: Array,
    steps: int,
    *,
    unrolled: bool = False,
) -> Float[Array, "n *shape"]:
    """Move images of values in [0, 1] up the loss.

    Args:
        loss: Of a batch.
        key: Of the random start.
        x: Where the images are.
        radius: How far each is moved at most.
        steps: How many steps.
        unrolled: Whether each is compiled by itself, for losses that are slow in a loop.

    Returns:
        Images within the radius and [0, 1].

    Examples:
        >>> x = jnp.full((2, 1, 1, 2), 0.5)
        >>> moved = attack(lambda x: x[..., 0].sum(), jax.random.key(0), x, jnp.float32(0.1), 3)
        >>> bool(jnp.allclose(moved[..., 0], 0.6, atol=0.02))
        True
    """
    length = _WAY * radius / steps
    return jax.lax.fori_loop(
        0,
        steps,
        lambda _, moved: _ascended(loss, x, moved, radius, length),
        _started(key, x, radius),
        unroll=steps if unrolled else None,
    )


def _started(key: Array, x: Array, radius: Array) -> Array:
    """In a random direction, and as likely close by as far off."""
    direction_key, length_key = jax.random.split(key)
    lengths = radius * jax.random.uniform(length_key, _one_each(x))
    return _within(x, lengths * _unit(jax.random.normal(direction_key, x.shape)), radius)


def _ascended(loss: Loss, x: Array, moved: Array, radius: Array, length: Array) -> Array:
    return _within(x, moved - x + length * _unit(jax.grad(loss)(moved)), radius)


def _within(x: Array, change: Array, radius: Array) -> Array:
    """The nearest change of that length at most, then the nearest image, which is no further."""
    norm = _norm(change)
    return jnp.clip(x + change * jnp.minimum(1, radius / jnp.maximum(norm, 1e-12)), 0, 1)


def _unit(direction: Array) -> Array:
    return direction / jnp.maximum(_norm(direction), 1e-12)


def _norm(direction: Array) -> Array:
    return jnp.sqrt(jnp.square(direction).sum(tuple(range(1, direction.ndim)), keepdims=True))


def _one_each(x: Array) -> tuple[int, ...]:
    return (x.shape[0], *(1 for _ in x.shape[1:]))


def robust_accuracy(
    network: Classifier,
    x: Float[np.ndarray, "n *shape"],
    y: Int[np.ndarray, " labels"],
    *,
    radius: float,
    seed: int = 0,
) -> float:
    """The share of images that a classifier still gets right after ten steps against it.

    Args:
        network: The classifier.
        x: Images with values in [0, 1], at least one.
        y: Their labels.
        radius: How far each is moved at most, as an L2 distance.
        seed: Of the random starts.

    Returns:
        The share.

    Raises:
        ValueError: If the labels don't fit the images or the classes.

    Examples:
        >>> from jaxcf.models import ConvolutionalClassifier
        >>> network = ConvolutionalClassifier((8, 8, 1), 10, rngs=nnx.Rngs(0))
        >>> x = np.random.default_rng(0).uniform(size=(20, 8, 8, 1)).astype("float32")
        >>> robust_accuracy(network, x, np.asarray(network(x)).argmax(1), radius=3.0) < 1
        True
    """
    y = check_labels(y, len(x), network.num_classes)
    graphdef, params = nnx.split(network)

    def hits(x: np.ndarray, labels: np.ndarray) -> Array:
        images = jnp.asarray(x)
        moved = _started(jax.random.key(seed), images, jnp.float32(radius))
        for _ in range(_TEST_STEPS):
            moved = _test_step(graphdef, params, images, moved, labels, np.float32(radius))
        return call(network, moved).argmax(1) == labels

    return float(map_batches(hits, x, y).mean())


def _wrongness(graphdef: nnx.GraphDef, params: PyTree, labels: Array, x: Array) -> Array:
    logits = nnx.merge(graphdef, params)(x)
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1).mean()


@partial(jax.jit, static_argnums=0)
def _test_step(
    graphdef: nnx.GraphDef, params: PyTree, x: Array, moved: Array, labels: Array, radius: Array
) -> Array:
    loss = partial(_wrongness, graphdef, params, labels)
    return _ascended(loss, x, moved, radius, _WAY * radius / _TEST_STEPS)


def usual_radius(x: Float[np.ndarray, "n *shape"], y: Int[np.ndarray, " labels"]) -> float:
    """How far images may be moved while they stay what they are, by the distances among them.

    `radius = min(1.15 median_n |other_n - own_n|, median_n other_n / 3)`, where `other_n` is the L2
    distance of image n to the nearest one of another class, and `own_n` that to the nearest other
    one of its own.

    The first is small where images of other classes are as near as those of the same, as for
    photographs; by the second no image comes near the middle of its way to another class. Together
    they give 2.0 for MNIST, 0.63 for the digits of 8x8 pixels and 0.61 for CIFAR-10.

    Args:
        x: Images `[n, *shape]`; for the median, 500 of them are drawn at random.
        y: Their labels.

    Returns:
        The radius, as an L2 distance.

    Raises:
        ValueError: If it would be 0, or no image has another one of its class and one of another.

    Examples:
        >>> x = np.array([[0.0], [0.1], [1.1], [1.2]])
        >>> round(usual_radius(x, np.array([0, 0, 1, 1])), 3)  # a third of the median of 1.0 to 1.1
        0.35
    """
    rows = x.reshape(len(x), -1).astype(np.float32)
    squares = np.square(rows).sum(1)
    chosen = np.random.default_rng(0).permutation(len(rows))[:_NEIGHBOURS_OF]
    distances = []
    for part in np.array_split(chosen, -(-len(chosen) // _AT_ONCE)):
        squared = squares[part, None] + squares - 2 * rows[part] @ rows.T
        squared[np.arange(len(part)), part] = np.inf
        alike = y[part, None] == y
        nearest = [np.where(which, squared, np.inf).min(1).clip(0) for which in (alike, ~alike)]
        distances.append(np.sqrt(nearest))
    own, other = np.concatenate(distances, axis=1)
    own, other = (one[np.isfinite(own) & np.isfinite(other)] for one in (own, other))
    radius = 0.0
    if len(own):
        by_difference = _DIFFERENCE_SHARE * np.median(np.abs(other - own))
        radius = float(min(by_difference, _DISTANCE_SHARE * np.median(other)))
    if not radius > 0:
        raise ValueError(
            "the images don't tell a radius: expected at least two classes of two images each, "
            "and images that are not all alike; give radius="
        )
    return radius
