"""The nearest of some rows: exact, the same whoever asks beside, in numpy and scipy."""

from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int

# With 12 to 14 columns scipy's tree takes a third (distances by squares) to a ninth (by sums) of
# the time of scikit-learn's; with 30 features looking at every row is faster than either.
_MOST_FEATURES_OF_A_TREE = 20

# Of fewer rows looking at all is faster than any tree, by squares at least.
_FEWEST_ROWS_OF_A_TREE = 500

# Products of so many points and rows are held at once: what a core's caches hold.
_PRODUCTS_AT_ONCE = 2**21

# Rows of which the nearest is looked for first, so that few are sorted.
_MOST_ROWS_PER_GROUP = 32


class Neighbours:
    """Rows, and which of them are the nearest to a point.

    With few features by a tree, else by looking at all of them: by squares in matrix products of
    float32, which leave a few candidates whose distances are then taken as they are.

    Args:
        rows: `[n, features]`, finite.
        p: of the distance: 1 for the sum of all differences, 2 for Euclid's.
        leaf_size: rows of a tree that are looked at one by one; affects speed only.

    Examples:
        >>> distance, place = Neighbours(np.array([[0.0], [3.0]])).query(np.array([[1.0]]), 2)
        >>> distance.tolist(), place.tolist()
        ([[1.0, 2.0]], [[0, 1]])
    """

    def __init__(
        self, rows: Float[np.ndarray, "n features"], *, p: int = 2, leaf_size: int = 10
    ) -> None:
        self._rows = rows
        self._p = p
        self._leaf_size = leaf_size

    def query(
        self, points: Float[np.ndarray, "m features"], count: int
    ) -> tuple[Float[np.ndarray, "m count"], Int[np.ndarray, "m count"]]:
        """The rows that are nearest to each point, the nearest first.

        Args:
            points: `[m, features]`, finite.
            count: how many, as many as there are rows at most.

        Returns:
            Their distances and their places.
        """
        few = self._p == 2 and len(self._rows) < _FEWEST_ROWS_OF_A_TREE
        if self._rows.shape[1] <= _MOST_FEATURES_OF_A_TREE and not few:
            return self._tree.query(points, np.arange(1, count + 1), p=self._p)
        if self._p == 1:
            return self._list.kneighbors(points, count)
        points = np.asarray(points, np.float32)
        distance = np.empty((len(points), count), np.float32)
        place = np.empty((len(points), count), np.intp)
        at_once = max(1, _PRODUCTS_AT_ONCE // len(self._rows))
        for start in range(0, len(points), at_once):
            some = slice(start, start + at_once)
            distance[some], place[some] = self._by_products(points[some], count)
        return distance, place

    @cached_property
    def _tree(self) -> Any:
        from scipy.spatial import KDTree

        return KDTree(self._rows, leafsize=self._leaf_size)

    @cached_property
    def _list(self) -> Any:
        from sklearn.neighbors import NearestNeighbors

        return NearestNeighbors(p=1, algorithm="brute").fit(self._rows)

    @cached_property
    def _middle(self) -> np.ndarray:
        return self._rows.mean(axis=0, dtype=np.float64).astype(np.float32)

    @cached_property
    def _factors(self) -> np.ndarray:
        """What gives, times a point and a one, its squared distance less its own square.

        Columns are those of the rows, and of none at the end, so that all groups are full.
        """
        rows = np.asarray(self._rows, np.float32) - self._middle
        columns = -(-len(rows) // _MOST_ROWS_PER_GROUP) * _MOST_ROWS_PER_GROUP
        factors = np.zeros((rows.shape[1] + 1, columns), np.float32)
        factors[:-1, : len(rows)] = -2 * rows.T
        factors[-1] = np.inf
        factors[-1, : len(rows)] = _squares(rows)
        return factors

    @cached_property
    def _largest(self) -> np.floating:
        """How far the farthest row lies from the middle."""
        return np.sqrt(self._factors[-1, : len(self._rows)].max())

    def _by_products(self, points: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        factors = self._factors
        moved = np.ones((len(points), len(factors)), np.float32)
        np.subtract(points, self._middle, out=moved[:, :-1])
        # As many groups have their least product up to some limit as rows are wanted, so these
        # rows have, too. A group takes every so many rows: least ones are found column by column.
        per_group = _MOST_ROWS_PER_GROUP
        while per_group > 1 and factors.shape[1] // per_group < 2 * count:
            per_group //= 2
        products = (moved @ factors).reshape(len(points), per_group, -1)
        least = products.min(axis=1)
        limit = np.partition(least, count - 1, axis=1)[:, count - 1]
        limit += 2 * self._most_wrong(moved[:, :-1])
        owner, group = np.nonzero(least <= limit[:, None])
        candidate, inside = np.nonzero(products[owner, :, group] <= limit[owner, None])
        owner, place = owner[candidate], inside * products.shape[2] + group[candidate]
        distance = self._distances(points, owner, place)
        order = np.lexsort((place, distance, owner))
        first = np.searchsorted(owner, np.arange(len(points)))
        chosen = order[first[:, None] + np.arange(count)]
        return distance[chosen], place[chosen]

    def _most_wrong(self, moved: np.ndarray) -> np.ndarray:
        """How far rounding takes a product of each point from what it should be, at most."""
        largest = self._largest
        share = len(self._factors) * np.finfo(np.float32).eps
        return share * (2 * np.sqrt(_squares(moved)) * largest + 2 * largest**2)

    def _distances(self, points: np.ndarray, owner: np.ndarray, place: np.ndarray) -> np.ndarray:
        distance = np.empty(len(owner), np.float32)
        at_once = max(1, _PRODUCTS_AT_ONCE // points.shape[1])
        for start in range(0, len(owner), at_once):  # of rows that are all alike there are many
            some = slice(start, start + at_once)
            distance[some] = np.sqrt(_squares(self._rows[place[some]] - points[owner[some]]))
        return distance


def _squares(rows: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", rows, rows)
