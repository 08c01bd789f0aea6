"""What is worth a second look in a table's columns is said, and no more than that."""

from dataclasses import replace

import numpy as np
import pytest
from made_explanations import table

from jaxcf.report.rows import notes
from jaxcf.tabular import Categorical, Numeric, Schema
from jaxcf.tabular.notes import seldom_changes


@pytest.mark.parametrize(
    "name",
    ["age", "Sex", "GENDER", "race_ethnicity", "native-country", "customerID", "ID", "birth.date"],
)
def test_columns_named_like_what_no_advice_can_change_are_known(name):
    assert seldom_changes(name)


@pytest.mark.parametrize("name", ["wage", "embrace", "idle", "paid", "sexton", "mileage", "months"])
def test_parts_of_words_are_no_words(name):
    assert not seldom_changes(name)


def test_what_no_rule_forbids_is_pointed_out_and_what_one_speaks_of_is_not():
    columns = (Numeric("age", 20, 60), Categorical("sex", ("f", "m")), Numeric("id", 7, 7))
    schema = Schema((*columns, Numeric("pay", 0, 9)))
    # a constant column can't change anyway
    assert schema.summary()["notes"] == ("nothing forbids these columns to change: 'age', 'sex'",)
    said = schema.summary({"sex": "frozen"})["notes"]
    assert said == ("nothing forbids this column to change: 'age'",)
    assert schema.summary(["age", "sex"])["notes"] == ()


def test_numbers_as_text_that_are_taken_for_names_are_pointed_out():
    schema = Schema.infer({"zip": ["10115", "80331"], "job": ["clerk", "7"], "n": [1, 2]})
    (note,) = schema.summary()["notes"]
    assert note.startswith("'zip' holds numbers as text, such as '10115', and each is a category")
    # Nobody takes these for amounts: one is written with zeros, the other was given an order.
    codes = {"code": ["007", "120"], "rank": ["1", "2"], "n": [1, 2]}
    assert Schema.infer(codes, ordinal={"rank": ("1", "2")}).summary()["notes"] == ()


def test_every_kind_of_column_is_described():
    rng = np.random.default_rng(0)
    given = {"n": [0.0, 40.0], "pay": [0.5, 9.25], "z": rng.normal(size=2), "job": ["a", "b"]}
    words = Schema.infer(given | {"size": ["S", "L"]}, ordinal={"size": ("S", "L")}).summary()
    assert words["columns"] | {"z": ""} == {
        "n": "whole numbers, 0 to 40",
        "pay": "numbers with 2 decimals, 0.5 to 9.25",
        "z": "",
        "job": "2 categories: a, b",
        "size": "2 categories in order, S to L",
    }


def test_explanations_and_their_report_say_it_where_the_rules_are_known():
    said = table(8)
    schema = said.coding.schema
    assert said.notes == schema.summary()["notes"] == tuple(said.summary()["notes"])
    assert notes(said) == ["nothing forbids this column to change: 'age'"]
    assert notes(said)[0] in said._repr_html_().replace("&#x27;", "'")
    unknown = replace(said, ruled=None)
    assert (unknown.notes, notes(unknown), notes(unknown.core)) == ((), [], [])
