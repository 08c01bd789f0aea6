"""Ctrl-C, and what ends a program likewise: taken where nothing is lost, and not lost itself."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType, TracebackType


class Interrupts:
    """Ctrl-C while this is entered: raised inside `allowed`, elsewhere kept in mind until then.

    Python raises KeyboardInterrupt wherever the main thread happens to be. Between two statements
    that belong together that loses what the first has done; inside a destructor, a callback of the
    garbage collector or of a compiled program it is dropped, or becomes another error. What has
    been noticed here stays noticed until it is `taken`.

    Threads other than the main one get no signals, and a caller may have a handler of his own:
    there this does nothing, and entered within another one of its kind it leaves the word to that.

    Examples:
        >>> interrupts = Interrupts()
        >>> with interrupts:
        ...     signal.raise_signal(signal.SIGINT)
        ...     kept = "what belongs together"
        ...     try:
        ...         with interrupts.allowed():
        ...             kept = "not reached"
        ...     except KeyboardInterrupt:
        ...         interrupts.taken()
        >>> kept, interrupts.noticed
        ('what belongs together', False)
    """

    def __init__(self) -> None:
        self.noticed = False
        self._allowed = False
        self._entered = False

    def __enter__(self) -> "Interrupts":
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._notice)
            self._entered = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._entered and signal.getsignal(signal.SIGINT) == self._notice:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        self._entered = False

    def _notice(self, number: int, frame: FrameType | None) -> None:
        self.noticed = True
        if self._allowed:
            raise KeyboardInterrupt

    def taken(self) -> None:
        """Forget what was noticed: whoever calls this has acted on it."""
        self.noticed = False

    def check(self) -> None:
        """Raise what was noticed and not taken.

        Raises:
            KeyboardInterrupt: if there is such a thing.
        """
        if self.noticed:
            raise KeyboardInterrupt

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Where Ctrl-C is raised at once: at waits, and wherever the caller's own code runs.

        Raises:
            KeyboardInterrupt: on Ctrl-C inside; also for one that came before or was lost inside.
        """
        before, self._allowed = self._allowed, True
        try:
            self.check()
            yield
            self.check()
        finally:
            self._allowed = before


@dataclass
class Ended:
    """By what a program was told to end.

    Attributes:
        by: the number of the signal; None where it was Ctrl-C, or nothing yet.
    """

    by: int | None = None


@contextmanager
def told_to_end() -> Iterator[Ended]:
    """Whatever tells a program to end does inside what Ctrl-C does: SIGTERM, SIGHUP.

    A scheduler sends the one before it kills, a terminal that is closed the other. Where a program
    has a handler of its own, or ignores a signal (as `nohup` has it ignore SIGHUP), it stays so;
    threads other than the main one get no signals.

    Yields:
        Which of them it was, once it was one.

    Examples:
        >>> with told_to_end() as ended:
        ...     try:
        ...         signal.raise_signal(signal.SIGTERM)
        ...     except KeyboardInterrupt:
        ...         print(ended.by == signal.SIGTERM)
        True
    """
    ended = Ended()

    def told(number: int, frame: FrameType | None) -> None:
        ended.by = number
        signal.raise_signal(signal.SIGINT)

    in_main_thread = threading.current_thread() is threading.main_thread()
    signals = [getattr(signal, name) for name in _ENDINGS if hasattr(signal, name)]
    mine = [one for one in signals if in_main_thread and signal.getsignal(one) is signal.SIG_DFL]
    # What a script starts in the background ignores Ctrl-C, which all others become.
    deaf = bool(mine) and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if deaf:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for one in mine:
        signal.signal(one, told)
    try:
        yield ended
    finally:
        for one in mine:
            if signal.getsignal(one) is told:
                signal.signal(one, signal.SIG_DFL)
        if deaf and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


_ENDINGS = ("SIGTERM", "SIGHUP")
