"""`jaxcf train`: classifier, autoencoder and class autoencoders of a data set, to one file."""

import argparse
from pathlib import Path

from jaxcf import models
from jaxcf.cli.command import check_free
from jaxcf.cli.dataset_models import check_name, load_data, train_models
from jaxcf.cli.terminal import Outcome, Terminal


def train(options: argparse.Namespace, terminal: Terminal) -> Outcome:
    """Train the models of a data set."""
    check_name(options.data)
    out = options.out or Path("models") / f"{options.data}.npz"
    check_free(out, overwrite=options.overwrite)
    dataset = load_data(options.data, options.data_dir, terminal)
    model_set = train_models(dataset, options.seed, terminal)
    models.save_models(out, model_set)
    return Outcome(
        dict(model_set.metadata) | {"out": str(out)},
        {f"{dataset.name} models": model_set.metadata},
        (f"written to {out}",),
    )
