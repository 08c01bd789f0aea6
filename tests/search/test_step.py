"""The search of one instance: stop rules, the search for c, best-so-far, the gradient's reach."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import (
    LINEAR_BIAS,
    LINEAR_WEIGHTS,
    assert_close,
    linear,
    mlp,
    objective,
    search,
    solver,
)

from jaxcf import KDTree, Objective, SearchOptions, Status, metrics, solvers
from jaxcf.objective import Instance
from jaxcf.search.options import STOP_RULES
from jaxcf.search.step import view

# --- where the first flip must happen ------------------------------------------------------


def descent(x: np.ndarray, prototype: np.ndarray, rate: float, beta: float, theta: float, k: int):
    """The k-th point of proximal gradient descent on E with the identity as encoder."""
    shrinkage = 1 - 2 * rate * (1 + theta)
    goal = 2 * theta * (prototype - x)
    goal = np.sign(goal) * np.maximum(np.abs(goal) - beta, 0) / (2 * (1 + theta))
    return x + goal * (1 - shrinkage**k)


def linear_class(x: np.ndarray) -> np.ndarray:
    return (x @ LINEAR_WEIGHTS.astype(np.float64) + LINEAR_BIAS).argmax(axis=-1)


def test_the_first_flip_of_the_linear_model_is_where_the_closed_form_puts_it():
    rate, beta, theta = 0.004, 0.05, 1.5
    problem = linear()
    result = problem.fit(
        encoder=False,
        objective=Objective.named("E", l1_weight=beta, prototype_weight=theta),
        prototypes=KDTree(k=5),
        search=search(solvers.gradient_descent(rate), max_steps=200),
    ).explain(problem.x)
    x, prototype = problem.x.astype(np.float64), result.prototype.astype(np.float64)
    for row, original_class in enumerate(linear_class(x)):
        path = [descent(x[row], prototype[row], rate, beta, theta, k) for k in range(201)]
        flips = [k for k in range(201) if linear_class(path[k]) != original_class]
        assert result.found[row] == bool(flips)
        assert result.steps[row] == (flips[0] if flips else 200)
        if flips:
            np.testing.assert_allclose(result.counterfactual[row], path[flips[0]], atol=1e-5)
    assert result.found.any()
    assert len(set(result.steps.tolist())) > 2


MISSED = {"l1_weight": 0.4, "prototype_weight": 0.25}
"""So much L1 that the linear model's search stops before the boundary."""


@pytest.mark.parametrize("stop", ["budget", "converged"])
@pytest.mark.parametrize("name", ["adam", "gradient_descent", "fista"])
def test_proximal_solvers_reach_the_minimum_of_the_quadratic_problem(name, stop):
    problem = linear()
    beta, theta = MISSED["l1_weight"], MISSED["prototype_weight"]
    rule = solvers.adam(2e-3) if name == "adam" else solver(name)
    result = problem.fit(
        encoder=False,
        objective=Objective.named("E", **MISSED),
        prototypes=KDTree(k=5),
        search=search(
            rule, stop=stop, max_steps=1500, tolerance=1e-7, patience=200, record_history=True
        ),
        feature_range=(-0.9, 0.9),
    ).explain(problem.x)
    x, prototype = problem.x.astype(np.float64), result.prototype.astype(np.float64)
    d = np.clip(descent(x, prototype, 0.1, beta, theta, 10**4), -0.9, 0.9) - x
    lowest = beta * np.abs(d).sum(1) + (d**2).sum(1) + theta * ((x + d - prototype) ** 2).sum(1)
    total = np.sum(list(result.history.values()), axis=0)
    ends = total[np.arange(len(x)), result.steps]
    np.testing.assert_allclose(ends, lowest, rtol=1e-4, atol=1e-5)
    assert (np.nanmin(total, axis=1) >= lowest - 1e-5).all()
    if stop == "budget":
        assert (result.steps == 1500).all()
    else:
        assert (result.steps < 1500).all()
    # What must not move has not moved by a bit.
    missed = ~result.found
    still = (d == 0) & missed[:, None]
    assert still.any()
    assert result.counterfactual[still].tobytes() == problem.x[still].tobytes()


# --- stop rules ----------------------------------------------------------------------------


def run(stop: str, rule: str = "fista", **options):
    problem = mlp()
    weights = options.pop("weights", {})
    return problem.fit(
        objective=objective("C", **weights),
        search=search(rule, stop=stop, **({"prediction_weight": 20.0} | options)),
    ).explain(problem.x)


