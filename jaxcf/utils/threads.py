"""Threads of ours that work for the caller, under the settings that JAX keeps for each thread."""

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import jax

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")

# What JAX keeps per thread, with the contexts that set it.
_SETTINGS = {
    "jax_debug_nans": jax.debug_nans,
    "jax_default_device": jax.default_device,
    "jax_default_matmul_precision": jax.default_matmul_precision,
    "jax_disable_jit": jax.disable_jit,
    "jax_enable_x64": jax.enable_x64,
    "jax_numpy_rank_promotion": jax.numpy_rank_promotion,
}


def cores() -> int:
    """How many threads of this process are busy at once at most."""
    if hasattr(os, "sched_getaffinity"):  # a scheduler may have lent some of the machine's
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def settings_here() -> dict[str, Any]:
    """JAX's settings of the thread that calls this."""
    return {name: getattr(jax.config, name) for name in _SETTINGS}


@contextmanager
def under(settings: dict[str, Any]) -> Iterator[None]:
    """JAX's settings of another thread, in this one."""
    with ExitStack() as contexts:
        for name, value in settings.items():
            if getattr(jax.config, name) != value:
                contexts.enter_context(_SETTINGS[name](value))
        yield


class Workers:
    """Threads that work for one caller, as many as cores; begun when there is work to share.

    They are kept from one piece of work to the next: the allocator gives each thread memory of its
    own, which threads begun anew every time had filled one after the other.

    Examples:
        >>> with Workers() as workers:
        ...     list(workers.side_by_side(len, ("one", "three")))
        [('one', 3), ('three', 5)]
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def side_by_side(
        self, function: Callable[[_Given], _Made], given: Iterable[_Given]
    ) -> Generator[tuple[_Given, _Made], None, None]:
        """What a function makes of each of some things, on all cores; in order.

        Where the caller breaks off nobody waits for those under way, so what they make must do
        nothing by itself.

        Args:
            function: may be called by several threads at once.
            given: what for.

        Yields:
            One of the things, and what was made of it.

        Raises:
            Exception: what the function raises.
        """
        settings, given = settings_here(), list(given)

        def work(one: _Given) -> _Made:
            with under(settings):
                return function(one)

        if len(given) < 2 or cores() < 2:
            yield from ((one, function(one)) for one in given)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(cores())
        made = [self._pool.submit(work, one) for one in given]
        try:
            for one, future in zip(given, made, strict=True):
                yield one, future.result()
        finally:
            for future in made:
                future.cancel()
