"""What features must be to each other: linear relations, and what follows from what.

The search moves in the space of one instance and is brought near them there, by projection in
float32; whoever needs them to the last digit mends the rest in the units of the rows.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

# Each linear relation is projected onto so often: a feature may come to the end of its range, and
# one relation undo what another has done.
_SWEEPS = 4


class Relations(NamedTuple):
    """The relations between the features of one instance. Features are counted in its flat order.

    Attributes:
        feature: `[k, terms]`, the features of each linear relation.
        weight: `[k, terms]`, what each counts in its sum; 0 where there are fewer terms.
        limit: `[k]`, what the sum must not exceed.
        equal: `[k]`, whether it must be that.
        if_feature: `[m]`, the feature that each implication asks about.
        if_lower: `[m]`, it holds for values from here,
        if_upper: `[m]`, to here.
        then_feature: `[m]`, the feature that something follows for.
        then_lower: `[m]`, the least value it may have.
        then_upper: `[m]`, the greatest.
        then_levels: `[m, most]`, the values it may have, padded with infinity, which alone means
            any.
    """

    feature: Int[Array, "k terms"]
    weight: Float[Array, "k terms"]
    limit: Float[Array, " k"]
    equal: Bool[Array, " k"]
    if_feature: Int[Array, " m"]
    if_lower: Float[Array, " m"]
    if_upper: Float[Array, " m"]
    then_feature: Int[Array, " m"]
    then_lower: Float[Array, " m"]
    then_upper: Float[Array, " m"]
    then_levels: Float[Array, "m most"]

    def of_rows(self, count: int) -> "Relations":
        """The same for each of some rows: every leaf with an axis of rows in front."""
        leaves: Any = [np.broadcast_to(leaf, (count, *leaf.shape)) for leaf in self]
        return Relations(*leaves)

    @property
    def shapes(self) -> "Relations":
        """The same without values: shapes and types."""
        shapes: Any = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in self]
        return Relations(*shapes)


def project(
    point: Float[Array, "*shape"],
    lower: Float[Array, "*shape"],
    upper: Float[Array, "*shape"],
    relations: Relations,
) -> Float[Array, "*shape"]:
    """Bring a point of ONE instance onto its linear relations, within its bounds.

    Onto one relation after the other, along its normal, by the features that may move.

    Args:
        point: `[*shape]`, within the bounds.
        lower: `[*shape]`, the smallest allowed values.
        upper: `[*shape]`, the largest allowed values.
        relations: of the instance.

    Returns:
        `[*shape]`; a point that breaks none comes back unchanged.

    Examples:
        >>> import numpy as np
        >>> one = np.zeros((0,), np.float32)
        >>> implications = [one.astype(int), one, one, one.astype(int), one, one, one[:, None]]
        >>> linear = np.array([[0, 1]]), np.array([[1.0, -1.0]]), np.zeros(1), np.array([False])
        >>> project(jnp.array([0.8, 0.2]), jnp.zeros(2), jnp.ones(2),
        ...         Relations(*linear, *implications)).tolist()  # x0 <= x1
        [0.5, 0.5]
    """
    flat, least, most = (array.reshape(-1) for array in (point, lower, upper))
    free = most > least
    for _ in range(_SWEEPS):
        for feature, weight, limit, equal in zip(*relations[:4], strict=True):
            own = flat[feature]
            beyond = jnp.sum(weight * own) - limit
            beyond = jnp.where(equal, beyond, jnp.maximum(beyond, 0.0))
            # What has come to its end leaves the rest to the others.
            outward = -jnp.sign(beyond) * weight
            ended = (own >= most[feature]) & (outward > 0) | (own <= least[feature]) & (outward < 0)
            along = jnp.where(free[feature] & ~ended, weight, 0.0)
            square = jnp.sum(jnp.square(along))
            move = jnp.where(square > 0, -beyond / jnp.where(square > 0, square, 1.0), 0.0)
            flat = jnp.clip(flat.at[feature].add(move * along), least, most)
    return flat.reshape(point.shape)


def implied(
    point: Float[Array, "*shape"],
    lower: Float[Array, "*shape"],
    upper: Float[Array, "*shape"],
    levels: Float[Array, "*shape most"],
    relations: Relations,
) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"], Float[Array, "*shape most"]]:
    """What a point of ONE instance may be, given what follows from what it is.

    Args:
        point: `[*shape]`, on its grid.
        lower: `[*shape]`, the smallest allowed values.
        upper: `[*shape]`, the largest allowed values.
        levels: `[*shape, most]`, the values features may take; only infinity means any.
        relations: of the instance.

    Returns:
        Bounds and levels, narrower where something follows.
    """
    shape, flat = point.shape, point.reshape(-1)
    least, most = lower.reshape(-1), upper.reshape(-1)
    allowed = levels.reshape(flat.size, -1)
    for condition, begin, end, feature, low, high, kept in zip(*relations[4:], strict=True):
        holds = (flat[condition] >= begin) & (flat[condition] <= end)
        least = least.at[feature].max(jnp.where(holds, low, -jnp.inf))
        most = most.at[feature].min(jnp.where(holds, high, jnp.inf))
        own = allowed[feature]
        among = jnp.any(own[:, None] == kept[None], axis=1)
        narrows = holds & jnp.any(jnp.isfinite(kept))
        allowed = allowed.at[feature].set(jnp.where(narrows & ~among, jnp.inf, own))
    return least.reshape(shape), most.reshape(shape), allowed.reshape(levels.shape)
