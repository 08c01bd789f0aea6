"""Pictures of tables: which columns changed how often and how, and old and new entries."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jaxcf.plots.style import CHANGED, QUIET, axes_or_new, look, tidy
from jaxcf.plots.subjects import subject_of
from jaxcf.results.comparison import Results
from jaxcf.tabular.columns import Categorical
from jaxcf.tabular.explanations import TableExplanations
from jaxcf.utils.validation import names_or_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

from typing import Any

from jaxcf.utils.numbers import check_whole


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
    if not columns:
        raise ValueError("there is nothing to draw: pass one column at least")
    check_whole("num_columns", num_columns)
    names = sorted(columns, key=lambda name: -sum(columns[name]))
    shown, left_out = names[:num_columns], names[num_columns:]
    ax = axes_or_new(ax, 6, 1.2 + 0.28 * len(shown))
    ends = np.zeros(len(shown))
    for number, way in enumerate(Directions._fields):
        widths = np.array([getattr(columns[name], way) for name in shown])
        if widths.any():
            bars(ax, np.arange(len(shown)), widths, 0.75, number, way, left=ends)
            ends = ends + widths
    for place, end in enumerate(ends):
        ax.annotate(
            f"{100 * end:.0f} %", (end, place), (4, 0), textcoords="offset points", va="center",
            fontsize=8,
        )  # fmt: skip
    finish_bars(ax, shown, title)
    # Room for the number beside the longest bar.
    ax.set_xlim(0, 1.12 * ends.max() or 1)
    if left_out:
        most = 100 * sum(columns[left_out[0]])
        ax.set_xlabel(f"{ax.get_xlabel()}\n({len(left_out)} more: in {most:.0f} % at most)")
    if ends.any():
        ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return ax


def changes(
    explanations: Results,
    ax: "Axes | None" = None,
    *,
    num_features: int = 20,
    feature_names: Sequence[str] | None = None,
) -> "Axes":
    """How often each feature, or column of a table, changed among the found rows, and which way.

    Args:
        explanations: of rows `[features]`, or of a table.
        ax: to draw on; None for a new figure.
        num_features: how many at most, >= 1, those that changed most often.
        feature_names: one per feature; a table's own or their numbers where not given.

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
        >>> axes = changes(explanations, feature_names=["age", "pay"])
        >>> [label.get_text() for label in axes.get_yticklabels()]
        ['pay', 'age']
    """
    core, _, feature_names, table = subject_of(explanations, feature_names=feature_names)
    shape = core.original.shape[1:]
    if len(shape) != 1:
        raise ValueError(
            f"instances of shape {shape} are no rows [features], whose changes can be counted by "
            "name; plot() shows what changed in images"
        )
    names = names_or_numbers("features", feature_names, *shape, "feature ")
    if table is None:
        moved, ordered = core.perturbation[core.found], np.ones(shape, bool)
        changed = moved != 0
    else:
        moved = (table.values - table.original_values)[table.found]
        changed = table.changed[table.found]
        # No category is more than another.
        ordered = ~np.array([isinstance(one, Categorical) for one in table.coding.schema.columns])
    rose, fell = changed & ordered & (moved > 0), changed & ordered & (moved < 0)
    ways = np.stack([rose, fell, changed & ~rose & ~fell]).sum(axis=1) / max(len(moved), 1)
    return column_directions(
        {name: Directions(*map(float, shares)) for name, shares in zip(names, ways.T, strict=True)},
        ax,
        num_columns=num_features,
        title=f"{len(moved)} counterfactuals",
    )


def bars(
    ax: "Axes",
    places: np.ndarray,
    widths: Sequence[float] | np.ndarray,
    height: float,
    number: int,
    label: str,
    left: np.ndarray | float = 0.0,
) -> None:
    """Horizontal bars in the look of the i-th of several kinds."""
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


def finish_bars(ax: "Axes", columns: Sequence[str], title: str) -> None:
    """Name the columns beside their bars, and say what their lengths are."""
    from matplotlib.ticker import PercentFormatter

    ax.set_yticks(range(len(columns)), columns)
    ax.set_ylim(len(columns) - 0.4, -0.6)
    ax.set_xlim(left=0)
    ax.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    ax.set_xlabel("counterfactuals in which the column changed", fontsize=9)
    ax.set_title(title, fontsize=10)
    tidy(ax)


_MOST_COLUMNS = 8

# Longer entries are cut: a column is as wide as its longest one.
_LONGEST = 18

# The width of a letter and the height of a line, in inches.
_LETTER, _LINE = 0.072, 0.3


class Cells(NamedTuple):
    """Some rows of a table, as texts: of the columns that changed, old and new entries.

    Attributes:
        heads: the names of the columns shown, from most to least often changed.
        entries: for each row and column the entry as it was, and as it became; None for the latter
            where it is the same.
        also_changed: the names of columns that changed and aren't shown.
    """

    heads: list[str]
    entries: list[list[tuple[str, str | None]]]
    also_changed: list[str]


def changed_cells(explanations: TableExplanations) -> Cells:
    """What pictures and reports show of rows of a table: as many columns as changed, up to eight.

    Args:
        explanations: of a few rows; all of them are read.

    Returns:
        The cells.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> from jaxcf.tabular import TableExplainer
        >>> def predict(x):
        ...     granted = 4 * x[:, 0] - 2 * x[:, 2] - 1
        ...     return jax.nn.softmax(jnp.stack([-granted, granted], axis=1))
        >>> table = {"age": [20, 30, 50, 60], "job": ["clerk", "sailor", "clerk", "sailor"]}
        >>> fitted = TableExplainer(predict, class_names=("declined", "granted")).fit(table)
        >>> changed_cells(fitted.explain(table, target="granted")[:2]).entries
        [[('20', '31'), ('clerk', None)], [('30', '31'), ('sailor', 'clerk')]]
    """
    changed = explanations.changed
    often = np.argsort(-changed.sum(axis=0), kind="stable")
    most = max(int(changed.any(axis=0).sum()), 1)
    columns, left_out = often[: min(most, _MOST_COLUMNS)], often[_MOST_COLUMNS:most]
    schema = explanations.coding.schema
    before, after = (
        list(schema.write(values, like={}).values())
        for values in (explanations.original_values, explanations.values)
    )
    entries = [
        [
            (_text(before[one][row]), _text(after[one][row]) if changed[row, one] else None)
            for one in columns
        ]
        for row in range(len(changed))
    ]
    names = [str(name) for name in schema.names]
    return Cells([names[one] for one in columns], entries, [names[one] for one in left_out])


def cells(
    explanations: TableExplanations, titles: Sequence[str], ax: "Axes | None" = None
) -> "Axes":
    """Rows of a table with what changed, "old → new", on a ground of its own.

    Columns from most to least often changed among the rows shown, and as many as change, up to
    eight. What didn't change is written small.

    Args:
        explanations: at least one row; all of them are drawn.
        titles: one per row, beside it.
        ax: to draw on; None for a new figure.

    Returns:
        The axes.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> from jaxcf.tabular import TableExplainer
        >>> def predict(x):
        ...     granted = 4 * x[:, 0] - 2 * x[:, 2] - 1
        ...     return jax.nn.softmax(jnp.stack([-granted, granted], axis=1))
        >>> table = {"age": [20, 30, 50, 60], "job": ["clerk", "sailor", "clerk", "sailor"]}
        >>> fitted = TableExplainer(predict, class_names=("declined", "granted")).fit(table)
        >>> axes = cells(fitted.explain(table, target="granted")[1], ["the second"])
        >>> [text.get_text() for text in axes.texts]
        ['30 → 31', 'sailor → clerk']
    """
    shown = changed_cells(explanations)
    entries = [
        [
            _cut(old) if new is None else f"{_cut(old)} → {_cut(new)}"
            for old, new in line
        ]
        for line in shown.entries
    ]  # fmt: skip
    heads = [_cut(head) for head in shown.heads]
    widths = [
        _LETTER * (2 + max(map(len, (head, *below))))
        for head, below in zip(heads, zip(*entries, strict=True), strict=True)
    ]
    margin = _LETTER * (2 + max(map(len, titles)))
    ax = axes_or_new(ax, sum(widths) + margin, _LINE * (len(entries) + 2))
    ends = np.cumsum([0.0, *widths])
    for row, line in enumerate(entries):
        for place, entry in enumerate(line):
            changed = shown.entries[row][place][1] is not None
            _draw_cell(ax, entry, changed, row, ends[place], widths[place])
    ax.set_xlim(0, ends[-1])
    ax.set_ylim(len(entries) - 0.5, -0.5)
    ax.set_xticks((ends[:-1] + ends[1:]) / 2, heads, fontsize=9, weight="bold")
    ax.xaxis.tick_top()
    ax.set_yticks(range(len(entries)), titles, fontsize=9)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    if shown.also_changed:
        ax.set_xlabel(f"also changed: {', '.join(shown.also_changed)}", fontsize=8)
    return ax


def _draw_cell(ax: "Axes", entry: str, changed: bool, row: int, left: float, width: float) -> None:
    from matplotlib.patches import Rectangle

    if changed:
        edge = 0.04
        ground = Rectangle((left + edge, row - 0.42), width - 2 * edge, 0.84, color=CHANGED)
        ax.add_patch(ground)
    ax.text(
        left + width / 2,
        row,
        entry,
        ha="center",
        va="center",
        fontsize=9 if changed else 7.5,
        color="black" if changed else QUIET,
        # A dollar sign in a table is no mathematics.
        parse_math=False,
    )


def _text(entry: Any) -> str:
    if entry is None or entry != entry:
        return "-"
    if isinstance(entry, float | np.floating):
        return _as_read(float(entry))
    return str(entry)


def _as_read(number: float) -> str:
    """A number by the digits that tell it from others of its type."""
    if number.is_integer() and abs(number) < 1e15:
        return str(int(number))
    with np.errstate(over="ignore"):
        narrow = np.float32(number)
    return str(narrow) if narrow == number else str(number)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
