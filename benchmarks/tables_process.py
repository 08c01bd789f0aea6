"""A peer of `benchmarks.tables` at work: its own process asks this one for the model's predictions.

So every peer explains the very same model, and what the model costs is told apart from what the
peer does. `peer_asking.py` is the other end.
"""

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from benchmarks.peer_asking import HEAD, packed, unpacked
from benchmarks.peer_process import Peer
from benchmarks.tables_tasks import Task, credit
from benchmarks.tables_trees import Trees
from jaxcf.tabular import Numeric

_LAST_LINES = 8
# Wall seconds for each processor second that a worker may use: the machine may be busy.
_PATIENCE = 20
# Other threads only wait for one another: rows go through every library one at a time.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass
class Answers:
    """What a method answered to the first rows of a task; all `[rows]` but the values.

    Attributes:
        values: `[rows, columns]`; NaN where there is no answer.
        reached: whether the row's turn came before the time was up.
        seconds: processor seconds of the method itself.
        model_seconds: processor seconds of the model, for the rows it was asked for.
        predictions: rows that the model was asked for.
        info: "system", "setup_seconds", "reasons" (why rows have no answer: how often each).
    """

    values: np.ndarray
    reached: np.ndarray
    seconds: np.ndarray
    model_seconds: np.ndarray
    predictions: np.ndarray
    info: dict[str, Any] = field(default_factory=dict)

    def first(self, n: int) -> "Answers":
        """Those to the first rows."""
        return self.of({name: array[:n] for name, array in self.arrays.items()}, self.info)

    @classmethod
    def nothing(cls, n: int, columns: int) -> "Answers":
        """Of rows whose turn hasn't come."""
        return cls(
            np.full((n, columns), np.nan),
            np.zeros(n, bool),
            np.zeros(n),
            np.zeros(n),
            np.zeros(n),
            {"reasons": {}},
        )

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """All but `info`, by name."""
        return {name: value for name, value in vars(self).items() if name != "info"}

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray], info: dict[str, Any]) -> "Answers":
        """What `arrays` and `info` were of."""
        return cls(**arrays, info=info)


def ask(peer: Peer, task: Task, n: int, limit: float) -> Answers:
    """Have a peer explain the first rows of a task.

    Args:
        peer: one that has an interpreter.
        task: the table and the model.
        n: how many rows.
        limit: processor seconds after which it is stopped, its preparation included and what the
            model needs apart.

    Returns:
        Its answers to all rows that it came to.

    Raises:
        RuntimeError: if it ended by itself before the last row; the message ends with its own.
    """
    worker = Path(__file__).parent / peer.script
    environment = os.environ | _ONE_THREAD | {"TF_CPP_MIN_LOG_LEVEL": "3", "TQDM_DISABLE": "1"}
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [str(peer.python), str(worker)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            env=environment,
        )
        # One that sleeps uses no processor.
        late = threading.Timer(_PATIENCE * limit, process.kill)
        late.start()
        try:
            answers = _serve(process, _question(peer, task, n, limit), task, n)
            if answers.reached.all():
                process.kill()
        finally:
            late.cancel()
            for pipe in (process.stdin, process.stdout):
                _close(pipe)
            process.wait()
        if not answers.reached.all() and process.returncode != -signal.SIGKILL:
            said.seek(0)
            last = said.read().decode(errors="replace").strip().splitlines()[-_LAST_LINES:]
            raise RuntimeError(f"{peer.label} failed on {task.name}:\n" + "\n".join(last))
    return answers


def _close(pipe: IO[bytes] | None) -> None:
    try:
        if pipe is not None:
            pipe.close()
    except BrokenPipeError:
        pass  # what it was still to be told, nobody reads any more


def _serve(process: "subprocess.Popen[bytes]", question: bytes, task: Task, n: int) -> Answers:
    source, target = process.stdout, process.stdin
    assert source is not None
    assert target is not None
    answers = Answers.nothing(n, len(task.schema.columns))
    spent, rows_asked = 0.0, 0
    while not answers.reached.all():
        head = source.read(HEAD.size)
        if len(head) < HEAD.size:
            break
        length, letter = HEAD.unpack(head)
        content = source.read(length)
        if len(content) < length:
            break
        reply = None
        if letter == b"t":
            reply = question
        elif letter in (b"p", b"u"):
            predict = task.predict if letter == b"p" else task.predict_between
            values = np.frombuffer(content).reshape(-1, answers.values.shape[1])
            began = time.process_time()
            try:
                reply = np.ascontiguousarray(predict(values), np.float64).tobytes()
            except ValueError as error:  # such as no rows at all: the row that asks gets none
                letter, reply = b"e", f"the model: {error}".encode()
            spent += time.process_time() - began
            rows_asked += len(values)
        elif letter == b"i":
            answers.info |= unpacked(content)[0]
            spent, rows_asked = 0.0, 0  # what was asked while it prepared belongs to no row
        else:
            _note(answers, content, spent, rows_asked)
            spent, rows_asked = 0.0, 0
        if reply is not None:
            try:
                target.write(HEAD.pack(len(reply), letter) + reply)
                target.flush()
            except BrokenPipeError:
                break
    return answers


def demonstration(peer: Peer) -> Task:
    """The task that treecf brings along."""
    worker = Path(__file__).parent / peer.script
    ended = subprocess.run([str(peer.python), str(worker), "demo"], capture_output=True, check=True)
    description, arrays = unpacked(ended.stdout)
    rows = arrays.pop("rows")
    trees = Trees(**arrays, boundary=np.array(0.0))
    return credit(rows, description["names"], description["occupations"], trees)


def _note(answers: Answers, content: bytes, spent: float, rows_asked: int) -> None:
    said, arrays = unpacked(content)
    row = said["row"]
    answers.values[row] = arrays["values"]
    answers.reached[row] = True
    answers.seconds[row] = said["seconds"]
    answers.model_seconds[row] = spent
    answers.predictions[row] = rows_asked
    if said["reason"]:
        reasons = answers.info["reasons"]
        reasons[said["reason"]] = reasons.get(said["reason"], 0) + 1


def _question(peer: Peer, task: Task, n: int, limit: float) -> bytes:
    columns = [
        {
            "name": column.name,
            "categories": 0 if isinstance(column, Numeric) else len(column.categories),
            "step": column.step if isinstance(column, Numeric) else 0.0,
        }
        for column in task.schema.columns
    ]
    description = {
        "settings": peer.settings,
        "columns": columns,
        "rules": task.rule_words,
        "limit": limit,
    }
    given = {"x": task.x[:n], "x_train": task.x_train, "y_train": task.y_train}
    return packed(description, **given, **task.further)
