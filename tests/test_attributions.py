"""Attributions against what is known: linear models, completeness, features made by hand."""

import inspect
from functools import partial
from typing import Any, cast

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from helpers import assert_close
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jaxcf import BlackBox, attributions
from jaxcf.attributions import grad_cam, integrated_gradients, mask_pixels, saliency
from jaxcf.models import ConvolutionalClassifier, DenseClassifier, ModelFunction
from jaxcf.models.functions import call

WEIGHTS = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, -4.0], [2.0, 0.25, 0.0], [-1.0, 1.0, 7.0]])


def linear(x):
    return x @ jnp.asarray(WEIGHTS, jnp.float32)


NETWORK = ConvolutionalClassifier((9, 8, 2), 3, rngs=nnx.Rngs(0))
PARAMS = {"classifier": nnx.state(NETWORK)}
PREDICT, FEATURE_MAP, HEAD = (
    ModelFunction.of(NETWORK, "classifier", method)
    for method in ("__call__", "feature_map", "head")
)
RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(size=(7, 9, 8, 2)).astype(np.float32)
CLASSES = np.array([0, 1, 2, 0, 1, 2, 0])


def of_images(name, x, classes, **options):
    """One of the three attributions of the convolutional network."""
    if name == "grad_cam":
        return grad_cam(FEATURE_MAP, HEAD, x, classes, params=PARAMS, **options)
    return getattr(attributions, name)(PREDICT, x, classes, params=PARAMS, **options)


METHODS = ("saliency", "integrated_gradients", "grad_cam")


# --- closed forms --------------------------------------------------------------------------


def test_saliency_of_a_linear_model_is_the_size_of_its_weights():
    x = RNG.normal(size=(5, 4)).astype(np.float32)
    classes = np.array([0, 1, 2, 1, 0])
    np.testing.assert_array_equal(saliency(linear, x, classes), np.abs(WEIGHTS.T[classes]))


def test_integrated_gradients_of_a_linear_model_are_exact_with_one_step():
    x = RNG.normal(size=(5, 4)).astype(np.float32)
    start = RNG.normal(size=4).astype(np.float32)
    values = integrated_gradients(linear, x, 2, baseline=start, steps=1)
    assert_close(values, (WEIGHTS[:, 2] * (x - start)).astype(np.float32))


def test_integrated_gradients_are_the_integral_of_a_polynomial():
    # The midpoint rule is exact for a gradient that is linear along the way.
    values = integrated_gradients(
        lambda x: jnp.stack([(x**2).sum(axis=1), x[:, 0] * x[:, 1]], axis=1),
        np.array([[3.0, 5.0], [3.0, 5.0]], np.float32),
        np.array([0, 1]),
        steps=1,
    )
    assert_close(values, np.array([[9.0, 25.0], [7.5, 7.5]], np.float32))


def test_grad_cam_of_features_made_by_hand():
    # Two features: the picture itself, which speaks for class 0 with weights of mean 2, and its
    # complement, which speaks against it with -1.
    picture = np.array([[0.5, 0.0], [0.25, 1.0]], np.float32)
    pattern = jnp.array([[1.0, 3.0], [4.0, 0.0]])

    def feature_map(x):
        return jnp.stack([x, 1 - x], axis=3)

    def head(features):
        score = (pattern[None] * features[..., 0] - features[..., 1]).sum(axis=(1, 2))
        return jnp.stack([score, -score], axis=1)

    two = np.stack([picture, picture])
    values = grad_cam(feature_map, head, two, np.array([0, 1]))
    expected = 2 * picture - (1 - picture)
    assert_close(values[0], np.maximum(expected, 0))
    assert_close(values[1], np.maximum(-expected, 0))


def test_grad_cam_of_a_flat_feature_map_is_flat_at_the_size_of_the_image():
    def pooled(x):
        return x.mean(axis=(1, 2), keepdims=True)

    def head(features):
        return features.reshape(len(features), -1) @ jnp.array([[1.0, 0.0], [2.0, 0.0]])

    values = grad_cam(pooled, head, IMAGES, 0)
    assert values.shape == IMAGES.shape[:3]
    means = IMAGES.mean(axis=(1, 2)) @ np.array([1.0, 2.0], np.float32)
    assert_close(values, np.broadcast_to(means[:, None, None], values.shape))


