"""Threads of ours do for the caller what the caller would have done, side by side."""

import os
import threading

import jax
import jax.numpy as jnp
import pytest

from jaxcf.utils import threads
from jaxcf.utils.threads import Workers, settings_here


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 2)


def test_what_is_made_comes_in_order_and_at_the_same_time():
    both = threading.Barrier(2, timeout=10)

    def made(number):
        both.wait()
        return 10 * number

    with Workers() as workers:
        assert list(workers.side_by_side(made, range(4))) == [(0, 0), (1, 10), (2, 20), (3, 30)]


def test_the_settings_of_the_caller_hold():
    def made(_):
        return jnp.float64(1).dtype, settings_here()["jax_default_matmul_precision"]

    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        results = [one for _, one in Workers().side_by_side(made, range(2))]
    assert results == [(jnp.dtype("float64"), "highest")] * 2


def test_an_error_comes_to_the_caller():
    def made(number):
        raise KeyError(number)

    with pytest.raises(KeyError, match="0"):
        list(Workers().side_by_side(made, range(3)))


def test_what_hasn_t_begun_is_left_out_when_the_caller_breaks_off():
    begun, go_on = [], threading.Event()

    def made(number):
        begun.append(number)
        if number:
            go_on.wait(10)

    with Workers() as workers:
        results = workers.side_by_side(made, range(20))
        next(results)
        results.close()
        go_on.set()
        assert len(begun) < 20
        assert dict(workers.side_by_side(made, range(3))) == dict.fromkeys(range(3))


def test_the_same_threads_do_one_piece_of_work_after_the_other():
    both = threading.Barrier(2, timeout=10)

    def made(_):
        both.wait()
        return threading.current_thread()

    with Workers() as workers:
        first, second = (
            {thread for _, thread in workers.side_by_side(made, range(2))} for _ in range(2)
        )
    assert first == second
    assert len(first) == 2
    for thread in first:
        thread.join(10)
        assert not thread.is_alive()


def test_cores_are_those_that_this_process_may_use(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5}, raising=False)
    assert threads.cores() == 1
