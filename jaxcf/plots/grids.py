"""A grid of explanations: originals, counterfactuals and their differences, side by side."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import ArrayLike

from jaxcf.plots.images import column_places, frame_mosaic, line_places, place_image
from jaxcf.plots.style import DIFFERENCE, axes_or_new, signed_change
from jaxcf.plots.subjects import subject_of
from jaxcf.plots.tables import cells
from jaxcf.results.comparison import Results
from jaxcf.results.explanations import Explanations
from jaxcf.results.true_classes import read_true_classes
from jaxcf.search.status import Status
from jaxcf.utils.images import Channels, is_image, value_range, with_channels_last
from jaxcf.utils.numbers import check_whole
from jaxcf.utils.selection import representative_rows
from jaxcf.utils.validation import names_or_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_FEATURES = 15


def grid(
    explanations: Results,
    ax: "Axes | None" = None,
    *,
    num_instances: int = 10,
    class_names: Sequence[str] | None = None,
    feature_names: Sequence[str] | None = None,
    channels: Channels | None = None,
    true_classes: ArrayLike | Sequence[Any] | None = None,
) -> "Axes":
    """Originals, counterfactuals and their differences, side by side.

    Found rows of all original classes first, one column per instance, or one line of a table
    with old and new entries. Images `[n, h, w]`, `[n, h, w, 1 or 3]` or `[n, 1 or 3, h, w]` stand
    above each other; of rows `[n, features]` the changes of the most changed features, in words and
    colours: blue where a feature grew, red where it fell.

    Args:
        explanations: at least one row.
        ax: to draw on; None for a new figure.
        num_instances: how many at most, >= 1.
        class_names: one per class; a table's own or their numbers where not given.
        feature_names: one per feature, for rows that are no images; likewise.
        channels: "first" for images `[channels, h, w]`, "last" for `[h, w, channels]`; None tells
            by their shape, see `jaxcf.utils.images.is_image`.
        true_classes: what each row that was explained really is, by number or name of its class,
            to stand beside what the model reads; -1 or None where nobody knows.

    Returns:
        The axes.

    Raises:
        ValueError: if there is no row, names are too many or too few, a true class is none, or the
            shape of a row is neither an image nor `[features]`.

    Examples:
        >>> import numpy as np
        >>> from jaxcf import Explanations
        >>> rows = np.zeros((2, 4, 4, 1), np.float32)
        >>> explanations = Explanations(rows, rows + 0.5, *[np.zeros(2, np.int8)] * 3,
        ...     np.ones((2, 2)), np.ones(2, int), np.ones((2, 2)), *[np.ones(2, int)] * 4)
        >>> len(grid(explanations).images)
        6
    """
    if not len(explanations):
        raise ValueError("there is no row to draw")
    check_whole("num_instances", num_instances)
    core, class_names, feature_names, table = subject_of(explanations, class_names, feature_names)
    rows = representative_rows(core.found, core.original_class, num_instances)
    chosen = core[rows]
    really = _really(chosen, true_classes, class_names)
    if table is not None:
        titles = [title(chosen, row, class_names, longest=99) for row in range(len(chosen))]
        titles = [f"{one}{said}" for one, said in zip(titles, really, strict=True)]
        return cells(table[rows], titles, ax)
    titles = [title(chosen, row, class_names) for row in range(len(chosen))]
    titles = [f"{one}\n{said.strip()}".rstrip() for one, said in zip(titles, really, strict=True)]
    shape = chosen.original.shape[1:]
    if len(shape) == 1:
        return _changes(
            chosen, ax, titles, names_or_numbers("features", feature_names, *shape, "feature ")
        )
    if is_image(shape, channels):
        pictures = with_channels_last(chosen.original, channels)
        return _images(pictures, with_channels_last(chosen.counterfactual, channels), ax, titles)
    raise ValueError(
        f"instances of shape {shape} are neither images [h, w], [h, w, 1 or 3], [1 or 3, h, w] nor "
        f"rows [features]{'' if channels is None else f', with channels={channels!r}'}"
    )


def title(
    explanations: Explanations, row: int, class_names: Sequence[str] | None, *, longest: int = 14
) -> str:
    """What became of a row, in classes: "3 → 9", "3, not found", or "3, there already".

    Args:
        explanations: of which one is meant.
        row: its number.
        class_names: one per class; their numbers where not given.
        longest: two names with more letters stand on two lines.

    Returns:
        One line or two.

    Raises:
        ValueError: if there are more or fewer names than classes.
    """
    names = names_or_numbers("classes", class_names, explanations.probabilities.shape[1])
    names.append("?")  # -1 is the class of a row that can't be read
    before = names[explanations.original_class[row]]
    if explanations.status[row] == Status.ALREADY_IN_TARGET:
        return f"{before}, there already"
    if not explanations.found[row]:
        return f"{before}, not found"
    after = names[explanations.counterfactual_class[row]]
    # Two long names side by side would run into the next column's.
    narrow = len(before) + len(after) <= longest
    return f"{before} → {after}" if narrow else f"{before}\n→ {after}"


def _really(
    explanations: Explanations,
    true_classes: ArrayLike | Sequence[Any] | None,
    class_names: Sequence[str] | None,
) -> list[str]:
    """What each row is known to be, to stand behind its title; empty where nobody knows."""
    names = names_or_numbers("classes", class_names, explanations.probabilities.shape[1])
    truth = read_true_classes(true_classes, explanations, names)
    if truth is None:
        return [""] * len(explanations)
    return ["" if label < 0 else f" (really {names[label]})" for label in truth.tolist()]


def _longest_line(titles: Sequence[str]) -> int:
    return max(len(line) for one in titles for line in one.split("\n"))


def _images(
    originals: np.ndarray, counterfactuals: np.ndarray, ax: "Axes | None", titles: list[str]
) -> "Axes":
    count, height, width = originals.shape[:3]
    height /= width
    lines = max(one.count("\n") for one in titles) + 1
    ax = axes_or_new(ax, 1.12 * count + 0.4, 3 * 1.12 * height + 0.18 * lines)
    limits = value_range(originals, counterfactuals)
    with np.errstate(invalid="ignore"):  # of rows that aren't finite nothing has changed
        difference = np.nan_to_num(counterfactuals - originals, posinf=0, neginf=0)
    reach = float(np.abs(difference).max()) or 1.0
    drawn = [
        (originals, limits, "gray"),
        (counterfactuals, limits, "gray"),
        ([signed_change(change) for change in difference], (-reach, reach), DIFFERENCE),
    ]
    for line, (images, ends, colours) in enumerate(drawn):
        for column, image in enumerate(images):
            corner = place_image(ax, image, line, column, ends, colours=colours, framed=True)
    frame_mosaic(ax, *corner)
    # So that long names don't run into each other.
    ax.set_xticks(column_places(count), titles, fontsize=min(9, 140 / _longest_line(titles)))
    ax.xaxis.tick_top()
    labels = ["original", "counterfactual", f"difference\n(to ±{reach:.2g})"]
    ax.set_yticks(line_places(3, height), labels, rotation=90, va="center", ha="center")
    ax.tick_params(length=0, pad=2)
    ax.tick_params(axis="y", pad=9)
    return ax


def _changes(
    explanations: Explanations, ax: "Axes | None", titles: list[str], names: list[str]
) -> "Axes":
    change = explanations.perturbation
    largest = np.abs(change).max(axis=0)
    changed = np.argsort(-largest, kind="stable")[: max(np.count_nonzero(largest), 1)]
    shown, left_out = changed[:_MOST_FEATURES], changed[_MOST_FEATURES:]
    count, reach = len(change), float(largest.max()) or 1.0
    digits = max(0, 1 - int(np.floor(np.log10(reach))))
    longest = max(len(names[feature]) for feature in shown)
    width = 0.085 * max(_longest_line(titles), 7)
    ax = axes_or_new(ax, width * count + 0.08 * longest + 0.3, 0.27 * len(shown) + 0.8)
    ax.imshow(change[:, shown].T, cmap=DIFFERENCE, vmin=-reach, vmax=reach, aspect="auto")
    for column in range(count):
        for line, feature in enumerate(shown):
            value = change[column, feature]
            if value:
                dark = abs(value) > 0.6 * reach
                text = f"{value:+.{digits}f}"
                ax.text(
                    column,
                    line,
                    text if float(text) else "≈ 0",
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="white" if dark else "black",
                )
    ax.set_xticks(range(count), titles, fontsize=9)
    ax.xaxis.tick_top()
    ax.set_yticks(range(len(shown)), [names[feature] for feature in shown], fontsize=8)
    ax.set_xticks(np.arange(1, count) - 0.5, minor=True)
    ax.set_yticks(np.arange(1, len(shown)) - 0.5, minor=True)
    ax.grid(which="minor", color="white", linewidth=1.5)
    ax.tick_params(which="both", length=0)
    ax.spines[:].set_visible(False)
    if len(left_out):
        plural = "feature" if len(left_out) == 1 else "features"
        ax.set_xlabel(
            f"{len(left_out)} more {plural} changed, by at most {largest[left_out].max():.2g}",
            fontsize=8,
        )
    return ax
