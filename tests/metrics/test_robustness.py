"""Accidents do what they say, and a decision that hangs on one pixel doesn't survive them."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxcf import metrics
from jaxcf.metrics import robustness

IMAGES = np.random.default_rng(0).uniform(size=(4, 12, 12, 3)).astype(np.float32)


@pytest.mark.parametrize("name", metrics.ACCIDENTS)
def test_accidents_keep_shape_range_and_type_and_are_the_same_each_time(name):
    after = metrics.ACCIDENTS[name](IMAGES)
    assert after.shape == IMAGES.shape
    assert after.dtype == np.float32
    assert 0 <= after.min() <= after.max() <= 1
    np.testing.assert_array_equal(after, metrics.ACCIDENTS[name](IMAGES))
    # Small: an image remains what it was.
    assert np.abs(after - IMAGES).mean() < 0.3


@pytest.mark.parametrize("name", metrics.ACCIDENTS)
def test_an_accident_may_happen_to_no_images(name):
    assert metrics.ACCIDENTS[name](IMAGES[:0]).shape == IMAGES[:0].shape


def test_the_blur_is_the_mean_of_nine_pixels_of_the_same_channel():
    after = robustness.blur(IMAGES)
    np.testing.assert_allclose(after[1, 5, 7], IMAGES[1, 4:7, 6:9].mean(axis=(0, 1)), rtol=1e-5)
    corner = IMAGES[0, :2, :2] * np.array([[4, 2], [2, 1]], np.float32)[..., None]
    np.testing.assert_allclose(after[0, 0, 0], corner.sum(axis=(0, 1)) / 9, rtol=1e-5)


def test_eight_bits_move_no_value_by_more_than_half_a_step():
    assert np.abs(robustness.eight_bit(IMAGES) - IMAGES).max() <= 0.5 / 255 + 1e-6
    np.testing.assert_array_equal(
        robustness.eight_bit(robustness.eight_bit(IMAGES)), robustness.eight_bit(IMAGES)
    )


def test_noise_has_the_size_it_says():
    grey = np.full((50, 10, 10, 1), 0.5, np.float32)
    assert robustness.gaussian_noise(grey, sigma=0.1).std() == pytest.approx(0.1, rel=0.05)


def test_jpeg_keeps_flat_images_and_refuses_other_channels():
    flat = np.full((1, 8, 8, 1), 0.25, np.float32)
    assert np.abs(robustness.jpeg(flat) - flat).max() < 0.01
    with pytest.raises(ValueError, match=r"JPEG takes images \[n, h, w, 1 or 3\]"):
        robustness.jpeg(np.zeros((1, 8, 8, 2), np.float32))


def test_survival_asks_the_model_about_each_accident():
    def predict(x):
        brightest = jnp.max(x, axis=(1, 2, 3))
        return jnp.stack([0.9 - brightest, brightest - 0.9], axis=1)

    images = np.zeros((2, 8, 8, 1), np.float32)
    images[0, 4, 4] = 1.0
    images[1, 2:6, 2:6] = 1.0
    kept = metrics.survival(
        predict, images, np.array([1, 1]), reconstruct=lambda x: jnp.zeros_like(x)
    )
    assert kept["blur"].tolist() == [False, True]
    assert kept["8 bit"].tolist() == [True, True]
    assert kept["autoencoder"].tolist() == [False, False]
    assert set(kept) == {*metrics.ACCIDENTS, "autoencoder"}
    turned = metrics.survival(predict, np.moveaxis(images, -1, 1), np.array([1, 1]))
    for name in ("blur", "8 bit", "jpeg"):
        np.testing.assert_array_equal(turned[name], kept[name])


def test_no_rows_survive_nothing():
    kept = metrics.survival(lambda x: x, IMAGES[:0], np.zeros(0, int))
    assert all(values.shape == (0,) for values in kept.values())
