"""Pictures, drawn with matplotlib: each on the axes it is given or on a figure of its own.

A function takes its data first and `ax` after it, and returns the axes; with `ax=None` it draws on
a new figure, which a notebook shows and `save` writes. Pictures of several panels return their
figure.
"""

from jaxcf.details import representative_rows
from jaxcf.plots.encodings import PROJECTIONS, Plane, encoded_rows, project
from jaxcf.plots.files import save
from jaxcf.plots.grids import grid
from jaxcf.plots.images import objective_rows, path_strip
from jaxcf.plots.latent import latent_space, path_overlay
from jaxcf.plots.searches import search_losses, search_path
from jaxcf.plots.statistics import curves_with_intervals, distributions, loss_curves
from jaxcf.plots.style import COLOURS, HATCHES, LINES, MARKERS, Look, look, new_figure
from jaxcf.plots.table_cells import changed_cells
from jaxcf.plots.tables import (
    Directions,
    category_lines,
    changed_columns,
    column_directions,
    feature_directions,
)
from jaxcf.plots.transitions import transitions

__all__ = [
    "COLOURS",
    "HATCHES",
    "LINES",
    "MARKERS",
    "PROJECTIONS",
    "Directions",
    "Look",
    "Plane",
    "category_lines",
    "changed_cells",
    "changed_columns",
    "column_directions",
    "curves_with_intervals",
    "distributions",
    "encoded_rows",
    "feature_directions",
    "grid",
    "latent_space",
    "look",
    "loss_curves",
    "new_figure",
    "objective_rows",
    "path_overlay",
    "path_strip",
    "project",
    "representative_rows",
    "save",
    "search_losses",
    "search_path",
    "transitions",
]
