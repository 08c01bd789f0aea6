"""`jaxcf explain` for tables: a CSV file, or the Adult data by name."""

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from jaxcf import data
from jaxcf.cli.command import (
    EXIT_INTERRUPTED,
    asked,
    changed_search,
    chosen_prototypes,
    flag,
    run_outcome,
    summary_rows,
)
from jaxcf.cli.completion import ADULT
from jaxcf.cli.options import TABLE_DEFAULTS
from jaxcf.cli.run_folder import (
    EXPLANATIONS_FILE,
    SUMMARY_FILE,
    free_folder,
    write_config,
    write_traces,
)
from jaxcf.cli.table_csv import write_counterfactuals
from jaxcf.cli.table_models import Rows, as_frame, load_model, train_model
from jaxcf.cli.table_rules import parse_rules
from jaxcf.cli.terminal import Outcome, Terminal
from jaxcf.data.labelled_tables import ADULT_LABEL
from jaxcf.explainers.refinement import Refinement
from jaxcf.explainers.run import ExplanationInterrupted
from jaxcf.objective import Objective
from jaxcf.search.options import EngineOptions, SearchOptions
from jaxcf.tabular import Ordinal, Schema, TableExplainer, TableExplanations
from jaxcf.tabular.columns import is_missing
from jaxcf.utils import storage
from jaxcf.utils.interrupts import Interrupts

KIND = "table file"
COUNTERFACTUALS_FILE = "counterfactuals.csv"
COLUMNS_FILE = "columns.png"

_OBJECTIVE = "C"
# Needs no gradient of the model, and so one prediction per step.
_BLACK_BOX_OBJECTIVE = "E"
# Every step costs calls of the model; what isn't found by then, the line search finds.
_BLACK_BOX_STEPS = 100
_SHOWN_COLUMNS = 5
_REFUSED = ("preset", "models")


def is_table(name: str) -> bool:
    """Whether the data asked for is a table of mixed columns.

    Examples:
        >>> is_table("my.csv"), is_table("adult"), is_table("digits")
        (True, True, False)
    """
    return name == ADULT or name.lower().endswith(".csv")


def refuse_table_options(options: argparse.Namespace) -> None:
    """Raise if an option is given that only tables have."""
    for name, default in TABLE_DEFAULTS.items():
        if getattr(options, name) != default:
            raise ValueError(
                f"{flag(name)} is for tables (a CSV file, or adult); {options.data} is a data set "
                "with networks of its own"
            )


def explain(options: argparse.Namespace, terminal: Terminal) -> Outcome:
    """Explain a table."""
    began = time.perf_counter()
    _check_options(options)
    terminal.say(f"loading {options.data}")
    train, test = _load(options)
    schema = _schema(options, train)
    rules = parse_rules(options.rule, schema)
    models_began = time.perf_counter()
    made = train_model(options, train, test, schema, terminal) if options.model is None else None
    model = made or load_model(options, train, test, schema)
    models_seconds = time.perf_counter() - models_began
    objective = _objective(options)
    explainer = TableExplainer(**model.arguments, **_settings(options, objective))
    class_names: tuple[str, ...] = model.arguments["class_names"]
    _check_target(options.target, class_names)

    in_frames = model.arguments.get("takes") == "table"
    prepare = as_frame if in_frames else dict
    asked_for = (train if test is None else test).first(options.limit)
    terminal.say(f"fitting categories and prototypes on {len(train)} rows")
    training_table = prepare(train.columns)
    fitted = explainer.fit(training_table)
    terminal.say(f"explaining {len(asked_for)} rows (compiling first)")
    table, status = prepare(asked_for.columns), 0
    try:
        explanations = fitted.explain(
            table, target=options.target, rules=rules, on_progress=terminal.progress_bar()
        )
    except ExplanationInterrupted as interrupted:
        with Interrupts():  # a second Ctrl-C loses nothing either
            explanations = fitted.in_units(interrupted.explanations, table, rules)
        status = EXIT_INTERRUPTED
    seconds = {"models": models_seconds} | dict(explanations.core.seconds)
    seconds["total"] = time.perf_counter() - began
    core = replace(explanations.core, seconds=seconds)
    explanations = replace(explanations, core=core)
    if asked_for.ids is not None:
        explanations = explanations.with_labels(asked_for.ids)
    name = Path(options.data).stem
    out = options.out or free_folder(f"{name}-{objective}", new=options.config is not None)
    described = {
        "name": name,
        "kind": KIND,
        "train_rows": len(train),
        "test_rows": len(asked_for),
        "classes": list(class_names),
        "columns": {column.name: type(column).__name__.lower() for column in schema.columns},
    }
    config = {
        "command": asked(options),
        "data": described,
        "models": model.record["source"],
        "model": model.record,
        "rules": list(options.rule),
        "settings": dict(core.settings),
    }
    with Interrupts() as interrupts:
        _write_run(out, explanations, config, options.id)
    interrupts.check()
    _draw_run(out, explanations, name)
    trace = partial(fitted.trace, explanations, training_table, target=options.target, rules=rules)
    write_traces(out, 0 if status else options.details, trace, terminal)
    shown = summary_rows(core) | _table_rows(explanations) | _model_rows(model.record)
    title = f"{name}, objective {objective}"
    return run_outcome(out, explanations.summary(), title, shown, status)


