"""How pictures look: readable in grey print, and by those who tell few colours apart.

Nothing is told by colour alone: whatever has a colour of its own has a marker, a line style or a
hatch of its own too. The colours are those of Okabe and Ito, which differ in lightness as well
(https://jfly.uni-koeln.de/color/).
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jaxcf.utils.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Ink(NamedTuple):
    """A colour with a meaning, in pictures and on pages.

    Attributes:
        area: of marks and bars.
        on_light: of words on a light ground, dark enough to be read.
        on_dark: of words and marks on a dark ground.
    """

    area: str
    on_light: str
    on_dark: str


MAIN = Ink("#0072B2", "#00588C", "#7CC6F2")
"""What there is one of: bars, curves, what can be pressed."""

FOUND = Ink("#009E73", "#00664B", "#4FD0A7")
"""Rows with a counterfactual."""

MISSED = Ink("#D55E00", "#A03C00", "#F2A367")
"""Rows that needed one and have none."""

COLOURS = (
    MAIN.area,  # blue
    MISSED.area,  # vermilion
    FOUND.area,  # bluish green
    "#CC79A7",  # reddish purple
    "#E69F00",  # orange
    "#56B4E9",  # sky blue
    "#000000",  # black
    "#F0E442",  # yellow, hard to see on white: only for what has an edge
)
"""In this order; the colours of ten classes begin anew, with other markers."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "p")

LINES: tuple[str | tuple[int, tuple[int, ...]], ...] = (
    "-",
    "--",
    "-.",
    ":",
    (0, (5, 1, 1, 1, 1, 1)),
    (0, (1, 3)),
    (0, (8, 2)),
)

HATCHES = ("", "//", "..", "xx", "\\\\", "oo", "++", "--")

DIFFERENCE = "RdBu"
"""Map of differences: red where a counterfactual is darker, blue where it is brighter."""

DARKER, SAME, BRIGHTER = "#B2182B", "#F7F7F7", "#2166AC"
"""The same map in three colours: ends that words can be read on, and the middle."""

QUIET = "#8C8C8C"
"""For what is context: axes through 0, reference lines."""

CHANGED = "#DCE9F5"
"""The ground of an entry that changed."""


class Look(NamedTuple):
    """What tells one of several things apart.

    Attributes:
        colour: of `COLOURS`.
        marker: of `MARKERS`.
        line: of `LINES`.
        hatch: of `HATCHES`.
    """

    colour: str
    marker: str
    line: str | tuple[int, tuple[int, ...]]
    hatch: str


def look(index: int) -> Look:
    """The look of the i-th of several things; all differ, though colours come round again.

    Args:
        index: 0 or more.

    Returns:
        Colour, marker, line style and hatch.

    Examples:
        >>> look(0).marker, look(0).line
        ('o', '-')
        >>> look(8).colour == look(0).colour, look(8).marker == look(0).marker
        (True, False)
    """
    return Look(
        COLOURS[index % len(COLOURS)],
        MARKERS[index % len(MARKERS)],
        LINES[index % len(LINES)],
        HATCHES[index % len(HATCHES)],
    )


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure that nobody else draws on, its parts kept from overlapping.

    Args:
        width: in inches.
        height: in inches.

    Returns:
        The figure; a notebook shows it.

    Examples:
        >>> new_figure(4, 3).axes
        []
    """
    # Not through pyplot: a library must not touch the caller's current figure or backend.
    from jaxcf.plots.shown import ShownFigure

    return ShownFigure(figsize=(width, height), layout="constrained")


def axes_or_new(ax: "Axes | None", width: float, height: float) -> "Axes":
    """The axes that were given, or those of a new figure.

    Args:
        ax: to draw on; None for a new figure.
        width: of the new figure, in inches.
        height: likewise.

    Returns:
        The axes; a notebook shows those of a new figure.

    Examples:
        >>> axes_or_new(None, 4, 3).get_figure().get_size_inches().tolist()
        [4.0, 3.0]
    """
    if ax is not None:
        return ax
    from jaxcf.plots.shown import ShownAxes

    return new_figure(width, height).add_subplot(axes_class=ShownAxes)


def show_image(
    axis: "Axes", image: np.ndarray, low: float, high: float, colours: str = "gray"
) -> None:
    """Draw one image `[h, w]`, `[h, w, 1]` or `[h, w, 3]` without ticks.

    Args:
        axis: to draw on.
        image: its values.
        low: drawn darkest.
        high: drawn brightest.
        colours: matplotlib's colour map for one channel.

    Examples:
        >>> import numpy as np
        >>> axis = new_figure(1, 1).subplots()
        >>> show_image(axis, np.zeros((4, 4, 1)), 0, 1)
        >>> axis.images[0].get_array().shape
        (4, 4)
    """
    image = np.asarray(image)
    if image.ndim == 3 and image.shape[2] == 3:
        # matplotlib takes colours from 0 to 1 as they are, whatever the limits.
        image = np.clip((image - low) / (high - low), 0, 1)
    shown = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    axis.imshow(shown, cmap=colours, vmin=low, vmax=high)
    axis.set_xticks([])
    axis.set_yticks([])


def signed_change(change: np.ndarray) -> np.ndarray:
    """One number per pixel: of several channels the largest change, with its sign.

    A mean would hide what brightens one channel and darkens another.

    Args:
        change: `[h, w]` or `[h, w, channels]`.

    Returns:
        `[h, w]`.

    Examples:
        >>> signed_change(np.array([[[0.1, -0.5, 0.2]]])).tolist()
        [[-0.5]]
    """
    if change.ndim < 3:
        return change
    largest = np.abs(change).argmax(axis=2)[..., None]
    return np.take_along_axis(change, largest, axis=2)[..., 0]


def tidy(axis: "Axes") -> None:
    """Small ticks, no frame where nothing is read off, faint lines behind the data."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(which="both", labelsize=8)
    axis.grid(alpha=0.25, linewidth=0.6)
    axis.set_axisbelow(True)


