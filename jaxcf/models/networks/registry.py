"""All kinds of networks, and `build`, which makes one from its description."""

from collections.abc import Mapping
from typing import Any

from flax import nnx

from jaxcf.models.networks.blocks import BlockClassifier
from jaxcf.models.networks.convolutional import ConvolutionalAutoencoder, ConvolutionalClassifier
from jaxcf.models.networks.dense import DenseAutoencoder, DenseClassifier
from jaxcf.models.networks.judge_networks import (
    AveragingClassifier,
    DepthwiseClassifier,
    MixerClassifier,
    PlainClassifier,
    StridedClassifier,
)
from jaxcf.models.networks.residual import ResidualClassifier, SmoothResidualClassifier

JudgeNetwork = (
    StridedClassifier
    | MixerClassifier
    | AveragingClassifier
    | PlainClassifier
    | DepthwiseClassifier
)
RobustNetwork = BlockClassifier | SmoothResidualClassifier
Classifier = (
    ConvolutionalClassifier | DenseClassifier | ResidualClassifier | JudgeNetwork | RobustNetwork
)
Autoencoder = ConvolutionalAutoencoder | DenseAutoencoder
Network = Classifier | Autoencoder

_KINDS: dict[str, type[Network]] = {
    kind.__name__: kind
    for kind in (
        ConvolutionalClassifier,
        ConvolutionalAutoencoder,
        DenseClassifier,
        DenseAutoencoder,
        ResidualClassifier,
        StridedClassifier,
        MixerClassifier,
        AveragingClassifier,
        PlainClassifier,
        DepthwiseClassifier,
        BlockClassifier,
        SmoothResidualClassifier,
    )
}


def build(architecture: Mapping[str, Any], rngs: nnx.Rngs) -> Network:
    """Make a network with fresh weights from a description.

    `build(network.architecture, rngs)` has the kind and sizes of `network`.

    Args:
        architecture: `{"kind": class name, **arguments of that class}`.
        rngs: Where the initial weights are drawn from.

    Returns:
        The network.

    Raises:
        ValueError: If the kind is unknown, or the arguments are not those of the kind.

    Examples:
        >>> from flax import nnx
        >>> table = {"kind": "DenseClassifier", "num_features": 4, "num_classes": 3, "hidden": [8]}
        >>> build(table, nnx.Rngs(0)).hidden
        (8,)
    """
    arguments = dict(architecture)
    kind = arguments.pop("kind", None)
    if kind not in _KINDS:
        raise ValueError(f"unknown kind of network {kind!r}: expected one of {sorted(_KINDS)}")
    try:
        return _KINDS[kind](**arguments, rngs=rngs)
    except TypeError as error:
        raise ValueError(f"{kind} can't be made from the arguments {arguments}: {error}") from error


def instance_shape(network: Network) -> tuple[int, ...]:
    """The shape of one instance that a network takes.

    Args:
        network: Of any kind.

    Returns:
        `(height, width, channels)` of an image, `(features,)` of a row.

    Examples:
        >>> from flax import nnx
        >>> instance_shape(DenseClassifier(4, 3, hidden=(8,), rngs=nnx.Rngs(0)))
        (4,)
    """
    if isinstance(network, DenseClassifier | DenseAutoencoder):
        return (network.num_features,)
    return network.image_shape
