"""What the workers of `benchmarks.tables` share: how they ask the process that has the model.

Needs numpy alone, nothing of jaxcf, for it runs in every peer's own interpreter. Messages go over
the worker's standard input and output, each one its length, a letter and bytes; what a library
prints goes to the standard error instead. `tables_process.py` is the other end.
"""

import io
import json
import os
import random
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

HEAD = struct.Struct("<qc")
_LOOK_EVERY = 0.1


def packed(description: dict[str, Any], **arrays: np.ndarray) -> bytes:
    """Arrays and a JSON-able description as bytes."""
    file = io.BytesIO()
    said = np.frombuffer(json.dumps(description).encode(), np.uint8)
    content: dict[str, Any] = {"description": said, **arrays}
    np.savez(file, **content)
    return file.getvalue()


def unpacked(content: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What `packed` was given."""
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = dict(file)
    return json.loads(arrays.pop("description").tobytes()), arrays


class Main:
    """The process that holds the model, as a worker sees it."""

    def __init__(self) -> None:
        self._source = os.fdopen(os.dup(0), "rb")
        self._target = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        self.exchanging = 0.0

    def send(self, letter: bytes, content: bytes) -> None:
        """One message."""
        self._target.write(HEAD.pack(len(content), letter) + content)
        self._target.flush()

    def receive(self) -> bytes:
        """The content of the next message.

        Raises:
            ValueError: what the model said, if it couldn't take what it was asked.
        """
        head = self._source.read(HEAD.size)
        if len(head) < HEAD.size:
            sys.exit("the other process is gone")
        length, letter = HEAD.unpack(head)
        content = self._source.read(length)
        if letter == b"e":
            raise ValueError(content.decode())
        return content

    def predict(self, values: np.ndarray, letter: bytes = b"p") -> np.ndarray:
        """The model's probabilities `[n, classes]` of rows of values `[n, columns]`.

        The processor seconds that sending and receiving take are kept in `exchanging`.

        Args:
            values: of numbers that the table can't hold the model gets the nearest ones.
            letter: "u" lets it have them as they are.
        """
        began = time.process_time()
        values = np.ascontiguousarray(values, np.float64)
        self.send(letter, values.tobytes())
        answer = np.frombuffer(self.receive()).reshape(len(values), -1).copy()
        self.exchanging += time.process_time() - began
        return answer


@dataclass(frozen=True)
class Asked:
    """What a peer is asked. Values are numbers, and of a category its place among all.

    Attributes:
        settings: of the peer.
        columns: for each its "name", how many "categories" (0 for numbers) and its "step" (0 for a
            continuous one).
        rules: for each column None, "frozen" or "increase".
        x: `[n, columns]`, rows to explain.
        x_train: `[m, columns]`, training rows.
        y_train: `[m]`, their labels.
        further: whatever else some peer needs.
        predict: the model, of rows that the table can hold, next to the values.
        predict_between: the model, of the values as they are.
    """

    settings: dict[str, Any]
    columns: list[dict[str, Any]]
    rules: list[str | None]
    x: np.ndarray
    x_train: np.ndarray
    y_train: np.ndarray
    predict: Callable[[np.ndarray], np.ndarray]
    predict_between: Callable[[np.ndarray], np.ndarray]
    further: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def categorical(self) -> list[int]:
        """The places of the columns of categories."""
        return [place for place, column in enumerate(self.columns) if column["categories"]]


Explain = Callable[[np.ndarray], "np.ndarray | None"]
Prepare = Callable[[Asked], tuple[str, Explain]]


def work(prepare: Prepare) -> None:
    """Ask for the task, prepare, explain row after row, send each answer at once.

    The process kills itself when it has used the processor for as long as it may.

    Args:
        prepare: gives the library's name with its version, and a function from a row's values to
            its counterfactual's, None where there is none.
    """
    main = Main()
    main.send(b"t", b"")
    description, arrays = unpacked(main.receive())
    given: dict[str, Any] = {name: arrays.pop(name) for name in ("x", "x_train", "y_train")}
    _stop_after(description.pop("limit"))
    asked = Asked(
        **description,
        **given,
        predict=main.predict,
        predict_between=lambda values: main.predict(values, b"u"),
        further=arrays,
    )
    began = time.process_time()
    system, explain = prepare(asked)
    setup = time.process_time() - began - main.exchanging
    main.send(b"i", packed({"system": system, "setup_seconds": setup}))
    for row, values in enumerate(asked.x):
        random.seed(row)
        np.random.seed(row)  # noqa: NPY002 - it is what the libraries draw from
        main.exchanging, began, reason = 0.0, time.process_time(), ""
        try:
            answer = explain(values.copy())
        except Exception as error:  # one row that a library can't take costs no other
            answer, reason = None, f"{type(error).__name__}: {error}"
        seconds = time.process_time() - began - main.exchanging
        found = np.full(len(values), np.nan) if answer is None else np.asarray(answer, np.float64)
        said = {"row": row, "seconds": seconds, "reason": reason}
        main.send(b"r", packed(said, values=found))


def _stop_after(limit: float) -> None:
    """Kill this process once it has used the processor for some more seconds.

    The system has limits of its own, but under one Linux reads the processor's clock in ticks only.
    """
    end = time.process_time() + limit

    def watch() -> None:
        while time.process_time() < end:
            time.sleep(_LOOK_EVERY)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
