"""The checks of types at run time, which all tests run under, see wrong types and wrong shapes."""

from typing import Any

import jax.numpy as jnp
import pytest
from helpers import type_checks
from jaxtyping import TypeCheckError

from jaxcf.models.networks.layers import conv3x3
from jaxcf.utils.numbers import check_number

FIVE: Any = 5


def convolve_two_channels_by_a_kernel_for_one():
    return conv3x3(jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 1, 1)), jnp.zeros(1))


def test_a_wrong_type_is_refused_where_no_shape_is_said():
    with pytest.raises(TypeCheckError, match="5 not instance of str"):
        check_number(FIVE, 1.0)


def test_shapes_that_do_not_go_together_are_refused():
    with pytest.raises(TypeCheckError, match="conv3x3"):
        convolve_two_channels_by_a_kernel_for_one()


def test_without_them_a_function_says_its_own_word():
    with type_checks(False):
        check_number(FIVE, 1.0)
        with pytest.raises(Exception, match=r"shape|dimension") as refused:
            convolve_two_channels_by_a_kernel_for_one()
    assert not isinstance(refused.value, TypeCheckError)
