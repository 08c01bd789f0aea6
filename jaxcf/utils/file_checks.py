"""What a file must hold: its format, and types, shapes and values of arrays, or it is damaged."""

import math
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

# What each format is called, and what reads it.
_FORMATS = {
    "jaxcf.explanations": ("explanations", "jaxcf.Explanations"),
    "jaxcf.table_explanations": ("explanations of a table", "jaxcf.tabular.TableExplanations"),
    "jaxcf.details": ("traces", "jaxcf.Traces"),
    "jaxcf.job": ("job", "jaxcf.Explanations"),
}


class ArrayHeader(NamedTuple):
    """What an array of a file says of itself, before it is unpacked."""

    dtype: np.dtype
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """How much memory it takes."""
        return self.dtype.itemsize * math.prod(self.shape)


Described = ArrayHeader | np.ndarray
"""What has a type and a shape."""


class ArrayRule(NamedTuple):
    """What an array of a file must be.

    Attributes:
        kinds: numpy's letters of the types it may have, such as "iu".
        ndim: how many dimensions, None for any number.
        lowest: the smallest value allowed, None for any.
        highest: the greatest value allowed, None for any.
        codes: the only values allowed, None for any.
    """

    kinds: str
    ndim: int | None = None
    lowest: int | None = None
    highest: int | None = None
    codes: frozenset[int] | None = None


def check_format(
    path: str | os.PathLike[str], metadata: Mapping[str, Any], wanted: str, version: int
) -> None:
    """Raise unless a file's description is of the format and the schema version wanted.

    Raises:
        ValueError: if it is another; where jaxcf has a class for that, it is named.
    """
    given = metadata.get("format")
    if given != wanted:
        known = _FORMATS.get(given) if isinstance(given, str) else None
        hint = "" if known is None else f": read it with {known[1]}.load"
        raise ValueError(f"{path} holds no {_FORMATS[wanted][0]} but {given!r}{hint}")
    if metadata.get("schema_version") != version:
        raise ValueError(
            f"{path} has schema version {metadata.get('schema_version')!r}; this jaxcf reads "
            f"version {version}"
        )


def check_arrays(
    path: str | os.PathLike[str],
    arrays: Mapping[str, Described],
    required: Mapping[str, ArrayRule],
    optional: Mapping[str, ArrayRule] | None = None,
    tables: Mapping[str, ArrayRule] | None = None,
) -> dict[str, ArrayRule]:
    """Check that a file holds the arrays it must, none unknown, all of one length and as ruled.

    Args:
        path: of the file, for messages.
        arrays: what it holds, or declares to hold.
        required: by name.
        optional: by name.
        tables: arrays called "NAME/..." by their NAME.

    Returns:
        The rule of each array, for `ArrayFile.read`, which checks the values.

    Raises:
        ValueError: if something isn't so.
    """
    missing = [name for name in required if name not in arrays]
    if missing:
        raise ValueError(f"{path} is damaged: it lacks {', '.join(missing)}")
    check_lengths(path, arrays)
    named, rules = {**required, **(optional or {})}, {}
    for name, array in arrays.items():
        table, slash, _ = name.partition("/")
        rule = (tables or {}).get(table) if slash else named.get(name)
        if rule is None:
            raise ValueError(f"{path} is damaged: unknown array {name!r}")
        if array.dtype.kind not in rule.kinds or rule.ndim not in (None, len(array.shape)):
            raise ValueError(
                f"{path} is damaged: {name} has dtype {array.dtype} and shape {array.shape}"
            )
        rules[name] = rule
    return rules


def check_shapes(
    path: str | os.PathLike[str],
    arrays: Mapping[str, Described],
    expected: Mapping[str, tuple[int, ...]],
) -> None:
    """Check that arrays have the shapes that others give them.

    Args:
        path: of the file, for messages.
        arrays: what it holds, or declares to hold.
        expected: shape by name.

    Raises:
        ValueError: if one has another.
    """
    for name, wanted in expected.items():
        if arrays[name].shape != wanted:
            raise ValueError(
                f"{path} is damaged: {name} has shape {arrays[name].shape} where the other arrays "
                f"want {wanted}"
            )


def check_lengths(path: str | os.PathLike[str], arrays: Mapping[str, Described]) -> None:
    """Check that all arrays of a file have the same number of rows.

    Raises:
        ValueError: if they differ.
    """
    lengths = {name: array.shape[:1] for name, array in arrays.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"{path} is damaged: its arrays differ in length: {lengths}")


def check_values(
    path: str | os.PathLike[str], name: str, array: np.ndarray, rule: ArrayRule
) -> None:
    """Check that the values of an array of a file are as ruled.

    Raises:
        ValueError: if some aren't.
    """
    if not array.size:
        return
    if rule.lowest is not None and array.min() < rule.lowest:
        raise ValueError(
            f"{path} is damaged: {name} holds {array.min()}; expected {rule.lowest} or more"
        )
    if rule.highest is not None and array.max() > rule.highest:
        raise ValueError(
            f"{path} is damaged: {name} holds {array.max()}; expected {rule.highest} or less"
        )
    if rule.codes is not None:
        unknown = set(np.unique(array).tolist()) - rule.codes
        if unknown:
            raise ValueError(f"{path} is damaged: unknown {name} codes {sorted(unknown)}")
