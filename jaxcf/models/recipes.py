"""One call from a data set to a trained model set."""

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from jaxcf.data.dataset import Dataset
from jaxcf.models.augmentation import is_photograph, usual_augmentation
from jaxcf.models.model_set import ModelSet
from jaxcf.models.networks.registry import Autoencoder
from jaxcf.models.training import (
    OnProgress,
    train_autoencoder,
    train_class_autoencoders,
    train_classifier,
)
from jaxcf.models.training_loop import apply_in_batches
from jaxcf.utils.validation import check_labels

# From this side on, one code channel for every 4x4 pixels is enough to recognise a digit.
_LARGE_IMAGE = 16

# From this side on, the classifier of photographs has one more stage.
_LARGE_PHOTOGRAPH = 48

# A class of fewer photographs than this teaches an autoencoder little from the beginning: it starts
# from the common one.
_FEW_ROWS = 500

# Channels of the code of photographs. On CIFAR-10, after equally many updates, 4, 8 and 16 of them
# give mean squared errors of 0.0075, 0.0068 and 0.0065.
_COLOUR_CODES = 8


@dataclass(frozen=True)
class _Recipe:
    """How many updates the networks get by default: enough to converge, whatever the rows.

    Args:
        classifier: Updates of the classifier.
        autoencoder: Updates of the common autoencoder.
        class_autoencoder: Updates of the autoencoder of each class.
        most_passes: Over the rows of a class, so that many small classes don't take hours; None
            for no limit.
        weight_decay: Of the classifier.
        label_smoothing: Likewise.
    """

    classifier: int
    autoencoder: int
    class_autoencoder: int
    most_passes: int | None = None
    weight_decay: float = 0.0
    label_smoothing: float = 0.0


_RECIPES = {
    "image": _Recipe(2400, 4700, 1100),
    "photograph": _Recipe(7800, 3500, 800, most_passes=25, weight_decay=0.05, label_smoothing=0.1),
    "table": _Recipe(600, 3000, 1500),
}


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

    Images of three channels and 16 pixels a side or more are taken for photographs: they get a
    `ResidualClassifier`, which sees them shifted and mirrored at random; other images get a
    `ConvolutionalClassifier`, which sees them as they are.

    Args:
        dataset: What to train on.
        seed: Seed of the initial weights and the order of the rows.
        classifier_epochs: Passes over the rows; None chooses by the number of rows.
        autoencoder_epochs: Likewise.
        class_autoencoder_epochs: Likewise, over the rows of the largest class.
        code_size: Numbers in the code of a table row, or channels in the code of an image; None
            chooses a fifth of the columns, or 1 channel (4 for images with a side below 16, 8 for
            photographs).
        on_progress: Called after each epoch with the stage, the epoch (from 1), the number of
            epochs, and the loss.

    Returns:
        The networks; their metadata state the data, the settings and the quality on test rows.

    Raises:
        ValueError: If rows and labels don't fit each other, or a class has no training rows.
        CollapsedAutoencoderError: If an autoencoder returns a constant after several tries.

    Examples:
        >>> from jaxcf.data import load
        >>> models = train_models(load("breast_cancer"), classifier_epochs=20,
        ...                       autoencoder_epochs=40, class_autoencoder_epochs=40)
        >>> models.metadata["test_accuracy"] > 0.9
        True
    """
    shape, num_classes = dataset.shape, dataset.num_classes
    check_labels(dataset.y_test, len(dataset.x_test), num_classes)
    classifier_kind, autoencoder_kind = _architectures(dataset.kind, shape, num_classes, code_size)
    rows = len(dataset.x_train)
    batch_size = 128 if rows >= 10_000 else 32
    recipe = _RECIPES["photograph" if is_photograph(shape) else dataset.kind]
    classifier, classifier_info = train_classifier(
        dataset.x_train,
        dataset.y_train,
        classifier_kind,
        seed=seed,
        epochs=classifier_epochs or _epochs(recipe.classifier, rows, batch_size),
        batch_size=batch_size,
        weight_decay=recipe.weight_decay,
        label_smoothing=recipe.label_smoothing,
        augmentation=usual_augmentation(shape),
        on_progress=on_progress,
    )
    autoencoder, autoencoder_info = train_autoencoder(
        dataset.x_train,
        autoencoder_kind,
        seed=seed,
        epochs=autoencoder_epochs or _epochs(recipe.autoencoder, rows, batch_size),
        batch_size=batch_size,
        on_progress=on_progress,
    )
    largest = int(np.bincount(dataset.y_train).max())
    batch_size = min(batch_size, 64)
    few_photographs = is_photograph(shape) and largest < _FEW_ROWS
    if few_photographs:
        # Else each update would see all of the class.
        batch_size = 8
    class_autoencoders, class_infos = train_class_autoencoders(
        dataset.x_train,
        dataset.y_train,
        autoencoder_kind,
        num_classes=num_classes,
        seed=seed,
        epochs=class_autoencoder_epochs
        or _epochs(recipe.class_autoencoder, largest, batch_size, recipe.most_passes),
        batch_size=batch_size,
        start=autoencoder if few_photographs else None,
        on_progress=on_progress,
    )
    predicted = apply_in_batches(classifier, dataset.x_test).argmax(-1)
    metadata = {
        "data": described(dataset),
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


def described(dataset: Dataset) -> dict[str, Any]:
    """What is recorded of the data that networks were trained on.

    Args:
        dataset: The data.

    Returns:
        JSON-able: its name and kind, the numbers of rows, and what identifies the training rows.

    Examples:
        >>> from jaxcf.data import load
        >>> described(load("digits"))["train_rows"]
        1346
    """
    return {
        "name": dataset.name,
        "kind": dataset.kind,
        "train_rows": len(dataset.x_train),
        "test_rows": len(dataset.x_test),
        "train_sha256": fingerprint(dataset.x_train, dataset.y_train),
    }


def fingerprint(x: Float[np.ndarray, "n *shape"], y: Int[np.ndarray, " n"]) -> str:
    """Identify training rows and labels.

    `sha256(shape and bytes of x as float32, shape and bytes of y as int32)`

    Args:
        x: Rows `[n, *shape]`.
        y: Labels `[n]`.

    Returns:
        64 hexadecimal digits.

    Examples:
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
        if is_photograph(shape):
            classifier = {"kind": "ResidualClassifier", "widths": residual_widths(shape)}
            channels = _COLOUR_CODES
        else:
            classifier = {"kind": "ConvolutionalClassifier"}
            channels = 1 if min(shape[:2]) >= _LARGE_IMAGE else 4
        channels = code_size or channels
        return (
            classifier | {"num_classes": num_classes} | image_shape,
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


def residual_widths(shape: tuple[int, ...]) -> list[int]:
    """The stages of a residual classifier of photographs.

    Of larger images there is one more, so that about 4x4 pixels are left, and at a like cost.

    Args:
        shape: Of one photograph, `(height, width, channels)`.

    Returns:
        The channels of each.

    Examples:
        >>> residual_widths((32, 32, 3))
        [32, 64, 128]
    """
    return [16, 32, 64, 128] if min(shape[:2]) >= _LARGE_PHOTOGRAPH else [32, 64, 128]


def _epochs(updates: int, rows: int, batch_size: int, most: int | None = None) -> int:
    epochs = max(1, round(updates / -(-rows // batch_size)))
    return epochs if most is None else min(epochs, most)


def _error(network: Autoencoder, x: np.ndarray) -> float | None:
    """Mean squared error of the reconstruction, None where there are no rows."""
    return float(np.square(apply_in_batches(network, x) - x).mean()) if len(x) else None
