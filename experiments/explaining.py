"""Explainers for the experiments: fitted once per set of models, then put under any objective."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxcf import Explainer, Explanations, FittedExplainer, presets
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
    return fitted.with_options(
        objective=settings["objective"], search=replace(settings["search"], **search)
    )


def explain_or_load(
    fitted: FittedExplainer,
    x: np.ndarray,
    path: Path | None,
    model_set: ModelSet,
) -> Explanations:
    """Explain rows, or read what an interrupted run explained, so that hours aren't lost.

    Args:
        fitted: by `fit` or `under`.
        x: `[n, *shape]`.
        path: where explanations are kept; None keeps nothing.
        model_set: what is explained, to tell whether the kept ones are of the same.

    Returns:
        The explanations, with the seconds that they took when they were made; among these
        "processor", those of all cores together with compiling, which other work on the machine
        hardly changes.

    Raises:
        ValueError: if the file holds explanations of other rows, settings or models.
    """
    if path is None or not path.exists():
        began = time.process_time()
        explanations = fitted.explain(x)
        seconds = dict(explanations.seconds) | {"processor": time.process_time() - began}
        explanations = replace(explanations, seconds=seconds)
        if path is not None:
            explanations.save(path)
        return explanations
    explanations = Explanations.load(path)
    few = slice(0, 100)
    probabilities = jax.nn.softmax(model_set.predict(x[few]))
    same = (
        all(
            explanations.settings.get(key) == value for key, value in fitted.method_settings.items()
        )
        and np.array_equal(explanations.original, x)
        and np.allclose(explanations.original_probabilities[few], probabilities, atol=1e-4)
    )
    if not same:
        raise ValueError(
            f"{path} holds explanations of other rows, settings or models than these; "
            "remove it, or keep these in another folder"
        )
    return explanations
