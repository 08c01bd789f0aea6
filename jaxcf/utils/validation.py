"""What callers pass, checked and as the library works with it: rows, labels, names."""

import warnings
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def as_rows(name: str, x: Any) -> np.ndarray:
    """Any array of numbers as float32 rows on the host."""
    if callable(getattr(x, "toarray", None)):
        raise TypeError(
            f"{name} must be an array, got {type(x).__name__}, which is sparse: pass "
            f"{name}.toarray()"
        )
    if isinstance(x, np.ma.MaskedArray):
        x = _without_masked(x)
    given = _frame_of_numbers(x)
    array = np.asarray(jax.device_get(x)) if given is None else given
    # The types of numbers that JAX adds, bfloat16 among them, are none of numpy's.
    is_number = jnp.issubdtype(array.dtype, jnp.number) or array.dtype == bool
    if not is_number or jnp.issubdtype(array.dtype, jnp.complexfloating):
        raise TypeError(
            f"{name} must hold numbers, got dtype {array.dtype}; encode categories as numbers "
            "first, or pass the table to jaxcf.tabular.TableExplainer"
        )
    if array.ndim < 1:
        raise ValueError(f"{name} must be an array of rows [n, *shape], got a single number")
    return array.astype(np.float32, copy=False)


def _without_masked(x: np.ma.MaskedArray) -> np.ndarray:
    """The numbers of a masked array, NaN where it has none; others as they are."""
    if x.dtype.kind not in "biuf":
        return x.data
    return np.where(np.ma.getmaskarray(x), np.float32(np.nan), x.data.astype(np.float32))


def _frame_of_numbers(x: Any) -> np.ndarray | None:
    """The numbers of a frame of pandas that numpy would read as objects; None of all else.

    Columns of truth values beside numbers, and of types that can lack entries, are numbers.
    """
    kinds = [getattr(one, "kind", "O") for one in getattr(x, "dtypes", ())] if _is_frame(x) else []
    if not kinds or not set(kinds) <= set("biuf") or np.asarray(x[:0]).dtype != object:
        return None
    return x.to_numpy(dtype=np.float64, na_value=np.nan)


def _is_frame(x: Any) -> bool:
    return hasattr(x, "dtypes") and hasattr(x, "to_numpy") and getattr(x, "ndim", 0) == 2


def column_names(x: Any) -> tuple[str, ...] | None:
    """The names of the columns of a DataFrame of whatever library; None where there are none.

    Examples:
        >>> column_names(np.zeros((2, 2))) is None
        True
    """
    # Columns themselves, and not their names, are what Arrow means by the other word.
    names = getattr(x, "column_names", getattr(x, "columns", None))
    if names is None or callable(names) or not all(isinstance(one, str | int) for one in names):
        return None
    given = tuple(map(str, names))
    # Numbers that pandas gives to columns without names say nothing.
    return None if given == tuple(map(str, range(len(given)))) else given


_SHOWN_NAMES = 5


def check_names(names: tuple[str, ...] | None, expected: tuple[str, ...] | None) -> None:
    """Check that columns have the names of those in training, in the same order.

    Args:
        names: of the columns; None where they have none.
        expected: in training; likewise.

    Raises:
        ValueError: if both have names and these differ.
    """
    if names is None or expected is None or names == expected:
        return

    def listed(chosen: Sequence[str]) -> str:
        more = ", ..." if len(chosen) > _SHOWN_NAMES else ""
        return ", ".join(map(repr, chosen[:_SHOWN_NAMES])) + more

    if sorted(names) == sorted(expected):
        raise ValueError(
            f"x has its columns in another order than in fit: {listed(names)}; expected "
            f"{listed(expected)}. Pass x[names] with the names as they were given to fit"
        )
    unseen = [name for name in names if name not in expected]
    lacking = [name for name in expected if name not in names]
    raise ValueError(
        "the names of x's columns should match those that were given to fit; unseen then: "
        f"{listed(unseen) or 'none'}; seen then, yet now missing: {listed(lacking) or 'none'}. "
        "Pass the same columns in the same order"
    )


# Images of 8 bits, as they are stored, reach this; scaled ones don't.
_BRIGHT, _SCALED = 100.0, 10.0


def check_scale(x: np.ndarray, lower: Any, upper: Any, *, small_steps: bool) -> None:
    """Check that images are on the scale of those in training, and that on one for the search.

    Args:
        x: `[n, *shape]`, to be explained; tables are left alone.
        lower: smallest values in training.
        upper: largest values in training.
        small_steps: whether the search's steps are for about [0, 1], as they are unless it is told.

    Raises:
        ValueError: if most images have values up to 255 and those in training had none.
    """
    if x.ndim < 3 or not len(x):
        return
    low, high = float(np.min(lower)), float(np.max(upper))
    if high <= _SCALED and np.fmax.reduce(x, axis=None) > _BRIGHT:
        brightest = np.fmax.reduce(x.reshape(len(x), -1), axis=1)
        if np.mean(brightest > _BRIGHT) > 0.5:
            raise ValueError(
                f"x holds images with values up to {brightest.max():g}, but those in training ran "
                f"from {low:g} to {high:g}; scale them in the same way, such as x / 255"
            )
    if small_steps and high - low > _BRIGHT:
        warnings.warn(
            f"the images run from {low:g} to {high:g}, but the solver's steps are for pixels in "
            "about [0, 1], so that few searches arrive; pass preprocess=Preprocess(scale=1 / 255, "
            "std=1 / 255), which searches images / 255 and gives the model what it had, or "
            "longer steps, as in SearchOptions(solver=solvers.adam(8.0))",
            stacklevel=4,
        )


def check_shape(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Rows to be explained, if they have the shape of those in training."""
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
