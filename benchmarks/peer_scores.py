"""One yardstick for the counterfactuals of all systems: jaxcf's own models, terms and metrics."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import common
from jaxcf import Explanations, FittedExplainer, metrics
from jaxcf.models import ModelSet
from jaxcf.objective import Instance, in_float32
from jaxcf.predictors.blackbox import Failures
from jaxcf.predictors.inference import predict_and_measure

EQUAL = 1.01
"""A mean that is one percent larger counts as equal: rounding alone moves it by as much."""

PREDICTION_WEIGHT = 1.0
"""c in the objective value of every system, whatever c each searched with."""


@dataclass(frozen=True)
class Scores:
    """What each of n counterfactuals is worth; all `[n]`.

    Attributes:
        valid: whether jaxcf's classifier gives another class than for the original.
        objective_value: the sum of the loss terms with c = 1.
        elastic_net: beta |d|_1 + |d|_2^2.
        im1: see `metrics.interpretability`; None without class autoencoders.
        im2: likewise.
    """

    valid: np.ndarray
    objective_value: np.ndarray
    elastic_net: np.ndarray
    im1: np.ndarray | None
    im2: np.ndarray | None

    def first(self, count: int) -> "Scores":
        """The first rows."""
        arrays = (self.valid, self.objective_value, self.elastic_net, self.im1, self.im2)
        return Scores(*(None if array is None else array[:count] for array in arrays))  # pyright: ignore[reportArgumentType]

    def means(self) -> dict[str, float | None]:
        """The validity, and the mean of everything else over the valid rows."""
        columns = {
            "objective_value": self.objective_value,
            "elastic_net": self.elastic_net,
            "im1": self.im1,
            "im2": self.im2,
        }
        return {"validity": float(self.valid.mean())} | {
            name: None if values is None else common.mean_over(self.valid, values)
            for name, values in columns.items()
        }


def score(
    fitted: FittedExplainer,
    models: ModelSet,
    explanations: Explanations,
    counterfactual: np.ndarray,
) -> Scores:
    """Judge counterfactuals, whoever made them.

    Args:
        fitted: its functions and objective are the yardstick.
        models: for the class autoencoders, if there are any.
        explanations: of the same originals; their classes and prototypes are taken.
        counterfactual: `[n, *shape]`.

    Returns:
        One value per row.
    """
    n, classes = len(counterfactual), explanations.original_class
    counterfactual = counterfactual.astype(np.float32)
    targets = np.arange(fitted.num_classes) != classes[:, None]
    bounds = np.zeros_like(counterfactual), np.ones_like(counterfactual), None
    instances = Instance.of_rows(
        explanations.original, classes, targets, explanations.prototype, bounds
    )
    probabilities, terms = predict_and_measure(
        fitted.models,
        fitted.params,
        in_float32(fitted.objective),
        instances,
        counterfactual,
        np.full(n, PREDICTION_WEIGHT, np.float32),
        Failures(),
    )
    new_class = probabilities.argmax(axis=1)
    valid = new_class != classes
    im1 = im2 = None
    if models.class_autoencoders:
        im1, im2 = metrics.interpretability(
            counterfactual,
            classes,
            new_class,
            reconstruct=models.reconstruct,
            class_reconstruct=models.class_reconstruct(),
        )
    distance = metrics.elastic_net(
        counterfactual - explanations.original, float(fitted.objective.l1_weight_in_use)
    )
    return Scores(valid, sum(terms.values(), start=np.zeros(n)), distance, im1, im2)


def compare(one: Scores, other: Scores) -> dict[str, Any]:
    """Both systems on the rows where both have a counterfactual.

    Returns:
        How many rows that are, and the mean objective value and elastic net of each system there.
    """
    both = one.valid & other.valid
    return {
        "both": int(both.sum()),
        "objective_value": [
            common.mean_over(both, scores.objective_value) for scores in (one, other)
        ],
        "elastic_net": [common.mean_over(both, scores.elastic_net) for scores in (one, other)],
    }


def at_equal_quality(
    peer: Scores, candidates: Sequence[tuple[str, Scores, float]], measure: str
) -> dict[str, Any] | None:
    """The fastest of some runs that are as good as a peer, and find at least as many.

    Args:
        peer: whose quality is asked for.
        candidates: label, scores of the same rows, and seconds per instance.
        measure: "objective_value" or "elastic_net", compared on the rows found by both.

    Returns:
        `label`, `seconds_per_instance` and the two means; None if no run is as good.
    """
    good = []
    for label, scores, seconds in candidates:
        compared = compare(scores, peer)
        ours, theirs = compared[measure]
        if ours is not None and ours <= EQUAL * theirs and scores.valid.sum() >= peer.valid.sum():
            good.append((seconds, label, ours, theirs))
    if not good:
        return None
    seconds, label, ours, theirs = min(good)
    return {
        "measure": measure,
        "label": label,
        "seconds_per_instance": seconds,
        "value": ours,
        "peer_value": theirs,
    }
