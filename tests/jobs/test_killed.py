"""Jobs that are killed: SIGKILL between two file operations, and the same program goes on."""

from pathlib import Path

import numpy as np
import pytest
from forked_programs import ForkedPrograms

from jaxcf.jobs import Job
from jaxcf.results.explanations import Explanations, pack

PROGRAM = """
import os, signal, sys
child = os.fork() if {both} else None  # two processes that know nothing of each other
sys.path.insert(0, {tests!r})
import numpy as np
from helpers import mlp
from jaxcf import EngineOptions, jobs

operations = 0

def kill(event, arguments):
    global operations
    touched = event in ("open", "os.rename", "os.remove", "os.link", "os.scandir")
    if touched and {folder!r} in str(arguments[0]):
        operations += 1
        if operations == {moment}:
            os.kill(os.getpid(), signal.SIGKILL)

x = np.tile(mlp().x, (4, 1)) + np.linspace(0, 0.05, 24, dtype=np.float32)[:, None]
layout = EngineOptions(lanes=4, lanes_per_group=2, steps_per_chunk=2)
fitted = mlp().fit(engine=layout)
options = jobs.JobOptions(rows_per_unit=4, rows_per_part=4)
sys.addaudithook(kill)
jobs.run(fitted, x, {folder!r}, options=options)
print(operations)
if child:
    assert os.waitpid(child, 0)[1] == 0
"""

TESTS = str(Path(__file__).parent.parent)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs the program once in a process of its own, which kills itself at a file operation."""
    with ForkedPrograms(tmp_path_factory.mktemp("streams")) as forked:

        def run(folder, moment=0, both=False):
            code = PROGRAM.format(tests=TESTS, folder=str(folder), moment=moment, both=both)
            return forked.run(code, "job", cwd=Path(folder).parent)

        yield run


def test_a_job_that_is_killed_again_and_again_comes_to_the_same_end(run, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = run(whole)
    assert done.status == 0, done.errors
    # Any moment will do. The whole of it is in benchmarks/killed.py.
    for moment in np.random.default_rng().integers(3, int(done.output) // 2, 2).tolist():
        done = run(killed, moment)
        assert done.status == -9, done.errors
    done = run(killed, both=True)
    assert done.status == 0, done.errors
    assert not list(killed.rglob(".jaxcf-*"))
    job = Job.open(killed)
    # Every row once, to the last bit: the names of parts hold what is in them.
    assert sorted(part.name for part in job.folder.parts()) == sorted(
        part.name for part in Job.open(whole).folder.parts()
    )
    mine, theirs = (pack(Explanations.load(folder)) for folder in (killed, whole))
    for name, array in theirs.items():
        np.testing.assert_array_equal(mine[name], array, err_msg=name)
