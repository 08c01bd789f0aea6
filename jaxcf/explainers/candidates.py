"""Candidates for rows, and the moves of single features that lead from one to another: arrays."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

# More features than these are not weighed against each other, each question being one of them.
MOST_WEIGHED = 32

# Margins nearer to each other than this are the same: programs of other batches round otherwise.
TIE = 1e-4


class Moves(NamedTuple):
    """Single features that may be moved, for each of some points.

    Attributes:
        feature: `[m, k]`.
        exact: `[m, k]`, to which value.
        point: `[m, k]`, where that lies.
        valid: `[m, k]`, which of them there are.
    """

    feature: Int[np.ndarray, "m k"]
    exact: Float[np.ndarray, "m k"]
    point: Float[np.ndarray, "m k"]
    valid: Bool[np.ndarray, "m k"]

    def of(self, chosen: np.ndarray) -> "Moves":
        """Those of some of the points."""
        return Moves(*(array[chosen] for array in self))


@dataclass(frozen=True, eq=False)
class Pool:
    """Candidates for some rows: flat points, and what they stand for.

    Attributes:
        owner: `[c]`, which of the rows each belongs to.
        exact: `[c, features]`.
        point: `[c, features]`.
    """

    owner: Int[np.ndarray, " c"]
    exact: Float[np.ndarray, "c features"]
    point: Float[np.ndarray, "c features"]

    def __len__(self) -> int:
        return len(self.owner)

    def of(self, chosen: np.ndarray) -> "Pool":
        """Some of them."""
        return Pool(self.owner[chosen], self.exact[chosen], self.point[chosen])

    def moved(self, chosen: np.ndarray, moves: Moves, which: np.ndarray) -> "Pool":
        """Some of them, each with one of its moves made."""
        pool, line = self.of(chosen), np.arange(len(chosen))
        feature = moves.feature[chosen, which]
        pool.exact[line, feature] = moves.exact[chosen, which]
        pool.point[line, feature] = moves.point[chosen, which]
        return pool


def joined(*pools: Pool) -> Pool:
    """All candidates of several pools."""
    return Pool(
        *(
            np.concatenate([getattr(pool, name) for pool in pools])
            for name in ("owner", "exact", "point")
        )
    )


def farthest_of(mask: np.ndarray, exact: np.ndarray, point: np.ndarray, size: np.ndarray) -> Moves:
    """Moves of the features in a mask: all, or of many those that go farthest."""
    most = int(min(mask.sum(axis=1).max(initial=0), MOST_WEIGHED))
    order = np.lexsort((np.where(mask, -size, np.inf), ~mask), axis=1)[:, :most]
    feature = np.sort(order, axis=1)  # ties go to the first feature
    take = lambda array: np.take_along_axis(array, feature, axis=1)  # noqa: E731
    return Moves(feature, take(exact), take(point), take(mask))


def true_of(mask: Bool[np.ndarray, "m k"]) -> tuple[np.ndarray, np.ndarray]:
    """Where a mask is true, as `np.nonzero` says it, which takes ten times as long for a matrix."""
    return np.divmod(np.flatnonzero(mask), max(1, mask.shape[1]))


def first_largest(score: np.ndarray) -> np.ndarray:
    """The first of those that are as large as the largest, to a tie."""
    largest = score.max(axis=1, initial=-np.inf, keepdims=True)
    tie = np.where(np.isfinite(largest), TIE * (1 + np.abs(largest)), 0)
    return np.argmax(score >= largest - tie, axis=1)
