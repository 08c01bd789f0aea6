"""Models outside JAX: the same answers as in JAX, failures told apart, every prediction counted."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import (
    assert_close,
    assert_joined_same,
    assert_same_answers,
    linear,
    mlp,
    objective,
    search,
)
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from jaxcf import (
    BlackBox,
    CentralDifferences,
    EngineOptions,
    ExactJacobian,
    Explainer,
    KDTree,
    Objective,
    RandomDirections,
    SearchOptions,
    Status,
    lanes,
)
from jaxcf.estimators import Neighbours

# What differences of 2e-3 in float32 cost, carried through the search.
NEAR = 2e-3


class Counting:
    """A model that counts what it is asked for, and fails where it is told to."""

    def __init__(self, predict: Any, fault: Any = None) -> None:
        self._predict = jax.jit(predict)
        self._fault = fault
        self.calls: list[int] = []

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Probabilities, or what the fault makes of them."""
        assert isinstance(x, np.ndarray)
        assert x.dtype == np.float32
        self.calls.append(len(x))
        # Padded, so that rows don't depend on the size of their batch and few sizes are compiled.
        padded = np.zeros((1 << (len(x) - 1).bit_length(), *x.shape[1:]), np.float32)
        padded[: len(x)] = x
        probabilities = np.array(self._predict(padded))[: len(x)]
        return probabilities if self._fault is None else self._fault(x, probabilities)

    @property
    def rows(self) -> int:
        """Rows asked for so far."""
        return sum(self.calls)


def boxed(problem, gradient=None, *, max_rows_per_call=None, **options):
    """The problem with its model as a black box, fitted; and the model, its count at 0."""
    model = Counting(problem.predict)
    gradient = gradient or CentralDifferences()
    box = BlackBox(model, problem.num_classes, gradient, max_rows_per_call)
    fitted = replace(problem.explainer(**options), predict=box).fit(problem.x_train)
    model.calls.clear()
    return fitted, model


def plain(explanations):
    """Without the count, which models in JAX don't have."""
    assert list(explanations.scores) == ["predictions"]
    return replace(explanations, scores={})


# --- the same as in JAX --------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["adam", "fista"])
@pytest.mark.parametrize("name", ["A", "C", "D", "F"])
def test_central_differences_find_what_jax_finds(name, rule):
    options: dict[str, Any] = {"objective": objective(name), "search": search(rule)}
    fitted, _ = boxed(mlp(), **options)
    actual, expected = fitted.explain(mlp().x), mlp().fit(**options).explain(mlp().x)
    assert expected.found.any()
    np.testing.assert_array_equal(actual.status, expected.status)
    np.testing.assert_array_equal(actual.steps, expected.steps)
    np.testing.assert_allclose(actual.counterfactual, expected.counterfactual, atol=NEAR)
    assert_close(actual.original_probabilities, expected.original_probabilities)
    # Unchanged features are exactly unchanged, as ever.
    np.testing.assert_array_equal(actual.l0, expected.l0)


@pytest.mark.parametrize("stop", ["first_flip", "budget", "converged"])
def test_an_exact_jacobian_is_the_search_in_jax(stop):
    rule = "fista" if stop == "budget" else "adam"
    rounds = 2 if stop == "budget" else 1
    options = {
        "search": search(rule, stop=stop, weight_rounds=rounds, max_steps=10, record_history=True)
    }

    def function(x):
        jacobian = jax.vmap(jax.jacrev(lambda row: mlp().predict(row[None])[0]))
        return mlp().predict(jnp.asarray(x)), jacobian(jnp.asarray(x))

    fitted, model = boxed(mlp(), ExactJacobian(function), **options)
    actual = fitted.explain(mlp().x)
    assert_same_answers(plain(actual), mlp().fit(**options).explain(mlp().x))
    assert actual.found.any()
    # `predict` described, confirmed, and judged FISTA's candidates and the last points.
    assert model.rows < actual.scores["predictions"].sum()


