"""Weights of a model set on disk: one npz file, no pickle, checked when read."""

import os
from collections.abc import Callable
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TypeVar

import numpy as np

from jaxcf.models.model_set import AUTOENCODER, CLASSIFIER, ModelSet
from jaxcf.models.network_files import NetworkFile, open_networks, restore, write_networks
from jaxcf.models.networks.registry import (
    Autoencoder,
    Classifier,
    Network,
    instance_shape,
)
from jaxcf.utils.array_files import open_arrays

Loaded = TypeVar("Loaded")

_CONTENT = "models"
_CLASS_AUTOENCODER = "class_autoencoder_{}"

_TORCH_LAYERS = {
    "ConvolutionalClassifier": {"conv1": "conv1", "conv2": "conv2", "dense": "dense"},
    "ConvolutionalAutoencoder": {
        "encoder_conv1": "enc_conv1",
        "encoder_conv2": "enc_conv2",
        "encoder_conv3": "enc_conv3",
        "decoder_up1": "dec_convt1",
        "decoder_up2": "dec_convt2",
        "decoder_conv": "dec_conv3",
    },
}


def save_models(path: str | os.PathLike[str], models: ModelSet) -> None:
    """Write the networks and metadata of a model set to one file.

    `load_models(path)` returns networks with the same weights.

    Args:
        path: Where to; its folder is made if it is missing, an existing file is replaced at once.
        models: What to write.

    Raises:
        TypeError: If the metadata can't be written as JSON.

    Examples:
        >>> import tempfile
        >>> from jaxcf.models import pretrained
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_models(f"{folder}/models.npz", pretrained("digits"))
        ...     load_models(f"{folder}/models.npz").classifier.num_classes
        10
    """
    write_networks(path, _CONTENT, _by_name(models), models.metadata)


def load_models(path: str | os.PathLike[str]) -> ModelSet:
    """Read a model set that `save_models` wrote.

    Args:
        path: The file.

    Returns:
        The model set.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is something else, damaged, of another schema version, or if an array is
            missing, unknown, of the wrong shape or type, or not finite.

    Examples:
        >>> import tempfile
        >>> from jaxcf.models import pretrained
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_models(f"{folder}/models.npz", pretrained("breast_cancer"))
        ...     len(load_models(f"{folder}/models.npz").class_autoencoders)
        2
    """
    with open_networks(path, _CONTENT) as file:
        return _assemble(file)


def pretrained_names() -> tuple[str, ...]:
    """The data sets whose trained networks are shipped with the library.

    Returns:
        Names as in `jaxcf.data.load`, sorted.

    Examples:
        >>> "digits" in pretrained_names()
        True
    """
    return tuple(sorted(shipped(_CONTENT)))


def shipped(content: str) -> dict[str, Traversable]:
    """The files that are shipped with the library, by the data set that they belong to.

    Args:
        content: What they hold: "models" are `NAME.npz`, all else is `NAME-CONTENT.npz`.

    Returns:
        The files.

    Examples:
        >>> shipped("models")["digits"].name
        'digits.npz'
    """
    folder = resources.files("jaxcf.models") / "weights"
    parts = {file: file.name.removesuffix(".npz").partition("-") for file in folder.iterdir()}
    return {
        name: file for file, (name, _, holds) in parts.items() if (holds or _CONTENT) == content
    }


def load_shipped(content: str, name: str, load: Callable[[Path], Loaded], remedy: str) -> Loaded:
    """Load what is shipped with the library for a data set.

    Args:
        content: What it is, as for `shipped`.
        name: The data set.
        load: Reads such a file.
        remedy: What to do where there is none.

    Returns:
        What the file holds.

    Raises:
        ValueError: If there is none for that data set.
    """
    files = shipped(content)
    if name not in files:
        raise ValueError(
            f"no pretrained {content} for {name!r}: there are some for {sorted(files)}; {remedy}"
        )
    with resources.as_file(files[name]) as path:
        return load(path)


def pretrained(name: str) -> ModelSet:
    """Load the networks that are shipped with the library.

    Args:
        name: The data set they were trained on, as in `jaxcf.data.load`.

    Returns:
        The model set; its metadata state the data, the training and the quality.

    Raises:
        ValueError: If there are none for that data set.

    Examples:
        >>> pretrained("digits").metadata["data"]["name"]
        'digits'
    """
    return load_shipped(_CONTENT, name, load_models, "train others with train_models")


