"""`jaxcf explain` for the data sets with networks of their own; tables go on to `explain_table`."""

import argparse
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from jaxcf.cli import explain_table
from jaxcf.cli.command import (
    EXIT_INTERRUPTED,
    asked,
    changed_search,
    chosen_prototypes,
    run_outcome,
    summary_rows,
)
from jaxcf.cli.dataset_models import check_name, find_models, load_data, with_interpretability
from jaxcf.cli.run_folder import (
    EXPLANATIONS_FILE,
    SUMMARY_FILE,
    free_folder,
    write_config,
    write_traces,
)
from jaxcf.cli.terminal import Outcome, Terminal
from jaxcf.data import Dataset
from jaxcf.explainers import presets
from jaxcf.explainers.explainer import Explainer
from jaxcf.explainers.run import ExplanationInterrupted
from jaxcf.models import ModelSet
from jaxcf.results.explanations import Explanations
from jaxcf.search.options import EngineOptions
from jaxcf.utils import storage
from jaxcf.utils.interrupts import Interrupts

GRID_FILE = "grid.png"

_DEFAULT_OBJECTIVE = "D"


def explain(options: argparse.Namespace, terminal: Terminal) -> Outcome:
    """Explain the test split of a data set, or a table."""
    if explain_table.is_table(options.data):
        return explain_table.explain(options, terminal)
    check_name(options.data)
    explain_table.refuse_table_options(options)
    options.objective = options.objective or _DEFAULT_OBJECTIVE
    began = time.perf_counter()
    dataset = load_data(options.data, options.data_dir, terminal)
    if options.limit:
        dataset = dataset.first(test=options.limit)
    target = None if options.target is None else _class_number(options.target, dataset)
    models_began = time.perf_counter()
    model_set, models_from = find_models(options, dataset, terminal)
    models_seconds = time.perf_counter() - models_began

    explainer = _explainer(options, model_set, dataset)
    terminal.say(f"fitting prototypes on {len(dataset.x_train)} training rows")
    fitted = explainer.fit(dataset.x_train)
    terminal.say(f"explaining {len(dataset.x_test)} rows (compiling first)")
    status = 0
    try:
        explanations = fitted.explain(
            dataset.x_test, target=target, on_progress=terminal.progress_bar()
        )
    except ExplanationInterrupted as interrupted:
        explanations, status = interrupted.explanations, EXIT_INTERRUPTED
    if not status:
        try:
            explanations = with_interpretability(explanations, model_set)
        except KeyboardInterrupt:
            status = EXIT_INTERRUPTED

    seconds = {"models": models_seconds} | dict(explanations.seconds)
    seconds["total"] = time.perf_counter() - began
    explanations = replace(explanations, seconds=seconds)
    out = options.out or free_folder(
        f"{dataset.name}-{options.objective}", new=options.config is not None
    )
    with Interrupts() as interrupts:  # a second Ctrl-C loses nothing either
        _write_run(out, explanations, _config(options, dataset, explanations, models_from))
    interrupts.check()
    _draw_run(out, explanations, dataset)
    trace = partial(fitted.trace, explanations, dataset.x_train, target=target)
    write_traces(out, 0 if status else options.details, trace, terminal)
    title = f"{dataset.name}, objective {options.objective}"
    return run_outcome(out, explanations.summary(), title, summary_rows(explanations), status)


def _class_number(text: str, dataset: Dataset) -> int:
    names = [str(name) for name in dataset.class_names]
    if text in names:
        return names.index(text)
    if text.isdigit() and int(text) < len(names):
        return int(text)
    raise ValueError(
        f"--target {text!r} is no class of {dataset.name}; its classes are {', '.join(names)}"
    )


def _explainer(options: argparse.Namespace, model_set: ModelSet, dataset: Dataset) -> Explainer:
    settings = presets.named(options.preset, options.objective)
    kind = chosen_prototypes(options, "nearest")
    if kind is not None:
        settings["prototypes"] = kind
    in_input_space = getattr(settings.get("prototypes"), "in_input_space", False)
    functions = model_set.functions(latent_prototypes=not in_input_space)
    settings["search"] = changed_search(options, settings["search"])
    if dataset.kind == "image":
        settings["feature_range"] = (0.0, 1.0)
    return Explainer(**functions, **settings, engine=EngineOptions(lanes=options.lanes))


def _config(
    options: argparse.Namespace, dataset: Dataset, explanations: Explanations, models_from: str
) -> dict[str, Any]:
    return {
        "command": asked(options),
        "data": {
            "name": dataset.name,
            "train_rows": len(dataset.x_train),
            "test_rows": len(dataset.x_test),
            "classes": [str(name) for name in dataset.class_names],
            **_features(dataset),
        },
        "models": models_from,
        "settings": dict(explanations.settings),
    }


def _features(dataset: Dataset) -> dict[str, Any]:
    """Names and units of a table's columns: original = x * scale + offset."""
    if dataset.feature_names is None or dataset.offset is None or dataset.scale is None:
        return {}
    return {
        "features": [str(name) for name in dataset.feature_names],
        "offset": dataset.offset.tolist(),
        "scale": dataset.scale.tolist(),
    }


def _write_run(out: Path, explanations: Explanations, config: Mapping[str, Any]) -> None:
    explanations.save(out / EXPLANATIONS_FILE)
    write_config(out, config)
    storage.write_json(out / SUMMARY_FILE, explanations.summary())


def _draw_run(out: Path, explanations: Explanations, dataset: Dataset) -> None:
    from jaxcf import plots

    axes = plots.grid(
        explanations, class_names=dataset.class_names, feature_names=dataset.feature_names
    )
    plots.save(axes, out / GRID_FILE)
