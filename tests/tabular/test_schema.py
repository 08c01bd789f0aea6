"""What a table is taken for, and the ways between it, its values and the model input."""

import subprocess
import sys
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcf.tabular import Categorical, Numeric, Ordinal, Schema

# typed Any, for the type checker knows better
WRONG: Any = "wrong"


def _frame():
    return pd.DataFrame(
        {
            "age": [30, 41, 19],
            "pay": [1.25, 2.5, -3.0],
            "job": ["clerk", "sailor", "clerk"],
            "smokes": [True, False, True],
            "size": pd.Categorical(["m", "s", "m"], ["s", "m", "l"], ordered=True),
            "town": pd.Categorical(["york", "hull", "york"], ["york", "hull", "leeds"]),
        },
        index=[7, 8, 9],
    )


def _mapping():
    return {
        "age": np.array([30, 41, 19], np.int16),
        "pay": np.array([1.25, 2.5, -3.0], np.float32),
        "job": ["clerk", "sailor", "clerk"],
        "smokes": np.array([True, False, True]),
    }


def test_columns_are_taken_for_what_they_hold():
    age, pay, job, smokes, size, town = Schema.infer(_frame()).columns
    assert isinstance(age, Numeric)
    assert (age.lower, age.upper, age.step) == (19.0, 41.0, 1.0)
    assert (age.mean, age.deviation) == pytest.approx((30.0, np.std([30, 41, 19])))
    assert isinstance(pay, Numeric)
    assert (pay.lower, pay.upper, pay.step) == (-3.0, 2.5, 0.01)
    assert job == Categorical("job", ("clerk", "sailor"))
    assert smokes == Categorical("smokes", (False, True))
    assert size == Ordinal("size", ("s", "m", "l"))
    assert town == Categorical("town", ("york", "hull", "leeds"))


@pytest.mark.parametrize(
    ("column", "decimals"),
    [
        (np.array([0.0, 1.0, 1.0]), 0),
        (np.array([31168.34, 900.5, 7.0]), 2),
        (np.array([31168.34, 900.5, 7.0], np.float32), 2),
        (pd.Series([31168.34, 900.5, None], dtype="Float32"), 2),
        (np.array([20, None, 31.5], object), 1),
        (np.array([Decimal("0.125"), Decimal("2"), None], object), 3),
        (np.random.default_rng(0).normal(size=9), None),
        (np.random.default_rng(0).normal(size=9).astype(np.float32), None),
        (np.array([1e17, 3e17]), None),
    ],
    ids=str,
)
def test_numbers_have_as_many_decimals_as_the_training_rows(column, decimals):
    (found,) = Schema.infer({"pay": column}, keep_missing=True).columns
    assert isinstance(found, Numeric)
    assert found.decimals == decimals
    # to the last bit: 0.3 is not three times 0.1
    given = np.asarray(column, np.float64)
    given = given[np.isfinite(given)] if np.asarray(column).dtype != np.float32 else given[:0]
    np.testing.assert_array_equal(found.on_grid(given), given)
    (said,) = Schema.infer({"pay": column}, keep_missing=True, decimals={"pay": 1}).columns
    assert isinstance(said, Numeric)
    assert said.step == 0.1


def test_what_is_said_about_a_column_wins():
    schema = Schema.infer(
        {"age": [30, 41, 30], "size": ["m", "s", "m"], "code": [2.0, 1.0, 2.0]},
        ordinal={"size": ["s", "m", "l"]},
        categorical=["age", "code"],
        encoding="label",
    )
    assert schema.columns == (
        Categorical("age", (30, 41), "label"),
        Ordinal("size", ("s", "m", "l")),
        Categorical("code", (1.0, 2.0), "label"),
    )


def test_nullable_and_string_types_of_pandas_are_read():
    frame = pd.DataFrame(
        {
            "age": pd.array([1, 2], dtype="Int64"),
            "pay": pd.array([0.5, 1], dtype="Float64"),
            "job": pd.array(["a", "b"], dtype="string"),
            "well": pd.array([True, False], dtype="boolean"),
        }
    )
    schema = Schema.infer(frame)
    assert [type(one).__name__ for one in schema.columns] == [
        *("Numeric", "Numeric", "Categorical", "Categorical")
    ]
    assert isinstance(schema.columns[0], Numeric)
    assert schema.columns[0].step == 1.0
    values = schema.read(frame)
    pd.testing.assert_frame_equal(schema.write(values, frame), frame)
    gaps = pd.DataFrame({name: frame[name].astype(object) for name in frame})
    gaps.iloc[0] = pd.NA
    assert np.isnan(schema.read(gaps)).tolist() == [[True] * 4, [False] * 4]
    assert np.isnan(schema.read(gaps.astype(frame.dtypes))).tolist() == [[True] * 4, [False] * 4]


