"""What callers pass, as the arrays that the library works with."""

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
    """Class numbers, one per training row, as integers."""
    labels = np.asarray(labels)
    if labels.shape != (num_rows,) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"labels must be {num_rows} class numbers, one per training row, got shape "
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
