"""Which classes a counterfactual may have, as the caller says it, for every row."""

from collections.abc import Collection, Iterable, Mapping, Set
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Int

Target = int | np.integer | np.ndarray | jax.Array | Collection[object] | None


class Targets(NamedTuple):
    """The classes asked for.

    Attributes:
        allowed: `[n, classes]`; all true where any other class will do.
        unknown: `[n]`, rows that asked for a class that doesn't exist.
    """

    allowed: Bool[np.ndarray, "n classes"]
    unknown: Bool[np.ndarray, " n"]


def as_target(target: Any) -> Any:
    """A target in one of its forms, with arrays and frames of any library as numpy's.

    Args:
        target: as the caller has it.

    Returns:
        The same; of an array without axes, its element.

    Raises:
        TypeError: if it has no order, so that nothing says which entry is for which row.

    Examples:
        >>> as_target(jax.numpy.array(1)), as_target([[0], [1, 2]])
        (np.int32(1), [[0], [1, 2]])
    """
    if hasattr(target, "__array__"):
        array = np.asarray(target)
        return array if array.ndim else array[()]
    unordered = isinstance(target, Set | Mapping)
    if unordered or (isinstance(target, Iterable) and not hasattr(target, "__len__")):
        raise TypeError(
            f"target must be a class number, one per row, a boolean mask [n, classes] or a list of "
            f"class collections, got {type(target).__name__}; for the same classes in every row "
            "pass [[0, 1]] * len(x), say"
        )
    return target


def read_targets(target: Target, num_rows: int, num_classes: int) -> Targets:
    """Read a target in any of its forms.

    Args:
        target: None for any class but the original; one class for all rows; `[n]` classes, one
            per row; a boolean mask `[n, classes]`; or a list of n collections of classes.
        num_rows: n.
        num_classes: how many classes there are.

    Returns:
        The allowed classes per row. A row among many that asks for an unknown class is marked, not
        fatal.

    Raises:
        TypeError: if the target is none of these forms.
        ValueError: if its length isn't n, or one class for all rows doesn't exist.

    Examples:
        >>> read_targets([[1], [0, 2]], 2, 3).allowed.tolist()
        [[False, True, False], [True, False, True]]
    """
    everything = np.ones((num_rows, num_classes), bool)
    if target is None:
        return Targets(everything, np.zeros(num_rows, bool))
    target = as_target(target)
    if isinstance(target, (int, np.integer)) and not isinstance(target, bool):
        if not 0 <= target < num_classes:
            raise ValueError(
                f"target class {target} does not exist: there are classes 0 to {num_classes - 1}"
            )
        return _from_classes(np.full(num_rows, int(target)), num_classes)
    if isinstance(target, str) or not isinstance(target, Iterable):
        raise TypeError(
            f"target must be a class number, one per row, a boolean mask [n, classes] or a list of "
            f"class collections, got {type(target).__name__}"
        )
    if len(target) != num_rows:
        raise ValueError(
            f"target has {len(target)} entries for {num_rows} rows; one per row is needed"
        )
    if isinstance(target, np.ndarray) and target.dtype == bool:
        if target.shape != everything.shape:
            raise ValueError(
                f"a boolean target must have shape {everything.shape}, got {target.shape}"
            )
        return Targets(target.copy(), np.asarray(~target.any(axis=1)))
    if all(_is_class(entry) for entry in target):
        # Of any size: an integer of Python's may be more than numpy's hold.
        classes: list[Any] = list(target)
        known = [one if 0 <= one < num_classes else -1 for one in classes]
        return _from_classes(np.array(known, np.int64), num_classes)
    return _from_collections(target, num_rows, num_classes)


def _is_class(entry: object) -> bool:
    # True and False are integers to Python, but a mask to whoever wrote them.
    return isinstance(entry, (int, np.integer)) and not isinstance(entry, bool)


def _from_classes(classes: Int[np.ndarray, " n"], num_classes: int) -> Targets:
    if classes.ndim != 1:
        raise ValueError(f"target classes must be one per row, [n], got shape {classes.shape}")
    known = (classes >= 0) & (classes < num_classes)
    return Targets(classes[:, None] == np.arange(num_classes), ~known)


def _from_collections(target: Iterable[object], num_rows: int, num_classes: int) -> Targets:
    allowed = np.zeros((num_rows, num_classes), bool)
    unknown = np.zeros(num_rows, bool)
    for row, entry in enumerate(target):
        if isinstance(entry, str) or not isinstance(entry, Iterable):
            raise TypeError(
                f"target of row {row} must be a collection of class numbers like the others, "
                f"got {entry!r}"
            )
        classes = list(entry)
        if not all(_is_class(one) for one in classes):
            raise TypeError(
                f"target of row {row} must hold class numbers, got {classes}; pass a mask as a "
                "boolean array [n, classes]"
            )
        unknown[row] = not classes or not all(0 <= one < num_classes for one in classes)
        if not unknown[row]:
            allowed[row, classes] = True
    return Targets(allowed, unknown)
