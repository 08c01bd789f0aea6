"""Pictures that only the experiments draw."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Num

from jaxcf.plots.style import (
    DIFFERENCE,
    QUIET,
    axes_or_new,
    count_updates,
    log_down_to_zero,
    look,
    new_figure,
    show_image,
    signed_change,
    tidy,
)
from jaxcf.utils.images import is_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase

KINDS = ("box", "violin", "ecdf")

_PANEL_WIDTH, _PANEL_HEIGHT = 3.4, 2.7

# The marks of controls, none of which a box has.
_CONTROLS = ("o", "x", "*", "^")

# Fewer rows have no middle half worth drawing: this many, and this share of all.
_FEWEST_ROWS, _FEWEST_SHARE = 4, 0.05


def distributions(
    panels: Mapping[str, Mapping[str, Num[np.ndarray, " _"]]],
    *,
    kind: str = "box",
    log: Sequence[str] = (),
    columns: int = 3,
    controls: Mapping[str, Mapping[str, Mapping[str, float]]] | None = None,
) -> "Figure":
    """How one value per row is distributed in several groups, one panel per value.

    Boxes hold the middle half of the rows, whiskers 5 to 95 of 100; the line is the median, the
    diamond the mean. Values that aren't finite (rows without one) are left out.

    Args:
        panels: title of each panel, such as "L1", to its groups, such as "A" to "F", to one value
            `[n]` per row; groups may differ in length, and keep their look in all panels.
        kind: "box"; "violin", the estimated density and the median; or "ecdf", the share of rows
            up to each value.
        log: the panels whose values have a logarithmic axis.
        columns: panels side by side at most, >= 1.
        controls: title of a panel to what its boxes are to be held against, such as "real images",
            to one number per group, drawn as a small grey mark.

    Returns:
        The figure, not yet shown or saved.

    Raises:
        ValueError: if there is nothing to draw, the kind is unknown, or `log` names no panel.

    Examples:
        >>> import numpy as np
        >>> figure = distributions({"L1": {"A": np.arange(9.0), "B": np.arange(5.0)}})
        >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
        ['A', 'B']
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind of distribution {kind!r}; there are {', '.join(KINDS)}")
    if not panels or not all(panels.values()):
        raise ValueError("there is nothing to draw: pass panels with at least one group each")
    unknown = sorted(set(log) - set(panels))
    if unknown:
        raise ValueError(f"log names {', '.join(unknown)}; the panels are {', '.join(panels)}")
    # One look per group, whichever panels it is in.
    order = list(dict.fromkeys(name for groups in panels.values() for name in groups))
    wide = max(1, min(columns, len(panels)))
    lines = -(-len(panels) // wide)
    # Boxes of many groups need room side by side; curves lie over each other.
    width = _PANEL_WIDTH if kind == "ecdf" else max(_PANEL_WIDTH, 0.5 * len(order))
    figure = new_figure(width * wide, _PANEL_HEIGHT * lines)
    axes = list(figure.subplots(lines, wide, squeeze=False).flat)
    draw = {"box": _boxes, "violin": _violins, "ecdf": _shares_below}[kind]
    for axis, (title, groups) in zip(axes, panels.items(), strict=False):
        tidy(axis)
        draw(axis, {name: _finite(values) for name, values in groups.items()}, order)
        axis.set_title(title, fontsize=9)
        if title in log:
            (axis.set_xscale if kind == "ecdf" else axis.set_yscale)("log")
        if kind == "box":
            _controls(axis, list(groups), (controls or {}).get(title, {}))
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    # Of the panels with the most to explain, the first.
    handles, labels = max(
        (axis.get_legend_handles_labels() for axis in axes), key=lambda one: len(one[1])
    )
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=6, fontsize=8)
    return figure


