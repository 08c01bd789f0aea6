"""`jaxcf explain` for tables: a CSV file, or the Adult data by name."""

import argparse
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from jaxcf import data
from jaxcf.cli.commands import TABLE_DEFAULTS, flag
from jaxcf.cli.completion import ADULT
from jaxcf.cli.explaining import Prepared, explain_in_parts
from jaxcf.cli.shared import asked, changed_search, chosen_prototypes, summary_rows
from jaxcf.cli.table_missing import keeps_missing, settle_missing, split_rows
from jaxcf.cli.table_models import load_model, load_trusted_model, train_model
from jaxcf.cli.table_rows import Rows
from jaxcf.cli.table_rules import parse_relations, parse_rules
from jaxcf.cli.terminal import Outcome, Terminal
from jaxcf.data.csv_files import MISSING
from jaxcf.data.labelled_tables import ADULT_LABEL
from jaxcf.data.written_numbers import read_numbers
from jaxcf.explainers.refinement import Refinement
from jaxcf.objective import Objective
from jaxcf.predictors.estimators import Estimator
from jaxcf.search.options import EngineOptions
from jaxcf.tabular import (
    Ordinal,
    Schema,
    TableCoding,
    TableExplainer,
    TableExplanations,
    fit_category_values,
)
from jaxcf.tabular.columns import is_missing
from jaxcf.tabular.estimators import as_frame
from jaxcf.tabular.explainer import SEARCH, as_table_objective
from jaxcf.tabular.missing import typical_values
from jaxcf.tabular.relations import read_relations
from jaxcf.tabular.rules import read_rules
from jaxcf.utils.timing import timed

Declared = TypeVar("Declared")

KIND = "table file"

_OBJECTIVE = "C"
# Needs no gradient of the model, and so one prediction per step.
_BLACK_BOX_OBJECTIVE = "E"
_SHOWN_COLUMNS = 5
_ANY = "any"
# So little ahead, a row is as good as undecided.
_BARELY = 0.05
_REFUSED = ("preset", "models", "guide")


def is_table(name: str) -> bool:
    """Whether the data asked for is a table of mixed columns.

    Examples:
        >>> is_table("my.csv"), is_table("adult"), is_table("digits")
        (True, True, False)
    """
    return name == ADULT or name.lower().endswith((".csv", ".tsv"))


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
    check_options(options)
    objective = _objective(options)
    _settings(options, objective)  # says what is wrong before anything is loaded
    name = f"{Path(options.data).stem}-{objective}"
    return explain_in_parts(options, name, lambda: prepare(options, terminal), terminal)


def prepare(options: argparse.Namespace, terminal: Terminal) -> Prepared:
    """Load a table, and train or load its model and fit it.

    Args:
        options: of the command.
        terminal: for progress.
    """
    objective = _objective(options)
    settings = _settings(options, objective)
    terminal.say(f"loading {options.data}")
    seconds: dict[str, float] = {}
    with timed(seconds, "models"):
        estimator = None if options.model is None else load_trusted_model(options.model)
    with timed(seconds, "data"):
        train, test, asked_for = settle_missing(options, *_load(options, estimator))
        asked_for = asked_for.first(options.limit)
        schema = _schema(options, train)
    # Raises where a column is lacking that the model is going to be trained on.
    schema.read(asked_for.first(1).columns)
    allowed = _rules(options, schema, train)
    for note in schema.summary(allowed["rules"], train.columns)["notes"]:
        terminal.say(f"note: {note}")
    with timed(seconds, "models"):
        if estimator is None:
            model = train_model(options, train, test, schema, terminal)
        else:
            model = load_model(options, estimator, train, test, schema)
    explainer = TableExplainer(**model.arguments, **settings)
    class_names: tuple[str, ...] = model.arguments["class_names"]

    in_frames = model.arguments.get("takes") == "table"
    prepared = as_frame if in_frames else dict
    terminal.say(f"fitting categories and prototypes on {len(train)} rows")
    training_table = prepared(train.columns)
    fitted = explainer.fit(training_table)
    name = Path(options.data).stem
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
        "relations": list(options.relation),
    }

    def shown(explanations: TableExplanations, summary: Mapping[str, Any]) -> dict[str, str]:
        rows = summary_rows(explanations.core) | _table_rows(summary)
        rows |= _sureness_rows(explanations, options.confidence)
        return rows | _model_rows(model.record)

    return Prepared(
        fitted,
        prepared(asked_for.columns),
        {"target": options.target, **allowed, "labels": asked_for.ids},
        config,
        f"{name}, objective {objective}",
        lambda explanations, **choice: fitted.trace(
            explanations, training_table, target=options.target, **allowed, **choice
        ),
        shown,
        seconds,
        true_classes=asked_for.classes(class_names),
    )


