"""Options that don't go together are refused wherever they meet: made, changed or replaced."""

from dataclasses import fields, replace

import jax
import numpy as np
import pytest
from helpers import assert_same_answers, linear, mlp, objective, search

from jaxcf import BlackBox, EngineOptions, Explainer, Objective, Refinement, SearchOptions
from jaxcf.explainers.state import FittedState
from jaxcf.tabular import TableExplainer


def fitted(**options):
    return Explainer(mlp().predict, **options).fit(mlp().x_train)


REFUSED = {
    "an objective without its autoencoder": ({"objective": Objective.named("D")}, "no reconstruct"),
    "a negative trust threshold": ({"trust_threshold": -0.5}, "trust_threshold must be >= 0"),
}


@pytest.mark.parametrize(("changes", "message"), REFUSED.values(), ids=REFUSED)
def test_what_an_explainer_refuses_no_change_brings_in(changes, message):
    with pytest.raises(ValueError, match=message):
        Explainer(mlp().predict, **changes)
    ready = fitted()
    with pytest.raises(ValueError, match=message):
        ready.with_options(**changes)
    with pytest.raises(ValueError, match=message):
        replace(ready, **changes)


def test_a_line_search_stays_in_input_space():
    refinement = Refinement(line_search=True)
    assert fitted().with_options(refinement=refinement).refinement.line_search
    with pytest.raises(ValueError, match="line search would begin at training rows"):
        mlp().fit().with_options(refinement=refinement)


def test_several_devices_are_none_for_a_black_box():
    box = BlackBox(lambda x: np.asarray(linear().predict(x)), 2)
    ready = Explainer(box, objective="E").fit(linear().x_train)
    with pytest.raises(ValueError, match="the engine has 2 devices"):
        ready.with_options(engine=EngineOptions(devices=("one", "two")))


def test_prototypes_in_input_space_need_a_search_there():
    # Objective A looks at no prototype, so its kind doesn't matter; C does.
    ready = mlp().fit(objective=objective("A"), prototypes="kdtree")
    with pytest.raises(ValueError, match="lie in input space but an encode function was given"):
        ready.with_options(objective="C")


def test_another_confidence_asks_for_other_prototypes():
    ready = fitted(objective=Objective.named("C", confidence=0.5))
    with pytest.raises(ValueError, match=r"surer than 0\.5; fit an Explainer with that objective"):
        ready.with_options(objective=Objective.named("C"))
    assert ready.with_options(objective=Objective.named("C", confidence=0.5)) is not ready


def test_an_unknown_objective_is_named():
    with pytest.raises(ValueError, match="unknown objective 'G'"):
        fitted().with_options(objective="G")


def test_changed_options_are_those_of_a_new_fit():
    changes = {
        "objective": objective("D"),
        "search": search("fista", stop="budget"),
        "trust_threshold": 0.1,
        "refinement": Refinement(sparsify=True),
        "engine": EngineOptions(lanes=2),
    }
    changed = mlp().fit().with_options(**changes)
    assert_same_answers(changed.explain(mlp().x), mlp().fit(**changes).explain(mlp().x))
    back = changed.with_options(trust_threshold=None)
    assert "trust" in changed.explain(mlp().x[:2]).scores
    assert "trust" not in back.explain(mlp().x[:2]).scores


def test_what_is_not_named_stays():
    ready = fitted(trust_threshold=0.25, refinement=Refinement(sparsify=True))
    changed = ready.with_options(search=SearchOptions(max_steps=7))
    assert changed.search.max_steps == 7
    for one in fields(FittedState):
        if one.name != "search":
            assert getattr(changed, one.name) is getattr(ready, one.name), one.name


def test_a_table_has_the_same():
    table = {"age": [20, 30, 50, 60], "pay": [1.0, 4.0, 2.0, 3.0]}
    fitted_table = TableExplainer(_decides_by_age, class_names=("young", "old")).fit(table)
    changed = fitted_table.with_options(search=SearchOptions(max_steps=9), objective="A")
    assert changed.of_coordinates.search.max_steps == 9
    assert changed.of_coordinates.objective.terms == ("prediction", "l1", "l2")
    assert changed.class_names == ("young", "old")
    assert changed.explain(table).found.all()
    with pytest.raises(ValueError, match="which tables have no autoencoder for"):
        fitted_table.with_options(objective="D")
    with pytest.raises(ValueError, match="trust_threshold must be >= 0"):
        fitted_table.with_options(trust_threshold=-1.0)


def _decides_by_age(x):
    return jax.nn.softmax((x[:, :1] - 0.5) * np.array([[-8.0, 8.0]], np.float32))
