"""Explainers for the experiments: fitted once per set of models, then put under any objective."""

from dataclasses import replace
from typing import Any

from benchmarks.common import with_search
from jaxcf import Explainer, FittedExplainer, presets
from jaxcf.data import Dataset
from jaxcf.models import ModelSet


def fit(model_set: ModelSet, dataset: Dataset, **settings: Any) -> FittedExplainer:
    """An explainer of the model set for images in [0, 1], with its prototypes.

    Args:
        model_set: what is explained.
        dataset: whose training rows the prototypes are made of.
        **settings: arguments of `Explainer`, such as a preset.

    Returns:
        An explainer whose prototypes lie in latent space, unless their kind lies in input space.
    """
    in_input_space = getattr(settings.get("prototypes"), "in_input_space", False)
    functions = model_set.functions(latent_prototypes=not in_input_space)
    explainer = Explainer(**functions, **settings, feature_range=(0.0, 1.0))
    return explainer.fit(dataset.x_train)


def under(
    fitted: FittedExplainer, preset: str | None, letter: str, **search: Any
) -> FittedExplainer:
    """The same explainer, its prototypes included, under an objective and a preset's search.

    Args:
        fitted: by `fit`; its prototypes don't depend on the objective.
        preset: a name, or None for jaxcf's own settings.
        letter: of the objective, "A" to "F".
        **search: other options of the search than the preset's, such as `record_history=True`.

    Returns:
        The explainer.
    """
    settings = presets.named(preset, letter)
    objective = settings["objective"]
    searching = with_search(fitted, replace(settings["search"], **search))
    options = replace(searching.options, objective=objective)
    return replace(searching, options=options, objective=objective)
