"""Which rows of a result are meant: those that a caller chooses, or some that stand for all."""

import operator
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

_KINDS = "a mask with one True or False per row, a slice, row numbers or one row number"


def chosen_rows(count: int, rows: Any) -> Int[np.ndarray, " k"]:
    """The numbers of the chosen rows, in the order asked for.

    Args:
        count: how many rows there are.
        rows: a mask `[count]`, a slice, whole numbers or one whole number; negative numbers count
            from the end.

    Returns:
        `[k]`, each 0 to count - 1.

    Raises:
        TypeError: if `rows` is nothing of the kind.
        IndexError: if there is no such row, or a mask has not one entry per row.

    Examples:
        >>> chosen_rows(4, [True, False, False, True]).tolist(), chosen_rows(4, -1).tolist()
        ([0, 3], [3])
    """
    if isinstance(rows, slice):
        return np.arange(count)[rows]
    if rows is None or isinstance(rows, bool | np.bool_ | str | bytes | tuple):
        raise TypeError(f"{rows!r} is no row; expected {_KINDS}")
    try:
        return _existing(count, np.array([operator.index(rows)]))
    except TypeError:
        given = np.asarray(rows)
    if given.ndim != 1:
        raise TypeError(f"got {_described(rows, given)}; expected {_KINDS}")
    if given.dtype == bool:
        if len(given) != count:
            raise IndexError(
                f"the mask has {len(given)} entries, but there are {count} rows; a mask needs one "
                "entry per row of what it selects from"
            )
        return np.flatnonzero(given)
    if not len(given):
        return np.empty(0, int)
    if given.dtype.kind not in "iu":
        hint = "; compare it to make a mask, as in x > 0.5" if given.dtype.kind == "f" else ""
        raise TypeError(f"got {_described(rows, given)}; expected {_KINDS}{hint}")
    return _existing(count, given.astype(int))


def one_row(count: int, row: Any) -> int:
    """The number of one row, 0 to count - 1.

    Args:
        count: how many rows there are.
        row: a whole number; negative ones count from the end.

    Returns:
        The row.

    Raises:
        TypeError: if it isn't a whole number.
        IndexError: if there is no such row.

    Examples:
        >>> one_row(4, -1)
        3
    """
    if isinstance(row, bool | np.bool_) or not hasattr(row, "__index__"):
        raise TypeError(f"row must be one row number, got {type(row).__name__}")
    return int(chosen_rows(count, row)[0])


def _existing(count: int, rows: np.ndarray) -> np.ndarray:
    missing = rows[(rows < -count) | (rows >= count)]
    if len(missing):
        known = f"there are {count}, 0 to {count - 1}" if count else "there is none"
        raise IndexError(f"row {missing[0]} does not exist: {known}")
    return np.where(rows < 0, rows + count, rows)


def _described(rows: Any, array: np.ndarray) -> str:
    return f"{type(rows).__name__} of shape {array.shape} and type {array.dtype}"


def representative_rows(
    found: Bool[np.ndarray, " n"], original_class: Int[np.ndarray, " n"], count: int
) -> Int[np.ndarray, " k"]:
    """Up to `count` rows: found ones first, taking turns over the original classes.

    Examples:
        >>> representative_rows(np.array([True] * 4), np.array([0, 0, 1, 1]), 2).tolist()
        [0, 2]
    """
    turn = turns(2 * original_class + found)
    chosen = np.sort(np.lexsort((original_class, turn, ~found))[:count])
    return chosen[np.argsort(original_class[chosen], kind="stable")]


def turns(group: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """The number of each row among those of its group, from 0.

    Examples:
        >>> turns(np.array([3, 3, 1, 3, 1])).tolist()
        [0, 1, 0, 2, 1]
    """
    turn = np.zeros(len(group), int)
    for one in np.unique(group):
        members = np.flatnonzero(group == one)
        turn[members] = np.arange(len(members))
    return turn


def evenly_spread(count: int, most: int) -> Int[np.ndarray, " k"]:
    """Some of `count` things in a row, evenly spread, the first and the last among them.

    Args:
        count: how many there are, >= 1.
        most: how many to choose at most, >= 2.

    Returns:
        Their numbers, ascending; all of them where there are no more than `most`.

    Examples:
        >>> evenly_spread(9, 3).tolist(), evenly_spread(2, 3).tolist()
        ([0, 4, 8], [0, 1])
    """
    return np.unique(np.linspace(0, count - 1, most).round().astype(int))
