"""Explanations of a table in a file: all of it comes back, in the table's own units."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import assert_same_answers, damage_file, with_array, with_metadata, without

from jaxcf import Explanations, Status
from jaxcf.cli.run_folder import read_explanations
from jaxcf.tabular import (
    Categorical,
    Numeric,
    Ordinal,
    Schema,
    TableCoding,
    TableExplanations,
    fit_category_values,
)
from jaxcf.tabular.coding import coding_from_json, coding_to_json

NAMES = ("age", "the job", "größe")
CATEGORIES = ("clerk", "", "7", 7, -1, 0.5, True, "é\n")


def a_schema(seed: int) -> Schema:
    """One to three columns of any kinds, in either layout."""
    generator = np.random.default_rng(seed)

    def choose(*choices: Any) -> Any:
        return choices[generator.integers(len(choices))]

    def a_column(name: str) -> Any:
        kind = choose(Numeric, Numeric, Ordinal, Categorical)
        if kind is Numeric:
            lower, upper = np.sort(generator.normal(0, 10.0 ** generator.integers(-3, 7), 2))
            step = choose(0.0, 1.0, 0.1, 0.25)
            return Numeric(name, lower, choose(lower, upper, upper), step, generator.normal(), 2)
        count = generator.integers(1, len(CATEGORIES))
        places = generator.permutation(len(CATEGORIES))[:count]
        encodings = ("rank", "unit") if kind is Ordinal else ("one-hot", "label")
        return kind(name, tuple(CATEGORIES[place] for place in places), choose(*encodings))

    columns = tuple(a_column(name) for name in NAMES[: generator.integers(1, 4)])
    made = Schema(columns, choose("unit", "standard", "original"))
    layout = tuple(tuple(made.width - 1 - place for place in one) for one in made.positions)
    return replace(made, layout=choose(None, layout))


def values_of(schema: Schema, n: int = 4, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    spans = [
        (one.lower, one.upper) if isinstance(one, Numeric) else (0, len(one.categories) - 1)
        for one in schema.columns
    ]
    values = np.array([generator.uniform(*span, n) for span in spans]).T
    whole = [not isinstance(one, Numeric) for one in schema.columns]
    return np.where(whole, np.round(values), values)


def explanations_of(schema: Schema, n: int = 4) -> TableExplanations:
    """Rows of which the first can't be read and the second moved to the third."""
    originals = values_of(schema, n)
    coding = TableCoding(schema, fit_category_values(schema, originals, method="index"))
    originals[0, 0] = np.nan
    values = originals.copy()
    values[1] = values[2]
    x, classes = coding.coordinates(originals), np.arange(n) % 2
    status = np.full(n, Status.FOUND, np.int8)
    status[0] = Status.INVALID_INPUT
    core = Explanations(
        original=x,
        counterfactual=coding.coordinates(values),
        status=status,
        source_row=np.arange(n) + 3,
        original_class=classes,
        original_probabilities=np.full((n, 2), 0.5, np.float32),
        counterfactual_class=1 - classes,
        probabilities=np.full((n, 2), 0.5, np.float32),
        target_class=1 - classes,
        prototype=np.nan_to_num(x),
        steps=np.arange(n),
        prediction_weight=np.ones(n, np.float32),
        losses={"l1": np.arange(n, dtype=np.float32)},
        scores={"trust": np.ones(n)},
        settings={"search": {"max_steps": 4}},
        seconds={"search": 0.5},
    )
    table = schema.write(np.concatenate([originals[1:], originals])[-n - 3 :], like={})
    problems = {3: "column 'age' is missing"}
    return TableExplanations(
        core, coding, originals, values, table, problems, ("no", "yes"), ruled=()
    )


@pytest.fixture
def mixed() -> TableExplanations:
    return explanations_of(
        Schema(
            (
                Numeric("age", 20, 60, step=1.0),
                Numeric("pay", 0.0, 9.5),
                Ordinal("size", ("small", "medium", "large")),
                Categorical("job", ("clerk", "pilot", "smith")),
                Categorical("code", (7, 8.5, True, "x"), "label"),
            )
        ),
        n=6,
    )


