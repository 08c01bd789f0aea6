"""The nearest rows: exact, in a stated order, the same whoever asks beside."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcf.utils.neighbours import Neighbours


def by_hand(rows, points, count, p):
    """Distances in float64 and places, ties in the order of places."""
    moves = np.abs(rows[None].astype(np.float64) - points[:, None].astype(np.float64))
    distance = moves.sum(axis=2) if p == 1 else np.sqrt((moves**2).sum(axis=2))
    place = np.argsort(distance, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(distance, place, axis=1), place


@pytest.mark.parametrize("features", [3, 60])
@pytest.mark.parametrize("p", [1, 2])
def test_they_are_those_that_looking_at_each_finds(features, p):
    rng = np.random.default_rng(0)
    # Far from the origin, where squares are large and their differences small.
    rows = 50 + rng.normal(size=(600, features)).astype(np.float32)
    points = 50 + rng.normal(size=(40, features)).astype(np.float32)
    for count in (1, 7, 600):
        distance, place = Neighbours(rows, p=p).query(points, count)
        expected, _ = by_hand(rows, points, count, p)
        np.testing.assert_allclose(distance, expected, rtol=1e-5)
        moves = np.abs(rows[place] - points[:, None])
        theirs = moves.sum(axis=2) if p == 1 else np.sqrt((moves**2).sum(axis=2))
        np.testing.assert_allclose(theirs, expected, rtol=1e-5)
        assert all(len(set(ones)) == count for ones in place.tolist())


def test_of_rows_that_are_as_near_the_first_comes_first():
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 2, (300, 30)).astype(np.float32)
    rows[100:150] = rows[7]
    points = rng.integers(0, 2, (50, 30)).astype(np.float32)
    points[0] = rows[7]
    distance, place = Neighbours(rows).query(points, 12)
    expected, at = by_hand(rows, points, 12, 2)
    np.testing.assert_array_equal(place, at)
    np.testing.assert_array_equal(distance, expected.astype(np.float32))
    assert place[0, 0] == 7
    assert place[0, 1:].tolist() == list(range(100, 111))


@given(st.integers(1, 90), st.integers(1, 40), st.integers(1, 40), st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_a_point_has_the_same_ones_alone(num_rows, num_points, features, seed):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(num_rows, features)).astype(np.float32)
    points = rng.normal(size=(num_points, features)).astype(np.float32)
    neighbours, count = Neighbours(rows), min(5, num_rows)
    distance, place = neighbours.query(points, count)
    for index in {0, num_points // 2, num_points - 1}:
        alone = neighbours.query(points[index : index + 1], count)
        np.testing.assert_array_equal(distance[index], alone[0][0])
        np.testing.assert_array_equal(place[index], alone[1][0])


def test_many_points_among_rows_that_are_all_alike_are_no_trouble():
    distance, place = Neighbours(np.ones((3000, 25), np.float32)).query(
        np.zeros((1500, 25), np.float32), 2
    )
    np.testing.assert_array_equal(distance, np.full((1500, 2), 5, np.float32))
    np.testing.assert_array_equal(place, np.tile([0, 1], (1500, 1)))
