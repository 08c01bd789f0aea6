"""What is measured of counterfactuals of photographs, and of images whose worth is known.

Judges that have learnt from images as they are can be fooled together, so that what they say counts
only beside a robust judge, which no guide was, and beside their own reading after a blur.
"""

from collections.abc import Sequence

import numpy as np

from benchmarks.judged_measures import Columns, attempted, intervals, permuted_change
from benchmarks.natural_networks import ROBUST
from jaxcf import Explanations, metrics
from jaxcf.data import Dataset
from jaxcf.metrics import Interval
from jaxcf.metrics.robustness import blur
from jaxcf.models import Judge, ModelSet
from jaxcf.results.evaluation import COUNTERFACTUAL, NOISE, REAL, UNCHANGED, real_target_rows

_SEED = 0


def measure(
    explanations: Explanations, explained: ModelSet, dataset: Dataset, judges: Sequence[Judge]
) -> dict[str, dict[str, Interval]]:
    """Everything that is known of some counterfactuals and of their controls.

    Args:
        explanations: of test images.
        explained: the model, asked anew.
        dataset: whose test images stand for real ones of the new class.
        judges: none of which had a part in the search.

    Returns:
        By subject and metric; where no row was found, of the counterfactuals alone. Of all rows:
        "found", "valid", "steps". Of the found rows: "oracle"
        and "stays" (the share of the ordinary judges that read the new and the original class),
        "robust" and "robust stays" (of the robust ones), the first three once more ", blurred", one
        "judge NAME" each, "l1", "l2", "l0", "high frequency", and "survives NAME".
    """
    everything = {COUNTERFACTUAL: intervals(attempted(explanations, explained), _SEED)}
    if not explanations.found.any():
        return everything
    chosen = explanations[explanations.found]
    every = np.arange(len(dataset.y_test))
    # Of a category of few images the test rows may hold none.
    shown_by_one = chosen[np.isin(chosen.counterfactual_class, dataset.y_test)]
    real = real_target_rows(shown_by_one.counterfactual_class, dataset.y_test, every, _SEED)
    images = {
        COUNTERFACTUAL: (chosen, chosen.counterfactual),
        UNCHANGED: (chosen, chosen.original),
        NOISE: (chosen, permuted_change(chosen, _SEED)),
        REAL: (shown_by_one, dataset.x_test[real]),
    }
    for subject, (about, shown) in images.items():
        columns = _readings(shown, about, judges) | _distances(shown - about.original)
        if subject in (COUNTERFACTUAL, REAL):
            survived = metrics.survival(explained.predict, shown, about.counterfactual_class)
            columns |= {f"survives {name}": kept for name, kept in survived.items()}
        everything[subject] = everything.get(subject, {}) | intervals(columns, _SEED)
    return everything


def _readings(images: np.ndarray, chosen: Explanations, judges: Sequence[Judge]) -> Columns:
    original, new = chosen.original_class, chosen.counterfactual_class
    readings: Columns = {}
    robust = np.array([judge.name == ROBUST for judge in judges])
    asked = {judge.name: judge.predict for judge in judges}
    for after, seen in (("", images), (", blurred", blur(images))):
        said = metrics.verdicts(asked, seen, original, new)
        readings[f"oracle{after}"] = said.new[~robust].mean(0)
        readings[f"stays{after}"] = said.original[~robust].mean(0)
        readings[f"robust{after}"] = said.new[robust].mean(0)
        if not after:
            readings["robust stays"] = said.original[robust].mean(0)
            readings |= {f"judge {judge.name}": said.new[n] for n, judge in enumerate(judges)}
    return readings


def _distances(change: np.ndarray) -> Columns:
    found: Columns = {"l1": metrics.l1(change), "l2": metrics.l2(change), "l0": metrics.l0(change)}
    if change.any():
        found["high frequency"] = metrics.high_frequency_share(change)
    return found
