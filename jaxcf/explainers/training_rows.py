"""Training rows in input space, as beginnings of counterfactuals and as a measure of moves."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxcf.explainers.costs import units_of
from jaxcf.utils.neighbours import Neighbours


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """The training rows of every class, as the model decides about them.

    Args:
        members: for each class `[_, features]`, as many as it has.
        unordered: `[features]`, those whose values have no order.
    """

    members: tuple[Float[np.ndarray, "_ features"], ...]
    unordered: Bool[np.ndarray, " features"]

    @cached_property
    def unit(self) -> Float[np.ndarray, " features"]:
        """How far a move of each feature is one unit far."""
        return np.where(self.unordered, 1.0, units_of(np.concatenate(self.members)))

    @cached_property
    def _neighbours(self) -> tuple[Neighbours, ...]:
        return tuple(Neighbours(rows / self.unit, p=1) for rows in self.members)

    def nearest(
        self,
        point: Float[np.ndarray, "n features"],
        allowed: Bool[np.ndarray, "n classes"],
        count: int,
        first: int = 0,
    ) -> tuple[Int[np.ndarray, " k"], Float[np.ndarray, "k features"]]:
        """The rows of allowed classes that are nearest by the sum of their moves in units.

        Args:
            point: `[n, features]`.
            allowed: `[n, classes]`.
            count: how many for each, fewer where there are fewer.
            first: how many of the nearest are left out.

        Returns:
            Whose they are, `[k]`, those of one point next to each other, the nearest first; and
            the rows, `[k, features]`.
        """
        owners, distances, rows = [], [], []
        for index, members in enumerate(self.members):
            wanted = np.flatnonzero(allowed[:, index])
            if not len(wanted) or not len(members):
                continue
            distance, place = self._query(index, point[wanted], first + count)
            owners.append(np.repeat(wanted, place.shape[1]))
            distances.append(distance.ravel())
            rows.append(members[place.ravel()])
        if not owners:
            return np.zeros(0, np.intp), np.zeros((0, point.shape[1]), np.float32)
        owner, distance, row = map(np.concatenate, (owners, distances, rows))
        order = np.lexsort((distance, owner))
        owner, row = owner[order], row[order]
        rank = np.arange(len(owner)) - np.searchsorted(owner, owner)
        chosen = (rank >= first) & (rank < first + count)
        return owner[chosen], row[chosen]

    def distance(
        self, point: Float[np.ndarray, "n features"], classes: Int[np.ndarray, " n"]
    ) -> Float[np.ndarray, " n"]:
        """How far the nearest row of a class lies from each point, in units."""
        found = np.full(len(point), np.inf)
        for index, members in enumerate(self.members):
            mine = np.flatnonzero(classes == index)
            if len(mine) and len(members):
                found[mine] = self._query(index, point[mine], 1)[0][:, 0]
        return found

    def _query(self, index: int, point: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        count = min(count, len(self.members[index]))
        return self._neighbours[index].query(point / self.unit, count)

    def values(self, count: int) -> Float[np.ndarray, "count features"]:
        """A few values of each feature: quantiles of its rows, and of the values it takes.

        Args:
            count: how many, >= 1. A feature that takes fewer values repeats some.

        Returns:
            `[count, features]`; of features whose values have no order the most frequent.
        """
        rows = np.concatenate(self.members)
        found = np.empty((count, rows.shape[1]), np.float32)
        # Of few values the ends are the least likely to be of use.
        few = count < 3
        of_rows = _middles(count) if few else np.linspace(0, 1, (count + 1) // 2)
        of_values = _middles(0 if few else count // 2)
        for place, column in enumerate(rows.T):
            taken, times = np.unique(column, return_counts=True)
            if self.unordered[place] or len(taken) <= count:
                often = np.argsort(-times, kind="stable")
                found[:, place] = np.resize(taken[often], count)
                continue
            ordered = np.sort(column)
            chosen = [
                array[np.round(share * (len(array) - 1)).astype(int)]
                for array, share in ((ordered, of_rows), (taken, of_values))
            ]
            found[:, place] = np.concatenate(chosen)
        return found


def _middles(count: int) -> np.ndarray:
    """The middles of so many equal parts of 0 to 1."""
    return (np.arange(count) + 0.5) / max(1, count)
