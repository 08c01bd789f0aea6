"""Points brought onto the rules of rows: many at once are what each of them is alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcf import Constraints
from jaxcf.constraints import FeatureRange, resolve, snap
from jaxcf.explainers.snapping import Snapping

SHAPES = ((5,), (2, 3))


def rules(shape: tuple[int, ...], n: int, seed: int) -> tuple[np.ndarray, Constraints]:
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 1, (n, *shape)).astype(np.float32)
    levels = np.full((n, *shape, 3), np.inf, np.float32)
    leveled = rng.random(shape) < 0.4
    levels[:, leveled] = rng.uniform(0, 1, (n, int(leveled.sum()), 3))
    levels[..., 0] = np.where(leveled, x, np.inf)
    return x, Constraints(
        frozen=rng.random((n, *shape)) < 0.2,
        increase_only=rng.random((n, *shape)) < 0.2,
        step=np.where(rng.random(shape) < 0.4, 0.125, 0.0),
        levels=levels,
    )


def snapping(shape: tuple[int, ...], n: int, size: int = 8) -> Snapping:
    x, constraints = rules(shape, n, seed=len(shape))
    everywhere = FeatureRange(np.float32(0), np.float32(1), strict=True)
    return Snapping.of(x, resolve(constraints, everywhere, x).of(np.arange(n)), size)


def alone(them: Snapping, point: np.ndarray, row: int) -> np.ndarray:
    its = jax.tree.map(lambda leaf: jnp.asarray(leaf[row]), (them.original, *them.bounds))
    return np.asarray(snap(jnp.asarray(point), *its))


@pytest.mark.parametrize("shape", SHAPES)
def test_points_of_some_rows_are_where_each_is_brought_alone(shape):
    them = snapping(shape, n=7)
    rng = np.random.default_rng(9)
    owner = rng.integers(0, 7, 30)
    points = rng.uniform(-0.5, 1.5, (30, *shape)).astype(np.float32)
    each = [alone(them, point, row) for point, row in zip(points, owner, strict=True)]
    np.testing.assert_array_equal(them.points(points, owner), each)


@pytest.mark.parametrize("shape", SHAPES)
def test_one_feature_goes_where_it_goes_with_all_others(shape):
    them = snapping(shape, n=7)
    rng = np.random.default_rng(9)
    owner, feature = rng.integers(0, 7, 30), rng.integers(0, np.prod(shape), 30)
    points = rng.uniform(-0.5, 1.5, (30, *shape)).astype(np.float32)
    line = np.arange(30)
    expected = them.points(points, owner).reshape(30, -1)[line, feature]
    given = points.reshape(30, -1)[line, feature]
    np.testing.assert_array_equal(them.of_feature(given, owner, feature), expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n", [1, 7, 300])
def test_every_point_on_the_rules_of_every_row(shape, n):
    them = snapping(shape, n)
    points = np.random.default_rng(9).uniform(-0.5, 1.5, (17, *shape)).astype(np.float32)
    expected = them.points(np.tile(points, (n, *[1] * len(shape))), np.repeat(np.arange(n), 17))
    np.testing.assert_array_equal(them.each(points).reshape(-1, *shape), expected)


def test_without_rules_points_stay_within_the_range():
    x = np.array([[0.25, 0.75]], np.float32)
    everywhere = FeatureRange(np.float32(0), np.float32(1), strict=True)
    them = Snapping.of(x, resolve(None, everywhere, x).of([0]), 8)
    points = np.array([[0.5, 2.0], [-1.0, 0.125]], np.float32)
    assert them.each(points).tolist() == [[[0.5, 1.0], [0.0, 0.125]]]
    assert them.points(points, np.array([0, 0])).tolist() == [[0.5, 1.0], [0.0, 0.125]]
