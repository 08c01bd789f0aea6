"""Models outside JAX that fail: told apart row by row, reported in words, refused at the entry."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from boxes import Counting, boxed, plain
from helpers import (
    assert_close,
    assert_same_answers,
    linear,
    mlp,
    objective,
    search,
)
from sklearn.linear_model import LogisticRegression

from jaxcf import (
    BlackBox,
    CentralDifferences,
    EngineOptions,
    ExactJacobian,
    ExplanationInterrupted,
    RandomDirections,
    Status,
)
from jaxcf.search import lanes

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


def speaking(bad, x, probabilities):
    return "no" if bad(x).any() else probabilities


FAULTS: dict[str, tuple[Any, str]] = {
    "raises": (raising, "predict raised Boom: out of range"),
    "nan": (partial(changed, np.nan), r"predict returned \[nan nan nan\] for a row"),
    "sum": (partial(changed, 0.5), r"predict returned \[0.5 0.5 0.5\] for a row.*sum to 1"),
    "logits": (partial(changed, [-3, 4, 0]), r"predict returned \[-3.  4.  0.\] for a row"),
    "shape": (missing, r"predict returned shape \(0, 3\) for 1 rows; expected \(1, 3\)"),
    "words": (speaking, "returned str, .* no array"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_rows_that_a_model_fails_for_are_marked_and_spare_the_others(name):
    fault, message = FAULTS[name]
    broken = partial(fault, lambda x: x[:, 0] > 0.9999)
    model = Counting(mlp().predict, broken)
    fitted = replace(mlp().explainer(), predict=BlackBox(model, 3)).fit(mlp().x_train)
    model.calls.clear()
    good, _ = boxed(mlp())
    x = mlp().x.copy()
    x[[1, 4], 0] = 1.0
    rest = np.array([0, 2, 3, 5])
    with pytest.warns(RuntimeWarning, match=message) as warned:
        result = fitted.explain(x)
    assert len(warned) == 1
    # The others are asked for again beside them.
    assert result.scores["predictions"].sum() == model.rows
    assert_same_answers(plain(result[rest]), plain(good.explain(x[rest])))
    assert result.status[[1, 4]].tolist() == [Status.MODEL_NOT_FINITE] * 2
    assert "raised, or returned the wrong shape" in result.messages[1]


@pytest.mark.parametrize(
    "fault",
    [raising, missing, speaking, *(partial(changed, value) for value in (np.nan, 0.4, [-3, 4]))],
    ids=["raises", "shape", "words", "nan", "sum", "logits"],
)
def test_a_model_that_fails_on_the_way_ends_that_row_only(fault):
    # Class 0 lies at x_0 > -0.1; the way there leads over a cliff at x_0 = -0.2.
    broken = partial(fault, lambda x: (x[:, 0] > -0.2) & (x[:, 1] > 0))
    x = np.array([[-0.5, 0.4, 0.0], [-0.5, -0.4, 0.0]], np.float32)
    safe = linear().x_train[linear().x_train[:, 1] < 0]
    explainer = linear().explainer(encoder=False, search=search(max_steps=60))
    good = replace(explainer, predict=BlackBox(Counting(linear().predict), 2)).fit(safe)
    box = BlackBox(Counting(linear().predict, broken), 2)
    with pytest.warns(RuntimeWarning, match="predict (raised|returned).* status MODEL_NOT_FINITE"):
        result = replace(explainer, predict=box).fit(safe).explain(x)
    assert result.status.tolist() == [Status.MODEL_NOT_FINITE, Status.FOUND]
    assert_same_answers(plain(result[1]), plain(good.explain(x)[1]))
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
    box = BlackBox(model, 3, backoff=0)
    fitted = replace(mlp().explainer(), predict=box).fit(mlp().x_train)

    def end(progress):
        if progress.done == 6:
            model._fault = partial(raising, lambda x: x[:, 0] > -9)

    with pytest.warns(RuntimeWarning, match="predict raised Boom"):
        result = fitted.explain(mlp().x, on_progress=end)
    assert (result.status == Status.NOT_CONFIRMED).all()
    assert (result.counterfactual_class == -1).all()


def test_ctrl_c_reaches_the_model_and_keeps_what_was_finished():
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
        (lambda: None, "failed for each of 2 rows: predict raised TypeError"),
    ],
    ids=["one column", "one row", "nothing", "no argument"],
)
@pytest.mark.usefixtures("without_type_checks")
def test_a_function_that_does_not_fit_is_refused_before_much_is_asked(predict, message):
    explainer = replace(mlp().explainer(), predict=BlackBox(predict, 3))
    with pytest.raises(ValueError, match=message):
        explainer.fit(mlp().x_train)


class Unhashable:
    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __call__(self, x):
        return x


@pytest.mark.parametrize(
    ("make", "given", "error", "message"),
    [
        (BlackBox, (3, 2), TypeError, "predict must be a function, got int"),
        (BlackBox, (np.sin, 1), ValueError, "num_classes must be at least 2, got 1"),
        (BlackBox, (np.sin, 2, None), TypeError, "gradient must be CentralDifferences, "),
        (
            BlackBox,
            (np.sin, 2, CentralDifferences(), 0),
            ValueError,
            "max_rows_per_call must be at least 1, got 0",
        ),
        (
            BlackBox,
            (np.sin, 2, CentralDifferences(), None, -1),
            ValueError,
            "retries must be at least 0, got -1",
        ),
        (
            BlackBox,
            (np.sin, 2, CentralDifferences(), None, 3, "1 s"),
            TypeError,
            "backoff must be a number >= 0, got '1 s'",
        ),
        (BlackBox, (Unhashable(), 2), TypeError, "unhashable type.* wrap it in a plain"),
        (CentralDifferences, (0.0,), ValueError, "epsilon must be finite and above 0"),
        (CentralDifferences, ((0.1, -1),), ValueError, "epsilon must be finite and above 0"),
        (CentralDifferences, ("x",), ValueError, "epsilon must be a number or one per"),
        (CentralDifferences, (0.1, 0), ValueError, "every must be at least 1, got 0"),
        (RandomDirections, (0,), ValueError, "count must be at least 1, got 0"),
        (ExactJacobian, (3,), TypeError, "function must be callable, got int"),
        (ExactJacobian, (np.sin, 0), ValueError, "every must be at least 1, got 0"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_wrong_options_say_what_is_wrong(make, given, error, message):
    with pytest.raises(error, match=message):
        make(*given)


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
