"""Named networks in one npz file, no pickle, checked when read."""

import os
from collections.abc import Callable, Iterable, Mapping
from types import UnionType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx, traverse_util

from jaxcf.models.networks.registry import Network, build
from jaxcf.utils.storage import read_arrays, write_arrays

SCHEMA_VERSION = 1


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
        "format": f"jaxcf {content}",
        "schema_version": SCHEMA_VERSION,
        "architectures": {name: network.architecture for name, network in networks.items()},
        "metadata": metadata,
    }
    write_arrays(path, arrays, description)


def read_networks(
    path: str | os.PathLike[str], content: str
) -> tuple[dict[str, Any], dict[str, np.ndarray], dict[str, Any]]:
    """Read what `write_networks` wrote, for `restore` to make networks of.

    Returns:
        The architectures by name, the arrays, and the metadata.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is something else, damaged, or of another schema version.
    """
    arrays, description = read_arrays(path)
    if description.get("format") != f"jaxcf {content}":
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
    return architectures, arrays, metadata


def restore(
    path: str | os.PathLike[str],
    names: Iterable[str],
    architectures: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    kind_of: Callable[[str], type | UnionType],
) -> list[Any]:
    """Build networks and give them their weights, once every array has been checked.

    Args:
        path: Where they come from, for messages.
        names: Which networks, in which order.
        architectures: What to build, by name.
        arrays: The weights, called `name/key`.
        kind_of: What the network of a name must be an instance of.

    Returns:
        The networks in the order of their names.

    Raises:
        ValueError: If a network can't be built or is of another kind, or if an array is missing,
            unknown, of the wrong shape or type, or not finite.
    """
    networks, expected = {}, set()
    for name in names:
        networks[name] = _abstract_network(path, name, architectures[name], kind_of(name))
        shapes = _flat_weights(networks[name])
        expected |= {f"{name}/{key}" for key in shapes}
        for key, wanted in shapes.items():
            _check_array(path, f"{name}/{key}", arrays.get(f"{name}/{key}"), wanted)
    if unknown := set(arrays) - expected:
        raise ValueError(f"{path} holds arrays of no layer: {sorted(unknown)}")
    return [_with_weights(network, name, arrays) for name, network in networks.items()]


def _flat_weights(network: Network) -> dict[str, Any]:
    return traverse_util.flatten_dict(nnx.to_pure_dict(nnx.state(network)), sep="/")


def _abstract_network(
    path: str | os.PathLike[str], name: str, architecture: Any, kind: type | UnionType
) -> Network:
    """The network with shapes and types in place of its weights."""
    try:
        network = nnx.eval_shape(lambda: build(architecture, nnx.Rngs(0)))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} describes no valid {name}: {error}") from error
    if not isinstance(network, kind):
        raise ValueError(f"{path} describes no valid {name}: it is a {architecture['kind']}")
    return network


def _check_array(
    path: str | os.PathLike[str],
    name: str,
    array: np.ndarray | None,
    wanted: jax.ShapeDtypeStruct,
) -> None:
    if array is None:
        raise ValueError(f"{path} lacks the array {name!r}")
    if array.shape != wanted.shape or array.dtype != wanted.dtype:
        raise ValueError(
            f"{path}: {name!r} has shape {array.shape} and type {array.dtype}, expected "
            f"{wanted.shape} and {wanted.dtype}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{path}: {name!r} holds NaN or infinity")


def _with_weights(network: Network, name: str, arrays: Mapping[str, np.ndarray]) -> Any:
    graphdef, state = nnx.split(network)
    weights = {key: jnp.asarray(arrays[f"{name}/{key}"]) for key in _flat_weights(network)}
    nnx.replace_by_pure_dict(state, traverse_util.unflatten_dict(weights, sep="/"))
    return nnx.merge(graphdef, state)
