"""Pictures of tables: which columns changed how often and how, and where categories lie."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jaxcf.naming import names_or_numbers
from jaxcf.plots.style import QUIET, axes_or_new, look, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from jaxcf.explanations import Explanations


class Directions(NamedTuple):
    """How one column changed: shares of all counterfactuals.

    Attributes:
        rose: in which it became more.
        fell: in which it became less.
        replaced: in which it became another one, where there is no more and less.
    """

    rose: float = 0.0
    fell: float = 0.0
    replaced: float = 0.0


def changed_columns(
    shares: Mapping[str, Mapping[str, float]], ax: "Axes | None" = None, *, title: str = ""
) -> "Axes":
    """How often each column of a table changed, as bars, one colour and hatch per setting.

    Args:
        shares: name of a setting to name of a column to the share of counterfactuals that changed
            it, 0 to 1; all settings have the same columns.
        ax: to draw on; None for a new figure.
        title: of the axes.

    Returns:
        The axes, columns from most to least changed over all settings.

    Raises:
        ValueError: if there is nothing to draw, or settings differ in their columns.

    Examples:
        >>> axes = changed_columns({"C": {"age": 0.1, "hours": 0.7}})
        >>> [label.get_text() for label in axes.get_yticklabels()]
        ['hours', 'age']
    """
    if not shares or not all(shares.values()):
        raise ValueError("there is nothing to draw: pass one setting with one column at least")
    columns = list(next(iter(shares.values())))
    for name, given in shares.items():
        if set(given) != set(columns):
            raise ValueError(
                f"the setting {name!r} has the columns {', '.join(given)}; the first one has "
                f"{', '.join(columns)}"
            )
    columns.sort(key=lambda name: -sum(given[name] for given in shares.values()))
    height = 0.8 / len(shares)
    ax = axes_or_new(ax, 7, 1.2 + len(columns) * max(0.28, 0.11 * len(shares)))
    for number, (name, given) in enumerate(shares.items()):
        offset = (number - (len(shares) - 1) / 2) * height
        places = np.arange(len(columns)) + offset
        _bars(ax, places, [given[column] for column in columns], height, number, name)
    _finish_bars(ax, columns, title)
    if len(shares) > 1:
        ax.legend(fontsize=8)
    return ax


def column_directions(
    columns: Mapping[str, Directions],
    ax: "Axes | None" = None,
    *,
    num_columns: int = 20,
    title: str = "",
) -> "Axes":
    """How often each column changed and which way, as bars of up to three parts.

    Args:
        columns: name of each to how it changed.
        ax: to draw on; None for a new figure.
        num_columns: how many at most, >= 1, those that changed most often.
        title: of the axes.

    Returns:
        The axes, columns from most to least changed, with the share in all beside each bar.

    Raises:
        ValueError: if there is nothing to draw.

    Examples:
        >>> axes = column_directions({"age": Directions(rose=0.5, fell=0.1), "pay": Directions()})
        >>> [text.get_text() for text in axes.texts]
        ['60 %', '0 %']
    """
    if not columns or num_columns < 1:
        raise ValueError("there is nothing to draw: pass one column at least, and num_columns >= 1")
    names = sorted(columns, key=lambda name: -sum(columns[name]))
    shown, left_out = names[:num_columns], names[num_columns:]
    ax = axes_or_new(ax, 6, 1.2 + 0.28 * len(shown))
    ends = np.zeros(len(shown))
    for number, way in enumerate(Directions._fields):
        widths = np.array([getattr(columns[name], way) for name in shown])
        if widths.any():
            _bars(ax, np.arange(len(shown)), widths, 0.75, number, way, left=ends)
            ends = ends + widths
    for place, end in enumerate(ends):
        ax.annotate(
            f"{100 * end:.0f} %", (end, place), (4, 0), textcoords="offset points", va="center",
            fontsize=8,
        )  # fmt: skip
    _finish_bars(ax, shown, title)
    # Room for the number beside the longest bar.
    ax.set_xlim(0, 1.12 * ends.max() or 1)
    if left_out:
        most = 100 * sum(columns[left_out[0]])
        ax.set_xlabel(f"{ax.get_xlabel()}\n({len(left_out)} more: in {most:.0f} % at most)")
    if ends.any():
        ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return ax


def feature_directions(
    explanations: "Explanations",
    ax: "Axes | None" = None,
    *,
    num_features: int = 20,
    feature_names: Sequence[str] | None = None,
) -> "Axes":
    """How often each feature rose and fell among the found counterfactuals.

    Args:
        explanations: of rows `[features]`.
        ax: to draw on; None for a new figure.
        num_features: how many at most, >= 1, those that changed most often.
        feature_names: one per feature; their numbers where not given.

    Returns:
        The axes.

    Raises:
        ValueError: if the rows aren't `[features]`, or names are too many or too few.

    Examples:
        >>> import numpy as np
        >>> from jaxcf import Explanations
        >>> rows = np.zeros((1, 2), np.float32)
        >>> explanations = Explanations(rows, rows + [0, 1], *[np.zeros(1, np.int8)] * 3,
        ...     np.ones((1, 2)), np.ones(1, int), np.ones((1, 2)), *[np.ones(1, int)] * 4)
        >>> axes = feature_directions(explanations, feature_names=["age", "pay"])
        >>> [label.get_text() for label in axes.get_yticklabels()]
        ['pay', 'age']
    """
    shape = explanations.original.shape[1:]
    if len(shape) != 1:
        raise ValueError(
            f"instances of shape {shape} are no rows [features], whose changes can be counted by "
            "name; plot() shows what changed in images"
        )
    names = names_or_numbers("features", feature_names, *shape, "feature ")
    change = explanations.perturbation[explanations.found]
    number = max(len(change), 1)
    rose, fell = (change > 0).sum(axis=0) / number, (change < 0).sum(axis=0) / number
    return column_directions(
        {
            name: Directions(float(up), float(down))
            for name, up, down in zip(names, rose, fell, strict=True)
        },
        ax,
        num_columns=num_features,
        title=f"{len(change)} counterfactuals",
    )


def _bars(
    ax: "Axes",
    places: np.ndarray,
    widths: Sequence[float] | np.ndarray,
    height: float,
    number: int,
    label: str,
    left: np.ndarray | float = 0.0,
) -> None:
    shown = look(number)
    ax.barh(
        places,
        widths,
        height,
        left,
        label=label,
        color=shown.colour,
        hatch=shown.hatch,
        edgecolor="white",
        linewidth=0.4,
    )


def _finish_bars(ax: "Axes", columns: Sequence[str], title: str) -> None:
    ax.set_yticks(range(len(columns)), columns)
    ax.set_ylim(len(columns) - 0.4, -0.6)
    ax.set_xlim(left=0)
    ax.set_xlabel("share of counterfactuals in which the column changed", fontsize=9)
    ax.set_title(title, fontsize=10)
    tidy(ax)


def category_lines(
    orders: Mapping[str, Sequence[tuple[object, float]]], *, title: str = ""
) -> "Figure":
    """Where the categories of a column lie between 0 and 1, one panel per way of learning it.

    Args:
        orders: name of the way to its pairs of category and number, ascending, as
            `CategoryValues.order` gives them.
        title: of the figure.

    Returns:
        The figure: categories from top to bottom in their order, a point at each one's number.

    Raises:
        ValueError: if there is nothing to draw.

    Examples:
        >>> figure = category_lines({"abdm": [("10th", 0.0), ("Masters", 1.0)]})
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['10th', 'Masters']
    """
    if not orders or not all(orders.values()):
        raise ValueError("there is nothing to draw: pass one order with one category at least")
    most = max(len(order) for order in orders.values())
    figure = new_figure(3.4 * len(orders), 1.0 + 0.22 * most)
    axes = figure.subplots(1, len(orders), squeeze=False).flat
    for number, (axis, (name, order)) in enumerate(zip(axes, orders.items(), strict=True)):
        shown = look(number)
        places = range(len(order))
        axis.hlines(places, 0, [value for _, value in order], color=QUIET, linewidth=0.8)
        axis.plot([value for _, value in order], places, shown.marker, color=shown.colour)
        axis.set_yticks(places, [str(category) for category, _ in order])
        axis.invert_yaxis()
        axis.set_xlim(-0.03, 1.03)
        axis.set_title(name)
        axis.set_xlabel("learnt number")
        tidy(axis)
    figure.suptitle(title)
    return figure
