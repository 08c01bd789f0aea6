"""The model of a table that `jaxcf explain` explains: trained on the label, or from a file."""

import argparse
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from jaxcf.data import LabelledTable, stratified_split
from jaxcf.tabular import Schema
from jaxcf.tabular.classifiers import train_table_classifier
from jaxcf.tabular.model_files import load_trusted_model, model_rows
from jaxcf.terminal import Terminal

_TEST_FRACTION = 0.25
_MOST_CLASSES = 50


@dataclass(frozen=True, eq=False)
class Rows:
    """Columns, and the label of each row where there is one."""

    columns: dict[str, np.ndarray]
    labels: np.ndarray | None

    def first(self, count: int | None) -> "Rows":
        """Only the first rows; None for all."""
        columns = {name: column[:count] for name, column in self.columns.items()}
        return Rows(columns, None if self.labels is None else self.labels[:count])

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


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
        ValueError: if the labels are no classes.
    """
    assert train.labels is not None  # _check_options has seen to it
    learnt = LabelledTable(train.columns, train.labels)
    names = learnt.class_names
    if not 2 <= len(names) <= _MOST_CLASSES:
        raise ValueError(
            f"the label column {options.label!r} holds {len(names)} different values; expected "
            f"2 to {_MOST_CLASSES} classes"
        )
    if test is not None and test.labels is not None:
        held_out, on = LabelledTable(test.columns, test.labels), "rows of the test file"
    else:
        part, rest = stratified_split(
            learnt.labels, test_fraction=_TEST_FRACTION, seed=options.seed
        )
        learnt, held_out = learnt.take(part), learnt.take(rest)
        on = "rows held out of training"
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
        "source": "trained here",
        "architecture": dict(trained.network.architecture),
        "train_rows": len(learnt),
        "epochs": trained.training.epochs,
        "seed": options.seed,
        "accuracy": trained.accuracy(held_out.columns, held_out.classes(names)),
        "accuracy_rows": len(held_out),
        "accuracy_on": on,
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
        ValueError: if it can't be loaded, or fails for the first rows.
    """
    takes = options.model_takes
    labelled = test if test is not None and test.labels is not None else train
    sample = model_rows(train.first(2).columns, schema, takes)
    loaded = load_trusted_model(options.model, sample)
    record: dict[str, Any] = {"source": str(options.model), "takes": takes, "accuracy": None}
    # Labels under other names than the model's own can't be compared with its decisions.
    if labelled.labels is not None and set(labelled.labels.tolist()) <= set(loaded.class_names):
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
