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
from jaxcf.models.networks.registry import instance_shape
from jaxcf.results.explanations import Explanations
from jaxcf.utils import storage
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
        loaded = models.load_models(options.models)
        check_fit(
            loaded, str(options.models), dataset.name, tuple(dataset.shape), dataset.num_classes
        )
        return loaded, str(options.models)
    if dataset.name in models.pretrained_names():
        return models.pretrained(dataset.name), "shipped"
    kept = Path("models") / f"{dataset.name}.npz"
    if not kept.exists():
        storage.check_writable(kept)
        terminal.say(f"no weights for {dataset.name} yet: training, to be kept in {kept}")
        models.save_models(kept, train_models(dataset, options.seed, terminal))
    return models.load_models(kept), str(kept)


def check_fit(
    model_set: ModelSet, origin: str, what: str, shape: tuple[int, ...], num_classes: int
) -> None:
    """Check that models take the rows that they are to be asked about.

    Args:
        model_set: the models.
        origin: where they come from, for the message.
        what: the rows are, likewise.
        shape: of one row.
        num_classes: how many classes there are.

    Raises:
        ValueError: if they take others.
    """
    takes, classes = instance_shape(model_set.classifier), model_set.classifier.num_classes
    if (takes, classes) != (shape, num_classes):
        raise ValueError(
            f"the models of {origin} take rows of shape {takes} to {classes} classes; {what} has "
            f"rows of shape {shape} and {num_classes} classes"
        )


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