# --- laws ----------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [0.3, IMAGES[0], IMAGES[::-1]], ids=np.ndim)
def test_integrated_gradients_are_complete(start):
    values = of_images("integrated_gradients", IMAGES, CLASSES, baseline=start, steps=200)
    rows = np.arange(len(IMAGES))
    scores, scores_of_start = (
        np.asarray(call(NETWORK, np.broadcast_to(x, IMAGES.shape)))[rows, CLASSES]
        for x in (IMAGES, start)
    )
    np.testing.assert_allclose(
        values.sum(axis=(1, 2)), scores - scores_of_start, rtol=1e-2, atol=5e-3
    )


def test_pixels_at_the_baseline_get_exactly_nothing():
    x = IMAGES.copy()
    x[:, 2:5, 3] = 0.3
    values = of_images("integrated_gradients", x, CLASSES, baseline=0.3)
    assert (values[:, 2:5, 3] == 0).all()
    assert np.count_nonzero(values) > values.size / 2


def test_saliency_is_the_slope_that_finite_differences_show():
    problem = helpers.mlp()
    values, step = saliency(problem.predict, problem.x, 1), 1e-2
    for feature in range(problem.x.shape[1]):
        move = np.zeros_like(problem.x)
        move[:, feature] = step
        above, below = (problem.probabilities(problem.x + way * move)[:, 1] for way in (1, -1))
        np.testing.assert_allclose(
            values[:, feature], np.abs(above - below) / (2 * step), rtol=2e-2, atol=2e-3
        )


def test_a_pixel_is_worth_its_steepest_channel_or_all_of_them_together():
    weights = RNG.normal(size=(9, 8, 2, 3)).astype(np.float32)

    def predict(x):
        return jnp.einsum("nhwc,hwck->nk", x, jnp.asarray(weights))

    slopes = np.moveaxis(weights[..., CLASSES], 3, 0)
    assert_close(saliency(predict, IMAGES, CLASSES), np.abs(slopes).max(axis=3))
    values = integrated_gradients(predict, IMAGES, CLASSES, steps=2)
    assert_close(values, (slopes * IMAGES).sum(axis=3))


@pytest.mark.parametrize("name", METHODS)
def test_a_batch_is_a_loop_over_its_rows_whatever_their_order(name):
    together = of_images(name, IMAGES, CLASSES)
    assert together.shape == IMAGES.shape[:3]
    assert together.dtype == np.float32
    order = np.random.default_rng(1).permutation(len(IMAGES))
    assert_close(of_images(name, IMAGES[order], CLASSES[order]), together[order])
    assert_close(of_images(name, IMAGES, CLASSES, batch_size=3), together)
    for row in range(3):
        alone = of_images(name, IMAGES[row : row + 1], int(CLASSES[row]))
        assert_close(alone, together[row : row + 1])


@pytest.mark.parametrize("name", METHODS)
def test_no_rows_give_no_values(name):
    assert of_images(name, IMAGES[:0], CLASSES[:0]).shape == (0, 9, 8)


def test_gray_images_and_tables_keep_their_shape():
    gray = IMAGES[..., 0]

    def predict(x):
        return jnp.stack([x.sum(axis=(1, 2)), x[:, 0, 0]], axis=1)

    assert saliency(predict, gray, 0).shape == gray.shape
    assert integrated_gradients(predict, gray, 1).shape == gray.shape
    table = DenseClassifier(4, 3, rngs=nnx.Rngs(0))
    assert integrated_gradients(table, np.ones((2, 4), np.float32), 1).shape == (2, 4)


def test_the_parts_of_the_classifier_make_the_whole():
    features = call(NETWORK, IMAGES, "feature_map")
    assert features.shape == (7, 2, 2, 32)
    assert_close(call(NETWORK, features, "head"), call(NETWORK, IMAGES))


