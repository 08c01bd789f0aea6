"""What every counterfactual must obey, whatever the search does."""

import zlib
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import compilations, mlp, search
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcf import Constraints, EngineOptions, FittedExplainer, Objective, Status, solvers
from jaxcf.constraints import FeatureRange, resolve, snap

EVERYWHERE = FeatureRange(np.float32(-1), np.float32(1), strict=True)
STEP = np.float32(0.125)


@lru_cache
def ready(solver: str = "adam", stop: str = "first_flip") -> FittedExplainer:
    # Many lanes: for a model as small as this, filling them takes longer than the steps.
    engine = EngineOptions(lanes=64)
    return mlp().fit(search=search(solver, stop=stop), engine=engine)


def random_rules(rng: np.random.Generator, x: np.ndarray) -> tuple[Constraints, np.ndarray]:
    """Rules for each row, and the rows with some features put on their grid."""
    n, features = x.shape
    stepped = rng.random(features) < 0.4
    offset = np.where(rng.random(features) < 0.5, STEP / 4, 0).astype(np.float32)

    def on_grid(x: np.ndarray) -> np.ndarray:
        ends = np.ceil((-1 - offset) / STEP), np.floor((1 - offset) / STEP)
        return np.clip(np.round((x - offset) / STEP), *ends) * STEP + offset

    leveled = ~stepped & (rng.random(features) < 0.4)
    x = np.where(stepped & (rng.random(x.shape) < 0.8), on_grid(x), x).astype(np.float32)
    levels = np.full((n, features, 4), np.inf, np.float32)
    levels[:, leveled, 1:] = rng.uniform(-1, 1, (n, leveled.sum(), 3))
    levels[:, leveled, 0] = x[:, leveled]
    lower = np.where(rng.random(x.shape) < 0.5, x - rng.uniform(0, 0.4, x.shape), -1)
    upper = np.where(rng.random(x.shape) < 0.5, x + rng.uniform(0, 0.4, x.shape), 1)
    rules = Constraints(
        lower=lower.astype(np.float32),
        upper=upper.astype(np.float32),
        frozen=rng.random(x.shape) < 0.15,
        increase_only=rng.random(x.shape) < 0.15,
        decrease_only=rng.random(x.shape) < 0.15,
        step=np.where(stepped, STEP, 0).astype(np.float32),
        offset=offset,
        levels=levels,
    )
    return rules, x