@pytest.mark.parametrize("scaling", ["unit", "standard", "original"])
@pytest.mark.parametrize("encoding", ["one-hot", "drop-first", "label"])
@pytest.mark.parametrize("table", [_frame(), _mapping()], ids=["frame", "mapping"])
def test_a_table_comes_back_as_it_was(table, encoding, scaling):
    schema = Schema.infer(table, encoding=encoding, scaling=scaling)
    values = schema.read(table)
    again = schema.write(values, like=table)
    assert type(again) is type(table)
    if isinstance(table, pd.DataFrame):
        pd.testing.assert_frame_equal(again, table)
    else:
        for name, column in table.items():
            np.testing.assert_array_equal(again[name], column)
            assert again[name].dtype == np.asarray(column).dtype
    # the model input can be read back too
    np.testing.assert_allclose(schema.read(schema.encode(values)), values, rtol=1e-6)
    assert schema.encode(values).dtype == np.float32
    assert schema.encode(values).shape == (3, schema.width)


def test_the_model_input_entry_by_entry():
    columns = (
        Numeric("age", 20, 60, 1.0, mean=30.0, deviation=5.0),
        Categorical("job", ("clerk", "sailor", "pilot")),
        Ordinal("size", ("s", "m", "l")),
        Ordinal("share", ("none", "half", "all"), encoding="unit"),
        Categorical("town", ("york", "hull"), encoding="label"),
    )
    values = np.array([[40.0, 2, 1, 1, 1]])
    rest = [0, 0, 1, 1, 0.5, 1]
    assert Schema(columns).encode(values).tolist() == [[0.5, *rest]]
    assert Schema(columns, "standard").encode(values).tolist() == [[2, *rest]]
    schema = Schema(columns, "original")
    assert schema.encode(values).tolist() == [[40, *rest]]


def test_a_constant_column_stays_and_cannot_change():
    table = {"year": [1994, 1994], "rate": [0.5, 0.5], "land": ["x", "x"], "age": [1, 2]}
    schema = Schema.infer(table)
    assert schema.constant.tolist() == [True, True, True, False]
    first = schema.columns[0]
    assert isinstance(first, Numeric)
    assert first.span == 0
    assert schema.encode(schema.read(table)).tolist() == [[0, 0, 1, 0], [0, 0, 1, 1]]
    np.testing.assert_array_equal(schema.write(schema.read(table))["year"], [1994, 1994])
    z_scores = Schema.infer(table, scaling="standard")
    assert np.isfinite(z_scores.encode(z_scores.read(table))).all()


