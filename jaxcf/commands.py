"""What the commands of the command line do."""

import argparse
import platform
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxcf import data, metrics, models, presets, prototypes, storage, table_commands
from jaxcf.command_parts import (
    EXIT_INTERRUPTED,
    Outcome,
    asked,
    changed_search,
    nearest,
    run_outcome,
    summary_rows,
)
from jaxcf.completion import DATA_NAMES
from jaxcf.data import Dataset
from jaxcf.detail_commands import write_details
from jaxcf.engine import EngineOptions
from jaxcf.explainer import Explainer
from jaxcf.explanations import Explanations
from jaxcf.judge_commands import find_judges, judge_rows, judged
from jaxcf.models import ModelSet
from jaxcf.run import ExplanationInterrupted
from jaxcf.run_folder import (
    EVALUATION_FILE,
    EXPLANATION_FORMATS,
    EXPLANATIONS_FILE,
    SUMMARY_FILE,
    core_of,
    free_folder,
    read_explanations,
    read_run,
    write_config,
)
from jaxcf.terminal import Terminal
from jaxcf.version import __version__

GRID_FILE = "grid.png"
_DEFAULT_OBJECTIVE = "D"
_PACKAGES = ("jax", "flax", "optax", "numpy", "scikit-learn", "tensorflow-datasets")


# --- explain -------------------------------------------------------------------------------


def explain(options: argparse.Namespace, terminal: Terminal) -> Outcome:
    """Explain the test split of a data set, or a table."""
    if table_commands.is_table(options.data):
        return table_commands.explain(options, terminal)
    _check_name(options.data)
    table_commands.refuse_table_options(options)
    options.objective = options.objective or _DEFAULT_OBJECTIVE
    began = time.perf_counter()
    dataset = _load_data(options.data, options.data_dir, terminal)
    if options.limit:
        dataset = dataset.first(test=options.limit)
    target = None if options.target is None else _class_number(options.target, dataset)
    models_began = time.perf_counter()
    model_set, models_from = _find_models(options, dataset, terminal)
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
    explanations = _with_interpretability(explanations, model_set)

    seconds = {"models": models_seconds} | dict(explanations.seconds)
    seconds["total"] = time.perf_counter() - began
    explanations = replace(explanations, seconds=seconds)
    out = options.out or free_folder(
        f"{dataset.name}-{options.objective}", new=options.config is not None
    )
    _write_run(out, explanations, dataset, _config(options, dataset, explanations, models_from))
    look_closer = partial(fitted.details, explanations, dataset.x_train, target=target)
    write_details(out, 0 if status else options.details, look_closer, terminal)
    title = f"{dataset.name}, objective {options.objective}"
    return run_outcome(out, explanations.summary(), title, summary_rows(explanations), status)


def _check_name(name: str) -> None:
    if name not in DATA_NAMES:
        raise ValueError(
            f"there is no data set {name!r}{nearest(name, DATA_NAMES)}; expected one of "
            f"{', '.join(DATA_NAMES)}, or the path of a table, which ends in .csv"
        )


def _load_data(name: str, data_dir: Path | None, terminal: Terminal) -> Dataset:
    terminal.say(f"loading {name}")
    return data.load(name, data_dir=data_dir)


def _class_number(text: str, dataset: Dataset) -> int:
    names = [str(name) for name in dataset.class_names]
    if text in names:
        return names.index(text)
    if text.isdigit() and int(text) < len(names):
        return int(text)
    raise ValueError(
        f"--target {text!r} is no class of {dataset.name}; its classes are {', '.join(names)}"
    )


def _find_models(
    options: argparse.Namespace, dataset: Dataset, terminal: Terminal
) -> tuple[ModelSet, str]:
    if options.models is not None:
        return models.load_models(options.models), str(options.models)
    if dataset.name in models.pretrained_names():
        return models.pretrained(dataset.name), "shipped"
    kept = Path("models") / f"{dataset.name}.npz"
    if not kept.exists():
        terminal.say(f"no weights for {dataset.name} yet: training, to be kept in {kept}")
        models.save_models(kept, _train_models(dataset, options.seed, terminal))
    return models.load_models(kept), str(kept)


def _train_models(dataset: Dataset, seed: int, terminal: Terminal) -> ModelSet:
    with terminal.training() as on_progress:
        return models.train_models(dataset, seed=seed, on_progress=on_progress)


