"""Pictures of tables: which columns changed how often, and where categories lie."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from jaxcf.plots.style import QUIET, look, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def changed_columns(shares: Mapping[str, Mapping[str, float]], *, title: str = "") -> "Figure":
    """How often each column of a table changed, as bars, one colour and hatch per setting.

    Args:
        shares: name of a setting to name of a column to the share of counterfactuals that changed
            it, 0 to 1; all settings have the same columns.
        title: of the figure.

    Returns:
        The figure, columns from most to least changed over all settings.

    Raises:
        ValueError: if there is nothing to draw, or settings differ in their columns.

    Examples:
        >>> figure = changed_columns({"C": {"age": 0.1, "hours": 0.7}})
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
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
    figure = new_figure(7, 1.2 + len(columns) * max(0.28, 0.11 * len(shares)))
    axis = figure.subplots()
    for number, (name, given) in enumerate(shares.items()):
        shown = look(number)
        offset = (number - (len(shares) - 1) / 2) * height
        axis.barh(
            [place + offset for place in range(len(columns))],
            [given[column] for column in columns],
            height,
            label=name,
            color=shown.colour,
            hatch=shown.hatch,
            edgecolor="white",
            linewidth=0.4,
        )
    axis.set_yticks(range(len(columns)), columns)
    axis.set_ylim(len(columns) - 0.4, -0.6)
    axis.set_xlim(left=0)
    axis.set_xlabel("share of counterfactuals in which the column changed")
    axis.set_title(title)
    if len(shares) > 1:
        axis.legend(fontsize=8)
    tidy(axis)
    return figure


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
