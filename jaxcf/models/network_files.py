"""Named networks in one npz file, no pickle, checked when read."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import UnionType
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx, traverse_util

from jaxcf.models.networks.registry import Network, build
from jaxcf.utils.array_files import open_arrays, write_arrays
from jaxcf.utils.file_checks import Described

SCHEMA_VERSION = 1


class NetworkFile(NamedTuple):
    """A file of networks, none of whose arrays is unpacked yet.

    Attributes:
        path: Of the file, for messages.
        architectures: What to build, by name.
        metadata: What is to be known of them.
        headers: Type and shape of every array, called `name/key`.
        read: Unpacks all of them.
    """

    path: str | os.PathLike[str]
    architectures: Mapping[str, Any]
    metadata: dict[str, Any]
    headers: Mapping[str, Described]
    read: Callable[[], Mapping[str, np.ndarray]]


def format_of(content: str) -> str:
    """What a file that holds this says of itself."""
    return f"jaxcf {content}"


def write_networks(
    path: str | os.PathLike[str],
    content: str,
    networks: Mapping[str, Network],
    metadata: Mapping[str, Any],
) -> None:
    """Write networks by name and what is to be known of them.

    Args:
        path: Where to; its folder is made if it is missing, an existing file is replaced at once.
        content: What the file holds, such as "models"; `read_networks` asks for the same.
        networks: What to write.
        metadata: JSON-able.

    Raises:
        TypeError: If the metadata can't be written as JSON.
    """
    arrays = {
        f"{name}/{key}": np.asarray(value)
        for name, network in networks.items()
        for key, value in _flat_weights(network).items()
    }
    description = {
        "format": format_of(content),
        "schema_version": SCHEMA_VERSION,
        "architectures": {name: network.architecture for name, network in networks.items()},
        "metadata": metadata,
    }
    write_arrays(path, arrays, description)


@contextmanager
def open_networks(path: str | os.PathLike[str], content: str) -> Iterator[NetworkFile]:
    """Open what `write_networks` wrote, for `restore` to make networks of.

    Args:
        path: The file.
        content: What it must hold.

    Yields:
        The open file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is something else, damaged, or of another schema version.
    """
    with open_arrays(path) as file:
        description = file.metadata
        if description.get("format") != format_of(content):
            raise ValueError(
                f"{path} holds no jaxcf {content}: expected a file written by save_{content}"
            )
        if description.get("schema_version") != SCHEMA_VERSION:
            raise ValueError(
                f"{path} has schema version {description.get('schema_version')!r}: this version of "
                f"jaxcf reads {SCHEMA_VERSION}; train the {content} again or use a matching version"
            )
        architectures, metadata = description.get("architectures"), description.get("metadata")
        if not isinstance(architectures, dict) or not isinstance(metadata, dict):
            raise ValueError(f"{path} is damaged: it doesn't describe its networks and their data")
        yield NetworkFile(path, architectures, metadata, file.headers, file.read)


def restore(
    file: NetworkFile, names: Iterable[str], kind_of: Callable[[str], type | UnionType]
) -> list[Any]:
    """Build networks and give them their weights, once every array has been checked.

    Args:
        file: With the architectures and the weights.
        names: Which networks, in which order.
        kind_of: What the network of a name must be an instance of.

    Returns:
        The networks in the order of their names.

    Raises:
        ValueError: If a network can't be built or is of another kind, or if an array is missing,
            unknown, of the wrong shape or type, or not finite.
    """
    networks, expected = {}, set()
    # To build a network takes longer than to read its weights, and those of classes are alike.
    built: dict[tuple[str, Any], Network] = {}
    for name in names:
        kind = kind_of(name)
        described = json.dumps(file.architectures[name], sort_keys=True), kind
        if described not in built:
            built[described] = _abstract_network(file, name, kind)
        networks[name] = built[described]
        shapes = _flat_weights(networks[name])
        expected |= {f"{name}/{key}" for key in shapes}
        for key, wanted in shapes.items():
            _check_header(file, f"{name}/{key}", wanted)
    if unknown := set(file.headers) - expected:
        raise ValueError(f"{file.path} holds arrays of no layer: {sorted(unknown)}")
    arrays = file.read()
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{file.path}: {name!r} holds NaN or infinity")
    return [_with_weights(network, name, arrays) for name, network in networks.items()]


def _flat_weights(network: Network) -> dict[str, Any]:
    return traverse_util.flatten_dict(nnx.to_pure_dict(nnx.state(network)), sep="/")


def _abstract_network(file: NetworkFile, name: str, kind: type | UnionType) -> Network:
    """The network with shapes and types in place of its weights."""
    architecture = file.architectures[name]
    try:
        if _most_layers(architecture) > len(file.headers):
            raise ValueError("it has more layers than the file has arrays")
        network = nnx.eval_shape(lambda: build(architecture, nnx.Rngs(0)))
    # What nonsense makes a constructor stumble over is up to its layers.
    except Exception as error:
        raise ValueError(f"{file.path} describes no valid {name}: {error}") from error
    if not isinstance(network, kind):
        raise ValueError(f"{file.path} describes no valid {name}: it is a {architecture['kind']}")
    return network


def _most_layers(architecture: Mapping[str, Any]) -> int:
    """How many layers a description asks for at most: a depth, or one for each of some widths."""
    depth = architecture.get("depth", 0)
    listed = [len(one) for one in architecture.values() if isinstance(one, list)]
    return max([depth if isinstance(depth, int) else 0, *listed])


def _check_header(file: NetworkFile, name: str, wanted: jax.ShapeDtypeStruct) -> None:
    if name not in file.headers:
        raise ValueError(f"{file.path} lacks the array {name!r}")
    given = file.headers[name]
    if given.shape != wanted.shape or given.dtype != wanted.dtype:
        raise ValueError(
            f"{file.path}: {name!r} has shape {given.shape} and type {given.dtype}, expected "
            f"{wanted.shape} and {wanted.dtype}"
        )


def _with_weights(network: Network, name: str, arrays: Mapping[str, np.ndarray]) -> Any:
    graphdef, state = nnx.split(network)
    # `jnp.asarray` would compile a program for each shape.
    weights = {key: jax.device_put(arrays[f"{name}/{key}"]) for key in _flat_weights(network)}
    nnx.replace_by_pure_dict(state, traverse_util.unflatten_dict(weights, sep="/"))
    return nnx.merge(graphdef, state)
