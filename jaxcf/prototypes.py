"""Class prototypes, built ahead of time in numpy and scikit-learn, and the choice of target.

A kind of prototype is a frozen description (`NearestMean`, `KDTree`, `KMeans`); `fit` turns it
into a `FittedPrototypes` that gives every query the prototype of each class and the distance to
it, and `select` picks the class (eq. 2). Source: arXiv 1907.02584, equations 1 and 2.
"""

import math
import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

# One block of queries against one class: bounds memory whatever the number of queries.
_QUERY_BLOCK = 2048

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
            f"{what}={value} neighbours or centroids asked for, but the model predicts class "
            f"{class_index} for only {len(rows)} training rows; pass {what} <= {len(rows)} or "
            "more training rows"
        )


def _check_positive(value: int, what: str) -> None:
    if value < 1:
        raise ValueError(f"{what} must be at least 1, got {value}")


@dataclass(frozen=True)
class NearestMean:
    """The mean of the k encodings of the class nearest to the query (eq. 1).

    Args:
        k: how many neighbours are averaged, >= 1; None takes the mean of the whole class.

    Raises:
        ValueError: if k < 1, or, when fitted, exceeds the rows of a class.
    """

    k: int | None = 15

    name = "nearest"
    in_input_space = False

    def __post_init__(self) -> None:
        if self.k is not None:
            _check_positive(self.k, "k")

    def fit_class(self, rows: np.ndarray, class_index: int) -> ClassPrototypes:
        """Prototypes of one class from its flat rows."""
        if self.k is None:
            return _Points(rows.mean(axis=0, keepdims=True))
        _check_count(self.k, rows, class_index, "k")
        return _NeighbourMean(_neighbours(rows, self.k, "brute"), rows)


@dataclass(frozen=True)
class KDTree:
    """The k-th nearest row of the class in input space, for models without an encoder.

    Args:
        k: which neighbour, >= 1; 1 is the nearest row.
        leaf_size: of the tree; affects speed only.

    Raises:
        ValueError: if k < 1, or, when fitted, exceeds the rows of a class.
    """

    k: int = 1
    leaf_size: int = 40

    name = "kdtree"
    in_input_space = True

    def __post_init__(self) -> None:
        _check_positive(self.k, "k")
        _check_positive(self.leaf_size, "leaf_size")

    def fit_class(self, rows: np.ndarray, class_index: int) -> ClassPrototypes:
        """Prototypes of one class from its flat rows."""
        _check_count(self.k, rows, class_index, "k")
        return _KthNeighbour(_neighbours(rows, self.k, "kd_tree", self.leaf_size), rows)


@dataclass(frozen=True)
class KMeans:
    """The nearest of the class's k-means centroids in latent space.

    Args:
        k: centroids per class, >= 1.
        seed: of the k-means initialisation.

    Raises:
        ValueError: if k < 1, or, when fitted, exceeds the rows of a class.
    """

    k: int = 3
    seed: int = 0

    name = "kmeans"
    in_input_space = False

    def __post_init__(self) -> None:
        _check_positive(self.k, "k")

    def fit_class(self, rows: np.ndarray, class_index: int) -> "_Points":
        """Prototypes of one class from its flat rows."""
        from sklearn.cluster import KMeans as Clusters

        _check_count(self.k, rows, class_index, "k")
        clusters = Clusters(self.k, n_init=_KMEANS_STARTS, random_state=self.seed).fit(rows)
        return _Points(clusters.cluster_centers_.astype(rows.dtype))


def _neighbours(rows: np.ndarray, k: int, algorithm: Any, leaf_size: int = 30) -> Any:
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=k, algorithm=algorithm, leaf_size=leaf_size).fit(rows)


@dataclass(frozen=True)
class _NeighbourMean:
    index: Any
    rows: np.ndarray

    def query(self, encodings: np.ndarray) -> Nearest:
        neighbours = self.index.kneighbors(encodings, return_distance=False)
        prototype = self.rows[neighbours].mean(axis=1)
        return Nearest(prototype, np.linalg.norm(encodings - prototype, axis=1))


@dataclass(frozen=True)
class _KthNeighbour:
    index: Any
    rows: np.ndarray

    def query(self, encodings: np.ndarray) -> Nearest:
        distances, neighbours = self.index.kneighbors(encodings)
        return Nearest(self.rows[neighbours[:, -1]], distances[:, -1])


@dataclass(frozen=True)
class _Points:
    points: np.ndarray

    def query(self, encodings: np.ndarray) -> Nearest:
        distances = np.linalg.norm(encodings[:, None] - self.points[None], axis=2)
        nearest = distances.argmin(axis=1)
        return Nearest(self.points[nearest], distances[np.arange(len(nearest)), nearest])


class Selection(NamedTuple):
    """The prototypes chosen for some rows.

    Attributes:
        prototype: `[n, *latent]`; zeros where there is none.
        target_class: `[n]`, the class it belongs to; -1 where no allowed class has a prototype.
        distances: `[n, classes]`, to every class's prototype; infinite where a class has none.
    """

    prototype: Float[np.ndarray, "n *latent"]
    target_class: Int[np.ndarray, " n"]
    distances: Float[np.ndarray, "n classes"]


