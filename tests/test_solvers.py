"""Step rules: the proximal operator, each rule against its formula, and where they converge to."""

import pickle
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import SOLVERS, assert_close, solver
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from jaxcf import solvers
from jaxcf.objective import Instance
from jaxcf.solvers import clip_perturbation, soft_threshold

floats = st.floats(-4, 4, width=32, allow_subnormal=False)
vectors = arrays(np.float32, 5, elements=floats)
thresholds = st.floats(0, 2, width=32, allow_subnormal=False)
few = settings(max_examples=20)


def shrunk(values: np.ndarray, threshold: float) -> np.ndarray:
    return np.asarray(soft_threshold(jnp.asarray(values), jnp.float32(threshold)))


# --- the proximal operator -----------------------------------------------------------------


@few
@given(vectors, thresholds)
def test_soft_threshold_shrinks_by_the_threshold_and_to_exact_zero_within_it(values, threshold):
    result = shrunk(values, threshold)
    within = np.abs(values) <= np.float32(threshold)
    assert (result[within] == 0).all()
    assert (np.sign(result[~within]) == np.sign(values[~within])).all()
    lost = np.abs(values[~within]) - np.abs(result[~within])
    np.testing.assert_allclose(lost, np.float32(threshold), rtol=1e-5, atol=1e-6)


@few
@given(vectors, vectors, thresholds)
def test_soft_threshold_never_spreads_points_and_is_odd(one, other, threshold):
    apart = np.abs(shrunk(one, threshold) - shrunk(other, threshold))
    assert (apart <= np.abs(one - other) + 1e-6).all()
    np.testing.assert_array_equal(shrunk(-one, threshold), -shrunk(one, threshold))


@few
@given(vectors)
def test_soft_threshold_at_zero_changes_nothing(values):
    np.testing.assert_array_equal(shrunk(values, 0.0), values)


@few
@given(floats, thresholds, st.floats(-3, 0, width=32), st.floats(0, 3, width=32))
def test_threshold_and_clip_minimise_the_proximal_objective(value, threshold, lower, upper):
    # argmin over d in [lower, upper] of t |d| + (d - v)^2 / 2, by brute force.
    instance = Instance(
        original=jnp.zeros(1),
        original_class=jnp.asarray(0, jnp.int32),
        targets=jnp.asarray([False, True]),
        prototype=jnp.zeros(1),
        lower=jnp.asarray([lower], jnp.float32),
        upper=jnp.asarray([upper], jnp.float32),
    )
    step = soft_threshold(jnp.asarray([value], jnp.float32), jnp.float32(threshold))
    result = float(clip_perturbation(step, instance)[0])
    grid = np.append(np.linspace(lower, upper, 20001), 0.0)
    costs = threshold * np.abs(grid) + (grid - value) ** 2 / 2
    assert lower <= result <= upper
    assert threshold * abs(result) + (result - value) ** 2 / 2 <= costs.min() + 1e-6
    assert abs(result - grid[costs.argmin()]) < 1e-3


def an_instance(original: Any, lower: Any = -1.0, upper: Any = 1.0) -> Instance:
    original = jnp.asarray(original, jnp.float32)
    return Instance(
        original=original,
        original_class=jnp.asarray(0, jnp.int32),
        targets=jnp.asarray([False, True]),
        prototype=original,
        lower=jnp.broadcast_to(jnp.asarray(lower, jnp.float32), original.shape),
        upper=jnp.broadcast_to(jnp.asarray(upper, jnp.float32), original.shape),
    )


def test_an_unmoved_feature_keeps_every_bit():
    # 0.1 + (0.3 - 0.3) would do as well; 1e8 + 1e-3 - 1e-3 wouldn't.
    original = np.array([0.1, -0.0, 1e-30, 0.3], np.float32)
    point = clip_perturbation(jnp.zeros(4), an_instance(original))
    assert np.asarray(point).tobytes() == original.tobytes()


# --- where they converge -------------------------------------------------------------------

