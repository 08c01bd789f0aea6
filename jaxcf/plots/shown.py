"""Figures that a notebook shows by themselves, although pyplot doesn't know them.

Apart from the rest since it imports matplotlib, which `jaxcf.plots` does only to draw.
"""

import io
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure


class ShownFigure(Figure):
    """A figure that a notebook shows where it is the last word of a cell."""

    def savefig(self, *args: Any, **options: Any) -> None:
        """As matplotlib does, once its parts have found their places."""
        # One pass of its layout isn't enough for axes that keep their aspect: titles get cut.
        self.draw_without_rendering()
        super().savefig(*args, **options)

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        self.savefig(content, format="png")
        return content.getvalue()


class ShownAxes(Axes):
    """Axes that a notebook shows as their figure where they are the last word of a cell."""

    def _repr_png_(self) -> bytes | None:
        figure = self.get_figure(root=True)
        return figure._repr_png_() if isinstance(figure, ShownFigure) else None
