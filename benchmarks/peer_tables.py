"""The tables and the plot of `benchmarks.peers`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import common


def show(
    data_name: str,
    rows: Sequence[dict[str, Any]],
    equal: Sequence[dict[str, Any]],
    skipped: Mapping[str, str],
) -> None:
    """Print both tables, and who is missing in them."""
    text = common.text
    columns = "", "valid", "objective", "EN", "IM1", "steps", "compile"
    common.print_table(
        f"{data_name}, objective {rows[0]['objective']}, {rows[0]['device']}; the last two: "
        "its seconds over jaxcf's",
        (*columns, "s/row", "/report", "/default"),
        [
            (
                row["label"],
                f"{row['validity']:.2f}",
                *(text(row[name]) for name in ("objective_value", "elastic_net", "im1")),
                f"{row['steps']['mean']:.0f}",
                f"{row['compile_seconds']:.1f}",
                text(row["seconds_per_instance"]),
                *(text(_ratio(row, name), ".1f") for name in ("report", "default")),
            )
            for row in rows
        ],
    )
    for label, reason in skipped.items():
        print(f"{label}: left out, {reason}")
    if equal:
        common.print_table(
            "The fastest jaxcf run that finds as many and is as good (rows found by both)",
            ("peer", "measure", "its mean", "its s/row", "jaxcf run", "mean", "s/row"),
            [_equal_cells(one) for one in equal],
        )


def _ratio(row: dict[str, Any], name: str) -> float | None:
    found = [ratio for label, ratio in row["ratios"].items() if label.startswith(f"jaxcf {name}")]
    return found[0] if found else None


def _equal_cells(one: dict[str, Any]) -> list[str]:
    reached: dict[str, Any] = one["jaxcf"] or {"label": "none"}
    numbers = (reached.get(key) for key in ("value", "seconds_per_instance"))
    return [
        one["peer"],
        one["measure"],
        common.text(reached.get("peer_value", one["peer_value"])),
        common.text(one["peer_seconds_per_instance"]),
        reached["label"],
        *map(common.text, numbers),
    ]


def plot(rows: Sequence[dict[str, Any]], json_file: Path) -> None:
    """Seconds per instance of every row, on a logarithmic scale."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 1 + 0.35 * len(rows)), layout="constrained")
    axis = figure.subplots()
    labels, seconds = zip(
        *((row["label"], row["seconds_per_instance"]) for row in rows), strict=True
    )
    colours = ["C0" if label.startswith("jaxcf") else "C1" for label in labels]
    bars = axis.barh(labels, seconds, color=colours)
    axis.bar_label(bars, [f"{value:.3g} s" for value in seconds], padding=3)
    axis.set_xscale("log")
    axis.margins(x=0.2)
    axis.invert_yaxis()
    axis.set_xlabel(f"seconds per instance, objective {rows[0]['objective']}")
    common.save_figure(figure, json_file)
