"""Classes that have no prototype: who needs one, who doesn't, and what is said."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same_answers

from jaxcf import Explainer, KDTree, NearestMean, Objective, Status

X = np.random.default_rng(0).uniform(0, 1, (60, 2)).astype(np.float32)
ROWS = X[:12]
WITH_TERM, WITHOUT = ("C", "E"), ("A", "B")
REACHED = 0.88
"""A confidence that one of the two classes reaches on training rows."""


def predict(x):
    """Two classes with a soft border, which lies nearer to one corner."""
    score = 1.2 * (x.sum(axis=1) - 0.8)
    return jax.nn.softmax(jnp.stack([-score, score], axis=1))


HIGHEST = np.asarray(predict(X)).max(axis=0)


@lru_cache
def explainer(letter, confidence=0.0, **options):
    return Explainer(
        predict,
        reconstruct=lambda x: x,
        objective=Objective.named(letter, confidence=confidence),
        feature_range=(-4.0, 4.0),
        **options,
    )


def test_the_problem_is_what_it_says():
    order = np.argsort(HIGHEST)
    assert HIGHEST[order[0]] < REACHED < HIGHEST[order[1]]


UNSURE, SURE = (int(index) for index in np.argsort(HIGHEST))


@pytest.mark.parametrize("letter", WITHOUT)
@pytest.mark.parametrize("confidence", [REACHED, 0.999])
def test_without_the_term_no_prototype_is_needed(letter, confidence):
    fitted = explainer(letter, confidence).fit(X)
    result = fitted.explain(ROWS)
    assert result.found.all()
    changed = np.arange(len(ROWS))
    assert (result.probabilities[changed, result.counterfactual_class] > confidence).all()
    np.testing.assert_array_equal(result.target_class, 1 - result.original_class)
    lacking = np.array([one is None for one in fitted.prototypes.classes])
    assert lacking.any()
    np.testing.assert_array_equal(
        np.isnan(result.prototype).all(axis=1), lacking[result.target_class]
    )
    each = fitted.explain(ROWS[:3], target="each")
    assert np.isin(each.status, (Status.FOUND, Status.ALREADY_IN_TARGET)).all()
    np.testing.assert_array_equal(each.target_class, [0, 1] * 3)


@pytest.mark.parametrize("letter", WITHOUT)
def test_prototypes_that_cannot_be_had_change_no_answer_without_the_term(letter):
    many = explainer(letter, prototypes=NearestMean(k=1000)).fit(X).explain(ROWS)
    few = explainer(letter, prototypes=KDTree()).fit(X).explain(ROWS)
    np.testing.assert_array_equal(many.counterfactual, few.counterfactual)
    np.testing.assert_array_equal(many.status, few.status)


@pytest.mark.parametrize("letter", WITH_TERM)
def test_with_the_term_a_confidence_that_no_row_reaches_is_named(letter):
    message = (
        r"prototypes are made of training rows whose class has a probability above the confidence "
        rf"0\.999 \(the highest probabilities reached are {HIGHEST[0]:.3g} for class 0, "
        rf"{HIGHEST[1]:.3g} for class 1\), and there are none: lower the confidence, or pass more "
    )
    with pytest.raises(ValueError, match=message):
        explainer(letter, 0.999).fit(X)
    ready = explainer("A", 0.999).fit(X)
    with pytest.raises(ValueError, match=f"the objective has a prototype term, but {message}"):
        ready.with_options(objective=Objective.named(letter, confidence=0.999))
    with pytest.raises(ValueError, match=f"trust scores compare with .* but {message}"):
        ready.with_options(trust_threshold=0.5)


@pytest.mark.parametrize("letter", WITH_TERM)
def test_with_the_term_a_confidence_that_one_class_reaches_is_a_status(letter):
    message = (
        r"none of the training rows .* above the confidence 0\.88 .*"
        rf"{HIGHEST[1]:.3g} for class 1.* are of the classes \[{UNSURE}\].*"
        "no target; lower the confidence, or pass more"
    )
    with pytest.warns(UserWarning, match=message):
        fitted = explainer(letter, REACHED).fit(X)
    result = fitted.explain(ROWS)
    unled = result.original_class == SURE
    assert unled.any()
    assert (result.status[unled] == Status.NO_PROTOTYPE).all()
    assert (result.status[~unled] != Status.NO_PROTOTYPE).all()
    assert (result.target_class[~unled] == SURE).all()
    already = fitted.explain(ROWS, target=SURE).status
    assert not (already == Status.NO_PROTOTYPE).any()


def test_too_few_sure_rows_for_k_are_called_that():
    message = (
        r"k=15 neighbours .* training rows are of .* these are training rows whose class has a prob"
    )
    probabilities = np.asarray(predict(X))
    confidence = float(np.sort(probabilities[:, SURE])[-4])
    ready = explainer("C", confidence, prototypes=NearestMean(k=15))
    with pytest.raises(ValueError, match=message):
        ready.fit(X)


@pytest.mark.parametrize("letter", WITHOUT)
def test_a_detector_that_has_seen_one_class_only_has_a_target(letter):
    classes = np.asarray(predict(X)).argmax(axis=1)
    seen, unseen = X[classes == 0], X[classes == 1]
    fitted = explainer(letter).fit(seen)
    for rows in (seen[:5], unseen[:5]):
        result = fitted.explain(rows)
        assert result.found.all()
        np.testing.assert_array_equal(result.target_class, 1 - result.original_class)


@pytest.mark.parametrize("letter", WITH_TERM)
def test_prototypes_are_needed_for_classes_that_are_asked_for_only(letter):
    classes = np.asarray(predict(X)).argmax(axis=1)
    with pytest.warns(UserWarning, match=r"no training row is of the classes \[1\]"):
        one_class = explainer(letter).fit(X[classes == 0])
    both = explainer(letter).fit(X)
    unseen = X[classes == 1][:5]
    assert_same_answers(one_class.explain(unseen), both.explain(unseen))
    back = one_class.explain(X[classes == 0][:5])
    assert (back.status == Status.NO_PROTOTYPE).all()


def test_labels_give_the_other_class_even_where_the_model_finds_it_impossible():
    def certain(x):
        above = (x[:, :1] > 2).astype(jnp.float32)
        return jnp.concatenate([1 - above, above], axis=1)

    labels = np.arange(len(X)) % 2
    ready = Explainer(certain, objective="C").fit(X, labels=labels)
    assert [len(rows) for rows in ready.prototypes.members] == [30, 30]
    np.testing.assert_array_equal(ready.explain(ROWS).target_class, 1)


def test_a_term_of_ones_own_notices_that_there_is_no_prototype():
    def towards(candidate):
        return jnp.sum(jnp.square(candidate.point - candidate.instance.prototype))

    def away(candidate):
        return -jnp.sum(jnp.square(candidate.perturbation))

    plain = explainer("A", REACHED).fit(X)
    for term, spoilt in ((towards, True), (away, False)):
        objective = plain.objective.with_term("own", term, 0.01)
        status = plain.with_options(objective=objective).explain(ROWS).status
        unled = plain.explain(ROWS).target_class == UNSURE
        np.testing.assert_array_equal(status == Status.MODEL_NOT_FINITE, unled & spoilt)
