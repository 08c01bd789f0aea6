"""How a function outside JAX is called: by one thread at a time, few rows with one of OpenMP's."""

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, RLock
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

ROWS_FOR_THREADS = 10_000
"""Calls of fewer rows get one OpenMP thread.

Its threads spin while they wait for one another, and so do XLA's beside them: a call of a few rows,
a millisecond's work, then takes up to a second. From here on a call is longer than a turn of the
scheduler (`benchmarks/threads.py`).
"""


class Caller:
    """Calls one function, directly or through what is wrapped around it, never twice at a time.

    All black boxes of a function share one, see `caller_of`; so do those made of a pickle.

    Args:
        function: the innermost one.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        # Of the thread itself it may be called again: a model may ask itself.
        self._turn = RLock()
        self._controller: Any = None
        self._modules_seen = 0

    def __call__(self, function: Callable[[np.ndarray], Any], x: np.ndarray) -> Any:
        """What `function`, the one or one around it, says of a batch."""
        with self._turn:
            if len(x) >= ROWS_FOR_THREADS:
                return function(x)
            with self._one_thread():
                return function(x)

    def __reduce__(self) -> tuple[Any, ...]:
        return caller_of, (self._function,)

    @contextmanager
    def _one_thread(self) -> Iterator[None]:
        """OpenMP held to one thread, where it is loaded at all."""
        # Looking for libraries takes longer than a call: only where new ones may have come.
        if self._modules_seen != len(sys.modules):
            self._controller = _openmp()
            self._modules_seen = len(sys.modules)
        if self._controller is None:
            yield
            return
        with self._controller.limit(limits=1):
            yield


def _openmp() -> Any:
    """A controller of the OpenMP libraries that may be held to one thread; None without any."""
    from threadpoolctl import ThreadpoolController

    found = ThreadpoolController().select(user_api="openmp")
    chosen = without_torch([one.filepath for one in found.lib_controllers], sys.modules)
    return found.select(filepath=chosen) if chosen else None


def without_torch(libraries: list[str], modules: Any) -> list[str]:
    """The OpenMP libraries that PyTorch doesn't use: networks profit from threads at any size.

    Args:
        libraries: paths.
        modules: names of what has been imported.

    Returns:
        Those of them that lie elsewhere; none where PyTorch must share one.

    Examples:
        >>> without_torch(["/lib/torch/lib/libgomp.so", "/lib/sklearn/libgomp.so"], ["torch"])
        ['/lib/sklearn/libgomp.so']
        >>> without_torch(["/conda/lib/libgomp.so"], ["torch"])
        []
        >>> without_torch(["/conda/lib/libgomp.so"], ["sklearn"])
        ['/conda/lib/libgomp.so']
    """
    own = [one for one in libraries if {"torch", "torch.libs"} & set(Path(one).parts)]
    if "torch" in modules and not own:
        return []
    return [one for one in libraries if one not in own]


# One function, one turn, however many black boxes there are of it: this is kept for the process,
# and forgets a function with the last of them.
_CALLERS: WeakValueDictionary[Callable[..., Any], Caller] = WeakValueDictionary()
_LOOKING = Lock()


def caller_of(function: Callable[..., Any]) -> Caller:
    """The caller of a function, the same one for all functions wrapped around it.

    Args:
        function: hashable. What it is wrapped around is its attribute `__wrapped__`, as
            `functools.wraps` leaves it.

    Returns:
        The only one.

    Examples:
        >>> import functools
        >>> def predict(x): ...
        >>> @functools.wraps(predict)
        ... def logged(x):
        ...     return predict(x)
        >>> first = caller_of(predict)
        >>> caller_of(logged) is first
        True
    """
    # A bound method shows what its class has wrapped, which is that of other objects as well.
    function = inspect.unwrap(function, stop=inspect.ismethod)
    with _LOOKING:
        caller = _CALLERS.get(function)
        if caller is None:
            caller = _CALLERS[function] = Caller(function)
        return caller
