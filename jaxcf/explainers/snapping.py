"""Points brought onto the rules of their rows, many at once."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Float32, Int

from jaxcf.constraints import Feasible, snap
from jaxcf.utils.batching import batch_size, map_batches

# Points brought onto the rules of every row, times rows: what fits into a core's caches.
_EACH_TOGETHER = 2048


def snap_rows(
    point: Float32[np.ndarray, "n *shape"],
    original: Float32[np.ndarray, "n *shape"],
    bounds: Any,
    size: int,
) -> Float32[np.ndarray, "n *shape"]:
    """A point of each row brought onto its rules.

    Args:
        point: `[n, *shape]`.
        original: `[n, *shape]`, the rows.
        bounds: their lower and upper bounds, and their grid if they have one.
        size: of the batches.
    """
    return _by_batches(_snap_batch, (point, original, *bounds), size)


@dataclass(frozen=True, eq=False)
class Snapping:
    """Brings any number of points onto the rules of some rows, feature by feature.

    Args:
        original: `[n, *shape]`, the rows.
        bounds: their lower and upper bounds, and their grid if they have one.
        size: of the batches.
    """

    original: Float32[np.ndarray, "n *shape"]
    bounds: Any
    size: int

    @classmethod
    def of(
        cls, original: Float32[np.ndarray, "n *shape"], feasible: Feasible, size: int
    ) -> "Snapping":
        """That of rows of which one feature may move where relations would have others follow."""
        grid = feasible.grid and feasible.grid._replace(relations=None)
        return cls(original, (feasible.lower, feasible.upper, grid), size)

    def points(
        self, point: Float32[np.ndarray, "m *shape"], owner: Int[np.ndarray, " m"]
    ) -> Float32[np.ndarray, "m *shape"]:
        """Points of some of the rows, each of which may have several.

        Args:
            point: `[m, *shape]`.
            owner: `[m]`, the places of the rows they belong to.
        """
        return self._some(point, owner, self.original, self.bounds)

    def of_feature(
        self,
        point: Float32[np.ndarray, " m"],
        owner: Int[np.ndarray, " m"],
        feature: Int[np.ndarray, " m"],
    ) -> Float32[np.ndarray, " m"]:
        """The same of one feature of each.

        Args:
            point: `[m]`.
            owner: `[m]`, the places of the rows they belong to.
            feature: `[m]`, which of the features of a row.
        """
        features = math.prod(self.original.shape[1:])
        return self._some(point, owner * features + feature, *self._numbers)

    @cached_property
    def _numbers(self) -> tuple[np.ndarray, Any]:
        """The features of all rows one after the other, each with bounds of its own."""
        size, ndim = self.original.size, self.original.ndim
        return jax.tree.map(
            lambda leaf: leaf.reshape(size, *leaf.shape[ndim:]), (self.original, self.bounds)
        )

    def _some(
        self, point: np.ndarray, owner: np.ndarray, original: np.ndarray, bounds: Any
    ) -> np.ndarray:
        # Rules are taken out a batch at a time: those of all points would be many copies.
        snapped = []
        for start in range(0, len(point), self.size):
            window = slice(start, start + self.size)
            x, its = jax.tree.map(lambda leaf, rows=owner[window]: leaf[rows], (original, bounds))
            ends = point[window].astype(np.float32, copy=False)
            snapped.append(snap_rows(ends, x, its, self.size))
        return np.concatenate(snapped)

    def each(self, point: Float32[np.ndarray, "k *shape"]) -> Float32[np.ndarray, "n k *shape"]:
        """All of some points, on the rules of every row.

        Args:
            point: `[k, *shape]`.
        """
        original = self.original
        rows = 1 << (max(1, _EACH_TOGETHER // len(point)).bit_length() - 1)
        rows = min(rows, batch_size(len(original), original.shape[1:]))
        return _by_batches(partial(_snap_each, point), (original, *self.bounds), rows)


def _by_batches(function: Callable[..., Any], arguments: tuple[Any, ...], size: int) -> np.ndarray:
    """A compiled function over arguments that are pytrees of arrays with a line for each row."""
    leaves, structure = jax.tree.flatten(arguments)

    def applied(*leaves: Any) -> Any:
        return function(*jax.tree.unflatten(structure, leaves))

    return np.array(map_batches(applied, *leaves, size=size))


_snap_batch = jax.jit(jax.vmap(snap))

_snap_each = jax.jit(
    jax.vmap(jax.vmap(snap, in_axes=(0, None, None, None, None)), in_axes=(None, 0, 0, 0, 0))
)
