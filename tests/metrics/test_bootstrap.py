"""Intervals hold the truth about as often as they say, and no failure enters a mean."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from jaxcf import metrics

FINITE = st.floats(-1e3, 1e3, allow_nan=False, width=32)


def test_the_interval_of_a_mean_covers_it_in_about_95_of_100_samples():
    generator = np.random.default_rng(0)
    covered = 0
    for seed in range(300):
        sample = generator.exponential(2.0, size=80)
        interval = metrics.mean_interval(sample, resamples=400, seed=seed)
        covered += interval.lower <= 2.0 <= interval.upper
    # Binomial(300, 0.95) lies above 0.90 but once in 10,000 times; the bootstrap of a skewed
    # distribution is a little short.
    assert 0.88 <= covered / 300 <= 0.99


def test_the_bootstrap_of_a_normal_sample_is_as_wide_as_theory_says():
    sample = np.random.default_rng(1).normal(3, 2, size=1000)
    interval = metrics.mean_interval(sample)
    assert interval.mean == pytest.approx(sample.mean())
    width = 2 * 1.96 * sample.std() / np.sqrt(1000)
    assert interval.upper - interval.lower == pytest.approx(width, rel=0.1)


def test_a_share_has_wilsons_interval_which_is_never_certain():
    interval = metrics.mean_interval(np.ones(10, bool))
    assert (interval.mean, interval.n) == (1.0, 10)
    # Wilson, worked out: n / (n + z^2).
    assert interval.lower == pytest.approx(10 / (10 + 1.959964**2), rel=1e-6)
    assert interval.upper == 1.0


@given(arrays.arrays(np.float64, st.integers(1, 30), elements=FINITE), st.integers(0, 5))
def test_rows_without_a_value_change_nothing(values, missing):
    padded = np.concatenate([values, np.full(missing, np.nan)])
    interval = metrics.mean_interval(padded, resamples=50)
    assert interval.n == len(values)
    assert interval.mean == pytest.approx(values.mean(), rel=1e-9, abs=1e-9)
    tolerance = 1e-6 * (1 + np.abs(values).max())
    assert interval.lower <= interval.upper + tolerance
    assert values.min() - tolerance <= interval.lower
    assert interval.upper <= values.max() + tolerance


def test_nothing_has_no_interval():
    for values in (np.zeros(0), np.full(3, np.nan), np.zeros(0, bool)):
        interval = metrics.mean_interval(values)
        assert interval.n == 0
        assert np.isnan(interval[:3]).all()
        assert str(interval) == "-"


def test_a_paired_difference_is_surer_than_two_means():
    generator = np.random.default_rng(2)
    difficulty = generator.normal(0, 10, size=200)
    first, second = difficulty + 1 + generator.normal(0, 0.5, 200), difficulty
    second[:20] = np.nan
    paired = metrics.mean_interval(first - second)
    assert paired.n == 180
    assert 0.8 < paired.lower < 1 < paired.upper < 1.2
    assert metrics.mean_interval(first).lower < metrics.mean_interval(second).upper


def test_columns_of_one_call_are_those_of_single_calls():
    columns = {"a": np.arange(7.0), "b": np.arange(7) > 2, "c": np.array([np.nan] * 3 + [1.0] * 4)}
    together = metrics.mean_intervals(columns, resamples=100)
    assert list(together) == list(columns)
    for name, values in columns.items():
        assert together[name] == pytest.approx(metrics.mean_interval(values, resamples=100))


def test_bad_arguments_say_what_was_given():
    with pytest.raises(ValueError, match=r"differ in length: \{'a': 2, 'b': 3\}"):
        metrics.mean_intervals({"a": np.zeros(2), "b": np.zeros(3)})
    with pytest.raises(ValueError, match="level must be > 0 and < 1, got 95"):
        metrics.mean_interval(np.zeros(3), level=95)


def test_an_infinite_value_has_an_interval_with_ends():
    interval = metrics.mean_interval(np.array([1.0, 2.0, np.inf]))
    assert interval.mean == interval.upper == np.inf
    assert not np.isnan(interval.lower)