def test_terms_of_the_callers_own_get_the_gradient():
    def doubt(candidate):
        return candidate.outputs.probabilities.max() ** 2

    mine = objective("E", prototype_weight=0.1).with_term("doubt", doubt, weight=5.0)
    options: dict[str, Any] = {"objective": mine, "search": search(stop="budget")}
    fitted, _ = boxed(mlp(), **options)
    actual, expected = fitted.explain(mlp().x), mlp().fit(**options).explain(mlp().x)
    np.testing.assert_allclose(actual.losses["doubt"], expected.losses["doubt"], atol=NEAR)
    assert (expected.perturbation != 0).any()


def test_images_keep_their_shape():
    def pooled(x):
        return jax.nn.softmax(jnp.stack([x.mean((1, 2, 3)), -x.mean((1, 2, 3))], axis=1) * 20)

    x = np.random.default_rng(0).uniform(-0.5, 0.5, (20, 3, 2, 1)).astype(np.float32)
    options: dict[str, Any] = {
        "objective": "A",
        "search": search(max_steps=60),
        "prototypes": KDTree(),
        "feature_range": (-1.0, 1.0),
    }
    model = Counting(pooled)
    epsilon = np.full((3, 2, 1), 1e-3)
    box = BlackBox(model, 2, CentralDifferences(epsilon))
    actual = Explainer(box, **options).fit(x).explain(x[:4])
    expected = Explainer(pooled, **options).fit(x).explain(x[:4])
    assert expected.found.all()
    np.testing.assert_allclose(actual.counterfactual, expected.counterfactual, atol=NEAR)


# --- estimators ----------------------------------------------------------------------------


def near(rows: int = 3, features: int = 5, *, epsilon: float = 0.125) -> Neighbours:
    """Rows inside their range, but for a feature at either end and one that is frozen."""
    point = np.random.default_rng(0).uniform(-1, 1, (rows, features)).astype(np.float32)
    lower, upper = np.full_like(point, -2), np.full_like(point, 2)
    lower[0, 0], upper[0, 1] = point[0, 0], point[0, 1]
    lower[1, 2] = upper[1, 2] = point[1, 2]
    above, below = (np.clip(point + s * epsilon, lower, upper) for s in (1, -1))
    return Neighbours(point, above, below, np.array([0, 0, 7])[:rows])


SLOPES = np.random.default_rng(1).normal(size=(5, 4))


def estimate(gradient, neighbours):
    plan = gradient.plan(neighbours)
    displaced = plan.points(slice(0, len(plan.row)))
    assert (displaced >= neighbours.below[plan.row]).all()
    assert (displaced <= neighbours.above[plan.row]).all()
    jacobian = plan.jacobian(neighbours.point @ SLOPES, displaced.astype(np.float64) @ SLOPES)
    expected = np.tile(SLOPES.T, (len(neighbours.point), 1, 1))
    expected[1, :, 2] = 0.0  # frozen
    return jacobian, expected, plan


@pytest.mark.parametrize("gradient", [CentralDifferences(), RandomDirections()])
def test_displaced_points_are_the_same_whichever_slice_is_asked_for(gradient):
    plan = gradient.plan(near())
    whole = plan.points(slice(0, len(plan.row)))
    pieces = [plan.points(slice(start, start + 3)) for start in range(0, len(plan.row), 3)]
    np.testing.assert_array_equal(whole, np.concatenate(pieces))


def test_differences_of_a_linear_function_are_its_slopes_at_the_ends_of_the_range_too():
    jacobian, expected, plan = estimate(CentralDifferences(), near())
    np.testing.assert_allclose(jacobian, expected, atol=1e-5)
    # Two per feature, one at an end, none where frozen.
    assert np.bincount(plan.row).tolist() == [8, 8, 10]


def test_enough_random_directions_are_exact_for_a_linear_function():
    jacobian, expected, plan = estimate(RandomDirections(count=100), near())
    np.testing.assert_allclose(jacobian, expected, atol=1e-5)
    assert np.bincount(plan.row).tolist() == [16, 16, 16]


