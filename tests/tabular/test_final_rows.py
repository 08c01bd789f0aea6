"""What is said of a row is said of the very row that went in and goes out, not of one like it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from jaxcf import BlackBox, Status
from jaxcf.tabular import Numeric, Rule, Schema, TableExplainer, TableExplanations

TRAINING = {"hours": np.arange(10, 60), "score": np.arange(50) * 7 % 100}


def ask(table: Any) -> np.ndarray:
    sure = np.asarray(table["hours"]) + np.asarray(table["score"]) / 10 > 38.65
    return np.stack([~sure, sure], axis=1).astype(float)


def of_input(x: np.ndarray) -> np.ndarray:
    return ask({"hours": 10 + x[:, 0] * 49, "score": x[:, 1] * 99})


def in_jax(x: jax.Array) -> jax.Array:
    margin = 10 + x[:, 0] * 49 + x[:, 1] * 9.9 - 38.65
    return jax.nn.softmax(jnp.stack([-20 * margin, 20 * margin], axis=1))


def beside_the_grid(n: int = 200, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"hours": rng.uniform(10, 60, n).round(1), "score": rng.uniform(0, 100, n).round(1)}


def agree(result: TableExplanations, before: np.ndarray, after: np.ndarray) -> None:
    np.testing.assert_array_equal(result.original_class, before)
    found = result.found
    assert found.mean() > 0.9
    np.testing.assert_array_equal(after[found], result.counterfactual_class[found])
    assert (after != before)[found].all()
    assert set(np.unique(result.status[~found])) <= {Status.NOT_CONFIRMED, Status.NOT_FOUND}


@pytest.mark.parametrize("kind", ["mapping", "frame"])
def test_numbers_beside_the_grid_are_asked_about_as_they_are(kind):
    made = pd.DataFrame if kind == "frame" else dict
    ready = TableExplainer(BlackBox(ask, 2), takes="table").fit(made(TRAINING))
    one = ready.explain(made({"hours": np.array([38.5]), "score": np.array([1.0])}))
    assert one.original_class.tolist() == [0]
    rows = made(beside_the_grid())
    result = ready.explain(rows)
    agree(result, ask(rows).argmax(axis=1), ask(result.counterfactual).argmax(axis=1))


@pytest.mark.parametrize("model", [BlackBox(of_input, 2), in_jax])
def test_a_model_of_the_encoded_table_is_asked_about_the_exact_values(model):
    ready = TableExplainer(model).fit(TRAINING)
    schema, rows = ready.coding.schema, beside_the_grid()
    result = ready.explain(rows)
    asked: Any = of_input if isinstance(model, BlackBox) else in_jax
    before, after = (
        np.asarray(asked(schema.encode(schema.read(part))))
        for part in (rows, result.counterfactual)
    )
    agree(result, before.argmax(axis=1), after.argmax(axis=1))
    np.testing.assert_allclose(result.probabilities, after, atol=1e-4)


def test_a_row_that_decides_otherwise_as_it_goes_out_is_not_found():
    """A model that knows the search's rows, on the grid, from those of the table."""

    def whole_only(table: Any) -> np.ndarray:
        hours = np.asarray(table["hours"], float)
        sure = (hours == hours.round()) & (np.asarray(table["score"]) > 50)
        return np.stack([~sure, sure], axis=1).astype(float)

    ready = TableExplainer(BlackBox(whole_only, 2), takes="table").fit(TRAINING)
    rows = {"hours": np.full(40, 30.4), "score": np.linspace(10, 40, 40).round()}
    result = ready.explain(rows, rules={"hours": Rule(frozen=True)})
    assert (result.counterfactual["hours"] == 30.4).all()
    assert not result.found.any()
    assert (result.status == Status.NOT_CONFIRMED).any()


