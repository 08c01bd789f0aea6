"""How long parts of the work take."""

import time
from collections.abc import Iterator
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
