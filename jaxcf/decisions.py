"""What models say of one point, and how far it is from a decision: in probability or log-odds.

Every function here sees ONE point, as those of the objective do; what makes log-odds minds the last
axis alone.
"""

from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxcf.utils.numbers import Scalar

# Larger and smaller log-odds than any model means; infinite ones would have no difference.
_MOST_LOG_ODDS = 1e30

# What is accepted in one batch must be so in another, whose sums are taken in another order: on a
# GPU one row in 400 was within that, where it was looked at again.
_ROUNDING = 1e-3

# The confidences next to 0 and to 1 that are told from them in float32.
_LEAST_CONFIDENCE = float(np.finfo(np.float32).tiny)
_MOST_CONFIDENCE = 1 - 2.0**-24


class Guidance(NamedTuple):
    """What the guides say of one point, and what they have to say.

    Attributes:
        probabilities: `[guides, classes]`.
        confidence: `[guides]`, the probability that each must exceed.
        needed: scalar, how many of them have to agree on a class.
        log_odds: `[guides, classes]`, or None where decisions are measured by probabilities.
    """

    probabilities: Array
    confidence: Array
    needed: Array
    log_odds: Array | None = None


class Outputs(NamedTuple):
    """What the models say of one point.

    Attributes:
        probabilities: `[classes]`.
        encoding: the point in the prototypes' space (the point itself where there is no
            encoder), or None where no prototype term needs it.
        reconstruction: the autoencoder's image of the point, `[*shape]`, or None where no term
            needs it.
        log_odds: `[classes]`, or None where decisions are measured by probabilities.
        guides: what the guides say of the point, or None where there are none.
    """

    probabilities: Array
    encoding: Array | None = None
    reconstruction: Array | None = None
    log_odds: Array | None = None
    guides: Guidance | None = None


def class_margin(
    probabilities: Float[Array, " classes"],
    targets: Bool[Array, " classes"],
    confidence: Scalar = 0.0,
) -> Float[Array, ""]:
    """How far the decision is from a target class: negative once it is one.

    The largest probability outside the targets, or the confidence asked for if that is more,
    minus the largest inside. With every class but the original as target and no confidence this
    is the difference in eq. 4.

    Examples:
        >>> import jax.numpy as jnp
        >>> margin = class_margin(jnp.array([0.5, 0.3, 0.2]), jnp.array([False, True, True]))
        >>> round(float(margin), 6)
        0.2
    """
    outside = jnp.max(jnp.where(targets, -jnp.inf, probabilities))
    outside = jnp.maximum(outside, confidence)
    inside = jnp.max(jnp.where(targets, probabilities, -jnp.inf))
    return outside - inside


def log_odds(logits: Float[Array, "*n classes"]) -> Float[Array, "*n classes"]:
    r"""The log-odds of each class against all others.

    $$o_k = z_k - \log \sum_{j \ne k} e^{z_j} = \log\,\frac{p_k}{1 - p_k}$$

    Args:
        logits: z, or the logarithms of probabilities.

    Returns:
        Finite wherever the logits aren't NaN, also where a probability is 0 or 1 in float32.

    Examples:
        >>> import jax.numpy as jnp
        >>> print(log_odds(jnp.log(jnp.array([0.5, 0.25, 0.25]))).round(2))
        [ 0.  -1.1 -1.1]
        >>> log_odds(jnp.array([0.0, 200.0])).tolist()
        [-200.0, 200.0]
    """
    logits = jnp.asarray(logits)
    is_largest = jax.nn.one_hot(jnp.argmax(logits, axis=-1), logits.shape[-1], dtype=bool)
    others = jnp.where(is_largest, -jnp.inf, logits)
    largest = logits - jax.nn.logsumexp(others, axis=-1, keepdims=True)
    # No other class exceeds one half, so that 1 - p is exact enough; p of the largest may be 1. Its
    # logarithm has rounding smaller than the share's; `log1p` takes twice as long to compile.
    share = jax.nn.log_softmax(logits, axis=-1)
    rest = share - jnp.log(1 - jnp.where(is_largest, 0.0, jnp.exp(share)))
    return jnp.clip(jnp.where(is_largest, largest, rest), -_MOST_LOG_ODDS, _MOST_LOG_ODDS)