@pytest.mark.parametrize("count", [1, 3])
def test_random_directions_are_right_on_average(count):
    sums, expected = 0.0, np.zeros(())
    for seed in range(2000):
        jacobian, expected, _ = estimate(RandomDirections(count, seed=seed), near())
        sums = sums + jacobian
    deviation = np.abs(sums / 2000 - expected).max()
    assert deviation < 0.25 / np.sqrt(count)


def test_directions_depend_on_the_step_and_the_seed_alone():
    directions = RandomDirections(4).directions
    np.testing.assert_array_equal(directions(9, 3), RandomDirections(4).directions(9, 3))
    assert (directions(9, 3) != directions(9, 4)).any()
    assert (directions(9, 3) != RandomDirections(4, seed=1).directions(9, 3)).any()
    assert set(np.unique(directions(9, 3))) == {-1.0, 1.0}


def test_random_directions_find_counterfactuals():
    fitted, _ = boxed(mlp(), RandomDirections(count=2), search=search(max_steps=100))
    result = fitted.explain(mlp().x)
    assert result.found.all()
    exact, _ = boxed(mlp(), RandomDirections(count=8), search=search(max_steps=100))
    expected = mlp().fit(search=search(max_steps=100)).explain(mlp().x)
    actual = exact.explain(mlp().x).counterfactual
    np.testing.assert_allclose(actual, expected.counterfactual, atol=0.02)


# --- what it costs -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gradient", "options"),
    [
        (CentralDifferences(), {}),
        (CentralDifferences(every=3), {"search": search("fista", max_steps=9, weight_rounds=2)}),
        (RandomDirections(count=2), {"search": search(stop="budget")}),
        (CentralDifferences(), {"objective": objective("E")}),
        (CentralDifferences(), {"objective": objective("E"), "search": search("fista")}),
    ],
    ids=["central", "fista-every", "random", "E", "E-fista"],
)
def test_predictions_are_counted_row_by_row(gradient, options):
    fitted, model = boxed(mlp(), gradient, engine=EngineOptions(lanes=1), **options)
    together = fitted.explain(mlp().x)
    assert together.scores["predictions"].sum() == model.rows
    for row in range(len(mlp().x)):
        model.calls.clear()
        single = fitted.explain(mlp().x[row : row + 1])
        assert single.scores["predictions"][0] == model.rows
        assert_same_answers(single, together[row])


@pytest.mark.parametrize("rule", ["adam", "fista"])
@pytest.mark.parametrize("name", ["E", "F"])
def test_without_a_prediction_term_an_evaluation_is_one_prediction(name, rule):
    options: dict[str, Any] = {"objective": objective(name), "search": search(rule)}
    fitted, model = boxed(mlp(), **options)
    result = fitted.explain(mlp().x)
    # A description, the original and every update, and the confirmation.
    np.testing.assert_array_equal(result.scores["predictions"], 1 + (1 + result.steps) + 1)
    assert result.scores["predictions"].sum() == model.rows
    assert_same_answers(plain(result), mlp().fit(**options).explain(mlp().x))


def test_with_every_fourth_jacobian_predictions_are_a_quarter():
    budget = search(stop="budget", max_steps=40)
    costs = {}
    for every in (1, 4):
        fitted, model = boxed(mlp(), CentralDifferences(every=every), search=budget)
        result = fitted.explain(mlp().x)
        assert result.found.all()
        displaced = result.scores["predictions"] - 2 - (1 + result.steps)
        costs[every] = displaced.sum()
        assert model.rows == result.scores["predictions"].sum()
    assert costs[4] / costs[1] == pytest.approx(0.25, rel=0.1)


def test_there_is_one_call_per_step_for_all_rows():
    fitted, model = boxed(mlp(), engine=EngineOptions(lanes=8))
    result = fitted.explain(mlp().x)
    # Described together, confirmed together.
    assert len(model.calls) == 2 + 1 + result.steps.max()
    assert model.calls[1] <= 6 * 11


def test_calls_keep_to_the_most_rows():
    fitted, _ = boxed(mlp())
    bounded, model = boxed(mlp(), max_rows_per_call=7)
    assert_same_answers(bounded.explain(mlp().x), fitted.explain(mlp().x))
    assert max(model.calls) == 7


