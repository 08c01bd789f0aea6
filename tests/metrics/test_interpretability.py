"""IM1 and IM2 worked out by hand."""

import numpy as np
import pytest

from jaxcf import metrics

X = np.array([[1.0, 2.0, -1.0], [0.5, 0.0, 0.5]], np.float32)
AUTOENCODERS = (lambda x: 0.5 * x, lambda x: x + 1.0, lambda x: 0.0 * x)


def test_im1_and_im2_by_hand():
    scores = metrics.interpretability(
        X,
        np.array([0, 2]),
        np.array([1, 0]),
        reconstruct=lambda x: 0.25 * x,
        class_reconstruct=AUTOENCODERS,
        eps=0.1,
    )
    # Row 0: |x - AE_1(x)|^2 = 3, |x - AE_0(x)|^2 = 6 / 4; AE_1 - AE = 0.75 x + 1.
    # Row 1: |x - AE_0(x)|^2 = 0.5 / 4, |x - AE_2(x)|^2 = 0.5; AE_0 - AE = 0.25 x.
    np.testing.assert_allclose(scores.im1, [3 / (1.5 + 0.1), 0.125 / (0.5 + 0.1)], rtol=1e-6)
    difference = ((0.75 * X[0] + 1) ** 2).sum(), ((0.25 * X[1]) ** 2).sum()
    expected = [difference[0] / (4 + 0.1), difference[1] / (1 + 0.1)]
    np.testing.assert_allclose(scores.im2, expected, rtol=1e-6)


def test_a_row_without_a_class_has_no_score_rather_than_that_of_another_class():
    # -1 is what invalid rows carry; it must not pick the last autoencoder.
    scores = metrics.interpretability(
        X,
        np.array([-1, 2]),
        np.array([-1, 0]),
        reconstruct=lambda x: 0.25 * x,
        class_reconstruct=AUTOENCODERS,
        eps=0.1,
    )
    assert np.isnan(scores.im1).tolist() == [True, False]
    assert np.isnan(scores.im2).tolist() == [True, False]
    np.testing.assert_allclose(scores.im1[1], 0.125 / 0.6, rtol=1e-6)


def test_no_rows_give_no_scores():
    none = np.zeros(0, int)
    scores = metrics.interpretability(
        X[:0], none, none, reconstruct=AUTOENCODERS[0], class_reconstruct=AUTOENCODERS
    )
    assert scores.im1.shape == scores.im2.shape == (0,)


def test_a_class_without_an_autoencoder_is_an_error():
    with pytest.raises(ValueError, match="class 3 has no autoencoder: class_reconstruct has 3"):
        metrics.interpretability(
            X,
            np.array([0, 3]),
            np.array([1, 1]),
            reconstruct=AUTOENCODERS[0],
            class_reconstruct=AUTOENCODERS,
        )


def test_all_autoencoders_are_asked_in_batches_of_one_size():
    """Each size is compiled anew."""
    sizes = set()

    def reconstruct(x):
        sizes.add(len(x))
        return x

    x = np.ones((70, 3), np.float32)
    original, new = np.repeat([0, 1], [60, 10]), np.repeat([1, 0], [35, 35])
    metrics.interpretability(
        x, original, new, reconstruct=reconstruct, class_reconstruct=[reconstruct] * 2
    )
    assert len(sizes) == 1
