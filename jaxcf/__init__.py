"""Counterfactual explanations guided by class prototypes, for a whole test set in one call."""

from jaxcf import attributions, data, metrics, presets, prototypes, solvers
from jaxcf.blackbox import BlackBox
from jaxcf.constraints import Constraints
from jaxcf.details import Details
from jaxcf.engine import EngineOptions
from jaxcf.estimators import CentralDifferences, ExactJacobian, RandomDirections
from jaxcf.explainer import Explainer
from jaxcf.explanations import Explanations
from jaxcf.fitted_explainer import FittedExplainer
from jaxcf.objective import Candidate, Objective
from jaxcf.progress import progress_bar
from jaxcf.prototypes import KDTree, KMeans, NearestMean
from jaxcf.refinement import Refinement
from jaxcf.run import ExplanationInterrupted, Progress
from jaxcf.search import SearchOptions
from jaxcf.status import Status
from jaxcf.version import __version__

__all__ = [
    "BlackBox",
    "Candidate",
    "CentralDifferences",
    "Constraints",
    "Details",
    "EngineOptions",
    "ExactJacobian",
    "Explainer",
    "ExplanationInterrupted",
    "Explanations",
    "FittedExplainer",
    "KDTree",
    "KMeans",
    "NearestMean",
    "Objective",
    "Progress",
    "RandomDirections",
    "Refinement",
    "SearchOptions",
    "Status",
    "__version__",
    "attributions",
    "data",
    "metrics",
    "presets",
    "progress_bar",
    "prototypes",
    "solvers",
]
