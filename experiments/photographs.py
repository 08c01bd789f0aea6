"""Figures 6 and 7: the report's method on colour photographs, measured instead of looked at.

The report shows one image per data set and calls the result adversarial noise. Here every objective
explains 500 (CIFAR-10) or 200 (Caltech-101) test images, with the report's settings and with
jaxcf's own, and independent judges say what they see. `figure6` and `figure7` are the commands.
"""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.common import print_table
from experiments import common, explaining, measuring, tables
from experiments.measuring import Measured, Measurer
from jaxcf import plots, presets
from jaxcf.metrics.interpretability import EPS
from jaxcf.results.evaluation import COUNTERFACTUAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SETTINGS = {"report": "report", "default": None}
_SHOWN = 6


def make(
    name: str, data_name: str, limit: int, doc: str | None, arguments: Sequence[str] | None
) -> None:
    """Explain, measure, draw and write.

    Args:
        name: of the files.
        data_name: the data set it is made for.
        limit: how many test images by default.
        doc: the experiment's docstring.
        arguments: without the program's name; None takes those of the process.
    """
    made = common.parser(doc, data_name=data_name)
    made.set_defaults(limit=limit)
    made.add_argument("--objectives", default="ABCDEF", metavar="LETTERS")
    options = common.read(made, arguments, objectives="AD")
    measurer = Measurer(options, with_wide=False)
    measured = {}
    for settings, preset in _SETTINGS.items():
        # The prototypes are the same under all objectives.
        fitted = explaining.fit(measurer.models, measurer.dataset, **presets.named(preset))
        for letter in options.objectives:
            common.say(f"{settings} settings, objective {letter}")
            explainer = explaining.under(fitted, preset, letter)
            measured[settings, letter] = measurer.measure(
                explainer, measurer.dataset.x_test, f"{name}-{settings}-{letter}"
            )
    _write(name, measurer, options, measured)


def _write(
    name: str,
    measurer: Measurer,
    options: argparse.Namespace,
    measured: dict[tuple[str, str], Measured],
) -> None:
    summary: list[dict[str, Any]] = []
    instances = []
    for (settings, letter), (explanations, evaluated) in measured.items():
        head = {"settings": settings, "objective": letter}
        costs = measuring.costs(explanations)
        summary += measuring.summary_rows(head, costs, evaluated)
        columns = measuring.instance_columns(costs, evaluated)
        instances.append((head, {"test_row": np.arange(len(explanations))} | columns))
    last = measured[list(_SETTINGS)[-1], options.objectives[-1]]
    common.write(
        options,
        name,
        summary,
        instances=tables.stack(instances),
        figure=_figure(measurer, options, measured),
        search={
            settings: measured[settings, options.objectives[0]].explanations.settings
            for settings in _SETTINGS
        },
        models=measurer.models.metadata,
        judges=measurer.described_judges(),
        im_eps=EPS,
        separation=measuring.separations(last.evaluation),
    )
    columns = ("validity", "steps (found)", "l1", "l2", "oracle", "stays original", "frechet")
    print_table(
        f"{name}: {options.data}",
        ("settings", "", "subject", *columns),
        [
            (
                row["settings"] if row["subject"] == COUNTERFACTUAL else "",
                row["objective"] if row["subject"] == COUNTERFACTUAL else "",
                row["subject"],
                *(measuring.mean_text(row.get(column)) for column in columns),
            )
            for row in summary
        ],
    )


def _figure(
    measurer: Measurer,
    options: argparse.Namespace,
    measured: dict[tuple[str, str], Measured],
) -> "Axes":
    """Some images with their counterfactuals under one objective, those that were found first."""
    letter = "D" if "D" in options.objectives else options.objectives[-1]
    explanations = measured["default", letter].explanations
    names = [str(label) for label in measurer.dataset.class_names]
    truth = measurer.dataset.y_test
    return plots.grid(explanations, num_instances=_SHOWN, class_names=names, true_classes=truth)