BETA, THETA = 0.3, 1.5
ORIGINAL = np.array([0.2, -0.6, 0.5, 0.0, 0.9], np.float32)
PROTOTYPE = np.array([0.8, -0.65, -0.9, 0.05, 3.0], np.float32)
LOWER, UPPER = -0.4, 0.95


def closed_form() -> np.ndarray:
    """The minimum of beta |d|_1 + |d|^2 + theta |x0 + d - prototype|^2 within the range."""
    pull = 2 * THETA * (PROTOTYPE - ORIGINAL)
    d = np.sign(pull) * np.maximum(np.abs(pull) - BETA, 0) / (2 * (1 + THETA))
    lower, upper = np.minimum(LOWER, ORIGINAL), np.maximum(UPPER, ORIGINAL)
    return np.clip(ORIGINAL + d, lower, upper)


def minimised(rule, steps: int) -> np.ndarray:
    lower, upper = np.minimum(LOWER, ORIGINAL), np.maximum(UPPER, ORIGINAL)
    instance = an_instance(ORIGINAL, lower, upper)

    def step(k, state):
        d = state.query - instance.original
        gradient = 2 * d + 2 * THETA * (state.query - PROTOTYPE)
        if not rule.proximal:
            gradient = gradient + BETA * jnp.sign(d)
        return rule.update(state, gradient, instance, BETA, k / steps)

    final = jax.lax.fori_loop(0, steps, step, rule.init(instance)).iterate
    return np.asarray(clip_perturbation(final - instance.original, instance))


@pytest.mark.parametrize("name", ["adam", "gradient_descent", "fista"])
def test_proximal_solvers_reach_the_soft_thresholded_clipped_solution(name):
    # Adam's steps shrink with its momentum only: it circles within a part of its rate.
    rule = solvers.named("adam", 1e-3) if name == "adam" else solver(name)
    result = minimised(rule, 6000 if name == "adam" else 1000)
    np.testing.assert_allclose(result, closed_form(), atol=2e-4)
    # The solution has features that don't move, some inside and one at an end of the range.
    still = closed_form() == ORIGINAL
    assert still.any()
    assert not still.all()
    assert (result == np.float32(UPPER)).any()
    assert result[still].tobytes() == ORIGINAL[still].tobytes()


def test_the_subgradient_variant_reaches_it_too_but_leaves_nothing_unmoved():
    result = minimised(solvers.subgradient_adam(1e-3), 6000)
    np.testing.assert_allclose(result, closed_form(), atol=2e-3)
    assert (result[closed_form() == ORIGINAL] != ORIGINAL[closed_form() == ORIGINAL]).any()


def test_the_reference_threshold_solves_another_problem():
    # Shrinking by beta at every step leaves a zone in which nothing moves at all.
    rule = solvers.reference_fista(0.01)
    np.testing.assert_array_equal(minimised(rule, 500), ORIGINAL)
    assert np.abs(minimised(solvers.fista(0.01), 500) - ORIGINAL).max() > 0.1


# --- each rule against its formula ---------------------------------------------------------


def walk(rule, gradients, instance, l1_weight=0.0, total=10):
    state, points = rule.init(instance), []
    for k, gradient in enumerate(gradients):
        state = rule.update(state, jnp.asarray(gradient), instance, l1_weight, k / total)
        points.append(np.asarray(state.iterate))
    return np.stack(points), state


GRADIENTS = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
WIDE = an_instance(ORIGINAL, -100.0, 100.0)


def test_without_l1_and_within_the_range_adam_is_optax_adam():
    for name, momentum in (("adam", 0.5), ("subgradient_adam", 0.9)):
        transformation = optax.adam(0.05, b1=momentum)
        params, memory = jnp.asarray(ORIGINAL), transformation.init(jnp.asarray(ORIGINAL))
        expected = []
        for gradient in GRADIENTS:
            updates, memory = transformation.update(jnp.asarray(gradient), memory)
            params = jnp.asarray(optax.apply_updates(params, updates))
            expected.append(np.asarray(params))
        assert_close(walk(solvers.named(name, 0.05), GRADIENTS, WIDE)[0], np.stack(expected), name)


