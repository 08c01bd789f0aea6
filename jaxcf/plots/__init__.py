"""Pictures, drawn with matplotlib: each on the axes it is given or on a figure of its own.

A function takes its data first, explanations of either kind, and `ax` after it, and returns the
axes; with `ax=None` it draws on a new figure, which a notebook shows and `save` writes.
`explanations.plot` is the short way to those that take explanations.
"""

from jaxcf.plots.convergence import convergence
from jaxcf.plots.grids import grid
from jaxcf.plots.latent import encoded_rows
from jaxcf.plots.style import save
from jaxcf.plots.tables import changes
from jaxcf.plots.trajectories import search_losses, search_path
from jaxcf.plots.transitions import transitions

__all__ = [
    "changes",
    "convergence",
    "encoded_rows",
    "grid",
    "save",
    "search_losses",
    "search_path",
    "transitions",
]
