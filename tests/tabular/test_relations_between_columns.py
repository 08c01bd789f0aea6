"""Relations between columns: read, kept to by every counterfactual, and mended one by one."""

from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcf import Refinement, Status
from jaxcf.tabular import (
    Categorical,
    Numeric,
    Relation,
    Rule,
    Schema,
    TableCoding,
    TableExplainer,
    fit_category_values,
)
from jaxcf.tabular.relations import read_relations

RELATIONS = [
    "satisfactory <= total",
    'sum == a + "b-c"',
    "if job = pilot then age >= 21",
    "if grade >= B then job != clerk",
]
WEIGHTS = np.array([3, -2, 2, 1, 3, 0.5, -0.5, 1.5, 2, -1])


def predict(x):
    score = (x - 0.5) @ WEIGHTS + 1.5 * jnp.sin(4 * x[:, 0] * x[:, 4])
    return jax.nn.softmax(jnp.stack([-score, score], axis=1))


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    n = 96
    satisfactory, a = rng.integers(0, 20, n), rng.normal(50, 10, n).round(2)
    other, job = rng.normal(30, 5, n).round(2), rng.choice(["clerk", "pilot", "sailor"], n)
    grade = np.where(job == "clerk", "A", rng.choice(["A", "B", "C"], n))
    return {
        "satisfactory": satisfactory,
        "total": satisfactory + rng.integers(0, 10, n),
        "a": a,
        "b-c": other,
        "sum": (a + other).round(2),
        "job": job,
        "age": np.where(job == "pilot", rng.integers(21, 60, n), rng.integers(16, 60, n)),
        "grade": grade,
    }


@pytest.fixture(scope="module")
def fitted(table):
    schema = Schema.infer(table, ordinal={"grade": ["A", "B", "C"]})
    return TableExplainer(predict, schema).fit(table)


def kept_to(after) -> np.ndarray:
    """Which rows keep to the relations above, told from the columns alone."""
    kept = after["satisfactory"] <= after["total"]
    kept &= np.abs(after["sum"] - after["a"] - after["b-c"]) < 1e-9 * after["sum"]
    kept &= (after["job"] != "pilot") | (after["age"] >= 21)
    return kept & ((after["grade"] == "A") | (after["job"] != "clerk"))


def test_every_counterfactual_keeps_to_every_relation(fitted, table):
    free, related = fitted.explain(table), fitted.explain(table, relations=RELATIONS)
    assert not kept_to(free.counterfactual).all()
    assert related.found.all()
    assert kept_to(related.counterfactual).all()
    moved = (related.values != related.original_values)[:, [2, 3, 4]].sum(axis=1)
    assert (moved != 1).all()  # no part of a sum without another
    assert (moved > 0).any()


def test_a_column_moves_others_no_farther_than_need_be(fitted):
    read = read_relations(RELATIONS, fitted.coding)
    begun = np.array([[5, 5, 50, 30, 80, 0, 18, 0.0]])
    held = np.zeros((1, 8), bool)
    for place, value, expected in (
        (0, 7, [7, 7, 50, 30, 80, 0, 18, 0]),  # total follows
        (2, 52.5, [5, 5, 52.5, 30, 82.5, 0, 18, 0]),  # the sum follows
        (5, 1, [5, 5, 50, 30, 80, 1, 21, 0]),  # a pilot is 21
        (6, 17, [5, 5, 50, 30, 80, 0, 17, 0]),  # nothing follows
    ):
        changed, kept = begun.copy(), held.copy()
        changed[0, place], kept[0, place] = value, True
        rows = fitted._final_rows(
            {
                "satisfactory": [5], "total": [5], "a": [50.0], "b-c": [30.0], "sum": [80.0],
                "job": ["clerk"], "age": [18], "grade": ["A"],
            },
            None,
            RELATIONS,
        )  # fmt: skip
        found = rows.mended(changed, np.array([0]), kept)
        assert read.hold(found).all()
        assert (found[0, :5] == expected[:5]).all()
        assert found[0, 6] == expected[6]
        assert found[0, 7] == expected[7]


