"""Jacobians from values: within the range, exact or at least right on average."""

import numpy as np
import pytest

from jaxcf import CentralDifferences, RandomDirections
from jaxcf.predictors.jacobians import Neighbours


def near(rows: int = 3, features: int = 5, *, epsilon: float = 0.125) -> Neighbours:
    """Rows inside their range, but for a feature at either end and one that is frozen."""
    point = np.random.default_rng(0).uniform(-1, 1, (rows, features)).astype(np.float32)
    lower, upper = np.full_like(point, -2), np.full_like(point, 2)
    lower[0, 0], upper[0, 1] = point[0, 0], point[0, 1]
    lower[1, 2] = upper[1, 2] = point[1, 2]
    above, below = (np.clip(point + s * epsilon, lower, upper) for s in (1, -1))
    return Neighbours(point, above, below, np.array([0, 0, 7])[:rows])


SLOPES = np.random.default_rng(1).normal(size=(5, 4))


def estimate(gradient, neighbours):
    plan = gradient.plan(neighbours)
    displaced = plan.points(slice(0, len(plan.row)))
    assert (displaced >= neighbours.below[plan.row]).all()
    assert (displaced <= neighbours.above[plan.row]).all()
    jacobian = plan.jacobian(neighbours.point @ SLOPES, displaced.astype(np.float64) @ SLOPES)
    expected = np.tile(SLOPES.T, (len(neighbours.point), 1, 1))
    expected[1, :, 2] = 0.0  # frozen
    return jacobian, expected, plan


@pytest.mark.parametrize("gradient", [CentralDifferences(), RandomDirections()])
def test_displaced_points_are_the_same_whichever_slice_is_asked_for(gradient):
    plan = gradient.plan(near())
    whole = plan.points(slice(0, len(plan.row)))
    pieces = [plan.points(slice(start, start + 3)) for start in range(0, len(plan.row), 3)]
    np.testing.assert_array_equal(whole, np.concatenate(pieces))


def test_differences_of_a_linear_function_are_its_slopes_at_the_ends_of_the_range_too():
    jacobian, expected, plan = estimate(CentralDifferences(), near())
    np.testing.assert_allclose(jacobian, expected, atol=1e-5)
    # Two per feature, one at an end, none where frozen.
    assert np.bincount(plan.row).tolist() == [8, 8, 10]


def test_enough_random_directions_are_exact_for_a_linear_function():
    jacobian, expected, plan = estimate(RandomDirections(count=100), near())
    np.testing.assert_allclose(jacobian, expected, atol=1e-5)
    assert np.bincount(plan.row).tolist() == [16, 16, 16]


@pytest.mark.parametrize("count", [1, 3])
def test_random_directions_are_right_on_average(count):
    sums, expected = 0.0, np.zeros(())
    for seed in range(2000):
        jacobian, expected, _ = estimate(RandomDirections(count, seed=seed), near())
        sums = sums + jacobian
    deviation = np.abs(sums / 2000 - expected).max()
    assert deviation < 0.25 / np.sqrt(count)


def test_directions_depend_on_the_step_and_the_seed_alone():
    directions = RandomDirections(4).directions
    np.testing.assert_array_equal(directions(9, 3), RandomDirections(4).directions(9, 3))
    assert (directions(9, 3) != directions(9, 4)).any()
    assert (directions(9, 3) != RandomDirections(4, seed=1).directions(9, 3)).any()
    assert set(np.unique(directions(9, 3))) == {-1.0, 1.0}
