"""Classifiers that don't decide by the largest probability: what counts is what they decide."""

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from jaxcf import Explainer
from jaxcf.predictors.deciding import ByDecision, decides_by_itself
from jaxcf.tabular import TableExplainer


@pytest.fixture(scope="module")
def rows():
    x, y = make_classification(160, 4, n_informative=3, n_redundant=0, random_state=0)
    return np.asarray(x, np.float32), np.array(["no", "yes"])[np.asarray(y)]


class Wary:
    """Of a library that nobody knows: it says yes where it is nearly sure."""

    def __init__(self, x, y):
        self._below = GaussianNB().fit(x, y)
        self.classes_, self.n_features_in_ = np.array(["no", "yes"]), x.shape[1]

    def predict_proba(self, x):
        """What it thinks."""
        return self._below.predict_proba(x)

    def predict(self, x):
        """What it says."""
        return self.classes_[(self.predict_proba(x)[:, 1] > 0.7).astype(int)]


def careful(**options) -> FixedThresholdClassifier:
    return FixedThresholdClassifier(
        LogisticRegression(), response_method="predict_proba", **options
    )


def vectors(x, y) -> SVC:
    options: dict[str, Any] = {"probability": True, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it will do without, one day
        return SVC(**options).fit(x, y)


MADE = {
    "a threshold": lambda x, y: careful(threshold=0.9, pos_label="yes").fit(x, y),
    "a threshold for the other class": lambda x, y: careful(threshold=0.8, pos_label="no").fit(
        x, y
    ),
    "a tuned threshold": lambda x, y: TunedThresholdClassifierCV(
        LogisticRegression(class_weight={"no": 5, "yes": 1}), random_state=0
    ).fit(x, y),
    "a pipeline": lambda x, y: make_pipeline(
        StandardScaler(), careful(threshold=0.3, pos_label="yes")
    ).fit(x, y),
    "a search": lambda x, y: GridSearchCV(
        careful(pos_label="yes"), {"threshold": [0.85, 0.86]}
    ).fit(x, y),
    "support vectors": vectors,
    "an unknown one": Wary,
}


@pytest.mark.parametrize("name", MADE)
def test_found_is_what_the_classifier_decides_otherwise(name, rows):
    x, y = rows
    model = MADE[name](x, y)
    result = Explainer(model).fit(x).explain(x[:60])
    decided = model.predict(x[:60])
    assert (model.classes_[result.original_class] == decided).all()
    assert result.found.mean() > 0.9
    ended = model.predict(result.counterfactual[result.found])
    assert (ended != decided[result.found]).all()
    assert (ended == model.classes_[result.counterfactual_class[result.found]]).all()


def test_so_it_is_with_tables_and_targets(rows):
    x, y = rows
    table = {f"x{place}": column for place, column in enumerate(x.T.astype(float))}
    model = MADE["a threshold"](x, y)
    fitted = TableExplainer(model, takes="table").fit(table)
    no = {name: column[model.predict(x) == "no"][:20] for name, column in table.items()}
    result = fitted.explain(no, target="yes")
    assert result.found.all()
    assert (model.predict(np.stack([*result.counterfactual.values()], axis=1)) == "yes").all()


def test_where_both_agree_probabilities_stay_as_they_are(rows):
    x, y = rows
    plain = LogisticRegression().fit(x, y)
    assert not decides_by_itself(plain, x)
    said = ByDecision(plain)(x)
    np.testing.assert_array_equal(said, plain.predict_proba(x))
    model = MADE["a threshold"](x, y)
    said, own = ByDecision(model)(x), model.predict_proba(x)
    np.testing.assert_allclose(said.sum(axis=1), 1)
    agree = model.classes_[own.argmax(axis=1)] == model.predict(x)
    assert 0 < agree.sum() < len(x)
    np.testing.assert_array_equal(said[agree], own[agree])
    assert (model.classes_[said.argmax(axis=1)] == model.predict(x)).all()
