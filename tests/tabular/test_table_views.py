"""Tables in notebooks: selection, DataFrames and pictures, in the table's own units and names."""

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from helpers import pixels, texts, tick_labels

from jaxcf import BlackBox, SearchOptions, plots
from jaxcf.tabular import (
    FittedTableExplainer,
    Numeric,
    Rule,
    Schema,
    TableExplainer,
    TableExplanations,
)

JOBS = ("clerk", "pilot", "sailor at the very end of the world")
CLASSES = ("declined", "granted")


@lru_cache
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": rng.integers(18, 80, 200),
            "income": rng.gamma(2.0, 900.0, 200).round(2),
            "$ job $": rng.choice(JOBS, 200),
            "branch": np.full(200, 7),
        }
    )


def predict(x: jax.Array) -> jax.Array:
    score = x @ jnp.array([2.0, 5.0, -1.5, 1.0, 0.0, 0.0]) - 2.0
    return jnp.stack([jax.nn.sigmoid(-score), jax.nn.sigmoid(score)], axis=1)


@lru_cache
def fitted() -> FittedTableExplainer:
    search = SearchOptions(record_path=True, record_history=True)
    return TableExplainer(predict, class_names=CLASSES, search=search).fit(frame())


@lru_cache
def explained() -> TableExplanations:
    table = frame().head(30).copy()
    table.loc[4, "income"] = np.nan
    return fitted().explain(table, rules={"age": Rule(increase_only=True)})


def test_what_rules_speak_about_is_known_of_every_answer():
    assert explained().ruled == ("age",)
    assert explained().notes == ()
    (note,) = fitted().explain(frame().head(1)).notes
    assert note.endswith(": 'age'")


def test_rows_are_chosen_by_masks_of_what_became_of_them():
    result = explained()
    part = result[result.found & (result.target_class == 1)]
    assert 0 < len(part) < len(result)
    assert (part.target_class == 1).all()
    assert part.found.all()
    expected = result.counterfactual["age"].to_numpy()[part.source_row]
    np.testing.assert_array_equal(part.counterfactual["age"], expected)
    assert result[-1].source_row.tolist() == [29]
    assert result[[3, 1]].source_row.tolist() == [3, 1]
    assert result[2:4].source_row.tolist() == [2, 3]


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        (np.ones(3, bool), IndexError, "the mask has 3 entries, but there are 30 rows"),
        (30, IndexError, "row 30 does not exist: there are 30, 0 to 29"),
        (np.array([0.0]), TypeError, "type float64; expected a mask"),
        ("age", TypeError, "'age' is no row"),
    ],
    ids=repr,
)
def test_what_chooses_no_rows_of_a_table_says_why(rows, error, message):
    with pytest.raises(error, match=message):
        explained()[rows]


def test_a_frame_has_the_row_its_columns_and_what_became_of_it():
    facts: Any = explained().to_pandas(probabilities=True)
    assert list(facts.columns[:6]) == ["row", "age", "income", "$ job $", "branch", "found"]
    assert facts["row"].tolist() == list(range(30))
    assert facts["status"][4] == "invalid_input"
    assert facts["original_class"].isna().tolist() == [row == 4 for row in range(30)]
    assert facts["target_class"][explained().found].isin(CLASSES).all()
    np.testing.assert_array_equal(facts["probability_granted"], explained().probabilities[:, 1])
    assert facts["changed"].tolist() == explained().changed.sum(axis=1).tolist()


def shown(entry: Any) -> str:
    """An entry as the grid writes it."""
    text = f"{entry:.6g}" if isinstance(entry, float) else str(entry)
    return text if len(text) <= 18 else f"{text[:17]}…"


def test_the_grid_tells_old_and_new_in_words():
    part = explained()[explained().found][:6]
    axes = part.plot()
    names, rows = tick_labels(axes)
    assert "branch" not in names
    written = texts(axes)
    for row in range(len(part)):
        for change in part.changes(row):
            assert change.column in names
            assert f"{shown(change.old)} → {shown(change.new)}" in written
    assert len(written) == len(part) * len(names)
    assert sum("→" in one for one in written) == part.changed.sum() == len(axes.patches)
    assert sorted(rows) == sorted(
        f"{CLASSES[before]} → {CLASSES[after]}"
        for before, after in zip(part.original_class, part.counterfactual_class, strict=True)
    )
    assert (pixels(axes) == [0xDC, 0xE9, 0xF5]).all(axis=2).any()
    with pytest.raises(ValueError, match="no row to draw"):
        part[:0].plot()
    with pytest.raises(ValueError, match="num_instances must be at least 1, got 0"):
        part.plot(num_instances=0)


def test_changes_have_a_direction_where_there_is_more_and_less():
    result = explained()[explained().found]
    axes: Any = result.plot.changes()
    names = tick_labels(axes)[1]
    parts = {
        bars.get_label(): dict(zip(names, [bar.get_width() for bar in bars], strict=True))
        for bars in axes.containers
    }
    moved = result.values - result.original_values
    assert parts["rose"]["income"] == pytest.approx((moved[:, 1] > 0).mean())
    assert parts["fell"]["income"] == pytest.approx((moved[:, 1] < 0).mean())
    assert parts["fell"]["age"] == 0
    assert parts["replaced"]["$ job $"] == pytest.approx(result.changed[:, 2].mean())
    assert parts["rose"]["$ job $"] == parts["fell"]["$ job $"] == 0


