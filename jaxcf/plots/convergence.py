"""How fast searches get on: several of the same rows, against each other."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from jaxcf.metrics.bootstrap import mean_intervals
from jaxcf.plots.style import axes_or_new, look, tidy
from jaxcf.results.comparison import Results
from jaxcf.utils.selection import evenly_spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Updates at which intervals are taken; between them they are drawn straight.
_MOST_INTERVALS = 25


def convergence(
    runs: Mapping[str, Results], ax: "Axes | None" = None, *, log: bool = True
) -> "Axes":
    """The best objective so far over the updates, the mean over the rows, one curve per run.

    Searches can be compared that minimise the same thing: one objective, c fixed
    (`weight_growth=1.0`), the whole budget used (`stop="budget"`).

    Args:
        runs: explanations of the same rows, with their history, by what to call them.
        ax: to draw on; None makes a figure.
        log: whether the objective has a logarithmic axis.

    Returns:
        The axes; each curve has the 95 % interval of its mean in its colour.

    Raises:
        ValueError: if there is no run, one has no history, or other rows than the first, or no row
            of theirs was searched by all of them.

    Examples:
        >>> from jaxcf import Explanations
        >>> rows = np.zeros((1, 2), np.float32)
        >>> run = Explanations(rows, rows + 1, *[np.zeros(1, np.int8)] * 3,
        ...     np.ones((1, 2)), np.ones(1, int), np.ones((1, 2)), *[np.ones(1, int)] * 4,
        ...     history={"l1": np.array([[3.0, 1.0, 2.0]])})
        >>> convergence({"adam": run}).get_lines()[0].get_ydata().tolist()
        [3.0, 1.0, 1.0]
    """
    best = _best_so_far(runs)
    ax = axes_or_new(ax, 5.5, 3.2)
    for place, (name, values) in enumerate(best.items()):
        chosen, updates = look(place), np.arange(values.shape[1])
        ax.plot(
            updates, values.mean(axis=0), color=chosen.colour, linestyle=chosen.line, label=name
        )
        shown = evenly_spread(len(updates), _MOST_INTERVALS)
        intervals = mean_intervals({str(one): values[:, one] for one in shown}).values()
        lower, upper = ([getattr(one, end) for one in intervals] for end in ("lower", "upper"))
        ax.fill_between(shown, lower, upper, color=chosen.colour, alpha=0.15, linewidth=0)
    ax.set_xlabel("update", fontsize=9)
    ax.set_ylabel("best objective so far", fontsize=9)
    if log:
        ax.set_yscale("log")
    ax.legend(fontsize=8, frameon=False)
    tidy(ax)
    return ax


def _best_so_far(runs: Mapping[str, Results]) -> dict[str, np.ndarray]:
    """Of each run `[rows, updates]`, of the rows that all of them have searched."""
    if not runs:
        raise ValueError('there is no run to draw; pass explanations by name, {"adam": ...}')
    objective: dict[str, np.ndarray] = {}
    first = next(iter(runs.values())).core.original
    for name, run in runs.items():
        if not run.core.history:
            raise ValueError(
                f"run {name!r} has no history to draw; explain with SearchOptions("
                "record_history=True)"
            )
        if not np.array_equal(run.core.original, first, equal_nan=True):
            raise ValueError(f"run {name!r} explains other rows than the first one")
        objective[name] = np.sum(list(run.core.history.values()), axis=0)
    searched = np.all([np.isfinite(one[:, 0]) for one in objective.values()], axis=0)
    if not searched.any():
        raise ValueError("no row was searched by all runs")
    # A search that has ended stays where it is.
    return {name: np.fmin.accumulate(one[searched], axis=1) for name, one in objective.items()}