@dataclass(frozen=True)
class FittedPrototypes:
    """Prototypes of every class that has training rows.

    Attributes:
        kind: how they were made.
        classes: one entry per class, None for a class without rows.
        members: the flat encodings of each class's training rows.
        shape: `*latent`, of one encoding.
    """

    kind: PrototypeKind
    classes: tuple[ClassPrototypes | None, ...]
    members: tuple[np.ndarray, ...]
    shape: tuple[int, ...]

    @property
    def missing_classes(self) -> tuple[int, ...]:
        """The classes the model predicted for no training row; they have no prototype."""
        return tuple(i for i, one in enumerate(self.classes) if one is None)

    def select(
        self, encodings: Float[np.ndarray, "n *latent"], allowed: Bool[np.ndarray, "n classes"]
    ) -> Selection:
        r"""Choose each row's target class and its prototype (eq. 2).

        $$j = \arg\min_{i \in allowed} |ENC(x_0) - proto_i|_2$$

        Args:
            encodings: `[n, *latent]`, of the rows to be explained.
            allowed: `[n, classes]`, which classes each row may go to.

        Returns:
            Prototype, class and the distance to every class; the first class wins a tie.
        """
        flat = np.asarray(encodings, np.float32).reshape(len(encodings), math.prod(self.shape))
        prototype = np.zeros_like(flat)
        target = np.full(len(flat), -1, np.int32)
        distances = np.full((len(flat), len(self.classes)), np.inf, np.float32)
        for start in range(0, len(flat), _QUERY_BLOCK):
            rows = slice(start, start + _QUERY_BLOCK)
            self._select_block(
                flat[rows], allowed[rows], prototype[rows], target[rows], distances[rows]
            )
        return Selection(prototype.reshape(len(flat), *self.shape), target, distances)

    def nearest_members(
        self, encodings: Float[np.ndarray, "n *latent"], class_index: int, count: int
    ) -> Int[np.ndarray, "n count"]:
        """The training rows of a class nearest to each encoding, nearest first.

        Args:
            encodings: `[n, *latent]`.
            class_index: a class with training rows.
            count: how many, >= 1; fewer where the class has fewer rows.

        Returns:
            `[n, count]`, their places among the `members` of the class.
        """
        members = self.members[class_index]
        flat = np.asarray(encodings, np.float32).reshape(len(encodings), -1)
        index = _neighbours(members, min(count, len(members)), "auto")
        return index.kneighbors(flat, return_distance=False)

    def _select_block(
        self,
        encodings: np.ndarray,
        allowed: np.ndarray,
        prototype: np.ndarray,
        target: np.ndarray,
        distances: np.ndarray,
    ) -> None:
        best = np.full(len(encodings), np.inf, np.float32)
        for index, one in enumerate(self.classes):
            if one is None or not len(encodings):
                continue
            nearest = one.query(encodings)
            distances[:, index] = nearest.distance
            better = allowed[:, index] & (distances[:, index] < best)
            best[better] = distances[better, index]
            prototype[better] = nearest.prototype[better]
            target[better] = index


def fit(
    kind: PrototypeKind,
    encodings: Float[np.ndarray, "n *latent"],
    predicted_classes: Int[np.ndarray, " n"],
    num_classes: int,
) -> FittedPrototypes:
    """Build the prototypes of every class.

    Args:
        kind: `NearestMean`, `KDTree` or `KMeans`, or one's own.
        encodings: `[n, *latent]` of the training rows (the rows themselves without an encoder).
        predicted_classes: `[n]`, the classes the MODEL predicts for them: the paper's choice,
            since it is the model that is explained. Other labels may be passed.
        num_classes: how many classes there are.

    Returns:
        The fitted prototypes. A class without rows has none, and a warning says so.

    Raises:
        ValueError: if fewer than two classes have rows, encodings aren't finite, or the kind asks
            for more neighbours than a class has rows.

    Examples:
        >>> import numpy as np
        >>> encodings = np.array([[0.0], [1.0], [10.0], [11.0]])
        >>> fitted = fit(NearestMean(k=2), encodings, np.array([0, 0, 1, 1]), 2)
        >>> chosen = fitted.select(np.array([[0.2]]), np.array([[False, True]]))
        >>> int(chosen.target_class[0]), float(chosen.prototype[0, 0])
        (1, 10.5)
    """
    encodings = np.asarray(encodings, np.float32)
    if len(encodings) != len(predicted_classes):
        raise ValueError(
            f"{len(encodings)} encodings need as many classes, got {len(predicted_classes)}"
        )
    flat = encodings.reshape(len(encodings), -1)
    if not np.isfinite(flat).all():
        bad = np.flatnonzero(~np.isfinite(flat).all(axis=1))
        raise ValueError(
            f"{len(bad)} training rows have encodings that are not finite, the first is row "
            f"{bad[0]}; remove those rows or check the encoder"
        )
    members = [flat[predicted_classes == index] for index in range(num_classes)]
    missing = [index for index, rows in enumerate(members) if not len(rows)]
    if num_classes - len(missing) < 2:
        raise ValueError(
            f"the model predicts fewer than two classes for the {len(flat)} training rows; "
            "prototypes need rows of at least two classes: pass more training rows"
        )
    if missing:
        warnings.warn(
            f"the model predicts classes {missing} for no training row: they have no prototype "
            "and are no target; pass training rows of every class to change that",
            stacklevel=2,
        )
    classes = tuple(
        kind.fit_class(rows, index) if len(rows) else None for index, rows in enumerate(members)
    )
    return FittedPrototypes(kind, classes, tuple(members), encodings.shape[1:])


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