def test_missing_and_unseen_entries_spoil_their_own_row_only():
    schema = Schema.infer(_mapping())
    table = {
        "age": [30, None, 20.0, "old", np.inf],
        "pay": [1.0, np.nan, 2.0, 3.0, 4.0],
        "job": ["clerk", "sailor", None, "pilot", ["clerk"]],
        "smokes": [True, False, True, 1, False],
        "more": [0, 0, 0, 0, 0],
    }
    values = schema.read(table)
    assert np.isnan(values).tolist() == [
        [False, False, False, False],
        [True, True, False, False],
        [False, False, True, False],
        [True, False, True, False],
        [True, False, True, False],
    ]
    problems = schema.problems(values, table)
    assert sorted(problems) == [1, 2, 3, 4]
    assert problems[1] == "column 'age' is missing; column 'pay' is missing"
    assert problems[2] == "column 'job' is missing"
    assert "'age' holds 'old', which is no finite number" in problems[3]
    assert "'job' holds 'pilot', which is none of its 2 categories" in problems[3]
    assert "'age' holds inf" in problems[4]
    assert schema.problems(values)[2] == "column 'job' is missing or isn't one of its categories"
    encoded = schema.encode(values)
    assert np.isnan(encoded).any(axis=1).tolist() == [False, True, True, True, True]
    written = schema.write(values, like=_frame())
    assert written["job"].isna().tolist() == [False, False, True, True, True]
    assert np.isnan(schema.write(values)["age"][1])


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), {}, "more than one column named 'a'"),
        (
            {"a": [1.0, np.nan, np.nan], "b": ["x", "y", None], "c": [1, 2, 3]},
            {},
            "missing in 2 of 3 rows: of 'a' in 2, 'b' in 1; .* of their own.* takes='table'",
        ),
        (
            pd.DataFrame({"a": pd.Categorical(["x", None]), "b": pd.array([1, None], "Int64")}),
            {},
            "missing in 1 of 2 rows: of 'a' in 1, 'b' in 1",
        ),
        ({"a": ["x", np.nan], "b": [None, None]}, {}, "every entry of 'b' is missing"),
        ({"a": [1.0, np.inf]}, {}, "column 'a' has 1 infinite numbers among 2"),
        ({"a": ["2020-01-05", "2021-01-05"]}, {}, "'a' holds dates, such as '2020-01-05'.*leave"),
        ({"a": ["1,200.00", "7"]}, {}, "'a' holds numbers as text, such as '1,200.00'"),
        ({"a": [1, 2, "?"]}, {}, r"'a' holds numbers beside '\?': .* NaN of '\?'"),
        ({"a": []}, {}, "holds no rows or no columns"),
        ({}, {}, "holds no rows or no columns"),
        ({"a": [1, 2], "b": [1]}, {}, r"differ in length \('a': 2, 'b': 1\)"),
        ({"a": [[1, 2]]}, {}, r"'a' has shape \(1, 2\)"),
        ({"a": [1]}, {"categorical": ["b"]}, "categorical names 'b', which the table lacks"),
        ({"a": [1]}, {"ordinal": {"b": ["x"]}}, "ordinal names 'b', which the table lacks"),
        ({"a": ["x"]}, {"ordinal": {"a": ["y"]}}, "'a' holds 'x', which is none of the categories"),
        ({"a": ["x"]}, {"ordinal": {"a": ["x"]}, "categorical": ["a"]}, "both ordinal and"),
        ({"a": [str(i) for i in range(501)]}, {}, "'a' holds 501 different entries such as '0'"),
    ],
    ids=str,
)
def test_training_tables_that_cannot_be_used_say_why(table, options, message):
    with pytest.raises(ValueError, match=message):
        Schema.infer(table, **options)


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (
            [[1, 2]],
            {},
            "the table is a list; expected a frame of pandas, polars or Arrow, or a map",
        ),
        ({"a": np.array(["2020-01-01"], "datetime64[D]")}, {}, "'a' has dtype datetime64"),
        ({"a": np.array([(1, 2), None], object)}, {"categorical": "a"}, "is one string, 'a'"),
        ({"a": np.array([{1}], object)}, {}, r"unhashable|'a' holds \{1\}, a set"),
    ],
    ids=str,
)
def test_tables_of_a_wrong_kind_say_why(table, options, message):
    with pytest.raises(TypeError, match=message):
        Schema.infer(table, **options)


def test_a_lacking_column_is_named():
    schema = Schema.infer(_mapping())
    with pytest.raises(ValueError, match="the table lacks the columns 'pay', 'job'; it has 'age'"):
        schema.read({"age": [1], "smokes": [True]})


ENCODED = np.array(
    [
        [1, 0.5, 0, 0, 2, 30, 0],
        [0, 1.5, 0, 1, 0, 40, 1],
        [0, 2.5, 1, 0, 1, 20, 1],
    ]
)


def _encoded_schema():
    return Schema.from_encoded(
        ENCODED,
        ["job_clerk", "pay", "job_pilot", "job_cook", "size", "age", "town"],
        one_hot={"job": [0, 2, 3]},
        label_encoded={"town": ("york", "hull")},
        ordinal={"size": 3},
        integer=("age",),
    )


def test_an_encoded_array_is_described_and_given_back():
    schema = _encoded_schema()
    assert schema.names == ("job", "pay", "size", "age", "town")
    assert schema.columns[0] == Categorical("job", ("clerk", "pilot", "cook"))
    assert schema.columns[2] == Ordinal("size", (0, 1, 2))
    assert schema.columns[4] == Categorical("town", ("york", "hull"), "label")
    values = schema.read(ENCODED)
    np.testing.assert_array_equal(values[:, 0], [0, 2, 1])
    np.testing.assert_array_equal(schema.encode(values), ENCODED)
    again = schema.write(values, like=ENCODED)
    np.testing.assert_array_equal(again, ENCODED)
    assert again.dtype == ENCODED.dtype
    assert schema.write(values)["town"].tolist() == ["york", "hull", "hull"]


def test_blocks_may_be_slices_and_names_are_optional():
    x = np.array([[0.25, 1, 0], [0.75, 0, 1]], np.float32)
    schema = Schema.from_encoded(x, one_hot={"job": slice(1, 3)})
    assert schema.names == ("column_0", "job")
    assert schema.columns[1] == Categorical("job", ("column_1", "column_2"))
    np.testing.assert_array_equal(schema.encode(schema.read(x)), x)


