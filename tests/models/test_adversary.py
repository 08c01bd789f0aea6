from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxcf.models import Adversary, DenseClassifier, robust_accuracy, usual_radius
from jaxcf.models.adversary import attack


@pytest.mark.parametrize("unrolled", [False, True])
def test_an_attack_goes_up_the_loss_as_far_as_it_may(unrolled):
    x = jnp.asarray(np.random.default_rng(0).uniform(size=(5, 3, 2, 1)), jnp.float32)
    slope = jnp.arange(6.0).reshape(3, 2, 1)
    moved = attack(
        lambda x: (x * slope[None]).sum(),
        jax.random.key(0),
        x,
        jnp.float32(0.1),
        3,
        unrolled=unrolled,
    )
    change = np.asarray(moved - x)
    assert (np.linalg.norm(change.reshape(5, -1), axis=1) <= 0.1 + 1e-6).all()
    assert ((moved >= 0) & (moved <= 1)).all()
    # The best that can be done is 0.1 |slope| up, where no pixel ends at 0 or 1.
    free = ((x > 0.1) & (x < 0.9)).all((1, 2, 3))
    gained = (change * slope[None]).sum((1, 2, 3)) / np.linalg.norm(slope)
    assert (gained > 0.05).all()
    assert (gained[free] > 0.095).all()


def test_the_radius_grows_and_then_stays():
    radii = Adversary(2.0, ramp=0.5).radii(8)
    np.testing.assert_allclose(radii, [0.5, 1, 1.5, 2, 2, 2, 2, 2])
    np.testing.assert_array_equal(Adversary(2.0, ramp=0).radii(3), [2, 2, 2])


@pytest.mark.parametrize(
    "wrong",
    [
        {"radius": 0.0},
        {"radius": np.inf},
        {"radius": 1.0, "steps": 0},
        {"radius": 1.0, "ramp": 2.0},
    ],
)
def test_an_adversary_says_what_was_expected(wrong):
    with pytest.raises(ValueError, match=r"expected|must be at least 1"):
        Adversary(**wrong)


def test_of_a_linear_classifier_those_rows_are_robust_that_lie_further_from_the_boundary():
    network = DenseClassifier(2, 2, hidden=(), rngs=nnx.Rngs(0))
    x = np.stack([np.linspace(0.05, 0.95, 19), np.full(19, 0.5)], 1).astype(np.float32)
    layer = cast(Any, network).dense1
    layer.kernel[...] = jnp.array([[0.0, 1.0], [0.0, 0.0]])
    layer.bias[...] = jnp.array([0.0, -0.5])
    y = (x[:, 0] > 0.5).astype(np.int32)
    far = np.abs(x[:, 0] - 0.5) > 0.125
    assert robust_accuracy(network, x, y, radius=0.125) == pytest.approx(far.mean())


def circles(gap):
    """Rows of two classes on a line: neighbours of a class are 0.1 apart, the classes `gap`."""
    first = np.arange(4) * 0.1
    rows = np.concatenate([first, first[-1] + gap + first])
    return rows[:, None, None, None].astype(np.float32), np.repeat([0, 1], 4)


def test_the_radius_is_a_share_of_what_divides_the_classes():
    x, y = circles(1.0)  # nearest of the other class: 1.0 to 1.3, of the own one: 0.1
    assert usual_radius(x, y) == pytest.approx(1.15 / 3, rel=1e-4)
    x, y = circles(0.1)  # 0.1 to 0.4: by 0 to 0.3 further away than the own
    assert usual_radius(x, y) == pytest.approx(0.25 / 3, rel=1e-3)
    x, y = np.repeat(x, 2, 0), np.tile([0, 1], 8)  # each twice, once in either class
    assert usual_radius(x + np.float32(0.001) * y[:, None, None, None], y) < 0.12


@pytest.mark.parametrize("y", [np.zeros(8, int), np.arange(8)])
def test_images_that_tell_no_radius_are_an_error(y):
    with pytest.raises(ValueError, match="give radius="):
        usual_radius(circles(1.0)[0], y)


def test_images_that_are_all_alike_tell_no_radius():
    with pytest.raises(ValueError, match="give radius="):
        usual_radius(np.ones((8, 2, 2, 1), np.float32), np.arange(8) % 2)
