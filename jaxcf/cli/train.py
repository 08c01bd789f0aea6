"""`jaxcf train`: the models of a data set, or a guide for its searches, to one file."""

import argparse

from jaxcf import models
from jaxcf.cli.dataset_models import (
    check_name,
    guide_document,
    guide_path,
    guide_rows,
    load_data,
    models_path,
    train_guide,
    train_models,
)
from jaxcf.cli.shared import check_free
from jaxcf.cli.terminal import Outcome, Terminal


def train(options: argparse.Namespace, terminal: Terminal) -> Outcome:
    """Train the models of a data set, or a guide."""
    check_name(options.data, tables=False)
    if options.quick and not options.guide:
        raise ValueError("--quick is for guides alone; pass --guide as well, or leave it out")
    out = options.out or (guide_path if options.guide else models_path)(options.data)
    check_free(out, overwrite=options.overwrite)
    dataset = load_data(options.data, options.data_dir, terminal)
    if options.guide:
        guide = train_guide(dataset, options.seed, terminal, quick=options.quick)
        models.save_guide(out, guide)
        document, rows, title = guide_document(guide), guide_rows(guide), guide.name
    else:
        model_set = train_models(dataset, options.seed, terminal)
        models.save_models(out, model_set)
        document = rows = model_set.metadata
        title = f"{dataset.name} models"
    return Outcome(dict(document) | {"out": str(out)}, {title: rows}, (f"written to {out}",))
