"""Solvers and terms of the caller's own: what a search gives them, and what they must be."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest
from helpers import assert_close, linear, mlp, objective, search

from jaxcf import Explainer, Objective, Refinement, SearchOptions, Status, solvers
from jaxcf.solvers import SolverState

# --- any optax transformation --------------------------------------------------------------


@lru_cache
def transformation(name):
    made = {
        "adabelief": lambda: optax.adabelief(0.05),
        "lion": lambda: optax.lion(0.05),
        "lbfgs without a linesearch": lambda: optax.lbfgs(0.5, linesearch=None),
        "every other step": lambda: optax.MultiSteps(optax.sgd(0.1), 2).gradient_transformation(),
        "polyak_sgd": lambda: optax.polyak_sgd(0.1),
        "momo": lambda: optax.contrib.momo(0.1),
        "plateau": lambda: optax.chain(
            optax.adam(0.05), optax.contrib.reduce_on_plateau(patience=2)
        ),
        "lbfgs": optax.lbfgs,
        "backtracking": lambda: optax.chain(
            optax.sgd(1.0), optax.scale_by_backtracking_linesearch(9)
        ),
    }
    return solvers.from_optax(made[name](), step_size=0.05, name=name)


@pytest.mark.parametrize(
    "name",
    [
        "adabelief",
        "lion",
        "lbfgs without a linesearch",
        "every other step",
        "polyak_sgd",
        "momo",
        "plateau",
    ],
)
def test_optax_transformations_search(name):
    # A rule that watches the objective needs one that doesn't soar.
    options = SearchOptions(solver=transformation(name), max_steps=60, weight_growth=1.1)
    assert linear().fit(search=options, objective="A").explain(linear().x).found.any()


@pytest.mark.parametrize("name", ["lbfgs", "backtracking"])
def test_a_linesearch_is_refused_in_a_sentence(name):
    message = (
        rf"the solver '{name}' can't take a step .*missing .*'value_fn'.* "
        r"optax.lbfgs\(1e-2, linesearch=None\)"
    )
    with pytest.raises(TypeError, match=message):
        linear().fit(search=SearchOptions(solver=transformation(name)))


@pytest.mark.parametrize("proximal", [True, False])
def test_the_value_is_that_of_the_objective_whose_gradient_is_given(proximal):
    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        del updates, state, params
        # As far as value says, in the direction that grad says.
        return -0.02 * extra["value"] * jnp.sign(extra["grad"]), extra["value"]

    speaking = optax.GradientTransformationExtraArgs(lambda params: jnp.float32(0), update)
    rule = solvers.GradientSolver("speaking", speaking, lambda state: 0.0, proximal=proximal)
    options = search(rule, max_steps=2, stop="budget", record_history=True, record_path=True)
    asked = {"objective": objective("D", l1_weight=0.3), "feature_range": (-50.0, 50.0)}
    result = linear().fit(search=options, **asked).explain(linear().x)
    for turn in range(2):
        names = [name for name in result.history if not (proximal and name == "l1")]
        expected = np.sum([result.history[name][:, turn] for name in names], axis=0)
        assert (expected != 0).all()
        path = result.path
        assert path is not None
        gone = np.abs(path[:, turn + 1] - path[:, turn]).max(axis=1)
        assert_close(gone, 0.02 * np.abs(expected).astype(np.float32))


# --- solvers of one's own ------------------------------------------------------------------


@dataclass(frozen=True)
class Drift:
    """Moves against the sign of the gradient; what it remembers is up to `memory`."""

    memory: Any = 0
    name: str = "drift"

    proximal = False
    looks_ahead = False

    def init(self, instance):
        start = instance.original
        return SolverState(start, start, jnp.asarray(0, jnp.int32))

    def update(self, state, gradient, instance, l1_weight, progress):
        point = state.iterate - 0.05 * jnp.sign(gradient)
        return SolverState(point, point, state.memory + self.memory)


@dataclass(frozen=True)
class Bare(Drift):
    def init(self, instance):
        return instance.original


@dataclass(frozen=True)
class Flat(Drift):
    def init(self, instance):
        return super().init(instance)._replace(iterate=jnp.zeros(3), query=jnp.zeros(3))

    def update(self, state, gradient, instance, l1_weight, progress):
        return state


@dataclass(frozen=True)
class Growing(Drift):
    def update(self, state, gradient, instance, l1_weight, progress):
        return state._replace(memory=(state.memory, 1))


@dataclass(frozen=True)
class Narrow(Drift):
    def update(self, state, gradient):
        return state


def test_a_solver_without_a_value_gets_none():
    assert linear().fit(search=search(Drift(1))).explain(linear().x).found.any()


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (Drift(0.5), r"'drift' turns state.memory from int32\[\] into float32\[\]; its update"),
        (Bare(), r"'drift' begins with a .*; its init must return a SolverState"),
        (Flat(), r"begins with state.iterate of float32\[3\]; expected float32\[5\]"),
        (Growing(), r"'drift' turns its state .* into .*; its update must return a state like"),
        (
            Narrow(),
            r"'drift' can't take a step on an instance of shape \(5,\): TypeError: .*update",
        ),
    ],
    ids=["dtype", "no state", "shape", "structure", "arguments"],
)
def test_a_solver_whose_state_is_wrong_is_refused(rule, message):
    with pytest.raises(TypeError, match=message):
        mlp().fit(search=search(rule))
    with pytest.raises(TypeError, match=message):
        mlp().fit().with_options(search=search(rule))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("adam", r"got the name 'adam'; pass solvers.named\('adam'\)"),
        (optax.adam(0.01), r"an optax transformation.*pass solvers.from_optax\(transformation, st"),
        (solvers.adam, r"got the function adam; call it, as solvers.adam\(\)"),
        (solvers.Fista, "got the class Fista; pass an instance of it"),
        (3, r"got int; pass one such as solvers.adam\(\)"),
        (None, r"got NoneType; pass one such as solvers.adam\(\)"),
        (Drift([]), r"solver 'drift' can't be hashed .*frozen dataclass of hashable fields"),
    ],
    ids=["name", "optax", "function", "class", "number", "nothing", "unhashable"],
)
@pytest.mark.usefixtures("without_type_checks")
def test_what_is_no_solver_is_told_how_to_become_one(given, message):
    with pytest.raises(TypeError, match=message):
        SearchOptions(solver=given)


# --- terms of one's own --------------------------------------------------------------------

TERMS = {
    "array": (lambda c: c.perturbation, ValueError, r"returned shape \(5,\); expected one number"),
    "row": (lambda c: c.point[:1], ValueError, r"returned shape \(1,\); expected one number"),
    "tuple": (lambda c: (c.point.sum(),), TypeError, "returned tuple; expected one number"),
    "fault": (lambda c: c.nothing, TypeError, "can't be called: AttributeError: .*nothing"),
    "none": (lambda c: None, TypeError, "returned NoneType; expected one number"),
    "no argument": (lambda: 0.0, TypeError, "can't be called: TypeError"),
}


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.usefixtures("without_type_checks")
def test_a_term_that_is_no_number_is_named(name):
    term, error, message = TERMS[name]
    wrong = objective("D").with_term("mine", term)
    with pytest.raises(error, match=f"the term 'mine' {message}"):
        mlp().fit(objective=wrong)
    with pytest.raises(error, match=f"the term 'mine' {message}"):
        mlp().fit(objective=objective("D")).with_options(objective=wrong)


def test_a_term_may_look_at_all_that_there_is():
    def everything(candidate):
        outputs = candidate.outputs
        seen = outputs.probabilities.sum() + outputs.encoding.sum() + outputs.reconstruction.sum()
        return seen + candidate.margin + candidate.confidence + candidate.instance.prototype.sum()

    wide = objective("D").with_term("everything", everything, 1e-3)
    assert mlp().fit(objective=wide).explain(mlp().x).found.any()


# --- options of a wrong kind ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"search": "adam"}, r"search must be SearchOptions, got str; pass SearchOptions\(...\)"),
        ({"engine": 4}, "engine must be EngineOptions, got int"),
        ({"refinement": True}, "refinement must be Refinement, got bool"),
        ({"objective": 3}, "objective must be an Objective or a name of A, .* got int"),
        ({"prototypes": 3}, r"prototypes must be a name or a kind such as .*, got int"),
        ({"prototypes": type(mlp().fit().prototypes.kind)}, "got the class NearestMean"),
        ({"trust_threshold": "1"}, r"trust_threshold must be a number >= 0, got '1' \(str\)"),
        ({"trust_threshold": True}, "trust_threshold must be a number >= 0, got True"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
@pytest.mark.usefixtures("without_type_checks")
def test_an_option_of_a_wrong_kind_is_named(options, message):
    with pytest.raises(TypeError, match=message):
        replace(Explainer(mlp().predict, refinement=Refinement()), **options)


@pytest.mark.usefixtures("without_type_checks")
def test_a_weight_for_each_feature_is_refused():
    wide = replace(Objective.named("C"), l2_weight=np.ones(5))
    with pytest.raises(ValueError, match=r"l2_weight must be a single number, got shape \(5,\)"):
        mlp().explainer(objective=wide)
    several: Any = np.ones(2)
    own = Objective.named("C").with_term("own", lambda c: c.point.sum(), several)
    with pytest.raises(ValueError, match=r"weight of the term 'own' must be a single number"):
        mlp().explainer(objective=own)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("rule", ["normalized", "fista", "subgradient_adam"])
def test_a_term_that_is_not_finite_ends_its_row_and_no_other(value, rule):
    row = 2
    spoilt = float(mlp().x[row, 0])

    def own(candidate):
        here = candidate.instance.original[0] == spoilt
        return jnp.where(here, value, jnp.sum(jnp.square(candidate.perturbation)))

    plain = objective("C").with_term("own", lambda c: jnp.sum(jnp.square(c.perturbation)), 0.1)
    options: dict[str, Any] = {"search": search(rule, stop="budget")}
    ended = mlp().fit(objective=objective("C").with_term("own", own, 0.1), **options)
    result, expected = (
        one.explain(mlp().x) for one in (ended, mlp().fit(objective=plain, **options))
    )
    assert Status(int(result.status[row])) == Status.MODEL_NOT_FINITE
    assert result.steps[row] == 0
    others = np.arange(len(mlp().x)) != row
    np.testing.assert_array_equal(result.status[others], expected.status[others])
    assert_close(result.counterfactual[others], expected.counterfactual[others])


def test_a_term_whose_values_have_changed_is_another_term():
    wanted = {"place": 0.9}

    def near(candidate):
        return jnp.square(candidate.point[0] - wanted["place"])

    def losses(explanations):
        return explanations.losses["near"], (
            explanations.counterfactual[:, 0] - wanted["place"]
        ) ** 2

    own = objective("A").with_term("near", near, weight=1.0)
    fitted = linear().fit(objective=own)
    assert_close(*losses(fitted.explain(linear().x)))
    wanted["place"] = -0.9
    with pytest.raises(ValueError, match="the term 'near' changed since fit"):
        fitted.explain(linear().x)
    for again in (linear().fit(objective=own), fitted.with_options(objective=fitted.objective)):
        assert_close(*losses(again.explain(linear().x)))
