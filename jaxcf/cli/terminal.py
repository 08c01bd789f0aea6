"""What the command line shows: progress bars, and tables or one JSON document."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from jaxcf.explainers.progress import ProgressBar, bars, progress_bar
from jaxcf.utils.json_files import json_text, plain


@dataclass(frozen=True)
class Outcome:
    """What a command gives: shown as tables, or as one JSON document with `--json`.

    Attributes:
        document: plain values, with the path of what was written.
        tables: by title, name and value per line.
        remarks: lines for those who watch, after everything else.
        status: the exit status.
    """

    document: Mapping[str, Any]
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    status: int = 0


class Terminal:
    """Where a command says what it does. Silent if asked; no bars where nobody watches.

    Args:
        quiet: show nothing at all, but the document if it is asked for.
        as_json: show what a command gives as one JSON document instead of tables.
        began: when the command did, by `time.perf_counter`; None for now.
    """

    def __init__(self, *, quiet: bool, as_json: bool = False, began: float | None = None) -> None:
        self.began = time.perf_counter() if began is None else began
        self._as_json = as_json
        # Nothing that is shown is markup: names of files, columns and classes may look like it.
        undecorated: dict[str, Any] = {
            "quiet": quiet,
            "highlight": False,
            "markup": False,
            "emoji": False,
        }
        # Progress goes to the error stream, so that output can be piped.
        self._out = Console(**undecorated)
        self._err = Console(**undecorated, stderr=True)

    def say(self, text: str) -> None:
        """One line about what is being done, for those who watch."""
        self._err.print(text)

    def show(self, outcome: Outcome) -> None:
        """What a command gives, on the output stream; its remarks on the error stream."""
        if self._as_json:
            # Not by rich, which would wrap it.
            sys.stdout.write(json_text(plain(outcome.document)))
        else:
            for title, rows in outcome.tables.items():
                self._table(title, rows)
        for remark in outcome.remarks:
            self.say(remark)

    def _table(self, title: str, rows: Mapping[str, Any]) -> None:
        table = Table(title=title, title_justify="left", show_header=False, box=None)
        table.add_column(style="dim")
        table.add_column()
        for name, value in rows.items():
            table.add_row(name, str(value))
        self._out.print(table)

    def progress_bar(self) -> ProgressBar:
        """A bar of finished rows, to be called with how far a run is."""
        return progress_bar(console=self._err)

    @contextmanager
    def training(self) -> Iterator[Any]:
        """A bar of epochs per model; yields the callback that moves it."""
        with bars(self._err, "loss {task.fields[loss]:.4f}") as drawn:
            tasks: dict[str, Any] = {}

            def on_progress(stage: str, epoch: int, epochs: int, loss: float) -> None:
                if stage not in tasks:
                    tasks[stage] = drawn.add_task(stage, total=epochs, loss=loss)
                drawn.update(tasks[stage], completed=epoch, loss=loss)

            yield on_progress
