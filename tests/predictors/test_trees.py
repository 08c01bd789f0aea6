"""The thresholds of trees: found in every library's models, and the edges that answers end on."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

from jaxcf import BlackBox, Refinement
from jaxcf.predictors.trees import thresholds_of
from jaxcf.tabular import Schema, TableExplainer


def _xgboost():
    return pytest.importorskip("xgboost", reason="XGBoost isn't installed").XGBClassifier(
        n_estimators=4, max_depth=3
    )


def _lightgbm():
    return pytest.importorskip("lightgbm", reason="LightGBM isn't installed").LGBMClassifier(
        n_estimators=4, verbose=-1
    )


MODELS = {
    "tree": lambda: DecisionTreeClassifier(max_depth=4, random_state=0),
    "forest": lambda: RandomForestClassifier(4, max_depth=4, random_state=0),
    "extra trees": lambda: ExtraTreesClassifier(4, max_depth=4, random_state=0),
    "boosting": lambda: GradientBoostingClassifier(n_estimators=4, random_state=0),
    "histograms": lambda: HistGradientBoostingClassifier(max_iter=4, min_samples_leaf=5),
    "bagging": lambda: BaggingClassifier(n_estimators=4, max_features=2, random_state=0),
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
}


@pytest.fixture(scope="module")
def numbers():
    x = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    return x, (x[:, 0] + x[:, 1] ** 2 > 0.8).astype(int)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_tells_no_values_apart_between_thresholds(numbers, name):
    x, y = numbers
    model = MODELS[name]().fit(x, y)
    thresholds = thresholds_of(model.predict_proba)
    assert thresholds is not None
    assert len(thresholds) == 3
    assert sum(map(len, thresholds)) > 3
    rng = np.random.default_rng(1)
    for feature, known in enumerate(thresholds):
        assert (np.diff(known) > 0).all()
        ends = np.concatenate([[-6.0], known, [6.0]])
        cell = rng.integers(0, len(ends) - 1, len(x))
        beside = 0.01 * (ends[cell + 1] - ends[cell])
        moved = x.copy(), x.copy()
        moved[0][:, feature] = ends[cell] + beside
        moved[1][:, feature] = ends[cell + 1] - beside
        wide = beside > 1e-5  # float32 tells its ends apart
        said = [model.predict_proba(one[wide]) for one in moved]
        np.testing.assert_allclose(*said, atol=1e-6)


def test_what_has_no_trees_has_no_thresholds(numbers):
    x, y = numbers
    models = [LogisticRegression(), make_pipeline(DecisionTreeClassifier(max_depth=2))]
    for model in models:
        assert thresholds_of(model.fit(x, y).predict_proba) is None
    assert thresholds_of(lambda x: x) is None


def test_answers_end_where_a_cell_begins(numbers):
    x, y = numbers
    model = RandomForestClassifier(10, max_depth=5, random_state=0).fit(x, y)
    table = {"a": x[:, 0], "b": x[:, 1], "c": x[:, 2]}
    coarse = replace(Refinement.for_tables(values=5), bisections=6)
    schema = Schema.infer(table, scaling="original")
    explainer = TableExplainer(BlackBox(model.predict_proba, 2), schema, refinement=coarse)
    rows = {name: column[:40] for name, column in table.items()}
    answers = explainer.fit(table).explain(rows)
    assert answers.found.all()
    before, after = (
        np.stack([np.asarray(one[name]) for name in table], axis=1).astype(np.float64)
        for one in (rows, answers.counterfactual)
    )
    on_edge = []
    for row, place in np.argwhere(before != after):
        nearer = after[row].copy()
        nearer[place] += 1e-5 * np.sign(before[row, place] - after[row, place])
        on_edge.append(model.predict(nearer[None])[0] == answers.original_class[row])
    assert len(on_edge) > 40
    assert np.mean(on_edge) > 0.95
