"""Ctrl-C is raised where it is allowed, and nowhere lost."""

import contextlib
import signal
import threading

import pytest

from jaxcf.utils.interrupts import Interrupts


def test_what_belongs_together_is_finished_before_an_interrupt_is_raised(ctrl_c):
    done = []

    def pressed(name):
        ctrl_c()
        done.append(name)

    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt), interrupts.allowed():
            pressed("allowed")
        interrupts.taken()
        pressed("held")
        with pytest.raises(KeyboardInterrupt), interrupts.allowed():
            done.append("after one that was held")
    assert done == ["held"]


def test_an_interrupt_that_others_swallow_is_still_raised(ctrl_c):
    with Interrupts() as interrupts:
        with (
            pytest.raises(KeyboardInterrupt),
            interrupts.allowed(),
            contextlib.suppress(KeyboardInterrupt),
        ):
            ctrl_c()
        assert interrupts.noticed
        interrupts.taken()
        with interrupts.allowed():
            pass


def test_the_callers_own_handling_of_signals_is_as_before(ctrl_c):
    before = signal.getsignal(signal.SIGINT)
    with Interrupts() as outer, Interrupts() as inner:
        ctrl_c()
        assert (outer.noticed, inner.noticed) == (True, False)
    assert signal.getsignal(signal.SIGINT) is before

    seen = []
    signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    try:
        with Interrupts() as interrupts:
            ctrl_c()
        assert seen == [1]
        assert not interrupts.noticed
    finally:
        signal.signal(signal.SIGINT, before)

    with Interrupts():  # whoever sets another one meanwhile keeps it
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_in_other_threads_it_does_nothing():
    entered = []

    def work():
        with Interrupts() as interrupts, interrupts.allowed():
            entered.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert entered == [signal.default_int_handler]
