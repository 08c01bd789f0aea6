"""Frames of pandas, polars and Arrow: what comes out is of the kind that went in."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from helpers import damage_file, with_metadata
from sklearn.linear_model import LogisticRegression

from jaxcf import BlackBox, EngineOptions, SearchOptions, jobs
from jaxcf.tabular import Schema, TableExplainer, TableExplanations
from jaxcf.tabular.frames import FrameKind
from jaxcf.tabular.tables import read_columns

ROWS = 40
GENERATOR = np.random.default_rng(0)
COLUMNS: dict[str, Any] = {
    "age": GENERATOR.integers(18, 80, ROWS).astype(np.int16),
    "pay": GENERATOR.uniform(1, 9, ROWS).round(2).astype(np.float32),
    "own": GENERATOR.choice([True, False], ROWS),
    "job": GENERATOR.choice(["clerk", "pilot"], ROWS),
    "size": GENERATOR.choice(["S", "L"], ROWS),
}
SIZES = ["S", "M", "L"]
OPTIONS: dict[str, Any] = {
    "search": SearchOptions(max_steps=60),
    "engine": EngineOptions(lanes=8, lanes_per_group=8),
}


def as_pandas() -> Any:
    frame = pd.DataFrame(COLUMNS, index=[f"c{row}" for row in range(ROWS)])
    return frame.assign(size=pd.Categorical(frame["size"], SIZES), age=frame.age.astype("Int16"))


def as_arrow() -> Any:
    sizes = pa.DictionaryArray.from_arrays(
        [SIZES.index(one) for one in COLUMNS["size"].tolist()], SIZES
    )
    return pa.table({**COLUMNS, "job": COLUMNS["job"].tolist(), "size": sizes})


def as_polars() -> Any:
    polars = pytest.importorskip("polars", reason="polars isn't installed")
    return polars.DataFrame(
        {**COLUMNS, "size": polars.Series(COLUMNS["size"].tolist(), dtype=polars.Enum(SIZES))}
    )


FRAMES = {"pandas": as_pandas, "pyarrow": as_arrow, "polars": as_polars}


def ask(encoded: np.ndarray) -> np.ndarray:
    granted = 1 / (1 + np.exp(5 - 6 * encoded[:, 0] - 4 * encoded[:, 1] - 2 * encoded[:, 2]))
    return np.stack([1 - granted, granted], axis=1)


def explained(table: Any) -> Any:
    return TableExplainer(BlackBox(ask, 2), **OPTIONS).fit(table).explain(table[:8])


@pytest.fixture(scope="module", params=FRAMES)
def answers(request):
    return explained(FRAMES[request.param]())


def equal(one: Any, other: Any) -> bool:
    return bool(one.equals(other)) and types(one) == types(other)


def types(frame: Any) -> Any:
    return frame.schema if hasattr(frame, "schema") else list(frame.dtypes)


def test_what_goes_in_as_a_frame_comes_out_as_one(answers):
    given = FRAMES[str(type(answers.like).__module__.partition(".")[0])]()
    assert answers.found.any()
    assert equal(answers.original, given[:8])
    assert types(answers.counterfactual) == types(given)
    # and means what a mapping of the same columns means
    columns = {**COLUMNS, "size": pd.Categorical(COLUMNS["size"], SIZES)}
    schema = Schema.infer(columns)
    assert schema == answers.coding.schema
    mapped = TableExplainer(BlackBox(ask, 2), **OPTIONS).fit(columns)
    first = {name: column[:8] for name, column in columns.items()}
    np.testing.assert_array_equal(mapped.explain(first).values, answers.values)


def test_every_changed_cell_has_a_line(answers):
    changes = read_columns(answers.changes_frame())
    assert type(answers.changes_frame()) is type(answers.original)
    named = answers.labels is not None
    expected = [
        ((f"c{row}" if named else row), change.column)
        for row in range(len(answers))
        for change in answers.changes(row)
    ]
    given = zip(changes["id"].as_list(), changes["column"].as_list(), strict=True)
    assert list(given) == expected
    before = read_columns(answers.original)
    for line, (_, name) in enumerate(expected):
        number = [row for row in range(len(answers)) for _ in answers.changes(row)][line]
        old = changes["old"].entries[line]
        assert str(old) == str(before[name].entries[number])
    called = answers.with_labels(list("abcdefgh")).changes_frame()
    assert set(read_columns(called)["id"].entries) <= set("abcdefgh")


def test_one_type_of_entries_keeps_it():
    table = {"age": np.array([20, 30, 50, 60])}
    rising = BlackBox(lambda x: np.c_[1 - x[:, 0], x[:, 0]], 2)
    changes = TableExplainer(rising, **OPTIONS).fit(table).explain(table).changes_frame()
    assert isinstance(changes, dict)
    assert changes["new"].dtype == np.int64
    frame = pd.DataFrame(table)
    changes = TableExplainer(rising, **OPTIONS).fit(frame).explain(frame).changes_frame()
    assert changes["new"].dtype == np.int64


def test_files_give_frames_again(answers, tmp_path, monkeypatch):
    answers.save(tmp_path / "answers.npz")
    loaded = TableExplanations.load(tmp_path / "answers.npz")
    found = loaded.counterfactual
    if isinstance(found, pa.Table):  # whose dictionaries are numbered by any type
        found = found.cast(answers.counterfactual.schema)
    assert equal(found, answers.counterfactual)
    loaded.save(tmp_path / "again.npz")
    assert isinstance(TableExplanations.load(tmp_path / "again.npz").like, FrameKind)
    # without the library there are the columns

    def lacking(*arguments):
        raise ImportError

    monkeypatch.setattr(f"jaxcf.tabular.frames._empty_{_suffix(loaded.like.library)}", lacking)
    loaded = TableExplanations.load(tmp_path / "answers.npz")
    assert isinstance(loaded.original, dict)
    np.testing.assert_array_equal(loaded.original["age"], COLUMNS["age"][:8])


def _suffix(library: str) -> str:
    return {"pyarrow": "arrow"}.get(library, library)


def test_a_damaged_kind_of_frame_is_refused(tmp_path):
    path = tmp_path / "answers.npz"
    explained(as_pandas()).save(path)
    for frame in (
        {"library": "spreadsheet", "types": {}},
        {"library": "pandas", "types": {"nobody": "int64"}},
        {"library": "pandas", "types": {"age": 3}},
        "pandas",
    ):
        damage_file(path, with_metadata(frame=frame))
        with pytest.raises(ValueError, match=r"is damaged: .*frame is"):
            TableExplanations.load(path)


def test_a_job_of_a_frame_gives_frames_too(tmp_path):
    table = as_arrow()[:8]
    fitted = TableExplainer(BlackBox(ask, 2), **OPTIONS).fit(as_arrow())
    job = jobs.run(fitted, table, tmp_path, options=jobs.JobOptions(rows_per_unit=4))
    loaded = job.load()
    assert isinstance(loaded, TableExplanations)
    np.testing.assert_array_equal(loaded.values, fitted.explain(table).values)
    assert isinstance(loaded.original, pa.Table)
    assert loaded.original["age"].type == pa.int16()
    # whichever library the same rows come in, they are the same job
    assert jobs.check(fitted, {**COLUMNS, "size": as_pandas()["size"]}, tmp_path).holds is False
    first = {name: column[:8] for name, column in COLUMNS.items()}
    assert jobs.check(fitted, first, tmp_path).holds


def test_what_is_missing_is_written_as_the_library_has_it():
    given = {
        "age": pa.array([30, None, 50], pa.int16()),
        "pay": pa.array([1.5, None, 2.5], pa.float32()),
        "own": pa.array([True, None, False]),
        "job": pa.array(["clerk", None, "pilot"]),
    }
    table = pa.table(given)
    schema = Schema.infer(table, keep_missing=True)
    values = schema.read(table)
    assert np.isnan(values[1]).all()
    assert schema.write(values, table).equals(table)
    nan = pa.table({"pay": np.array([1.5, np.nan, 2.5])})
    schema = Schema.infer(nan, keep_missing=True)
    assert np.isnan(schema.write(schema.read(nan), nan)["pay"].to_numpy()[1])
    # half a year doesn't fit
    assert Schema.infer(table.select(["age"]), keep_missing=True).write(np.array([[30.5]]), table)[
        "age"
    ].to_pylist() == [30.5]


def test_an_estimator_gets_the_frames_that_its_library_knows():
    numbers = as_arrow().select(["age", "pay"])
    model = LogisticRegression(max_iter=500).fit(numbers.to_pandas(), COLUMNS["age"] > 40)
    # scikit-learn knows no tables of Arrow
    said = TableExplainer(model, **OPTIONS).fit(numbers).explain(numbers[:8])
    assert isinstance(said.counterfactual, pa.Table)
    decided = model.predict(said.counterfactual.to_pandas())
    np.testing.assert_array_equal(decided[said.found], said.counterfactual_class[said.found] == 1)


def test_what_no_table_can_be_is_refused_in_words():
    with pytest.raises(ValueError, match=r"more than one column named 'age'"):
        Schema.infer(pa.table([[1, 2], [3, 4]], names=["age", "age"]))
    with pytest.raises(TypeError, match=r"'age' holds \[1, 2\], a list"):
        Schema.infer(pa.table({"age": [[1, 2], [3, 4]]}))
    dates = pa.table({"since": pa.array([0, 1], pa.timestamp("s"))})
    with pytest.raises(TypeError, match=r"'since' has dtype datetime64.*convert it first"):
        Schema.infer(dates)

    class LazyFrame:
        def collect(self):
            return dates

    lazy: Any = LazyFrame()
    with pytest.raises(TypeError, match=r"LazyFrame; .*pass table.collect\(\)"):
        Schema.infer(lazy)