def test_the_default_number_of_lanes_fits_into_memory():
    box = BlackBox(Counting(mlp().predict), 3)
    assert box.lanes((12,)) == 1024
    assert box.lanes((28, 28, 1)) < 100
    assert replace(box, max_rows_per_call=1000).lanes((28, 28, 1)) == 1024


# --- rows don't meet -----------------------------------------------------------------------


def test_lanes_refilling_and_streams_change_nothing():
    gradient = RandomDirections(count=3, every=2)
    fitted, _ = boxed(mlp(), gradient, engine=EngineOptions(lanes=6))
    expected = fitted.explain(mlp().x)
    narrow, _ = boxed(mlp(), gradient, engine=EngineOptions(lanes=2, steps_per_chunk=1))
    assert_same_answers(narrow.explain(mlp().x), expected)
    parts = list(narrow.stream([mlp().x[:1], mlp().x[1:4], mlp().x[4:]]))
    assert_joined_same(parts, expected)
    counts = np.concatenate([part.scores["predictions"] for part in parts])
    np.testing.assert_array_equal(counts, expected.scores["predictions"])


def test_ranges_hold_exactly():
    lower, upper = np.full_like(mlp().x, -1.0), np.full_like(mlp().x, 1.0)
    lower[:, 0] = upper[:, 0] = mlp().x[:, 0]
    upper[:, 1] = mlp().x[:, 1]
    fitted, _ = boxed(mlp())
    result = fitted.explain(mlp().x, feature_range=(lower, upper))
    expected = mlp().fit().explain(mlp().x, feature_range=(lower, upper))
    np.testing.assert_array_equal(result.counterfactual[:, 0], mlp().x[:, 0])
    assert (result.counterfactual[:, 1] <= upper[:, 1]).all()
    np.testing.assert_allclose(result.counterfactual, expected.counterfactual, atol=NEAR)


# --- failures ------------------------------------------------------------------------------


class Boom(RuntimeError):
    """What a model raises."""


def raising(bad, x, probabilities):
    if bad(x).any():
        raise Boom("out of range")
    return probabilities


def changed(value, bad, x, probabilities):
    probabilities = probabilities.astype(np.float64)
    probabilities[bad(x)] = value
    return probabilities


def missing(bad, x, probabilities):
    return probabilities[~bad(x)]