@pytest.mark.parametrize("name", METHODS)
def test_repeated_calls_trace_nothing_anew(name):
    rows_traced = []

    def counted(function, params, x):
        rows_traced.append(len(x))
        return function(params, x)

    # partial objects are equal only to themselves: one each, as a user would keep them.
    functions = [partial(counted, one) for one in (PREDICT, FEATURE_MAP, HEAD)]
    chosen = functions[1:] if name == "grad_cam" else functions[:1]
    call = partial(getattr(attributions, name), *chosen)
    call(IMAGES, CLASSES, params=PARAMS)
    # 7 rows make a batch of 8; checking the shapes takes 2 abstract rows.
    before = rows_traced.count(8)
    assert before
    other = jax.tree.map(lambda leaf: 2 * leaf, PARAMS)
    for classes in (CLASSES, CLASSES[::-1], 1):
        call(IMAGES[::-1], classes, params=other)
    if name == "integrated_gradients":
        call(IMAGES, CLASSES, params=PARAMS, baseline=0.5, steps=5)
    assert rows_traced.count(8) == before


# --- masks ---------------------------------------------------------------------------------

SHAPES = hnp.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=4)
VALUES = st.floats(-2, 2, width=32)


@st.composite
def maskings(draw):
    """Rows, an attribution with ties, a number of pixels, and which end is masked."""
    shape = draw(SHAPES)
    pixels = shape[:-1] if len(shape) == 4 else shape
    x = draw(hnp.arrays(np.float32, shape, elements=VALUES))
    attribution = draw(hnp.arrays(np.float32, pixels, elements=st.sampled_from([-1, 0, 0.5, 1])))
    k = draw(st.integers(0, int(np.prod(pixels[1:]))))
    return x, attribution, k, draw(st.booleans())


@given(maskings())
def test_exactly_the_k_most_important_pixels_are_masked(masking):
    x, attribution, k, most_important = masking
    before = x.copy()
    fill = 9.0  # none of the values is
    options = {"most_important": most_important, "channels": "last"}
    masked = mask_pixels(x, attribution, k, fill=fill, **options)
    np.testing.assert_array_equal(x, before)
    assert masked.shape == x.shape
    assert masked.dtype == x.dtype
    filled = masked == fill
    np.testing.assert_array_equal(masked[~filled], x[~filled])
    if x.ndim == 4:
        assert (filled.all(axis=3) == filled.any(axis=3)).all()
        filled = filled.any(axis=3)
    filled, values = filled.reshape(len(x), -1), attribution.reshape(len(x), -1)
    assert (filled.sum(axis=1) == k).all()
    for chosen, importance in zip(filled, values if most_important else -values, strict=True):
        # Sorted by importance, of equals the first position first.
        order = sorted(range(len(importance)), key=lambda pixel: (-importance[pixel], pixel))
        assert set(np.flatnonzero(chosen)) == set(order[:k])


@settings(max_examples=50)
@given(maskings())
def test_a_larger_mask_holds_the_smaller_one(masking):
    x, attribution, k, most_important = masking
    smaller, larger = (
        mask_pixels(x, attribution, size, fill=9.0, most_important=most_important, channels="last")
        == 9.0
        for size in (max(0, k - 1), k)
    )
    assert (smaller <= larger).all()
    assert not (mask_pixels(x, attribution, 0, fill=9.0, channels="last") == 9.0).any()


@pytest.mark.parametrize("name", METHODS)
def test_images_with_channels_first_have_the_same_attributions(name):
    def turned(function):
        """Of images and features with their channels first, as a network of PyTorch has them."""

        def of_turned(params, x):
            answered = function(params, jnp.moveaxis(x, 1, -1))
            return jnp.moveaxis(answered, -1, 1) if answered.ndim == 4 else answered

        return of_turned

    first = np.moveaxis(IMAGES, -1, 1)
    functions = (PREDICT,) if name != "grad_cam" else (FEATURE_MAP, HEAD)
    given: Any = [turned(one) for one in functions]
    values = getattr(attributions, name)(*given, first, CLASSES, params=PARAMS, channels="first")
    expected = of_images(name, IMAGES, CLASSES)
    assert_close(values, expected)
    masked = mask_pixels(first, values, 5, channels="first")
    np.testing.assert_array_equal(
        masked, np.moveaxis(mask_pixels(IMAGES, values, 5, channels="last"), -1, 1)
    )
    grey = first[:, :1]
    np.testing.assert_array_equal(mask_pixels(grey, values, 5)[:, 0] == 0, masked[:, 0] == 0)


def test_pixels_without_a_value_are_masked_last():
    x = np.ones((1, 3))
    attribution = np.array([[np.nan, -5.0, 1.0]])
    assert mask_pixels(x, attribution, 2).tolist() == [[1, 0, 0]]
    assert mask_pixels(x, attribution, 2, most_important=False).tolist() == [[1, 0, 0]]