def test_dummies_without_the_first_category_are_one_column():
    table = pd.DataFrame({"age": [20, 30, 40], "job": ["cook", "clerk", "pilot"]})
    dummies = pd.get_dummies(table, columns=["job"], drop_first=True)
    x = dummies.to_numpy(float)
    schema = Schema.from_encoded(
        x, list(dummies), one_hot={"job": [1, 2]}, drop_first={"job": "clerk"}
    )
    assert schema.write(schema.read(x))["job"].tolist() == table["job"].tolist()
    np.testing.assert_array_equal(schema.encode(schema.read(x)), x)
    # as the schema of the table itself would have it, and two ones are none of its categories
    named = Schema.infer(table, encoding="drop-first", scaling="original")
    np.testing.assert_array_equal(named.encode(named.read(table)), x)
    assert np.isnan(schema.read(np.array([[20.0, 1, 1]]))).tolist() == [[False, True]]


def test_rows_that_are_not_one_hot_or_hold_unknown_codes_are_missing():
    x = ENCODED.copy()
    x[0, 2] = 1  # two ones
    x[1, 3] = 0  # none
    x[2, 6] = 2  # no such town
    x = np.concatenate([x, ENCODED[:1] * [[0.5, 1, 1, 1, 1, np.nan, 1]]])
    values = _encoded_schema().read(x)
    assert np.isnan(values).tolist() == [
        [True, False, False, False, False],
        [True, False, False, False, False],
        [False, False, False, False, True],
        [True, False, False, True, False],
    ]
    assert (
        "'job' is missing or isn't one of its categories" in _encoded_schema().problems(values)[0]
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"one_hot": {"job": [0, 1]}}, "'job' holds something else in 3 of 3 training rows"),
        ({"label_encoded": {"size": 2}}, "'size' holds something else in 1 of 3 training rows"),
        ({"one_hot": {"job": [0, 9]}}, r"'job' the positions \(0, 9\)"),
        ({"one_hot": {"job": [0], "town": [0]}}, "a position to two blocks"),
        ({"drop_first": {"job": "cook"}}, "drop_first names 'job', which one_hot has no positions"),
        ({"one_hot": {"job": [0, 2]}, "decimals": {"job": 1}}, "decimals names 'job', which is no"),
        ({"decimals": {"pay": 9}}, "decimals are 9; expected 0 to 8"),
        ({"ordinal": {"what": 2}}, "ordinal names 'what', which is no column of x"),
        ({"ordinal": {"size": 3}, "integer": ("size",)}, "'size' is named in ordinal and in"),
    ],
    ids=str,
)
def test_wrong_descriptions_of_an_array_say_why(options, message):
    names = ["clerk", "pay", "pilot", "cook", "size", "age", "town"]
    with pytest.raises(ValueError, match=message):
        Schema.from_encoded(ENCODED, names, **options)
    with pytest.raises(ValueError, match="names holds 1 names, 1 of them different; expected one"):
        Schema.from_encoded(ENCODED, ["a"])


