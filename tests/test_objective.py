"""The loss terms against the paper's formulas and against finite differences."""

import json
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import OBJECTIVES, assert_close, mlp, objective, search

from jaxcf import Candidate, Objective
from jaxcf.decisions import Outputs
from jaxcf.objective import TERMS, Instance, loss_terms
from jaxcf.predictors.functions import ModelFunctions

TABLE = {
    "A": {"prediction", "l1", "l2"},
    "B": {"prediction", "l1", "l2", "reconstruction"},
    "C": {"prediction", "l1", "l2", "prototype"},
    "D": {"prediction", "l1", "l2", "reconstruction", "prototype"},
    "E": {"l1", "l2", "prototype"},
    "F": {"l1", "l2", "reconstruction", "prototype"},
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_named_objectives_have_the_papers_terms_and_the_reports_weights(name):
    named = Objective.named(name)
    assert set(named.terms) == TABLE[name]
    if "prototype" in named.terms:
        assert named.prototype_weight == (200.0 if name in "CE" else 100.0)
    assert (named.l1_weight, named.l2_weight, named.reconstruction_weight) == (0.1, 1.0, 100.0)
    assert named.margin == 0.0


def nothing(candidate: Candidate) -> jax.Array:
    return jnp.zeros_like(candidate.point[0])


def one_instance(dtype=np.float32) -> tuple[Instance, jax.Array, Outputs]:
    instance = Instance(
        original=jnp.asarray([0.5, -0.25], dtype),
        original_class=jnp.asarray(0, jnp.int32),
        targets=jnp.asarray([False, True, True]),
        prototype=jnp.asarray([1.0, 0.0, 2.0], dtype),
        lower=jnp.full(2, -1, dtype),
        upper=jnp.full(2, 1, dtype),
    )
    point = jnp.asarray([0.25, 0.5], dtype)
    outputs = Outputs(
        probabilities=jnp.asarray([0.6, 0.3, 0.1], dtype),
        encoding=jnp.asarray([0.5, 0.5, 0.5], dtype),
        reconstruction=jnp.asarray([0.0, 0.25], dtype),
    )
    return instance, point, outputs


def test_terms_are_those_of_the_paper_worked_out_by_hand():
    instance, point, outputs = one_instance()
    weighted = Objective(
        l1_weight=0.1, l2_weight=2.0, reconstruction_weight=4.0, prototype_weight=8.0
    )
    terms = loss_terms(weighted, 3.0, instance, point, point - instance.original, outputs)
    assert tuple(terms) == weighted.term_names
    expected = {
        "prediction": 3.0 * (0.6 - 0.3),
        "l1": 0.1 * (0.25 + 0.75),
        "l2": 2.0 * (0.25**2 + 0.75**2),
        "reconstruction": 4.0 * (0.25**2 + 0.25**2),
        "prototype": 8.0 * (0.5**2 + 0.5**2 + 1.5**2),
    }
    for name, value in expected.items():
        assert_close(np.float32(terms[name]), np.float32(value), name)


@pytest.mark.parametrize(("margin", "expected"), [(0.0, 0.0), (0.1, -0.1), (0.5, -0.2)])
def test_the_prediction_term_stops_falling_at_minus_kappa(margin, expected):
    instance, point, outputs = one_instance()
    flipped = outputs._replace(probabilities=jnp.asarray([0.3, 0.5, 0.2]))
    only = Objective(margin=margin, terms=("prediction",))
    terms = loss_terms(only, 1.0, instance, point, point, flipped)
    assert_close(np.float32(terms["prediction"]), np.float32(expected))


@pytest.mark.parametrize("unit", ["probability", "log_odds"])
def test_an_objective_by_log_odds_turns_the_decision_as_surely_as_asked_for(unit):
    chosen = objective("A", prediction=unit, confidence=0.9)
    result = (
        mlp()
        .fit(objective=chosen, search=search(max_steps=100, weight_growth=1.1))
        .explain(mlp().x)
    )
    assert result.found.all()
    assert (mlp().probabilities(result.counterfactual).max(axis=1) > 0.9).all()
    assert result.settings["objective"]["prediction"] == unit


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradients_agree_with_finite_differences(name):
    problem = mlp()
    models = ModelFunctions(problem.predict, problem.encode, problem.reconstruct)
    weighted = objective(name, margin=0.9)  # a lead that isn't reached: the term keeps its slope
    with jax.enable_x64(True):
        original, prototype = jnp.asarray(problem.x[0], jnp.float64), jnp.full(4, 0.2)
        original_class = int(problem.probabilities(problem.x[:1]).argmax())
        instance = Instance(
            original=original,
            original_class=jnp.asarray(original_class, jnp.int32),
            targets=jnp.arange(3) != original_class,
            prototype=prototype,
            lower=original - 1,
            upper=original + 1,
        )

        @jax.jit
        def total(point: jax.Array) -> jax.Array:
            outputs = models.outputs(
                None,
                point[None],
                encoding=weighted.needs_encoding,
                reconstruction=weighted.needs_reconstruction,
            )
            single = jax.tree.map(lambda leaf: leaf[0], outputs)
            return sum(
                loss_terms(weighted, 2.0, instance, point, point - original, single).values(),
                start=jnp.zeros(()),
            )

        # Away from d = 0, where |d| has no gradient.
        point = original + jnp.asarray([0.11, -0.07, 0.05, 0.2, -0.03])
        gradient = jax.grad(total)(point)
        width = 1e-5
        differences = jnp.stack(
            [(total(point + e) - total(point - e)) / (2 * width) for e in width * jnp.eye(5)]
        )
        assert gradient.dtype == jnp.float64
        np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-8)
        assert (np.abs(gradient) > 1e-3).all()


