"""Training rows by class: the nearest of them, and the values that their features take."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcf.explainers.costs import costs_of, units_of
from jaxcf.explainers.training_rows import TrainingRows


@pytest.mark.parametrize("features", [3, 25])
def test_the_nearest_are_those_of_an_exhaustive_search(features):
    rng = np.random.default_rng(features)
    members = tuple(rng.normal(size=(n, features)) for n in (7, 0, 12))
    training = TrainingRows(members, np.zeros(features, bool))
    points = rng.normal(size=(5, features))
    allowed = np.array([[1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1]], bool)
    owner, found = training.nearest(points, allowed, 4)
    second = training.nearest(points, allowed, 2, first=2)
    for row, point in enumerate(points):
        those = np.concatenate([members[k] for k in range(3) if allowed[row, k]])
        order = np.argsort((np.abs(those - point) / training.unit).sum(axis=1))
        np.testing.assert_allclose(found[owner == row], those[order[:4]])
        np.testing.assert_allclose(second[1][second[0] == row], those[order[2:4]])
    distance = training.distance(points, np.array([0, 1, 2, 2, 0]))
    assert np.isinf(distance[1])
    np.testing.assert_allclose(training.distance(members[2], np.full(12, 2)), 0, atol=1e-9)


@given(st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_values_are_values_of_training_rows_from_the_least_to_the_most(count, seed):
    rng = np.random.default_rng(seed)
    rows = np.stack([rng.normal(size=40), rng.integers(0, 3, 40), rng.integers(0, 9, 40)], axis=1)
    rows = rows.astype(np.float32)
    training = TrainingRows((rows[:15], rows[15:]), np.array([False, False, True]))
    values = training.values(count)
    assert values.shape == (count, 3)
    assert all(np.isin(values[:, place], rows[:, place]).all() for place in range(3))
    assert len(np.unique(values[:, 1])) == min(count, len(np.unique(rows[:, 1])))
    if count > 2:
        assert {rows[:, 0].min(), rows[:, 0].max()} <= set(values[:, 0])


def test_a_mostly_constant_feature_isn_t_worth_millions():
    x = np.zeros((1000, 3))
    x[:80, 0] = np.linspace(1000, 99999, 80)
    x[:, 1] = np.linspace(0, 1, 1000)
    unit = units_of(x)
    assert 1000 < unit[0] < 10000
    assert unit[1] == pytest.approx(0.25, rel=0.01)
    assert unit[2] == 1


def test_costs_that_fit_no_feature_are_refused():
    with pytest.raises(ValueError, match="doesn't fit rows of shape"):
        costs_of([1.0, 2.0, 3.0], None, (2,))
    with pytest.raises(ValueError, match="need features with names"):
        costs_of({"age": 2.0}, None, (2,))
    np.testing.assert_array_equal(costs_of(2.0, None, (2, 2)), np.full(4, 2.0))
