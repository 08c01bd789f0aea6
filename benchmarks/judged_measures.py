"""Counterfactuals before judges: who believes them, at what distance, and the same for controls.

A figure means something only beside that of images whose worth is known: the unchanged original,
the same change with its pixels permuted (as long, as many, and without meaning), and a real test
image of the new class.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.judged_judges import NETWORKS, OTHERS, FreshJudge
from jaxcf import Explanations, metrics
from jaxcf.data import Dataset
from jaxcf.metrics import Interval, Verdicts
from jaxcf.models import ModelSet
from jaxcf.results.evaluation import COUNTERFACTUAL, NOISE, REAL, UNCHANGED, real_target_rows

_RESAMPLES = 1000

# Rows whose controls are measured: enough for 1 %, and a judge that is no network takes its time.
_MOST_CONTROLS = 2000

Columns = dict[str, np.ndarray]


class Court(NamedTuple):
    """Who and what counterfactuals are measured by.

    Attributes:
        models: the explained model, with autoencoders of all classes and of each.
        dataset: its test images serve as real ones.
        judges: of both kinds.
        seed: of the controls and the resampling.
    """

    models: ModelSet
    dataset: Dataset
    judges: Sequence[FreshJudge]
    seed: int


def measure(explanations: Explanations, first: int, court: Court) -> dict[str, dict[str, Interval]]:
    """Everything that is known of the counterfactuals of some test images, and of the controls.

    Args:
        explanations: of the test images from number `first` on.
        first: number of the first one.
        court: who and what they are measured by.

    Returns:
        By subject and metric. Of all rows, those that weren't found being failures: "found",
        "valid" (by the model asked anew), "oracle KIND, all rows", "steps". Of the found rows:
        "oracle KIND", "stays KIND" (the shares of the judges that read the new and the original
        class), one "judge NAME" each, "stays", "distance" (|d|_1 + |d|_2), "l1", "l2", "l0",
        "im1", "im2", "survives NAME" (not of the unchanged and the noise). Controls are those of
        the first 2,000 found rows.
    """
    found = explanations.found
    chosen = explanations[found]
    columns = {COUNTERFACTUAL: _columns(chosen.counterfactual, None, chosen, court)}
    believed = {kind: columns[COUNTERFACTUAL][f"oracle {kind}"] for kind in (NETWORKS, OTHERS)}
    over_all = {f"oracle {kind}, all rows": _spread(one, found) for kind, one in believed.items()}

    some = chosen[:_MOST_CONTROLS]
    rows = first + np.flatnonzero(found)[:_MOST_CONTROLS]
    every = np.arange(len(court.dataset.y_test))
    real = real_target_rows(some.counterfactual_class, court.dataset.y_test, every, court.seed)
    columns |= {
        UNCHANGED: _columns(some.original, rows, some, court, survival=False),
        NOISE: _columns(permuted_change(some, court.seed), None, some, court, survival=False),
        REAL: _columns(court.dataset.x_test[real], real, some, court),
    }
    everything = {
        subject: intervals(of_subject, court.seed) for subject, of_subject in columns.items()
    }
    of_all_rows = attempted(explanations, court.models) | over_all
    everything[COUNTERFACTUAL] |= intervals(of_all_rows, court.seed)
    return everything


def _columns(
    images: np.ndarray,
    known: np.ndarray | None,
    chosen: Explanations,
    court: Court,
    *,
    survival: bool = True,
) -> Columns:
    """Everything about images that stand for counterfactuals; `known` numbers test images."""
    columns = _readings(_read(images, known, chosen, court.judges), court.judges)
    columns |= _distances(images - chosen.original)
    columns |= _interpretability(images, chosen, court.models)
    return columns | (_survival(images, chosen, court.models) if survival else {})


def permuted_change(chosen: Explanations, seed: int) -> np.ndarray:
    """The originals with each one's change, its pixels in a random order, within [0, 1]."""
    change = chosen.perturbation.reshape(len(chosen), np.prod(chosen.original.shape[1:]))
    permuted = np.random.default_rng(seed).permuted(change, axis=1)
    return np.clip(chosen.original + permuted.reshape(chosen.original.shape), 0, 1)


def intervals(columns: Columns, seed: int) -> dict[str, Interval]:
    """The mean of each column, with an interval by resampling rows."""
    return metrics.mean_intervals(columns, resamples=_RESAMPLES, seed=seed)


def _spread(values: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Values of the found rows over all rows: nobody believes what wasn't found."""
    everywhere = np.zeros(len(found))
    everywhere[found] = values
    return everywhere


def attempted(explanations: Explanations, model_set: ModelSet) -> Columns:
    """What is known of every row, found or not."""
    new = explanations.counterfactual_class
    targets = np.eye(explanations.probabilities.shape[1], dtype=bool)[new]
    targets &= (new != explanations.original_class)[:, None]
    valid = metrics.validity(model_set.predict, explanations.counterfactual, targets)
    return {
        "found": explanations.found,
        "valid": explanations.found & valid,
        "steps": explanations.steps.astype(np.float64),
    }


def _read(
    images: np.ndarray,
    known: np.ndarray | None,
    chosen: Explanations,
    judges: Sequence[FreshJudge],
) -> Verdicts:
    """What the judges read; looked up where the images are test images of known numbers."""
    original, new = chosen.original_class, chosen.counterfactual_class
    if known is None:
        asked = {judge.name: judge.predict for judge in judges}
        return metrics.verdicts(asked, images, original, new)
    decided = np.stack([judge.decided[known] for judge in judges])
    return Verdicts(decided == new, decided == original)


def _readings(said: Verdicts, judges: Sequence[FreshJudge]) -> Columns:
    readings: Columns = {"stays": said.stays_original}
    for kind in (NETWORKS, OTHERS):
        of_kind = np.array([judge.kind == kind for judge in judges])
        some = Verdicts(said.new[of_kind], said.original[of_kind])
        readings |= {f"oracle {kind}": some.oracle_score, f"stays {kind}": some.stays_original}
    return readings | {f"judge {judge.name}": said.new[row] for row, judge in enumerate(judges)}


def _distances(change: np.ndarray) -> Columns:
    l1, l2 = metrics.l1(change), metrics.l2(change)
    return {"distance": l1 + l2, "l1": l1, "l2": l2, "l0": metrics.l0(change)}


def _interpretability(images: np.ndarray, chosen: Explanations, model_set: ModelSet) -> Columns:
    scores = metrics.interpretability(
        images,
        chosen.original_class,
        chosen.counterfactual_class,
        reconstruct=model_set.reconstruct,
        class_reconstruct=model_set.class_reconstruct(),
    )
    return dict(scores._asdict())


def _survival(images: np.ndarray, chosen: Explanations, model_set: ModelSet) -> Columns:
    survived = metrics.survival(
        model_set.predict,
        images,
        chosen.counterfactual_class,
        reconstruct=model_set.reconstruct,
    )
    return {f"survives {name}": kept for name, kept in survived.items()}