@pytest.mark.parametrize("seed", range(40))
def test_tables_of_all_kinds_come_back(tmp_path, seed):
    schema = a_schema(seed)
    before = explanations_of(schema)
    before.save(tmp_path / "table.npz")
    after = TableExplanations.load(tmp_path / "table.npz")
    assert after.coding == before.coding
    kinds = [[type(one) for one in getattr(c, "categories", ())] for c in schema.columns]
    loaded = after.coding.schema.columns
    assert [[type(one) for one in getattr(c, "categories", ())] for c in loaded] == kinds
    assert_same_answers(after.core, before.core)
    for name in ("original_values", "values", "changed"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    assert after.problems == before.problems
    assert after.class_names == before.class_names
    assert after.messages == before.messages
    assert after.summary() == before.summary()
    assert after.ruled == before.ruled
    for row in range(1, len(before)):
        assert after.changes(row) == before.changes(row)


def test_what_was_loaded_is_a_mapping_in_original_units(mixed, tmp_path):
    mixed.save(tmp_path / "table.npz")
    loaded = TableExplanations.load(tmp_path / "table.npz")
    assert isinstance(loaded.counterfactual, dict)
    assert loaded.counterfactual["job"][1] == loaded.original["job"][2]
    assert loaded.to_pandas()["row"].tolist() == [3, 4, 5, 6, 7, 8]
    again = loaded[loaded.found]
    again.save(tmp_path / "table.npz")
    assert len(TableExplanations.load(tmp_path / "table.npz")) == 5


def test_each_class_names_the_other_for_the_others_file(mixed, tmp_path):
    mixed.save(tmp_path / "table.npz")
    mixed.core.save(tmp_path / "plain.npz")
    with pytest.raises(ValueError, match=r"jaxcf\.tabular\.TableExplanations\.load"):
        Explanations.load(tmp_path / "table.npz")
    with pytest.raises(ValueError, match=r"read it with jaxcf\.Explanations\.load"):
        TableExplanations.load(tmp_path / "plain.npz")
    assert isinstance(read_explanations(tmp_path / "table.npz"), TableExplanations)
    assert isinstance(read_explanations(tmp_path / "plain.npz"), Explanations)


def in_coding(part: str, change: Any) -> Any:
    def damage(arrays: dict[str, Any], metadata: dict[str, Any]) -> None:
        change(metadata["coding"][part])

    return damage


def column(**changes: Any) -> Any:
    return in_coding("schema", lambda schema: schema["columns"][0].update(changes))


DAMAGES = [
    (without("values"), "is damaged: it lacks values"),
    (with_array("values", lambda a: a[:, :-1]), "is damaged: values has shape"),
    (with_array("values", lambda a: a[:-1]), "is damaged: its arrays differ in length"),
    (with_array("values", lambda a: a.astype(str)), "is damaged: values has dtype <U"),
    (with_array("values", lambda a: a + 9), "is damaged: column .* has the value"),
    (with_array("status", lambda a: a + 50), "is damaged: unknown status codes"),
    (with_array("surprise", lambda a: a), "is damaged: unknown array 'surprise'"),
    (with_metadata(schema_version=99), "has schema version 99; this jaxcf reads version 1"),
    (with_metadata(coding={}), "is damaged: this is no description of a table"),
    (with_metadata(coding=None), "is damaged: this is no description of a table"),
    (with_metadata(problems=[1]), "is damaged"),
    (with_metadata(class_names="ab"), "is damaged: class_names are 'ab'"),
    (with_metadata(ruled=["gift"]), r"is damaged: ruled is \['gift'\]; expected names of columns"),
    (with_metadata(explanations=None), "is damaged: it doesn't describe its explanations"),
    (column(kind="date"), "is damaged: .*'date'"),
    (column(surprise=1), "is damaged: .*Numeric has the entries"),
    (column(lower="a"), "is damaged: this is no description of a table"),
    (column(upper=-1), "is damaged: .*expected lower <= upper"),
    (in_coding("schema", lambda one: one.pop("layout")), "is damaged: .*Schema has the entries"),
    (in_coding("schema", lambda one: one["columns"].pop()), "is damaged"),
    (in_coding("category_values", lambda one: one["numbers"].pop()), "is damaged"),
]


@pytest.mark.parametrize(("change", "message"), DAMAGES, ids=[m for _, m in DAMAGES])
@pytest.mark.usefixtures("without_type_checks")
def test_a_file_that_holds_something_else_is_refused(mixed, tmp_path, change, message):
    mixed.save(tmp_path / "table.npz")
    damage_file(tmp_path / "table.npz", change)
    with pytest.raises(ValueError, match=message):
        TableExplanations.load(tmp_path / "table.npz")


def test_what_describes_no_coding_is_refused(mixed):
    described = coding_to_json(mixed.coding)
    assert coding_from_json(described) == mixed.coding
    described["category_values"]["numbers"][0] = ["a", "b", "c"]
    with pytest.raises(ValueError, match="no description of a table"):
        coding_from_json(described)


def test_rows_are_chosen_by_what_explanations_are_chosen_by(mixed):
    core = mixed.core
    for name in ("status", "source_row", "original_class", "original_probabilities", "steps"):
        assert getattr(mixed, name) is getattr(core, name)
    for name in ("counterfactual_class", "probabilities", "target_class", "losses", "scores"):
        assert getattr(mixed, name) is getattr(core, name)
    assert (mixed.settings, mixed.seconds) == (core.settings, core.seconds)
    for both in (mixed, core):
        chosen = both[both.found & (both.target_class == 1)]
        assert chosen.source_row.tolist() == [5, 7]
        assert (chosen.status == Status.FOUND).all()


@pytest.mark.parametrize(
    ("labels", "kept"),
    [
        ([f"c{row:03d}" for row in range(9)], True),
        (np.arange(9) + 2**53, True),
        (pd.Index(["ä", "", "</script>"] * 3), True),
        (pd.date_range("2020-01-01", periods=9), False),
        (["a", 1, None] * 3, False),
        (np.arange(9) / 2, False),
    ],
    ids=["str", "int", "index", "dates", "mixed", "float"],
)
def test_labels_that_are_strings_or_whole_numbers_are_kept(mixed, tmp_path, labels, kept):
    named = mixed.with_labels(labels)[::-1]
    named.save(tmp_path / "table.npz")
    loaded = TableExplanations.load(tmp_path / "table.npz")
    if not kept:
        assert loaded.labels is None
        return
    expected = [labels[row] for row in named.source_row]
    assert loaded.labels is not None
    assert loaded.labels.tolist() == expected
    assert loaded[[2, 0]].to_pandas().index.tolist() == [expected[2], expected[0]]


@pytest.mark.usefixtures("without_type_checks")
def test_labels_of_a_damaged_file_are_refused(mixed, tmp_path):
    for change, message in (
        (with_array("labels", lambda a: a[:-1]), "its arrays differ in length"),
        (with_array("labels", lambda a: np.zeros(len(a))), "labels has dtype float64"),
    ):
        mixed.with_labels(np.arange(9)).save(tmp_path / "table.npz")
        damage_file(tmp_path / "table.npz", change)
        with pytest.raises(ValueError, match=message):
            TableExplanations.load(tmp_path / "table.npz")
