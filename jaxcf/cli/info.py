"""`jaxcf info`: versions, devices and data sets; or what a run or a file holds."""

import argparse
import platform
from importlib.metadata import version as installed_version

import jax

from jaxcf import data, models
from jaxcf.cli.dataset_models import guide_document, guide_rows
from jaxcf.cli.run_folder import EXPLANATION_FORMATS, RUN, read_explanations, read_run
from jaxcf.cli.shared import summary_rows
from jaxcf.cli.terminal import Outcome, Terminal
from jaxcf.models.guides import GUIDE_FORMAT
from jaxcf.utils.array_files import read_metadata
from jaxcf.version import __version__

_PACKAGES = ("jax", "flax", "optax", "numpy", "scikit-learn", "tensorflow-datasets")


def info(options: argparse.Namespace, terminal: Terminal) -> Outcome:
    """Say what there is, or what a run or a file holds."""
    if options.path is None:
        return _environment()
    if options.path.is_dir():
        run = read_run(options.path)
        return Outcome(
            run.explanations.summary()
            | {RUN: run.id, "settings": run.config["settings"], "out": str(options.path)},
            {str(options.path): summary_rows(run.core), "settings": run.config["settings"]},
        )
    holds = read_metadata(options.path).get("format")
    if holds == GUIDE_FORMAT:
        guide = models.load_guide(options.path)
        return Outcome(guide_document(guide), {str(options.path): guide_rows(guide)})
    if holds in EXPLANATION_FORMATS:
        explanations = read_explanations(options.path)
        rows = summary_rows(explanations.core)
        return Outcome(explanations.summary(), {str(options.path): rows})
    metadata = models.load_models(options.path).metadata
    return Outcome(metadata, {str(options.path): metadata})


def _environment() -> Outcome:
    versions = {"jaxcf": __version__, "python": platform.python_version()}
    versions |= {name: installed_version(name) for name in _PACKAGES}
    lists = {
        "devices": [device.device_kind for device in jax.devices()],
        "data sets": list(data.available()),
        "shipped weights": list(models.pretrained_names()),
        "shipped guides": list(models.pretrained_guide_names()),
    }
    document = {"versions": versions} | {key.replace(" ", "_"): one for key, one in lists.items()}
    return Outcome(
        document, {"jaxcf": versions | {key: ", ".join(one) for key, one in lists.items()}}
    )
