"""Estimators of tables: what they were fitted on is what they are asked about."""

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from jaxcf import BlackBox, EngineOptions, SearchOptions
from jaxcf.tabular import Schema, TableExplainer
from jaxcf.tabular.estimators import bring

GENERATOR = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "customer": [f"c{number:02}" for number in range(80)],
        "job": GENERATOR.choice(["clerk", "pilot"], 80),
        "age": GENERATOR.integers(18, 80, 80),
        "pay": GENERATOR.uniform(1, 9, 80).round(2),
    }
)
GRANTED = np.where(FRAME.age / 80 + FRAME.pay / 9 + (FRAME.job == "pilot") > 1.4, "yes", "no")
FITTED_ON = ["age", "job", "pay"]
NUMBERS = FRAME[["age", "pay"]]
OPTIONS: dict[str, Any] = {
    "search": SearchOptions(max_steps=60),
    "engine": EngineOptions(lanes=8, lanes_per_group=8),
}


def encoder(job: Any) -> Any:
    scaled: Any = StandardScaler()
    return make_column_transformer((OneHotEncoder(), [job]), remainder=scaled)


@pytest.fixture(scope="module")
def pipeline():
    return make_pipeline(encoder("job"), LogisticRegression()).fit(FRAME[FITTED_ON], GRANTED)


@pytest.fixture(scope="module")
def fitted(pipeline):
    return TableExplainer(pipeline, **OPTIONS).fit(FRAME)


def test_a_pipeline_and_its_frame_are_all_it_takes(pipeline, fitted):
    said = fitted.explain(FRAME[:8], target="yes")
    assert said.class_names == ("no", "yes")
    # the columns that it was fitted on, in the frame's order, as they were
    assert list(said.counterfactual) == ["job", "age", "pay"]
    assert said.counterfactual.dtypes.equals(FRAME.dtypes[["job", "age", "pay"]])
    decided = pipeline.predict(said.counterfactual[FITTED_ON])
    assert (decided == "yes")[said.found].all()
    assert said.found.any()
    # what one had to write out
    box = BlackBox(lambda table: pipeline.predict_proba(table[FITTED_ON]), 2)
    written = TableExplainer(box, takes="table", class_names=pipeline.classes_, **OPTIONS)
    boxed = written.fit(FRAME.drop(columns="customer")).explain(FRAME[:8], target="yes")
    np.testing.assert_array_equal(said.values, boxed.values)


def test_the_fitted_explainer_of_what_can_be_pickled_can_be_pickled(fitted):
    again = pickle.loads(pickle.dumps(fitted)).explain(FRAME[:8])
    np.testing.assert_array_equal(again.values, fitted.explain(FRAME[:8]).values)


def test_columns_without_a_frame_become_one(pipeline):
    columns = {name: FRAME[name].to_numpy() for name in FRAME}
    brought = bring_it(pipeline, columns)
    np.testing.assert_allclose(brought(columns), pipeline.predict_proba(FRAME[FITTED_ON]))


def bring_it(model: Any, table: Any, **given: Any) -> Any:
    """The function that a table explainer would ask."""
    from jaxcf.predictors.estimators import recognised

    estimator = recognised(model)
    assert estimator is not None
    options = {"schema": None, "takes": None, "output": "probabilities"} | given
    return bring(estimator, table, **options).made.predict.predict


def test_without_names_the_number_of_features_tells_what_is_taken(pipeline):
    of_matrix = RandomForestClassifier(4, random_state=0).fit(NUMBERS.to_numpy(), GRANTED)
    asked = bring_it(of_matrix, NUMBERS)(NUMBERS)
    np.testing.assert_array_equal(asked, of_matrix.predict_proba(NUMBERS.to_numpy()))
    rows = FRAME[FITTED_ON]
    of_objects = make_pipeline(encoder(1), LogisticRegression()).fit(rows.to_numpy(), GRANTED)
    asked = bring_it(of_objects, rows)(rows)
    np.testing.assert_array_equal(asked, of_objects.predict_proba(rows.to_numpy()))
    schema = Schema.infer(rows)
    encoded = schema.encode(schema.read(rows))
    of_encoded = LogisticRegression().fit(encoded, GRANTED)
    asked = bring_it(of_encoded, rows, schema=schema)(encoded)
    np.testing.assert_array_equal(asked, of_encoded.predict_proba(encoded))


def test_what_goes_with_no_table_or_with_two_is_refused(pipeline):
    with pytest.raises(ValueError, match="fitted on the columns 'job', 'pay', which the table la"):
        TableExplainer(pipeline).fit(FRAME[["age"]])
    with pytest.raises(ValueError, match="fitted on the columns 'age', which the schema lacks"):
        TableExplainer(pipeline, Schema.infer(FRAME[["job", "pay"]])).fit(FRAME)
    of_matrix = LogisticRegression().fit(NUMBERS.to_numpy(), GRANTED)
    with pytest.raises(ValueError, match=r"say takes='table' or takes='input'"):
        TableExplainer(of_matrix, Schema.infer(NUMBERS)).fit(NUMBERS)
    with pytest.raises(ValueError, match="2 features without names, which can't be the 3 columns"):
        TableExplainer(of_matrix).fit(FRAME[FITTED_ON])


def test_the_edges_of_trees_of_the_columns_are_known_whatever_their_order():
    forest = RandomForestClassifier(4, max_depth=3, random_state=0)
    of_frame = forest.fit(NUMBERS[["pay", "age"]], GRANTED)
    ready = TableExplainer(of_frame, **OPTIONS).fit(NUMBERS)
    said = ready.explain(NUMBERS[:8])
    assert said.found.any()
    edges = ready.model.thresholds
    assert edges is not None
    age, pay = edges
    assert (age > 9).all()
    assert (pay < 9).all()
    # whole ages end at the first on the other side of a threshold
    moved = said.values[said.found] - said.original_values[said.found]
    for before, after in zip(*(one[said.found] for one in (said.original_values, said.values)),
                             strict=True):  # fmt: skip
        if before[0] != after[0]:
            assert np.abs(age - after[0]).min() <= 1
    assert moved.any()


def test_a_network_takes_the_numbers_of_the_table_as_they_are(monkeypatch):
    torch = pytest.importorskip("torch", reason="PyTorch isn't installed")
    module = torch.nn.Linear(2, 2)
    asked = bring_it(module, NUMBERS)(NUMBERS.to_numpy(np.float32))
    with torch.no_grad():
        said = module(torch.tensor(NUMBERS.to_numpy(np.float32))).softmax(dim=1)
    np.testing.assert_allclose(asked, said.numpy(), atol=1e-6)
