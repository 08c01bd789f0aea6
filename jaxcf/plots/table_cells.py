"""The counterfactuals of a table as a table: what stood in the changed columns, and what does."""

from typing import TYPE_CHECKING, Any

import numpy as np

from jaxcf.details import representative_rows
from jaxcf.plots.grids import title
from jaxcf.plots.style import QUIET, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from jaxcf.tabular.explanations import TableExplanations

_MOST_COLUMNS = 8

# Longer entries are cut: a column is as wide as its longest one.
_LONGEST = 18

# The width of a letter and the height of a line, in inches.
_LETTER, _LINE = 0.072, 0.3

_CHANGED = "#DCE9F5"


def changed_cells(
    explanations: "TableExplanations", ax: "Axes | None" = None, *, num_rows: int = 10
) -> "Axes":
    """Some rows of a table with what changed, "old → new", on a ground of its own.

    Found rows of all original classes first; columns from most to least often changed among the
    rows shown, and as many as change, up to eight. What didn't change is written small.

    Args:
        explanations: at least one row.
        ax: to draw on; None for a new figure.
        num_rows: how many rows at most, >= 1.

    Returns:
        The axes.

    Raises:
        ValueError: if there is no row.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> from jaxcf.tabular import TableExplainer
        >>> def predict(x):
        ...     granted = 4 * x[:, 0] - 2 * x[:, 2] - 1
        ...     return jax.nn.softmax(jnp.stack([-granted, granted], axis=1))
        >>> table = {"age": [20, 30, 50, 60], "job": ["clerk", "sailor", "clerk", "sailor"]}
        >>> fitted = TableExplainer(predict, class_names=("declined", "granted")).fit(table)
        >>> axes = changed_cells(fitted.explain(table, target="granted")[1])
        >>> [text.get_text() for text in axes.texts]
        ['30 → 46', 'sailor → clerk']
    """
    if not len(explanations):
        raise ValueError("there is no row to draw")
    if num_rows < 1:
        raise ValueError(f"num_rows must be at least 1, got {num_rows}")
    core = explanations.explanations
    rows = representative_rows(core.found, core.original_class, num_rows)
    chosen, changed = explanations[rows], explanations.changed[rows]
    often = np.argsort(-changed.sum(axis=0), kind="stable")
    most = max(int(changed.any(axis=0).sum()), 1)
    columns, left_out = often[: min(most, _MOST_COLUMNS)], often[_MOST_COLUMNS:most]
    schema = explanations.coding.schema
    before, after = (
        list(schema.write(values, like={}).values())
        for values in (chosen.original_values, chosen.values)
    )
    cells = [
        [
            f"{_text(before[column][row])} → {_text(after[column][row])}"
            if changed[row, column]
            else _text(before[column][row])
            for column in columns
        ]
        for row in range(len(rows))
    ]
    heads = [_cut(str(schema.names[column])) for column in columns]
    widths = [
        _LETTER * (2 + max(map(len, (head, *entries))))
        for head, entries in zip(heads, zip(*cells, strict=True), strict=True)
    ]
    titles = [
        title(chosen.explanations, row, explanations.class_names, longest=99)
        for row in range(len(rows))
    ]
    margin = _LETTER * (2 + max(map(len, titles)))
    ax = axes_or_new(ax, sum(widths) + margin, _LINE * (len(rows) + 2))
    ends = np.cumsum([0.0, *widths])
    for row, entries in enumerate(cells):
        for place, (column, entry) in enumerate(zip(columns, entries, strict=True)):
            _draw_cell(ax, entry, bool(changed[row, column]), row, ends[place], widths[place])
    ax.set_xlim(0, ends[-1])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xticks((ends[:-1] + ends[1:]) / 2, heads, fontsize=9, weight="bold")
    ax.xaxis.tick_top()
    ax.set_yticks(range(len(rows)), titles, fontsize=9)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    if len(left_out):
        names = ", ".join(str(schema.names[column]) for column in left_out)
        ax.set_xlabel(f"also changed: {names}", fontsize=8)
    return ax


def _draw_cell(ax: "Axes", entry: str, changed: bool, row: int, left: float, width: float) -> None:
    from matplotlib.patches import Rectangle

    if changed:
        edge = 0.04
        ground = Rectangle((left + edge, row - 0.42), width - 2 * edge, 0.84, color=_CHANGED)
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
        return f"{entry:.6g}"
    return _cut(str(entry))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
