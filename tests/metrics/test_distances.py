"""Distances and validity worked out by hand."""

import jax.numpy as jnp
import numpy as np

from jaxcf import metrics

D = np.array([[[3.0, -4.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]], np.float32)


def test_distances_by_hand():
    assert metrics.l0(D).tolist() == [2, 0]
    assert metrics.l1(D).tolist() == [7.0, 0.0]
    assert metrics.l2(D).tolist() == [5.0, 0.0]
    np.testing.assert_allclose(metrics.elastic_net(D, 0.1), [25.7, 0.0], rtol=1e-6)
    assert metrics.l1(D[:0]).shape == (0,)


def test_validity_asks_the_model_anew():
    x = np.array([[0.0], [1.0], [2.0]], np.float32)
    targets = np.array([[True, False], [True, False], [False, True]])

    def predict(x):
        return jnp.concatenate([1 - x, x], axis=1)

    assert metrics.validity(predict, x, targets).tolist() == [True, False, True]
    assert metrics.validity(predict, x[:0], targets[:0]).tolist() == []
