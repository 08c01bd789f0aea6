"""Whether a model is what the search takes it for: found out at `fit`, and by `check_model`."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import linear

from jaxcf import BlackBox, Explainer, check_model

WEIGHTS = np.array([[3.0, -3.0], [0.5, -0.5], [0.0, 0.0]], np.float32)
X = linear().x_train


def honest(x):
    return jax.nn.softmax(x @ WEIGHTS)


def outside(x):
    scores = np.exp(x.astype(float) @ WEIGHTS)
    return scores / scores.sum(axis=1, keepdims=True)


def only_float64(x):
    if x.dtype != np.float64:
        raise ValueError("Buffer dtype mismatch")
    return outside(x)


def random():
    generator = np.random.default_rng(0)
    return lambda x: outside(x + generator.normal(size=x.shape))


def remembering():
    largest = np.zeros(1)

    def predict(x):
        largest[0] = max(largest[0], x.max())
        return outside(x - largest[0])

    return predict


NEIGHBOURS = ["single rows", "batch sizes"]

MODELS = {
    "jax": (honest, []),
    "outside": (outside, []),
    "black box": (BlackBox(outside, 2), []),
    "one row a call": (BlackBox(lambda x: outside(x)[:1], 2, max_rows_per_call=1), []),
    "centred": (lambda x: outside(x - x.mean(0)), NEIGHBOURS),
    "centred in jax": (lambda x: honest(x - x.mean(0, keepdims=True)), NEIGHBOURS),
    "standardised": (lambda x: outside((x - x.mean(0)) / (1e-9 + x.std(0))), NEIGHBOURS),
    "alone nan": (lambda x: outside(x) if len(x) > 1 else np.full((1, 2), np.nan), NEIGHBOURS[:1]),
    "summed up": (lambda x: honest(jnp.cumsum(x, 0)), ["order", *NEIGHBOURS]),
    "squeezed": (lambda x: outside(x).squeeze(), ["single rows"]),
    "random": (random(), ["determinism"]),
    "remembering": (remembering(), ["hidden state"]),
    "only float64": (only_float64, ["shape", "dtype"]),
    "logits": (lambda x: x @ WEIGHTS, ["probabilities"]),
    "not finite": (lambda x: honest(x / jnp.sign(x - x[:, :1])), ["finite"]),
    "one column": (lambda x: outside(x)[:, 1], ["shape"]),
    "one class more": (BlackBox(outside, 3), ["shape"]),
    "raising": (lambda x: outside(x[:, :2]), ["shape"]),
}


@pytest.mark.parametrize("name", MODELS)
def test_what_is_wrong_with_a_model_is_named(name):
    predict, wrong = MODELS[name]
    check = check_model(predict, X)
    assert check.failed == wrong
    assert check.passed == (not wrong)
    assert repr(check).count("FAILED") == check._repr_html_().count("FAILED") == len(wrong)
    for finding in check.findings.values():
        assert finding.sentence in repr(check)


def test_params_and_logits_go_as_they_go_to_an_explainer():
    check = check_model(lambda w, x: x @ w, X, params=WEIGHTS, output="logits")
    assert check.passed
    assert check.kind == "a JAX function"
    with pytest.raises(ValueError, match="must return probabilities, but output is 'logits'"):
        check_model(BlackBox(outside, 2), X, output="logits")
    with pytest.raises(ValueError, match="at least two rows"):
        check_model(honest, X[0])


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_is_no_fault(dtype):
    weights = np.random.default_rng(0).normal(size=(3, 64)).astype(np.float32)

    def halved(x):
        hidden = jnp.tanh(x.astype(dtype) @ weights.astype(dtype))
        return jax.nn.softmax(hidden @ jnp.asarray(3 * weights[:2].T, dtype)).astype(jnp.float32)

    assert check_model(halved, X).passed


def test_rounding_that_differs_with_the_size_of_the_batch_is_no_fault():
    def tiled(x):
        return outside(x) + 4e-3 * np.sin(len(x)) * np.array([1, -1])

    check = check_model(tiled, X)
    assert check.passed
    assert "within 0.00" in check.findings["single rows"].sentence
    assert fit(BlackBox(tiled, 2)).num_classes == 2


CENTRED = r"predict answers a training row .* no statistics of the batch, such as x.mean\(axis=0\)"


def fit(predict, encoder=False, **options):
    return replace(linear().explainer(encoder=encoder), predict=predict, **options).fit(X)


def test_fit_refuses_a_model_whose_answer_depends_on_the_rows_beside():
    with pytest.raises(ValueError, match=CENTRED):
        fit(BlackBox(lambda x: outside(x - x.mean(0)), 2))
    with pytest.raises(ValueError, match=CENTRED):
        fit(lambda x: honest(x - x.mean(0, keepdims=True)))
    with pytest.raises(ValueError, match="encode answers a training row"):
        fit(honest, encoder=True, encode=lambda x: x - x.mean(0, keepdims=True))
    with pytest.raises(ValueError, match=r"fails for one or two rows .* shape \(2,\) for 1"):
        fit(BlackBox(lambda x: outside(x).squeeze(), 2))


def test_fit_warns_once_of_a_model_that_is_random():
    with pytest.warns(RuntimeWarning, match="predict answers the same rows otherwise") as warned:
        fit(BlackBox(random(), 2))
    assert len(warned) == 1


def test_the_check_at_fit_costs_few_rows_and_compiles_nothing():
    calls, traces = [], []

    def counted(x):
        calls.append(len(x))
        return outside(x)

    def traced(x):
        traces.append(x.shape)
        return honest(x)

    fit(BlackBox(counted, 2))
    assert calls == [2, len(X), 2, 1]
    fit(traced)
    # Its shapes, and the one program that answers for the training rows.
    assert len(traces) == 2


def test_alike_rows_are_told_apart_by_others():
    x = np.repeat(X[:2], [30, 10], axis=0)
    with pytest.raises(ValueError, match=CENTRED):
        Explainer(BlackBox(lambda x: outside(x - x.mean(0)), 2)).fit(x)
