r"""How much nearer to its new class than to its old one a counterfactual lies: the trust score.

$$\frac{\min\limits_{z \in \text{old}} \|\text{ENC}(x) - z\|_2}
       {\min\limits_{z \in \text{new}} \|\text{ENC}(x) - z\|_2}$$

over the training rows of a class where prototypes are rows, over its mean encoding where there is
an encoder; under a confidence over those rows that the model is that sure of. Above 1 the
counterfactual lies among its new class. Source: Jiang et al., "To Trust Or Not To Trust A
Classifier" (arXiv 1805.11783), as arXiv 1907.02584 uses it.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxcf.prototypes.fitted import FittedPrototypes
from jaxcf.utils.batching import map_batches
from jaxcf.utils.numbers import Scalar

_LEAST = 1e-10


class Trust(NamedTuple):
    """What the trust score is measured against. All traced.

    Attributes:
        points: `[points, features]`, flat encodings, less the middle.
        classes: `[points]`, of each.
        threshold: what the score of a counterfactual must exceed.
        middle: `[1, features]`, what was taken off them: squares of years would swallow days.
    """

    points: Float[Array, "points features"]
    classes: Int[Array, " points"]
    threshold: Scalar
    middle: Float[Array, "1 features"] | float = 0.0


def trust_of(prototypes: FittedPrototypes, threshold: Scalar) -> Trust:
    """The points of a fitted explainer's prototypes.

    Args:
        prototypes: whose training rows count, or their means where they are encodings.
        threshold: what the score must exceed.

    Returns:
        Arrays for `trust_scores`.
    """
    members = prototypes.members
    if not prototypes.kind.in_input_space:
        members = tuple(rows.mean(axis=0, keepdims=True) if len(rows) else rows for rows in members)
    classes = np.repeat(np.arange(len(members)), [len(rows) for rows in members])
    points = np.concatenate(members)
    middle = points.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
    return Trust(
        jnp.asarray(points - middle, jnp.float32),
        jnp.asarray(classes, jnp.int32),
        jnp.asarray(threshold, jnp.float32),
        jnp.asarray(middle),
    )


@jax.jit
def trust_scores(
    trust: Trust,
    encodings: Float[Array, "n *latent"] | Float[np.ndarray, "n *latent"],
    original_class: Int[Array, " n"] | Int[np.ndarray, " n"],
    new_class: Int[Array, " n"] | Int[np.ndarray, " n"],
) -> Float[Array, " n"]:
    """The trust score of some points.

    Args:
        trust: what they are measured against.
        encodings: `[n, *latent]`, of the points.
        original_class: `[n]`, the class each came from.
        new_class: `[n]`, the class each has.

    Returns:
        `[n]`, at least 0; 0 where the new class has no points, infinite where the old one has none.

    Examples:
        >>> import jax.numpy as jnp
        >>> trust = Trust(jnp.array([[0.0], [3.0]]), jnp.array([0, 1]), 1.0)
        >>> trust_scores(trust, jnp.array([[2.0]]), jnp.array([0]), jnp.array([1])).tolist()
        [2.0]
    """
    flat = jnp.reshape(encodings, (len(encodings), -1)) - trust.middle
    products = jnp.matmul(flat, trust.points.T, precision=jax.lax.Precision.HIGHEST)
    farther = jnp.sum(trust.points**2, axis=1)[None] - 2 * products

    def nearest(classes: Array) -> Array:
        # Products say which point it is; how near it lies they would round away.
        mine = trust.classes[None] == classes[:, None]
        place = jnp.argmin(jnp.where(mine, farther, jnp.inf), axis=1)
        distance = jnp.sqrt(jnp.sum((flat - trust.points[place]) ** 2, axis=1))
        return jnp.where(mine.any(axis=1), distance, jnp.inf)

    old, new = nearest(jnp.asarray(original_class)), nearest(jnp.asarray(new_class))
    # inf / inf would be NaN: without points of the new class there is nothing to trust.
    return jnp.where(jnp.isinf(new), 0.0, old / (new + _LEAST))


def scores_of(
    trust: Trust,
    encodings: Float[np.ndarray, "n *latent"],
    original_class: Int[np.ndarray, " n"],
    new_class: Int[np.ndarray, " n"],
    size: int | None = None,
) -> Float[np.ndarray, " n"]:
    """The same for any number of rows, at least one, in blocks of a size."""
    score = partial(trust_scores, trust)
    return map_batches(score, encodings, original_class, new_class, size=size)