FAULTS = {
    "raises": (raising, "predict raised Boom: out of range"),
    "nan": (partial(changed, np.nan), r"predict returned \[nan nan nan\] for a row"),
    "sum": (partial(changed, 0.5), r"predict returned \[0.5 0.5 0.5\] for a row.*sum to 1"),
    "logits": (partial(changed, [-3, 4, 0]), r"predict returned \[-3.  4.  0.\] for a row"),
    "shape": (missing, r"predict returned shape \(0, 3\) for 1 rows; expected \(1, 3\)"),
    "words": (lambda bad, x, p: "no" if bad(x).any() else p, "returned str, .* no array"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_rows_that_a_model_fails_for_are_marked_and_spare_the_others(name):
    fault, message = FAULTS[name]
    broken = partial(fault, lambda x: x[:, 0] > 0.9999)
    model = Counting(mlp().predict, broken)
    fitted = replace(mlp().explainer(), predict=BlackBox(model, 3)).fit(mlp().x_train)
    good, _ = boxed(mlp())
    x = mlp().x.copy()
    x[[1, 4], 0] = 1.0
    rest = np.array([0, 2, 3, 5])
    with pytest.warns(RuntimeWarning, match=message) as warned:
        result = fitted.explain(x)
    assert len(warned) == 1
    assert_same_answers(result[rest], good.explain(x[rest]))
    assert result.status[[1, 4]].tolist() == [Status.MODEL_NOT_FINITE] * 2
    assert "raised, or returned the wrong shape" in result.messages[1]


@pytest.mark.parametrize("name", FAULTS)
def test_a_model_that_fails_on_the_way_ends_that_row_only(name):
    fault, message = FAULTS[name]
    # Class 0 lies at x_0 > -0.1; the way there leads over a cliff at x_0 = -0.2.
    fault = {"nan": partial(changed, np.nan), "sum": partial(changed, 0.4)}.get(name, fault)
    if name == "logits":
        fault = partial(changed, [-3, 4])
    broken = partial(fault, lambda x: (x[:, 0] > -0.2) & (x[:, 1] > 0))
    x = np.array([[-0.5, 0.4, 0.0], [-0.5, -0.4, 0.0]], np.float32)
    safe = linear().x_train[linear().x_train[:, 1] < 0]
    explainer = linear().explainer(encoder=False, search=search(max_steps=60))
    good = replace(explainer, predict=BlackBox(Counting(linear().predict), 2)).fit(safe)
    box = BlackBox(Counting(linear().predict, broken), 2)
    with pytest.warns(RuntimeWarning, match=message.split(r" \[")[0].split(r" \(")[0]):
        result = replace(explainer, predict=box).fit(safe).explain(x)
    assert result.status.tolist() == [Status.MODEL_NOT_FINITE, Status.FOUND]
    assert_same_answers(result[1], good.explain(x)[1])
    assert np.isfinite(result.counterfactual).all()


def test_a_jacobian_that_cannot_be_had_ends_that_row_only():
    def function(x):
        if (x[:, 1] > 0).any():
            raise Boom("no gradient")
        p = np.asarray(linear().predict(jnp.asarray(x)))
        jacobian = jax.vmap(jax.jacrev(lambda row: linear().predict(row[None])[0]))
        return p, jacobian(jnp.asarray(x))

    x = np.array([[-0.5, 0.4, 0.0], [-0.5, -0.4, 0.0]], np.float32)
    box = BlackBox(Counting(linear().predict), 2, ExactJacobian(function))
    explainer = linear().explainer(encoder=False, search=search(max_steps=60))
    with pytest.warns(RuntimeWarning, match="raised Boom: no gradient"):
        result = replace(explainer, predict=box).fit(linear().x_train).explain(x)
    assert result.status.tolist() == [Status.MODEL_NOT_FINITE, Status.FOUND]


def test_a_jacobian_of_another_shape_says_so():
    def function(x):
        return np.asarray(linear().predict(jnp.asarray(x))), np.zeros((len(x), 3))

    box = BlackBox(Counting(linear().predict), 2, ExactJacobian(function))
    fitted = replace(linear().explainer(encoder=False), predict=box).fit(linear().x_train)
    with pytest.warns(RuntimeWarning, match=r"Jacobian has shape \(1, 3\); expected \(1, 2, 3\)"):
        result = fitted.explain(linear().x)
    assert (result.status == Status.MODEL_NOT_FINITE).all()


def test_a_warning_that_is_an_error_reaches_the_caller():
    model = Counting(mlp().predict, partial(raising, lambda x: x[:, 0] > 0.9999))
    fitted = replace(mlp().explainer(), predict=BlackBox(model, 3)).fit(mlp().x_train)
    x = mlp().x.copy()
    x[1, 0] = 1.0
    with pytest.raises(RuntimeWarning, match="predict raised Boom"):
        fitted.explain(x)


def test_a_service_that_is_gone_at_the_end_confirms_nothing():
    model = Counting(mlp().predict)
    fitted = replace(mlp().explainer(), predict=BlackBox(model, 3)).fit(mlp().x_train)

    def end(progress):
        if progress.done == 6:
            model._fault = partial(raising, lambda x: x[:, 0] > -9)

    with pytest.warns(RuntimeWarning, match="predict raised Boom"):
        result = fitted.explain(mlp().x, on_progress=end)
    assert (result.status == Status.NOT_CONFIRMED).all()
    assert (result.counterfactual_class == -1).all()


def test_ctrl_c_reaches_the_model_and_keeps_what_was_finished():
    from jaxcf import ExplanationInterrupted

    model = Counting(mlp().predict)
    box = BlackBox(model, 3)
    options = EngineOptions(lanes=2, steps_per_chunk=1)
    fitted = replace(mlp().explainer(engine=options), predict=box).fit(mlp().x_train)

    def interrupt(x, probabilities):
        if len(model.calls) > 20:
            model._fault = None
            raise KeyboardInterrupt
        return probabilities

    model.calls.clear()
    model._fault = interrupt
    with pytest.raises(ExplanationInterrupted) as interrupted:
        fitted.explain(mlp().x)
    status = interrupted.value.explanations.status
    assert (status == Status.FOUND).any()
    assert (status == Status.INTERRUPTED).any()


# --- the entry -----------------------------------------------------------------------------


def test_training_rows_without_probabilities_are_refused():
    x = mlp().x_train.copy()
    x[[7, 9], 0] = 0.99999
    model = Counting(mlp().predict, partial(raising, lambda x: x[:, 0] > 0.9999))
    explainer = replace(mlp().explainer(), predict=BlackBox(model, 3))
    message = "2 of 60 training rows got no probabilities; the first error: predict raised Boom"
    with pytest.raises(ValueError, match=message):
        explainer.fit(x)


@pytest.mark.parametrize(
    ("predict", "message"),
    [
        (lambda x: np.ones(len(x)), r"returned shape \(2,\) for 2 rows; expected \(2, 3\)"),
        (lambda x: np.ones((1, 3)), r"returned shape \(1, 3\) for 2 rows; expected \(2, 3\)"),
        (lambda x: None, r"shape \(\) for 2 rows"),
        (lambda: None, "failed for each of the first 2 rows: predict raised TypeError"),
    ],
    ids=["one column", "one row", "nothing", "no argument"],
)
@pytest.mark.usefixtures("without_type_checks")
def test_a_function_that_does_not_fit_is_refused_before_much_is_asked(predict, message):
    explainer = replace(mlp().explainer(), predict=BlackBox(predict, 3))
    with pytest.raises(ValueError, match=message):
        explainer.fit(mlp().x_train)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: BlackBox(3, 2), TypeError, "predict must be a function, got int"),
        (lambda: BlackBox(np.sin, 1), ValueError, "num_classes must be at least 2, got 1"),
        (lambda: BlackBox(np.sin, 2, None), TypeError, "gradient must be CentralDifferences, "),
        (
            lambda: BlackBox(np.sin, 2, max_rows_per_call=0),
            ValueError,
            "max_rows_per_call must be at least 1, got 0",
        ),
        (lambda: BlackBox(Unhashable(), 2), TypeError, "unhashable type.* wrap it in a plain"),
        (lambda: CentralDifferences(0.0), ValueError, "epsilon must be finite and above 0"),
        (lambda: CentralDifferences((0.1, -1)), ValueError, "epsilon must be finite and above 0"),
        (lambda: CentralDifferences("x"), ValueError, "epsilon must be a number or one per"),
        (lambda: CentralDifferences(every=0), ValueError, "every must be at least 1, got 0"),
        (lambda: RandomDirections(0), ValueError, "count must be at least 1 .* got 0 and 0"),
        (lambda: ExactJacobian(3), TypeError, "function must be callable, got int"),
        (lambda: ExactJacobian(np.sin, 0), ValueError, "every must be at least 1, got 0"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_wrong_options_say_what_is_wrong(make, error, message):
    with pytest.raises(error, match=message):
        make()


class Unhashable:
    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __call__(self, x):
        return x


def test_what_does_not_go_with_a_black_box_is_refused():
    box = BlackBox(Counting(mlp().predict), 3)
    explainer = replace(mlp().explainer(), predict=box)
    with pytest.raises(ValueError, match="must return probabilities, but output is 'logits'"):
        replace(explainer, output="logits")
    two = EngineOptions(devices=tuple(jax.devices()[:2]))
    with pytest.raises(ValueError, match="asked from one place, but the engine has 2 devices"):
        replace(explainer, engine=two)
    wrong = replace(box, gradient=CentralDifferences((0.1, 0.2)))
    with pytest.raises(ValueError, match=r"epsilon has shape \(2,\); expected one number, or"):
        replace(explainer, predict=wrong).fit(mlp().x_train)


def test_another_function_compiles_nothing_anew(monkeypatch):
    traces = []
    kept = lanes._evaluate_and_step
    monkeypatch.setattr(
        lanes, "_evaluate_and_step", lambda *given: (traces.append(1), kept(*given))[1]
    )
    options: dict[str, Any] = {"search": search(max_steps=7), "engine": EngineOptions(lanes=5)}
    boxed(mlp(), **options)[0].explain(mlp().x)
    once = len(traces)
    assert once == 1
    for gradient in (CentralDifferences(0.01), RandomDirections()):
        boxed(mlp(), gradient, **options)[0].explain(mlp().x)
    assert len(traces) == once


def test_equal_black_boxes_are_one():
    model = LogisticRegression().fit(mlp().x_train, np.arange(60) % 3)
    assert BlackBox(model.predict_proba, 3) == BlackBox(model.predict_proba, 3)
    assert hash(BlackBox(model.predict_proba, 3)) == hash(BlackBox(model.predict_proba, 3))
    assert BlackBox(model.predict_proba, 3) != BlackBox(model.predict_proba, 4)
    epsilons = CentralDifferences([0.1, 0.2]), CentralDifferences(np.array([0.1, 0.2]))
    assert len(set(epsilons)) == 1


def test_params_go_to_the_other_functions_only():
    box = BlackBox(Counting(mlp().predict), 3)
    options = {"objective": objective("C"), "reconstruct": None}
    explainer = replace(
        mlp().explainer(**options),
        predict=box,
        encode=lambda params, x: mlp().encode(params * x),
        params=jnp.float32(1.0),
    )
    result = explainer.fit(mlp().x_train).explain(mlp().x)
    assert result.found.any()
    settings = result.settings["black_box"]
    assert settings["gradient"] == {"kind": "CentralDifferences", "epsilon": 1e-3, "every": 1}


def test_a_black_box_is_a_jax_function():
    box = BlackBox(Counting(mlp().predict), 3)
    expected = mlp().probabilities(mlp().x)
    assert_close(box(mlp().x), expected)
    assert_close(jax.jit(lambda x: 1.0 * box(x))(mlp().x), expected)


# --- scikit-learn --------------------------------------------------------------------------


def test_logistic_regression_from_end_to_end(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 4)).astype(np.float32)
    labels = (x[:, 0] + 0.5 * x[:, 1] > 0).astype(int)
    model = LogisticRegression().fit(x, labels)
    fitted = Explainer(BlackBox(model.predict_proba, 2)).fit(x)
    result = fitted.explain(x[:20])
    assert result.found.all()
    np.testing.assert_array_equal(model.predict(result.counterfactual), 1 - model.predict(x[:20]))
    result.save(tmp_path / "explained.npz")
    loaded = type(result).load(tmp_path / "explained.npz")
    np.testing.assert_array_equal(loaded.scores["predictions"], result.scores["predictions"])
    assert result.summary()["predictions"] > 0


def test_a_forest_has_no_gradient_but_objective_e_needs_none():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 4)).astype(np.float32)
    labels = (x[:, 0] + 0.5 * x[:, 1] > 0).astype(int)
    forest = RandomForestClassifier(20, n_jobs=2, random_state=0).fit(x, labels)
    explainer = Explainer(
        BlackBox(forest.predict_proba, 2),
        objective=Objective.named("E"),
        search=SearchOptions(max_steps=200),
    )
    result = explainer.fit(x).explain(x[:10])
    assert result.found.all()
    np.testing.assert_array_equal(forest.predict(result.counterfactual), 1 - forest.predict(x[:10]))


def test_a_thousand_lanes_of_twelve_features_are_asked_at_once():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1024, 12)).astype(np.float32)
    model = LogisticRegression().fit(x, (x.sum(axis=1) > 0).astype(int))
    calls = []

    def predict(x):
        calls.append(len(x))
        return model.predict_proba(x)

    fitted = Explainer(BlackBox(predict, 2), search=SearchOptions(max_steps=3)).fit(x)
    calls.clear()
    result = fitted.explain(x)
    assert (result.original_class >= 0).all()
    assert max(calls) > 24_000
    assert sum(calls) == result.scores["predictions"].sum()
