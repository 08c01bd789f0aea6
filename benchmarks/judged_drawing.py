"""Tables and figures of what judges believe."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from benchmarks import common
from benchmarks.judged_configurations import LADDER
from benchmarks.judged_judges import NETWORKS, OTHERS
from jaxcf import Explanations
from jaxcf.plots.images import column_places, frame_mosaic, line_places, place_image
from jaxcf.plots.style import QUIET, look, new_figure, tidy
from jaxcf.results.evaluation import COUNTERFACTUAL, NOISE, REAL, UNCHANGED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]

_CONTROLS = {
    UNCHANGED: "unchanged",
    NOISE: "noise (first line's change, permuted)",
    REAL: "real images of the new class",
}
_SURVIVES = "survives "


class Published(NamedTuple):
    """A published method, read by judges of ours from the files of its authors.

    Attributes:
        distance: mean |d|_1 + |d|_2.
        oracle: by kind of judge: six public networks of other people, and a k-NN and two SVMs.
    """

    distance: float
    oracle: Mapping[str, float]


PUBLISHED = {
    "GB": Published(15.9, {NETWORKS: 0.131, OTHERS: 0.082}),
    "GL": Published(41.0, {NETWORKS: 0.347}),
    "ECINN": Published(94.5, {NETWORKS: 0.886, OTHERS: 0.874}),
}
"""On MNIST: gradient-based, latent, and by invertible networks (Hvilshøj et al. 2021)."""


# ---- tables ----


def _mean(values: Row, metric: str, form: str = ".3f") -> str:
    interval = values.get(metric)
    return "-" if interval is None else common.text(interval["mean"], form)


def _with_interval(values: Row, metric: str, form: str = ".3f") -> str:
    interval = values.get(metric)
    if interval is None or interval["mean"] is None:
        return "-"
    return f"{interval['mean']:{form}} [{interval['lower']:{form}}, {interval['upper']:{form}}]"


def _belief(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Heads and lines: who believes a configuration at what distance, then the controls."""
    heads = ["", "found", "valid", "networks", "others", "networks, all rows", "others, all rows"]

    def line(name: str, values: Row, found: str = "") -> list[str]:
        return [
            name,
            found,
            _mean(values, "valid", ".4f"),
            *(_with_interval(values, f"oracle {kind}") for kind in (NETWORKS, OTHERS)),
            *(_mean(values, f"oracle {kind}, all rows") for kind in (NETWORKS, OTHERS)),
            _mean(values, "stays"),
            _with_interval(values, "distance", ".1f"),
        ]

    accuracy = [
        np.mean([judge["accuracy"] for judge in rows[0]["judges"] if judge["kind"] == kind])
        for kind in (NETWORKS, OTHERS)
    ]
    lines = [["accuracy on all test images", "", "-", *(f"{one:.3f}" for one in accuracy)]]
    lines[0] += ["-"] * 4
    lines += [line(name, rows[0]["subjects"][subject]) for subject, name in _CONTROLS.items()]
    for row in rows:
        found = f"{row['found']} of {row['n']}"
        lines.append(line(row["configuration"], row["subjects"][COUNTERFACTUAL], found))
    return [*heads, "stays", "distance"], lines


