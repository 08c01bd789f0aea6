"""`explanations.plot`: the pictures of some explanations, under one name."""

from typing import TYPE_CHECKING, Any

from jaxcf.plots.grids import grid
from jaxcf.plots.tables import changes
from jaxcf.plots.trajectories import search_losses, search_path
from jaxcf.plots.transitions import transitions
from jaxcf.results.comparison import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class PlotAccessor:
    """The pictures of explanations of either kind; each returns its matplotlib axes.

    Args:
        explanations: what is drawn.

    Examples:
        >>> import numpy as np
        >>> from jaxcf import Explanations
        >>> rows = np.zeros((2, 4, 4, 1), np.float32)
        >>> explanations = Explanations(rows, rows + 0.5, *[np.zeros(2, np.int8)] * 3,
        ...     np.ones((2, 2)), np.ones(2, int), np.ones((2, 2)), *[np.ones(2, int)] * 4)
        >>> len(explanations.plot().images)
        6
    """

    def __init__(self, explanations: Results) -> None:
        self._explanations = explanations

    def __call__(self, ax: "Axes | None" = None, **options: Any) -> "Axes":
        """Originals, counterfactuals and what changed, side by side; see `jaxcf.plots.grid`."""
        return grid(self._explanations, ax, **options)

    def path(self, row: int, ax: "Axes | None" = None, **options: Any) -> "Axes":
        """The way of one search, with `record_path`; see `jaxcf.plots.search_path`."""
        return search_path(self._explanations, row, ax, **options)

    def losses(self, row: int, ax: "Axes | None" = None, **options: Any) -> "Axes":
        """One search's loss terms, with `record_history`; see `jaxcf.plots.search_losses`."""
        return search_losses(self._explanations, row, ax, **options)

    def transitions(self, ax: "Axes | None" = None, **options: Any) -> "Axes":
        """How many rows went from which class to which; see `jaxcf.plots.transitions`."""
        return transitions(self._explanations, ax, **options)

    def changes(self, ax: "Axes | None" = None, **options: Any) -> "Axes":
        """How often each feature or column changed, and which way; see `jaxcf.plots.changes`."""
        return changes(self._explanations, ax, **options)
