"""What checks types at run time in the tests; named in pyproject.toml (addopts)."""

from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, beartype

_check = beartype(conf=BeartypeConf(is_pep484_tower=True))


def of_rooms(function: Callable[..., Any]) -> Callable[..., Any]:
    """Check what a function of a module or class is given and returns.

    One inside another is nobody's to call from outside, and would be decorated anew whenever the
    outer one runs: at every step of a search by a model outside JAX, for milliseconds each.
    """
    return function if "<locals>" in function.__qualname__ else _check(function)
