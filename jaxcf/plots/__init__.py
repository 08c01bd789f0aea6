"""Pictures, drawn with matplotlib: each on a figure of its own or on the axis it is given."""

from jaxcf.details import representative_rows
from jaxcf.plots.grids import grid
from jaxcf.plots.images import objective_rows, path_strip
from jaxcf.plots.latent import latent_space, path_overlay
from jaxcf.plots.statistics import curves_with_intervals, distributions, loss_curves
from jaxcf.plots.style import COLOURS, HATCHES, LINES, MARKERS, Look, look, new_figure
from jaxcf.plots.tables import category_lines, changed_columns

__all__ = [
    "COLOURS",
    "HATCHES",
    "LINES",
    "MARKERS",
    "Look",
    "category_lines",
    "changed_columns",
    "curves_with_intervals",
    "distributions",
    "grid",
    "latent_space",
    "look",
    "loss_curves",
    "new_figure",
    "objective_rows",
    "path_overlay",
    "path_strip",
    "representative_rows",
]
