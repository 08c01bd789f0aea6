"""What callers pass, checked and as the library works with it: rows, labels, names."""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np


def as_rows(name: str, x: Any) -> np.ndarray:
    """Any array of numbers as float32 rows on the host."""
    array = np.asarray(jax.device_get(x))
    if not (np.issubdtype(array.dtype, np.number) or array.dtype == bool) or np.iscomplexobj(array):
        raise TypeError(
            f"{name} must hold numbers, got dtype {array.dtype}; encode categories as numbers first"
        )
    if array.ndim < 1:
        raise ValueError(f"{name} must be an array of rows [n, *shape], got a single number")
    return array.astype(np.float32, copy=False)


def as_rows_of_shape(x: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Rows to be explained, of the shape of those in training."""
    x = as_rows("x", x)
    if x.shape[1:] != shape:
        hint = "; pass x[None] for one instance" if x.shape == shape else ""
        raise ValueError(
            f"x has shape {x.shape}; expected [n, {', '.join(map(str, shape))}] as in "
            f"training{hint}"
        )
    return x


def check_labels(labels: Any, num_rows: int, num_classes: int) -> np.ndarray:
    """Class numbers, one per row, as integers."""
    labels = np.asarray(labels)
    if labels.shape != (num_rows,) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"labels must be {num_rows} class numbers, one per row, got shape "
            f"{labels.shape} and dtype {labels.dtype}"
        )
    if num_rows and not 0 <= labels.min() <= labels.max() < num_classes:
        raise ValueError(
            f"labels must lie in 0 to {num_classes - 1}, got {labels.min()} to {labels.max()}"
        )
    return labels.astype(np.int64)


def check_finite(what: str, rows: np.ndarray) -> None:
    """Rows that hold finite values alone; `what` they are stands in the error."""
    bad = np.flatnonzero(~np.isfinite(rows.reshape(len(rows), -1)).all(axis=1))
    if len(bad):
        raise ValueError(
            f"{len(bad)} of {len(rows)} {what} hold NaN or infinite values, the first is row "
            f"{bad[0]}; remove or impute them"
        )


def names_or_numbers(
    what: str, names: Sequence[object] | None, count: int, prefix: str = ""
) -> list[str]:
    """One name for each of several things.

    Args:
        what: they are, in the plural, for the error.
        names: `count` of them, in order; None for numbers.
        count: how many there are.
        prefix: before the numbers.

    Returns:
        `count` names.

    Raises:
        ValueError: if there are more or fewer names than things.

    Examples:
        >>> names_or_numbers("features", None, 2, "feature ")
        ['feature 0', 'feature 1']
        >>> names_or_numbers("classes", ["cat", "dog"], 2)
        ['cat', 'dog']
    """
    if names is None:
        return [f"{prefix}{number}" for number in range(count)]
    if isinstance(names, str) or len(names) != count:
        raise ValueError(f"got {len(names)} names for {count} {what}; pass one name for each")
    return [str(name) for name in names]


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """A question whether one of the known names was meant, if one is near.

    Examples:
        >>> did_you_mean("explian", ["explain", "evaluate"])
        ' (did you mean explain?)'
    """
    # Nobody who spells right waits for it.
    from difflib import get_close_matches

    close = get_close_matches(text, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""