def test_a_model_that_has_changed_in_place_is_looked_at_as_it_is():
    weights = WEIGHTS.astype(np.float32)

    class Compared:  # has no hash, as a module that compares its arrays
        __hash__ = None  # pyright: ignore[reportAssignmentType]

        def __call__(self, x):
            return x @ weights

    model = Compared()
    assert_close(saliency(model, TABLE, 2), np.abs(weights[:, 2])[None].repeat(2, axis=0))
    weights[0] = 8.0
    assert_close(saliency(model, TABLE, 2), np.abs(weights[:, 2])[None].repeat(2, axis=0))
    images = np.ones((2, 2, 2, 1), np.float32)

    def unchanged(x):
        return x

    def head(features):
        return features.mean(axis=(1, 2)) @ weights[:1]

    steep = grad_cam(unchanged, head, images, 0)
    assert steep.all()
    weights[0] = 4.0
    assert_close(grad_cam(unchanged, head, images, 0), steep / 2)


# --- what is turned away -------------------------------------------------------------------


TABLE = np.ones((2, 4), np.float32)


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: saliency(cast(Any, None), TABLE, 0), "predict must be a function, got NoneType"),
        (lambda: saliency(BlackBox(np.exp, 2), TABLE, 0), "in JAX, got a BlackBox"),
        (lambda: saliency(linear, TABLE[:, :3], 0), "could not be called on a float32 batch"),
        (lambda: saliency(lambda x: x.sum(axis=1), TABLE, 0), "expected .2, classes"),
        (lambda: saliency(linear, np.ones(4), 0), "expected rows"),
        (lambda: saliency(linear, np.array([["a"]]), 0), "must hold numbers"),
        (lambda: saliency(linear, TABLE, 3), "classes must lie in 0 to 2, got 3 to 3"),
        (lambda: saliency(linear, TABLE, np.array([0, -1])), "got -1 to 0"),
        (lambda: saliency(linear, TABLE, np.array([0, 1, 2])), "or 2 of them, one per row"),
        (lambda: saliency(linear, TABLE, np.array([0.0, 1.0])), "dtype float64"),
        (lambda: saliency(linear, TABLE, 0, batch_size=0), "batch_size must be at least 1"),
        (lambda: integrated_gradients(linear, TABLE, 0, steps=0), "steps must be at least 1"),
        (
            lambda: integrated_gradients(linear, TABLE, 0, baseline=np.ones((4, 1))),
            "baseline has shape .4, 1.; expected a number",
        ),
        (lambda: grad_cam(FEATURE_MAP, HEAD, TABLE, 0), "Grad-CAM needs images"),
        (
            lambda: grad_cam(lambda x: x.sum(axis=1), HEAD, IMAGES, 0),
            "feature_map returned shape .2, 8, 2.",
        ),
        (lambda: grad_cam(lambda x: x, lambda z: z, IMAGES, 0), "head returned shape"),
        (lambda: grad_cam(lambda x: x, cast(Any, None), IMAGES, 0), "head must be a function"),
        (lambda: mask_pixels(IMAGES, IMAGES, 1), "expected .7, 9, 8., one value per pixel"),
        (lambda: mask_pixels(TABLE, TABLE, 5), "between 0 and the 4 pixels of a row, got 5"),
        (lambda: mask_pixels(TABLE, TABLE, -1), "got -1"),
        (
            lambda: integrated_gradients(linear, TABLE, 0, steps=cast(Any, 2.5)),
            "steps must be a whole number, got 2.5",
        ),
        (
            lambda: integrated_gradients(linear, TABLE, 0, steps=cast(Any, "3")),
            "steps must be a whole number, got '3'",
        ),
        (
            lambda: saliency(linear, TABLE, 0, batch_size=cast(Any, 2.5)),
            "batch_size must be a whole number, got 2.5",
        ),
        (lambda: mask_pixels(TABLE, TABLE, cast(Any, 1.5)), "k must be a whole number, got 1.5"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_each_attribution_names_its_source():
    for name, number in zip(METHODS, ("1312.6034", "1703.01365", "1610.02391"), strict=True):
        assert number in (inspect.getdoc(getattr(attributions, name)) or "")
