"""`jaxcf train`: classifier, autoencoder and class autoencoders of a data set, to one file."""

import argparse
from pathlib import Path

from jaxcf import models
from jaxcf.cli.dataset_models import load_data, train_models
from jaxcf.cli.terminal import Outcome, Terminal


def train(options: argparse.Namespace, terminal: Terminal) -> Outcome:
    """Train the models of a data set."""
    dataset = load_data(options.data, options.data_dir, terminal)
    model_set = train_models(dataset, options.seed, terminal)
    out = options.out or Path("models") / f"{dataset.name}.npz"
    models.save_models(out, model_set)
    return Outcome(
        dict(model_set.metadata) | {"out": str(out)},
        {f"{dataset.name} models": model_set.metadata},
        (f"written to {out}",),
    )
