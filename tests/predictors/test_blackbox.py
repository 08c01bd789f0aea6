"""Models outside JAX: the same answers as in JAX, and every prediction counted."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from boxes import Counting, boxed, plain
from helpers import (
    assert_close,
    assert_joined_same,
    assert_same_answers,
    mlp,
    objective,
    search,
)
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from jaxcf import (
    BlackBox,
    CentralDifferences,
    Constraints,
    EngineOptions,
    ExactJacobian,
    Explainer,
    KDTree,
    Objective,
    RandomDirections,
    Refinement,
    SearchOptions,
)

# What differences of 2e-3 in float32 cost, carried through the search.
NEAR = 3e-3


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
    options: dict[str, Any] = {
        "search": search(rule, stop=stop, weight_rounds=rounds, max_steps=10, record_history=True)
    }

    @jax.jit
    def function(x):
        jacobian = jax.vmap(jax.jacrev(lambda row: mlp().predict(row[None])[0]))
        return mlp().predict(x), jacobian(x)

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


@pytest.mark.parametrize("most", [1, 2, 7])
def test_no_call_is_larger_than_that_from_fit_on(most):
    calls = []

    def predict(x):
        calls.append(len(x))
        return mlp().predict(x)

    box = BlackBox(predict, 3, max_rows_per_call=most)
    options = {"search": search(max_steps=3), "refinement": Refinement(sparsify=True)}
    replace(mlp().explainer(**options), predict=box).fit(mlp().x_train).explain(mlp().x)
    assert max(calls) == most


def test_the_default_number_of_lanes_fits_into_memory():
    box = BlackBox(Counting(mlp().predict), 3)
    assert box.lanes((12,)) == 1024
    assert box.lanes((28, 28, 1)) < 100
    assert replace(box, max_rows_per_call=1000).lanes((28, 28, 1)) == 1024


def test_random_directions_find_counterfactuals():
    fitted, _ = boxed(mlp(), RandomDirections(count=2), search=search(max_steps=100))
    result = fitted.explain(mlp().x)
    assert result.found.all()
    exact, _ = boxed(mlp(), RandomDirections(count=8), search=search(max_steps=100))
    expected = mlp().fit(search=search(max_steps=100)).explain(mlp().x)
    actual = exact.explain(mlp().x).counterfactual
    np.testing.assert_allclose(actual, expected.counterfactual, atol=0.02)


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
    result = fitted.explain(mlp().x, constraints=Constraints(lower, upper))
    expected = mlp().fit().explain(mlp().x, constraints=Constraints(lower, upper))
    np.testing.assert_array_equal(result.counterfactual[:, 0], mlp().x[:, 0])
    assert (result.counterfactual[:, 1] <= upper[:, 1]).all()
    np.testing.assert_allclose(result.counterfactual, expected.counterfactual, atol=NEAR)


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
