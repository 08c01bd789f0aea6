"""Rows that lack entries: a model of the table that fills them in gets them as they are."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from jaxcf import BlackBox, Status
from jaxcf.tabular import Rule, Schema, TableExplainer, TableExplanations

CHANGEABLE = {"pay": Rule(upper=12.0)}


def a_table():
    generator, n = np.random.default_rng(0), 200
    table = pd.DataFrame(
        {
            "age": generator.integers(18, 80, n).astype(float),
            "pay": generator.normal(10, 2, n),
            "job": generator.choice(["clerk", "pilot", "smith"], n).astype(object),
        }
    )
    classes = table.age / 60 + table.pay / 10 + (table.job == "pilot") > 2.2
    for name in table:
        table.loc[generator.choice(n, 25, replace=False), name] = np.nan
    return table, np.where(classes, "yes", "no")


@pytest.fixture(scope="module")
def table():
    return a_table()[0]


@pytest.fixture(scope="module")
def pipeline(table):
    # the indicator sees whether an entry was there
    numbers = SimpleImputer(strategy="median", add_indicator=True)
    names = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder())
    prepare = make_column_transformer((numbers, ["age", "pay"]), (names, ["job"]))
    return make_pipeline(prepare, LogisticRegression(max_iter=1000)).fit(table, a_table()[1])


@pytest.fixture(scope="module")
def fitted(table, pipeline):
    box = BlackBox(pipeline.predict_proba, 2)
    explainer = TableExplainer(box, takes="table", objective="E", class_names=pipeline.classes_)
    return explainer.fit(table)


@pytest.fixture(scope="module")
def explanations(table, fitted):
    return fitted.explain(table, rules=CHANGEABLE)


def test_what_is_missing_stays_missing_and_the_rest_is_explained(table, pipeline, explanations):
    gaps = table.isna()
    rows = gaps.any(axis=1).to_numpy()
    searched = explanations.status != Status.OUT_OF_RANGE
    assert explanations.found[rows & searched].mean() > 0.8
    after = explanations.counterfactual
    pd.testing.assert_frame_equal(after.isna(), gaps)
    pd.testing.assert_frame_equal(explanations.original, table)
    assert not explanations.changed[gaps.to_numpy()].any()
    np.testing.assert_array_equal(
        pipeline.classes_[explanations.original_class], pipeline.predict(table)
    )
    found = explanations.found
    np.testing.assert_array_equal(
        pipeline.classes_[explanations.counterfactual_class[found]], pipeline.predict(after)[found]
    )
    # a column of whole numbers is one of floats for its gaps alone
    assert (after.age[found].dropna() % 1 == 0).all()
    assert (after.pay[found].dropna() <= 12).all()


def test_what_was_never_missing_or_cannot_be_read_has_a_status(table, fitted):
    given = table.dropna().head(3).copy()
    given.iloc[0, 2], given.iloc[1, 0] = "astronaut", np.inf
    result = fitted.explain(given)
    assert result.status[:2].tolist() == [Status.INVALID_INPUT] * 2
    assert result.found[2]
    assert "'astronaut', which is none of its 3 categories" in result.messages[0]
    complete = table.dropna()
    box = fitted.model.models.black_box
    other = TableExplainer(box, takes="table", objective="E").fit(complete)
    result = other.explain(table[table.isna().any(axis=1)].head(2))
    assert result.status.tolist() == [Status.INVALID_INPUT] * 2
    assert "is missing" in result.messages[0]


def test_files_and_traces_know_what_is_missing(table, fitted, explanations, tmp_path):
    explanations.save(tmp_path / "e.npz")
    loaded = TableExplanations.load(tmp_path / "e.npz")
    assert loaded.coding == explanations.coding
    np.testing.assert_array_equal(loaded.values, explanations.values)
    row = int(np.flatnonzero(table.isna().any(axis=1) & explanations.found)[0])
    traces = fitted.trace(explanations, table, rows=[row], rules=CHANGEABLE)
    way = explanations[traces.rows].values_at(traces.path)
    np.testing.assert_array_equal(np.isnan(way[0, 0]), table.isna().to_numpy()[row])


def test_a_model_that_fills_nothing_in_is_told_of_all_columns(table, pipeline):
    named = "of 'age' in 25, 'pay' in 25, 'job' in 25"
    with pytest.raises(ValueError, match=named):
        TableExplainer(BlackBox(pipeline.predict_proba, 2)).fit(table)

    def refuses(rows):
        if rows.isna().any(axis=None):
            raise ValueError("Input contains NaN")
        return pipeline.predict_proba(rows)

    with pytest.raises(ValueError, match=f"{named}, and the model.*Input contains NaN.*imputer"):
        TableExplainer(BlackBox(refuses, 2), takes="table", objective="E").fit(table)


def test_missing_entries_are_written_as_they_were_given():
    schema = Schema.infer({"a": ["x", "y"], "n": [1.0, 2.0]})
    nothing = np.array([[np.nan, np.nan]])
    for absent in (None, np.nan):
        like = {"a": np.array(["x", absent], object), "n": [1.0, absent]}
        written = schema.write(nothing, like)
        assert written["a"][0] is absent
        assert np.isnan(written["n"][0])
