"""What figure 8 looks like: two panels of curves, and below them strips of examples."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from experiments.plots import curves_with_intervals
from jaxcf.plots.style import COLOURS, DIFFERENCE, new_figure, show_image, signed_change

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANELS = {
    "flipped": "share of predictions flipped",
    "ratio_l2": "L2 to the unmasked image,\nrecovered / masked",
}

_LINES = ("original", "attribution", "masked", "recovered", "difference")


class Example(NamedTuple):
    """One image on its way.

    Attributes:
        original: `[h, w, c]`.
        attribution: `[h, w]`.
        mask: `[h, w]`, the pixels set to 0.
        masked: `[h, w, c]`.
        recovered: `[h, w, c]`, what the search found.
        before: name of the class predicted for the original, and for what was found.
        after: name of the class predicted for the masked image.
    """

    original: np.ndarray
    attribution: np.ndarray
    mask: np.ndarray
    masked: np.ndarray
    recovered: np.ndarray
    before: str
    after: str


def draw(
    rows: Sequence[Mapping[str, Any]],
    methods: Sequence[str],
    examples: Mapping[str, Sequence[Example]],
) -> "Figure":
    """Draw the summary and the examples.

    Args:
        rows: one per method and size of mask, with `Interval`s.
        methods: in the order of their looks.
        examples: title of each strip to its examples.

    Returns:
        The figure.
    """
    strips = {title: shown for title, shown in examples.items() if shown}
    figure = new_figure(11, 8.4 if strips else 3.8)
    if not strips:
        _curves(figure, figure.subplots(1, len(_PANELS)), rows, methods)
        return figure
    above, below = figure.subfigures(2, 1, height_ratios=(0.85, 1.15), squeeze=False)[:, 0]
    _curves(above, above.subplots(1, len(_PANELS)), rows, methods)
    widths = [len(shown) for shown in strips.values()]
    parts = below.subfigures(1, len(strips), width_ratios=widths, squeeze=False)[0]
    for part, (title, shown) in zip(parts, strips.items(), strict=True):
        part.suptitle(title, fontsize=9)
        axes = part.subplots(len(_LINES), len(shown), squeeze=False)
        for column, example in zip(axes.T, shown, strict=True):
            _column(column, example)
        if part is parts[0]:
            for axis, label in zip(axes[:, 0], _LINES, strict=True):
                axis.set_ylabel(label, fontsize=8)
    return figure


def _curves(
    figure: Any, axes: Any, rows: Sequence[Mapping[str, Any]], methods: Sequence[str]
) -> None:
    sizes = sorted({row["pixels"] for row in rows})
    of_cell = {(row["method"], row["pixels"]): row for row in rows}
    for axis, (key, label) in zip(axes, _PANELS.items(), strict=True):
        for place, method in enumerate(methods):
            # A little to the side of each other, or intervals that are alike would hide each other.
            beside = 1.025 ** (place - (len(methods) - 1) / 2)
            curves_with_intervals(
                [size * beside for size in sizes],
                {method: [of_cell[method, size][key] for size in sizes]},
                axis,
                x_label="pixels set to 0",
                y_label=label,
                log_x=True,
                first_look=place,
            )
        axis.set_xticks(sizes, [str(size) for size in sizes])
        axis.minorticks_off()
        if key != "ratio_l2":
            axis.set_ylim(-0.03, 1.03)
        axis.get_legend().remove()
    axes[-1].axhline(1, color="black", linewidth=0.8)
    # No panel of its own: next to nothing differs.
    shares = [row["recovered"].mean for row in rows if row["recovered"].n]
    least, most = (f"{end:.3g}" for end in (min(shares, default=0), max(shares, default=0)))
    said = most if least == most else f"{least} to {most}"
    axes[-1].set_title(f"share of flipped images recovered: {said}", fontsize=9)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=len(methods),
        fontsize=8,
        handlelength=4,
    )


def _column(axes: Sequence["Axes"], example: Example) -> None:
    show_image(axes[0], example.original, 0, 1)
    reach = float(np.abs(example.attribution).max()) or 1.0
    if example.attribution.min() < 0:
        show_image(axes[1], example.attribution, -reach, reach, DIFFERENCE)
    else:
        show_image(axes[1], example.attribution, 0, reach, "cividis")
    show_image(axes[2], example.masked, 0, 1)
    # What was masked, as a veil: in a dark background zeros don't show.
    veil = np.ma.masked_where(~example.mask, np.ones(example.mask.shape))
    axes[2].imshow(veil, cmap=_one_colour(COLOURS[4]), interpolation="nearest")
    show_image(axes[3], example.recovered, 0, 1)
    change = signed_change(example.recovered - example.original)
    show_image(axes[4], change, -1, 1, DIFFERENCE)
    for line, name in ((0, example.before), (2, example.after), (3, example.before)):
        axes[line].set_title(name, fontsize=8, pad=2)


def _one_colour(colour: str) -> Any:
    from matplotlib.colors import ListedColormap

    return ListedColormap([colour])