def _check_options(options: argparse.Namespace) -> None:
    for name in _REFUSED:
        if getattr(options, name) is not None:
            raise ValueError(
                f"{flag(name)} is for the data sets with networks of their own; tables take "
                "--model, --objective, --categories and the options of the search"
            )
    if options.model is not None and not options.trust_model_file:
        raise ValueError(
            f"--model {options.model} is a pickle, and loading one runs code that it holds; pass "
            "--trust-model-file as well if you trust the file"
        )
    if options.model is None and options.trust_model_file:
        raise ValueError("--trust-model-file goes with --model FILE, which is not given")
    if options.data == ADULT:
        if options.test is not None:
            raise ValueError("adult has a test file of its own; --test is for CSV files")
        if options.label not in (None, ADULT_LABEL):
            raise ValueError(
                f"adult's label is {ADULT_LABEL!r}, not {options.label!r}; leave --label out"
            )
    elif options.model is None and options.label is None:
        raise ValueError(
            "a table needs --label COLUMN, to train a model on, or --model FILE, to explain yours"
        )
    if options.confidence is not None and not 0 <= options.confidence < 1:
        raise ValueError(f"--confidence is {options.confidence}; expected 0 to below 1")


def _check_target(target: str | None, class_names: tuple[str, ...]) -> None:
    if target is not None and target not in class_names:
        raise ValueError(
            f"--target {target!r} is no class; the classes are {', '.join(class_names)}"
        )


def _objective(options: argparse.Namespace) -> str:
    """The objective asked for; else the one that suits the model."""
    return options.objective or (_OBJECTIVE if options.model is None else _BLACK_BOX_OBJECTIVE)


def _search(options: argparse.Namespace) -> SearchOptions:
    if options.model is None:
        return SearchOptions()
    return SearchOptions(max_steps=_BLACK_BOX_STEPS)


def _settings(options: argparse.Namespace, objective: str) -> dict[str, Any]:
    confidence = {} if options.confidence is None else {"confidence": options.confidence}
    settings: dict[str, Any] = {
        "objective": Objective.named(objective, **confidence),
        "categories": options.categories or "abdm",
        "search": changed_search(options, _search(options)),
        "refinement": Refinement(line_search=True, sparsify=True),
        "engine": EngineOptions(lanes=options.lanes),
    }
    kind = chosen_prototypes(options, "kdtree")
    return settings if kind is None else settings | {"prototypes": kind}


# --- data ----------------------------------------------------------------------------------