def check_options(options: argparse.Namespace) -> None:
    """Raise where options are given that don't go together, or a file that isn't trusted."""
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
        if options.missing:
            raise ValueError("--missing is for CSV files; '?' is a category of adult")
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


def _objective(options: argparse.Namespace) -> str:
    """The objective asked for; else the one that suits the model."""
    return options.objective or (_OBJECTIVE if options.model is None else _BLACK_BOX_OBJECTIVE)


def _settings(options: argparse.Namespace, objective: str) -> dict[str, Any]:
    confidence = {} if options.confidence is None else {"confidence": options.confidence}
    settings: dict[str, Any] = {
        "objective": as_table_objective(Objective.named(objective, **confidence)),
        "categories": options.categories or "abdm",
        "search": changed_search(options, SEARCH),
        "refinement": Refinement.for_tables(options.cost or "nearest", _costs(options.costs)),
        "engine": EngineOptions(lanes=options.lanes),
    }
    kind = chosen_prototypes(options, "kdtree")
    return settings if kind is None else settings | {"prototypes": kind}


# --- data ----------------------------------------------------------------------------------


def _load(options: argparse.Namespace, estimator: Estimator | None) -> tuple[Rows, Rows | None]:
    """Training rows, and those of another file if there is one, with what the model takes."""
    if options.data == ADULT:
        tables = data.read_adult(options.data_dir)
        train, test = (Rows(dict(one.columns), one.labels) for one in tables)
    else:
        read = partial(
            data.read_table,
            missing=options.missing or MISSING,
            as_text=_named_text(options),
            # an identifier such as 007 is no number, and one that is called NA isn't missing
            as_written=() if options.id is None else (options.id,),
        )
        columns = read(options.data)
        train, test = split_rows(options, columns, options.data), None
        if options.test is not None:
            other = read(options.test, like=columns, alike=options.data)
            test = split_rows(options, other, str(options.test))
    if options.id is not None:
        train, test = _without_ids(options.id, train, test)
    for name in options.drop:
        if train.columns.pop(name, None) is None:
            raise ValueError(
                f"--drop {name!r} names no column; there are {', '.join(train.columns)}"
            )
    if not train.columns:
        raise ValueError("--drop leaves no column; keep one at least")
    if "" in train.columns:
        raise ValueError(
            f"a column of {options.data} has no name; leave it out with --drop '', or, if it "
            "numbers the rows, say so with --id ''"
        )
    names = None if estimator is None else estimator.column_names
    # What is encoded has other names, if any.
    if names is not None and options.model_takes != "input":
        lacking = [name for name in names if name not in train.columns]
        if lacking:
            raise ValueError(
                f"{options.data} lacks the columns {', '.join(map(repr, lacking))}, which the "
                f"model in {options.model} was fitted on; it has {', '.join(train.columns)}"
            )
        train, test = train.only(names), None if test is None else test.only(names)
    return train, test


def _named_text(options: argparse.Namespace) -> set[str]:
    """Columns of names: of classes, and of categories, which are what their texts are."""
    named = {options.label} if options.label is not None else set()
    # A model from a file was fitted on such columns as others read them.
    if options.model is None:
        named |= {*options.categorical}
        # Which colon ends the name is known once the columns are.
        named |= {name for text in options.ordinal for name, _ in _splits(text)}
    return named


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


def _schema(options: argparse.Namespace, train: Rows) -> Schema:
    ordinal = _ordinal(options.ordinal, train.columns)
    for name, texts in ordinal.items():
        column = train.columns.get(name, np.empty(0, object))
        numbers = read_numbers(texts) if column.dtype.kind in "if" else None
        if numbers is not None:
            ordinal[name] = tuple(numbers.tolist())
    found = Schema.infer(
        train.columns,
        ordinal=ordinal,
        categorical=options.categorical,
        decimals=_decimals(options.decimals, train.columns),
        special=_special(options.special, train.columns),
        keep_missing=keeps_missing(options),
    )
    # ranks up to 15 beside numbers in [0, 1] would train badly
    return Schema(
        tuple(
            replace(column, encoding="unit") if isinstance(column, Ordinal) else column
            for column in found.columns
        )
    )