def test_what_is_put_back_is_put_back_to_the_row_itself():
    """A model of whole hours: 30.4 is none, though the search stands at 30."""

    def whole_only(table: Any) -> np.ndarray:
        hours = np.asarray(table["hours"], float)
        sure = (hours == hours.round()) & (np.asarray(table["score"]) + hours > 90)
        return np.stack([~sure, sure], axis=1).astype(float)

    rng = np.random.default_rng(0)
    rows = {"hours": rng.integers(10, 50, 100) + 0.4, "score": rng.uniform(10, 40, 100).round()}
    ready = TableExplainer(BlackBox(whole_only, 2), takes="table", objective="E").fit(TRAINING)
    result = ready.explain(rows)
    assert result.found.all()
    assert whole_only(result.counterfactual)[:, 1].all()


def test_training_rows_are_asked_about_as_they_are():
    schema = Schema((Numeric("hours", 10, 60, step=1.0), Numeric("score", 0, 100, step=1.0)))
    beside = {"hours": np.full(40, 38.5), "score": np.linspace(0.4, 3, 40)}
    table = {name: np.concatenate([beside[name], TRAINING[name]]) for name in TRAINING}
    fitted = TableExplainer(BlackBox(ask, 2), schema=schema, takes="table").fit(table)
    np.testing.assert_array_equal(fitted.of_coordinates.training_class, ask(table).argmax(axis=1))


BIG = 2**53


def by_score(table: Any) -> np.ndarray:
    sure = np.asarray(table["score"], float) > 50
    return np.stack([~sure, sure], axis=1).astype(float)


@pytest.mark.parametrize("kind", ["mapping", "frame", "objects", "Int64", "uint64"])
def test_identifiers_that_float64_cannot_hold_come_back_as_they_were(kind, tmp_path):
    from jaxcf.cli.table_csv import write_counterfactuals

    ids = [BIG + 1 + 2 * place for place in range(50)]
    seen = []

    def model(table: Any) -> np.ndarray:
        seen.extend(int(one) for one in table["id"])
        return by_score(table)

    table: Any = {"id": np.array(ids), "score": TRAINING["score"]}
    if kind == "frame":
        table = pd.DataFrame(table)
    elif kind == "Int64":
        table = pd.DataFrame({"id": pd.array(ids, "Int64"), "score": table["score"]})
    elif kind == "uint64":
        table["id"] = np.array(ids, np.uint64)
    elif kind == "objects":
        table["id"] = np.array(ids, object)
    schema = Schema((Numeric("id", BIG, BIG + 200, 1.0), Numeric("score", 0, 98, 1.0)))
    ready = TableExplainer(BlackBox(model, 2), schema, takes="table").fit(table)
    seen.clear()
    result = ready.explain(table, rules={"id": Rule(frozen=True)})
    assert result.found.all()
    for part in (result, result[::-1], ready.explain(table, num_alternatives=1)[[4, 4, 9]]):
        expected = [ids[row] for row in part.source_row]
        assert [int(one) for one in part.original["id"]] == expected
        assert [int(one) for one in part.counterfactual["id"]] == expected
        assert [int(one) for one in part.to_pandas()["id"]] == expected
        write_counterfactuals(tmp_path / "rows.csv", part)
        written = (tmp_path / "rows.csv").read_text().splitlines()[1:]
        assert [int(line.split(",")[1]) for line in written] == expected
    assert set(ids) <= set(seen)  # the model is asked about these, too
    assert result.counterfactual["id"].dtype == (
        np.asarray(table["id"]).dtype if kind != "Int64" else "Int64"
    )


GAPS: dict[str, Any] = {
    "Int64": lambda ids: pd.DataFrame({"id": pd.array(ids, "Int64")}),
    "UInt64": lambda ids: pd.DataFrame({"id": pd.array(ids, "UInt64")}),
    "objects": lambda ids: pd.DataFrame({"id": pd.Series(ids, dtype=object)}),
    "a list": lambda ids: {"id": ids},
    "Arrow": lambda ids: pa.table({"id": pa.array(ids)}),
}


