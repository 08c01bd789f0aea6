"""`jaxcf evaluate --judges`: what models that never guided the search read in a run's images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxcf import data, metrics, models
from jaxcf.explanations import Explanations
from jaxcf.models import Judge
from jaxcf.terminal import Terminal

ORACLE, STAYS_ORIGINAL = "oracle", "stays_original"


def find_judges(
    name: str, shape: tuple[int, ...], data_dir: str | Path | None, terminal: Terminal
) -> tuple[Judge, ...]:
    """The judges of a data set: kept in the folder `models`, or trained now.

    Args:
        name: of the data set.
        shape: of one instance.
        data_dir: where the data lies, if they must be trained.
        terminal: for progress.

    Returns:
        The judges.

    Raises:
        ValueError: if it is no data set of images.
    """
    if len(shape) != 3:
        raise ValueError(
            f"{name} has no judges: they are networks of images, for digits, mnist, cifar10 and "
            f"caltech101, and its rows have shape {shape}; leave --judges out"
        )
    path = Path("models") / f"{name}-judges.npz"
    if not path.exists():
        terminal.say(f"no judges of {name} yet: training, to be kept in {path}")
    with terminal.training() as on_progress:
        return models.kept_judges(
            path, lambda: data.load(name, data_dir=data_dir), on_progress=on_progress
        )


def judged(explanations: Explanations, judges: tuple[Judge, ...]) -> Explanations:
    """With the shares of judges that read the new and the original class as scores.

    Args:
        explanations: of images.
        judges: at least one.

    Returns:
        The explanations with "oracle" and "stays_original", NaN where nothing was found.
    """
    found = explanations.found
    said = metrics.verdicts(
        {judge.name: judge.predict for judge in judges},
        explanations.counterfactual[found],
        explanations.original_class[found],
        explanations.counterfactual_class[found],
    )
    oracle, stays_original = np.full((2, len(found)), np.nan, np.float32)
    oracle[found], stays_original[found] = said.oracle_score, said.stays_original
    return explanations.with_scores(**{ORACLE: oracle, STAYS_ORIGINAL: stays_original})


def judge_rows(summary: Mapping[str, Any]) -> dict[str, str]:
    """What they say and how good they are, for the terminal."""

    def percent(share: float | None) -> str:
        return "-" if share is None else f"{100 * share:.1f} %"

    return {
        "judges read the new class": percent(summary[ORACLE]),
        "judges read the original class": percent(summary[STAYS_ORIGINAL]),
        "accuracy of the judges": ", ".join(
            f"{name} {accuracy:.3f}" for name, accuracy in summary["judges"].items()
        ),
    }
