"""One row's search: the points it went through, and its loss terms on the way."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxcf.plots.grids import title
from jaxcf.plots.images import path_strip, reading
from jaxcf.plots.style import QUIET, axes_or_new, count_updates, log_down_to_zero, look, tidy
from jaxcf.plots.subjects import subject_of
from jaxcf.results.comparison import Results
from jaxcf.results.explanations import Explanations
from jaxcf.utils.images import Channels, is_image, value_range, with_channels_last
from jaxcf.utils.numbers import check_whole
from jaxcf.utils.selection import evenly_spread, one_row
from jaxcf.utils.validation import names_or_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# More lines on one axes can't be told apart.
_MOST_FEATURES = 7


def search_path(
    explanations: Results,
    row: int,
    ax: "Axes | None" = None,
    *,
    num_points: int = 8,
    class_names: Sequence[str] | None = None,
    feature_names: Sequence[str] | None = None,
    channels: Channels | None = None,
    predict: Callable[[np.ndarray], Any] | None = None,
) -> "Axes":
    """The way of one search, from the original to the counterfactual.

    Images stand side by side, beneath each what the model reads and how surely; of rows
    `[features]` the most changed features are curves over the updates, with the counterfactual as a
    star at their ends. A pass after the search (a line search, a sparsity pass, exact values of a
    table) may have moved it off the curve.

    Args:
        explanations: with their path.
        row: which one; negative numbers count from the end.
        ax: to draw on; None for a new figure.
        num_points: images at most, >= 2, evenly spread over the updates.
        class_names: one per class; a table's own or their numbers where not given.
        feature_names: one per feature, for rows that are no images; likewise.
        channels: "first" for images `[channels, h, w]`, "last" for `[h, w, channels]`; None tells
            by their shape, see `jaxcf.utils.images.is_image`.
        predict: the model, from `[k, *shape]` to probabilities `[k, classes]`, to be asked about
            the images between the ends; None leaves them without. Rows `[features]` have no use
            for it.

    Returns:
        The axes.

    Raises:
        ValueError: if no path was recorded, the row was never searched, or names are too many or
            too few.
        IndexError: if there is no such row.

    Examples:
        >>> import numpy as np
        >>> from jaxcf import Explanations
        >>> rows = np.zeros((1, 2), np.float32)
        >>> explanations = Explanations(rows, rows + 1, *[np.zeros(1, np.int8)] * 3,
        ...     np.ones((1, 2)), np.ones(1, int), np.ones((1, 2)), *[np.ones(1, int)] * 4,
        ...     path=np.array([[[0.0, 0.0], [0.5, 0.4], [1.0, 1.0]]]))
        >>> axes = search_path(explanations, 0, feature_names=["age", "pay"])
        >>> axes.get_legend_handles_labels()[1]
        ['age', 'pay', 'counterfactual']
    """
    core, class_names, feature_names, table = subject_of(explanations, class_names, feature_names)
    if core.path is None:
        raise ValueError(
            "there is no path to draw; explain with Explainer(search=SearchOptions("
            "record_path=True))"
        )
    check_whole("num_points", num_points, least=2)
    row = one_row(len(core), row)
    path = _reached(core, row, core.path[row])
    heading = _heading(core, row, class_names)
    if is_image(path.shape[1:], channels):
        shown = _strip(core, row, path, num_points, predict, class_names)
        images = with_channels_last(shown.points, channels)
        ax = axes_or_new(ax, 1.15 * len(images), 1.1 * images.shape[1] / images.shape[2] + 0.9)
        path_strip(images, shown.labels, ax, value_range=value_range(images), channels="last")
        ax.set_title(heading, fontsize=10)
        return ax
    names = names_or_numbers("features", feature_names, path[0].size, "feature ")
    change = (path - core.original[row]).reshape(len(path), -1)
    axes = _curves(change, core.perturbation[row].ravel(), ax, names, heading)
    if table is not None:
        axes.set_ylabel("change, as a share of the column's span")
    return axes


def search_losses(
    explanations: Results,
    row: int,
    ax: "Axes | None" = None,
    *,
    log: bool = True,
    class_names: Sequence[str] | None = None,
) -> "Axes":
    """Every weighted loss term of one search over its updates, and their sum.

    Args:
        explanations: with their history.
        row: which one; negative numbers count from the end.
        ax: to draw on; None for a new figure.
        log: whether the values have a logarithmic axis, since the terms often differ a
            thousandfold; from its lowest power of ten down to 0, which a term may reach, it is
            linear, and a line says where.
        class_names: one per class; a table's own or their numbers where not given.

    Returns:
        The axes.

    Raises:
        ValueError: if no history was recorded, or the row was never searched.
        IndexError: if there is no such row.

    Examples:
        >>> import numpy as np
        >>> from jaxcf import Explanations
        >>> rows = np.zeros((1, 2), np.float32)
        >>> explanations = Explanations(rows, rows + 1, *[np.zeros(1, np.int8)] * 3,
        ...     np.ones((1, 2)), np.ones(1, int), np.ones((1, 2)), *[np.ones(1, int)] * 4,
        ...     history={"l1": np.array([[0.0, 1.0]]), "l2": np.array([[0.0, 2.0]])})
        >>> search_losses(explanations, 0).get_legend_handles_labels()[1]
        ['sum', 'l1', 'l2']
    """
    core, class_names, *_ = subject_of(explanations, class_names)
    if not core.history:
        raise ValueError(
            "there is no history to draw; explain with Explainer(search=SearchOptions("
            "record_history=True))"
        )
    row = one_row(len(core), row)
    names = list(core.history)
    recorded = np.stack([core.history[name][row] for name in names], axis=1)
    terms = _reached(core, row, recorded)
    heading = _heading(core, row, class_names)
    ax = axes_or_new(ax, 5.5, 3.2)
    updates = np.arange(len(terms))
    ax.plot(updates, terms.sum(axis=1), color=QUIET, linewidth=3.5, alpha=0.7, label="sum")
    for place, name in enumerate(names):
        _draw_curve(ax, terms[:, place], place, name)
    count_updates(ax)
    ax.set_ylabel("weighted loss", fontsize=9)
    if log:
        log_down_to_zero(ax, terms)
    ax.set_title(heading, fontsize=10)
    ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    tidy(ax)
    return ax


def _reached(explanations: Explanations, row: int, recorded: np.ndarray) -> np.ndarray:
    """What was recorded of a row before its search ended."""
    reached = np.isfinite(recorded.reshape(len(recorded), -1)).all(axis=1)
    if not reached.any():
        raise ValueError(f"row {row} was never searched: {explanations.messages[row]}")
    return recorded[reached]


def _heading(explanations: Explanations, row: int, class_names: Sequence[str] | None) -> str:
    became = title(explanations, row, class_names, longest=80)
    found = "found " if explanations.found[row] else ""
    steps = int(explanations.steps[row])
    return f"{became}, {found}after {steps} update{'' if steps == 1 else 's'}"


def _draw_curve(ax: "Axes", values: np.ndarray, place: int, name: str) -> None:
    """One value per update, in the look of its place among the curves."""
    chosen = look(place)
    ax.plot(
        np.arange(len(values)),
        values,
        color=chosen.colour,
        linestyle=chosen.line,
        marker=chosen.marker,
        markersize=4,
        markevery=_some(len(values), place),
        linewidth=1.5,
        label=name,
    )


def _some(count: int, place: int) -> tuple[int, int]:
    """Which points of a curve have a marker: about eight, others than the next curve's."""
    every = max(1, count // 8)
    return (place * every // 3) % every, every


class _Strip(NamedTuple):
    """Some points of a path, and what is said of each."""

    points: np.ndarray
    labels: list[str]


def _strip(
    core: Explanations,
    row: int,
    path: np.ndarray,
    num_points: int,
    predict: Callable[[np.ndarray], Any] | None,
    class_names: Sequence[str] | None,
) -> _Strip:
    last, counterfactual = len(path) - 1, core.counterfactual[row]
    # Best so far, or mended after the search: not where the path ends.
    apart = not np.array_equal(path[last], counterfactual)
    updates = evenly_spread(len(path), num_points - apart)
    points = path[updates]
    labels = [str(update) for update in updates.tolist()]
    labels[0] = "original"
    if apart:
        points = np.concatenate([points, counterfactual[None]])
        labels.append("")
    probabilities = np.full((len(points), core.probabilities.shape[1]), np.nan)
    if predict is not None:
        probabilities[:] = np.asarray(predict(points))
    # What the ends are is known.
    probabilities[0], probabilities[-1] = core.original_probabilities[row], core.probabilities[row]
    names = names_or_numbers("classes", class_names, probabilities.shape[1])
    labels = [
        f"{label}\n{reading(one, names)}".strip() if np.isfinite(one).all() else label
        for label, one in zip(labels, probabilities, strict=True)
    ]
    labels[-1] += "\ncounterfactual" if core.found[row] else "\nbest effort"
    return _Strip(points, labels)


def _curves(
    change: np.ndarray, ends: np.ndarray, ax: "Axes | None", names: list[str], heading: str
) -> "Axes":
    ax = axes_or_new(ax, 5.5, 3.2)
    moved = np.maximum(np.abs(ends), np.abs(change[-1]))
    order = np.argsort(-moved, kind="stable")
    order = order[: max(np.count_nonzero(moved), 1)]
    updates = np.arange(len(change))
    for place, feature in enumerate(order[:_MOST_FEATURES]):
        _draw_curve(ax, change[:, feature], place, names[feature])
    others = order[_MOST_FEATURES:]
    if len(others):
        lines = ax.plot(updates, change[:, others], color=QUIET, linewidth=0.7, zorder=1)
        lines[0].set_label(f"{len(others)} more")
    shown = order[:_MOST_FEATURES]
    ax.scatter(
        np.full(len(shown), updates[-1]),
        ends[shown],
        s=90,
        marker="*",
        color="white",
        edgecolors="black",
        zorder=3,
        label="counterfactual",
    )
    ax.axhline(0, color=QUIET, linewidth=0.8)
    count_updates(ax)
    ax.set_ylabel("change", fontsize=9)
    ax.set_title(heading, fontsize=10)
    ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    tidy(ax)
    return ax
