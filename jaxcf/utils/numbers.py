"""Numbers that callers pass as options: of the right kind and in range, or a sentence why not."""

import operator
from typing import Any

import numpy as np
from jax import Array
from jax.core import Tracer

Scalar = int | float | np.number | Array
"""A number as an option takes it; under JAX's transformations it may be traced."""


def check_whole(name: str, value: Any, least: int = 1, most: int | None = None) -> None:
    """Check that an option is a whole number, not a truth value, and within its range.

    Args:
        name: of the option, for the error.
        value: what was given.
        least: the smallest allowed.
        most: the largest allowed; None sets no bound.

    Raises:
        TypeError: if it is no whole number.
        ValueError: if it is too small or too large.

    Examples:
        >>> check_whole("max_steps", np.int64(5))
        >>> check_whole("max_steps", 1.5)
        Traceback (most recent call last):
        ...
        TypeError: max_steps must be a whole number, got 1.5; pass an int such as 1
    """
    try:
        whole = None if _is_truth_value(value) else operator.index(value)
    except TypeError:
        whole = None
    if whole is None:
        raise TypeError(
            f"{name} must be a whole number, got {value!r}; pass an int such as {max(1, least)}"
        )
    if whole < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    if most is not None and whole > most:
        raise ValueError(f"{name} must be at most {most}, got {value}")


def check_number(
    name: str,
    value: Any,
    *,
    least: float | None = None,
    above: float | None = None,
    below: float | None = None,
    hint: str = "",
) -> None:
    """Check that an option is a finite number within its range.

    Values that are traced, and arrays of several, pass unseen: under `jax.jit` and `jax.vmap` they
    stand for numbers.

    Args:
        name: of the option, for the error.
        value: what was given: a Python or numpy number, or an array of one.
        least: the smallest allowed.
        above: what it must exceed.
        below: what it must stay below.
        hint: what to do, to end an error with.

    Raises:
        TypeError: if it is no number.
        ValueError: if it is out of its range.

    Examples:
        >>> check_number("margin", np.float32(0.5), least=0, below=1)
        >>> check_number("margin", "0.5", least=0, below=1)
        Traceback (most recent call last):
        ...
        TypeError: margin must be a number >= 0 and < 1, got '0.5' (str)
    """
    if isinstance(value, Tracer) or np.ndim(value) > 0:
        return
    bounds = {">= ": least, "> ": above, "< ": below}
    range_ = " and ".join(f"{sign}{end}" for sign, end in bounds.items() if end is not None)
    real = hasattr(value, "__float__") and not isinstance(value, str)
    if not real or _is_truth_value(value) or np.iscomplexobj(value):
        kind = type(value).__name__
        raise TypeError(
            f"{' '.join([name, 'must be a number', range_]).rstrip()}, got {value!r} ({kind}){hint}"
        )
    number = float(value)
    above_all = (least is None or number >= least) and (above is None or number > above)
    if not (above_all and (below is None or number < below)):
        raise ValueError(f"{name} must be {range_}, got {value}{hint}")
    if not np.isfinite(number):
        raise ValueError(f"{name} must be finite, got {value}{hint}")


def _is_truth_value(value: Any) -> bool:
    return isinstance(value, bool) or getattr(value, "dtype", None) == np.bool_
