"""Guides: other models that have to agree, asked directly about what is called found."""

from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from boxes import Counting
from helpers import assert_same_answers, compilations, mlp, objective, search

from jaxcf import (
    BlackBox,
    CentralDifferences,
    Constraints,
    Explanations,
    Guide,
    Objective,
    Refinement,
    Status,
    presets,
)

# Another view of the problem: a linear one, with its own weights as params.
WEIGHTS = np.linalg.lstsq(
    np.asarray(mlp().x_train),
    np.log(mlp().probabilities(mlp().x_train) + 1e-3),
    rcond=None,
)[0].astype(np.float32)


def score(params, x):
    return x @ params


score.pure = True  # pyright: ignore[reportFunctionMemberAccess]


def linear_guide(**options):
    return Guide(score, **({"params": WEIGHTS, "output": "logits", "confidence": 0.5} | options))


def doubtful_guide():
    """Of the same opinion, but never so sure."""
    return linear_guide(params=0.1 * WEIGHTS, confidence=0.9999, name="doubtful")


def guided(*guides, **options):
    chosen = {"objective": objective("A"), "search": search(max_steps=250, weight_growth=1.1)}
    return mlp().fit(guides=guides, **(chosen | options))


@lru_cache
def explained():
    return guided(linear_guide(name="linear")).explain(mlp().x)


def said_by_linear(x):
    return np.asarray(jax.nn.softmax(jnp.asarray(x) @ WEIGHTS))


# --- what is found --------------------------------------------------------------------------


@pytest.mark.parametrize("prediction", ["probability", "log_odds"])
@pytest.mark.parametrize("stop", ["first_flip", "budget"])
def test_what_is_found_convinces_the_model_and_its_guide(prediction, stop):
    chosen = {
        "objective": objective("A", prediction=prediction, confidence=0.4),
        "search": search(max_steps=60, extra_steps=200, weight_growth=1.1, stop=stop),
    }
    found = guided(linear_guide(confidence=0.7), **chosen).explain(mlp().x)
    assert found.found.all()
    model, guide = mlp().probabilities(found.counterfactual), said_by_linear(found.counterfactual)
    decided = found.counterfactual_class
    assert (decided != found.original_class).all()
    np.testing.assert_array_equal(model.argmax(axis=1), decided)
    np.testing.assert_array_equal(guide.argmax(axis=1), decided)
    assert (model.max(axis=1) > 0.4).all()
    assert (guide.max(axis=1) > 0.7).all()


def test_results_hold_what_each_guide_says_before_and_after(tmp_path):
    result = explained()
    before, after = result.guide_original_probabilities, result.guide_probabilities
    assert before is not None
    assert after is not None
    np.testing.assert_allclose(before[:, 0], said_by_linear(result.original), atol=1e-6)
    np.testing.assert_allclose(after[:, 0], said_by_linear(result.counterfactual), atol=1e-6)
    rows = np.arange(len(result))
    given_class = after[rows, 0, result.counterfactual_class]
    np.testing.assert_array_equal(result.scores["guide_probability"], given_class)
    assert (result.scores["guides_convinced"][result.found] == 1).all()
    assert result.settings["guides"]["confidence"] == {"linear": 0.5}
    result[::-1].save(tmp_path / "answers.npz")
    loaded = Explanations.load(tmp_path / "answers.npz")
    np.testing.assert_array_equal(loaded.guide_probabilities, after[::-1])
    np.testing.assert_array_equal(loaded.guide_original_probabilities, before[::-1])


def test_without_guides_nothing_is_said_of_them():
    result = mlp().fit().explain(mlp().x[:1])
    assert result.guide_probabilities is None
    assert "guides" not in result.settings


def test_a_guide_that_is_never_convinced_has_a_status_of_its_own():
    result = guided(doubtful_guide()).explain(mlp().x)
    assert (result.status == Status.GUIDE_NOT_CONVINCED).all()
    decided = mlp().probabilities(result.counterfactual).argmax(axis=1)
    assert (decided != result.original_class).all()
    assert (result.scores["guides_convinced"] == 0).all()
    assert "guides" in result.messages[0]


@pytest.mark.parametrize(("agreement", "enough"), [(1.0, False), (0.5, True), (2 / 3, True)])
def test_a_share_of_the_guides_will_do(agreement, enough):
    guides = [linear_guide(name="one"), doubtful_guide(), linear_guide(name="two")]
    result = guided(*guides, agreement=agreement).explain(mlp().x)
    assert result.found.all() == enough
    assert (result.status == Status.GUIDE_NOT_CONVINCED).all() != enough


def test_another_share_of_the_guides_that_are_there_can_be_asked_for():
    def needed(fitted):
        return fitted.method_settings["guides"]["needed"]

    fitted = guided(linear_guide(name="one"), doubtful_guide())
    half = fitted.with_options(agreement=0.5)
    assert needed(half) == 1
    assert needed(half.with_options(search=search(max_steps=9))) == 1
    assert half.explain(mlp().x[:2]).found.all()
    anew = half.with_options(guides=[linear_guide(name="one"), doubtful_guide()])
    assert needed(anew) == 2  # those that are given anew have to agree all


