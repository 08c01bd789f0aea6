"""The recipes for schedulers do every shard once: run by a shell, with a jaxcf that takes notes."""

import os
import re
import shlex
import subprocess

import pytest
import yaml
from documentation import DOCS, blocks

from jaxcf.cli.shared import shard_named

NOTES = """#!/bin/sh
echo "$@" >> "$NOTES"
"""

RECIPES = [block.code for block in blocks(DOCS / "scale.md") if not block.language]


def recipe_with(word):
    return next(code for code in RECIPES if word in code)


@pytest.fixture
def shards(tmp_path):
    """Runs shell commands; the shards that jaxcf was called with so far, in order."""
    for name, text in (("jaxcf", NOTES), ("srun", '#!/bin/sh\nexec "$@"\n')):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    notes = tmp_path / "notes"

    def run(code, **environment):
        places = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "NOTES": str(notes)}
        subprocess.run(
            ["sh", "-c", code], env=os.environ | places | environment, cwd=tmp_path, check=True
        )
        calls = [shlex.split(line) for line in notes.read_text().splitlines()]
        assert all(call[0] in ("explain", "gather") for call in calls)
        return sorted(
            shard_named(call[call.index("--shard") + 1]) or (0, 0)
            for call in calls
            if call[0] == "explain"
        )

    return run


ALL = [(number, 16) for number in range(1, 17)]


def test_xargs(shards):
    assert shards(recipe_with("xargs")) == ALL


def test_slurm(shards):
    code = recipe_with("#SBATCH")
    first, last = map(int, re.findall(r"--array=(\d+)-(\d+)", code)[0])
    done = []
    for number in range(first, last + 1):
        done = shards(
            code, SLURM_ARRAY_TASK_ID=str(number), SLURM_ARRAY_TASK_COUNT=str(last - first + 1)
        )
    assert done == ALL


def test_slurm_gives_a_shard_that_failed_back_to_the_queue(shards, tmp_path):
    code = recipe_with("#SBATCH")
    called = tmp_path / "called"
    (tmp_path / "srun").write_text('#!/bin/sh\n"$@"\nexit 143\n')
    (tmp_path / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {called}\n')
    (tmp_path / "scontrol").chmod(0o755)
    task = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "16", "SLURM_JOB_ID": "77"}
    assert shards(code, **task) == [(3, 16)]
    assert called.read_text() == "requeue 77\n"


def test_kubernetes(shards):
    job = yaml.safe_load(recipe_with("kind: Job"))["spec"]
    assert job["completionMode"] == "Indexed"
    container = job["template"]["spec"]["containers"][0]
    assert container["command"] == ["sh", "-c"]
    done = []
    for index in range(job["completions"]):
        done = shards(container["args"][0], JOB_COMPLETION_INDEX=str(index))
    assert done == ALL
