"""Tables and a picture of what judges believe of photographs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import common
from jaxcf import Explanations
from jaxcf.plots.style import new_figure
from jaxcf.results.evaluation import COUNTERFACTUAL, NOISE, REAL, UNCHANGED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]

_METRICS = {
    "valid": ".4f",
    "oracle": ".3f",
    "stays": ".3f",
    "oracle, blurred": ".3f",
    "robust": ".3f",
    "survives noise": ".3f",
    "survives jpeg": ".3f",
    "l2": ".2f",
    "l1": ".0f",
    "high frequency": ".2f",
    "steps": ".0f",
}
_CONTROLS = {
    UNCHANGED: "unchanged",
    NOISE: "noise (the first line's change, permuted)",
    REAL: "real images of the new class",
}
_COLUMNS = 8


def _lines(rows: Sequence[Row]) -> list[list[str]]:
    """The controls of the first row, then all rows."""

    def line(name: str, count: int, values: Row) -> list[str]:
        means = (
            common.text(values[metric]["mean"] if metric in values else None, form)
            for metric, form in _METRICS.items()
        )
        judges = (
            common.text(values.get(f"judge {judge}", {}).get("mean"), ".3f")
            for judge in rows[0]["judges"]
        )
        return [name, str(count), *means, *judges]

    first = rows[0]
    return [
        *(
            line(name, first["n"], first["subjects"].get(one, {}))
            for one, name in _CONTROLS.items()
        ),
        *(line(row["configuration"], row["n"], row["subjects"][COUNTERFACTUAL]) for row in rows),
    ]


def _heads(row: Row) -> list[str]:
    return ["", "n", *_METRICS, *row["judges"]]


def markdown(parts: Mapping[str, Sequence[Row]]) -> str:
    """The tables of all parts, and how accurate all networks are.

    Args:
        parts: rows as they were written, by what they are; one at least holds a row.

    Returns:
        Markdown.
    """
    texts = []
    for name, rows in parts.items():
        if rows:
            table = common.markdown_table(_heads(rows[0]), _lines(rows))
            first, last = rows[0]["rows"]
            texts.append(f"{name}, test images from {first} to {last - 1} at most:\n\n{table}")
    row = next(row for rows in parts.values() for row in rows)
    accuracies = {"explained": row["explained"], **row["judges"]}
    accuracies |= {name: guide["accuracy"] for name, guide in row["guides"].items()}
    known = ", ".join(f"{name} {accuracy:.3f}" for name, accuracy in accuracies.items())
    heads = [f"# {row['data']} before judges", f"Accuracy on all test images: {known}."]
    return "\n\n".join([*heads, *texts]) + "\n"


def print_table(parts: Mapping[str, Sequence[Row]]) -> None:
    """What matters most of all parts, for a terminal."""
    for name, rows in parts.items():
        if rows:
            wanted = ["", "n", "valid", "oracle", "stays", "oracle, blurred", "robust", "l2"]
            columns = [_heads(rows[0]).index(head) for head in wanted]
            lines = [[line[column] for column in columns] for line in _lines(rows)]
            common.print_table(name, wanted, lines)


def grid(shown: Explanations, labels: Sequence[int], class_names: Sequence[str]) -> "Figure":
    """Photographs above what they became, each with its class, and the true one where it differs.

    Args:
        shown: of some images, at least one.
        labels: the true class of each.
        class_names: of all classes.

    Returns:
        The figure.
    """
    count = len(shown)
    bands = -(-count // _COLUMNS)
    figure = new_figure(1.25 * _COLUMNS, 2.9 * bands)
    axes = figure.subplots(2 * bands, _COLUMNS, squeeze=False)
    for axis in axes.ravel():
        axis.set_axis_off()
    for number in range(count):
        band, column = divmod(number, _COLUMNS)
        read = class_names[shown.original_class[number]]
        true = class_names[labels[number]]
        new = class_names[shown.counterfactual_class[number]] if shown.found[number] else "none"
        above, below = axes[2 * band, column], axes[2 * band + 1, column]
        above.set_title(read if read == true else f"{read}\n(truly {true})", fontsize=8)
        below.set_title(new, fontsize=8, fontweight="bold")
        for axis, image in ((above, shown.original), (below, shown.counterfactual)):
            axis.imshow(np.clip(image[number], 0, 1), interpolation="nearest")
    return figure
