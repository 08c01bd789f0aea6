"""The model of a table that `jaxcf explain` explains: trained on the label, or from a file."""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxcf.cli.run_folder import TRAINED_HERE
from jaxcf.cli.table_missing import refuse_missing
from jaxcf.cli.table_rows import Rows
from jaxcf.cli.terminal import Terminal
from jaxcf.data import LabelledTable, stratified_split
from jaxcf.predictors.blackbox import BlackBox
from jaxcf.tabular import Schema
from jaxcf.tabular.classifiers import logistic_accuracy, train_table_classifier
from jaxcf.tabular.predictors import Takes
from jaxcf.tabular.tables import Table
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
        learnt, held_out = learnt.take(part), learnt.take(rest)
        on = "rows held out of training"
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
    record = {
        "source": TRAINED_HERE,
        "architecture": dict(trained.network.architecture),
        "train_rows": len(learnt),
        "epochs": trained.training.epochs,
        "seed": options.seed,
        "accuracy": trained.accuracy(held_out.columns, truth),
        "accuracy_rows": len(held_out),
        "accuracy_on": on,
        "logistic_accuracy": logistic_accuracy(
            schema, learnt.columns, learnt.classes(names), held_out.columns, truth
        ),
    }
    return TableModel(trained.functions(), record)


def load_model(
    options: argparse.Namespace, train: Rows, test: Rows | None, schema: Schema
) -> TableModel:
    """Load a model that the user trusts.

    Args:
        options: of the command.
        train: rows of the table.
        test: rows of another file, if there is one.
        schema: of the table.

    Returns:
        The model as a black box, and its accuracy where labels bear the names of its classes.

    Raises:
        FileNotFoundError: if there is no such file.
        TypeError: if it holds no such model.
        ValueError: if it can't be loaded, fails for the first rows, or has no such class as the
            one to reach.
    """
    takes = options.model_takes
    labelled = test if test is not None and test.labels is not None else train
    lacking = train.lacking()
    sample = train.take(~lacking) if not lacking.all() else train
    loaded = load_trusted_model(options.model, model_rows(sample.first(2).columns, schema, takes))
    _check_target(options.target, loaded.class_names)
    if takes == "table" and lacking.any():
        try:
            loaded.box.predict(model_rows(train.take(lacking).columns, schema, takes))
        except Exception as error:  # whatever the model raises for what it can't fill in
            reason = f"the model in {options.model} fails for them ({error})"
            refuse_missing(options, train.gaps(), options.data, reason)
    elif not lacking.any():
        labelled = labelled.take(~labelled.lacking())
    record: dict[str, Any] = {"source": str(options.model), "takes": takes, "accuracy": None}
    # Labels under other names than the model's own can't be compared with its decisions.
    if (
        len(labelled)
        and labelled.labels is not None
        and set(labelled.labels.tolist()) <= set(loaded.class_names)
    ):
        rows = model_rows(labelled.columns, schema, takes)
        decided = np.asarray(loaded.box.predict(rows)).argmax(axis=1)
        right = np.array(loaded.class_names, object)[decided] == labelled.labels
        record["accuracy"], record["accuracy_rows"] = float(right.mean()), len(right)
        record["accuracy_on"] = "labelled rows, which the model may have been trained on"
    arguments = {
        "predict": loaded.box,
        "takes": takes,
        "schema": schema,
        "class_names": loaded.class_names,
    }
    return TableModel(arguments, record)


def _check_target(target: str | None, class_names: tuple[str, ...]) -> None:
    if target is not None and target not in class_names:
        raise ValueError(
            f"--target {target!r} is no class{did_you_mean(target, class_names)}; the classes are "
            f"{', '.join(class_names)}"
        )


class LoadedModel(NamedTuple):
    """A model as a black box, and the names of its classes.

    Attributes:
        box: of the table or of the encoded table.
        class_names: in the order of the probabilities.
    """

    box: BlackBox
    class_names: tuple[str, ...]


def load_trusted_model(path: str | Path, sample: Table) -> LoadedModel:
    """Load a model that joblib or pickle wrote. THIS RUNS CODE FROM THE FILE.

    Args:
        path: the file; load only what you trust.
        sample: a few rows, as the model takes them, to find out how many classes it has.

    Returns:
        The model.

    Raises:
        FileNotFoundError: if there is no such file.
        TypeError: if what the file holds has no `predict_proba`.
        ValueError: if the file can't be loaded, or the model fails for the sample.
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
    if not callable(getattr(model, "predict_proba", None)):
        raise TypeError(
            f"{file} holds a {type(model).__name__}, which has no predict_proba; expected a "
            "classifier that gives probabilities"
        )
    try:
        probabilities = np.asarray(model.predict_proba(sample))
    except Exception as error:
        raise ValueError(
            f"the model in {file} fails for the first rows ({type(error).__name__}: {error}); does "
            "it take the columns of the table (--model-takes table) or the encoded table "
            "(--model-takes input)?"
        ) from error
    if probabilities.ndim != 2 or probabilities.shape[1] < 2:
        raise ValueError(
            f"the model in {file} gives probabilities of shape {probabilities.shape}; expected "
            "[rows, classes] with two classes or more"
        )
    num_classes = probabilities.shape[1]
    names = tuple(str(one) for one in getattr(model, "classes_", range(num_classes)))
    return LoadedModel(BlackBox(model.predict_proba, num_classes), names)


def model_rows(columns: dict[str, np.ndarray], schema: Schema, takes: Takes) -> Any:
    """Rows as a model from a file takes them.

    Args:
        columns: of the table.
        schema: of the table.
        takes: "table" for a DataFrame of the columns, "input" for the encoded table.

    Raises:
        ImportError: if a DataFrame is wanted and pandas isn't installed.
    """
    if takes == "input":
        return schema.encode(schema.read(columns))
    return as_frame(columns)


def as_frame(columns: dict[str, np.ndarray]) -> Any:
    """The columns as a pandas DataFrame.

    Raises:
        ImportError: if pandas isn't installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            "--model-takes table hands the model a DataFrame, which needs pandas, an extra: "
            "pip install 'jaxcf[pandas]'; or train the model on the encoded table"
        ) from error
    return pandas.DataFrame({name: _with_nan(column) for name, column in columns.items()})


def _with_nan(column: np.ndarray) -> np.ndarray:
    # as pandas reads files, and as imputers expect it
    if column.dtype.kind == "O":
        return np.array([np.nan if one is None else one for one in column.tolist()], object)
    return column
