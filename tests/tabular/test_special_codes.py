"""Codes among the numbers of a column: kept or replaced by a number, never walked through."""

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcf import BlackBox, Status
from jaxcf.tabular import (
    FittedTableExplainer,
    Numeric,
    Rule,
    Schema,
    TableCoding,
    TableExplainer,
    fit_category_values,
)
from jaxcf.tabular.coding import coding_from_json, coding_to_json
from jaxcf.tabular.notes import apart_from_the_rest

CODES = (-8.0, -9.0)


@lru_cache
def table() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    months = np.where(rng.random(120) < 0.3, rng.choice(CODES, 120), rng.integers(1, 60, 120))
    return {"months": months, "pay": rng.normal(10, 3, 120).round(2)}


@lru_cache
def schema() -> Schema:
    return Schema.infer(table(), special={"months": CODES})


CODED = np.isin(table()["months"], CODES)


def score(months, pay):
    """High for many months, and low for a code."""
    return (months < 0) * (-4.0) + (months >= 0) * (months / 15 - 2.5) + (pay - 10) / 4


def predict(x: jax.Array) -> jax.Array:
    chance = jax.nn.sigmoid(score(x[:, 0], x[:, 1]))
    return jnp.stack([1 - chance, chance], axis=1)


@lru_cache
def fitted() -> FittedTableExplainer:
    original = Schema(schema().columns, "original")
    return TableExplainer(predict, original).fit(table())


def test_codes_are_no_part_of_what_the_numbers_span():
    (months, _) = schema().columns
    assert isinstance(months, Numeric)
    numbers = table()["months"][~CODED]
    assert (months.lower, months.upper) == (numbers.min(), numbers.max())
    assert (months.mean, months.step, months.special) == (numbers.mean(), 1.0, CODES)
    assert months.typical in numbers


@pytest.mark.parametrize("scaling", ["unit", "standard", "original"])
def test_the_model_sees_codes_as_they_are_and_the_way_back_is_exact(scaling):
    made = Schema(schema().columns, scaling)
    values = made.read(table())
    coding = TableCoding(made, fit_category_values(made, values))
    x = coding.coordinates(values)
    np.testing.assert_allclose(coding.model_input(x), made.encode(values), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(coding.values(x, values, x), values)
    assert coding_from_json(coding_to_json(coding)) == coding
    # towards the typical number, whatever the model's slope among the numbers
    months = made.columns[0]
    assert isinstance(months, Numeric)
    scale = months.shift_and_scale(scaling)[1]
    row = x[np.argmax(CODED)]
    slope = jax.grad(lambda point: coding.model_input(point)[0])(row)[0]
    (typical,) = coding.coordinates(np.array([[months.typical, 10.0]]))[:, 0]
    way = (months.typical - values[np.argmax(CODED), 0]) / scale
    np.testing.assert_allclose(slope, way / (typical - row[0]), rtol=1e-4)


def test_a_code_is_kept_or_replaced_by_a_number_and_none_is_arrived_at():
    result = fitted().explain(table())
    assert result.found.all()
    (months, _) = schema().columns
    assert isinstance(months, Numeric)
    after = result.counterfactual["months"]
    replaced = CODED & (after != table()["months"])
    assert replaced.any()
    assert set(after[replaced]) == {months.typical}
    assert not np.isin(after[~CODED], CODES).any()
    # asked directly
    decided = score(after, result.counterfactual["pay"]) > 0
    np.testing.assert_array_equal(decided, result.counterfactual_class == 1)


def test_rules_are_for_the_numbers():
    rules = {"months": Rule(lower=10, upper=20, step=5), "pay": Rule(upper=40)}
    result = fitted().explain(table(), rules=rules)
    assert not (result.status[CODED] == Status.OUT_OF_RANGE).any()
    after = result.counterfactual["months"]
    changed = after != table()["months"]
    assert set(after[changed & CODED]) <= {20.0}
    for kept in (Rule(frozen=True), Rule(increase_only=True), Rule(lower=2, upper=4, step=100)):
        ruled = fitted().explain(table(), rules={"months": kept})
        np.testing.assert_array_equal(
            ruled.counterfactual["months"][CODED], table()["months"][CODED]
        )


def test_a_model_outside_jax_is_never_asked_about_numbers_between():
    asked: list[np.ndarray] = []

    def ask(rows: Any) -> np.ndarray:
        asked.append(np.asarray(rows["months"], float))
        chance = 1 / (1 + np.exp(-score(asked[-1], np.asarray(rows["pay"]))))
        return np.stack([1 - chance, chance], axis=1)

    # objective C looks for its gradient by differences
    box = TableExplainer(BlackBox(ask, 2), schema(), takes="table", objective="C").fit(table())
    some = {name: column[:30] for name, column in table().items()}
    assert box.explain(some).found.all()
    months = np.unique(np.concatenate(asked))
    assert set(months[months < 1]) <= set(CODES)


def test_a_code_within_the_numbers_is_stepped_over():
    schema = Schema((Numeric("score", 0, 10, 1.0, special=(4, 5), typical=2),))
    coding = TableCoding(schema, fit_category_values(schema, np.array([[1.0]])))
    starts, ends = np.array([[1.0], [8.0], [5.0]]), np.array([[0.5], [0.4], [0.5]], np.float32)
    found = coding.values(ends, starts, coding.coordinates(starts))
    assert found.tolist() == [[3.0], [6.0], [5.0]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Numeric("a", 0, 9, special=(-1, -1)), "special codes .* each once"),
        (lambda: Numeric("a", 0, 9, special=(-1,), typical=10), "typical=10.0; expected a number"),
        (lambda: Numeric("a", 0, 9, typical=1), "no special codes"),
        (lambda: Schema.infer({"a": ["b"]}, special={"a": [1]}), "expected columns of numbers"),
        (lambda: Schema.infer({"a": [-1, -1]}, special={"a": [-1]}), "nothing but the special"),
    ],
)
def test_wrong_codes_say_why(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_numbers_apart_from_the_rest_are_suggested_and_others_are_not():
    plain = Schema.infer(table())
    (note,) = plain.summary(table=table())["notes"]
    assert note.endswith("say special={'months': [-9, -8]}")
    assert plain.summary()["notes"] == ()
    assert schema().summary(table=table())["notes"] == ()
    rng = np.random.default_rng(0)
    ages = rng.integers(17, 91, 500).astype(float)
    assert apart_from_the_rest(np.concatenate([ages, [999, 998, 999, 998]])) == (998.0, 999.0)
    for usual in (ages, np.append(ages, 99), rng.normal(size=500), rng.integers(-9, 9, 500)):
        assert apart_from_the_rest(usual.astype(float)) == ()