def test_a_search_and_the_classes_are_drawn_under_the_tables_names():
    result = explained()
    row = int(np.flatnonzero(result.found)[0])
    axes: Any = result.plot.path(row)
    columns = {change.column for change in result.changes(row)}
    assert columns <= set(axes.get_legend_handles_labels()[1])
    assert "span" in axes.get_ylabel()
    losses: Any = result.plot.losses(row)
    assert losses.get_title() == axes.get_title()
    assert any(name in axes.get_title() for name in CLASSES)
    assert tick_labels(result.plot.transitions())[1] == [*CLASSES, "unreadable"]
    with pytest.raises(ValueError, match="row 4 was never searched"):
        result.plot.path(4)


def test_rows_of_a_table_lie_in_the_plane():
    axes: Any = plots.encoded_rows(fitted(), frame(), explanations=explained()[:6])
    assert set(texts(axes)) >= set(CLASSES)
    assert len(axes.lines) > 0
    unread = frame().assign(income=frame()["income"].where(frame().index > 0))
    with pytest.raises(ValueError, match="1 of 200 rows hold NaN"):
        plots.encoded_rows(fitted(), unread)


# --- categories that the rows' own type doesn't know -----------------------------------------


def by_job(table: Any) -> np.ndarray:
    share = np.where(table["job"] == "b", 0.9, 0.1)
    return np.stack([1 - share, share], axis=1)


@pytest.mark.parametrize(
    ("declared", "ordered", "expected", "still_ordered"),
    [
        (["a"], False, ["a", "b"], False),
        (["c", "a"], False, ["c", "a", "b"], False),
        (["a"], True, ["a", "b"], True),
        (["a", "c"], True, ["a", "b", "c"], True),
        (["c", "a"], True, ["c", "a", "b"], False),
        (["a", "stranger"], True, ["a", "stranger", "b"], False),
    ],
)
def test_a_new_category_widens_the_type_that_lacks_it(declared, ordered, expected, still_ordered):
    rng = np.random.default_rng(0)
    kind = pd.CategoricalDtype(["a", "b", "c"], ordered=ordered)
    train = pd.DataFrame({"x": rng.uniform(0, 1, 200), "job": rng.choice(["a", "b", "c"], 200)})
    train["job"] = train["job"].astype(kind)
    ready = TableExplainer(BlackBox(by_job, 2), takes="table").fit(train)
    rows: Any = train[train["job"] == "a"].head(5).copy()
    rows["job"] = rows["job"].astype(object).astype(pd.CategoricalDtype(declared, ordered))
    result = ready.explain(rows, target=1)
    assert result.found.all()
    assert result.counterfactual["job"].tolist() == ["b"] * 5
    assert result.to_pandas()["job"].tolist() == ["b"] * 5
    assert [str(result.changes(row)[-1]) for row in range(5)] == ["job: a -> b"] * 5
    assert (by_job(result.counterfactual).argmax(axis=1) == result.counterfactual_class).all()
    given = result.counterfactual["job"].dtype
    assert (given.categories.tolist(), given.ordered) == (expected, still_ordered)
    assert result.original["job"].dtype == rows["job"].dtype


def test_a_type_that_lists_numbers_becomes_one_of_numbers():
    schema = Schema((Numeric("age", 20, 60, step=1.0),))
    listed = pd.DataFrame({"age": pd.Categorical([30, 40])})
    assert schema.write(np.array([[30.0], [45.0]]), like=listed)["age"].tolist() == [30, 45]
    assert schema.write(np.array([[40.0], [30.0]]), like=listed)["age"].dtype == listed["age"].dtype


# --- whose row it is -------------------------------------------------------------------------

INDEXES = [
    pd.Index([f"c{row:02d}" for row in range(30)], name="client"),
    pd.Index(np.random.default_rng(3).permutation(30)),
    pd.Index([f"c{row // 2}" for row in range(30)]),
    pd.date_range("2020-01-01", periods=30),
    pd.MultiIndex.from_product([["a", "b", "c"], range(10)]),
]


@pytest.mark.parametrize("index", INDEXES, ids=lambda index: type(index).__name__)
def test_labels_stay_with_their_rows_however_these_are_chosen(index):
    table = frame().head(30).set_index(index)
    result = fitted().explain(table)
    alternatives = fitted().explain(table, num_alternatives=2)
    per_class = fitted().explain(table, target="each")
    choices = [
        result,
        result[np.argsort(result.core.l2)],
        result[::-1],
        result[result.original_class == 1],
        result[[7, 7, 2]],
        result[-1],
        result[::-1][result.found[::-1]][1:4],
        alternatives,
        alternatives[alternatives.core.l2 > 1],
        per_class[::-3],
        fitted().in_units(result.core[::-1], table),
    ]
    for chosen in choices:
        rows = chosen.source_row
        expected: Any = table.iloc[rows]
        pd.testing.assert_frame_equal(chosen.original, expected, check_freq=False)
        assert chosen.counterfactual.index.equals(index[rows])
        facts = chosen.to_pandas()
        assert facts.index.equals(index[rows])
        assert facts.index.names == index.names
        assert facts["row"].tolist() == rows.tolist()


def test_rows_can_be_given_labels():
    as_mapping = {name: column.to_numpy() for name, column in frame().head(30).items()}
    result = fitted().explain(as_mapping, target="each")
    assert result.labels is None
    names = [f"client {row}" for row in range(30)]
    named = result.with_labels(names)[::-1]
    assert named.to_pandas().index.tolist() == [names[row] for row in named.source_row]
    again = explained().with_labels(pd.Series(names))
    assert again.counterfactual.index.tolist() == names
    with pytest.raises(ValueError, match="there are 29 labels, and a row 29; pass one per row"):
        result.with_labels(names[1:])
    with pytest.raises(ValueError, match=r"labels have shape \(30, 1\); expected one label per"):
        result.with_labels(np.arange(30)[:, None])
