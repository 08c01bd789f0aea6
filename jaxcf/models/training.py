"""Training of one network at a time with Adam and a one-cycle learning rate."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from jaxcf.models.adversary import Adversary
from jaxcf.models.augmentation import Augmentation
from jaxcf.models.networks.registry import Autoencoder, Classifier, build
from jaxcf.models.training_loop import (
    Settings,
    SmoothedCrossEntropy,
    apply_in_batches,
    cross_entropy,
    fit,
    squared_error,
)
from jaxcf.utils.validation import check_finite, check_labels

OnProgress = Callable[[str, int, int, float], None]
"""Called after each epoch with the stage, the epoch (from 1), the number of epochs, the loss."""

# An autoencoder that explains less than this share of the variance of its rows has collapsed.
_LEAST_EXPLAINED = 0.05
# Mean squared error of rows in [0, 1] that is too small to call a collapse, however alike they are.
_NEGLIGIBLE_ERROR = 1e-4


class CollapsedAutoencoderError(RuntimeError):
    """An autoencoder reconstructs no better than one constant row, whatever it starts from."""


@dataclass(frozen=True)
class TrainingInfo:
    """How a network was trained.

    Args:
        rows: Training rows.
        epochs: Passes over the training rows.
        batch_size: Rows per update.
        learning_rate: Peak of the one-cycle schedule.
        seed: Seed of the initial weights and the order of the rows.
        loss: Mean loss of the last epoch.
        retries: How many times the training was begun anew because the autoencoder collapsed.
        seconds: How long it took, compilation and retries included.
        weight_decay: By how much of the learning rate each update shrank the kernels.
        label_smoothing: How much of the probability a target spread over all classes.
        augmentation: How each batch was varied.
        adversary: How each batch was then moved against the network.
        started_trained: Whether it started from a trained network; else from random weights.

    Examples:
        >>> TrainingInfo(100, 2, 32, 1e-3, 0, 0.1, 0, 1.5).epochs
        2
    """

    rows: int
    epochs: int
    batch_size: int
    learning_rate: float
    seed: int
    loss: float
    retries: int
    seconds: float
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    augmentation: Augmentation | None = None
    adversary: Adversary | None = None
    started_trained: bool = False


def train_classifier(
    x: Float[np.ndarray, "n *shape"],
    y: Int[np.ndarray, " labels"],
    architecture: Mapping[str, Any],
    *,
    seed: int = 0,
    epochs: int = 6,
    batch_size: int = 128,
    learning_rate: float = 4e-3,
    weight_decay: float = 0.0,
    label_smoothing: float = 0.0,
    augmentation: Augmentation | None = None,
    adversary: Adversary | None = None,
    on_progress: OnProgress | None = None,
) -> tuple[Classifier, TrainingInfo]:
    """Train a classifier.

    `minimise mean_n cross_entropy(softmax(network(x_n)), y_n)`

    Args:
        x: Rows `[n, *shape]`, values in [0, 1].
        y: Labels `[n]`, integers from 0.
        architecture: What to build, `{"kind": class name, **arguments of that class}`.
        seed: Seed of the initial weights and the order of the rows.
        epochs: Passes over the rows.
        batch_size: Rows per update.
        learning_rate: Peak of the one-cycle schedule.
        weight_decay: By how much of the learning rate each update shrinks the kernels.
        label_smoothing: How much of the probability a target spreads over all classes.
        augmentation: How each batch is varied; None leaves it as it is.
        adversary: How each batch is then moved against the network, which so becomes robust; None
            leaves it where it is.
        on_progress: Called after each epoch.

    Returns:
        The trained network, and how it was trained.

    Raises:
        ValueError: If the rows or labels don't fit each other or the architecture.

    Examples:
        >>> import numpy as np
        >>> x = np.linspace(0, 1, 64, dtype=np.float32)[:, None]
        >>> table = {"kind": "DenseClassifier", "num_features": 1, "num_classes": 2}
        >>> network, info = train_classifier(x, (x[:, 0] > 0.5).astype(int), table, epochs=50,
        ...                                  batch_size=16)
        >>> bool(network(np.float32([[0.1], [0.9]])).argmax(1).tolist() == [0, 1])
        True
    """
    _check_rows(x)
    settings = Settings(
        epochs, batch_size, learning_rate, weight_decay, label_smoothing, augmentation, adversary
    )
    start = perf_counter()
    network = build(architecture, nnx.Rngs(jax.random.key(seed)))
    if not isinstance(network, Classifier):
        raise ValueError(f"{architecture['kind']} is no classifier: expected one with num_classes")
    labels = check_labels(y, len(x), network.num_classes)
    trained, loss = fit(
        network,
        SmoothedCrossEntropy(label_smoothing) if label_smoothing else cross_entropy,
        (jnp.asarray(x), jnp.asarray(labels, jnp.int32)),
        np.arange(len(x)),
        settings,
        np.random.default_rng(seed),
        settings.updates_per_epoch(len(x)),
        _report_to(on_progress, "classifier", epochs),
    )
    return trained, _info(len(x), settings, seed, loss, 0, start)


def train_autoencoder(
    x: Float[np.ndarray, "n *shape"],
    architecture: Mapping[str, Any],
    *,
    seed: int = 0,
    epochs: int = 10,
    batch_size: int = 128,
    learning_rate: float = 4e-3,
    max_tries: int = 5,
    on_progress: OnProgress | None = None,
) -> tuple[Autoencoder, TrainingInfo]:
    """Train an autoencoder, anew if it collapses.

    `minimise mean_n |network(x_n) - x_n|^2 / size`

    Args:
        x: Rows `[n, *shape]`, values in [0, 1].
        architecture: What to build, `{"kind": class name, **arguments of that class}`.
        seed: Seed of the initial weights and the order of the rows.
        epochs: Passes over the rows.
        batch_size: Rows per update.
        learning_rate: Peak of the one-cycle schedule.
        max_tries: How many initial weights to try.
        on_progress: Called after each epoch.

    Returns:
        The trained network, and how it was trained.

    Raises:
        ValueError: If the rows don't fit the architecture.
        CollapsedAutoencoderError: If the network returns a constant after each try.

    Examples:
        >>> import numpy as np
        >>> x = np.linspace(0, 1, 64, dtype=np.float32)[:, None].repeat(3, axis=1)
        >>> table = {"kind": "DenseAutoencoder", "num_features": 3, "code_size": 1}
        >>> network, info = train_autoencoder(x, table, epochs=50, batch_size=16)
        >>> bool(np.abs(network(x) - x).mean() < 0.1)
        True
    """
    _check_rows(x)
    rows = np.arange(len(x))
    settings = Settings(epochs, batch_size, learning_rate)
    updates = settings.updates_per_epoch(len(x))
    report = _report_to(on_progress, "autoencoder", epochs)
    return _train_until_alive(
        jnp.asarray(x), rows, architecture, settings, seed, max_tries, updates, report, "all rows"
    )


def train_class_autoencoders(
    x: Float[np.ndarray, "n *shape"],
    labels: Int[np.ndarray, " labels"],
    architecture: Mapping[str, Any],
    *,
    num_classes: int,
    seed: int = 0,
    epochs: int = 20,
    batch_size: int = 64,
    learning_rate: float = 4e-3,
    max_tries: int = 5,
    start: Autoencoder | None = None,
    on_progress: OnProgress | None = None,
) -> tuple[tuple[Autoencoder, ...], tuple[TrainingInfo, ...]]:
    """Train one autoencoder per class, on the rows of that class alone.

    `minimise mean_{n: labels_n = i} |network_i(x_n) - x_n|^2 / size`

    Every class gets as many updates as the largest.

    Args:
        x: Rows `[n, *shape]`, values in [0, 1].
        labels: Labels `[n]`, given or predicted, integers from 0.
        architecture: What to build for each class, `{"kind": class name, **its arguments}`.
        num_classes: How many classes there are.
        seed: Seed of the initial weights and the order of the rows.
        epochs: Passes over the rows of the largest class.
        batch_size: Rows per update.
        learning_rate: Peak of the one-cycle schedule.
        max_tries: How many initial weights to try per class.
        start: A trained network of this architecture for every class to start from, for classes of
            few rows; None for random weights.
        on_progress: Called after each epoch.

    Returns:
        The trained networks and how they were trained, in class order.

    Raises:
        ValueError: If a class has no rows, or rows and labels don't fit.
        CollapsedAutoencoderError: If a network returns a constant after each try.

    Examples:
        >>> import numpy as np
        >>> x = np.linspace(0, 1, 64, dtype=np.float32)[:, None].repeat(3, axis=1)
        >>> table = {"kind": "DenseAutoencoder", "num_features": 3, "code_size": 1}
        >>> networks, infos = train_class_autoencoders(
        ...     x, np.repeat([0, 1], 32), table, num_classes=2, epochs=50, batch_size=8)
        >>> [info.rows for info in infos]
        [32, 32]
    """
    _check_rows(x)
    labels = check_labels(labels, len(x), num_classes)
    counts = np.bincount(labels, minlength=num_classes)
    if not counts.all():
        raise ValueError(
            f"no rows have the labels {np.flatnonzero(counts == 0).tolist()}: expected rows of all "
            f"{num_classes} classes; add some, or number only the classes that occur"
        )
    settings = Settings(epochs, batch_size, learning_rate)
    updates = settings.updates_per_epoch(int(counts.max()))
    on_device = jnp.asarray(x)
    trained = []
    for label in range(num_classes):
        stage = f"class autoencoder {label}"
        trained.append(
            _train_until_alive(
                on_device,
                np.flatnonzero(labels == label),
                architecture,
                settings,
                seed + label,
                max_tries,
                updates,
                _report_to(on_progress, stage, epochs),
                f"the rows of class {label}",
                start,
            )
        )
    networks, infos = zip(*trained, strict=True)
    return networks, infos


def _check_rows(x: np.ndarray) -> None:
    if x.ndim < 2 or not len(x) or x.dtype != np.float32:
        raise ValueError(
            f"rows have shape {x.shape} and type {x.dtype}: expected at least one float32 row "
            "[n, *shape]; convert with x.astype('float32')"
        )
    check_finite("training rows", x)


def _train_until_alive(
    x: Array,
    rows: np.ndarray,
    architecture: Mapping[str, Any],
    settings: Settings,
    seed: int,
    max_tries: int,
    updates: int,
    report: Callable[[int, float], None],
    which: str,
    start: Autoencoder | None = None,
) -> tuple[Autoencoder, TrainingInfo]:
    began = perf_counter()
    wanted = np.asarray(x)[rows]
    variance = float(np.square(wanted - wanted.mean(0)).mean())
    error = np.inf
    for attempt in range(max_tries):
        network = build(architecture, nnx.Rngs(jax.random.fold_in(jax.random.key(seed), attempt)))
        if not isinstance(network, Autoencoder):
            raise ValueError(f"{architecture['kind']} is no autoencoder: expected one that decodes")
        if start is not None and start.architecture != network.architecture:
            raise ValueError(
                f"start is a network {start.architecture}: expected {network.architecture}"
            )
        # Starting at the mean takes away the first pull towards it, which switches units off.
        mean = np.clip(wanted.mean(tuple(range(wanted.ndim - 1))), 0.01, 0.99)
        network.output_layer.bias[...] = jax.scipy.special.logit(mean)
        generator = np.random.default_rng((seed, attempt))
        trained, loss = fit(
            start or network, squared_error, (x,), rows, settings, generator, updates, report
        )
        error = float(np.square(apply_in_batches(trained, wanted) - wanted).mean())
        if error <= (1 - _LEAST_EXPLAINED) * variance + _NEGLIGIBLE_ERROR:
            info = _info(len(rows), settings, seed, loss, attempt, began)
            return trained, replace(info, started_trained=start is not None)
    raise CollapsedAutoencoderError(
        f"the autoencoder of {which} reconstructs with mean squared error {error:.4g}, where their "
        f"mean alone gives {variance:.4g}, after each of {max_tries} tries: give it a larger code, "
        "another seed, a lower learning rate or more epochs"
    )


def _info(
    rows: int, settings: Settings, seed: int, loss: float, retries: int, start: float
) -> TrainingInfo:
    seconds = round(perf_counter() - start, 1)
    return TrainingInfo(
        rows=rows, **vars(settings), seed=seed, loss=loss, retries=retries, seconds=seconds
    )


def _report_to(
    on_progress: OnProgress | None, stage: str, epochs: int
) -> Callable[[int, float], None]:
    def report(epoch: int, loss: float) -> None:
        if on_progress is not None:
            on_progress(stage, epoch, epochs, loss)

    return report
