"""What holds of a job is certified, and whatever was tampered with is named."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers import mlp

from jaxcf import Constraints, EngineOptions, jobs
from jaxcf.jobs import Job, JobOptions
from jaxcf.jobs.writing import unit_of
from jaxcf.results.parts import Part, digest_of
from jaxcf.utils.json_files import read_json
from jaxcf.utils.parquet import from_parquet, to_parquet

X = np.tile(mlp().x, (4, 1)) + np.linspace(0, 0.05, 24, dtype=np.float32)[:, None]
RULES: dict[str, Any] = {"constraints": Constraints(lower=-0.9, frozen=[False] * 4 + [True])}
OPTIONS = JobOptions(rows_per_unit=4, rows_per_part=8)


@pytest.fixture(scope="module")
def ready():
    return mlp().fit(engine=EngineOptions(lanes=4, lanes_per_group=2))


@pytest.fixture(scope="module")
def done(ready, tmp_path_factory):
    return jobs.run(ready, X, tmp_path_factory.mktemp("done"), **RULES, options=OPTIONS)


@pytest.fixture
def copied(done, tmp_path):
    """A copy of the job to tamper with."""
    (tmp_path / "parts").mkdir()
    for path in [done.path / "job.json", *(done.path / "parts").iterdir()]:
        (tmp_path / path.relative_to(done.path)).write_bytes(path.read_bytes())
    return Job.open(tmp_path)


def test_a_job_that_nobody_touched_is_certified(ready, done):
    certificate = jobs.check(ready, X, done.path, **RULES)
    assert certificate.problems == ()
    found = int(done.load().found.sum())
    assert found > 12
    assert certificate.checked["parts"] == 3
    assert [certificate.checked[name] for name in ("rows", "originals", "found")] == [24, 24, found]
    written = read_json(done.path / "certificate.json")
    assert written["holds"]
    assert written["claimed"]["status"]["found"] == found
    assert written["claimed"]["asked"] == done.folder.job["asked"]
    assert written["content"] == certificate.content
    assert written["not_checked"]


def rewritten(job, change, description=None):
    """The first part again, changed by somebody who knows that its name must fit its content."""
    piece = job.folder.pieces()[0]
    columns, words = from_parquet(job.folder.content_of(piece.part))
    explanations = change(job.read(piece))
    unit = unit_of(piece.part.rows, replace(explanations, source_row=np.arange(8)), "")
    arrays = {**columns, **unit.derived}
    arrays |= {name: one for name, one in unit.arrays.items() if name in columns}
    arrays["status"] = columns["status"].tolist()
    content = to_parquet(arrays, words | (description or {}))
    job.folder.file_of(piece.part).unlink()
    part = Part(piece.part.rows, digest_of(content))
    job.folder.file_of(part).write_bytes(content)
    return part.name


def moved(name, row, by):
    def change(explanations):
        array = getattr(explanations, name).copy()
        array[row] += by
        return replace(explanations, **{name: array})

    return change


TAMPERED = {
    "another row": (moved("original", 3, 0.01), "rows 3: original isn't the input's"),
    "a probability": (
        moved("probabilities", 2, [0.02, -0.01, -0.01]),
        "rows 2: probabilities of the counterfactual aren't the model's",
    ),
    "a class": (
        lambda one: replace(one, counterfactual_class=(one.counterfactual_class + 1) % 3),
        "class of the counterfactual isn't the model's decision",
    ),
    "no change": (
        lambda one: replace(one, counterfactual=one.original.copy()),
        "the new class isn't one that was asked for",
    ),
    "a rule": (
        moved("counterfactual", 0, [0, 0, 0, 0, 0.2]),
        "rows 0: counterfactual lies outside its range or its rules",
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_rows_that_were_changed_with_care_are_named(what, ready, copied):
    change, named = TAMPERED[what]
    name = rewritten(copied, change)
    certificate = jobs.check(ready, X, copied.path, **RULES)
    assert not certificate.holds
    assert any(one.startswith(f"{name}: ") and named in one for one in certificate.problems), (
        certificate.problems
    )


def test_parts_that_were_changed_taken_or_added_are_named(ready, copied):
    first, second, third = (copied.folder.file_of(one) for one in sorted(copied.folder.parts()))
    first.write_bytes(first.read_bytes()[:-4] + b"PAR2")
    second.unlink()
    (copied.path / "parts" / "more.parquet").write_bytes(third.read_bytes())
    problems = "; ".join(jobs.check(ready, X, copied.path, **RULES).problems)
    for named in (
        f"{first.name} is damaged",
        "rows 8 to 15 are missing",
        "more.parquet is no part",
    ):
        assert named in problems


def test_a_derived_column_and_another_input_are_named(ready, copied):
    piece = copied.folder.pieces()[0]
    columns, words = from_parquet(copied.folder.content_of(piece.part))
    lies = {**columns, "status": columns["status"].tolist(), "l1": columns["l1"] / 2}
    content = to_parquet(lies, words)
    copied.folder.file_of(piece.part).rename(
        copied.folder.file_of(Part(piece.part.rows, digest_of(content)))
    )
    copied.folder.file_of(Part(piece.part.rows, digest_of(content))).write_bytes(content)
    others = X.copy()
    others[20, 0] += 0.001
    problems = "; ".join(jobs.check(ready, others, copied.path, **RULES).problems)
    assert "the column l1 doesn't follow from the rest" in problems
    assert "rows 20 to 23 of the input are others now" in problems
    assert "job.json: input is another one" in problems


def test_another_model_or_question_is_named(ready, copied):
    other = replace(ready, trained_on="other rows")
    problems = jobs.check(other, X, copied.path, constraints=Constraints(lower=-0.8)).problems
    assert "job.json: training rows is another one" in problems
    assert any("job.json: question.rules.lower" in one for one in problems)


def test_a_job_file_that_was_edited_is_refused(ready, copied):
    file = copied.path / "job.json"
    file.write_text(file.read_text().replace('"num_alternatives": 1', '"num_alternatives": 2'))
    with pytest.raises(ValueError, match="its id isn't that of what it holds"):
        jobs.check(ready, X, copied.path, **RULES)