def count_updates(axis: "Axes") -> None:
    """The axis across counts updates: its ticks are whole numbers, and it is named so.

    Args:
        axis: likewise.

    Examples:
        >>> axis = new_figure(3, 2).subplots()
        >>> _ = axis.plot([3, 2, 1])
        >>> count_updates(axis)
        >>> set(axis.get_xticks().tolist()) >= {0.0, 1.0, 2.0}
        True
    """
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    axis.set_xlabel("update", fontsize=9)


def log_down_to_zero(axis: "Axes", values: np.ndarray) -> None:
    """A logarithmic axis that ends in a linear stretch, or what is 0 would drop out of it.

    Where something lies in that stretch, a line says so.

    Args:
        axis: whose axis upwards it is.
        values: all that is drawn, any shape; NaN where there is none.

    Examples:
        >>> axis = new_figure(3, 2).subplots()
        >>> log_down_to_zero(axis, np.array([0.0, 0.02, 30.0]))
        >>> [label.get_text() for label in axis.get_yticklabels()]
        ['0', '0.01', '0.1', '1', '10', '100']
    """
    from matplotlib.ticker import NullLocator

    values = values[np.isfinite(values)]
    sizes = np.abs(values[values != 0])
    # No more than six powers of ten: rounding errors would push all else together.
    least = max(sizes.min(), sizes.max() * 1e-6) if len(sizes) else 1.0
    linear = 10.0 ** np.floor(np.log10(least))
    axis.set_yscale("symlog", linthresh=linear)
    powers = linear * 10.0 ** np.arange(np.ceil(np.log10(sizes.max(initial=linear) / linear)) + 1)
    below = -powers[::-1] if (values < 0).any() else []
    ends_above = (values >= linear).all()
    ticks = powers if ends_above else [*below, 0, *powers]
    axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.yaxis.set_minor_locator(NullLocator())
    if not ends_above:
        axis.axhline(linear, color=QUIET, linewidth=0.8, linestyle=":")
        axis.annotate(
            "linear below", (1, linear), (-2, -2), xycoords=("axes fraction", "data"),
            textcoords="offset points", ha="right", va="top", fontsize=7, color=QUIET,
        )  # fmt: skip


def save(
    picture: "Artist", path: str | os.PathLike[str], *, notes: Mapping[str, str] | None = None
) -> None:
    """Write a picture as a PNG file, at once or not at all.

    Args:
        picture: a figure, or axes for the figure that they are on.
        path: of the file.
        notes: texts by name to stand in the file beside the picture.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save(new_figure(4, 3), f"{folder}/empty.png")
    """
    figure = picture.get_figure(root=True)
    assert figure is not None
    known = dict(notes or {})
    write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=130, metadata=known))