def load_torch_models(
    path: str | os.PathLike[str], *, image_shape: tuple[int, int, int] = (28, 28, 1)
) -> ModelSet:
    """Read weights of the convolutional networks that were trained in PyTorch.

    The npz file holds float32 arrays `<model>/<layer>/<kernel or bias>` in PyTorch's own layouts:
    `classifier` with the layers `conv1`, `conv2` (Conv2d) and `dense` (Linear, over channels, rows,
    columns flattened in this order), and `ae_all` and, if there are any, `ae_class_0`,
    `ae_class_1`, ... with the layers `enc_conv1`, `enc_conv2`, `enc_conv3` (Conv2d), `dec_convt1`,
    `dec_convt2` (ConvTranspose2d) and `dec_conv3` (Conv2d).

    Args:
        path: The file.
        image_shape: `(height, width, channels)` of the images they were trained on.

    Returns:
        A model set that computes the same.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, or an array is missing, unknown, of the wrong shape or type,
            or not finite.

    Examples:
        >>> load_torch_models("missing.npz")
        Traceback (most recent call last):
        ...
        FileNotFoundError: [Errno 2] No such file or directory: 'missing.npz'
    """
    with open_arrays(path) as file:
        arrays = file.read()
    try:
        num_classes = len(arrays["classifier/dense/bias"])
        code_channels = len(arrays["ae_all/enc_conv3/bias"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} lacks a classifier or an autoencoder: {error}") from error
    torch_names = {"classifier": CLASSIFIER, "ae_all": AUTOENCODER}
    count = len({name.split("/")[0] for name in arrays if name.startswith("ae_class_")})
    torch_names |= {f"ae_class_{i}": _CLASS_AUTOENCODER.format(i) for i in range(count)}
    classifier = {"kind": "ConvolutionalClassifier", "num_classes": num_classes}
    autoencoder = {"kind": "ConvolutionalAutoencoder", "code_channels": code_channels}
    architectures, renamed = {}, {}
    for torch_name, name in torch_names.items():
        architecture = classifier if name == CLASSIFIER else autoencoder
        architectures[name] = architecture | {"image_shape": list(image_shape)}
        for layer, torch_layer in _TORCH_LAYERS[architecture["kind"]].items():
            for part in ("kernel", "bias"):
                value = arrays.pop(f"{torch_name}/{torch_layer}/{part}", None)
                if value is not None:
                    renamed[f"{name}/{layer}/{part}"] = _from_torch(layer, value, image_shape)
    # What is left belongs to no layer: reported as unknown, under its own name.
    weights = renamed | arrays
    source = {"source": "PyTorch"}
    return _assemble(NetworkFile(path, architectures, source, weights, lambda: weights))


def _from_torch(layer: str, value: np.ndarray, image_shape: tuple[int, int, int]) -> np.ndarray:
    if value.ndim == 2:
        pixels = (image_shape[0] // 4, image_shape[1] // 4)
        if value.shape[1] % (pixels[0] * pixels[1]):
            return value.T
        by_channel = value.reshape(len(value), -1, *pixels)
        return by_channel.transpose(2, 3, 1, 0).reshape(-1, len(value))
    if value.ndim == 4:
        return (
            value.transpose(2, 3, 0, 1)
            if layer.startswith("decoder_up")
            else value.T.swapaxes(0, 1)
        )
    return value


def _by_name(models: ModelSet) -> dict[str, Network]:
    networks: dict[str, Network] = {CLASSIFIER: models.classifier, AUTOENCODER: models.autoencoder}
    for label, network in enumerate(models.class_autoencoders):
        networks[_CLASS_AUTOENCODER.format(label)] = network
    return networks


def _assemble(file: NetworkFile) -> ModelSet:
    """Build the networks and give them their weights, once every array has been checked."""
    count = len(file.architectures) - 2
    names = [CLASSIFIER, AUTOENCODER, *(_CLASS_AUTOENCODER.format(i) for i in range(count))]
    if sorted(file.architectures) != sorted(names):
        raise ValueError(
            f"{file.path} describes the networks {sorted(file.architectures)}: expected a "
            "classifier, an autoencoder, and class autoencoders numbered from 0"
        )
    kinds = dict.fromkeys(names, Autoencoder) | {CLASSIFIER: Classifier}
    classifier, autoencoder, *class_autoencoders = restore(file, names, kinds.__getitem__)
    if count not in (0, classifier.num_classes):
        raise ValueError(
            f"{file.path} holds {count} class autoencoders; its classifier knows "
            f"{classifier.num_classes} classes"
        )
    shapes = [instance_shape(one) for one in (classifier, autoencoder, *class_autoencoders)]
    if len(set(shapes)) > 1:
        raise ValueError(
            f"{file.path} holds networks of different instances: {sorted(set(shapes))}"
        )
    return ModelSet(classifier, autoencoder, tuple(class_autoencoders), file.metadata)
