"""Counterfactual explanations guided by class prototypes, for a whole test set in one call.

Names are imported when they are first used: `import jaxcf` doesn't wait for JAX.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from jaxcf.results.accessors import register_accessor
from jaxcf.version import __version__

if TYPE_CHECKING:
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
    from jaxcf.predictors.preprocess import Preprocess
    from jaxcf.prototypes import KDTree, KMeans, NearestMean
    from jaxcf.results.explanations import Explanations
    from jaxcf.results.traces import Traces
    from jaxcf.search.options import EngineOptions, SearchOptions
    from jaxcf.search.status import Status

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
    "Preprocess",
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

_MODULES = {
    "attributions": "jaxcf.attributions",
    "data": "jaxcf.data",
    "jobs": "jaxcf.jobs",
    "metrics": "jaxcf.metrics",
    "models": "jaxcf.models",
    "plots": "jaxcf.plots",
    "presets": "jaxcf.explainers.presets",
    "prototypes": "jaxcf.prototypes",
    "report": "jaxcf.report",
    "solvers": "jaxcf.solvers",
    "tabular": "jaxcf.tabular",
}
"""Public modules by name, with where they lie."""

_DEFINED_IN = {
    "BlackBox": "jaxcf.predictors.blackbox",
    "Candidate": "jaxcf.objective",
    "CentralDifferences": "jaxcf.predictors.jacobians",
    "check_model": "jaxcf.predictors.checks",
    "Constraints": "jaxcf.constraints",
    "EngineOptions": "jaxcf.search.options",
    "ExactJacobian": "jaxcf.predictors.jacobians",
    "Explainer": "jaxcf.explainers.explainer",
    "ExplanationInterrupted": "jaxcf.explainers.run",
    "Explanations": "jaxcf.results.explanations",
    "FittedExplainer": "jaxcf.explainers.fitted",
    "Guide": "jaxcf.predictors.guides",
    "KDTree": "jaxcf.prototypes",
    "KMeans": "jaxcf.prototypes",
    "NearestMean": "jaxcf.prototypes",
    "Objective": "jaxcf.objective",
    "Preprocess": "jaxcf.predictors.preprocess",
    "Progress": "jaxcf.explainers.progress",
    "progress_bar": "jaxcf.explainers.progress",
    "RandomDirections": "jaxcf.predictors.jacobians",
    "Refinement": "jaxcf.explainers.refinement",
    "SearchOptions": "jaxcf.search.options",
    "Status": "jaxcf.search.status",
    "Traces": "jaxcf.results.traces",
}
"""Other public names, with the modules that they are imported from."""


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value = import_module(_MODULES[name])
    elif name in _DEFINED_IN:
        value = getattr(import_module(_DEFINED_IN[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