@pytest.mark.parametrize(
    ("lower", "upper", "step", "expected"),
    [
        (0.5, 2.5, 1.0, (0.0, 3.0)),
        (-0.5, 7.0, 5.0, (-5.0, 10.0)),
        (0.1 + 0.2, 0.9, 0.1, (0.3, 0.9)),
        (0.5, 0.5, 1.0, (0.5, 0.5)),
        (0.5, 2.5, 0.0, (0.5, 2.5)),
    ],
)
def test_limits_are_moved_outwards_to_the_grid(lower, upper, step, expected):
    column = Numeric("a", lower, upper, step)
    assert (column.lower, column.upper) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Numeric("a", 2, 1), "lower=2 above upper=1"),
        (lambda: Numeric("a", 0, np.inf), "expected finite limits"),
        (lambda: Numeric("a", 0, 1, step=-1.0), "step=-1.0; expected 0"),
        (lambda: Numeric("a", 0, 1, mean=np.nan), "mean=nan"),
        (lambda: Numeric("a", 0, 1, deviation=-1.0), "deviation=-1.0"),
        (lambda: Numeric("", 0, 1), "named ''; expected a string"),
        (lambda: Categorical("a", ()), "no categories"),
        (lambda: Categorical("a", ("x", "x")), "'x' more than once"),
        (lambda: Categorical("a", (1, True)), "more than once"),
        (lambda: Categorical("a", ("x", np.nan)), "a missing entry among its categories"),
        (lambda: Categorical("a", ("x",), WRONG), "encoding='wrong'; expected one of one-hot"),
        (lambda: Ordinal("a", WRONG), "one string, 'wrong'"),
        (lambda: Schema(()), "has 0 columns"),
        (lambda: Schema((Numeric("a", 0, 1), Numeric("a", 0, 1))), r"repeats the names \['a'\]"),
        (lambda: Schema((Numeric("a", 0, 1),), WRONG), "scaling='wrong' is unknown"),
        (lambda: Schema((Numeric("a", 0, 1),), "standard"), "'a' has no mean or no deviation"),
        (lambda: Schema((Numeric("a", 0, 1),), layout=((1,),)), r"layout gives the columns \[1\]"),
        (lambda: Schema((Numeric("a", 0, 1),)).index("b"), "no column 'b'; there are 'a'"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_wrong_descriptions_say_what_was_given_and_expected(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_values_that_do_not_fit_are_turned_away():
    schema = Schema((Numeric("age", 0, 1), Categorical("job", ("a", "b"))))
    with pytest.raises(ValueError, match=r"shape \(1, 1\); expected \[n, 2\]"):
        schema.encode(np.zeros((1, 1)))
    for wrong in (0.5, 2.0, -1.0):
        with pytest.raises(ValueError, match=f"'job' has the value {wrong}; expected the index"):
            schema.write(np.array([[0.0, wrong]]))
    with pytest.raises(ValueError, match=r"the array has shape \(1, 2\) .* \[n, 3\]"):
        schema.read(np.zeros((1, 2)))


def test_integers_stay_integers_while_they_are_whole():
    schema = Schema.infer({"age": [1, 5]})
    frame = pd.DataFrame({"age": np.array([1, 5], np.int8)})
    assert schema.write(np.array([[3.0]]))["age"].dtype == np.int64
    assert schema.write(np.array([[3.0]]), frame)["age"].dtype == np.int8
    assert schema.write(np.array([[3.5]]), frame)["age"].tolist() == [3.5]
    assert schema.write(np.array([[300.0]]), frame)["age"].tolist() == [300]


def test_a_wide_table_is_written_without_asking_each_column_for_its_type(monkeypatch):
    wide = pd.DataFrame(np.random.default_rng(0).normal(size=(3, 40)).round(3)).rename(columns=str)
    schema, asked = Schema.infer(wide), []
    types: Any = pd.DataFrame.dtypes
    monkeypatch.setattr(
        pd.DataFrame, "dtypes", property(lambda frame: asked.append(1) or types.fget(frame))
    )
    again = schema.write(schema.read(wide), wide)
    assert len(asked) <= 2
    monkeypatch.undo()
    pd.testing.assert_frame_equal(again, wide)


def test_changed_columns_are_those_that_differ():
    schema = Schema((Numeric("age", 0, 9), Categorical("job", ("a", "b"))))
    before = np.array([[1.0, 0], [2.0, np.nan]])
    after = np.array([[1.0, 1], [np.nextafter(2.0, 3), np.nan]])
    assert schema.changed(before, after).tolist() == [[False, True], [True, False]]


@pytest.mark.usefixtures("without_type_checks")
def test_values_of_different_rows_cannot_be_compared():
    schema = Schema((Numeric("age", 0, 9),))
    with pytest.raises(ValueError, match="expected the same rows"):
        schema.changed(np.zeros((2, 1)), np.zeros((1, 1)))


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.integers(-(10**9), 10**9),
            st.floats(-1e6, 1e6, width=32),
            st.sampled_from(["x", "y", " z", ""]),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_any_table_comes_back(rows):
    whole, real, name = zip(*rows, strict=True)
    table = {"whole": list(whole), "real": list(real), "name": list(name)}
    schema = Schema.infer(table)
    values = schema.read(table)
    assert not schema.problems(values, table)
    again = schema.write(values)
    assert {key: column.tolist() for key, column in again.items()} == table


def test_equal_schemas_hash_alike():
    assert Schema.infer(_frame()) == Schema.infer(_frame())
    assert hash(Schema.infer(_frame())) == hash(Schema.infer(_frame()))


def test_everything_but_frames_works_without_pandas():
    program = """
import sys
class NoPandas:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "pandas":
            raise ImportError(name)
sys.meta_path.insert(0, NoPandas())
from jaxcf.tabular import Schema, TableCoding, fit_category_values
table = {"age": [20, 30, 60], "job": ["clerk", "sailor", "pilot"]}
schema = Schema.infer(table)
values = schema.read(table)
coding = TableCoding(schema, fit_category_values(schema, values))
z = coding.coordinates(values)
assert schema.write(coding.values(z, values, z), table)["job"].tolist() == table["job"]
"""
    subprocess.run([sys.executable, "-c", program], check=True)
