import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxcf.models.networks import layers

UP = ((2, 2, None, 5), (5,), (2, 2, 5, 4), (4,), (3, 3, 4, 2), (2,))
WEIGHT_SHAPES = {
    "conv3x3_wide": ((3, 3, None, 7), (7,)),
    "conv3x3_narrow": ((3, 3, None, 1), (1,)),
    "conv3x3_by_rows": ((3, 3, None, 5), (5,)),
    "conv3x3_pool_relu_twice": ((3, 3, None, 5), (5,), (3, 3, 5, 6), (6,)),
    "conv_transpose2x2": ((2, 2, None, 5), (5,)),
    "conv_transpose2x2_relu_twice_conv3x3": UP,
}


def conv(x, kernel, bias):
    layout = ("NHWC", "HWIO", "NHWC")
    return (
        lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout)
        + bias[None, None, None]
    )


def pool(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def conv_pool(x, kernel, bias):
    return jax.nn.relu(pool(conv(x, kernel, bias)))


def up(x, kernel, bias):
    layout = ("NHWC", "HWIO", "NHWC")
    kernel = kernel[::-1, ::-1]
    return (
        lax.conv_transpose(x, kernel, (2, 2), "VALID", dimension_numbers=layout)
        + bias[None, None, None]
    )


STOCK = {
    "conv3x3_wide": conv,
    "conv3x3_narrow": conv,
    "conv3x3_by_rows": conv,
    "conv3x3_pool_relu_twice": lambda x, a, b, c, d: conv_pool(conv_pool(x, a, b), c, d),
    "conv_transpose2x2": up,
    "conv_transpose2x2_relu_twice_conv3x3": lambda x, a, b, c, d, e, f: conv(
        jax.nn.relu(up(jax.nn.relu(up(x, a, b)), c, d)), e, f
    ),
}


def layer(name):
    return getattr(layers, name.removesuffix("_wide").removesuffix("_narrow"))


def arguments(name, shape, count=3):
    generator = np.random.default_rng(0)
    weights = [tuple(shape[-1] if s is None else s for s in ws) for ws in WEIGHT_SHAPES[name]]
    draw = [generator.normal(size=size) for size in ((count, *shape), *weights)]
    return [jnp.asarray(array, jnp.float32) for array in draw]


# Sizes of every remainder after division by 4, which the layers group pixels by.
@pytest.mark.parametrize("shape", [(4, 5, 3), (7, 10, 2)])
@pytest.mark.parametrize("name", STOCK)
def test_values_and_all_gradients_are_those_of_the_stock_formulation(name, shape):
    inputs = arguments(name, shape)

    def weighed(function):
        def total(*inputs):
            out = function(*inputs)
            return jnp.sin(out).sum(), out

        return jax.jit(jax.value_and_grad(total, tuple(range(len(inputs))), has_aux=True))

    (_, out), gradients = weighed(layer(name))(*inputs)
    (_, stock), stock_gradients = weighed(STOCK[name])(*inputs)
    np.testing.assert_allclose(out, stock, atol=2e-5)
    for gradient, expected in zip(gradients, stock_gradients, strict=True):
        scale = np.abs(expected).max()
        np.testing.assert_allclose(gradient / scale, expected / scale, atol=1e-4)


@pytest.mark.parametrize("name", STOCK)
def test_gradients_are_those_of_finite_differences(name):
    inputs = [0.5 * array for array in arguments(name, (5, 6, 2), count=1)]
    generator = np.random.default_rng(1)
    steps = [jnp.asarray(generator.normal(size=a.shape), jnp.float32) for a in inputs]

    @jax.jit
    def along(t):
        moved = (a + t * s for a, s in zip(inputs, steps, strict=True))
        return jnp.square(layer(name)(*moved)).sum()

    # The layers are piecewise polynomials: between kinks the error of the difference is O(h^2).
    derivative, difference = jax.grad(along)(0.0), (along(5e-4) - along(-5e-4)) / 1e-3
    np.testing.assert_allclose(derivative, difference, rtol=2e-2)


def test_forward_mode_agrees_with_reverse_mode():
    name = "conv3x3_pool_relu_twice"
    x, *weights = arguments(name, (5, 4, 1), count=1)

    def function(x):
        return layer(name)(x, *weights)

    forward, reverse = jax.jit(jax.jacfwd(function))(x), jax.jit(jax.jacrev(function))(x)
    np.testing.assert_allclose(forward, reverse, atol=1e-5)


def test_of_equal_maxima_the_first_in_scan_order_gets_the_gradient():
    # Kernels that only copy the pixel, so that every pooled window of a constant image ties.
    copy = (jnp.zeros((3, 3, 1, 1)).at[1, 1].set(1.0), jnp.zeros(1))
    total = jax.jit(jax.grad(lambda x: layers.conv3x3_pool_relu_twice(x, *copy, *copy).sum()))
    expected = np.zeros((8, 8))
    expected[::4, ::4] = 1
    np.testing.assert_array_equal(total(jnp.ones((1, 8, 8, 1)))[0, :, :, 0], expected)


@pytest.mark.parametrize("off", [2, 4])
def test_a_switched_off_layer_has_no_gradient(off):
    inputs = arguments("conv3x3_pool_relu_twice", (8, 8, 1))
    inputs[off] = jnp.full(inputs[off].shape, -1e3)
    # What lies before the switched off rectifiers, and their own bias.
    before = tuple(range(off + 1))
    total = jax.jit(jax.grad(lambda *a: layers.conv3x3_pool_relu_twice(*a).sum(), before))
    assert not any(np.any(gradient) for gradient in total(*inputs))


@pytest.mark.parametrize("name", STOCK)
def test_a_batch_is_a_vmap_of_singles_also_in_a_compiled_loop(name):
    x, *weights = arguments(name, (8, 9, 2))

    def gradient(x):
        return jax.grad(lambda x: jnp.square(layer(name)(x, *weights)).sum())(x)

    one_by_one = jax.vmap(lambda x: gradient(x[None])[0])
    looped = jax.jit(lambda x: lax.fori_loop(0, 2, lambda _, x: x - 1e-4 * one_by_one(x), x))
    batched = jax.jit(gradient)
    batch = x - 1e-4 * batched(x)
    np.testing.assert_allclose(looped(x), batch - 1e-4 * batched(batch), atol=1e-5)


def test_the_formulation_for_other_platforms_agrees(monkeypatch):
    for name in STOCK:
        inputs = arguments(name, (11, 8, 1))
        expected = jax.jit(layer(name))(*inputs)
        with monkeypatch.context() as patch:
            patch.setattr(layers, "_choose", lambda cpu, other, *inputs: other(*inputs))
            other = jax.jit(lambda *inputs, name=name: layer(name)(*inputs))(*inputs)
        np.testing.assert_allclose(other, expected, atol=2e-5)


def test_a_depthwise_convolution_is_the_grouped_one_and_a_pooling_keeps_the_largest():
    random = np.random.default_rng(0)
    x = jnp.asarray(random.normal(size=(2, 5, 6, 3)), jnp.float32)
    kernel = jnp.asarray(random.normal(size=(3, 3, 3)), jnp.float32)
    grouped = jax.lax.conv_general_dilated(
        x,
        kernel[:, :, None],
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=3,
    )
    bias = jnp.arange(3.0)
    np.testing.assert_allclose(
        layers.convolve_depthwise(x, kernel, bias), grouped + bias.reshape(1, 1, 1, 3), atol=1e-5
    )
    windows = np.asarray(x)[:, :4].reshape(2, 2, 2, 3, 2, 3)
    assert np.array_equal(layers.max_pool(x), windows.max((2, 4)))
