"""The small classifier of a table: it learns, it says how well, it can be explained."""

import numpy as np
import pytest

from jaxcf.tabular import TableExplainer
from jaxcf.tabular.classifiers import train_table_classifier

TABLE = {"age": np.arange(20, 60), "job": ["clerk", "pilot"] * 20}
CLASSES = (TABLE["age"] > 40).astype(int)


@pytest.fixture(scope="module")
def trained():
    return train_table_classifier(TABLE, CLASSES, ("young", "old"), epochs=60, batch_size=8)


def test_accuracy_is_that_of_the_predictions(trained):
    encoded = trained.schema.encode(trained.schema.read(TABLE))
    decided = np.asarray(trained.predict(encoded)).argmax(axis=1)
    assert trained.accuracy(TABLE, CLASSES) == pytest.approx(np.mean(decided == CLASSES))
    unreadable = {"age": [25, 25], "job": ["clerk", "sailor"]}
    assert trained.accuracy(unreadable, np.array([0, 0])) == 0.5


def test_it_can_be_explained(trained):
    explanations = TableExplainer(**trained.functions()).fit(TABLE).explain(TABLE)
    assert explanations.found.all()
    assert explanations.class_names == ("young", "old")


def test_a_small_table_is_not_learnt_by_heart():
    # Whether somebody pays has nothing to do with the columns.
    rng = np.random.default_rng(0)
    table = {name: rng.normal(size=120).round(2) for name in "abcdef"}
    paid = rng.integers(0, 2, 120)
    stages: list[str] = []

    def told(stage: str, epoch: int, epochs: int, loss: float) -> None:
        stages.append(stage)

    short = train_table_classifier(table, paid, ("no", "yes"), batch_size=8, on_progress=told)
    long = train_table_classifier(table, paid, ("no", "yes"), batch_size=8, epochs=200)
    assert short.training.epochs <= 16
    assert short.training.rows == 120
    assert short.accuracy(table, paid) < 0.7
    assert long.accuracy(table, paid) > 0.9
    assert stages[0] == "classifier, 4 epochs on trial"
    assert stages[-1] == "classifier"


def test_the_same_seed_gives_the_same_network(trained):
    again = train_table_classifier(TABLE, CLASSES, ("young", "old"), epochs=60, batch_size=8)
    encoded = trained.schema.encode(trained.schema.read(TABLE))
    np.testing.assert_array_equal(trained.predict(encoded), again.predict(encoded))


def test_what_cannot_be_learnt_is_named(trained):
    with pytest.raises(ValueError, match="expected two or more"):
        train_table_classifier(TABLE, CLASSES, ("young",))
    with pytest.raises(ValueError, match="1 of 40 training rows can't be read, the first is row 3"):
        train_table_classifier(
            TABLE | {"job": ["clerk"] * 3 + ["sailor"] + ["pilot"] * 36},
            CLASSES,
            ("young", "old"),
            schema=trained.schema,
        )
