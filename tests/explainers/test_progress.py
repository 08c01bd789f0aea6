"""The progress bar: drawn for those who watch, silent for others, and over when the run is."""

import io
import sys
import threading

import numpy as np
import pytest
from helpers import mlp
from rich.console import Console

from jaxcf import ExplanationInterrupted, Progress, progress_bar


@pytest.fixture(scope="module")
def ready():
    return mlp().fit()


def terminal():
    return Console(file=io.StringIO(), force_terminal=True, width=120, color_system=None)


def drawn(console):
    return console.file.getvalue()


@pytest.fixture(autouse=True)
def _nothing_is_left_behind():
    streams = (sys.stdout, sys.stderr)
    yield
    for thread in threading.enumerate():
        if type(thread).__module__.startswith("rich."):
            thread.join(timeout=10)
            assert not thread.is_alive()
    assert (sys.stdout, sys.stderr) == streams


def test_a_terminal_shows_the_rows_done_and_found(ready):
    console = terminal()
    result = ready.explain(mlp().x, on_progress=progress_bar(console=console))
    last = drawn(console).splitlines()[-1]
    assert "explaining" in drawn(console)
    assert f"6/6 {result.found.sum()} found" in drawn(console)
    assert "/s" in drawn(console)
    assert "\x1b[?25h" in last  # the cursor is back


def test_a_stream_counts_on_without_a_total_and_ends_full(ready):
    console = terminal()
    batches = [mlp().x[:2], mlp().x[2:]]
    results = list(ready.stream(batches, on_progress=progress_bar("streaming", console=console)))
    assert sum(len(result) for result in results) == 6
    assert "0/?" in drawn(console)
    assert "6/6" in drawn(console).rsplit("streaming", 1)[1]


def test_a_stream_that_is_left_ends_its_bar(ready):
    console = terminal()
    answers = ready.stream([mlp().x] * 9, on_progress=progress_bar(console=console))
    next(answers)
    answers.close()
    assert "\x1b[?25h" in drawn(console)


def test_interrupted_and_failed_runs_end_the_bar(ready):
    console = terminal()

    def batches(error):
        yield mlp().x
        raise error

    with pytest.raises(OSError, match="gone"):
        list(ready.stream(batches(OSError("gone")), on_progress=progress_bar(console=console)))
    assert "\x1b[?25h" in drawn(console)

    class Interrupting(type(progress_bar())):
        def __call__(self, progress):
            super().__call__(progress)
            raise KeyboardInterrupt

    console = terminal()
    with pytest.raises(ExplanationInterrupted):
        ready.explain(mlp().x, on_progress=Interrupting("explaining", console))
    assert "\x1b[?25h" in drawn(console)


def test_a_pipe_gets_nothing(ready):
    console = Console(file=io.StringIO(), force_terminal=False)
    ready.explain(mlp().x, on_progress=progress_bar(console=console))
    assert drawn(console) == ""


def test_one_bar_serves_several_runs_and_a_loop_of_ones_own(ready):
    console = terminal()
    with progress_bar(console=console) as bar:
        ready.explain(mlp().x, on_progress=bar)
        bar(Progress(done=4, found=3, total=8, seconds=2.0))
    assert "4/8 3 found, 1 not found, 2/s" in drawn(console)
    assert drawn(console).count("\x1b[?25h") == 1
    with pytest.raises(RuntimeError, match="with progress_bar"):
        bar(Progress(done=4, found=3, total=8, seconds=2.0))


def test_a_notebook_shows_one_cell_that_is_updated(ready, monkeypatch):
    shown = []

    class Handle:
        def update(self, content):
            shown.append(content._repr_mimebundle_([], [])["text/html"])

    def display(content, *, display_id):
        assert display_id is True
        return Handle()

    monkeypatch.setattr("IPython.display.display", display)
    console = Console(file=io.StringIO(), force_jupyter=True)
    ready.explain(mlp().x, on_progress=progress_bar(console=console))
    assert "6/6" in shown[-1]
    assert "found" in shown[-1]
    assert drawn(console) == ""


def test_answers_are_the_same_with_and_without_a_bar(ready):
    plain = ready.explain(mlp().x)
    watched = ready.explain(mlp().x, on_progress=progress_bar(console=terminal()))
    np.testing.assert_array_equal(plain.counterfactual, watched.counterfactual)
