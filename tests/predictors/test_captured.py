"""What functions hold: wherever it lies, a change of it is seen; nothing else counts as one."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcf.predictors.captured import trace_anew

ROWS = jax.ShapeDtypeStruct((2, 3), jnp.float32)


def weights() -> np.ndarray:
    return np.array([[1.0, -1.0], [0.5, 0.0], [0.0, 2.0]], np.float32)


def scores(weights: Any, x: Any) -> Any:
    return jax.nn.softmax(x @ weights)


class Network(nnx.Module):
    def __init__(self):
        self.weights = nnx.Param(jnp.asarray(weights()))
        self.norm = nnx.BatchNorm(3, rngs=nnx.Rngs(0))
        self.eval()

    def __call__(self, x):
        return scores(self.weights[...], self.norm(x))


@dataclass
class Plain:
    weights: Any
    bias: float = 0.25
    axis: int = -1

    def __call__(self, x):
        return jax.nn.softmax(x @ self.weights + self.bias * x[:, :1], axis=self.axis)


def a_module():
    network = Network()

    def change():
        network.weights[...] = -network.weights[...]

    return network, change


def the_mean_of_a_batch_norm_in_a_module():
    network = Network()

    def change():
        network.norm.mean[...] = network.norm.mean[...] + 1

    return network, change


def a_module_put_together_inside():
    graph, state = nnx.split(Network())
    held: Any = state["weights"]

    def change():
        held[...] = 2 * held[...]

    compiled = jax.jit(lambda state, x: nnx.merge(graph, state)(x))
    return lambda x: compiled(state, x), change


def an_array_changed_in_place():
    array = weights()

    def change():
        array[0, 0] += 1e-6

    return lambda x: scores(array, x), change


def an_array_put_into_a_dict():
    params = {"weights": jnp.asarray(weights())}

    def change():
        params["weights"] = params["weights"] * 2

    return lambda x: scores(params["weights"], x), change


def a_variable_of_the_enclosing_function():
    array = weights()

    def change():
        nonlocal array
        array = -array

    return lambda x: scores(array, x), change


def a_method_of_an_object():
    plain = Plain(weights())

    def change():
        plain.weights = plain.weights[::-1].copy()

    return plain.__call__, change


def a_number_of_an_object():
    plain = Plain(weights())

    def change():
        plain.bias = float(np.nextafter(np.float32(plain.bias), np.float32(1)))

    return plain, change


def what_picks_code():
    plain = Plain(weights())

    def change():
        plain.axis = 0

    return plain, change


def an_array_given_by_partial():
    array = weights()

    def change():
        array[:] = -array

    return partial(scores, array), change


def an_array_inside_a_loop():
    array = weights()

    def change():
        array[1, 1] = 7

    def looped(x):
        return jax.lax.fori_loop(0, 3, lambda _, y: y + scores(array, x), jnp.zeros((2, 2)))

    return looped, change


HIDDEN = [
    a_module,
    the_mean_of_a_batch_norm_in_a_module,
    a_module_put_together_inside,
    an_array_changed_in_place,
    an_array_put_into_a_dict,
    a_variable_of_the_enclosing_function,
    a_method_of_an_object,
    a_number_of_an_object,
    what_picks_code,
    an_array_given_by_partial,
    an_array_inside_a_loop,
]


@pytest.mark.parametrize("make", HIDDEN)
def test_a_change_is_seen_wherever_it_hides(make):
    function, change = make()
    before = trace_anew(function, ROWS).digest
    assert trace_anew(function, ROWS).digest == before
    change()
    assert trace_anew(function, ROWS).digest != before


def test_params_are_not_held_and_equal_values_are_the_same():
    array = weights()
    before = trace_anew(scores, array, ROWS).digest
    assert trace_anew(scores, -array, ROWS).digest == before
    held = trace_anew(partial(scores, array), ROWS).digest
    assert trace_anew(lambda x: scores(jnp.array(array), x), ROWS).digest == held


def test_deleted_arrays_are_named():
    array = jnp.asarray(weights())
    array.delete()
    with pytest.raises(ValueError, match=r"holds a deleted array of shape \(3, 2\)"):
        trace_anew(lambda x: scores(array, x), ROWS)
