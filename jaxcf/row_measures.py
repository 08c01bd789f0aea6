"""The numbers of every row, by one name each, of explanations of either kind."""

import numpy as np

from jaxcf.explanations import Explanations
from jaxcf.run_folder import core_of
from jaxcf.status import Status
from jaxcf.tabular.explanations import TableExplanations

EitherExplanations = Explanations | TableExplanations

_NEVER_SEARCHED = (
    Status.INVALID_INPUT,
    Status.OUT_OF_RANGE,
    Status.UNKNOWN_TARGET,
    Status.NO_PROTOTYPE,
)


def row_measures(explanations: EitherExplanations) -> dict[str, np.ndarray]:
    """Every number of a row by name; NaN where a row was never searched or has no such number.

    Args:
        explanations: of n rows.

    Returns:
        Name to `[n]`, float64: "steps", "confidence" (the highest probability after the change),
        "confidence_before", "changed" (features, or columns of a table), "l1", "l2",
        "elastic_net", "prediction_weight", then the scores.
    """
    core = core_of(explanations)
    searched = ~np.isin(core.status, [int(code) for code in _NEVER_SEARCHED])
    changed = core.l0
    if isinstance(explanations, TableExplanations):
        changed = explanations.changed.sum(axis=1)
    measured = {
        "steps": core.steps,
        "confidence": core.probabilities.max(axis=1, initial=-np.inf),
        "confidence_before": core.original_probabilities.max(axis=1, initial=-np.inf),
        "changed": changed,
        "l1": core.l1,
        "l2": core.l2,
        "elastic_net": core.elastic_net,
        "prediction_weight": core.prediction_weight,
    }
    measured = {
        name: np.where(searched, np.asarray(values, np.float64), np.nan)
        for name, values in measured.items()
    }
    return measured | {name: np.asarray(one, np.float64) for name, one in core.scores.items()}