def _controls(
    axis: "Axes", groups: Sequence[str], controls: Mapping[str, Mapping[str, float]]
) -> None:
    for number, (name, values) in enumerate(controls.items()):
        axis.plot(
            range(len(groups)),
            [values.get(group, np.nan) for group in groups],
            _CONTROLS[number],
            color=QUIET,
            markerfacecolor="none",
            markersize=5,
            label=name,
            zorder=3,
        )


def _finite(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float64)
    return values[np.isfinite(values)]


def _boxes(axis: "Axes", groups: Mapping[str, np.ndarray], order: Sequence[str]) -> None:
    drawn = axis.boxplot(
        list(groups.values()),
        positions=range(len(groups)),
        widths=0.65,
        whis=(5, 95),
        showfliers=False,
        showmeans=True,
        patch_artist=True,
        medianprops={"color": "black", "linewidth": 1.2},
        meanprops={"marker": "D", "markerfacecolor": "white", "markeredgecolor": "black"}
        | {"markersize": 4, "markeredgewidth": 0.8},
        boxprops={"linewidth": 0.8},
        whiskerprops={"linewidth": 0.8},
        capprops={"linewidth": 0.8},
    )
    # Each has its name beneath it: no hatch is needed to tell them apart in grey.
    for patch, name in zip(drawn["boxes"], groups, strict=True):
        patch.set(facecolor=look(order.index(name)).colour, alpha=0.4)
    # A group without a value keeps its place: empty, not missing.
    axis.set_xticks(range(len(groups)), list(groups))


def _violins(axis: "Axes", groups: Mapping[str, np.ndarray], order: Sequence[str]) -> None:
    for place, (name, values) in enumerate(groups.items()):
        # One value, however often, has no density.
        if len(np.unique(values)) > 1:
            drawn = axis.violinplot([values], [place], widths=0.8, showmedians=True)
            chosen = look(order.index(name))
            for body in drawn["bodies"]:  # type: ignore[union-attr]
                body.set(facecolor=chosen.colour, hatch=chosen.hatch, alpha=0.6)
            for part in ("cmedians", "cmins", "cmaxes", "cbars"):
                drawn[part].set(color="black", linewidth=1)  # type: ignore[union-attr]
        elif len(values):
            axis.plot([place], values[:1], "_", color="black", markersize=14)
    axis.set_xticks(range(len(groups)), list(groups))