def log_odds_of_probabilities(
    probabilities: Float[Array, "*n classes"], least: float = _LEAST_CONFIDENCE
) -> Float[Array, "*n classes"]:
    """The log-odds where no logits are known.

    Args:
        probabilities: that sum to 1.
        least: what is added to each: a probability of 0 has a slope, too.

    Returns:
        Finite for probabilities of 0 and 1.

    Examples:
        >>> import jax.numpy as jnp
        >>> print(log_odds_of_probabilities(jnp.array([0.75, 0.25])).round(2))
        [ 1.1 -1.1]
    """
    return log_odds(jnp.log(probabilities + least))


def decision_margin(
    outputs: Outputs, targets: Bool[Array, " classes"], confidence: Scalar
) -> Float[Array, ""]:
    r"""How far the models are from deciding for a target class: negative once they have.

    Without guides `class_margin` of what the model says, in log-odds where there are some. With
    guides they have to agree on one class:

    $$\min\limits_{k \in T} \max\limits_m
      \left( \max\left( \max\limits_{j \ne k} o_{mj}, \tau_m \right) - o_{mk} \right)$$

    over the model and its guides m, each with the least $\tau_m$ that is asked of it: what the
    least convinced one lacks for the class that lacks least. Where fewer than all guides need
    agree, the least convinced of those that are nearest to it. In log-odds all of it is 0.001 more,
    so that no decision hangs on rounding.

    Args:
        outputs: what they say.
        targets: T.
        confidence: the probability that the model must exceed.

    Returns:
        In probability, or in log-odds.
    """
    by_log_odds = outputs.log_odds is not None
    said = outputs.log_odds if by_log_odds else outputs.probabilities
    least = _in_log_odds(confidence) if by_log_odds else confidence
    guides = outputs.guides
    rounding = _ROUNDING if by_log_odds else 0.0
    if guides is None:
        return class_margin(cast(Array, said), targets, least) + rounding
    guides_said = guides.log_odds if by_log_odds else guides.probabilities
    guides_least = _in_log_odds(guides.confidence) if by_log_odds else guides.confidence
    lacking = jax.vmap(_lacking)(cast(Array, guides_said), guides_least)
    convinced = jnp.sort(lacking, axis=0)[guides.needed - 1]
    every = jnp.maximum(_lacking(cast(Array, said), least), convinced)
    return jnp.min(jnp.where(targets, every, jnp.inf)) + rounding


def _lacking(said: Array, least: Scalar) -> Array:
    """What a model lacks to decide for each class, and to be as sure as asked for."""
    best = jnp.argmax(said)
    first, second = said[best], jnp.max(jnp.where(jnp.arange(len(said)) == best, -jnp.inf, said))
    rival = jnp.where(jnp.arange(len(said)) == best, second, first)
    return jnp.maximum(rival, least) - said


def _in_log_odds(confidence: Scalar) -> Array:
    confidence = jnp.clip(jnp.asarray(confidence), _LEAST_CONFIDENCE, _MOST_CONFIDENCE)
    return jnp.log(confidence / (1 - confidence))


def with_log_odds(outputs: Outputs) -> Outputs:
    """The same outputs, of one point or of a batch, with log-odds taken from probabilities."""
    guides = outputs.guides
    if guides is None:
        return outputs._replace(log_odds=log_odds_of_probabilities(outputs.probabilities))
    # All models at once: twice the same takes twice as long to compile, longer than it ever runs.
    said = [outputs.probabilities[..., None, :], guides.probabilities]
    odds = log_odds_of_probabilities(jnp.concatenate(said, axis=-2))
    return outputs._replace(
        log_odds=odds[..., 0, :], guides=guides._replace(log_odds=odds[..., 1:, :])
    )
