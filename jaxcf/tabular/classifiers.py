"""A small classifier for a table, trained in one call: for those who bring none of their own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from jaxcf.data.splitting import stratified_split
from jaxcf.models.functions import ModelFunction
from jaxcf.models.networks.registry import Classifier
from jaxcf.models.training import OnProgress, TrainingInfo, train_classifier
from jaxcf.models.training_loop import apply_in_batches
from jaxcf.tabular.schema import Schema
from jaxcf.tabular.tables import Table
from jaxcf.utils.validation import check_labels

_NAME = "classifier"
_HIDDEN = (64, 32)
# Enough updates to converge on Adult's 32,561 rows; small tables see their rows more often.
_UPDATES = 3000
_MOST_EPOCHS = 200
_WEIGHT_DECAY = 0.01
# Of the training rows, kept back to find out when to stop.
_HELD_OUT = 0.2
# A class of fewer rows lends none; and so many rows aren't learnt by heart in so few updates.
_LEAST_ROWS, _MOST_ROWS = 5, 10_000
_FIRST_EPOCHS = 4


@dataclass(frozen=True, eq=False)
class TableClassifier:
    """A network of dense layers over the encoded table.

    Attributes:
        schema: of the table.
        network: from the encoded table to logits.
        class_names: one per class.
        training: how it was trained.
    """

    schema: Schema
    network: Classifier
    class_names: tuple[str, ...]
    training: TrainingInfo

    def functions(self) -> dict[str, Any]:
        """The arguments of a `TableExplainer` that explains it."""
        return {
            "predict": ModelFunction.of(self.network, _NAME),
            "params": {_NAME: nnx.state(self.network)},
            "output": "logits",
            "schema": self.schema,
            "class_names": self.class_names,
        }

    def predict(self, x: Float[np.ndarray, "n width"]) -> Float[Array, "n classes"]:
        """Probabilities of the encoded table."""
        return jax.nn.softmax(apply_in_batches(self.network, np.asarray(x, np.float32)))

    def accuracy(self, table: Table, classes: Int[np.ndarray, " n"]) -> float:
        """The share of rows it decides rightly; a row that can't be read counts as wrong.

        Args:
            table: rows with the columns of the training rows.
            classes: `[n]`, what they are.

        Raises:
            ValueError: if a column is lacking.
        """
        encoded = self.schema.encode(self.schema.read(table))
        readable = np.isfinite(encoded).all(axis=1)
        decided = np.asarray(apply_in_batches(self.network, encoded)).argmax(axis=1)
        return float(np.mean(readable & (decided == classes)))


def logistic_accuracy(
    schema: Schema,
    table: Table,
    classes: Int[np.ndarray, " n"],
    other_table: Table,
    other_classes: Int[np.ndarray, " m"],
) -> float:
    """The share of other rows that a plain logistic regression decides rightly.

    Args:
        schema: of both tables.
        table: training rows.
        classes: `[n]`, their classes.
        other_table: rows that the share is of; one that can't be read counts as wrong.
        other_classes: `[m]`, their classes.

    Raises:
        ValueError: if training rows can't be read, or a column is lacking.

    Examples:
        >>> table = {"age": np.arange(20, 60)}
        >>> old = (table["age"] > 40).astype(int)
        >>> logistic_accuracy(Schema.infer(table), table, old, table, old) > 0.9
        True
    """
    # Here, since nobody else waits for it.
    from sklearn.linear_model import LogisticRegression

    plain = LogisticRegression(max_iter=1000)
    plain.fit(schema.encode(schema.read_training(table)), classes)
    encoded = schema.encode(schema.read(other_table))
    readable = np.asarray(np.isfinite(encoded).all(axis=1))
    decided = plain.predict(np.where(readable[:, None], encoded, 0))
    return float(np.mean(readable & (decided == other_classes)))


def train_table_classifier(
    table: Table,
    classes: Int[np.ndarray, " n"],
    class_names: Sequence[str],
    *,
    schema: Schema | None = None,
    hidden: Sequence[int] = _HIDDEN,
    epochs: int | None = None,
    batch_size: int = 128,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> TableClassifier:
    """Train a classifier of dense layers on a table.

    Args:
        table: training rows, without the label.
        classes: `[n]`, their classes, integers from 0.
        class_names: one per class.
        schema: what the columns hold; None infers it from the rows.
        hidden: sizes of the hidden layers.
        epochs: passes over the rows; None chooses by their number, and for small tables as many as
            fit a fifth of the rows best that is held out meanwhile: more are learnt by heart.
        batch_size: rows per update.
        seed: of the initial weights and the order of the rows.
        on_progress: called after each epoch.

    Returns:
        The classifier.

    Raises:
        ValueError: if there are fewer than two classes, or rows can't be read or don't fit the
            classes.

    Examples:
        >>> table = {"age": np.arange(20, 60), "job": ["clerk", "pilot"] * 20}
        >>> trained = train_table_classifier(
        ...     table, (table["age"] > 40).astype(int), ("young", "old"), epochs=60, batch_size=8)
        >>> trained.accuracy(table, (table["age"] > 40).astype(int)) > 0.9
        True
    """
    if len(class_names) < 2:
        raise ValueError(
            f"the classes are {', '.join(map(repr, class_names)) or 'none'}; expected two or more"
        )
    schema = schema or Schema.infer(table)
    values = schema.read_training(table)
    x = schema.encode(values)
    architecture = {
        "kind": "DenseClassifier",
        "num_features": x.shape[1],
        "num_classes": len(class_names),
        "hidden": list(hidden),
    }
    labels = check_labels(classes, len(x), len(class_names))
    train = partial(
        train_classifier,
        architecture=architecture,
        seed=seed,
        batch_size=batch_size,
        weight_decay=_WEIGHT_DECAY,
    )
    if epochs is None:
        epochs = _enough_epochs(x, labels, train, batch_size, seed, on_progress)
    network, training = train(x, labels, epochs=epochs, on_progress=on_progress)
    return TableClassifier(schema, network, tuple(class_names), training)


def _enough_epochs(
    x: np.ndarray,
    labels: np.ndarray,
    train: Callable[..., tuple[Classifier, TrainingInfo]],
    batch_size: int,
    seed: int,
    on_progress: OnProgress | None,
) -> int:
    """How many passes over the rows fit rows best that are held out: a training of each length."""
    most = max(1, min(_MOST_EPOCHS, _UPDATES // -(-len(x) // batch_size)))
    if len(x) > _MOST_ROWS or np.bincount(labels).min() < _LEAST_ROWS:
        return most
    kept, rest = stratified_split(labels, test_fraction=_HELD_OUT, seed=seed)

    def tried(stage: str, epoch: int, epochs: int, loss: float) -> None:
        if on_progress is not None:
            on_progress(f"{stage}, {epochs} epochs on trial", epoch, epochs, loss)

    least, best, epochs = np.inf, most, min(_FIRST_EPOCHS, most)
    while True:
        network, _ = train(x[kept], labels[kept], epochs=epochs, on_progress=tried)
        chances = jax.nn.log_softmax(apply_in_batches(network, x[rest]))
        loss = -float(np.mean(np.asarray(chances)[np.arange(len(rest)), labels[rest]]))
        if loss < least:
            least, best = loss, epochs
        if loss > least or epochs == most:
            return best
        epochs = min(2 * epochs, most)
