"""Ctrl-C is raised where it is allowed, and nowhere lost."""

import contextlib
import signal
import threading

import pytest

from jaxcf.utils.interrupts import Interrupts, told_to_end


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_ends_a_program_is_taken_where_ctrl_c_would_be(number, ctrl_c):
    interrupts = Interrupts()
    with told_to_end() as ended, interrupts:
        signal.raise_signal(number)
        assert ended.by == number  # and nothing was raised
        with pytest.raises(KeyboardInterrupt), interrupts.allowed():
            raise AssertionError("not reached")
        interrupts.taken()
    assert signal.getsignal(number) is signal.SIG_DFL


def test_signals_that_a_program_looks_after_itself_stay_its_own(ctrl_c):
    told = []
    before = signal.signal(signal.SIGTERM, lambda *_: told.append("mine"))
    hung_up = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with told_to_end() as ended:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGHUP)
        assert (told, ended.by) == (["mine"], None)
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGHUP, hung_up)


def test_what_runs_in_the_background_of_a_script_is_ended_too():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(KeyboardInterrupt), told_to_end():
            signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