def _rules(options: argparse.Namespace, schema: Schema, train: Rows) -> dict[str, Any]:
    """Rules and relations that fit their columns: the search would say so only after training."""
    rules, relations = parse_rules(options.rule, schema), parse_relations(options.relation)
    # Some models are given rows that lack entries: any value does in place of these.
    typical = typical_values(schema, schema.read(train.first(1).columns))[None]
    coding = TableCoding(schema, fit_category_values(schema, typical, method="index"))
    read_rules(rules, coding, typical)
    read_relations(relations, coding)
    return {"rules": rules, "relations": relations}


def _ordinal(texts: Sequence[str], columns: Collection[str]) -> dict[str, tuple[str, ...]]:
    def read(categories: str) -> tuple[str, ...]:
        if not categories:
            raise ValueError(categories)
        return tuple(one.strip() for one in categories.split("|"))

    wrong = "declares no order; expected NAME:lowest|...|highest"
    return _by_name("ordinal", texts, read, wrong, columns)


def _decimals(texts: Sequence[str], columns: Collection[str]) -> dict[str, int | None]:
    def read(number: str) -> int | None:
        if number != _ANY and not number.isdecimal():
            raise ValueError(number)
        return None if number == _ANY else int(number)

    wrong = (
        "says no number of decimals; expected NAME:2, NAME:0 for whole numbers or "
        f"NAME:{_ANY} for any number"
    )
    return _by_name("decimals", texts, read, wrong, columns)


def _costs(texts: Sequence[str]) -> dict[str, float] | None:
    wrong = "says no cost of a column; expected NAME:10"
    return _by_name("costs", texts, float, wrong) or None


def _special(texts: Sequence[str], columns: Collection[str]) -> dict[str, tuple[float, ...]]:
    def read(codes: str) -> tuple[float, ...]:
        return tuple(float(one) for one in codes.split("|"))

    wrong = "declares no codes of numbers; expected NAME:-8|-9"
    return _by_name("special", texts, read, wrong, columns)


def _by_name(
    option: str,
    texts: Sequence[str],
    read: Callable[[str], Declared],
    wrong: str,
    columns: Collection[str] = (),
) -> dict[str, Declared]:
    """What "NAME:WHAT" says of each column; names, and categories, may hold colons themselves."""
    declared: dict[str, Declared] = {}
    for text in texts:
        splits = _splits(text)
        name, what = next((one for one in splits if one[0] in columns), (splits or [("", "")])[0])
        try:
            if not name:
                raise ValueError(text)
            said = read(what)
        except ValueError:
            raise ValueError(f"--{option} {text!r} {wrong}") from None
        if name in declared:
            raise ValueError(
                f"--{option} {text!r} speaks of column {name!r} once more; say all of it in one"
            )
        declared[name] = said
    return declared


def _splits(text: str) -> list[tuple[str, str]]:
    """A text at each of its colons, the longest beginning first."""
    colons = [place for place, sign in enumerate(text) if sign == ":"]
    return [(text[:place], text[place + 1 :]) for place in reversed(colons)]


# --- results -------------------------------------------------------------------------------


def _table_rows(summary: Mapping[str, Any]) -> dict[str, str]:
    shares = summary["changed_share"]
    often = sorted(shares.items(), key=lambda one: -one[1])[:_SHOWN_COLUMNS]
    shown = ", ".join(f"{name} {100 * share:.0f} %" for name, share in often if share)
    return {"most changed columns": shown or "-"}


def _sureness_rows(explanations: TableExplanations, confidence: float | None) -> dict[str, str]:
    """How sure the model is of the new class, and how many rows lie on the edge of its decision."""
    probabilities = np.sort(explanations.probabilities[explanations.found], axis=1)
    if not len(probabilities):
        return {}
    sure, second = probabilities[:, -1], probabilities[:, -2]
    barely = float(np.mean(sure - second < _BARELY))
    said = f"median {np.median(sure):.3f}, least {sure.min():.3f}"
    if confidence is None and barely > 0:
        said += (
            f"; {100 * barely:.0f} % less than {_BARELY} ahead of the next class "
            "(--confidence P asks for more)"
        )
    return {"probability of the new class (found)": said}


def _model_rows(record: Mapping[str, Any]) -> dict[str, str]:
    if record["accuracy"] is None:
        return {
            "accuracy of the model": "unknown: no row to measure it on has a label that "
            "is one of its classes"
        }
    rows = {
        "accuracy of the model": f"{record['accuracy']:.3f} on {record['accuracy_rows']} "
        f"{record['accuracy_on']}"
    }
    plain = record.get("logistic_accuracy")
    if plain is not None:
        as_good = ": as good, and simpler" if plain >= record["accuracy"] else ""
        rows["a plain logistic regression"] = f"{plain:.3f} on the same rows{as_good}"
    return rows
