"""A grid of explanations: originals, counterfactuals and their differences, side by side."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxcf.details import representative_rows
from jaxcf.plots.style import DIFFERENCE, is_image, new_figure, show_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jaxcf.explanations import Explanations


def grid(
    explanations: "Explanations",
    *,
    num_columns: int = 10,
    class_names: Sequence[str] | None = None,
    feature_names: Sequence[str] | None = None,
) -> "Figure":
    """Originals, counterfactuals and their differences, side by side.

    Images `[n, h, w]` or `[n, h, w, 1 or 3]` are shown as images, one column per instance; tables
    `[n, features]` as bars of the most changed features, one panel per instance. Found rows of
    all original classes are shown first.

    Args:
        explanations: at least one row.
        num_columns: how many instances at most.
        class_names: one per class; their numbers where not given.
        feature_names: one per feature, for tables.

    Returns:
        The figure, not yet shown or saved.

    Raises:
        ValueError: if there is no row, or the shape of one is neither an image nor a table row.

    Examples:
        >>> import numpy as np
        >>> from jaxcf import Explanations
        >>> rows = np.zeros((2, 4, 4, 1), np.float32)
        >>> explanations = Explanations(rows, rows + 0.5, *[np.zeros(2, np.int8)] * 3,
        ...     np.ones((2, 2)), np.ones(2, int), np.ones((2, 2)), *[np.ones(2, int)] * 4)
        >>> len(grid(explanations).axes)
        6
    """
    if not len(explanations):
        raise ValueError("there is no row to draw")
    rows = representative_rows(explanations.found, explanations.original_class, num_columns)
    chosen = explanations[rows]
    titles = [_title(chosen, row, class_names) for row in range(len(chosen))]
    shape = chosen.original.shape[1:]
    if len(shape) == 1:
        return _bars(chosen, titles, feature_names)
    if is_image(shape):
        return _images(chosen, titles)
    raise ValueError(
        f"instances of shape {shape} are neither images [h, w], [h, w, 1], [h, w, 3] nor table "
        "rows [features]"
    )


_LONGEST_TITLE = 14


def _title(explanations: "Explanations", row: int, class_names: Sequence[str] | None) -> str:
    def name(label: int) -> str:
        return str(label) if class_names is None or label < 0 else str(class_names[label])

    before = name(int(explanations.original_class[row]))
    if not explanations.found[row]:
        return f"{before}, not found"
    after = name(int(explanations.counterfactual_class[row]))
    # Two long names side by side would run into the next column's.
    narrow = len(before) + len(after) <= _LONGEST_TITLE
    return f"{before} → {after}" if narrow else f"{before}\n→ {after}"


def _images(explanations: "Explanations", titles: list[str]) -> "Figure":
    count = len(explanations)
    figure = new_figure(1.05 * count + 0.9, 3.5)
    axes = figure.subplots(3, count, squeeze=False)
    difference = explanations.perturbation
    reach = float(np.abs(difference).max()) or 1.0
    low = float(np.nanmin(explanations.original))
    high = max(float(np.nanmax(explanations.original)), low + 1e-6)
    for column in range(count):
        show_image(axes[0, column], explanations.original[column], low, high)
        show_image(axes[1, column], explanations.counterfactual[column], low, high)
        change = difference[column]
        change = change.mean(axis=-1) if change.ndim == 3 else change
        show_image(axes[2, column], change, -reach, reach, DIFFERENCE)
        axes[0, column].set_title(titles[column], fontsize=9)
    for axis, label in zip(axes[:, 0], ("original", "counterfactual", "difference"), strict=True):
        axis.set_ylabel(label, fontsize=8)
    return figure


def _bars(
    explanations: "Explanations", titles: list[str], feature_names: Sequence[str] | None
) -> "Figure":
    count, num_features = explanations.original.shape
    shown = min(8, num_features)
    columns = min(count, 3)
    lines = -(-count // columns)
    figure = new_figure(4.2 * columns, (0.28 * shown + 0.7) * lines)
    axes = figure.subplots(lines, columns, squeeze=False)
    names = [str(name) for name in feature_names or range(num_features)]
    for row, axis in enumerate(axes.flat):
        if row >= count:
            axis.set_axis_off()
            continue
        change = explanations.perturbation[row]
        largest = np.argsort(-np.abs(change), kind="stable")[:shown][::-1]
        colours = ["tab:red" if change[feature] < 0 else "tab:blue" for feature in largest]
        axis.barh([names[feature] for feature in largest], change[largest], color=colours)
        axis.axvline(0, color="black", linewidth=0.6)
        axis.set_title(titles[row], fontsize=9)
        axis.tick_params(labelsize=7)
    return figure