def test_adams_threshold_is_beta_times_its_own_step_size():
    # After one step m = g and v = g^2: the step is rate * g / |g|, the threshold rate * beta / |g|.
    gradient = np.array([1.0, -0.5, 0.2, -0.05, 0.0], np.float32)
    beta, rate = 0.1, 0.01
    points, _ = walk(solvers.adam(rate), [gradient], WIDE, beta)
    moved = rate * np.maximum(np.abs(gradient) - beta, 0) / np.maximum(np.abs(gradient), 1e-8)
    assert_close(points[0], ORIGINAL - np.sign(gradient) * moved.astype(np.float32))


def test_the_reports_variant_lets_the_perturbation_grow_beyond_the_range():
    instance = an_instance(ORIGINAL, -1.0, 1.0)
    points, _ = walk(solvers.subgradient_adam(0.5), [-np.ones(5, np.float32)] * 4, instance)
    assert (points[-1] > 1.0).all()
    points, _ = walk(solvers.adam(0.5), [-np.ones(5, np.float32)] * 4, instance)
    np.testing.assert_array_equal(points[-1], 1.0)


@pytest.mark.parametrize("gradient", [1e-12, 1.0, 1e12])
def test_a_normalized_step_has_its_length_whatever_the_gradient(gradient):
    rule = solvers.normalized(0.2, momentum=0.0)
    points, _ = walk(rule, [np.full(5, gradient, np.float32)], WIDE)
    np.testing.assert_allclose(np.linalg.norm(points[0] - ORIGINAL), 0.2, rtol=1e-5)
    still, _ = walk(rule, [np.zeros(5, np.float32)], WIDE)
    np.testing.assert_array_equal(still[0], ORIGINAL)


@pytest.mark.parametrize("size", [1, 8, 1000])
def test_without_a_length_a_step_goes_by_the_number_of_features(size):
    instance = an_instance(np.zeros(size, np.float32), -100.0, 100.0)
    rule = solvers.normalized(momentum=0.0)
    points, _ = walk(rule, [np.ones(size, np.float32)], instance)
    np.testing.assert_allclose(np.linalg.norm(points[0]), 0.045 * np.cbrt(size), rtol=1e-5)
    points, _ = walk(solvers.fading_adam(), [np.ones(size, np.float32)], instance)
    np.testing.assert_allclose(-points[0], 0.1 * np.cbrt(size), rtol=1e-5)


def test_steps_that_fade_fall_to_a_twentieth_and_so_does_their_threshold():
    rule, beta = solvers.fading_adam(0.5, momentum=0.0), 0.2
    moved = []
    for progress in (0.0, 0.5, 0.9, 0.99, 1.0):
        state = rule.update(rule.init(WIDE), jnp.ones(5), WIDE, beta, progress)
        moved.append(np.asarray(ORIGINAL - state.iterate))
    # Of the first step of Adam, which goes by the sign, L1 takes beta / |g| = beta.
    expected = 0.5 * (1 - beta) * np.array([1.0, 0.5, 0.1, 0.05, 0.05], np.float32)
    np.testing.assert_allclose(moved, np.repeat(expected[:, None], 5, axis=1), rtol=1e-4)


@pytest.mark.parametrize("name", ["fista", "reference_fista"])
def test_fista_is_the_papers_recursion(name):
    rate, beta, total = 0.1, 0.2, 8
    state = solvers.named(name, rate).init(an_instance(ORIGINAL, -0.7, 0.95))
    x, y = ORIGINAL.astype(np.float64), ORIGINAL.astype(np.float64)
    for k, gradient in enumerate(GRADIENTS):
        eta = rate * np.sqrt(1 - k / total)
        threshold = beta if name == "reference_fista" else eta * beta
        d = y - eta * gradient - ORIGINAL
        fresh = ORIGINAL + np.sign(d) * np.maximum(np.abs(d) - threshold, 0)
        fresh = np.clip(fresh, -0.7, 0.95)
        y = np.clip(fresh + (k + 1) / (k + 4) * (fresh - x), -0.7, 0.95)
        x = fresh
        instance = an_instance(ORIGINAL, -0.7, 0.95)
        rule = solvers.named(name, rate)
        state = rule.update(state, jnp.asarray(gradient), instance, beta, k / total)
        np.testing.assert_allclose(state.iterate, x, atol=1e-6)
        np.testing.assert_allclose(state.query, y, atol=1e-6)


