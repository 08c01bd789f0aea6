"""Prototypes compared: what the kind and the number of prototypes do to the counterfactuals.

    python -m experiments.prototypes [--data-dir DIR] [--limit 1000] [--objective D]

Nearest-mean, k-means (both in the autoencoder's latent space) and k-d tree (the K-th nearest
training image itself, in pixels) for K = 1, 3, 5, 10, 15, 50, each with jaxcf's default settings
otherwise: validity, updates, distance, IM1 and IM2, and what the judges say.

1,000 MNIST images under objective D take about a minute and a half per kind and K on two busy
cores, plus the training of the networks that aren't shipped. All 18 settings find a counterfactual
for every image; the judges read 0.29 of them as the new class with the one nearest encoding, 0.39
with the mean of 15 (the report's), 0.39 to 0.48 with training images from a k-d tree, and 0.55 with
one of 10 centroids per class by k-means.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.common import print_table
from experiments import common, explaining, measuring, tables
from experiments.measuring import STOCK, WIDE, Measurer
from experiments.plots import curves_with_intervals
from jaxcf import presets, prototypes
from jaxcf.metrics.interpretability import EPS
from jaxcf.plots.style import new_figure
from jaxcf.results.evaluation import COUNTERFACTUAL

NUMBERS = (1, 3, 5, 10, 15, 50)
if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DRAWN = {
    "steps (found)": "updates",
    "l1": "L1",
    f"im1 {STOCK}": "IM1, the report's autoencoders",
    f"im1 {WIDE}": "IM1, wider autoencoders",
    "oracle": "oracle score",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Explain the same images with every kind and K."""
    made = common.parser(__doc__)
    made.set_defaults(limit=1000)
    made.add_argument("--objective", default="D", help="default: %(default)s")
    made.add_argument("--numbers", nargs="+", type=int, default=list(NUMBERS), metavar="K")
    options = common.read(made, arguments, numbers=[1, 15])
    measurer = Measurer(options)
    summary, instances, searches = [], [], {}
    for kind in prototypes.NAMED_KINDS:
        for k in options.numbers:
            common.say(f"{kind}, K = {k}")
            settings = presets.named(None, options.objective)
            settings["prototypes"] = prototypes.named(kind, k=k)
            fitted = explaining.fit(measurer.models, measurer.dataset, **settings)
            name = f"prototypes-{kind}-{k}"
            measured = measurer.measure(fitted, measurer.dataset.x_test, name)
            head = {"kind": kind, "k": k}
            costs = measuring.costs(measured.explanations)
            summary += measuring.summary_rows(head, costs, measured.evaluation)
            columns = measuring.instance_columns(costs, measured.evaluation)
            instances.append((head, {"test_row": np.arange(len(costs["found"]))} | columns))
            searches[name] = measured.explanations.settings
    common.write(
        options,
        "prototypes",
        summary,
        instances=tables.stack(instances),
        figure=_figure(summary, options.numbers),
        search=searches,
        judges=measurer.described_judges(),
        im_eps=EPS,
    )
    columns = ("validity", "steps (found)", "l1", f"im1 {STOCK}", f"im1 {WIDE}", "oracle")
    print_table(
        "prototypes",
        ("kind", "K", *columns),
        [
            (row["kind"], str(row["k"]), *(measuring.mean_text(row[name]) for name in columns))
            for row in summary
            if row["subject"] == COUNTERFACTUAL
        ],
    )


def _figure(summary: Sequence[Mapping[str, Any]], numbers: Sequence[int]) -> "Figure":
    figure = new_figure(9, 5.4)
    axes = figure.subplots(2, 3)
    for axis, (name, title) in zip(axes.flat, _DRAWN.items(), strict=False):
        series: dict[str, list[Any]] = {}
        for row in summary:
            if row["subject"] == COUNTERFACTUAL:
                series.setdefault(row["kind"], []).append(row[name][:3])
        curves_with_intervals(numbers, series, axis, x_label="K", y_label=title, log_x=True)
        axis.set_xticks(numbers, [str(k) for k in numbers])
        axis.minorticks_off()
        axis.get_legend().remove()
    # The place of a sixth panel; validity, which hardly differs, stands in the table.
    axes.flat[-1].set_axis_off()
    shown = [row["validity"].mean for row in summary if row["subject"] == COUNTERFACTUAL]
    least, most = min(shown), max(shown)
    said = f"{least:.3g}" if least == most else f"{least:.3g} to {most:.3g}"
    axes.flat[-1].text(0.5, 0.5, f"validity: {said}", ha="center", fontsize=9)
    # One for all panels, where it hides no interval.
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8)
    return figure


if __name__ == "__main__":
    main()