def test_guides_choose_neither_training_rows_nor_target_classes():
    alone = mlp().fit(objective=objective("C"))
    led = mlp().fit(objective=objective("C"), guides=[doubtful_guide()])
    np.testing.assert_array_equal(alone.training_class, led.training_class)
    without, beside = alone.explain(mlp().x), led.explain(mlp().x)
    np.testing.assert_array_equal(without.target_class, beside.target_class)
    np.testing.assert_array_equal(without.prototype, beside.prototype)


def test_rules_and_targets_hold_with_guides():
    frozen = np.zeros(5, bool)
    frozen[0] = True
    rules = Constraints(frozen=frozen)
    result = guided(linear_guide()).explain(mlp().x, target=2, constraints=rules)
    np.testing.assert_array_equal(result.counterfactual[:, 0], result.original[:, 0])
    assert (result.counterfactual_class[result.found] == 2).all()


def test_single_rows_get_what_the_batch_gets():
    for row in range(3):
        alone = guided(linear_guide(name="linear")).explain(mlp().x[row : row + 1])
        assert_same_answers(alone, explained()[[row]])


def test_other_params_and_confidences_compile_nothing_anew():
    guided(linear_guide()).explain(mlp().x)
    with compilations() as compiled:
        other = guided(linear_guide(params=WEIGHTS * 0.9, confidence=0.6)).explain(mlp().x)
    assert not compiled
    assert other.scores["guide_probability"][other.found].min() > 0.6


def test_other_guides_need_no_fit():
    fitted = mlp().fit(objective=objective("A"), search=search(max_steps=250, weight_growth=1.1))
    led = fitted.with_options(guides=[linear_guide(name="linear")])
    assert_same_answers(led.explain(mlp().x), explained())
    assert led.with_options(guides=[]).explain(mlp().x).guide_probabilities is None


# --- outside JAX ----------------------------------------------------------------------------


def boxed_linear():
    model = Counting(lambda x: jax.nn.softmax(x @ WEIGHTS))
    return model, Guide(BlackBox(model, 3, CentralDifferences(1e-2)), confidence=0.5, name="linear")


@pytest.mark.parametrize("boxed", ["guide", "model", "both"])
def test_models_outside_jax_are_led_and_lead_like_those_inside(boxed):
    model, guide = boxed_linear() if boxed != "model" else (None, linear_guide(name="linear"))
    explainer = mlp().explainer(
        objective=objective("A"),
        search=search(max_steps=250, weight_growth=1.1),
        guides=[guide],
    )
    if boxed != "guide":
        explained_box = BlackBox(Counting(mlp().predict), 3, CentralDifferences(1e-2))
        explainer = replace(explainer, predict=explained_box)
    fitted = explainer.fit(mlp().x_train)
    before = model.rows if model else 0
    result = fitted.explain(mlp().x)
    np.testing.assert_array_equal(result.found, explained().found)
    decided = result.counterfactual_class[result.found]
    for said in (mlp().probabilities, said_by_linear):
        np.testing.assert_array_equal(
            said(result.counterfactual).argmax(axis=1)[result.found], decided
        )
    if model and boxed == "guide":
        assert result.scores["predictions"].sum() == model.rows - before


def test_a_guide_outside_jax_that_fails_loses_no_other_row():
    def fails_for_the_first(x):
        if (np.asarray(x)[:, -1] == mlp().x[0, -1]).any():
            raise RuntimeError("not this one")
        return said_by_linear(x)

    fitted = guided(Guide(BlackBox(fails_for_the_first, 3, CentralDifferences(1e-2, every=1))))
    # The first row's idle feature is its mark: nothing changes it.
    frozen = np.arange(5) == 4
    with pytest.warns(RuntimeWarning, match="not this one"):
        result = fitted.explain(mlp().x, constraints=Constraints(frozen=frozen))
    assert result.status[0] == Status.MODEL_NOT_FINITE
    assert result.found[1:].any()


# --- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"guides": [lambda x: x]}, TypeError, "guides must be a list of jaxcf.Guide"),
        ({"guides": linear_guide()}, TypeError, "guides must be a list of jaxcf.Guide"),
        ({"guides": [linear_guide()], "agreement": 0}, ValueError, "agreement must be > 0"),
        ({"guides": [linear_guide()], "agreement": 2}, ValueError, "agreement must be > 0"),
        ({"agreement": 0.5}, ValueError, r"agreement=0.5 .* no guides; pass guides="),
    ],
)
def test_what_is_no_guide_is_refused(options, error, message, without_type_checks):
    with pytest.raises(error, match=message):
        mlp().explainer(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"agreement": 0.5}, r"agreement=0.5 .* no guides; pass guides="),
        ({"agreement": 0.5, "guides": []}, r"agreement=0.5 .* no guides; pass guides="),
        ({"agreement": 2}, "agreement must be > 0"),
    ],
)
def test_a_share_of_no_guides_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        mlp().fit().with_options(**options)