@pytest.mark.parametrize("kind", GAPS)
@pytest.mark.parametrize("first", [7, BIG + 1])
def test_whole_numbers_beside_gaps_stay_what_they_are(kind, first):
    ids = [None if place % 7 == 3 else first + 2 * place for place in range(50)]
    made, seen = GAPS[kind](ids), set()

    def with_score(table: Any) -> Any:
        if kind == "Arrow":
            return table.append_column("score", pa.array(TRAINING["score"]))
        if kind == "a list":
            return table | {"score": TRAINING["score"]}
        return table.assign(score=TRAINING["score"])

    def as_list(column: Any) -> list[Any]:
        entries = column.to_pylist() if kind == "Arrow" else list(column)
        return [None if one is pd.NA or one != one else one for one in entries]

    def model(table: Any) -> np.ndarray:
        seen.update(as_list(table["id"]))
        return by_score(table)

    table = with_score(made)
    result = (
        TableExplainer(BlackBox(model, 2), takes="table")
        .fit(table)
        .explain(table, rules={"id": Rule(frozen=True)})
    )
    assert result.found.all()
    assert as_list(result.counterfactual["id"]) == as_list(result.original["id"]) == ids
    assert set(ids) <= seen  # the model is asked about these, too
    given = getattr(table["id"], "dtype", None)
    assert getattr(result.counterfactual["id"], "dtype", None) == given or kind == "a list"


@pytest.mark.parametrize("kind", [np.uint64, "UInt64"])
def test_numbers_that_only_unsigned_ones_hold_are_numbers(kind):
    ids = [2**63 - 50_000 + 2_000 * place for place in range(50)]
    table = pd.DataFrame({"id": np.array(ids, np.uint64), "score": TRAINING["score"]})
    table = table.astype({"id": kind})

    def model(table: Any) -> np.ndarray:
        sure = np.array([int(one) > 2**63 for one in table["id"]])
        return np.stack([~sure, sure], axis=1).astype(float)

    result = TableExplainer(BlackBox(model, 2), takes="table").fit(table).explain(table)
    assert result.found.all()
    assert [int(one) for one in result.original["id"]] == ids
    assert (result.counterfactual["id"].dtype, result.original["id"].dtype) == (kind, kind)
    decided = model(result.counterfactual).argmax(axis=1)
    np.testing.assert_array_equal(decided, result.counterfactual_class)
    assert (decided != model(table).argmax(axis=1)).all()


def test_a_model_that_looks_for_none_gets_none():
    rng = np.random.default_rng(0)
    job = np.array(["clerk", "pilot", None], object)[rng.integers(0, 3, 90)]
    old = np.array([30, 50, None], object)[rng.integers(0, 3, 90)]
    table = pd.DataFrame({"job": pd.Series(job, dtype=object), "pay": rng.uniform(0, 1, 90)})
    table["old"] = pd.Series(old, dtype=object)

    def model(table: Any) -> np.ndarray:
        assert table["job"].dtype == table["old"].dtype == object
        lacking = sum(
            np.array([0.2 * (one is None) for one in table[name]]) for name in ("job", "old")
        )
        assert not any(one != one or isinstance(one, float) for one in table["old"])
        sure = 1 / (1 + np.exp(-20 * (np.asarray(table["pay"]) + lacking - 0.6)))
        return np.stack([1 - sure, sure], axis=1)

    result = TableExplainer(BlackBox(model, 2), takes="table").fit(table).explain(table)
    assert result.found.all()
    assert (result.original_class == model(table).argmax(axis=1)).all()
    assert (result.counterfactual_class == model(result.counterfactual).argmax(axis=1)).all()


