"""The model of a table that `jaxcf explain` explains: trained on the label, or from a file."""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxcf.cli.run_folder import TRAINED_HERE
from jaxcf.cli.table_missing import keeps_missing, refuse_missing
from jaxcf.cli.table_rows import Rows
from jaxcf.cli.terminal import Terminal
from jaxcf.data import LabelledTable, stratified_split
from jaxcf.predictors.blackbox import BlackBox
from jaxcf.predictors.estimators import Estimator, recognised
from jaxcf.tabular import Schema
from jaxcf.tabular.classifiers import logistic_accuracy, train_table_classifier
from jaxcf.tabular.estimators import Brought, Takes, bring, takes_of
from jaxcf.utils.spelling import did_you_mean

_TEST_FRACTION = 0.25

_MOST_CLASSES = 50


class TableModel(NamedTuple):
    """The model to explain.

    Attributes:
        arguments: of the `TableExplainer`.
        record: what to write down about it.
    """

    arguments: dict[str, Any]
    record: dict[str, Any]


def train_model(
    options: argparse.Namespace,
    train: Rows,
    test: Rows | None,
    schema: Schema,
    terminal: Terminal,
) -> TableModel:
    """Train a network on the label: on all training rows where others tell how good it is.

    Args:
        options: of the command.
        train: rows with labels.
        test: rows of another file, if there is one.
        schema: of the table.
        terminal: for progress.

    Returns:
        The model, and its accuracy on rows it wasn't trained on.

    Raises:
        ValueError: if the labels are no classes, or the class to reach is none of them.
    """
    assert train.labels is not None  # _check_options has seen to it
    learnt = LabelledTable(train.columns, train.labels)
    names = learnt.class_names
    if not 2 <= len(names) <= _MOST_CLASSES:
        raise ValueError(
            f"the label column {options.label!r} holds {len(names)} different values; expected "
            f"2 to {_MOST_CLASSES} classes"
        )
    _check_target(options.target, names)
    if test is not None and test.labels is not None:
        held_out, on = LabelledTable(test.columns, test.labels), "rows of the test file"
    else:
        part, rest = stratified_split(
            learnt.labels, test_fraction=_TEST_FRACTION, seed=options.seed
        )
        if not len(rest):
            raise ValueError(
                f"the label column {options.label!r} holds {len(names)} different values in "
                f"{len(learnt)} rows, too few to train on some and measure on others; expected "
                "several rows of each class, or a file of labelled rows with --test"
            )
        learnt, held_out = learnt.take(part), learnt.take(rest)
        on = "rows held out of training"
    if not keeps_missing(options):  # a row that can't be decided is neither right nor wrong
        readable = np.isfinite(schema.read(held_out.columns)).all(axis=1)
        held_out = held_out.take(np.flatnonzero(readable))
    truth = held_out.classes(names)
    terminal.say(f"training a classifier on {len(learnt)} rows")
    with terminal.training() as on_progress:
        trained = train_table_classifier(
            learnt.columns,
            learnt.classes(names),
            names,
            schema=schema,
            seed=options.seed,
            on_progress=on_progress,
        )
    record: dict[str, Any] = {
        "source": TRAINED_HERE,
        "architecture": dict(trained.network.architecture),
        "train_rows": len(learnt),
        "epochs": trained.training.epochs,
        "seed": options.seed,
        "accuracy": None,
        "accuracy_rows": len(held_out),
        "accuracy_on": on,
        "logistic_accuracy": None,
    }
    if len(held_out):
        record["accuracy"] = trained.accuracy(held_out.columns, truth)
        record["logistic_accuracy"] = logistic_accuracy(
            schema, learnt.columns, learnt.classes(names), held_out.columns, truth
        )
    return TableModel(trained.functions(), record)