def _explainer(options: argparse.Namespace, model_set: ModelSet, dataset: Dataset) -> Explainer:
    settings = presets.named(options.preset, options.objective)
    if options.prototypes is not None or options.k is not None:
        kind = {} if options.k is None else {"k": options.k}
        kind |= {"seed": options.seed} if options.prototypes == "kmeans" else {}
        settings["prototypes"] = prototypes.named(options.prototypes or "nearest", **kind)
    in_input_space = getattr(settings.get("prototypes"), "in_input_space", False)
    functions = model_set.functions(latent_prototypes=not in_input_space)
    settings["search"] = changed_search(options, settings["search"])
    if dataset.kind == "image":
        settings["feature_range"] = (0.0, 1.0)
    return Explainer(**functions, **settings, engine=EngineOptions(lanes=options.lanes))


def _with_interpretability(
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


def _write_run(
    out: Path, explanations: Explanations, dataset: Dataset, config: Mapping[str, Any]
) -> None:
    from jaxcf import plots

    explanations.save(out / EXPLANATIONS_FILE)
    write_config(out, config)
    storage.write_json(out / SUMMARY_FILE, explanations.summary())
    axes = explanations.plot(class_names=dataset.class_names, feature_names=dataset.feature_names)
    plots.save(axes, out / GRID_FILE)


# --- evaluate ------------------------------------------------------------------------------


def evaluate(options: argparse.Namespace, terminal: Terminal) -> Outcome:
    """Ask the models of a run again."""
    run = read_run(options.run)
    config = run.config
    name, models_from = config["data"]["name"], config["models"]
    accuracies = {}
    if options.judges:
        data_dir = options.data_dir or config["command"].get("data_dir")
        judges = find_judges(name, run.core.original.shape[1:], data_dir, terminal)
        run = replace(run, explanations=judged(run.core, judges))
        accuracies = {judge.name: judge.accuracy for judge in judges}
    if config["data"].get("kind") == table_commands.KIND:
        raise ValueError(
            f"{options.run} explains a table, whose metrics are in its {SUMMARY_FILE} already; "
            "`jaxcf evaluate` is for the data sets with networks of their own"
        )
    model_set = (
        models.pretrained(name) if models_from == "shipped" else models.load_models(models_from)
    )
    explanations = _with_interpretability(run.core, model_set, options.eps)
    found = explanations.found
    num_classes = explanations.probabilities.shape[1]
    recorded = np.eye(num_classes, dtype=bool)[explanations.counterfactual_class[found]]
    still = metrics.validity(model_set.predict, explanations.counterfactual[found], recorded)
    summary = explanations.summary() | {
        "im_eps": options.eps,
        "confirmed": int(still.sum()),
        "validity": float(still.sum() / len(explanations)) if len(explanations) else None,
    }
    rows = {
        "confirmed": f"{summary['confirmed']} of {summary['found']} found, of {summary['n']} in all"
    }
    files = [EVALUATION_FILE]
    if options.judges:
        summary["judges"] = accuracies
        rows |= judge_rows(summary)
        run.core.save(options.run / EXPLANATIONS_FILE)
        files.append(EXPLANATIONS_FILE)
    storage.write_json(options.run / EVALUATION_FILE, summary)
    return Outcome(
        summary | {"out": str(options.run), "files": files},
        {f"{name}: predicted again": rows | summary_rows(explanations)},
        (f"written to {options.run}/: {', '.join(files)}",),
    )


# --- train and info ------------------------------------------------------------------------


def train(options: argparse.Namespace, terminal: Terminal) -> Outcome:
    """Train the models of a data set."""
    dataset = _load_data(options.data, options.data_dir, terminal)
    model_set = _train_models(dataset, options.seed, terminal)
    out = options.out or Path("models") / f"{dataset.name}.npz"
    models.save_models(out, model_set)
    return Outcome(
        dict(model_set.metadata) | {"out": str(out)},
        {f"{dataset.name} models": model_set.metadata},
        (f"written to {out}",),
    )


def info(options: argparse.Namespace, terminal: Terminal) -> Outcome:
    """Say what there is, or what a run or a file holds."""
    if options.path is None:
        return _environment()
    if options.path.is_dir():
        run = read_run(options.path)
        return Outcome(
            run.explanations.summary()
            | {"settings": run.config["settings"], "out": str(options.path)},
            {str(options.path): summary_rows(run.core), "settings": run.config["settings"]},
        )
    if storage.read_metadata(options.path).get("format") in EXPLANATION_FORMATS:
        explanations = read_explanations(options.path)
        rows = summary_rows(core_of(explanations))
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
    }
    document = {"versions": versions} | {key.replace(" ", "_"): one for key, one in lists.items()}
    return Outcome(
        document, {"jaxcf": versions | {key: ", ".join(one) for key, one in lists.items()}}
    )