def _shares_below(axis: "Axes", groups: Mapping[str, np.ndarray], order: Sequence[str]) -> None:
    for name, values in groups.items():
        chosen = look(order.index(name))
        ascending = np.sort(values)
        share = np.arange(1, len(ascending) + 1) / max(len(ascending), 1)
        # A few markers tell the curves apart in grey.
        every = max(1, len(ascending) // 5)
        axis.step(
            ascending,
            share,
            where="post",
            color=chosen.colour,
            linestyle=chosen.line,
            marker=chosen.marker,
            markevery=every,
            markersize=4,
            linewidth=1.4,
            label=name,
        )
    axis.set_ylim(0, 1.02)
    axis.set_ylabel("share of rows up to it", fontsize=8)


def curves_with_intervals(
    x: Sequence[float],
    series: Mapping[str, Sequence[Sequence[float]]],
    ax: "Axes | None" = None,
    *,
    x_label: str = "",
    y_label: str = "",
    log_x: bool = False,
    first_look: int = 0,
) -> "Axes":
    """One curve per series over a grid of values, with an interval at each.

    Args:
        x: `[k]`, the grid.
        series: name to `k` triples (mean, lower, upper), or `metrics.Interval`s; a mean that isn't
            finite leaves a gap.
        ax: to draw on; None for a new figure.
        x_label: of the grid.
        y_label: of the values.
        log_x: whether the grid is spread logarithmically.
        first_look: the place of the first series among the looks, to keep those of another panel.

    Returns:
        The axes.

    Raises:
        ValueError: if there is no series, or one has not as many values as the grid.

    Examples:
        >>> axes = curves_with_intervals([1, 2], {"D": [(0.5, 0.4, 0.6), (0.7, 0.6, 0.8)]})
        >>> axes.get_legend_handles_labels()[1]
        ['D']
    """
    if not series:
        raise ValueError("there is no series to draw")
    for name, values in series.items():
        if len(values) != len(x):
            raise ValueError(
                f"the series {name!r} has {len(values)} values, but the grid {len(x)}; "
                "pass one (mean, lower, upper) for each"
            )
    ax = axes_or_new(ax, 4.5, 3.2)
    for index, (name, values) in enumerate(series.items()):
        chosen = look(first_look + index)
        # An interval may hold more, such as the number of rows.
        mean, lower, upper = np.asarray([list(one)[:3] for one in values], np.float64).T
        present = np.isfinite(mean)
        reach = [np.maximum(mean - lower, 0), np.maximum(upper - mean, 0)]
        ax.errorbar(
            np.asarray(x, np.float64),
            np.where(present, mean, np.nan),
            yerr=np.where(present & np.isfinite(reach), reach, 0),
            color=chosen.colour,
            linestyle=chosen.line,
            marker=chosen.marker,
            markersize=5,
            linewidth=1.4,
            elinewidth=1,
            capsize=2.5,
            label=name,
        )
    tidy(ax)
    ax.set_xlabel(x_label, fontsize=9)
    ax.set_ylabel(y_label, fontsize=9)
    if log_x:
        ax.set_xscale("log")
    ax.legend(fontsize=8)
    return ax


def loss_curves(
    histories: Mapping[str, Mapping[str, Float[np.ndarray, "_ _"]]],
    *,
    example: int | None = None,
    log: Sequence[str] = (),
) -> "Figure":
    """Every loss term over the updates: one line of panels per search, one column per term.

    The curve is the median over the rows still searched, the band their middle half. The last
    column says how many still are; all end where fewer than a twentieth, or four, are left.

    Args:
        histories: name of each search, such as "D", to `Explanations.history`: each term at every
            evaluation, `[n, evaluations]`, NaN where not reached.
        example: the number of one row to be drawn beside the median.
        log: the terms with a logarithmic axis, which ends in a linear stretch where one reaches 0.

    Returns:
        The figure, not yet shown or saved.

    Raises:
        ValueError: if there is no history (record_history was off), or no row of that number.

    Examples:
        >>> import numpy as np
        >>> figure = loss_curves({"E": {"l1": np.ones((5, 3)), "l2": np.zeros((5, 3))}})
        >>> [axis.get_title() for axis in figure.axes]
        ['l1', 'l2', 'still searched']
    """
    if not histories or not all(histories.values()):
        raise ValueError(
            "there is no history to draw; explain with SearchOptions(record_history=True)"
        )
    for name, history in histories.items():
        n = len(next(iter(history.values())))
        if example is not None and not 0 <= example < n:
            raise ValueError(f"example={example}, but the history of {name!r} has {n} rows")
    terms = list(dict.fromkeys(term for history in histories.values() for term in history))
    heads = [*terms, "still searched"]
    figure = new_figure(2.3 * len(heads) + 0.3, 1.9 * len(histories) + 0.5)
    axes = figure.subplots(len(histories), len(heads), squeeze=False)
    for line, (name, history) in zip(axes, histories.items(), strict=True):
        running = np.isfinite(next(iter(history.values()))).sum(axis=0)
        n = len(next(iter(history.values())))
        # The rows of one that is searched to the end, if there are no more.
        fewest = min(max(_FEWEST_ROWS, _FEWEST_SHARE * n), max(running.max(), 1))
        length = int((running >= fewest).sum())
        line[0].set_ylabel(name, fontsize=11, rotation=0, labelpad=14)
        for axis, term in zip(line, terms, strict=False):
            if term in history:
                _draw_term(axis, history[term][:, :length], example)
                if term in log:
                    log_down_to_zero(axis, history[term][:, :length])
            else:
                # Keeps its name and place: the row's label hangs on the first.
                axis.text(0.5, 0.5, "not in it", ha="center", transform=axis.transAxes, color=QUIET)
                axis.set_xticks([])
                axis.set_yticks([])
                axis.spines[:].set_visible(False)
        line[-1].plot(running[:length], color="black", linewidth=1.2)
        line[-1].set_ylim(0, 1.05 * max(n, 1))
        tidy(line[-1])
    for axis, head in zip(axes[0], heads, strict=True):
        axis.set_title(head, fontsize=9)
    for axis in axes[-1]:
        if axis.lines:
            count_updates(axis)
    handles, labels = next(
        axis.get_legend_handles_labels() for axis in axes.flat if axis.collections
    )
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8)
    return figure


