"""The data sets with networks of their own, as commands load, train and score them."""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from jaxcf import data, metrics, models
from jaxcf.cli.completion import DATA_NAMES
from jaxcf.cli.terminal import Terminal
from jaxcf.data import Dataset
from jaxcf.models import ModelSet
from jaxcf.results.explanations import Explanations
from jaxcf.utils.validation import did_you_mean


def check_name(name: str) -> None:
    """Raise if there is no data set of that name."""
    if name not in DATA_NAMES:
        raise ValueError(
            f"there is no data set {name!r}{did_you_mean(name, DATA_NAMES)}; expected one of "
            f"{', '.join(DATA_NAMES)}, or the path of a table, which ends in .csv or .tsv"
        )


def load_data(name: str, data_dir: Path | None, terminal: Terminal) -> Dataset:
    """Load a data set by its name."""
    terminal.say(f"loading {name}")
    return data.load(name, data_dir=data_dir)


def find_models(
    options: argparse.Namespace, dataset: Dataset, terminal: Terminal
) -> tuple[ModelSet, str]:
    """The models of a data set, and where they come from: a file, shipped, kept or trained now."""
    if options.models is not None:
        return models.load_models(options.models), str(options.models)
    if dataset.name in models.pretrained_names():
        return models.pretrained(dataset.name), "shipped"
    kept = Path("models") / f"{dataset.name}.npz"
    if not kept.exists():
        terminal.say(f"no weights for {dataset.name} yet: training, to be kept in {kept}")
        models.save_models(kept, train_models(dataset, options.seed, terminal))
    return models.load_models(kept), str(kept)


def train_models(dataset: Dataset, seed: int, terminal: Terminal) -> ModelSet:
    """Train them, with a bar."""
    with terminal.training() as on_progress:
        return models.train_models(dataset, seed=seed, on_progress=on_progress)


def with_interpretability(
    explanations: Explanations, model_set: ModelSet, eps: float = 1e-8
) -> Explanations:
    """IM1 and IM2 of the found rows; NaN elsewhere, so that no failure has a score."""
    found = explanations.found
    im1, im2 = np.full((2, len(found)), np.nan, np.float32)
    im1[found], im2[found] = metrics.interpretability(
        explanations.counterfactual[found],
        explanations.original_class[found],
        explanations.counterfactual_class[found],
        reconstruct=model_set.reconstruct,
        class_reconstruct=model_set.class_reconstruct(),
        eps=eps,
    )
    settings = dict(explanations.settings) | {"im_eps": eps}
    return replace(explanations.with_scores(im1=im1, im2=im2), settings=settings)
