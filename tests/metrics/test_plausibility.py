"""Distances to real rows and frequencies, against closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxcf import metrics


def test_the_frechet_distance_of_normal_distributions_is_the_closed_form():
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(400, 3))
    # Whitened exactly, so that means and covariances are what they are said to be.
    rows -= rows.mean(axis=0)
    rows @= np.linalg.inv(np.linalg.cholesky(np.cov(rows, rowvar=False))).T
    other = rows * [2.0, 1.0, 3.0] + [1.0, 0.0, -2.0]
    same = np.zeros(400, int)

    def distance(one, two):
        return metrics.frechet_to_class(one, same, two, same, resamples=2).mean

    # Diagonal covariances: |mean difference|^2 + sum (sigma_1 - sigma_2)^2.
    assert distance(rows, other) == pytest.approx(5 + 1 + 0 + 4, rel=1e-6)
    assert distance(other, rows) == pytest.approx(10, rel=1e-6)
    assert distance(rows, rows) == pytest.approx(0, abs=1e-6)


def test_the_distance_to_a_class_is_small_for_its_own_images_only():
    generator = np.random.default_rng(1)
    classes = np.repeat([0, 1], 80)
    reference = generator.normal(classes[:, None] * 5.0, 1, size=(160, 4))
    mine = generator.normal(classes[:, None] * 5.0, 1, size=(160, 4))
    own = metrics.frechet_to_class(mine, classes, reference, classes)
    other = metrics.frechet_to_class(mine, 1 - classes, reference, classes)
    assert own.n == other.n == 160
    # |5 in each of 4 features|^2.
    assert other.mean == pytest.approx(100, rel=0.2)
    assert own.upper < 3
    assert own.lower <= own.mean <= own.upper + 0.5


def test_classes_with_too_few_rows_are_left_out_and_counted():
    classes = np.array([0] * 50 + [1] * 3)
    features = np.random.default_rng(2).normal(size=(53, 4))
    assert metrics.frechet_to_class(features, classes, features, classes).n == 50
    none = metrics.frechet_to_class(features[50:], classes[50:], features, classes)
    assert none.n == 0
    assert np.isnan(none.mean)


def test_the_nearest_training_rows_are_those_of_the_new_class():
    x_train = np.array([[0.0, 0.0], [1.0, 0.0], [3.0, 0.0], [0.1, 0.0]])
    train_class = np.array([1, 1, 1, 0])
    x = np.zeros((3, 2))
    distances = metrics.distance_to_class(x, np.array([1, 0, -1]), x_train, train_class, k=2)
    assert distances[:2] == pytest.approx([0.5, 0.1])
    assert np.isnan(distances[2])


@given(st.integers(2, 12), st.integers(2, 12), st.integers(0, 2**31))
def test_the_high_frequency_share_lies_between_0_and_1_whatever_the_size(height, width, seed):
    noise = np.random.default_rng(seed).normal(size=(3, height, width, 2))
    share = metrics.high_frequency_share(noise)
    assert ((share >= 0) & (share <= 1)).all()
    np.testing.assert_allclose(metrics.high_frequency_share(-5 * noise), share, rtol=1e-9)


def test_smooth_changes_are_low_and_white_noise_is_four_fifths_high():
    ramp = np.broadcast_to(np.linspace(0, 1, 28), (1, 28, 28))
    assert metrics.high_frequency_share(ramp)[0] < 0.01
    noise = np.random.default_rng(3).normal(size=(200, 28, 28))
    # The disc of radius a half covers pi / 16 of the square of frequencies.
    assert metrics.high_frequency_share(noise).mean() == pytest.approx(1 - np.pi / 16, abs=0.02)
    assert np.isnan(metrics.high_frequency_share(np.zeros((1, 8, 8)))).all()


@pytest.mark.usefixtures("without_type_checks")
def test_frequencies_of_a_table_are_an_error():
    with pytest.raises(ValueError, match=r"frequencies are those of images .* got shape \(3, 4\)"):
        metrics.high_frequency_share(np.zeros((3, 4)))


def test_frequencies_are_those_of_pixels_wherever_the_channels_are():
    change = np.random.default_rng(0).normal(size=(2, 8, 6, 3))
    np.testing.assert_allclose(
        metrics.high_frequency_share(np.moveaxis(change, -1, 1)),
        metrics.high_frequency_share(change),
    )


def test_a_row_that_is_not_finite_has_no_distance_and_the_others_have_theirs():
    x = np.array([[0.0], [np.nan], [2.0]])
    distances = metrics.distance_to_class(x, np.array([1, 1, 1]), np.array([[1.0]]), np.array([1]))
    np.testing.assert_array_equal(distances, [1.0, np.nan, 1.0])


def test_there_is_one_neighbour_at_least():
    rows, classes = np.zeros((1, 1)), np.array([0])
    with pytest.raises(ValueError, match="k must be at least 1"):
        metrics.distance_to_class(rows, classes, rows, classes, k=0)


def test_training_rows_that_are_not_finite_are_refused():
    rows, classes = np.zeros((1, 1)), np.array([0])
    with pytest.raises(ValueError, match="training rows hold NaN"):
        metrics.distance_to_class(rows, classes, rows * np.nan, classes)