def _draw_term(axis: "Axes", values: np.ndarray, example: int | None) -> None:
    low, median, high = np.nanpercentile(values, (25, 50, 75), axis=0)
    updates, chosen = np.arange(len(median)), look(0)
    axis.fill_between(
        updates, low, high, color=chosen.colour, alpha=0.25, linewidth=0, label="middle half"
    )
    axis.plot(updates, median, color=chosen.colour, linewidth=1.6, label="median")
    if example is not None:
        axis.plot(
            values[example], color=look(1).colour, linestyle="--", linewidth=1.3, label="one row"
        )
    tidy(axis)


def path_overlay(
    path: Float[np.ndarray, "k 2"],
    ax: "Axes | None" = None,
    *,
    goal: Float[np.ndarray, "2"] | None = None,
    name: str = "path",
) -> "Axes":
    """The way of one search over a plane: from a circle to a star, and the prototype's cross.

    Args:
        path: `[k, 2]`, the projected points in their order, k >= 1.
        ax: to draw on, usually those of `latent_space`; None for a new figure.
        goal: the projected prototype that the search was drawn to.
        name: of the path, for the legend.

    Returns:
        The axes.

    Raises:
        ValueError: if the path has no point.

    Examples:
        >>> import numpy as np
        >>> axes = path_overlay(np.array([[0.0, 0.0], [1.0, 1.0]]), goal=np.array([2.0, 1.0]))
        >>> axes.get_legend_handles_labels()[1]
        ['path', 'original', 'counterfactual', 'prototype']
    """
    if not len(path):
        raise ValueError("the path has no point; explain with SearchOptions(record_path=True)")
    ax = axes_or_new(ax, 5, 4.6)
    ax.plot(*path.T, color="white", linewidth=3.4, zorder=5)
    # A dot at every update would run together; a dozen still show where it is slow.
    ax.plot(
        *path.T,
        color="black",
        linewidth=1.4,
        marker=".",
        markersize=5,
        markevery=max(1, len(path) // 12),
        zorder=6,
        label=name,
    )
    ends = [("original", path[0], "o", 45), ("counterfactual", path[-1], "*", 130)]
    if goal is not None:
        ends.append(("prototype", goal, "X", 65))
    for label, point, marker, area in ends:
        ax.scatter(
            *point,
            s=area,
            marker=marker,
            color="white",
            edgecolors="black",
            linewidths=1.1,
            zorder=7,
            label=label,
        )
    return ax


def objective_rows(
    figure: "FigureBase",
    original: Float[np.ndarray, "*shape"],
    counterfactuals: Mapping[str, Float[np.ndarray, "*shape"]],
    *,
    reconstructions: Mapping[str, Float[np.ndarray, "*shape"]] | None = None,
    captions: Mapping[str, str] | None = None,
    value_range: tuple[float, float] = (0.0, 1.0),
) -> None:
    """One instance under several objectives, a column for each.

    From above: the original, the counterfactual, their difference and what the autoencoder makes of
    the counterfactual, with a caption beneath. Differences have one scale, that of a column in the
    middle: one with large changes reaches beyond full colour, and doesn't pale the others.

    Args:
        figure: a figure or a part of one (`Figure.subfigures`), still empty.
        original: `[h, w]` or `[h, w, 1 or 3]`.
        counterfactuals: name, such as "A", to an image of the original's shape.
        reconstructions: name to the autoencoder's image; the line is left out without any.
        captions: name to a few words or numbers; none where not given.
        value_range: the values drawn darkest and brightest.

    Raises:
        ValueError: if there is no counterfactual, a shape differs from the original's, or the
            original isn't an image.

    Examples:
        >>> import numpy as np
        >>> figure = new_figure(3, 4)
        >>> objective_rows(figure, np.zeros((8, 8, 1)), {"A": np.ones((8, 8, 1))})
        >>> [axis.get_ylabel().split()[0] for axis in figure.axes]
        ['original', 'counterfactual', 'difference']
    """
    if not counterfactuals:
        raise ValueError("there is no counterfactual to draw")
    if not is_image(original.shape):
        raise ValueError(f"the original, {original.shape}, is no image [h, w], [h, w, 1 or 3]")
    reconstructions = reconstructions or {}
    for name, image in [*counterfactuals.items(), *reconstructions.items()]:
        if image.shape != original.shape:
            raise ValueError(
                f"the image of {name!r} has shape {image.shape}, but the original {original.shape}"
            )
    lines = ["original", "counterfactual", "difference"]
    lines += ["reconstruction"] if reconstructions else []
    axes = figure.subplots(len(lines), len(counterfactuals), squeeze=False)
    changes = {name: image - original for name, image in counterfactuals.items()}
    reach = float(np.median([np.abs(change).max() for change in changes.values()])) or 1.0
    for column, (name, image) in zip(axes.T, counterfactuals.items(), strict=True):
        show_image(column[0], original, *value_range)
        show_image(column[1], image, *value_range)
        show_image(column[2], signed_change(changes[name]), -reach, reach, DIFFERENCE)
        if name in reconstructions:
            show_image(column[3], reconstructions[name], *value_range)
        elif reconstructions:
            column[3].set_axis_off()
        column[0].set_title(name, fontsize=11, weight="bold")
        column[-1].set_xlabel((captions or {}).get(name, ""), fontsize=8)
    lines[2] += f"\n(full colour: ±{reach:.2g})"
    for axis, line in zip(axes[:, 0], lines, strict=True):
        axis.set_ylabel(line, fontsize=8)


def changed_columns(
    shares: Mapping[str, Mapping[str, float]], ax: "Axes | None" = None, *, title: str = ""
) -> "Axes":
    """How often each column of a table changed, a line per column and a cell per setting.

    Args:
        shares: name of a setting to name of a column to the share of counterfactuals that changed
            it, 0 to 1; all settings have the same columns.
        ax: to draw on; None for a new figure.
        title: of the axes.

    Returns:
        The axes, columns from most to least changed over all settings; the darker, the more often.

    Raises:
        ValueError: if there is nothing to draw, or settings differ in their columns.

    Examples:
        >>> axes = changed_columns({"C": {"age": 0.1, "hours": 0.7}})
        >>> [label.get_text() for label in axes.get_yticklabels()]
        ['hours', 'age']
        >>> [text.get_text() for text in axes.texts]
        ['70', '10']
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
    table = np.array([[given[column] for given in shares.values()] for column in columns])
    longest = max(map(len, columns))
    width = max(0.1 * max(map(len, shares)), 0.55)
    ax = axes_or_new(ax, 0.5 + 0.075 * longest + width * len(shares), 1.0 + 0.22 * len(columns))
    ax.imshow(table, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (line, place), share in np.ndenumerate(table):
        ax.text(
            place,
            line,
            f"{100 * share:.0f}",
            ha="center",
            va="center",
            fontsize=8,
            color="white" if share > 0.6 else "black" if share >= 0.005 else QUIET,
        )
    ax.set_xticks(range(len(shares)), list(shares), fontsize=8)
    ax.xaxis.tick_top()
    ax.set_yticks(range(len(columns)), columns, fontsize=8)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xlabel("% of counterfactuals in which the column changed", fontsize=8)
    ax.set_title(title, fontsize=10)
    return ax


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
