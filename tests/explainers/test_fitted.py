"""A fitted explainer is of the model as it is: one that changes is seen."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same_answers, compilations

from jaxcf import EngineOptions, Explainer, Explanations, Status

WEIGHTS = np.array([[3.0, -3.0], [1.0, -1.0]], np.float32)
X = np.random.default_rng(0).uniform(-1, 1, (48, 2)).astype(np.float32)
ENGINE = EngineOptions(lanes=16)


@dataclass
class Model:
    """A model of arrays that are replaced when it is trained. It has no hash."""

    weights: Any

    def __call__(self, x):
        return jax.nn.softmax(x @ self.weights)

    def train(self):
        self.weights = -self.weights


def fit(model, **options):
    return Explainer(model, engine=ENGINE, **options).fit(X)


def agrees(explanations: Explanations, model) -> bool:
    """Whether the model itself, asked directly, says what the explanations say of it."""
    original = np.asarray(model(explanations.original)).argmax(axis=1)
    reached = np.asarray(model(explanations.counterfactual)).argmax(axis=1)
    return bool(
        (original == explanations.original_class).all()
        and (reached == explanations.counterfactual_class).all()
    )


def test_a_model_retrained_in_place_is_explained_as_it_is():
    model = Model(WEIGHTS)
    explainer = Explainer(model, engine=ENGINE)
    fitted = explainer.fit(X)
    before = fitted.explain(X)
    assert before.found.all()
    assert agrees(before, model)
    with compilations() as compiled:  # the model is still the same
        assert_same_answers(Explainer(model, engine=ENGINE).fit(X).explain(X), before)
    assert not compiled

    model.train()
    for use in (
        lambda: fitted.explain(X),
        lambda: fitted.stream([X]),
        lambda: fitted.trace(before, X),
    ):
        with pytest.raises(ValueError, match=r"predict changed since fit.*call fit again"):
            use()
    for refitted in (explainer.fit(X), Explainer(model, engine=ENGINE).fit(X)):
        again = refitted.explain(X)
        assert again.found.all()
        assert agrees(again, model)
        assert (again.original_class != before.original_class).all()


def test_an_encoder_and_a_decoder_are_named_too():
    scale = {"encode": 2.0, "decode": 0.5}
    fitted = Explainer(
        lambda x: jax.nn.softmax(x @ WEIGHTS),
        encode=lambda x: x * scale["encode"],
        decode=lambda x: x * scale["decode"],
        engine=ENGINE,
    ).fit(X)
    scale.update(encode=4.0, decode=0.25)
    with pytest.raises(ValueError, match="encode and decode changed since fit"):
        fitted.explain(X)


def test_what_changes_beside_params_is_found_by_the_last_look():
    hidden = {"turn": 1.0}

    def predict(params, x):
        return jax.nn.softmax(hidden["turn"] * (x @ params))

    fitted = fit(predict, params=jnp.asarray(WEIGHTS))
    assert fitted.explain(X).found.all()
    hidden["turn"] = -1.0
    with pytest.warns(RuntimeWarning, match=r"decides otherwise for 48 of 48 rows.*Call fit again"):
        explanations = fitted.explain(X)
    assert (explanations.status == Status.NOT_CONFIRMED).all()
    asked = predict(fitted.params, explanations.counterfactual)
    np.testing.assert_array_equal(explanations.counterfactual_class, asked.argmax(axis=1))
    hidden["turn"] = 1.0 + 1e-6  # another trace, and no other decision
    assert fitted.explain(X).found.all()


def test_a_model_that_changes_while_rows_are_searched_is_asked_anew():
    model = Model(WEIGHTS)
    answers = fit(model).stream(iter([X, X]))
    assert agrees(next(answers), model)
    model.train()
    with pytest.warns(RuntimeWarning, match="predict changed since fit"):
        late = next(answers)
    assert (late.status == Status.NOT_CONFIRMED).all()


def test_a_model_that_can_not_be_asked_any_more_confirms_nothing():
    hidden: dict[str, Any] = {"turn": 1.0}
    fitted = fit(lambda params, x: jax.nn.softmax(hidden["turn"] * (x @ params)), params=WEIGHTS)
    assert fitted.explain(X).found.all()
    del hidden["turn"]
    with pytest.warns(RuntimeWarning, match="decides otherwise for 48 of 48 rows"):
        explanations = fitted.explain(X)
    assert (explanations.status == Status.NOT_CONFIRMED).all()
    assert (explanations.counterfactual_class == -1).all()
