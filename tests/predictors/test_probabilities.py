"""What counts as probabilities: one rule for models in JAX and outside of it, at every place."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same_answers, linear, mlp, search

from jaxcf import BlackBox, Status

BOTH = pytest.mark.parametrize("outside", [False, True], ids=["jax", "black box"])


def explainer(predict, outside, num_classes=3, **options):
    """The mlp's explainer with another model, in JAX or outside of it."""
    if outside:
        return replace(mlp().explainer(**options), predict=BlackBox(predict, num_classes))
    return replace(mlp().explainer(**options), predict=predict)


WRONG = {
    "less than one": (lambda p: 0.98 * p, r"explain one of them: .* make two, \[1 - p, p\]"),
    "more than one": (lambda p: jnp.minimum(1.05 * p, 1.0), "divide by the sum"),
    "sigmoids": (lambda p: jax.nn.sigmoid(jnp.log(p) + 2), "divide by the sum"),
    "logits": (lambda p: jnp.log(p) + 4, "softmax of logits|output='logits'"),
}


@BOTH
@pytest.mark.parametrize("name", WRONG)
def test_training_rows_that_do_not_sum_to_one_are_refused(outside, name):
    change, hint = WRONG[name]
    wrong = explainer(lambda x: change(mlp().predict(x)), outside)
    message = (
        r"training rows got no probabilities; .* predict returned \[.*\] for a row, .* numbers in "
        rf"\[0, 1\] that sum to 1 \(.*({hint})"
    )
    with pytest.raises(ValueError, match=message):
        wrong.fit(mlp().x_train)


@BOTH
@pytest.mark.parametrize("excess", [5e-4, -5e-4])
def test_rounding_is_none_of_it(outside, excess):
    almost = explainer(lambda x: (1 + excess) * mlp().predict(x), outside)
    assert almost.fit(mlp().x_train).num_classes == 3


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precision_rounds_more(dtype):
    def halved(x):
        return jax.nn.softmax(jnp.log(mlp().predict(x)).astype(dtype))

    assert explainer(halved, False).fit(mlp().x_train).explain(mlp().x).found.any()
    wrong = explainer(lambda x: jnp.asarray(0.96, dtype) * halved(x), False)
    with pytest.raises(ValueError, match="no probabilities"):
        wrong.fit(mlp().x_train)


@BOTH
@pytest.mark.parametrize("name", WRONG)
def test_a_row_without_probabilities_is_marked_and_spares_the_others(outside, name):
    change, _ = WRONG[name]

    def predict(x):
        p = mlp().predict(x)
        return jnp.where(x[:, :1] > 0.9999, change(p), p)

    x = mlp().x.copy()
    x[[1, 4], 0] = 1.0
    rest = np.array([0, 2, 3, 5])
    good = explainer(mlp().predict, outside).fit(mlp().x_train).explain(x[rest])
    with pytest.warns(RuntimeWarning, match="no probabilities: .* MODEL_NOT_FINITE") as warned:
        result = explainer(predict, outside).fit(mlp().x_train).explain(x)
    assert len(warned) == 1
    assert result.status[[1, 4]].tolist() == [Status.MODEL_NOT_FINITE] * 2
    assert "no probabilities" in result.messages[1]
    assert np.isnan(result.original_probabilities[[1, 4]]).all()
    np.testing.assert_array_equal(result.counterfactual[[1, 4]], x[[1, 4]])
    assert_same_answers(result[rest], good)


@BOTH
def test_a_counterfactual_without_probabilities_is_never_found(outside):
    # Class 0 lies at x_0 > -0.1, where the model says more than it may.
    def predict(x):
        p = linear().predict(x)
        return jnp.where(p[:, :1] > p[:, 1:], 1.1 * p, p)

    x = np.array([[-0.5, 0.4, 0.0], [-0.5, -0.4, 0.0]], np.float32)
    options = {"encoder": False, "search": search(max_steps=60)}
    wrong = BlackBox(predict, 2) if outside else predict
    trained = linear().x_train[np.asarray(linear().predict(linear().x_train)).argmax(axis=1) == 1]
    ready = replace(linear().explainer(**options), predict=wrong)
    labels = (np.arange(len(trained)) % 2).astype(int)
    with pytest.warns(RuntimeWarning, match="no probabilities"):
        result = ready.fit(trained, labels=labels).explain(x)
    assert not result.found.any()


COLUMNS = {
    "flat": (lambda x: x[:, 0], "of one {what} {name} make two: {module}.stack"),
    "column": (
        lambda x: x[:, :1],
        r"of one {what} {name} = answer\[:, 0\] make two: {module}.stack",
    ),
}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.usefixtures("without_type_checks")
def test_one_number_per_row_is_told_how_to_become_two(name):
    one, message = COLUMNS[name]

    def expected(module, what="probability", letter="p"):
        return message.format(module=module, what=what, name=letter)

    with pytest.raises(ValueError, match=expected("np") + r"\(\[1 - p, p\], axis=1\)"):
        explainer(one, True, 2).fit(mlp().x_train)
    with pytest.raises(ValueError, match=expected("jnp") + r"\(\[1 - p, p\], axis=1\)"):
        explainer(one, False).fit(mlp().x_train)
    scores = explainer(one, False, output="logits")
    zeros = r"\(\[jnp.zeros_like\(s\), s\], axis=1\)"
    with pytest.raises(ValueError, match=expected("jnp", "score", "s") + zeros):
        scores.fit(mlp().x_train)