@pytest.mark.parametrize(
    ("guides", "error", "message"),
    [
        ([Guide(lambda x: x)], ValueError, "the guide 'guide 1': it knows 5 classes, .* 3"),
        ([Guide(lambda x: x[0])], ValueError, "the guide 'guide 1': predict returned shape"),
        ([Guide(score, params=None)], TypeError, "the guide 'guide 1': predict could not be"),
        ([linear_guide(name="a")] * 2, ValueError, "guides need names of their own, got a, a"),
    ],
)
def test_a_guide_that_does_not_fit_is_refused_by_name(guides, error, message, without_type_checks):
    with pytest.raises(error, match=message):
        mlp().fit(guides=guides)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"predict": 3}, TypeError, "a guide's predict must be a function, got int"),
        ({"predict": score, "output": "scores"}, ValueError, "output must be"),
        ({"predict": score, "confidence": 1.0}, ValueError, "a guide's confidence must be"),
        ({"predict": score, "name": 3}, TypeError, "a guide's name must be a text"),
    ],
)
def test_a_guides_options_are_checked(options, error, message, without_type_checks):
    with pytest.raises(error, match=message):
        Guide(**options)


def test_a_guide_that_was_retrained_in_place_is_noticed():
    held = {"weights": WEIGHTS}
    fitted = guided(Guide(lambda x: x @ held["weights"], output="logits", name="mine"))
    held["weights"] = -WEIGHTS
    with pytest.raises(ValueError, match="the guide 'mine': predict changed since fit"):
        fitted.explain(mlp().x)


def test_own_terms_see_what_guides_say():
    def doubt(candidate):
        return jnp.square(1 - candidate.outputs.guides.probabilities).sum()

    chosen = objective("A", prediction="log_odds").with_term("doubt", doubt, 0.1)
    assert guided(linear_guide(), objective=chosen).explain(mlp().x[:2]).found.any()


def test_a_way_back_keeps_everyone_convinced():
    chosen = {"objective": objective("A", prediction="log_odds")}
    fitted = guided(boxed_linear()[1], **chosen)
    first = fitted.explain(mlp().x)
    back = Refinement(tighten=True, tightenings=4)
    nearer = fitted.with_options(refinement=back).explain(mlp().x)
    asked = nearer.scores["predictions"] - first.scores["predictions"]
    assert (asked == 2 * 4 * first.found).all()  # four halvings of each of two ways
    np.testing.assert_array_equal(nearer.found, first.found)
    assert (nearer.l1 <= first.l1 + 1e-6).all()
    assert nearer.l1.sum() < first.l1.sum()
    np.testing.assert_allclose(nearer.scores["reset_l1"], first.l1 - nearer.l1, atol=1e-5)
    decided = said_by_linear(nearer.counterfactual).argmax(axis=1)
    np.testing.assert_array_equal(decided[nearer.found], nearer.counterfactual_class[nearer.found])


@pytest.mark.parametrize("name", presets.GUIDED_PRESETS)
def test_presets_for_guides_convince_them(name):
    preset = presets.named(name, "A", mlp().x_train)
    options: dict[str, Any] = preset | {"guides": [linear_guide()]}
    result = mlp().fit(**options).explain(mlp().x)
    assert result.found.all()
    assert isinstance(preset["objective"], Objective)
    assert preset["objective"].by_log_odds


def no_softmax(x):
    return x @ WEIGHTS


def every_class(x):
    return jax.nn.sigmoid(x @ (0 * WEIGHTS) + 4.0)


def undefined(x):
    return jax.nn.softmax(x @ WEIGHTS) * jnp.nan


def of_the_batch(x):
    return jax.nn.softmax((x - x.mean(axis=0, keepdims=True)) @ WEIGHTS)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("function", "message"),
    [
        (no_softmax, "the guide 'odd': .* no probabilities"),
        (every_class, "the guide 'odd': .* no probabilities"),
        (undefined, "the guide 'odd': predict returned NaN"),
        (of_the_batch, "the guide 'odd': .* must depend on that row alone"),
    ],
)
def test_a_guide_in_jax_is_asked_before_it_guides(function, message, late):
    guides = [Guide(function, name="odd")]
    ask = (
        guided(linear_guide()).with_options
        if late
        else partial(mlp().fit, objective=objective("A"))
    )
    with pytest.raises(ValueError, match=message):
        ask(guides=guides)


def test_a_guide_that_comes_later_is_asked_about_many_rows():
    asked = []

    def looks_at(x):
        jax.debug.callback(lambda rows: asked.append(np.array(rows)), x)
        return jax.nn.softmax(x @ WEIGHTS)

    guided(linear_guide()).with_options(guides=[Guide(looks_at)])
    assert max(len(np.unique(rows, axis=0)) for rows in asked) >= 32
