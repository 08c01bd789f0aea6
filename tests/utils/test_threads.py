"""Threads of ours do for the caller what the caller would have done, side by side."""

import threading

import jax
import jax.numpy as jnp
import pytest

from jaxcf.utils import threads
from jaxcf.utils.threads import settings_here, side_by_side


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 2)


def test_what_is_made_comes_in_order_and_at_the_same_time():
    both = threading.Barrier(2, timeout=10)

    def made(number):
        both.wait()
        return 10 * number

    assert list(side_by_side(made, range(4))) == [(0, 0), (1, 10), (2, 20), (3, 30)]


def test_the_settings_of_the_caller_hold():
    def made(_):
        return jnp.float64(1).dtype, settings_here()["jax_default_matmul_precision"]

    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        results = [one for _, one in side_by_side(made, range(2))]
    assert results == [(jnp.dtype("float64"), "highest")] * 2


def test_an_error_comes_to_the_caller():
    def made(number):
        raise KeyError(number)

    with pytest.raises(KeyError, match="0"):
        list(side_by_side(made, range(3)))


def test_what_hasn_t_begun_is_left_out_when_the_caller_breaks_off():
    begun, go_on = [], threading.Event()

    def made(number):
        begun.append(number)
        if number:
            go_on.wait(10)

    results = side_by_side(made, range(20))
    next(results)
    results.close()
    go_on.set()
    assert len(begun) < 20