def test_first_flip_ends_at_the_first_counterfactual():
    # Not fista: the rate of its steps depends on how many there may be.
    result = run("first_flip", "adam", max_steps=40)
    assert result.found.all()
    assert (result.steps > 1).all()
    # One update fewer and there is none.
    for row, steps in enumerate(result.steps):
        shorter = run("first_flip", "adam", max_steps=int(steps) - 1)
        assert shorter.status[row] == Status.NOT_FOUND
        assert shorter.steps[row] == steps - 1


def test_rows_without_a_counterfactual_may_take_more_steps_and_end_at_the_first():
    options = {"prediction_weight": 20.0, "record_path": True}
    needed = run("first_flip", "adam", max_steps=60, **options).steps
    budget = int(np.sort(needed)[len(needed) // 2 - 1])  # enough for half of the rows
    short = run("budget", "adam", max_steps=budget, **options)
    long = run("budget", "adam", max_steps=budget, extra_steps=60, **options)
    late = needed > budget
    assert late.any()
    assert not late.all()
    np.testing.assert_array_equal(short.found, ~late)
    assert long.found.all()
    np.testing.assert_array_equal(long.steps, np.where(late, needed, budget))
    np.testing.assert_array_equal(long.counterfactual[~late], short.counterfactual[~late])


def test_budget_uses_every_step_and_keeps_the_nearest_counterfactual():
    steps = 40
    first, best = run("first_flip", max_steps=steps), run("budget", max_steps=steps)
    assert (best.steps == steps).all()
    assert best.found.all()
    # The best of all that it passed is no farther than the first.
    assert (best.elastic_net <= first.elastic_net + 1e-6).all()
    longer = run("budget", max_steps=2 * steps)
    assert longer.found.all()


def test_budget_keeps_the_best_of_the_whole_path():
    # gradient descent: the k-th point is the answer of a search of k updates, so the whole path is
    # known from shorter searches that end at their k-th point.
    options = {"objective": objective("E"), "encoder": False, "prototypes": KDTree(k=2)}
    rule = solvers.gradient_descent(0.03)
    best = mlp().fit(search=search(rule, stop="budget", max_steps=12), **options)
    answer = best.explain(mlp().x)
    beta, theta = 0.05, 10.0
    x, prototype = mlp().x.astype(np.float64), answer.prototype.astype(np.float64)
    path = np.stack([descent(x, prototype, 0.03, beta, theta, k) for k in range(13)])
    classes = np.stack([mlp().probabilities(p.astype(np.float32)).argmax(1) for p in path])
    flipped = classes != answer.original_class
    d = path - x
    distance = beta * np.abs(d).sum(2) + (d**2).sum(2)
    distance[~flipped] = np.inf
    np.testing.assert_array_equal(answer.found, flipped.any(axis=0))
    assert answer.found.any()
    rows = answer.found
    nearest = path[distance.argmin(axis=0), np.arange(6)]
    np.testing.assert_allclose(answer.counterfactual[rows], nearest[rows], atol=1e-5)


def test_converged_ends_once_the_objective_stalls_for_as_long_as_patience():
    # No pull at all: the objective never falls, so the first evaluation is the only progress.
    weights = {"prototype_weight": 0.0}
    for patience in (1, 4):
        result = run(
            "converged", patience=patience, prediction_weight=0.0, weights=weights, max_steps=50
        )
        np.testing.assert_array_equal(result.steps, patience)
        np.testing.assert_array_equal(result.status, Status.NEVER_MOVED)
        np.testing.assert_array_equal(result.counterfactual, result.original)


def test_a_larger_tolerance_converges_sooner():
    fine = run("converged", max_steps=400, tolerance=1e-6, patience=5)
    coarse = run("converged", max_steps=400, tolerance=0.05, patience=5)
    assert (coarse.steps <= fine.steps).all()
    assert (coarse.steps < fine.steps).any()


def test_a_margin_asks_for_a_lead_in_probability():
    result = run("first_flip", weights={"margin": 0.3}, max_steps=60)
    lead = np.sort(result.probabilities, axis=1)
    assert result.found.any()
    assert ((lead[:, -1] - lead[:, -2])[result.found] > 0.3).all()


def test_not_found_gives_the_point_that_came_nearest_to_changing():
    result = run("budget", max_steps=3, prediction_weight=0.5, record_history=True)
    missed = ~result.found
    assert missed.any()
    # history holds c (f_t0 - max f_i) at every point looked at, for a solver without look-ahead
    result = (
        mlp()
        .fit(
            objective=objective("C"),
            search=search("gradient_descent", max_steps=3, record_history=True),
        )
        .explain(mlp().x)
    )
    missed = result.status == Status.NOT_FOUND
    assert missed.any()
    smallest = np.nanmin(result.history["prediction"], axis=1)
    assert_close(result.losses["prediction"][missed], smallest[missed])


# --- the search for c ----------------------------------------------------------------------


def expected_weights(enough: Callable[[float], bool], first: float, rounds: int) -> list[float]:
    """c of every round: tenfold until one is enough, then bisection."""
    weights, low, high = [first], 0.0, np.inf
    for _ in range(rounds - 1):
        c = weights[-1]
        low, high = (low, min(high, c)) if enough(c) else (max(low, c), high)
        weights.append(10 * c if np.isinf(high) else (low + high) / 2)
    return weights


def weight_search(x: np.ndarray, **options):
    """Only prediction and L1: a proximal step moves just where c |df| exceeds beta.

    The slope of the linear model's L_pred grows on the way to the boundary, so what moves at all
    gets there, and c is enough exactly from beta / max |df(x0)| on.
    """
    beta = 0.5
    only = Objective(terms=("prediction", "l1"), l1_weight=beta)
    rule = solvers.adam(0.05)
    options = {"prediction_weight": 0.01, "weight_rounds": 9, "record_history": True} | options
    result = (
        linear()
        .fit(encoder=False, objective=only, search=search(rule, max_steps=STEPS, **options))
        .explain(x)
    )
    difference = (LINEAR_WEIGHTS[:, 0] - LINEAR_WEIGHTS[:, 1]).astype(np.float64)
    scores = x @ difference + 2 * LINEAR_BIAS[0]
    # L_pred = |p_0 - p_1| = |tanh(s / 2)|
    slope = np.abs(difference).max() * (1 - np.tanh(scores / 2) ** 2) / 2
    thresholds = beta / slope
    start = np.abs(np.tanh(scores / 2))
    used = result.history["prediction"][:, :: STEPS + 1] / start[:, None]
    return result, thresholds, used


# Enough to reach the boundary from a c one percent above what moves at all.
STEPS = 400

ROWS = np.array([[0.05, 0.1, 0.3], [-0.3, 0.2, 0.1], [0.6, -0.4, 0.2]], np.float32)


def test_c_grows_tenfold_until_it_is_enough_and_is_bisected_from_then_on():
    result, thresholds, used = weight_search(ROWS, stop="budget")
    assert result.found.all()
    assert len(set(np.ceil(np.log10(thresholds)))) > 1  # each row goes its own way
    for row, threshold in enumerate(thresholds):
        sequence = expected_weights(lambda c, t=threshold: c > t, 0.01, 9)
        # Bisection this close to the threshold would test float32, not the search.
        assert min(abs(c / threshold - 1) for c in sequence) > 1e-3
        np.testing.assert_allclose(used[row], sequence, rtol=1e-3)
        assert any(np.isclose(result.prediction_weight[row], c, rtol=1e-5) for c in sequence)
        assert result.prediction_weight[row] > threshold
    np.testing.assert_array_equal(result.steps, 9 * STEPS)


def test_with_first_flip_the_search_for_c_ends_at_the_first_c_that_is_enough():
    result, thresholds, used = weight_search(ROWS, stop="first_flip")
    assert result.found.all()
    for row, threshold in enumerate(thresholds):
        first = 0.01
        while first <= threshold:
            first *= 10
        np.testing.assert_allclose(result.prediction_weight[row], first, rtol=1e-5)
        rounds_before = round(np.log10(first / 0.01))
        assert STEPS * rounds_before < result.steps[row] <= STEPS * (rounds_before + 1)
        assert np.isnan(used[row, rounds_before + 1 :]).all()


def test_a_fixed_c_that_is_too_small_never_moves_and_says_so():
    _, thresholds, _ = weight_search(ROWS)
    small = float(0.9 * thresholds.min())
    result, _, _ = weight_search(ROWS, weight_rounds=1, prediction_weight=small)
    np.testing.assert_array_equal(result.status, Status.NEVER_MOVED)
    np.testing.assert_array_equal(result.counterfactual, ROWS)
    assert "larger prediction_weight, one that grows" in result.messages[0]


GROWTH = {"weight_growth": 1.1, "weight_rounds": 1}


def test_c_grows_with_each_step_until_it_is_enough():
    result, thresholds, _ = weight_search(ROWS, stop="first_flip", **GROWTH)
    assert result.found.all()
    np.testing.assert_allclose(result.prediction_weight, 0.01 * 1.1**result.steps, rtol=1e-4)
    assert (result.prediction_weight > thresholds).all()
    # In one pass: the rounds start over for each c.
    in_rounds, _, _ = weight_search(ROWS, stop="first_flip")
    assert (result.steps < in_rounds.steps).all()


def test_with_a_budget_c_hovers_at_the_boundary_and_the_best_is_kept():
    first, _, _ = weight_search(ROWS, stop="first_flip", **GROWTH)
    best, thresholds, _ = weight_search(ROWS, stop="budget", **GROWTH)
    assert best.found.all()
    np.testing.assert_array_equal(best.steps, STEPS)
    nearest, nearest_first = (
        metrics.elastic_net(result.counterfactual - ROWS, l1_weight=0.5) for result in (best, first)
    )
    assert (nearest <= nearest_first + 1e-6).all()
    # Larger after every point that is none, smaller after every one that is.
    assert (best.prediction_weight < first.prediction_weight * 1.01).all()
    assert (best.prediction_weight > thresholds / 10).all()


def test_growing_c_converges_too():
    options = {"stop": "converged", "tolerance": 1e-3, "patience": 5}
    result, _, _ = weight_search(ROWS, **options, **GROWTH)
    assert result.found.all()
    assert (result.steps < STEPS).all()


@pytest.mark.parametrize("rule", ["normalized", "fista", "reference_fista"])
@pytest.mark.parametrize("stop", ["first_flip", "budget"])
def test_an_objective_without_l1_shrinks_nothing_and_measures_distances_without_it(rule, stop):
    options: Any = {"search": search(rule, stop=stop)}
    with_it = objective("C", l1_weight=0.2)
    dropped = mlp().fit(objective=with_it.without("l1"), **options).explain(mlp().x)
    weightless = mlp().fit(objective=objective("C", l1_weight=0.0), **options).explain(mlp().x)
    shrunk = mlp().fit(objective=with_it, **options).explain(mlp().x)
    assert weightless.found.any()
    np.testing.assert_array_equal(dropped.counterfactual, weightless.counterfactual)
    assert (dropped.counterfactual != shrunk.counterfactual).any()
    assert dropped.l1_weight == 0
    np.testing.assert_array_equal(dropped.elastic_net, weightless.elastic_net)


def test_without_a_prediction_term_all_rounds_are_one():
    options = {"objective": objective("E"), "encoder": False}
    rounds = search("gradient_descent", max_steps=4, weight_rounds=3, stop="budget")
    once = search("gradient_descent", max_steps=12, weight_rounds=1, stop="budget")
    split = linear().fit(search=rounds, **options).explain(linear().x)
    whole = linear().fit(search=once, **options).explain(linear().x)
    np.testing.assert_array_equal(split.steps, whole.steps)
    np.testing.assert_array_equal(split.counterfactual, whole.counterfactual)


# --- history -------------------------------------------------------------------------------


def test_history_adds_up_and_ends_at_the_answer():
    result = run("first_flip", record_history=True, max_steps=20)
    total = np.sum(list(result.history.values()), axis=0)
    rows = np.arange(len(result))
    # fista's last gradient is wanted ahead of its iterate; plain descent looks at the iterate.
    plain = (
        mlp()
        .fit(objective=objective("D"), search=search("gradient_descent", record_history=True))
        .explain(mlp().x)
    )
    at_the_end = {name: h[rows, plain.steps] for name, h in plain.history.items()}
    found = plain.found
    assert found.any()
    for name, values in at_the_end.items():
        assert_close(values[found], plain.losses[name][found], name)
    assert_close(
        np.sum(list(at_the_end.values()), axis=0)[found],
        np.sum(list(plain.losses.values()), axis=0)[found],
        "the objective",
    )
    assert np.isnan(total[rows, np.minimum(result.steps + 1, 20)][result.steps < 20]).all()


def test_history_covers_all_rounds_of_the_search_for_c():
    result, _, _ = weight_search(ROWS, weight_rounds=3, stop="budget")
    assert result.history["l1"].shape == (3, 3 * (STEPS + 1))
    assert np.isfinite(result.history["l1"]).all()
    np.testing.assert_array_equal(result.history["l1"][:, :: STEPS + 1], 0.0)


def test_history_is_off_by_default():
    assert run("first_flip").history == {}
    assert not SearchOptions().record_history


# --- path ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["adam", "fista"])
def test_the_path_leads_from_the_original_to_the_counterfactual(rule):
    result = run("first_flip", rule, record_path=True, max_steps=20)
    assert result.path is not None
    assert result.path.shape == (6, 21, *result.original.shape[1:])
    np.testing.assert_array_equal(result.path[:, 0], result.original)
    reached = np.isfinite(result.path).all(axis=2)
    np.testing.assert_array_equal(reached, np.arange(21) <= result.steps[:, None])
    rows = np.flatnonzero(result.found)
    assert len(rows)
    last = result.path[rows, result.steps[rows]]
    assert last.tobytes() == result.counterfactual[rows].tobytes()
    # The decision changes at the last point, not before.
    for row in rows:
        classes = mlp().probabilities(result.path[row, : result.steps[row] + 1]).argmax(axis=1)
        assert (classes[:-1] == result.original_class[row]).all()
        assert classes[-1] == result.counterfactual_class[row]


def test_recording_the_path_changes_no_answer():
    options = {"stop": "budget", "max_steps": 30}
    plain, recorded = run(**options), run(**options, record_path=True, record_history=True)
    assert plain.path is None
    # To the last bits: it is another program, which a release of XLA may round otherwise.
    np.testing.assert_allclose(plain.counterfactual, recorded.counterfactual, atol=1e-5)
    np.testing.assert_array_equal(plain.steps, recorded.steps)


def test_the_path_covers_all_rounds_and_starts_anew_in_each():
    result, _, _ = weight_search(ROWS, weight_rounds=3, stop="budget", record_path=True)
    assert result.path is not None
    assert result.path.shape == (3, 3 * (STEPS + 1), 3)
    for start in range(0, 3 * (STEPS + 1), STEPS + 1):
        np.testing.assert_array_equal(result.path[:, start], ROWS)


def test_rows_that_are_not_searched_have_no_path():
    x = mlp().x.copy()
    x[2, 0] = np.nan
    result = mlp().fit(search=search(record_path=True)).explain(x)
    assert result.path is not None
    assert np.isnan(result.path[2]).all()
    np.testing.assert_array_equal(result.path[3, 0], x[3])


# --- the gradient's reach ------------------------------------------------------------------


def test_the_gradient_passes_inside_the_range_and_at_its_ends_only():
    instance = Instance(
        original=jnp.zeros(4),
        original_class=jnp.asarray(0, jnp.int32),
        targets=jnp.asarray([False, True]),
        prototype=jnp.zeros(4),
        lower=jnp.full(4, -1.0),
        upper=jnp.full(4, 1.0),
    )
    query = jnp.asarray([-1.0, 0.5, 1.0, 1.5])
    point, perturbation = view(instance, query)
    np.testing.assert_array_equal(point, [-1.0, 0.5, 1.0, 1.0])
    np.testing.assert_array_equal(perturbation, query)
    gradient = jax.grad(lambda q: jnp.sum(view(instance, q)[0]))(query)
    np.testing.assert_array_equal(gradient, [1, 1, 1, 0])


def test_a_feature_at_the_end_of_its_range_can_leave_it():
    x = np.array([[1.0, 0.0, 0.0]], np.float32)
    result = linear().fit(search=search(max_steps=60, weight_rounds=4)).explain(x)
    assert result.found.all()
    assert result.counterfactual[0, 0] < 1.0


# --- options -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stop": "never"}, "unknown stop rule 'never'; there are first_flip, budget, converged"),
        ({"max_steps": 0}, "max_steps must be at least 1, got 0"),
        ({"weight_rounds": 0}, "weight_rounds must be at least 1, got 0"),
        ({"weight_growth": 0.9}, "weight_growth must be >= 1, got 0.9"),
        ({"weight_growth": float("nan")}, "weight_growth must be >= 1, got nan"),
        ({"weight_rounds": 2}, "pass weight_growth=1 or weight_rounds=1"),
        ({"patience": -1}, "patience must be at least 1, got -1"),
        ({"prediction_weight": -1.0}, "prediction_weight must be >= 0, got -1.0"),
        ({"tolerance": -0.1}, "tolerance must be >= 0, got -0.1"),
        ({"prediction_weight": float("nan")}, "prediction_weight must be >= 0, got nan"),
        ({"max_steps": 2**31}, "max_steps must be at most 2147483647, got 2147483648"),
        ({"patience": 2**40}, "patience must be at most 2147483647"),
        ({"extra_steps": 2**31}, "extra_steps must be at most 2147483647"),
        (
            {"max_steps": np.int32(2**20), "weight_rounds": np.int32(2**12), "weight_growth": 1},
            "are 4294971392 evaluations; expected 2147483647 at most",
        ),
    ],
)
def test_wrong_options_say_what_is_wrong(options, message):
    with pytest.raises(ValueError, match=message):
        SearchOptions(**options)


@pytest.mark.parametrize("stop", STOP_RULES)
def test_the_stop_rule_is_recorded(stop):
    assert run(stop, max_steps=2).settings["search"]["stop"] == stop


def test_every_status_has_a_message():
    messages = {status.message for status in Status}
    assert len(messages) == len(Status)
    assert all(messages)
