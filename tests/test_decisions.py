"""Decisions: margins by the paper's formula and over all models, log-odds that stay finite."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcf.decisions import (
    Guidance,
    Outputs,
    class_margin,
    decision_margin,
    log_odds,
    log_odds_of_probabilities,
)


@settings(max_examples=20)
@given(st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4), st.integers(0, 3))
def test_with_every_other_class_as_target_the_margin_is_that_of_eq_4(values, original):
    probabilities = np.asarray(values, np.float32)
    targets = np.arange(4) != original
    margin = class_margin(jnp.asarray(probabilities), jnp.asarray(targets))
    assert float(margin) == probabilities[original] - probabilities[targets].max()


@settings(max_examples=20)
@given(
    st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4, unique=True),
    st.lists(st.booleans(), min_size=4, max_size=4).filter(lambda t: any(t) and not all(t)),
)
def test_the_margin_is_negative_just_where_the_decision_is_a_target(values, targets):
    margin = class_margin(jnp.asarray(values, jnp.float32), jnp.asarray(targets))
    assert (float(margin) < 0) == targets[int(np.argmax(np.float32(values)))]


@settings(max_examples=20)
@given(st.lists(st.floats(-8, 8, width=32), min_size=2, max_size=5))
def test_log_odds_are_those_of_the_probabilities(values):
    logits = np.asarray(values, np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum()
    expected = np.log(probabilities) - np.log1p(-probabilities)
    np.testing.assert_allclose(log_odds(jnp.asarray(values)), expected, rtol=1e-4, atol=1e-4)
    from_probabilities = log_odds_of_probabilities(jnp.asarray(probabilities, jnp.float32))
    np.testing.assert_allclose(from_probabilities, expected, rtol=1e-2, atol=1e-3)


def test_log_odds_are_finite_and_have_a_slope_where_probabilities_have_none():
    certain = jnp.array([0.0, 1.0, 0.0])
    assert np.isfinite(log_odds_of_probabilities(certain)).all()
    logits = jnp.array([0.0, 120.0, -5.0])
    others = np.log(1 + np.exp(-5))
    np.testing.assert_allclose(log_odds(logits), [-120.0, 120.0 - others, -125.0], rtol=1e-6)
    targets = jnp.array([True, False, True])

    def margin(logits, by_log_odds):
        odds = log_odds(logits) if by_log_odds else None
        return decision_margin(Outputs(jax.nn.softmax(logits), log_odds=odds), targets, 0.0)

    slopes = [np.asarray(jax.grad(margin)(logits, unit)) for unit in (False, True)]
    np.testing.assert_allclose(slopes[0], 0.0, atol=1e-30)
    np.testing.assert_allclose(slopes[1], [-2.0, 2.0, 0.0], atol=0.01)


@settings(max_examples=30)
@given(
    st.lists(st.integers(1, 8), min_size=9, max_size=9),
    st.lists(st.booleans(), min_size=3, max_size=3).filter(any),
    st.sampled_from([0.0, 0.4, 0.6]),
    st.integers(1, 2),
    st.booleans(),
)
def test_the_margin_is_negative_just_where_enough_models_agree(
    shares, targets, confidence, needed, by_log_odds
):
    said = np.asarray(shares, np.float32).reshape(3, 3)
    said /= said.sum(axis=1, keepdims=True)
    odds = jnp.asarray(np.log(said / (1 - said))) if by_log_odds else None
    guides = Guidance(
        jnp.asarray(said[1:]),
        jnp.full(2, confidence),
        jnp.asarray(needed),
        None if odds is None else odds[1:],
    )
    outputs = Outputs(
        jnp.asarray(said[0]), log_odds=None if odds is None else odds[0], guides=guides
    )
    margin = decision_margin(outputs, jnp.asarray(targets), confidence)
    # Ties and what lies on the confidence decide nothing.
    convinced = np.array(
        [
            [all(one[k] > one[j] + 1e-3 for j in range(3) if j != k) for k in range(3)]
            for one in said
        ]
    ) & (said > confidence + 1e-3)
    doubtful = np.array(
        [
            [all(one[k] > one[j] - 1e-3 for j in range(3) if j != k) for k in range(3)]
            for one in said
        ]
    ) & (said > confidence - 1e-3)

    def agree(which):
        return bool((which[0] & (which[1:].sum(axis=0) >= needed) & np.array(targets)).any())

    if agree(convinced):
        assert float(margin) < 0
    if not agree(doubtful):
        assert float(margin) > 0
