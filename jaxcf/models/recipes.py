"""One call from a data set to a trained model set."""

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from jaxcf.data.dataset import Dataset
from jaxcf.models.fitting import apply_in_blocks
from jaxcf.models.model_set import ModelSet
from jaxcf.models.networks import Autoencoder
from jaxcf.models.training import (
    OnProgress,
    check_labels,
    train_autoencoder,
    train_class_autoencoders,
    train_classifier,
)

# From this side on, one code channel for every 4x4 pixels is enough to recognise an image.
_LARGE_IMAGE = 16


@dataclass(frozen=True)
class _Updates:
    """How many updates the networks get by default: enough to converge, whatever the rows."""

    classifier: int
    autoencoder: int
    class_autoencoder: int


_UPDATES = {"image": _Updates(2400, 4700, 1100), "table": _Updates(600, 3000, 1500)}


def train_models(
    dataset: Dataset,
    *,
    seed: int = 0,
    classifier_epochs: int | None = None,
    autoencoder_epochs: int | None = None,
    class_autoencoder_epochs: int | None = None,
    code_size: int | None = None,
    on_progress: OnProgress | None = None,
) -> ModelSet:
    """Train a classifier, an autoencoder, and one autoencoder per (given) class.

    Args:
        dataset: What to train on.
        seed: Seed of the initial weights and the order of the rows.
        classifier_epochs: Passes over the rows; None chooses by the number of rows.
        autoencoder_epochs: Likewise.
        class_autoencoder_epochs: Likewise, over the rows of the largest class.
        code_size: Numbers in the code of a table row, or channels in the code of an image; None
            chooses a fifth of the columns, or 1 channel (4 for images with a side below 16).
        on_progress: Called after each epoch with the stage, the epoch (from 1), the number of
            epochs, and the loss.

    Returns:
        The networks; their metadata state the data, the settings and the quality on test rows.

    Raises:
        ValueError: If rows and labels don't fit each other, or a class has no training rows.
        CollapsedAutoencoderError: If an autoencoder returns a constant after several tries.

    Example:
        >>> from jaxcf.data import load
        >>> models = train_models(load("breast_cancer"), classifier_epochs=20,
        ...                       autoencoder_epochs=40, class_autoencoder_epochs=40)
        >>> models.metadata["test_accuracy"] > 0.9
        True
    """
    shape, num_classes = dataset.x_train.shape[1:], len(dataset.class_names)
    check_labels(dataset.y_test, len(dataset.x_test), num_classes)
    classifier_kind, autoencoder_kind = _architectures(dataset.kind, shape, num_classes, code_size)
    rows = len(dataset.x_train)
    batch_size = 128 if rows >= 10_000 else 32
    updates = _UPDATES[dataset.kind]
    classifier, classifier_info = train_classifier(
        dataset.x_train,
        dataset.y_train,
        classifier_kind,
        seed=seed,
        epochs=classifier_epochs or _epochs(updates.classifier, rows, batch_size),
        batch_size=batch_size,
        on_progress=on_progress,
    )
    autoencoder, autoencoder_info = train_autoencoder(
        dataset.x_train,
        autoencoder_kind,
        seed=seed,
        epochs=autoencoder_epochs or _epochs(updates.autoencoder, rows, batch_size),
        batch_size=batch_size,
        on_progress=on_progress,
    )
    largest = int(np.bincount(dataset.y_train).max())
    batch_size = min(batch_size, 64)
    class_autoencoders, class_infos = train_class_autoencoders(
        dataset.x_train,
        dataset.y_train,
        autoencoder_kind,
        num_classes=num_classes,
        seed=seed,
        epochs=class_autoencoder_epochs or _epochs(updates.class_autoencoder, largest, batch_size),
        batch_size=batch_size,
        on_progress=on_progress,
    )
    predicted = apply_in_blocks(classifier, dataset.x_test).argmax(-1)
    metadata = {
        "data": {
            "name": dataset.name,
            "kind": dataset.kind,
            "train_rows": rows,
            "test_rows": len(dataset.x_test),
            "train_sha256": fingerprint(dataset.x_train, dataset.y_train),
        },
        "test_accuracy": float((predicted == dataset.y_test).mean()),
        "test_reconstruction_error": _error(autoencoder, dataset.x_test),
        "class_test_reconstruction_errors": [
            _error(network, dataset.x_test[dataset.y_test == label])
            for label, network in enumerate(class_autoencoders)
        ],
        "training": {
            "classifier": asdict(classifier_info),
            "autoencoder": asdict(autoencoder_info),
            "class_autoencoders": [asdict(info) for info in class_infos],
        },
    }
    return ModelSet(classifier, autoencoder, class_autoencoders, metadata)


def fingerprint(x: Float[np.ndarray, "n *shape"], y: Int[np.ndarray, " n"]) -> str:
    """Identify training rows and labels.

    `sha256(shape and bytes of x as float32, shape and bytes of y as int32)`

    Args:
        x: Rows `[n, *shape]`.
        y: Labels `[n]`.

    Returns:
        64 hexadecimal digits.

    Example:
        >>> import numpy as np
        >>> fingerprint(np.zeros((2, 3)), np.zeros(2, int))[:8]
        '5c9899b2'
    """
    digest = hashlib.sha256()
    for array, dtype in ((x, "<f4"), (y, "<i4")):
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array, dtype).tobytes())
    return digest.hexdigest()


def _architectures(
    kind: str, shape: tuple[int, ...], num_classes: int, code_size: int | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The descriptions of the classifier and of the autoencoders."""
    if kind == "image" and len(shape) == 3:
        image_shape = {"image_shape": list(shape)}
        channels = code_size or (1 if min(shape[:2]) >= _LARGE_IMAGE else 4)
        return (
            {"kind": "ConvolutionalClassifier", "num_classes": num_classes} | image_shape,
            {"kind": "ConvolutionalAutoencoder", "code_channels": channels} | image_shape,
        )
    if kind == "table" and len(shape) == 1:
        num_features = {"num_features": shape[0]}
        size = code_size or max(2, shape[0] // 5)
        return (
            {"kind": "DenseClassifier", "num_classes": num_classes} | num_features,
            {"kind": "DenseAutoencoder", "code_size": size} | num_features,
        )
    raise ValueError(
        f"the data set is of kind {kind!r} with rows of shape {shape}: expected 'image' with "
        "(height, width, channels) or 'table' with (columns,)"
    )


def _epochs(updates: int, rows: int, batch_size: int) -> int:
    return max(1, round(updates / -(-rows // batch_size)))


def _error(network: Autoencoder, x: np.ndarray) -> float | None:
    """Mean squared error of the reconstruction, None where there are no rows."""
    return float(np.square(apply_in_blocks(network, x) - x).mean()) if len(x) else None