def _load(options: argparse.Namespace) -> tuple[Rows, Rows | None]:
    """Training rows, and the rows of another file, if there is one."""
    if options.data == ADULT:
        tables = data.read_adult(options.data_dir)
        train, test = (Rows(dict(one.columns), one.labels) for one in tables)
    else:
        # an identifier such as 007 is no number
        text = {} if options.id is None else {options.id: np.empty(0, object)}
        columns = data.read_table(options.data, like=text)
        train, test = _split(columns, options.label, options.data), None
        if options.test is not None:
            other = data.read_table(options.test, like=columns | text)
            label = options.label if options.label in other else None
            test = _split(other, label, str(options.test))
    if options.id is not None:
        train, test = _without_ids(options.id, train, test)
    for name in options.drop:
        if train.columns.pop(name, None) is None:
            raise ValueError(
                f"--drop {name!r} names no column; there are {', '.join(train.columns)}"
            )
    if not train.columns:
        raise ValueError("--drop leaves no column; keep one at least")
    return train, test


def _without_ids(name: str, train: Rows, test: Rows | None) -> tuple[Rows, Rows | None]:
    """The rows with what they are called beside them, where no model sees it."""
    asked_for = train if test is None else test
    if name not in asked_for.columns:
        raise ValueError(
            f"--id {name!r} names no column of the rows to be explained; there are "
            f"{', '.join(asked_for.columns)}"
        )
    return _with_ids(train, name), None if test is None else _with_ids(test, name)


def _with_ids(rows: Rows, name: str) -> Rows:
    column = rows.columns.pop(name, None)
    if column is None:
        return rows
    shown = ["" if is_missing(one) else str(one) for one in column.tolist()]
    return replace(rows, ids=np.array(shown, object))


def _split(columns: dict[str, np.ndarray], label: str | None, origin: str) -> Rows:
    if label is None:
        return Rows(columns, None)
    table = data.split_label(columns, label, origin)
    return Rows(dict(table.columns), table.labels)


def _schema(options: argparse.Namespace, train: Rows) -> Schema:
    ordinal = _ordinal(options.ordinal)
    found = Schema.infer(train.columns, ordinal=ordinal, categorical=options.categorical)
    # ranks up to 15 beside numbers in [0, 1] would train badly
    return Schema(
        tuple(
            replace(column, encoding="unit") if isinstance(column, Ordinal) else column
            for column in found.columns
        )
    )


def _ordinal(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    declared: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, colon, categories = text.rpartition(":")
        if not (name and colon and categories):
            raise ValueError(
                f"--ordinal {text!r} declares no order; expected NAME:lowest|...|highest"
            )
        declared[name] = tuple(one.strip() for one in categories.split("|"))
    return declared


# --- results -------------------------------------------------------------------------------


def _write_run(
    out: Path, explanations: TableExplanations, config: Mapping[str, Any], id_name: str | None
) -> None:
    explanations.save(out / EXPLANATIONS_FILE)
    write_counterfactuals(out / COUNTERFACTUALS_FILE, explanations, id_name)
    write_config(out, config)
    storage.write_json(out / SUMMARY_FILE, explanations.summary())


def _draw_run(out: Path, explanations: TableExplanations, name: str) -> None:
    from jaxcf import plots

    axes = plots.changes(explanations, num_features=len(explanations.coding.schema.columns))
    axes.set_title(f"{name}: {axes.get_title()}")
    plots.save(axes, out / COLUMNS_FILE)


def _table_rows(explanations: TableExplanations) -> dict[str, str]:
    shares = explanations.summary()["changed_share"]
    often = sorted(shares.items(), key=lambda one: -one[1])[:_SHOWN_COLUMNS]
    shown = ", ".join(f"{name} {100 * share:.0f} %" for name, share in often if share)
    return {"most changed columns": shown or "-"}


def _model_rows(record: Mapping[str, Any]) -> dict[str, str]:
    if record["accuracy"] is None:
        return {"accuracy of the model": "unknown: no labels under the names of its classes"}
    return {
        "accuracy of the model": f"{record['accuracy']:.3f} on {record['accuracy_rows']} "
        f"{record['accuracy_on']}"
    }