def test_terms_left_out_are_not_computed():
    instance, point, outputs = one_instance()
    unasked = outputs._replace(encoding=None, reconstruction=None)
    terms = loss_terms(Objective.named("A"), 1.0, instance, point, point, unasked)
    assert set(terms) == TABLE["A"]
    assert not Objective.named("A").needs_encoding
    assert not Objective.named("A").needs_reconstruction


def test_an_extra_term_sees_one_instance_and_is_weighted():
    seen = {}

    def brightness(candidate):
        seen.update(
            point=candidate.point.shape,
            targets=candidate.instance.targets.shape,
            probabilities=candidate.outputs.probabilities.shape,
        )
        return jnp.sum(candidate.perturbation)

    extended = Objective.named("E").with_term("brightness", brightness, weight=3.0)
    assert extended.term_names == (*Objective.named("E").terms, "brightness")
    instance, point, outputs = one_instance()
    terms = loss_terms(extended, 1.0, instance, point, point - instance.original, outputs)
    assert float(terms["brightness"]) == 3.0 * (-0.25 + 0.75)
    assert seen == {"point": (2,), "targets": (3,), "probabilities": (3,)}


def test_an_extra_term_steers_the_search():
    def left(candidate):
        return jnp.square(candidate.point[0] - 0.9)

    plain = mlp().fit(objective=objective("A")).explain(mlp().x)
    with_term = objective("A").with_term("left", left, weight=50.0)
    steered = mlp().fit(objective=with_term).explain(mlp().x)
    assert (steered.counterfactual[:, 0] > plain.counterfactual[:, 0]).all()
    assert_close(steered.losses["left"], 50 * (steered.counterfactual[:, 0] - 0.9) ** 2)


def test_dropping_a_term_drops_its_weight_only():
    extended = Objective.named("D").with_term("one", nothing, 1.0).with_term("two", nothing, 2.0)
    rest = extended.without("one", "reconstruction")
    assert rest.term_names == ("prediction", "l1", "l2", "prototype", "two")
    assert rest.extra_weights == (2.0,)
    with pytest.raises(ValueError, match="no term 'three' to drop; there are"):
        extended.without("three")


@pytest.mark.parametrize("number", [int, float, np.float64, np.float32, np.int64, jnp.asarray])
def test_weights_may_be_any_sort_of_number_and_are_recorded_as_plain_ones(number):
    weighted = replace(Objective.named("A"), l1_weight=number(2), margin=number(0))
    record = json.loads(json.dumps(weighted.settings()))
    assert record == {
        "prediction": "probability",
        "terms": ["prediction", "l1", "l2"],
        "weights": {"l1": 2.0, "l2": 1.0},
        "margin": 0.0,
        "confidence": 0.0,
    }


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(Objective.named, "G"), "unknown objective 'G'; the named ones are A, B, C, D"),
        (partial(Objective, terms=("l1", "l3")), "unknown loss term 'l3'; the terms are "),
        (partial(Objective, terms=("l1", "l1")), "each term may be named once"),
        (partial(Objective, terms=()), "needs at least one term"),
        (partial(Objective, extra_weights=(1.0,)), "0 extra terms need as many extra_weights"),
        (
            partial(Objective().with_term("own", nothing).with_term, "own", nothing),
            "each term may be named once",
        ),
        *(
            (partial(Objective.named("E").without("l1").with_term, name, nothing), "of the paper's")
            for name in TERMS
        ),
    ],
)
def test_a_wrong_objective_says_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_terms_are_listed_in_the_order_of_eq_8():
    assert TERMS == ("prediction", "l1", "l2", "reconstruction", "prototype")
