"""Figure 4: one digit under the objectives A to F.

    python -m experiments.figure4 [--data-dir DIR] [--row N]

For one test image, a column per objective: the original, its counterfactual, what changed (red:
darker, blue: brighter; one scale for either settings, that of a column in the middle), and what the
autoencoder makes of the counterfactual. If the autoencoder smooths the change away, the
counterfactual lies off the data it knows; if it gives it back, the change looks like something it
has seen. Beneath each: whether a counterfactual was found, the updates, L1, and the probability of
its class. Above under the report's settings (c = 1), below under jaxcf's own, whose c grows until a
counterfactual is found.

One digit is an illustration, and this one is easy: the first of those that the most searches found
a counterfactual for. So the first `--limit` test images are searched under all twelve, and the
table gives means over the rows found, `gap` among them: the L1 distance between a counterfactual
and its reconstruction, divided by that of the original and its reconstruction, so that 1 is "as
well reconstructed as the original".

On MNIST, 100 images, shipped networks (three minutes of processor time on 2 cores; 95 % intervals
in results/mnist/figure4.csv), means over the rows found:

| settings | | A | B | C | D | E | F |
|---|---|---|---|---|---|---|---|
| report | found | 0.05 | 0.14 | 0.25 | 0.84 | 0.13 | 0.81 |
| | updates | 4 | 195 | 138 | 117 | 57 | 112 |
| | L1 | 5.4 | 51 | 45 | 60 | 47 | 59 |
| | gap | 1.03 | 0.19 | 1.36 | 0.42 | 1.41 | 0.42 |
| default | found | 1.00 | 1.00 | 1.00 | 1.00 | 0.24 | 0.86 |
| | updates | 28 | 19 | 15 | 8.2 | 32 | 7.9 |
| | L1 | 27 | 56 | 50 | 64 | 44 | 64 |
| | gap | 1.24 | 0.39 | 1.33 | 0.47 | 1.37 | 0.47 |

Means of one line are over different rows where not all were found: the few that A finds under the
report's settings are images next to a decision boundary. With the reconstruction term (B, D, F) the
counterfactual is reconstructed better than the original was; without it worse.
"""

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from experiments import common, explaining, tables
from experiments.plots import objective_rows
from jaxcf import Explanations, metrics, presets
from jaxcf.data import Dataset
from jaxcf.models import ModelSet
from jaxcf.objective import NAMED_OBJECTIVES
from jaxcf.plots.style import new_figure
from jaxcf.utils.batching import map_batches

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SETTINGS = {"report": "report", "default": None}
"""Names of the settings, and their presets."""

Key = tuple[str, str]
"""Settings and objective."""


class Searched(NamedTuple):
    """Explanations of some rows, and the autoencoder's image of each counterfactual."""

    explanations: Explanations
    reconstruction: np.ndarray


def main(arguments: Sequence[str] | None = None) -> None:
    """Search, measure and draw."""
    made = common.parser(__doc__)
    made.set_defaults(limit=100)
    made.add_argument("--row", type=int, metavar="N", help="the test image shown; default: chosen")
    made.add_argument("--objectives", default="".join(NAMED_OBJECTIVES), metavar="LETTERS")
    options = common.read(made, arguments, limit=10, objectives="AD")
    dataset = common.load_data(options)
    model_set = common.load_model_set(options, dataset)
    searched = _search(options, dataset, model_set)
    measured = {key: _measure(one, model_set) for key, one in searched.items()}
    summary = [
        {"settings": settings, "objective": letter, "n": len(dataset.x_test)}
        | metrics.mean_intervals(columns, seed=options.seed)
        for (settings, letter), columns in measured.items()
    ]
    row = _most_found(searched) if options.row is None else options.row
    common.write(
        options,
        "figure4",
        summary,
        instances=tables.stack(
            (
                {"settings": settings, "objective": letter},
                {"test_row": np.arange(len(dataset.x_test)), **columns},
            )
            for (settings, letter), columns in measured.items()
        ),
        figure=_figure(searched, row),
        search={
            settings: searched[settings, options.objectives[0]].explanations.settings
            for settings in SETTINGS
        },
        shown_row=row,
    )
    columns = ("settings", "objective", "found", "steps", "l1", "gap")
    tables.show("Test images under the objectives", summary, columns)


def _search(
    options: argparse.Namespace, dataset: Dataset, model_set: ModelSet
) -> dict[Key, Searched]:
    # The prototypes are the same under all objectives and settings.
    fitted = explaining.fit(model_set, dataset, **presets.named("report"))
    searched = {}
    for name, preset in SETTINGS.items():
        for letter in options.objectives:
            common.say(f"objective {letter}, {name} settings")
            explanations = explaining.under(fitted, preset, letter).explain(dataset.x_test)
            images = map_batches(model_set.reconstruct, explanations.counterfactual)
            searched[name, letter] = Searched(explanations, images)
    return searched


def _measure(searched: Searched, model_set: ModelSet) -> dict[str, np.ndarray]:
    explanations = searched.explanations
    original = map_batches(model_set.reconstruct, explanations.original) - explanations.original
    left = searched.reconstruction - explanations.counterfactual
    found = explanations.found
    values = {
        "steps": explanations.steps,
        "l1": explanations.l1,
        "probability": explanations.probabilities.max(axis=1),
        "gap": metrics.l1(left) / metrics.l1(original),
    }
    return {"found": found} | {name: np.where(found, v, np.nan) for name, v in values.items()}


def _most_found(searched: Mapping[Key, Searched]) -> int:
    """The first of the test images for which the most searches found a counterfactual."""
    return int(np.sum([one.explanations.found for one in searched.values()], axis=0).argmax())


def _figure(searched: Mapping[Key, Searched], row: int) -> "Figure":
    letters = list(dict.fromkeys(letter for _, letter in searched))
    figure = new_figure(1.15 * len(letters) + 0.5, 5.4 * len(SETTINGS))
    parts = figure.subfigures(len(SETTINGS), 1, squeeze=False)
    for part, name in zip(parts[:, 0], SETTINGS, strict=True):
        ones = {letter: searched[name, letter] for letter in letters}
        part.suptitle(f"{name} settings", fontsize=11)
        objective_rows(
            part,
            ones[letters[0]].explanations.original[row],
            {letter: one.explanations.counterfactual[row] for letter, one in ones.items()},
            reconstructions={letter: one.reconstruction[row] for letter, one in ones.items()},
            captions={letter: _caption(one.explanations[row]) for letter, one in ones.items()},
        )
    return figure


def _caption(explanation: Explanations) -> str:
    before, after = int(explanation.original_class[0]), int(explanation.counterfactual_class[0])
    outcome = f"{before} → {after}" if explanation.found[0] else f"{before}, not found"
    return (
        f"{outcome}\n{int(explanation.steps[0])} updates\nL1 {explanation.l1[0]:.1f}\n"
        f"p({after}) = {explanation.probabilities[0].max():.2f}"
    )


if __name__ == "__main__":
    main()
