"""Counterfactual explanations guided by class prototypes, for a whole test set in one call."""

from jaxcf import attributions, data, metrics, prototypes, solvers
from jaxcf.constraints import Constraints
from jaxcf.explainers import presets
from jaxcf.explainers.explainer import Explainer
from jaxcf.explainers.fitted import FittedExplainer
from jaxcf.explainers.progress import Progress, progress_bar
from jaxcf.explainers.refinement import Refinement
from jaxcf.explainers.run import ExplanationInterrupted
from jaxcf.objective import Candidate, Objective
from jaxcf.predictors.blackbox import BlackBox
from jaxcf.predictors.checks import check_model
from jaxcf.predictors.guides import Guide
from jaxcf.predictors.jacobians import CentralDifferences, ExactJacobian, RandomDirections
from jaxcf.prototypes import KDTree, KMeans, NearestMean
from jaxcf.results.accessors import register_accessor
from jaxcf.results.explanations import Explanations
from jaxcf.results.traces import Traces
from jaxcf.search.options import EngineOptions, SearchOptions
from jaxcf.search.status import Status
from jaxcf.version import __version__

# By name: results know nothing of plots, and nobody who doesn't draw waits for them to be imported.
register_accessor("plot", "jaxcf.plots.accessor:PlotAccessor")

__all__ = [
    "BlackBox",
    "Candidate",
    "CentralDifferences",
    "Constraints",
    "EngineOptions",
    "ExactJacobian",
    "Explainer",
    "ExplanationInterrupted",
    "Explanations",
    "FittedExplainer",
    "Guide",
    "KDTree",
    "KMeans",
    "NearestMean",
    "Objective",
    "Progress",
    "RandomDirections",
    "Refinement",
    "SearchOptions",
    "Status",
    "Traces",
    "__version__",
    "attributions",
    "check_model",
    "data",
    "metrics",
    "presets",
    "progress_bar",
    "prototypes",
    "solvers",
]