def violations(rules: Constraints, x: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Which values break a rule, said independently of the code under test."""
    lower, upper, frozen, up, down, step, offset, levels = (
        np.asarray(getattr(rules, name))
        for name in (
            "lower",
            "upper",
            "frozen",
            "increase_only",
            "decrease_only",
            "step",
            "offset",
            "levels",
        )
    )
    broken = (found < lower) | (found > upper)
    broken |= (frozen & (found != x)) | (up & (found < x)) | (down & (found > x))
    multiple = (found - offset) / np.where(step > 0, step, 1)
    off_grid = np.abs(multiple - np.round(multiple)) > 1e-4
    broken |= (step > 0) & off_grid & (found != x)
    has_levels = np.isfinite(levels).any(axis=-1)
    return broken | (has_levels & ~(levels == found[..., None]).any(axis=-1))


def test_ten_thousand_random_sets_of_rules_hold_exactly():
    rng = np.random.default_rng(0)
    many = rng.uniform(-0.9, 0.9, (10_000, 5)).astype(np.float32)
    rules, x = random_rules(rng, many)
    result = ready().explain(x, constraints=rules)
    assert not violations(rules, x, result.counterfactual).any()
    assert result.found.mean() > 0.2
    assert not np.isin(result.status, (Status.OUT_OF_RANGE, Status.NOT_CONFIRMED)).any()


@pytest.mark.parametrize("solver", solvers.NAMED_SOLVERS)
@pytest.mark.parametrize("stop", ["first_flip", "budget", "converged"])
def test_rules_hold_at_every_solver_and_stop_rule(solver, stop):
    # Another 10,000 sets in all, for every combination its own.
    rng = np.random.default_rng([1, zlib.crc32(f"{solver} {stop}".encode())])
    rules, x = random_rules(rng, rng.uniform(-0.9, 0.9, (560, 5)).astype(np.float32))
    result = ready(solver, stop).explain(x, constraints=rules)
    assert not violations(rules, x, result.counterfactual).any()


def test_found_rows_are_found_under_the_rules_when_predicted_again():
    rng = np.random.default_rng(2)
    rules, x = random_rules(rng, rng.uniform(-0.9, 0.9, (200, 5)).astype(np.float32))
    result = ready().explain(x, constraints=rules)
    decided = mlp().probabilities(result.counterfactual).argmax(axis=1)
    assert (decided != result.original_class)[result.found].all()


def test_a_row_that_breaks_the_rules_as_it_is_says_so_and_spares_the_others():
    x = mlp().x
    levels = np.full((5, 2), np.inf, np.float32)
    levels[1] = x[0, 1], 0.9
    result = ready().explain(x, constraints=Constraints(levels=levels))
    assert (result.status[1:] == Status.OUT_OF_RANGE).all()
    assert result.status[0] != Status.OUT_OF_RANGE
    assert "rules don't allow" in result.messages[1]
    alone = ready().explain(x[:1], constraints=Constraints(levels=levels))
    np.testing.assert_allclose(result.counterfactual[:1], alone.counterfactual, atol=1e-5)


def test_rows_of_which_nothing_may_change_say_so():
    x = mlp().x
    frozen = np.zeros(x.shape, bool)
    frozen[2] = True
    # Nor has the last row a multiple between its bounds.
    step, apart = np.zeros_like(x), np.zeros_like(x)
    step[-1], apart[-1] = 0.5, 0.24
    rules = Constraints(frozen=frozen, step=step, offset=x + apart, lower=x - 0.2, upper=x + 0.2)
    assert ready().explain(x, constraints=rules).status[-1] == Status.NOTHING_MAY_CHANGE
    result = ready().explain(x, constraints=Constraints(frozen=frozen))
    assert result.status[2] == Status.NOTHING_MAY_CHANGE
    assert "anything but its own value" in result.messages[2]
    np.testing.assert_array_equal(result.counterfactual[2], x[2])
    free = ready().explain(x)
    others = np.arange(len(x)) != 2
    np.testing.assert_allclose(
        result.counterfactual[others], free.counterfactual[others], atol=1e-5
    )


def test_other_rules_compile_nothing_anew():
    rng = np.random.default_rng(3)
    rules, x = random_rules(rng, rng.uniform(-0.9, 0.9, (12, 5)).astype(np.float32))
    ready().explain(x, constraints=rules)
    with compilations() as compiled:
        other, moved = random_rules(rng, x)
        ready().explain(moved, constraints=other)
    assert not compiled


@given(st.integers(0, 2**31), st.integers(1, 6))
@settings(max_examples=50)
def test_what_is_snapped_stays_where_it_is(seed, features):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (1, features)).astype(np.float32)
    rules, x = random_rules(rng, x)
    feasible = resolve(rules, EVERYWHERE, x).of([0])
    lower, upper = feasible.lower[0], feasible.upper[0]
    assert feasible.grid is not None
    grid = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), feasible.grid)
    point = jnp.asarray(rng.uniform(-2, 2, features), jnp.float32)
    snapped = jax.jit(snap)  # as the search does; compiled once for each number of features
    once = snapped(point, x[0], lower, upper, grid)
    twice = snapped(once, x[0], lower, upper, grid)
    np.testing.assert_array_equal(once, twice)
    assert ((once >= lower) & (once <= upper)).all()


def rules_of_one(feasible):
    return jax.tree.map(lambda leaf: leaf[0], feasible[:3])


@given(st.integers(0, 2**31))
@settings(max_examples=30)
def test_a_level_is_the_nearest_of_those_there_are(seed):
    rng = np.random.default_rng(seed)
    levels = np.full((4, 6), np.inf, np.float32)
    for line in levels:
        count = rng.integers(1, 7)
        line[rng.permutation(6)[:count]] = rng.uniform(-1, 1, count)
    x = levels.min(axis=1)
    grid = resolve(Constraints(levels=levels), EVERYWHERE, x[None]).of([0])
    point = rng.uniform(-1, 1, 4).astype(np.float32)
    at = np.asarray(snap(*jax.tree.map(jnp.asarray, (point, x, *rules_of_one(grid)))))
    assert (levels == at[:, None]).any(axis=1).all()
    assert (np.abs(point - at) == np.abs(point[:, None] - levels).min(axis=1)).all()


def test_a_feature_that_cannot_reach_its_grid_keeps_its_value():
    x = np.array([[0.3]], np.float32)
    rules = Constraints(lower=0.28, upper=0.47, step=0.25)
    feasible = resolve(rules, EVERYWHERE, x).of([0])
    assert feasible.grid is not None
    grid = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), feasible.grid)
    seen = snap(
        jnp.array([0.45]),
        jnp.asarray(x[0]),
        jnp.asarray(feasible.lower[0]),
        jnp.asarray(feasible.upper[0]),
        grid,
    )
    assert seen.tolist() == x[0].tolist()


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"lower": np.nan}, "lower holds NaN"),
        ({"lower": 1.0, "upper": -1.0}, "needs? lower <= upper"),
        ({"lower": np.zeros(4)}, r"lower has shape \(4,\).*instances of shape \(5,\)"),
        ({"upper": "high"}, "upper must be a number or an array of numbers"),
        ({"frozen": [0, 1, 0, 0, 0]}, "frozen must hold True or False"),
        ({"step": -1.0}, "step must be >= 0"),
        ({"offset": 0.5}, "pass step as well"),
        ({"step": np.inf}, "step must be finite everywhere"),
        ({"step": [0.1, 0.1, np.inf, 0.1, 0.1]}, "step must be finite everywhere"),
        ({"step": 0.5, "offset": -np.inf}, "offset must be finite everywhere"),
        ({"levels": np.zeros((5, 0))}, r"levels has shape \(5, 0\), which leaves no value"),
        ({"levels": np.zeros((4, 2))}, r"levels has shape \(4, 2\)"),
    ],
    ids=repr,
)
@pytest.mark.usefixtures("without_type_checks")
def test_wrong_rules_are_refused(rules, message):
    with pytest.raises(ValueError, match=message):
        ready().explain(mlp().x, constraints=Constraints(**rules))


# --- confidence ------------------------------------------------------------------------------


def test_a_confidence_is_reached_or_not_found():
    x = mlp().x
    plain = ready().explain(x)
    for confidence in (0.6, 0.9):
        objective = Objective.named("C", confidence=confidence)
        result = mlp().fit(objective=objective).explain(x)
        reached = result.probabilities.max(axis=1)
        assert (reached[result.found] > confidence).all()
        assert result.found.any()
        both = result.found & plain.found
        assert (result.l2[both] >= plain.l2[both] * 0.9).all()


def test_prototypes_are_rows_that_the_model_is_as_sure_of():
    chosen = Objective.named("C", confidence=0.9)
    sure = mlp().fit(encoder=False, prototypes="kdtree", objective=chosen).explain(mlp().x)
    usual = mlp().fit(encoder=False, prototypes="kdtree").explain(mlp().x)
    assert (mlp().probabilities(sure.prototype).max(axis=1) > 0.9).all()
    assert (mlp().probabilities(usual.prototype).max(axis=1) <= 0.9).any()


def test_more_confidence_in_the_own_class_can_be_asked_for():
    x = mlp().x
    fitted = mlp().fit(objective=Objective.named("C", confidence=0.95))
    own = mlp().probabilities(x).argmax(axis=1)
    before = mlp().probabilities(x).max(axis=1)
    result = fitted.explain(x, target=own)
    np.testing.assert_array_equal(result.status == Status.ALREADY_IN_TARGET, before > 0.95)
    assert (result.probabilities.max(axis=1)[result.found] > 0.95).all()
    assert (result.counterfactual_class == own)[result.found].all()
