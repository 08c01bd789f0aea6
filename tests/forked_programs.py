"""Programs of the documentation, each in a process of its own whose imports are done already.

What a reader's short program takes is mostly the importing of jax, jaxcf and scikit-learn. One
process does that once and then forks for each program, so that none finds anything of another, nor
the stricter settings that this suite has for jax. Judges alone may be there already, see
`trained_once`.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent

IMPORTED = (
    "jaxcf.jobs",
    "jaxcf.models",
    "jaxcf.tabular",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "matplotlib.figure",
)
"""What most programs import, or jaxcf for them; none starts a thread or a backend of jax."""

MOST_SECONDS = 600


class Done(NamedTuple):
    """How a program ended: 0 if well, and what it has written."""

    status: int
    output: str
    errors: str


class ForkedPrograms:
    """Runs programs one after the other; a context, at whose end the waiting process ends.

    Args:
        folder: an empty one, for what the programs write to standard output and error.
        environment: what the programs find in theirs, besides what this process has.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._server = subprocess.Popen(
            [sys.executable, "-W", "error", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # This process may hold an accelerator's memory already.
            env=os.environ
            | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
            | dict(environment or {}),
        )

    def __enter__(self) -> "ForkedPrograms":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate()

    def run(self, code: str, name: str, *, cwd: Path) -> Done:
        """Run some code as `python` would, in that folder."""
        streams = [self._folder / "output", self._folder / "errors"]
        order = {
            "code": code,
            "name": name,
            "cwd": str(cwd),
            "streams": [str(stream) for stream in streams],
        }
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        status = self._server.stdout.readline()
        assert status, "the process that imports and forks has ended"
        return Done(int(status), *(stream.read_text() for stream in streams))


def _serve() -> None:
    for name in IMPORTED:
        importlib.import_module(name)
    models: Any = importlib.import_module("jaxcf.models")
    models.train_judges = importlib.import_module("trained_once").train_judges
    for line in sys.stdin:
        child = os.fork()
        if not child:
            os._exit(_run(**json.loads(line)))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _run(code: str, name: str, cwd: str, streams: list[str]) -> int:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, stream in enumerate(streams, start=1):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    signal.alarm(MOST_SECONDS)
    os.chdir(cwd)
    sys.path.insert(0, "")
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    status = 1
    try:
        exec(compile(code, name, "exec"), vars(main))
        status = 0
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    return status


if __name__ == "__main__":
    _serve()
    os._exit(0)  # there is nothing to take apart
