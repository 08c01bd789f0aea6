"""The data sets with networks of their own, as commands load, train and score them."""

import argparse
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from jaxcf import data, metrics, models
from jaxcf.cli.completion import data_names
from jaxcf.cli.terminal import Terminal
from jaxcf.data import Dataset
from jaxcf.explainers.presets import GUIDED_PRESETS
from jaxcf.models import GuideNetwork, ModelSet
from jaxcf.models.networks.registry import Classifier, instance_shape
from jaxcf.results.explanations import Explanations
from jaxcf.utils.files import check_writable
from jaxcf.utils.spelling import did_you_mean

NO_GUIDE = "none"
"""Asks for none on the command line."""

MODELS = Path("models")
"""The folder that weights are kept in."""


def check_name(name: str, *, tables: bool) -> None:
    """Raise if there is no data set of that name; `tables` says whether those may be named, too."""
    names = data_names() if tables else data.available()
    if name not in names:
        besides = ", or the path of a table, which ends in .csv or .tsv" if tables else ""
        raise ValueError(
            f"there is no data set {name!r}{did_you_mean(name, names)} here; expected one of "
            f"{', '.join(names)}{besides}"
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
            loaded.classifier,
            f"the models of {options.models}",
            dataset.name,
            tuple(dataset.shape),
            dataset.num_classes,
        )
        return loaded, str(options.models)
    if dataset.name in models.pretrained_names():
        return models.pretrained(dataset.name), "shipped"
    kept = models_path(dataset.name)
    if not kept.exists():
        check_writable(kept)
        terminal.say(f"no weights for {dataset.name} yet: training, to be kept in {kept}")
        models.save_models(kept, train_models(dataset, options.seed, terminal))
    return models.load_models(kept), str(kept)


def check_fit(
    classifier: Classifier, which: str, what: str, shape: tuple[int, ...], num_classes: int
) -> None:
    """Check that models take the rows that they are to be asked about.

    Args:
        classifier: the one among them.
        which: models they are, for the message.
        what: the rows are, likewise.
        shape: of one row.
        num_classes: how many classes there are.

    Raises:
        ValueError: if they take others.
    """
    takes, classes = instance_shape(classifier), classifier.num_classes
    if (takes, classes) != (shape, num_classes):
        raise ValueError(
            f"{which} take rows of shape {takes} to {classes} classes; {what} has "
            f"rows of shape {shape} and {num_classes} classes"
        )


def models_path(name: str) -> Path:
    """Where the models of a data set are kept."""
    return MODELS / f"{name}.npz"


def guide_path(name: str) -> Path:
    """Where the guide of a data set is kept."""
    return MODELS / f"{name}-guide.npz"


def find_guide(dataset: Dataset) -> tuple[GuideNetwork, str] | None:
    """The guide of a data set, and where it comes from: a file of the folder, or shipped.

    Args:
        dataset: the data set.

    Returns:
        None where there is neither.

    Raises:
        ValueError: if the file is damaged or something else, or of other rows or classes.
    """
    kept = guide_path(dataset.name)
    if kept.exists():
        return _fitting(models.load_guide(kept), str(kept), dataset)
    if dataset.name in models.pretrained_guide_names():
        return _fitting(models.pretrained_guide(dataset.name), "shipped", dataset)
    return None


def _fitting(guide: GuideNetwork, origin: str, dataset: Dataset) -> tuple[GuideNetwork, str]:
    """The guide and where it comes from, checked to take the rows of a data set."""
    shape = tuple(dataset.shape)
    check_fit(guide.network, f"guides of {origin}", dataset.name, shape, dataset.num_classes)
    return guide, origin


def chosen_guide(
    asked: Path | None, preset: str | None, dataset: Dataset
) -> tuple[GuideNetwork, str] | None:
    """The guide that a command asks for, and where it comes from.

    Args:
        asked: "none", a file, or None for the data set's own where the settings go with one.
        preset: the named settings; None for the usual ones.
        dataset: the data set.

    Returns:
        None where the model is to be explained alone.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged or something else, or of other rows or classes.
    """
    if str(asked) == NO_GUIDE or (asked is None and preset not in (None, *GUIDED_PRESETS)):
        return None
    if asked is None:
        return find_guide(dataset)
    return _fitting(models.load_guide(asked), str(asked), dataset)


def train_models(dataset: Dataset, seed: int, terminal: Terminal) -> ModelSet:
    """Train them, with a bar."""
    with terminal.training() as on_progress:
        return models.train_models(dataset, seed=seed, on_progress=on_progress)


def train_guide(dataset: Dataset, seed: int, terminal: Terminal, *, quick: bool) -> GuideNetwork:
    """Train a guide, with a bar."""
    with terminal.training() as on_progress:
        return models.train_guide(dataset, seed=seed, quick=quick, on_progress=on_progress)


def guide_document(guide: GuideNetwork) -> dict[str, Any]:
    """All that is known of a guide, as plain values."""
    known = {one.name: getattr(guide, one.name) for one in fields(guide)}
    del known["network"]
    return known


def guide_rows(guide: GuideNetwork) -> dict[str, str]:
    """What a guide is worth, for the terminal."""
    return {
        "accuracy": f"{guide.accuracy:.3f}",
        "accuracy, moved against it": f"{guide.robust_accuracy:.3f} (L2 up to {guide.radius:.2f})",
        "confidence": f"{guide.confidence:.4f}",
        **guide.metadata,
    }


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