def load_model(
    options: argparse.Namespace,
    estimator: Estimator,
    train: Rows,
    test: Rows | None,
    schema: Schema,
) -> TableModel:
    """Find out what a model that the user trusts takes, and how good it is.

    Args:
        options: of the command.
        estimator: as `load_trusted_model` gave it.
        train: rows of the table.
        test: rows of another file, if there is one.
        schema: of the table.

    Returns:
        The model, and its accuracy where labels bear the names of its classes.

    Raises:
        ValueError: if it doesn't go with the table, fails for the first rows or for those that lack
            entries, or has no such class as the one to reach.
    """
    takes = _takes(options, estimator, train, schema)
    labelled = test if test is not None and test.labels is not None else train
    lacking = train.lacking()
    if takes == "input" and lacking.any():
        reason = f"the model in {options.model} takes the encoded table"
        refuse_missing(options, train.gaps(), options.data, reason)
    sample = train.take(~lacking) if not lacking.all() else train
    try:
        brought = bring(estimator, sample.columns, schema, takes, "probabilities")
        num_classes = _ask(brought, sample.first(2)).shape[1]
    except Exception as error:  # whatever the model raises
        raise ValueError(
            f"the model in {options.model} fails for the first rows "
            f"({type(error).__name__}: {error}); does it take the columns of the table "
            "(--model-takes table) or the encoded table (--model-takes input)?"
        ) from error
    class_names = tuple(map(str, estimator.class_names or range(num_classes)))
    _check_target(options.target, class_names)
    if lacking.any():
        try:
            _ask(brought, train.take(lacking))
        except Exception as error:  # whatever the model raises for what it can't fill in
            reason = f"the model in {options.model} fails for them ({error})"
            refuse_missing(options, train.gaps(), options.data, reason)
    else:
        labelled = labelled.take(~labelled.lacking())
    record: dict[str, Any] = {"source": str(options.model), "takes": takes, "accuracy": None}
    # Labels under other names than the model's own can't be compared with its decisions.
    if (
        len(labelled)
        and labelled.labels is not None
        and set(labelled.labels.tolist()) <= set(class_names)
    ):
        decided = _ask(brought, labelled).argmax(axis=1)
        right = np.array(class_names, object)[decided] == labelled.labels
        record["accuracy"], record["accuracy_rows"] = float(right.mean()), len(right)
        record["accuracy_on"] = "labelled rows, which the model may have been trained on"
    arguments = {
        "predict": estimator.model,
        "takes": takes,
        "schema": schema,
        "class_names": class_names,
    }
    return TableModel(arguments, record)


def _takes(options: argparse.Namespace, estimator: Estimator, train: Rows, schema: Schema) -> Takes:
    try:
        return options.model_takes or takes_of(estimator, train.columns, schema)
    except ValueError as error:
        raise ValueError(
            f"{options.model}: {error} (--model-takes table or --model-takes input)"
        ) from error


def _ask(brought: Brought, rows: Rows) -> np.ndarray:
    """What a model says of rows."""
    schema, predict = brought.schema, brought.made.predict
    given: Any = rows.columns
    if brought.like is None:
        given = schema.encode(schema.read(rows.columns))
    if isinstance(predict, BlackBox):
        return np.asarray(predict.predict(given))
    return np.asarray(predict(jnp.asarray(given)))


def _check_target(target: str | None, class_names: tuple[str, ...]) -> None:
    if target is not None and target not in class_names:
        raise ValueError(
            f"--target {target!r} is no class{did_you_mean(target, class_names)}; the classes are "
            f"{', '.join(class_names)}"
        )


def load_trusted_model(path: str | Path) -> Estimator:
    """Load a model that joblib or pickle wrote. THIS RUNS CODE FROM THE FILE.

    Args:
        path: the file; load only what you trust.

    Returns:
        The model, recognised.

    Raises:
        FileNotFoundError: if there is no such file.
        TypeError: if what the file holds is no classifier.
        ValueError: if the file can't be loaded.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f"there is no model file {file}; correct the path")
    import joblib

    try:
        model: Any = joblib.load(file)
    except Exception as error:  # a pickle may raise whatever the classes in it raise
        raise ValueError(
            f"{file} can't be loaded ({type(error).__name__}: {error}); expected a model written "
            "by joblib.dump or pickle, with the libraries it needs installed"
        ) from error
    try:
        estimator = recognised(model)
    except TypeError as error:
        raise TypeError(f"{file}: {error}") from error
    if estimator is None:
        raise TypeError(
            f"{file} holds a {type(model).__name__}, which has no predict_proba; expected a "
            "classifier that gives probabilities"
        )
    return estimator
