"""JSON: plain values of finite numbers, written at once, read only where they nest sensibly."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxcf.utils.files import write_atomically

# What comes to nest deeper was made to break what reads it.
_DEEPEST = 64


def plain(value: Any) -> Any:
    """The value with the numbers and arrays of numpy and JAX as Python's own, for JSON."""
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value.tolist() if hasattr(value, "tolist") else value


def json_text(value: Any) -> str:
    """A value as indented JSON, which has no NaN."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write a value as indented JSON."""
    text = json_text(value)
    write_atomically(path, lambda file: file.write(text.encode()))


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read what `write_json` wrote.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no JSON, which has no NaN, or is nested without end.
    """
    try:
        return parsed(Path(path).read_bytes(), parse_constant=_finite, parse_float=_finite)
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def parsed(text: bytes, **hooks: Any) -> Any:
    """What a text of JSON says.

    Args:
        text: that may come from anywhere.
        **hooks: for `json.loads`.

    Raises:
        ValueError: if it is no JSON, or is nested without end.
    """
    try:
        value = json.loads(text, **hooks)
        level = [[value]]
        for _ in range(_DEEPEST):
            level = [inner for one in level for inner in _inside(one)]
    except RecursionError:
        level = [text]
    if level:
        raise ValueError("it is nested too deeply")
    return value


def _inside(value: Any) -> list[Any]:
    """The objects and lists that an object or a list of JSON holds."""
    entries = value.values() if isinstance(value, dict) else value
    return [one for one in entries if isinstance(one, dict | list)]


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number")
    return number


def is_number(value: Any) -> bool:
    """Whether a leaf of JSON is a finite number.

    Examples:
        >>> is_number(0.5), is_number(None), is_number(True), is_number(float("inf"))
        (True, False, False, False)
    """
    # A whole number of JSON may be too large for a float.
    whole = isinstance(value, int) and not isinstance(value, bool)
    return (whole and abs(value) < 2**63) or (isinstance(value, float) and math.isfinite(value))
