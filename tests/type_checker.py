"""What checks types at run time in the tests; named in pyproject.toml (addopts)."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, get_args

import jaxtyping
from beartype import BeartypeConf, beartype

_check = beartype(conf=BeartypeConf(is_pep484_tower=True, violation_type=jaxtyping.TypeCheckError))
_with_shapes = jaxtyping.jaxtyped


def of_rooms(function: Callable[..., Any]) -> Callable[..., Any]:
    """Check what a function of a module or class is given and returns."""
    return _check(function)


def _has_shapes(annotation: Any) -> bool:
    """Whether a type holds an array's shape, or only its name, which may stand for one."""
    if isinstance(annotation, str):
        return True
    is_class = inspect.isclass(annotation) and not get_args(annotation)
    if is_class and issubclass(annotation, jaxtyping.AbstractArray | jaxtyping.PyTree):
        return True
    return any(map(_has_shapes, get_args(annotation)))


def _without_shapes(function: Callable[..., Any]) -> Callable[..., Any]:
    """Check a function none of whose types share a shape: there is nothing to remember of a call.

    What jaxtyping remembers takes longer than most of the small functions, which run by the
    hundred thousand.
    """
    checked = _check(function)

    @wraps(function)
    def checked_if_wanted(*args: Any, **kwargs: Any) -> Any:
        chosen = function if jaxtyping.config.jaxtyping_disable else checked
        return chosen(*args, **kwargs)

    return checked_if_wanted


def _jaxtyped(function: Any = None, **options: Any) -> Any:
    """What jaxtyping writes above every function and class of a room; see `_without_shapes`."""
    if function is None:
        return lambda given: _jaxtyped(given, **options)
    if not inspect.isfunction(function) or not function.__module__.startswith("jaxcf"):
        return _with_shapes(function, **options)
    if "<locals>" in function.__qualname__:
        # Nobody's to call from outside, and it would be decorated anew whenever the outer one
        # runs: at every step of a search by a model outside JAX, for milliseconds each.
        return function
    if any(map(_has_shapes, function.__annotations__.values())):
        return _with_shapes(function, **options)
    return _without_shapes(function)


jaxtyping.jaxtyped = _jaxtyped
