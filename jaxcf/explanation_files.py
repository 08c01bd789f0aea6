"""Explanations as arrays and a description of them: what is in their file, and what is refused."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxcf import storage
from jaxcf.status import Status

if TYPE_CHECKING:
    from jaxcf.explanations import Explanations

FORMAT = "jaxcf.explanations"
SCHEMA_VERSION = 2

ARRAYS = (
    "original",
    "counterfactual",
    "status",
    "source_row",
    "original_class",
    "original_probabilities",
    "counterfactual_class",
    "probabilities",
    "target_class",
    "prototype",
    "steps",
    "prediction_weight",
)
"""What every row has, in arrays of their own."""

TABLES = ("losses", "scores", "history")
"""What rows may have by name, an array each, called "losses/l1" in a file."""

_WHOLE_NUMBERS = (
    "status",
    "source_row",
    "original_class",
    "counterfactual_class",
    "target_class",
    "steps",
)


def pack(explanations: "Explanations") -> dict[str, np.ndarray]:
    """Every array by its name in a file."""
    arrays = {name: getattr(explanations, name) for name in ARRAYS}
    for table in TABLES:
        arrays |= {f"{table}/{key}": value for key, value in getattr(explanations, table).items()}
    if explanations.path is not None:
        arrays["path"] = explanations.path
    return arrays


def describe(explanations: "Explanations") -> dict[str, Any]:
    """What is no array, for JSON."""
    return {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "settings": dict(explanations.settings),
        "seconds": dict(explanations.seconds),
    }


def unpack(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]
) -> dict[str, Any]:
    """The fields of the explanations that arrays and their description make.

    Args:
        path: where they come from, for messages.
        arrays: by name.
        metadata: their description.

    Returns:
        The arguments of `Explanations`.

    Raises:
        ValueError: if they make none.
    """
    storage.check_format(path, metadata, FORMAT, SCHEMA_VERSION)
    storage.check_names(path, arrays, ARRAYS)
    storage.check_lengths(path, arrays)
    for name, array in arrays.items():
        kinds = "iu" if name in _WHOLE_NUMBERS else "biuf"
        ndim = 2 if name in ("probabilities", "original_probabilities") else None
        storage.check_array(path, name, array, kinds, ndim)
    for one, other in (
        ("counterfactual", "original"),
        ("probabilities", "original_probabilities"),
    ):
        if arrays[one].shape != arrays[other].shape:
            raise ValueError(
                f"{path} is damaged: {one} and {other} differ in shape, {arrays[one].shape} "
                f"and {arrays[other].shape}"
            )
    points, shape = arrays.get("path"), arrays["original"].shape
    if points is not None and (points.ndim < 2 or points.shape[2:] != shape[1:]):
        raise ValueError(f"{path} is damaged: its path has shape {points.shape}, its rows {shape}")
    for name in ("settings", "seconds"):
        if not isinstance(metadata.get(name, {}), dict):
            raise ValueError(f"{path} is damaged: its {name} are no JSON object")
    unknown = set(np.unique(arrays["status"]).tolist()) - {int(code) for code in Status}
    if unknown:
        raise ValueError(f"{path} is damaged: unknown status codes {sorted(unknown)}")
    return {
        **{name: arrays[name] for name in ARRAYS},
        **_tables(path, arrays),
        "path": points,
        "settings": metadata.get("settings", {}),
        "seconds": metadata.get("seconds", {}),
    }


def _tables(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]
) -> dict[str, dict[str, np.ndarray]]:
    tables: dict[str, dict[str, np.ndarray]] = {name: {} for name in TABLES}
    for name, array in arrays.items():
        table, _, key = name.partition("/")
        if table in tables:
            tables[table][key] = array
        elif name not in ARRAYS and name != "path":
            raise ValueError(f"{path} is damaged: unknown array {name!r}")
    return tables