def _more(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Heads and lines: distances, interpretability, survival and costs of each configuration."""
    survival = [name for name in rows[0]["subjects"][REAL] if name.startswith(_SURVIVES)]
    heads = ["", "L1", "L2", "L0", "IM1", "IM2"]
    heads += ["after " + name.removeprefix(_SURVIVES) for name in survival]
    heads += ["steps", "fit s", "search s", "total s", "search / D"]

    def line(name: str, values: Row) -> list[str]:
        forms = {"l1": ".1f", "l2": ".2f", "l0": ".0f", "im1": ".3f", "im2": ".3f"}
        return [
            name,
            *(_mean(values, metric, form) for metric, form in forms.items()),
            *(_mean(values, metric) for metric in survival),
            _mean(values, "steps", ".0f"),
        ]

    lines = [
        [*line(name, rows[0]["subjects"][subject]), *["-"] * 4]
        for subject, name in _CONTROLS.items()
    ]
    for row in rows:
        seconds = row["seconds"]
        costs = [seconds["prototypes"], seconds["search"], seconds["total"], row["search_ratio"]]
        cells = line(row["configuration"], row["subjects"][COUNTERFACTUAL])
        lines.append([*cells, *(common.text(one, ".2f") for one in costs)])
    return heads, lines


def _judges(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Heads and lines: each judge's accuracy, and the share of each subject that it believes."""
    judges = rows[0]["judges"]
    heads = ["", *(judge["name"] for judge in judges)]

    def line(name: str, values: Row) -> list[str]:
        return [name, *(_mean(values, f"judge {judge['name']}") for judge in judges)]

    lines = [["accuracy on all test images", *(f"{judge['accuracy']:.3f}" for judge in judges)]]
    lines += [line(name, rows[0]["subjects"][subject]) for subject, name in _CONTROLS.items()]
    lines += [line(row["configuration"], row["subjects"][COUNTERFACTUAL]) for row in rows]
    return heads, lines


def _title(rows: Sequence[Row]) -> str:
    first = rows[0]
    last = first["first"] + first["n"] - 1
    machine = first["machine"]
    return (
        f"{first['data']}, test images {first['first']} to {last}, judges of seed {first['seed']}, "
        f"{machine['device']}, {machine['cores']} cores"
    )


def markdown(rows: Sequence[Row]) -> str:
    """All tables: what judges believe, what each of them does, and what else was measured.

    Args:
        rows: at least one, as they were written.

    Returns:
        Markdown.
    """
    parts = [_title(rows) + ":"]
    for heads, lines in (_belief(rows), _judges(rows), _more(rows)):
        parts.append(common.markdown_table(heads, lines))
    return "\n\n".join(parts) + "\n"


def print_tables(rows: Sequence[Row]) -> None:
    """The first two for a terminal: their most important columns."""
    heads, lines = _belief(rows)
    wanted = ("", "found", "valid", "networks", "others", "stays", "distance")
    columns = [heads.index(name) for name in wanted]
    # Intervals are in the files.
    picked = [[line[column].partition(" [")[0] for column in columns] for line in lines]
    common.print_table(_title(rows), wanted, picked)
    common.print_table("share that each judge believes", *_judges(rows))


# ---- figures ----


def frontier(rows: Sequence[Row]) -> "Figure":
    """What judges believe against the distance: a panel for networks, one for the others.

    Args:
        rows: at least one, as they were written.

    Returns:
        The figure, with intervals; a guide asked for more and more is a line, published methods are
        hollow and marked as such where the data are MNIST's, real images a dashed line.
    """
    figure = new_figure(10, 5.2)
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    titles = {NETWORKS: "judges that are networks", OTHERS: "judges that are none"}
    steps = [row for row in rows if row["configuration"].startswith(LADDER) and row["found"]]
    others = [row for row in rows if row not in steps]
    for axis, (kind, title) in zip(panels, titles.items(), strict=True):
        if steps:
            _draw_ladder(axis, steps, kind)
        _draw_panel(axis, others, kind)
        _draw_controls(axis, rows[0], kind)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("distance: mean of L1 + L2", fontsize=9)
        tidy(axis)
    panels[0].set_ylabel("share that reads the new class", fontsize=9)
    panels[0].set_ylim(0, 1.02)
    # Room for the names of the points that lie furthest.
    panels[0].set_xlim(0, 1.1 * panels[0].get_xlim()[1])
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure


def _draw_panel(axis: "Axes", rows: Sequence[Row], kind: str) -> None:
    for number, row in enumerate(rows):
        values = row["subjects"][COUNTERFACTUAL]
        distance, oracle = values["distance"], values[f"oracle {kind}"]
        if distance["mean"] is None:
            continue
        chosen = look(number)
        axis.errorbar(
            distance["mean"],
            oracle["mean"],
            xerr=_ends(distance),
            yerr=_ends(oracle),
            color=chosen.colour,
            marker=chosen.marker,
            markeredgecolor="black",
            markeredgewidth=0.5,
            linestyle="none",
            capsize=2,
            label=row["configuration"],
        )


def _draw_controls(axis: "Axes", first: Row, kind: str) -> None:
    real = first["subjects"][REAL][f"oracle {kind}"]["mean"]
    if real is not None:
        axis.axhline(real, color=QUIET, linewidth=1, linestyle="--", label="real images")
    if first["data"] == "mnist":
        label = "published, read by other judges of the kind"
        for name, one in PUBLISHED.items():
            if kind in one.oracle:
                place = one.distance, one.oracle[kind]
                axis.plot(*place, "*", color="black", mfc="none", ms=10, label=label)
                axis.annotate(name, place, (6, -10), textcoords="offset points", fontsize=8)
                label = "_"


def _draw_ladder(axis: "Axes", rows: Sequence[Row], kind: str) -> None:
    """The same search for one confidence of its guide after the other, which each point states."""
    names = [row["configuration"].removeprefix(LADDER) for row in rows]
    values = [row["subjects"][COUNTERFACTUAL] for row in rows]
    distances = [one["distance"]["mean"] for one in values]
    believed = [one[f"oracle {kind}"]["mean"] for one in values]
    label = f"{LADDER}a confidence of {names[0]} to {names[-1]}"
    axis.plot(distances, believed, color=QUIET, marker="o", markersize=3, linewidth=1, label=label)
    for name, x, y in zip(names, distances, believed, strict=True):
        axis.annotate(name, (x, y), (4, -9), textcoords="offset points", fontsize=7, color=QUIET)


def _ends(interval: Row) -> list[list[float]]:
    return [[interval["mean"] - interval["lower"]], [interval["upper"] - interval["mean"]]]


def grid(shown: Mapping[str, Explanations]) -> "Figure":
    """The same test images under several configurations, each with the class that it became.

    Args:
        shown: explanations of the same rows by configuration, at least one.

    Returns:
        The figure: a line of originals, then one per configuration.
    """
    first = next(iter(shown.values()))
    height = first.original.shape[1] / first.original.shape[2]
    lines: dict[str, tuple[np.ndarray, Callable[[int], str]]] = {
        "original": (first.original, lambda row: str(first.original_class[row]))
    }
    for name, one in shown.items():
        lines[name] = one.counterfactual, _classes(one)
    width = 0.75 * len(first)
    longest = max(len(name) for name in lines)
    figure = new_figure(width + 0.08 * longest + 0.3, 0.75 * height * len(lines) + 0.3)
    axis = figure.subplots()
    right, bottom = 0.0, 0.0
    for line, (images, label) in enumerate(lines.values()):
        for column, image in enumerate(images):
            right, bottom = place_image(axis, image, line, column, (0, 1))
            axis.text(right - 0.03, bottom - 0.03, label(column), color="#F0E442", fontsize=8,
                      ha="right", va="bottom")  # fmt: skip
    frame_mosaic(axis, right, bottom)
    axis.set_anchor("E")  # what room the squares leave is for the names of the lines
    axis.set_yticks(line_places(len(lines), height), list(lines))
    axis.set_xticks(column_places(len(first)), [""] * len(first))
    return figure


def _classes(explanations: Explanations) -> Callable[[int], str]:
    def label(row: int) -> str:
        found = explanations.found[row]
        return str(explanations.counterfactual_class[row]) if found else "not found"

    return label
