"""How long parts of the work take."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    """Add the wall time of what happens meanwhile to a part's seconds.

    Examples:
        >>> seconds = {}
        >>> with timed(seconds, "search"):
        ...     pass
        >>> list(seconds)
        ['search']
    """
    began = time.perf_counter()
    try:
        yield
    finally:
        seconds[part] = seconds.get(part, 0.0) + time.perf_counter() - began


def rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    """Seconds by part of the work as a file holds them.

    Examples:
        >>> rounded({"search": 1.23456})
        {'search': 1.2346}
    """
    return {part: round(value, 4) for part, value in seconds.items()}
