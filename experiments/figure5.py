"""Figure 5: how does every loss term go over the updates?

    python -m experiments.figure5 [--data-dir DIR] [--limit 200] [--objectives ABCDEF]

The search keeps every weighted term of the objective at every evaluation
(`SearchOptions(record_history=True)`); here under the report's settings, for the first `--limit`
test images. A search ends at its first counterfactual, so late updates are those of the rows that
take long, and the last column of the picture says how many are left; the median and the band, the
middle half of these rows, end where a twentieth of the images is left. The dashed line is one
image.

The table gives each term at the original, and at the last point of the rows found: what the search
bought (a lower prediction, prototype or reconstruction term) and what it paid (L1, L2).

On MNIST, 200 images, shipped networks (one minute of processor time on 2 cores; 95 % intervals in
results/mnist/figure5.csv), D found 168 counterfactuals and F 166; the weighted terms of these went

| objective | prediction | L1 | L2 | reconstruction | prototype |
|---|---|---|---|---|---|
| D | 0.99 to 0 | 0 to 7.2 | 0 to 24 | 1743 to 291 | 2313 to 107 |
| F | | 0 to 7.2 | 0 to 24 | 1745 to 288 | 2294 to 106 |

The prediction term, at most 1, is lost beside terms in the thousands: dropping it (F) hardly
changes the search. The other two terms fall together, the reconstruction's by a factor of 6 and the
prototype's by a factor of 22.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments import common, explaining, tables
from experiments.plots import loss_curves
from jaxcf import Explanations, metrics, presets

LOGARITHMIC = ("prototype", "reconstruction")
"""Terms that fall by a factor; the others begin at 0 or pass through it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Search, measure and draw."""
    made = common.parser(__doc__)
    made.set_defaults(limit=200)
    made.add_argument("--objectives", default="DF", metavar="LETTERS", help="default: %(default)s")
    options = common.read(made, arguments, limit=20, objectives="D")
    dataset = common.load_data(options)
    model_set = common.load_model_set(options, dataset)
    # The prototypes are the same under all objectives.
    fitted = explaining.fit(model_set, dataset, **presets.report())
    explained = {}
    for letter in options.objectives:
        common.say(f"objective {letter}, {len(dataset.x_test)} images")
        explainer = explaining.under(fitted, "report", letter, record_history=True)
        explained[letter] = explainer.explain(dataset.x_test)
    ends = {letter: _ends(one) for letter, one in explained.items()}
    summary = [
        line for letter, one in explained.items() for line in _summary(letter, one, ends[letter])
    ]
    example = _typical(next(iter(explained.values())))
    common.write(
        options,
        "figure5",
        summary,
        instances=tables.stack(
            (
                {"objective": letter, "term": term},
                {
                    "test_row": np.arange(len(one)),
                    "found": one.found,
                    "steps": one.steps,
                    "first": ends[letter][term][0],
                    "last": ends[letter][term][1],
                },
            )
            for letter, one in explained.items()
            for term in one.history
        ),
        figure=loss_curves(
            {letter: one.history for letter, one in explained.items()},
            example=example,
            log=LOGARITHMIC,
        ),
        search=next(iter(explained.values())).settings,
        example_row=example,
    )
    columns = ("objective", "found", "term", "at the original", "at the end", "change")
    tables.show(f"Loss terms of {len(dataset.x_test)} test images", summary, columns)


def _ends(explanations: Explanations) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Each term at the original and at the last evaluation; NaN where nothing was found."""
    rows = np.arange(len(explanations))
    found = explanations.found
    return {
        term: (
            np.where(found, values[:, 0], np.nan),
            np.where(found, values[rows, explanations.steps] + 0.0, np.nan),  # no -0.0
        )
        for term, values in explanations.history.items()
    }


def _summary(
    letter: str, explanations: Explanations, ends: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> list[dict[str, Any]]:
    found, n = int(explanations.found.sum()), len(explanations)
    return [
        {"objective": letter, "n": n, "found": found, "term": term}
        | metrics.mean_intervals(
            {"at the original": first, "at the end": last, "change": last - first}
        )
        for term, (first, last) in ends.items()
    ]


def _typical(explanations: Explanations) -> int:
    """The found row with the middle number of updates."""
    found = np.flatnonzero(explanations.found)
    rows = found if len(found) else np.arange(len(explanations))
    return int(rows[np.argsort(explanations.steps[rows], kind="stable")[len(rows) // 2]])


if __name__ == "__main__":
    main()