def test_gradient_descent_with_momentum_solves_the_same_problem():
    rule = solvers.gradient_descent(0.01, momentum=0.9)
    np.testing.assert_allclose(minimised(rule, 2000), closed_form(), atol=2e-4)


@pytest.mark.parametrize("name", SOLVERS)
def test_every_iterate_of_a_projecting_solver_lies_in_the_range(name):
    rule = solver(name)
    instance = an_instance(ORIGINAL, -0.6, 0.9)
    points, state = walk(rule, 10 * GRADIENTS, instance, 0.1)
    if name != "subgradient_adam":
        assert (points >= np.float32(-0.6)).all()
        assert (points <= np.float32(0.9)).all()
        assert (np.asarray(state.query) <= np.float32(0.9)).all()


def test_restarts_spare_fista_the_ripples_of_its_momentum():
    # Strongly convex and ill-conditioned: momentum k/(k+3) overshoots again and again.
    curvature = jnp.array([1.0, 0.3, 0.1, 0.01, 0.003], jnp.float32)
    values = {}
    for restart in (False, True):
        rule = solvers.fista(0.9, restart=restart)
        state = rule.init(WIDE)
        for _ in range(300):
            state = rule.update(state, curvature * (state.query - 3.0), WIDE, 0.0, 0.0)
        values[restart] = float(jnp.sum(curvature * jnp.square(state.iterate - 3.0)))
    assert values[True] < values[False] / 10
    assert solvers.fista(0.9, restart=True).name == "restarted_fista"


@pytest.mark.parametrize("name", ["fista", "reference_fista", "gradient_descent"])
def test_the_librarys_own_steps_survive_strict_dtype_promotion(name):
    with jax.numpy_dtype_promotion("strict"):
        points, _ = walk(solver(name), GRADIENTS, WIDE, jnp.float32(0.1))
    assert points.dtype == np.float32


# --- making them ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", solvers.NAMED_SOLVERS)
def test_the_same_recipe_is_the_same_object_and_hashable(name):
    # Solvers are static arguments: another object is another program to compile.
    assert solvers.named(name, 0.03) == solvers.named(name, 0.03)
    assert hash(solvers.named(name, 0.03)) == hash(solvers.named(name, 0.03))
    assert solvers.named(name, 0.03) != solvers.named(name, 0.04)
    assert solvers.named(name).name == name
    for one in (solvers.named(name), solvers.named(name, 0.03)):
        again = pickle.loads(pickle.dumps(one))
        assert again == one
        assert hash(again) == hash(one)


def test_a_changed_solver_is_pickled_as_what_it_is():
    with pytest.raises((AttributeError, pickle.PicklingError)):  # never as the recipe's own
        pickle.dumps(replace(solvers.adam(), proximal=False))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: solvers.named("sgdm"), ValueError, "unknown solver 'sgdm'; the named ones are"),
        (lambda: solvers.adam(0.0), ValueError, "learning_rate must be > 0, got 0.0"),
        (lambda: solvers.subgradient_adam(-1.0), ValueError, "learning_rate must be > 0"),
        (lambda: solvers.gradient_descent(float("nan")), ValueError, "must be > 0, got nan"),
        (lambda: solvers.fista(-0.1), ValueError, "learning_rate must be > 0"),
        (lambda: solvers.Fista(threshold="soft"), ValueError, "'exact' or 'reference', got 'soft'"),
        (
            lambda: solvers.from_optax(optax.sgd(0.1), step_size=0.0),
            ValueError,
            "step_size must be > 0",
        ),
    ],
)
def test_a_wrong_solver_says_what_is_wrong(make, error, message):
    with pytest.raises(error, match=message):
        make()