@pytest.mark.parametrize("narrow", [np.float32, np.float16, "Float32"])
def test_numbers_in_a_narrow_type_are_confirmed_as_it_holds_them(narrow):
    rng = np.random.default_rng(0)
    training = pd.DataFrame({"a": rng.uniform(0, 1, 200), "b": rng.uniform(0, 1, 200)})

    def model(table: Any) -> np.ndarray:
        sure = np.asarray(table["a"], float) + np.asarray(table["b"], float) > 1
        return np.stack([~sure, sure], axis=1).astype(float)

    ready = TableExplainer(BlackBox(model, 2), takes="table").fit(training)
    rows = training.head(60).astype(narrow)
    before = np.asarray(rows["a"], float)
    result = ready.explain(rows, rules={"a": Rule(lower=0.1, upper=np.maximum(before, 0.7))})
    assert result.counterfactual.dtypes.equals(rows.dtypes)
    after = np.asarray(result.counterfactual["a"], float)
    np.testing.assert_array_equal(after, result.values[:, 0])
    inside = result.status != Status.OUT_OF_RANGE
    assert ((after >= 0.1) & (after <= np.maximum(before, 0.7)))[inside].all()
    found = result.found
    assert found.sum() > 30
    decided = model(result.counterfactual).argmax(axis=1)
    np.testing.assert_array_equal(decided[found], result.counterfactual_class[found])


def test_a_training_type_too_narrow_for_the_rows_does_not_round_them():
    training = pd.DataFrame({"a": np.linspace(0, 1, 100, dtype=np.float32)})

    def model(table: Any) -> np.ndarray:
        sure = np.asarray(table["a"]) > 0.1  # above in float32, not in float64
        return np.stack([~sure, sure], axis=1).astype(float)

    ready = TableExplainer(BlackBox(model, 2), takes="table").fit(training)
    rows = pd.DataFrame({"a": [0.1, 0.9]})
    assert ready.explain(rows).original_class.tolist() == model(rows).argmax(axis=1).tolist()


def test_cells_of_an_encoded_array_are_its_own():
    schema = Schema.infer({"a": np.linspace(0, 3, 50), "b": np.arange(50)})
    x = schema.encode(schema.read({"a": np.linspace(0, 3, 50), "b": np.arange(50)}))
    x = np.nextafter(x, np.float32(2))  # what isn't quite on the grid of b

    def model(x: np.ndarray) -> np.ndarray:
        sure = x[:, 0] > 0.5
        return np.stack([~sure, sure], axis=1).astype(float)

    ready = TableExplainer(BlackBox(model, 2), schema).fit(x)
    result = ready.explain(x, rules={"b": Rule(frozen=True)})
    assert result.found.all()
    np.testing.assert_array_equal(result.counterfactual[:, 1], x[:, 1])
    np.testing.assert_array_equal(result.original, x)
    decided = model(result.counterfactual).argmax(axis=1)
    np.testing.assert_array_equal(decided, result.counterfactual_class)


def test_every_row_is_asked_about_once_before_and_once_after():
    asked = []

    def model(table: Any) -> np.ndarray:
        asked.append(len(table["hours"]))
        return ask(table)

    box = BlackBox(model, 2, max_rows_per_call=16)
    ready = TableExplainer(box, takes="table", objective="E").fit(TRAINING)
    asked.clear()
    result = ready.explain(beside_the_grid(50))
    assert max(asked) <= 16
    assert sum(asked) == result.scores["predictions"].sum()


def test_a_model_that_fails_for_a_row_as_it_is_spares_the_others():
    def model(table: Any) -> np.ndarray:
        if (np.asarray(table["hours"]) == 33.3).any():
            raise ValueError("33.3 hours")
        return ask(table)

    ready = TableExplainer(BlackBox(model, 2), takes="table").fit(TRAINING)
    rows = beside_the_grid(30)
    rows["hours"][7] = 33.3
    with pytest.warns(RuntimeWarning, match=r"33\.3 hours"):
        result = ready.explain(rows)
    assert result.status[7] == Status.MODEL_NOT_FINITE
    assert result.found[np.arange(30) != 7].mean() > 0.9
