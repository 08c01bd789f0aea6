"""Jobs on a cluster of Ray: to the last bit those of `run`, whatever becomes of a worker."""

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import ray_program as program
from helpers import RecordedRows, assert_same_rows

from jaxcf import jobs
from jaxcf.jobs import Job
from jaxcf.utils.json_files import read_json

with_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason='Ray isn\'t installed (the extra "ray")'
)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The folders of the jobs, and what the program said, once it was killed in the last one."""
    place = tmp_path_factory.mktemp("ray")
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "RAY_DATA_DISABLE_PROGRESS_BARS": "1"}
    output, errors = place / "output", place / "errors"
    with output.open("w") as stdout, errors.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, program.__file__, str(place)],
            stdout=stdout,
            stderr=stderr,
            env=environment,
        )
    while process.poll() is None and len(list(place.glob("cut off/parts/part-*"))) < 2:
        time.sleep(0.1)
    assert process.poll() is None, errors.read_text()
    process.kill()
    process.wait()
    return place, output.read_text()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A job that nothing disturbed."""
    return jobs.run(
        program.ready, program.X, tmp_path_factory.mktemp("whole"), options=program.OPTIONS
    )


@with_ray
def test_a_worker_that_is_killed_costs_nothing_that_counts(done, whole):
    place, _ = done
    assert (place / "killed").exists()
    job = Job.open(place / "killed one")
    assert job.folder.job["id"] == whole.folder.job["id"]
    assert_same_rows(job.load(), whole.load())
    assert jobs.check(program.ready, program.X, job.path).holds
    # The names say what is in them.
    assert sorted(job.folder.parts()) == sorted(whole.folder.parts())


@with_ray
def test_a_job_that_was_cut_off_goes_on_without_ray(done, whole):
    place, _ = done
    there = {part.rows.start for part in Job.open(place / "cut off").folder.parts()}
    assert 0 < len(there) < 6
    source = RecordedRows(program.X)
    source.fingerprint = lambda: read_json(place / "cut off" / "job.json")["asked"]["input"]
    job = jobs.run(program.ready, source, place / "cut off", options=program.OPTIONS)
    assert not there & {start for start, _ in source.asked}
    assert "ray" not in sys.modules
    assert_same_rows(job.load(), whole.load())


@with_ray
def test_files_of_a_table_are_the_table_in_memory(done, tmp_path):
    place, _ = done
    rows = program.table()
    whole = jobs.run(program.ready_for_table, rows, tmp_path, options=program.TABLE_OPTIONS)
    job = Job.open(place / "table")
    assert job.folder.job["id"] == whole.folder.job["id"]
    assert_same_rows(job.load().core, whole.load().core)


@with_ray
def test_rows_that_come_otherwise_the_second_time_are_refused(done):
    place, said = done
    assert "the data set gave other rows when it was read again" in said
    assert "dataset.materialize()" in said
    assert not Job.open(place / "shuffled").complete


def test_without_ray_there_is_a_word_about_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    nothing: Any = None
    with pytest.raises(ImportError, match=r'pip install "jaxcf\[ray\]"'):
        jobs.ray_data(program.ready, nothing, tmp_path)
    assert not list(Path(tmp_path).iterdir())
