"""From which class to which: counts of counterfactuals as a matrix."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxcf.plots.style import QUIET, axes_or_new
from jaxcf.plots.subjects import subject_of
from jaxcf.results.comparison import Results
from jaxcf.search.status import Status
from jaxcf.utils.validation import names_or_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Between the classes and the rows without a counterfactual, in cells.
_GAP = 0.35

# Of more classes only those are drawn that occur, or the picture would be empty lines.
_ALL_CLASSES = 20


def transitions(
    explanations: Results,
    ax: "Axes | None" = None,
    *,
    class_names: Sequence[str] | None = None,
) -> "Axes":
    """How many rows of each class got a counterfactual of each other class, and how many none.

    The same classes down and across: all of them, or of more than twenty those that occur on either
    side. A line along the diagonal says where no counterfactual can lie. Rows without one stand in
    a column of their own; those whose decision was the requested one already, if there are any, in
    another.

    Args:
        explanations: at least one row.
        ax: to draw on; None for a new figure.
        class_names: one per class; a table's own or their numbers where not given.

    Returns:
        The axes.

    Raises:
        ValueError: if there is no row, or there are more or fewer names than classes.

    Examples:
        >>> import numpy as np
        >>> from jaxcf import Explanations
        >>> rows = np.zeros((3, 2), np.float32)
        >>> explanations = Explanations(rows, rows + 1, np.array([0, 0, 1]),
        ...     *[np.zeros(3, np.int8)] * 2, np.ones((3, 2)), np.ones(3, int), np.ones((3, 2)),
        ...     *[np.ones(3, int)] * 4)
        >>> axes = transitions(explanations, class_names=["no", "yes"])
        >>> [text.get_text() for text in axes.texts], axes.get_ylabel()
        (['2', '1', '0'], 'original')
    """
    if not len(explanations):
        raise ValueError("there is no row to draw")
    core, class_names, *_ = subject_of(explanations, class_names)
    names = names_or_numbers("classes", class_names, core.probabilities.shape[1])
    names.append("unreadable")  # -1 is the class of a row that can't be read
    found = core.found
    already = core.status == Status.ALREADY_IN_TARGET
    classes = np.arange(len(names) - 1)
    if len(classes) > _ALL_CLASSES:
        occurring = [core.original_class, core.counterfactual_class[found]]
        classes = np.intersect1d(classes, np.concatenate(occurring))
    ends = {"not found": ~found & ~already} | ({"there already": already} if already.any() else {})

    # What has no class comes last, and only as a line.
    unreadable = bool((core.original_class < 0).any())
    befores = np.append(classes, np.full(int(unreadable), len(names) - 1))
    before = np.searchsorted(befores, core.original_class % len(names))
    after = np.searchsorted(classes, core.counterfactual_class[found])
    counts = np.zeros((len(befores), len(classes) + len(ends)), int)
    np.add.at(counts, (before[found], after), 1)
    for place, rows in enumerate(ends.values(), start=len(classes)):
        counts[:, place] = np.bincount(before[rows], minlength=len(befores))

    lines, columns = counts.shape
    cell = min(0.55, 9 / max(lines, columns))
    longest = max((len(names[k]) for k in befores), default=0)
    heading = str(core.counts)
    # As wide as the title too, which two classes wouldn't be.
    width = max(cell * (columns + 1) + 0.07 * longest + 0.6, 0.085 * len(heading))
    ax = axes_or_new(ax, width, cell * (lines + 1) + 1.2)
    most = max(int(counts.max()), 1)
    places = np.arange(columns) + _GAP * (np.arange(columns) >= len(classes)) * (len(classes) > 0)
    for part, colours in ((slice(0, len(classes)), "Blues"), (slice(len(classes), None), "Greys")):
        if counts[:, part].size:
            first, last = places[part][[0, -1]]
            extent = (first - 0.5, last + 0.5, lines - 0.5, -0.5)
            # From below 0, or the ends couldn't be seen where all are found; to beyond the most, or
            # the darkest cell would hide its number.
            limits = {"vmin": -0.1 * most, "vmax": 1.25 * most, "aspect": "equal"}
            ax.imshow(counts[:, part], cmap=colours, extent=extent, **limits)
    # From a class to itself is no change.
    ax.plot([-0.5, len(classes) - 0.5], [-0.5, len(classes) - 0.5], color=QUIET, linewidth=0.8)
    written = counts > 0
    written[:, len(classes) :] = True
    for line, column in np.argwhere(written):
        ax.text(
            float(places[column]),
            float(line),
            str(counts[line, column]),
            ha="center",
            va="center",
            fontsize=min(9, 18 * cell),
            color="white" if counts[line, column] > 0.65 * most else "black",
        )
    heads = [*(names[label] for label in classes), *ends]
    ax.set_xticks(places, heads, rotation=90 if longest > 3 or columns > 12 else 0)
    for label in ax.get_xticklabels()[len(classes) :]:
        label.set_rotation(90)
    ax.set_yticks(range(lines), [names[label] for label in befores])
    ax.set_xlim(-0.5, places[-1] + 0.5)
    ax.set_ylim(lines - 0.5, -0.5)
    ax.set_xlabel("counterfactual", fontsize=9)
    ax.set_ylabel("original", fontsize=9)
    ax.set_title(heading, fontsize=10)
    ax.tick_params(length=0, labelsize=8)
    ax.spines[:].set_visible(False)
    return ax
