"""`jaxcf evaluate`: a run's models asked again, and judges that never guided its search."""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from jaxcf import data, metrics, models
from jaxcf.cli.dataset_models import check_fit, with_interpretability
from jaxcf.cli.run_folder import (
    EVALUATION_FILE,
    EXPLANATIONS_FILE,
    RUN,
    SUMMARY_FILE,
    read_run,
)
from jaxcf.cli.shared import summary_rows
from jaxcf.cli.terminal import Outcome, Terminal
from jaxcf.models import Judge
from jaxcf.models.networks.registry import instance_shape
from jaxcf.results.explanations import Explanations
from jaxcf.utils.files import check_writable
from jaxcf.utils.json_files import write_json
from jaxcf.utils.numbers import check_number

ORACLE, STAYS_ORIGINAL = "oracle", "stays_original"


def find_judges(
    name: str, shape: tuple[int, ...], data_dir: str | Path | None, terminal: Terminal
) -> tuple[Judge, ...]:
    """The judges of a data set: kept in the folder `models`, or trained now.

    Args:
        name: of the data set.
        shape: of one instance.
        data_dir: where the data lies, if they must be trained.
        terminal: for progress.

    Returns:
        The judges.

    Raises:
        ValueError: if it is no data set of images, or the kept judges are of others.
    """
    if len(shape) != 3:
        raise ValueError(
            f"{name} has no judges: they are networks of images, for digits, mnist, cifar10 and "
            f"caltech101, and its rows have shape {shape}; leave --judges out"
        )
    path = Path("models") / f"{name}-judges.npz"
    if not path.exists():
        check_writable(path)
        terminal.say(f"no judges of {name} yet: training, to be kept in {path}")
    with terminal.training() as on_progress:
        judges = models.kept_judges(
            path, lambda: data.load(name, data_dir=data_dir), on_progress=on_progress
        )
    for judge in judges:
        takes = instance_shape(judge.network)
        if takes != shape:
            raise ValueError(
                f"the judges of {path} take rows of shape {takes}; those of {name} have {shape}"
            )
    return judges


def check_never_guided(judges: tuple[Judge, ...], settings: Mapping[str, Any]) -> None:
    """Check that no judge took part in the search.

    Args:
        judges: of the run's data set.
        settings: of the run.

    Raises:
        ValueError: if one was a guide of it.
    """
    guides = settings.get("guides")
    known = guides.get("fingerprint") if isinstance(guides, dict) else None
    names = {one: name for name, one in known.items()} if isinstance(known, dict) else {}
    for judge in judges:
        if judge.fingerprint in names:
            raise ValueError(
                f"the judge {judge.name!r} guided this run, as {names[judge.fingerprint]!r}: what "
                "it had to agree to, it can't judge; take it out of the judges' file, move the "
                "file away so that others are trained, or explain with another guide"
            )


def judged(explanations: Explanations, judges: tuple[Judge, ...]) -> Explanations:
    """With the shares of judges that read the new and the original class as scores.

    Args:
        explanations: of images.
        judges: at least one.

    Returns:
        The explanations with "oracle" and "stays_original", NaN where nothing was found.
    """
    found = explanations.found
    said = metrics.verdicts(
        {judge.name: judge.predict for judge in judges},
        explanations.counterfactual[found],
        explanations.original_class[found],
        explanations.counterfactual_class[found],
    )
    oracle, stays_original = np.full((2, len(found)), np.nan, np.float32)
    oracle[found], stays_original[found] = said.oracle_score, said.stays_original
    return explanations.with_scores(**{ORACLE: oracle, STAYS_ORIGINAL: stays_original})


def judge_rows(summary: Mapping[str, Any]) -> dict[str, str]:
    """What they say and how good they are, for the terminal."""

    def percent(share: float | None) -> str:
        return "-" if share is None else f"{100 * share:.1f} %"

    return {
        "judges read the new class": percent(summary[ORACLE]),
        "judges read the original class": percent(summary[STAYS_ORIGINAL]),
        "accuracy of the judges": ", ".join(
            f"{name} {accuracy:.3f}" for name, accuracy in summary["judges"].items()
        ),
    }


def evaluate(options: argparse.Namespace, terminal: Terminal) -> Outcome:
    """Ask the models of a run again."""
    check_number("--eps", options.eps, above=0)
    check_writable(options.run / EVALUATION_FILE)
    run = read_run(options.run)
    config = run.config
    if run.is_table:
        raise ValueError(
            f"{options.run} explains a table, whose metrics are in its {SUMMARY_FILE} already; "
            "`jaxcf evaluate` is for the data sets with networks of their own"
        )
    name, models_from = str(config["data"].get("name", options.run.name)), config["models"]
    shape, num_classes = run.core.original.shape[1:], run.core.probabilities.shape[1]
    model_set = (
        models.pretrained(name) if models_from == "shipped" else models.load_models(models_from)
    )
    which = f"the models of {models_from}"
    check_fit(model_set.classifier, which, str(options.run), shape, num_classes)
    accuracies = {}
    if options.judges:
        data_dir = options.data_dir or config["command"].get("data_dir")
        judges = find_judges(name, shape, data_dir, terminal)
        check_never_guided(judges, run.core.settings)
        run = replace(run, explanations=judged(run.core, judges))
        accuracies = {judge.name: judge.accuracy for judge in judges}
    explanations = with_interpretability(run.core, model_set, options.eps)
    found = explanations.found
    recorded = np.eye(num_classes, dtype=bool)[explanations.counterfactual_class[found]]
    still = metrics.validity(model_set.predict, explanations.counterfactual[found], recorded)
    confirmed = explanations.counts._replace(found=int(still.sum()))
    summary = explanations.summary() | {
        "im_eps": options.eps,
        "confirmed": confirmed.found,
        "validity": confirmed.share,
    }
    rows = {
        "confirmed": f"{confirmed.found} of {summary['found']} found, of {summary['needed']} that "
        "needed one"
    }
    files = [EVALUATION_FILE]
    if options.judges:
        summary["judges"] = accuracies
        rows |= judge_rows(summary)
        run.core.save(options.run / EXPLANATIONS_FILE, run=run.id)
        files.append(EXPLANATIONS_FILE)
    summary = {RUN: run.id, **summary}
    write_json(options.run / EVALUATION_FILE, summary)
    return Outcome(
        summary | {"out": str(options.run), "files": files},
        {f"{name}: predicted again": rows | summary_rows(explanations)},
        (f"written to {options.run}/: {', '.join(files)}",),
    )
