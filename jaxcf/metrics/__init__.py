"""What a counterfactual is worth: one value per row, never a failure inside a mean.

All functions take batches of numpy arrays.
"""

from jaxcf.metrics.bootstrap import Interval, mean_interval, mean_intervals
from jaxcf.metrics.distances import diversity, elastic_net, l0, l1, l2, validity
from jaxcf.metrics.interpretability import Interpretability, interpretability
from jaxcf.metrics.oracle import Verdicts, verdicts
from jaxcf.metrics.plausibility import (
    distance_to_class,
    frechet_to_class,
    high_frequency_share,
)
from jaxcf.metrics.robustness import ACCIDENTS, survival

__all__ = [
    "ACCIDENTS",
    "Interpretability",
    "Interval",
    "Verdicts",
    "distance_to_class",
    "diversity",
    "elastic_net",
    "frechet_to_class",
    "high_frequency_share",
    "interpretability",
    "l0",
    "l1",
    "l2",
    "mean_interval",
    "mean_intervals",
    "survival",
    "validity",
    "verdicts",
]
