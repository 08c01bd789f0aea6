"""`jaxcf explain` for the data sets with networks of their own; tables go on to `explain_table`."""

import argparse
from collections.abc import Mapping
from typing import Any

from jaxcf.cli import explain_table
from jaxcf.cli.dataset_models import (
    check_name,
    chosen_guide,
    find_models,
    load_data,
    with_interpretability,
)
from jaxcf.cli.explaining import Prepared, explain_in_parts
from jaxcf.cli.shared import asked, changed_search, chosen_prototypes, summary_rows
from jaxcf.cli.terminal import Outcome, Terminal
from jaxcf.data import Dataset
from jaxcf.explainers import presets
from jaxcf.explainers.explainer import Explainer
from jaxcf.models import GuideNetwork, ModelSet
from jaxcf.predictors.guides import Guide
from jaxcf.search.options import EngineOptions, SearchOptions
from jaxcf.utils.spelling import did_you_mean
from jaxcf.utils.timing import timed

# Where there is a guide and nobody has asked for other settings.
_GUIDED_PRESET = "near"


def explain(options: argparse.Namespace, terminal: Terminal) -> Outcome:
    """Explain the test split of a data set, or a table."""
    if explain_table.is_table(options.data):
        return explain_table.explain(options, terminal)
    check_name(options.data, tables=True)
    explain_table.refuse_table_options(options)
    options.objective = options.objective or presets.usual_objective(options.preset)
    changed_search(options, SearchOptions())  # says what is wrong before anything is loaded
    name = f"{options.data}-{options.objective}"
    return explain_in_parts(options, name, lambda: prepare(options, terminal), terminal)


def prepare(options: argparse.Namespace, terminal: Terminal) -> Prepared:
    """Load a data set, and find and fit its models.

    Args:
        options: of the command.
        terminal: for progress.
    """
    seconds: dict[str, float] = {}
    with timed(seconds, "data"):
        dataset = load_data(options.data, options.data_dir, terminal)
    if options.limit:
        dataset = dataset.first(test=options.limit)
    target = None if options.target is None else _class_number(options.target, dataset)
    with timed(seconds, "models"):
        guide = chosen_guide(options.guide, options.preset, dataset)  # before any training
        model_set, models_from = find_models(options, dataset, terminal)

    guides = [] if guide is None else [Guide(**guide[0].functions())]
    settings = _settings(options, dataset, guided=bool(guides))
    explainer = _explainer(settings | {"guides": guides}, model_set, dataset)
    terminal.say(f"fitting prototypes on {len(dataset.x_train)} training rows")
    fitted = explainer.fit(dataset.x_train)
    return Prepared(
        fitted,
        dataset.x_test,
        {"target": target},
        _config(options, dataset, models_from, guide),
        f"{dataset.name}, objective {options.objective}",
        lambda explanations, **choice: fitted.trace(
            explanations, dataset.x_train, target=target, **choice
        ),
        summary_rows,
        seconds,
        lambda explanations: with_interpretability(explanations, model_set),
        dataset.y_test,
    )


def _class_number(text: str, dataset: Dataset) -> int:
    names = [str(name) for name in dataset.class_names]
    if text in names:
        return names.index(text)
    if text.isdigit() and int(text) < len(names):
        return int(text)
    raise ValueError(
        f"--target {text!r} is no class of {dataset.name}{did_you_mean(text, names)}; its classes "
        f"are {', '.join(names)}"
    )


def _settings(options: argparse.Namespace, dataset: Dataset, *, guided: bool) -> dict[str, Any]:
    preset = options.preset or (_GUIDED_PRESET if guided else None)
    settings = presets.named(preset, options.objective, dataset.x_train)
    kind = chosen_prototypes(options, "nearest")
    if kind is not None:
        settings["prototypes"] = kind
    settings["search"] = changed_search(options, settings["search"])
    return settings | {"engine": EngineOptions(lanes=options.lanes)}


def _explainer(settings: Mapping[str, Any], model_set: ModelSet, dataset: Dataset) -> Explainer:
    in_input_space = getattr(settings.get("prototypes"), "in_input_space", False)
    functions = model_set.functions(latent_prototypes=not in_input_space)
    if dataset.kind == "image":
        functions["feature_range"] = (0.0, 1.0)
    return Explainer(**functions, **settings)


def _config(
    options: argparse.Namespace,
    dataset: Dataset,
    models_from: str,
    guide: tuple[GuideNetwork, str] | None,
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
        "guide": None if guide is None else guide[1],
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
