"""What the commands of the command line do."""

import argparse
import platform
import time
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxcf import data, metrics, models, presets, prototypes, storage, table_commands
from jaxcf.cli import EXIT_INTERRUPTED
from jaxcf.command_parts import asked, changed_search, summary_rows
from jaxcf.data import Dataset
from jaxcf.engine import EngineOptions
from jaxcf.explainer import Explainer, ExplanationInterrupted
from jaxcf.explanations import Explanations
from jaxcf.models import ModelSet
from jaxcf.run_folder import (
    CONFIG_FILE,
    EXPLANATION_FORMATS,
    EXPLANATIONS_FILE,
    SUMMARY_FILE,
    core_of,
    read_explanations,
    read_run,
)
from jaxcf.terminal import Terminal
from jaxcf.version import __version__

GRID_FILE = "grid.png"
EVALUATION_FILE = "evaluation.json"
_DEFAULT_OBJECTIVE = "D"


def run(options: argparse.Namespace) -> int:
    """Run the command that was parsed; return the exit status."""
    return _COMMANDS[options.command](options)


# --- explain -------------------------------------------------------------------------------


def _explain(options: argparse.Namespace) -> int:
    if table_commands.is_table(options.data):
        return table_commands.explain(options, Terminal(quiet=options.quiet))
    table_commands.refuse_table_options(options)
    options.objective = options.objective or _DEFAULT_OBJECTIVE
    began = time.perf_counter()
    terminal = Terminal(quiet=options.quiet)
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
    with terminal.explaining(len(dataset.x_test)) as on_progress:
        try:
            explanations = fitted.explain(dataset.x_test, target=target, on_progress=on_progress)
        except ExplanationInterrupted as interrupted:
            explanations, status = interrupted.explanations, EXIT_INTERRUPTED
    explanations = _with_interpretability(explanations, model_set)

    seconds = {"models": models_seconds} | dict(explanations.seconds)
    seconds["total"] = time.perf_counter() - began
    explanations = replace(explanations, seconds=seconds)
    out = options.out or Path("runs") / f"{dataset.name}-{options.objective}"
    _write_run(out, explanations, dataset, _config(options, dataset, explanations, models_from))
    terminal.table(f"{dataset.name}, objective {options.objective}", summary_rows(explanations))
    if status == EXIT_INTERRUPTED:
        terminal.say("interrupted: what was finished is kept")
    terminal.say(f"written to {out}/: {', '.join(sorted(f.name for f in out.iterdir()))}")
    return status


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
        },
        "models": models_from,
        "settings": dict(explanations.settings),
    }


def _write_run(
    out: Path, explanations: Explanations, dataset: Dataset, config: Mapping[str, Any]
) -> None:
    from jaxcf import plots

    explanations.save(out / EXPLANATIONS_FILE)
    storage.write_json(out / CONFIG_FILE, config)
    storage.write_json(out / SUMMARY_FILE, explanations.summary())
    figure = plots.grid(
        explanations, class_names=dataset.class_names, feature_names=dataset.feature_names
    )
    storage.write_atomically(
        out / GRID_FILE, lambda file: figure.savefig(file, format="png", dpi=130)
    )


# --- evaluate ------------------------------------------------------------------------------


def _evaluate(options: argparse.Namespace) -> int:
    terminal = Terminal(quiet=options.quiet)
    run = read_run(options.run)
    config = run.config
    name, models_from = config["data"]["name"], config["models"]
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
    storage.write_json(options.run / EVALUATION_FILE, summary)
    rows = {
        "confirmed": f"{summary['confirmed']} of {summary['found']} found, of {summary['n']} in all"
    }
    terminal.table(f"{name}: predicted again", rows | summary_rows(explanations))
    return 0


# --- train and info ------------------------------------------------------------------------


def _train(options: argparse.Namespace) -> int:
    terminal = Terminal(quiet=options.quiet)
    dataset = _load_data(options.data, options.data_dir, terminal)
    model_set = _train_models(dataset, options.seed, terminal)
    out = options.out or Path("models") / f"{dataset.name}.npz"
    models.save_models(out, model_set)
    terminal.table(f"{dataset.name} models", model_set.metadata)
    terminal.say(f"written to {out}")
    return 0


def _info(options: argparse.Namespace) -> int:
    terminal = Terminal(quiet=False)
    if options.path is None:
        packages = ("jax", "flax", "optax", "numpy", "scikit-learn", "tensorflow-datasets")
        rows: dict[str, Any] = {"jaxcf": __version__, "python": platform.python_version()}
        rows |= {name: installed_version(name) for name in packages}
        rows["devices"] = ", ".join(f"{device.device_kind}" for device in jax.devices())
        rows["data sets"] = ", ".join(data.available())
        rows["shipped weights"] = ", ".join(models.pretrained_names())
        terminal.table("jaxcf", rows)
    elif options.path.is_dir():
        run = read_run(options.path)
        terminal.table(str(options.path), summary_rows(run.core))
        terminal.table("settings", run.config["settings"])
    else:
        terminal.table(str(options.path), _describe_file(options.path))
    return 0


def _describe_file(path: Path) -> Mapping[str, Any]:
    if storage.read_metadata(path).get("format") in EXPLANATION_FORMATS:
        return summary_rows(core_of(read_explanations(path)))
    return models.load_models(path).metadata


_COMMANDS = {"explain": _explain, "evaluate": _evaluate, "train": _train, "info": _info}
