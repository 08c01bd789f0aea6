"""A bar of finished rows, in terminals and notebooks; silent where nobody watches."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars

_NOTEBOOK_SECONDS = 0.25


class Progress(NamedTuple):
    """How far a run is.

    Attributes:
        done: rows finished.
        found: counterfactuals among them.
        total: rows known to come; None while streaming.
        seconds: since the search began.
        already_in_target: rows among those done that needed no counterfactual.
    """

    done: int
    found: int
    total: int | None
    seconds: float
    already_in_target: int = 0


OnProgress = Callable[[Progress], None]


def progress_bar(
    description: str = "explaining", *, console: "Console | None" = None
) -> "ProgressBar":
    """A bar to pass as `on_progress`: rows done, found, not found, and how many per second.

    `explain` and `stream` show it for as long as they run and leave its last state standing,
    also if they are interrupted or fail. Nothing is drawn where there is neither a terminal nor a
    notebook, such as in a pipe.

    Args:
        description: in front of the bar.
        console: where to draw; None takes the error stream, or the cell of a notebook.

    Returns:
        The bar. For a loop of your own, it is a context manager.

    Examples:
        >>> import jax, jax.numpy as jnp, numpy as np
        >>> from jaxcf import Explainer
        >>> explainer = Explainer(lambda x: jax.nn.softmax(x @ jnp.array([[4.0, -4.0]])))
        >>> x = np.array([[0.2], [0.4], [-0.3], [-0.5]], np.float32)
        >>> explainer.fit(x).explain(x, on_progress=progress_bar()).found.all()
        np.True_
    """
    return ProgressBar(description, console)


class ProgressBar:
    """Draws `Progress` between entry and exit; entered within an entry it stays one bar.

    Args:
        description: in front of the bar.
        console: where to draw; None takes the error stream, or the cell of a notebook.
    """

    def __init__(self, description: str, console: "Console | None") -> None:
        self._description = description
        self._console = console
        self._entered = 0
        self._bars: Bars | None = None

    def __enter__(self) -> "ProgressBar":
        self._entered += 1
        if self._entered == 1:
            self._bars = bars(self._console, "{task.fields[text]}")
            self._task = self._bars.add_task(self._description, total=None, text="")
            self._redraw = _start(self._bars)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._entered -= 1
        if self._bars is not None and not self._entered:
            task = self._bars.tasks[0]
            if kind is None and task.total is None:  # a stream, and it is at its end
                self._bars.update(self._task, total=task.completed)
            self._bars.stop()
            self._redraw(True)
            self._bars = None

    def __call__(self, progress: Progress) -> None:
        """Show how far a run is.

        Args:
            progress: what `on_progress` is called with.

        Raises:
            RuntimeError: if the bar hasn't been entered.
        """
        if self._bars is None:
            raise RuntimeError(
                "this progress bar isn't shown yet; pass it as on_progress itself, or call it "
                "inside `with progress_bar() as bar`"
            )
        rate = progress.done / max(progress.seconds, 1e-9)
        already = progress.already_in_target
        missed = progress.done - progress.found - already
        there = f", {already} already in the target" if already else ""
        self._bars.update(
            self._task,
            total=progress.total,
            completed=progress.done,
            text=f"{progress.found} found, {missed} not found{there}, {rate:.0f}/s",
        )
        self._redraw(False)


def bars(console: "Console | None", text: str) -> "Bars":
    """Bars as they look everywhere in jaxcf, not started yet.

    Args:
        console: where to draw; None takes the error stream, or the cell of a notebook.
        text: what stands behind the numbers, as rich formats a task.

    Returns:
        Bars of rich, disabled where there is no terminal and no notebook.
    """
    # Only who looks at a bar waits for rich to be imported.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.table import Column

    console = console or Console(stderr=True)
    watched = (console.is_terminal or console.is_jupyter) and not console.quiet
    # Where the terminal is narrow, the bar gives way and not the numbers.
    whole = Column(no_wrap=True)
    return Progress(
        # What a task is called may hold the caller's own words, which are no markup.
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(table_column=whole),
        TextColumn(text, markup=False),
        TimeElapsedColumn(table_column=whole),
        TimeRemainingColumn(table_column=whole),
        console=console,
        disable=not watched,
    )


def _start(drawn: "Bars") -> Callable[[bool], None]:
    """Show the bars; give what redraws them: now, or if some time has passed since the last."""
    if not drawn.console.is_jupyter or drawn.disable:
        drawn.start()
        return lambda now: None
    # Rich itself draws in a notebook only where ipywidgets is installed.
    from IPython.display import display

    handle: Any = display(drawn, display_id=True)
    last = time.monotonic()

    def redraw(now: bool) -> None:
        nonlocal last
        if now or time.monotonic() - last > _NOTEBOOK_SECONDS:
            last = time.monotonic()
            handle.update(drawn)

    return redraw
