import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcf.models import Augmentation
from jaxcf.models.augmentation import is_photograph, usual_augmentation
from jaxcf.utils.images import blurred


def images(count=6):
    values = np.random.default_rng(0).uniform(size=(count, 8, 8, 3))
    return jnp.asarray(values, jnp.float32)


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (64, 64, 1), (30,)])
def test_digits_and_tables_are_not_varied(shape):
    assert not is_photograph(shape)
    assert usual_augmentation(shape) is None


def test_noise_alone_neither_moves_nor_mirrors():
    vary = Augmentation(noise=0.25)
    assert usual_augmentation((28, 28, 1), noise=0.25) == vary
    x = jnp.zeros((200, 8, 8, 1))
    assert float(vary(jax.random.key(0), x).std()) == pytest.approx(0.25, rel=0.05)


def test_an_image_is_mirrored_or_left():
    x = images(50)
    varied = Augmentation(flip=True)(jax.random.key(1), x)
    mirrored = [bool((new == old[:, ::-1]).all()) for new, old in zip(varied, x, strict=True)]
    left = [bool((new == old).all()) for new, old in zip(varied, x, strict=True)]
    assert all(a != b for a, b in zip(mirrored, left, strict=True))
    assert 10 < sum(mirrored) < 40


def test_a_shifted_image_is_the_image_within_its_mirrored_surroundings():
    x = images()
    varied = Augmentation(shift=2)(jax.random.key(2), x)
    padded = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="symmetric")
    for new, wide in zip(varied, padded, strict=True):
        windows = [wide[a : a + 8, b : b + 8] for a in range(5) for b in range(5)]
        assert any(np.array_equal(new, window) for window in windows)


def test_an_image_is_seen_out_of_focus_or_left():
    x = images(50)
    varied = Augmentation(blur=0.5)(jax.random.key(4), x)
    soft = [bool(jnp.allclose(new, old)) for new, old in zip(varied, blurred(x), strict=True)]
    left = [bool((new == old).all()) for new, old in zip(varied, x, strict=True)]
    assert all(a != b for a, b in zip(soft, left, strict=True))
    assert 10 < sum(soft) < 40


def test_the_blur_leaves_the_other_variations_as_they_are():
    x, key = images(), jax.random.key(5)
    moved = Augmentation(flip=True, shift=2)(key, x)
    both = Augmentation(flip=True, shift=2, blur=1.0)(key, x)
    np.testing.assert_allclose(both, blurred(moved), atol=1e-6)


def test_the_same_key_gives_the_same_variation_compiled_or_not():
    vary, x = Augmentation(flip=True, shift=2, noise=0.1, blur=0.5), images()
    key = jax.random.key(3)
    np.testing.assert_allclose(vary(key, x), jax.jit(vary)(key, x), atol=1e-6)


@pytest.mark.parametrize("wrong", [{"shift": -1}, {"noise": -0.1}])
def test_negative_amounts_are_errors(wrong):
    with pytest.raises(ValueError, match="expected zero or more"):
        Augmentation(**wrong)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_of_blurred_images_is_one(share):
    with pytest.raises(ValueError, match=r"blur is .*expected 0 to 1"):
        Augmentation(blur=share)
