"""A model that was passed in the wrong way: the error says in which it can be."""

from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from jaxcf import BlackBox, Explainer
from jaxcf.tabular import TableExplainer

GENERATOR = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {"pay": GENERATOR.normal(size=40), "job": GENERATOR.choice(["clerk", "pilot"], 40)}
)
CLASSES = (TABLE.pay > 0).astype(int)
X = TABLE[["pay"]].assign(age=1.0).to_numpy(np.float32)


@pytest.fixture(scope="module")
def pipeline():
    prepare = make_column_transformer((OneHotEncoder(), ["job"]), remainder="passthrough")
    return make_pipeline(prepare, LogisticRegression()).fit(TABLE, CLASSES)


@pytest.fixture(scope="module")
def linear():
    return LogisticRegression().fit(X, CLASSES)


@pytest.mark.usefixtures("without_type_checks")
def test_a_classifier_in_place_of_a_function_is_told_how_to_be_passed(pipeline):
    for place in (lambda: BlackBox(pipeline, 2), lambda: Explainer(lambda x: x, encode=pipeline)):
        with pytest.raises(TypeError, match=r"Pipeline; explainers take the model.*BlackBox"):
            place()


def test_a_function_outside_jax_is_told_of_black_boxes(linear):
    def of_numpy(x) -> Any:
        above = 1 / (1 + np.exp(-np.asarray(x)[:, 0]))
        return np.stack([1 - above, above], axis=1)

    functions: list[Any] = [linear.predict_proba, of_numpy]
    for predict in functions:
        with pytest.raises(TypeError, match=r"scikit-learn .* as BlackBox\(predict"):
            Explainer(predict).fit(X)
        with pytest.raises(TypeError, match=r"as BlackBox\(predict"):
            TableExplainer(predict).fit({"pay": X[:, 0], "age": X[:, 1]})
    with pytest.raises(TypeError) as caught:
        Explainer(lambda x: x @ np.eye(2), encode=of_numpy).fit(X)
    assert "encode could not be called" in str(caught.value)
    assert "BlackBox" not in str(caught.value)


def test_class_numbers_and_single_probabilities_are_told_apart(linear):
    with pytest.raises(ValueError, match=r"class numbers pass .* predict_proba"):
        Explainer(BlackBox(linear.predict, 2)).fit(X)
    single = BlackBox(lambda x: linear.predict_proba(x)[:, 1], 2)
    with pytest.raises(ValueError, match=r"np.stack\(\[1 - p, p\], axis=1\)"):
        Explainer(single).fit(X)
    with pytest.raises(ValueError, match=r"np.stack\(\[1 - p, p\], axis=1\)"):
        TableExplainer(single).fit({"pay": X[:, 0], "age": X[:, 1]})


def test_a_model_that_gets_the_wrong_kind_of_table_is_told_of_the_other(pipeline, linear):
    with pytest.raises(ValueError, match="gets the encoded table, an array: takes='table'"):
        TableExplainer(BlackBox(pipeline.predict_proba, 2)).fit(TABLE)

    def of_arrays(x):
        return linear.predict_proba(x[:, :2])

    box = BlackBox(of_arrays, 2)
    with pytest.raises(ValueError, match="gets the table itself: takes='input'"):
        TableExplainer(box, takes="table").fit(TABLE)
    numbers = TABLE.assign(job=1.0)
    with pytest.raises(ValueError, match=r"model of a DataFrame .*TableExplainer"):
        Explainer(BlackBox(pipeline.predict_proba, 2)).fit(numbers)


def test_a_frame_of_another_library_is_told_how_to_become_a_table(pipeline):
    class Frame:
        def to_pandas(self):
            return TABLE

    given: dict = Frame()  # pyright: ignore[reportAssignmentType]
    with pytest.raises(TypeError, match=r"Frame; expected a frame of pandas.* table.to_pandas"):
        TableExplainer(BlackBox(pipeline.predict_proba, 2), takes="table").fit(given)


@pytest.mark.parametrize("name", ["reconstruct", "decode"])
def test_an_autoencoder_that_looks_at_the_batch_is_refused(name):
    def of_the_batch(x):
        return x - 0.5 * x.mean(axis=0, keepdims=True)

    functions: dict[str, Any] = {name: of_the_batch}
    if name == "decode":
        functions["encode"] = lambda x: 2 * x
    x = np.random.default_rng(0).uniform(size=(40, 3)).astype(np.float32)
    explainer = Explainer(jax.nn.softmax, objective="B", **functions)
    with pytest.raises(ValueError, match=f"{name} answers a training row among copies"):
        explainer.fit(x)