def test_putting_one_back_puts_back_what_followed_it(fitted, table):
    """Of sums that two columns move, none stays moved alone."""
    back = fitted.with_options(refinement=Refinement(line_search=True, sparsify=True))
    related = back.explain(table, relations=RELATIONS)
    assert kept_to(related.counterfactual)[related.found].all()
    assert related.found.mean() > 0.9


def test_a_row_that_breaks_one_has_a_status_or_is_moved_in(fitted, table):
    broken = {name: column.copy() for name, column in table.items()}
    broken["total"][::2] = broken["satisfactory"][::2] - 1
    refused = fitted.explain(broken, relations=["satisfactory <= total"])
    assert (refused.status[::2] == Status.OUT_OF_RANGE).all()
    assert refused.found[1::2].all()
    moved = fitted.explain(broken, relations=[Relation("satisfactory <= total", move_in=True)])
    after = moved.counterfactual
    assert moved.found.all()
    assert (after["satisfactory"] <= after["total"]).all()


def test_columns_of_narrow_types_keep_to_sums_as_they_are_held(fitted, table):
    narrow = {
        name: column.astype(np.float32) if column.dtype == float else column
        for name, column in table.items()
    }
    related = fitted.explain(narrow, relations=RELATIONS)
    after = related.counterfactual
    assert related.found.all()
    assert after["sum"].dtype == np.float32
    assert np.allclose(after["sum"], after["a"] + after["b-c"], rtol=1e-6)


def test_alternatives_traces_and_streams_keep_to_them_too(fitted, table):
    rules = {"satisfactory": Rule(frozen=True), "age": Rule(increase_only=True)}
    asked = {"rules": rules, "relations": RELATIONS}
    several = fitted.explain(table, num_alternatives=2, **asked)
    after = several.counterfactual
    assert kept_to(after)[several.found].all()
    traces = fitted.trace(several, table, num_rows=2, **asked)
    assert len(traces.rows) == 2
    (part,) = fitted.stream([table], **asked)
    alone = fitted.explain(table, **asked)
    assert (part.values == alone.values).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a < sum", "expected one <="),
        ("a + nobody <= sum", "no sum of columns"),
        ('"nobody" <= sum', "no such column"),
        ("job <= sum", "holds categories"),
        ("2 <= 3", "names no column"),
        ("a <=", "empty side"),
        ("2 * 3 <= a", "no sum of columns"),
        ("if job = pilot then age > 21", "compares no column"),
        ("if job = captain then age >= 21", "no category"),
        ("if job >= pilot then age >= 21", "no order"),
        ("if age >= old then a >= 1", "no number"),
        ("if age != 21 then a >= 1", "holds numbers"),
    ],
)
def test_what_is_no_relation_says_why(fitted, text, message):
    with pytest.raises(ValueError, match=message):
        read_relations([text], fitted.coding)


@pytest.mark.usefixtures("without_type_checks")
def test_what_is_no_list_of_relations_is_refused(fitted):
    wrong: tuple[Any, ...] = ("a <= sum", Relation("a <= sum"), 3)
    for one in wrong:
        with pytest.raises(TypeError, match="a list of texts or of Relations, got"):
            read_relations(one, fitted.coding)
    with pytest.raises(TypeError, match="a Relation must have a text, got 3"):
        read_relations([Relation(cast(Any, 3))], fitted.coding)
    with pytest.raises(ValueError, match="too large for float64"):
        read_relations(["a <= 1e400"], fitted.coding)


def test_texts_mean_what_they_say(fitted):
    def of(text):
        (one,) = read_relations([text], fitted.coding).linear
        return dict(zip(one.places, one.weights, strict=True)), one.limit, one.equal

    assert of("2*a - 3 <= sum + 1.5") == ({2: 2.0, 4: -1.0}, 4.5, False)
    assert of('a >= "b-c"') == ({2: -1.0, 3: 1.0}, 0.0, False)
    assert of("a + a = total") == ({2: 2.0, 1: -1.0}, 0.0, True)


