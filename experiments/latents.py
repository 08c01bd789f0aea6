"""Encodings of many rows and what lies around a point among them: shared by figures 2 and 3."""

from typing import NamedTuple

import numpy as np

from jaxcf import FittedExplainer
from jaxcf.predictors.blackbox import Failures
from jaxcf.predictors.inference import predict_and_encode

NEIGHBOURS = 50
"""Training encodings around a prototype that say whose it is."""


class Described(NamedTuple):
    """What the models say of some rows: the predicted class, and the encoding as a vector."""

    classes: np.ndarray
    encodings: np.ndarray


class Surroundings(NamedTuple):
    """Whose encodings lie around some points.

    Attributes:
        purity: `[n]`, the share of the nearest training encodings that have the point's class.
        own_majority: `[n]`, whether no other class has more of them.
    """

    purity: np.ndarray
    own_majority: np.ndarray


def describe(fitted: FittedExplainer, x: np.ndarray) -> Described:
    """The class that the model gives each row of `x`, and its encoding, flat."""
    probabilities, encodings = predict_and_encode(fitted.models, fitted.params, x, Failures())
    return Described(probabilities.argmax(axis=1), encodings.reshape(len(x), -1))


class Neighbourhood:
    """The training encodings, to be asked whose a point of latent space is.

    Args:
        train: classes and encodings of the training rows.
        num_classes: of the model.
    """

    def __init__(self, train: Described, num_classes: int) -> None:
        from sklearn.neighbors import NearestNeighbors

        self._classes = train.classes
        self._num_classes = num_classes
        # In 49 dimensions no tree is faster than comparing with all.
        self._index = NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm="brute", n_jobs=-1)
        self._index.fit(train.encodings)

    def around(self, points: np.ndarray, classes: np.ndarray) -> Surroundings:
        """Look around points that are said to belong to the given classes.

        Args:
            points: `[n, features]`.
            classes: `[n]`.

        Returns:
            One value per point.
        """
        neighbours = self._classes[self._index.kneighbors(points, return_distance=False)]
        counts = np.stack([(neighbours == c).sum(axis=1) for c in range(self._num_classes)], axis=1)
        own = counts[np.arange(len(points)), classes]
        return Surroundings(own / NEIGHBOURS, own == counts.max(axis=1))
