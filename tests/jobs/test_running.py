"""Jobs: what is written is what `explain` gives, and the same call goes on where it was."""

import errno
import os
import resource
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np
import optax
import pandas as pd
import pytest
from helpers import RecordedRows, assert_same_answers, assert_same_rows, mlp, search

from jaxcf import (
    BlackBox,
    Constraints,
    EngineOptions,
    Explanations,
    Guide,
    Status,
    jobs,
    solvers,
)
from jaxcf.jobs import Job, JobInterrupted, JobOptions
from jaxcf.results.parts import Rows
from jaxcf.tabular import Categorical, Numeric, Schema, TableExplainer
from jaxcf.utils import files
from jaxcf.utils.json_files import read_json

X = np.tile(mlp().x, (4, 1)) + np.linspace(0, 0.05, 24, dtype=np.float32)[:, None]

OPTIONS = JobOptions(rows_per_unit=4, rows_per_part=8)


@pytest.fixture(scope="module")
def ready():
    return mlp().fit(engine=EngineOptions(lanes=4, lanes_per_group=2, steps_per_chunk=2))


@pytest.fixture(scope="module")
def whole(ready, tmp_path_factory):
    """A job that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    return jobs.run(ready, X, folder, options=OPTIONS)


def names(folder):
    return sorted(path.name for path in Path(folder, "parts").iterdir())


def test_parts_hold_what_explain_gives(ready, whole):
    assert whole.complete
    assert_same_answers(whole.load().core, ready.explain(X))
    assert isinstance(Explanations.load(whole.path), Explanations)
    assert [len(part) for part in whole.stream()] == [8, 8, 8]


def test_parts_are_read_without_the_library(whole):
    frame: Any = pd.read_parquet(whole.path / "parts").sort_values("row", ignore_index=True)
    loaded = whole.load()
    np.testing.assert_array_equal(frame["row"], np.arange(24))
    np.testing.assert_array_equal(frame["found"], loaded.found)
    np.testing.assert_allclose(frame["l1"], loaded.l1)
    assert frame["status"][0] == Status(loaded.status[0]).name.lower()
    np.testing.assert_array_equal(np.stack(frame["counterfactual"].tolist()), loaded.counterfactual)


def test_columns_of_a_table_are_read_in_its_own_units(tmp_path):
    schema = Schema((Numeric("age", 18, 70, step=1.0), Categorical("rooms", (2, 3))))
    weights = np.array([[4.0, -4.0], [1.0, -1.0], [-1.0, 1.0]], np.float32)
    predict = lambda x: jax.nn.softmax((x - 0.5) @ weights)  # noqa: E731
    table = {"age": [20, 30, 50, 60, 25], "rooms": np.array([2, 3, 3, 2, None], object)}
    fitted = TableExplainer(predict, schema, search=search(max_steps=20)).fit(
        {name: column[:4] for name, column in table.items()}
    )
    job = jobs.run(fitted, table, tmp_path, options=JobOptions(rows_per_unit=2))
    frame: Any = pd.read_parquet(job.path / "parts").sort_values("row", ignore_index=True)
    assert frame["before_rooms"].tolist()[:4] == ["2", "3", "3", "2"]
    assert frame["before_rooms"].isna().tolist() == [False] * 4 + [True]
    loaded: Any = job.load()
    assert loaded.found.any()
    for name, column in loaded.counterfactual.items():
        there = frame[f"after_{name}"][loaded.found].tolist()
        kind = str if name == "rooms" else float
        assert there == [kind(one) for one in np.asarray(column, object)[loaded.found]]


def test_shards_make_the_whole_and_read_only_what_they_explain(ready, whole, tmp_path):
    asked = []
    for number in (3, 1, 2):
        source = RecordedRows(X)
        job = jobs.run(ready, source, tmp_path, shard=(number, 3), options=OPTIONS)
        asked.append(source.asked)
        assert not job.missing((number, 3))
    assert asked == [[(16, 20), (20, 24)], [(0, 4), (4, 8)], [(8, 12), (12, 16)]]
    assert_same_rows(job.load(), whole.load())


def test_a_job_that_is_done_reads_and_writes_nothing(ready, tmp_path):
    jobs.run(ready, RecordedRows(X), tmp_path, options=OPTIONS)
    before = names(tmp_path)
    again = RecordedRows(X)
    assert jobs.run(ready, again, tmp_path, options=OPTIONS).complete
    assert again.asked == []
    assert names(tmp_path) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, None])
def test_what_ends_a_program_loses_nothing_that_was_finished(
    number, ready, whole, ctrl_c, tmp_path
):
    def end(progress):
        if progress.done >= 12:
            ctrl_c() if number is None else signal.raise_signal(number)

    with pytest.raises(JobInterrupted) as caught:
        jobs.run(ready, X, tmp_path, options=replace(OPTIONS, rows_per_part=24), on_progress=end)
    assert caught.value.signal == number
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    missing = caught.value.job.missing()
    assert 0 < sum(rows.size for rows in missing) < 24
    kept = caught.value.explanations()
    np.testing.assert_array_equal(kept.original, X)
    written = np.ones(24, bool)
    written[np.concatenate([np.arange(*rows) for rows in missing])] = False
    assert_same_rows(replace(kept, scores={})[written], whole.load()[written])
    assert (kept.status[~written] == Status.INTERRUPTED).any()
    assert not kept.scores["interrupted"][written].any()
    shown = []
    job = jobs.run(ready, X, tmp_path, options=OPTIONS, on_progress=shown.append)
    assert shown[0].done > 0
    assert (shown[-1].done, shown[-1].total) == (24, 24)
    assert_same_rows(job.load(), whole.load())


def test_another_question_is_refused_with_what_differs(ready, tmp_path):
    jobs.run(ready, X, tmp_path, options=OPTIONS)
    moved = X.copy()
    moved[7, 1] += 0.01
    longer = search(max_steps=21)
    others: list[Any] = [
        ((ready, moved), {}, "input is another one"),
        ((ready, X[:20]), {}, "rows is 20, and was 24"),
        ((ready, X), {"target": 1}, "question.target is 1, and was None"),
        (
            (ready, X),
            {"constraints": Constraints(lower=-0.5)},
            "question.rules.lower is another one",
        ),
        ((ready.with_options(search=longer), X), {}, "max_steps is 21, and was 20"),
        ((replace(ready, trained_on="other"), X), {}, "training rows is another one"),
    ]
    for (fitted, x), question, differs in others:
        with pytest.raises(ValueError, match=rf"another job: .*{differs}.*restart=True"):
            jobs.run(fitted, x, tmp_path, **question, options=JobOptions(rows_per_part=8))
    begun_anew = jobs.run(ready, moved, tmp_path, restart=True, options=OPTIONS)
    np.testing.assert_array_equal(begun_anew.load().original, moved)


def test_another_model_is_refused_in_jax_or_not(tmp_path):
    def other(x):
        return mlp().predict(x * 0.9)

    inside, outside = tmp_path / "jax", tmp_path / "box"
    options = {"encoder": False, "search": search(max_steps=3)}
    jobs.run(mlp().fit(**options), X, inside, options=OPTIONS)
    with pytest.raises(ValueError, match=r"model\.predict is another one"):
        jobs.run(replace(mlp().explainer(**options), predict=other).fit(mlp().x_train), X, inside)

    def box(classes):
        explainer = mlp().explainer(**options)
        answer = lambda x: mlp().probabilities(x)[:, classes]  # noqa: E731
        return replace(explainer, predict=BlackBox(answer, 3)).fit(mlp().x_train)

    few = X[:4]
    jobs.run(box([0, 1, 2]), few, outside)
    with pytest.raises(ValueError, match=r"model\.answers is another one"):
        jobs.run(box([1, 0, 2]), few, outside)


def sharpened(power):
    """Other probabilities, the same decisions."""

    def answer(x):
        raised = np.asarray(mlp().probabilities(x)) ** power
        return raised / raised.sum(axis=1, keepdims=True)

    return BlackBox(answer, 3)


def test_a_model_outside_jax_that_decides_alike_is_another_model(tmp_path):
    explainer = mlp().explainer(encoder=False, search=search(max_steps=3))
    boxed, guided = tmp_path / "model", tmp_path / "guide"

    def explained(power):
        return replace(explainer, predict=sharpened(power)).fit(mlp().x_train)

    def with_guide(power):
        guide = Guide(sharpened(power), name="other")
        return replace(explainer, guides=[guide]).fit(mlp().x_train)

    few = X[:4]
    jobs.run(explained(1.0), few, boxed)
    jobs.run(with_guide(1.0), few, guided)
    # What another machine's rounding makes of it is the same.
    assert jobs.run(explained(1.00001), few, boxed).complete
    assert jobs.run(with_guide(1.00001), few, guided).complete
    with pytest.raises(ValueError, match=r"model\.answers is another one"):
        jobs.run(explained(1.1), few, boxed)
    with pytest.raises(ValueError, match=r"guides\.other\.answers is another one"):
        jobs.run(with_guide(1.1), few, guided)
    other = jobs.check(explained(1.1), few, boxed)
    assert "job.json: model.answers is another one" in other.problems


def test_another_rate_of_the_same_solver_is_another_job(tmp_path):
    def by(rule):
        return mlp().fit(encoder=False, search=search(rule, max_steps=3))

    rmsprop = [
        solvers.from_optax(optax.rmsprop(rate), step_size=0.01, name="rmsprop")
        for rate in (0.01, 0.02)
    ]
    pairs = [
        (solvers.adam(0.1), solvers.adam(0.01), "learning_rate is 0.01, and was 0.1"),
        (solvers.normalized(), solvers.normalized(0.3), "step_length is 0.3, and was None"),
        (solvers.fista(0.1), solvers.fista(0.01), "learning_rate is 0.01, and was 0.1"),
        (*rmsprop, "options.solver is another one"),
    ]
    for number, (first, other, differs) in enumerate(pairs):
        folder = tmp_path / str(number)
        jobs.run(by(first), X, folder, options=OPTIONS)
        assert jobs.run(by(first), X, folder, options=OPTIONS).complete
        with pytest.raises(ValueError, match=f"another job: .*{differs}"):
            jobs.run(by(other), X, folder, options=OPTIONS)


def test_other_classes_of_the_training_rows_are_another_job(tmp_path):
    explainer = mlp().explainer(encoder=False, search=search(max_steps=3))
    x_train = mlp().x_train
    said = np.asarray(mlp().predict(x_train))
    jobs.run(explainer.fit(x_train), X, tmp_path, options=OPTIONS)
    for known in (
        {"labels": np.roll(said.argmax(axis=1), 1)},
        {"probabilities": np.roll(said, 1, axis=1)},
    ):
        with pytest.raises(ValueError, match="training classes is another one"):
            jobs.run(explainer.fit(x_train, **known), X, tmp_path, options=OPTIONS)


def test_what_is_asked_by_row_goes_with_its_rows(ready, tmp_path):
    target = np.arange(24) % 3
    lower = np.where(np.arange(24)[:, None] % 2, -1.0, X).astype(np.float32)
    question: dict[str, Any] = {"target": target, "constraints": Constraints(lower=lower)}
    question["num_alternatives"] = 2
    job = jobs.run(ready, X, tmp_path, **question, options=OPTIONS)
    assert_same_answers(job.load().core, ready.explain(X, **question))
    with pytest.raises(ValueError, match="target has 3 entries for 24 rows"):
        jobs.run(ready, X, tmp_path / "other", target=[0, 1, 2])


def test_damaged_parts_are_done_again_and_leftovers_go(ready, whole, tmp_path):
    jobs.run(ready, X, tmp_path, options=OPTIONS)
    before = names(tmp_path)
    first, second, _ = (tmp_path / "parts" / name for name in before)
    content = bytearray(first.read_bytes())
    content[200] ^= 1
    first.write_bytes(bytes(content))
    second.write_bytes(second.read_bytes()[:-10])
    left = tmp_path / "parts" / f".jaxcf-{files._machine()}-{os.getpid()}.dead-00"
    left.touch()
    for read in (Job.open(tmp_path).load, lambda: list(Job.open(tmp_path).stream())):
        with pytest.raises(ValueError, match=f"{first.name} is damaged"):
            read()
    source = RecordedRows(X)
    source.fingerprint = lambda: read_json(tmp_path / "job.json")["asked"]["input"]
    assert_same_rows(jobs.run(ready, source, tmp_path, options=OPTIONS).load(), whole.load())
    assert source.asked == [(0, 4), (4, 8), (8, 12), (12, 16)]
    assert names(tmp_path) == before


def test_rows_that_two_processes_have_done_count_once(ready, whole, tmp_path):
    jobs.run(ready, X, tmp_path, options=OPTIONS)
    other = jobs.run(ready, X, tmp_path / "other", options=replace(OPTIONS, rows_per_part=12))
    for part in (other.path / "parts").iterdir():
        part.rename(tmp_path / "parts" / part.name)
    job = Job.open(tmp_path)
    assert len(job.folder.parts()) == 5
    assert [str(piece.rows) for piece in job.folder.pieces()] == ["0 to 11", "12 to 23"]
    assert_same_rows(job.load(), whole.load())
    jobs.run(ready, X, tmp_path, options=OPTIONS)
    assert len(job.folder.parts()) == 2  # those that don't count are gone


def test_a_part_of_another_job_is_refused_by_name(ready, whole, tmp_path):
    other = jobs.run(ready, X, tmp_path, target=1, options=OPTIONS)
    name = names(whole.path)[0]
    (tmp_path / "parts" / names(tmp_path)[0]).unlink()
    (tmp_path / "parts" / name).write_bytes((whole.path / "parts" / name).read_bytes())
    with pytest.raises(ValueError, match=f"{name} is of another job"):
        other.load()


def test_a_disk_that_takes_no_more_ends_a_job_that_goes_on_later(ready, whole, tmp_path):
    jobs.run(ready, X, tmp_path, shard=(1, 3), options=OPTIONS)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match="too large") as caught:
            jobs.run(ready, X, tmp_path, options=OPTIONS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.errno == errno.EFBIG
    assert Job.open(tmp_path).missing() == [Rows(8, 24)]
    assert len(list((tmp_path / "parts").iterdir())) == 1
    assert_same_rows(jobs.run(ready, X, tmp_path, options=OPTIONS).load(), whole.load())


def test_a_folder_that_becomes_read_only_ends_a_job_that_goes_on_later(
    ready, whole, tmp_path, monkeypatch
):
    opened = os.open

    def read_only(path, flags, *arguments, **more):
        if flags & os.O_CREAT and "parts" in str(path) and names(tmp_path):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return opened(path, flags, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", read_only)
        (tmp_path / "parts").mkdir()
        with pytest.raises(OSError, match="Read-only file system"):
            jobs.run(ready, X, tmp_path, options=OPTIONS)
    assert len(names(tmp_path)) == 1
    assert_same_rows(jobs.run(ready, X, tmp_path, options=OPTIONS).load(), whole.load())


def test_rows_before_a_source_that_fails_are_kept(ready, whole, tmp_path):
    class Failing(RecordedRows):
        def rows(self, start, stop):
            if start >= 16:
                raise ConnectionError("the storage is away")
            return super().rows(start, stop)

    with pytest.raises(ConnectionError):
        jobs.run(ready, Failing(X), tmp_path, options=OPTIONS)
    assert Job.open(tmp_path).missing() == [Rows(16, 24)]
    assert_same_rows(
        jobs.run(ready, RecordedRows(X), tmp_path, options=OPTIONS).load(), whole.load()
    )


def test_parts_without_what_was_asked_are_not_taken_over(ready, tmp_path):
    jobs.run(ready, X, tmp_path, options=OPTIONS)
    (tmp_path / "job.json").unlink()
    with pytest.raises(ValueError, match=r"holds parts, but nothing says of what"):
        jobs.run(ready, X, tmp_path, options=OPTIONS)


def test_an_incomplete_job_is_not_loaded(ready, tmp_path):
    job = jobs.run(ready, X, tmp_path, shard=(2, 2), options=OPTIONS)
    with pytest.raises(ValueError, match="rows 0 to 11 are missing of 24"):
        Explanations.load(job.path)
    with pytest.raises(FileNotFoundError, match="holds no job"):
        Explanations.load(tmp_path / "parts")


def test_an_explainer_can_come_from_a_factory(ready, whole, tmp_path):
    assert_same_rows(jobs.run(lambda: ready, X, tmp_path, options=OPTIONS).load(), whole.load())
    with pytest.raises(TypeError, match="explainer must be fitted"):
        jobs.run(cast(Any, mlp().explainer), X, tmp_path)


def test_units_are_smaller_where_rows_or_calls_are():
    from jaxcf.jobs.running import usual_rows_per_unit

    def units(shape=(5,), **box):
        state = mlp().fit(encoder=False)
        if box:
            answer = BlackBox(mlp().probabilities, 3, **box)
            state = replace(mlp().explainer(encoder=False), predict=answer).fit(mlp().x_train)
        object.__setattr__(state, "shape", shape)
        return usual_rows_per_unit(state)

    sizes = [units(), units((100, 50)), units((224, 224, 3)), units(retries=1)]
    assert sizes == [8192, 128, 64, 1024]
    assert [units(max_rows_per_call=most) for most in (1, 200, 5000)] == [64, 128, 1024]