def test_what_follows_is_told_as_the_column_holds_it():
    rng = np.random.default_rng(0)
    table = {
        "x": rng.uniform(0, 1, 80).round(1).astype(np.float32),
        "y": rng.normal(size=80).astype(np.float32),
    }
    fitted = TableExplainer(lambda x: jax.nn.softmax(4 * (x - 0.5))).fit(table)
    at_it = table["x"] == np.float32(0.7)
    assert at_it.sum() > 3
    for text in ("x == 0.7", "x >= 0.7", "x <= 0.7"):
        alone = fitted.explain(table, relations=[text])
        following = fitted.explain(table, relations=[f"if y <= 99 then {text}"])
        refused = alone.status == Status.OUT_OF_RANGE
        assert (refused == (following.status == Status.OUT_OF_RANGE)).all()
        assert not refused[at_it].any()
        assert following.found[at_it].any()


def test_codes_follow_from_nothing_and_nothing_follows_from_them():
    schema = Schema((Numeric("months", 0, 60, step=1.0, special=(-8,)), Numeric("n", 0, 9, 1.0)))
    table = {"months": np.array([5, -8, 30, 9]), "n": np.array([6, 3, 9, 1])}
    fitted = TableExplainer(lambda x: jax.nn.softmax(jnp.stack([x[:, 0], x[:, 1]], 1)), schema)
    coding = fitted.fit(table).coding
    values = np.array([[-8, 3.0], [2, 3], [np.nan, 3], [2, 7], [-8, 7]])
    first = read_relations(["if months <= 3 then n >= 5"], coding)
    assert first.hold(values).tolist() == [1, 0, 1, 1, 1]
    second = read_relations(["if n >= 5 then months >= 5"], coding)
    assert second.hold(values).tolist() == [1, 1, 1, 0, 1]


def test_codes_and_missing_numbers_are_not_spoken_of():
    schema = Schema((Numeric("months", 0, 60, step=1.0, special=(-8,)), Numeric("n", 0, 9, 1.0)))
    table = {"months": np.array([5, -8, 30, 9]), "n": np.array([6, 3, 9, 1])}

    def by_months(x):
        score = 3 * x[:, 0] - 2 * x[:, 1]
        return jax.nn.softmax(jnp.stack([-score, score], axis=1))

    fitted = TableExplainer(by_months, schema).fit(table)
    read = read_relations(["n <= months"], fitted.coding)
    assert read.hold(np.array([[-8, 3.0], [2, 3], [np.nan, 3], [3, 3]])).tolist() == [1, 0, 1, 1]
    related = fitted.explain(table, relations=["n <= months"])
    assert (related.status == Status.OUT_OF_RANGE).tolist() == [True, False, False, False]
    assert read.hold(related.values)[related.found].all()


def test_a_number_is_a_name_only_in_quotes():
    schema = Schema(tuple(Numeric(name, 0, 9, step=1.0) for name in ("0", "3", "a")))
    values = np.array([[2.0, 1.0, 0.0], [4.0, 9.0, 0.0]])
    coding = TableCoding(schema, fit_category_values(schema, values, method="index"))

    def holds(text):
        return read_relations([text], coding).hold(values).tolist()

    assert holds('"0" <= 3') == [True, False]
    assert holds('"0" <= "3"') == [False, True]
    assert holds('a + 3 <= "0" + 1') == [True, True]
    with pytest.raises(ValueError, match="names no column"):
        holds("0 <= 3")


def test_what_stands_in_quotes_may_hold_any_sign():
    schema = Schema((Numeric("x then y", 0, 9), Categorical("job", ("p|q", "a then b", "r"))))
    values = np.array([[2.0, 0.0], [2.0, 1.0], [2.0, 2.0]])
    coding = TableCoding(schema, fit_category_values(schema, values, method="index"))

    def holds(text):
        return read_relations([text], coding).hold(values).tolist()

    assert holds('if "x then y" <= 3 then job = "p|q"') == [True, False, False]
    assert holds('if job = "a then b" | r then "x then y" >= 3') == [True, False, False]
    assert holds('if job != "p|q" then "x then y" >= 3') == [True, False, False]


def test_what_is_not_searched_is_given_back_to_the_bit(fitted, table):
    broken = {name: column[:8].copy() for name, column in table.items()}
    broken["satisfactory"][:4] = 19
    broken["total"][:4] = 3
    given_back = fitted.explain(broken, relations=RELATIONS)
    assert (given_back.status[:4] == Status.OUT_OF_RANGE).all()
    np.testing.assert_array_equal(given_back.core.counterfactual[:4], given_back.core.original[:4])
    assert (given_back.core.l1[:4] == 0).all()
