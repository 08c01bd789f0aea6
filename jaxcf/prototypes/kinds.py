"""Kinds of prototypes, each a frozen description that makes the prototypes of one class.

`NearestMean` is eq. 1 of arXiv 1907.02584, `KDTree` its way without an encoder. Your own: a frozen
dataclass with `name`, `in_input_space` and `fit_class` (the protocol `PrototypeKind`).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from jaxcf.utils.neighbours import Neighbours
from jaxcf.utils.numbers import check_whole

# The inertia of the best of a few k-means runs hardly falls with more of them.
_KMEANS_STARTS: Any = 4


class Nearest(NamedTuple):
    """The prototype of one class for each of some queries.

    Attributes:
        prototype: `[n, *latent]`.
        distance: `[n]`, Euclidean, as the kind defines it for the choice of target.
    """

    prototype: np.ndarray
    distance: np.ndarray


@runtime_checkable
class ClassPrototypes(Protocol):
    """The prototypes of one class: query them with flat encodings `[n, features]`."""

    def query(self, encodings: np.ndarray) -> Nearest:
        """The class's prototype for each query, flat, and its distance."""
        ...


@runtime_checkable
class PrototypeKind(Protocol):
    """How prototypes are made. Implementations are frozen dataclasses."""

    @property
    def name(self) -> str:
        """The kind's name in records."""
        ...

    @property
    def in_input_space(self) -> bool:
        """Whether prototypes are rows of the input rather than encodings."""
        ...

    def fit_class(self, rows: np.ndarray, class_index: int) -> ClassPrototypes:
        """Prototypes of one class from its flat rows `[n, features]`."""
        ...


def _check_count(value: int, rows: np.ndarray, class_index: int, what: str) -> None:
    if value > len(rows):
        raise ValueError(
            f"{what}={value} neighbours or centroids asked for, but only {len(rows)} training rows "
            f"are of class {class_index}, by what the model predicts or the labels given; pass "
            f"{what} <= {len(rows)} or more training rows"
        )


@dataclass(frozen=True)
class NearestMean:
    """The mean of the k encodings of the class nearest to the query (eq. 1).

    Args:
        k: how many neighbours are averaged, >= 1; None takes the mean of the whole class.

    Raises:
        TypeError: if a number is no whole number.
        ValueError: if k < 1, or, when fitted, exceeds the rows of a class.
    """

    k: int | None = 15

    name = "nearest"
    in_input_space = False

    def __post_init__(self) -> None:
        if self.k is not None:
            check_whole("k", self.k)

    def fit_class(self, rows: np.ndarray, class_index: int) -> ClassPrototypes:
        """Prototypes of one class from its flat rows."""
        if self.k is None:
            return _Points(rows.mean(axis=0, keepdims=True))
        _check_count(self.k, rows, class_index, "k")
        return _NeighbourMean(Neighbours(rows), rows, self.k)


@dataclass(frozen=True)
class KDTree:
    """The k-th nearest row of the class in input space, for models without an encoder.

    Args:
        k: which neighbour, >= 1; 1 is the nearest row.
        leaf_size: of the tree that finds it among few features; affects speed only.

    Raises:
        TypeError: if a number is no whole number.
        ValueError: if k < 1, or, when fitted, exceeds the rows of a class.
    """

    k: int = 1
    leaf_size: int = 40

    name = "kdtree"
    in_input_space = True

    def __post_init__(self) -> None:
        check_whole("k", self.k)
        check_whole("leaf_size", self.leaf_size)

    def fit_class(self, rows: np.ndarray, class_index: int) -> ClassPrototypes:
        """Prototypes of one class from its flat rows."""
        _check_count(self.k, rows, class_index, "k")
        return _KthNeighbour(Neighbours(rows, leaf_size=self.leaf_size), rows, self.k)


@dataclass(frozen=True)
class KMeans:
    """The nearest of the class's k-means centroids in latent space.

    Args:
        k: centroids per class, >= 1.
        seed: of the k-means initialisation.

    Raises:
        TypeError: if a number is no whole number.
        ValueError: if k < 1, or, when fitted, exceeds the rows of a class.
    """

    k: int = 3
    seed: int = 0

    name = "kmeans"
    in_input_space = False

    def __post_init__(self) -> None:
        check_whole("k", self.k)
        check_whole("seed", self.seed, least=0)

    def fit_class(self, rows: np.ndarray, class_index: int) -> "_Points":
        """Prototypes of one class from its flat rows."""
        from sklearn.cluster import KMeans as Clusters

        _check_count(self.k, rows, class_index, "k")
        clusters = Clusters(self.k, n_init=_KMEANS_STARTS, random_state=self.seed).fit(rows)
        return _Points(clusters.cluster_centers_.astype(rows.dtype))


@dataclass(frozen=True)
class _NeighbourMean:
    neighbours: Neighbours
    rows: np.ndarray
    k: int

    def query(self, encodings: np.ndarray) -> Nearest:
        _, places = self.neighbours.query(encodings, self.k)
        prototype = self.rows[places].mean(axis=1)
        return Nearest(prototype, np.linalg.norm(encodings - prototype, axis=1))


@dataclass(frozen=True)
class _KthNeighbour:
    neighbours: Neighbours
    rows: np.ndarray
    k: int

    def query(self, encodings: np.ndarray) -> Nearest:
        distances, places = self.neighbours.query(encodings, self.k)
        return Nearest(self.rows[places[:, -1]], distances[:, -1])


@dataclass(frozen=True)
class _Points:
    points: np.ndarray

    def query(self, encodings: np.ndarray) -> Nearest:
        distances = np.linalg.norm(encodings[:, None] - self.points[None], axis=2)
        nearest = distances.argmin(axis=1)
        return Nearest(self.points[nearest], distances[np.arange(len(nearest)), nearest])


NAMED_KINDS: dict[str, type[NearestMean] | type[KDTree] | type[KMeans]] = {
    "nearest": NearestMean,
    "kdtree": KDTree,
    "kmeans": KMeans,
}


def named(name: str, **options: Any) -> NearestMean | KDTree | KMeans:
    """A kind of prototype by its name: "nearest", "kdtree" or "kmeans".

    Raises:
        ValueError: if there is no kind of that name.

    Examples:
        >>> named("kmeans", k=5)
        KMeans(k=5, seed=0)
    """
    if name not in NAMED_KINDS:
        raise ValueError(f"unknown kind of prototype {name!r}; there are {', '.join(NAMED_KINDS)}")
    return NAMED_KINDS[name](**options)
