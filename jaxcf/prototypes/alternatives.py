"""Other prototypes than the nearest, so that several counterfactuals of one row differ."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxcf.prototypes.fitted import FittedPrototypes, Selection
from jaxcf.prototypes.kinds import KMeans

# Centroids hardly move with more rows than this, and k-means takes as much longer.
_CLUSTERED_ROWS = 5_000


class Candidates(NamedTuple):
    """What alternatives may be led to.

    Attributes:
        points: `[candidates, features]`, flat encodings.
        classes: `[candidates]`, of each.
    """

    points: Float[np.ndarray, "candidates features"]
    classes: Int[np.ndarray, " candidates"]


def candidates_of(prototypes: FittedPrototypes, num_alternatives: int) -> Candidates:
    """K-means centroids of every class: as many as alternatives, or as there are other rows.

    Args:
        prototypes: whose training rows are clustered; of large classes a share of them.
        num_alternatives: how many counterfactuals each row gets, >= 1.

    Returns:
        The centroids of all classes.
    """
    points, classes = [], []
    generator = np.random.default_rng(0)
    for index, rows in enumerate(prototypes.members):
        if not len(rows):
            continue
        if len(rows) > _CLUSTERED_ROWS:
            rows = generator.choice(rows, _CLUSTERED_ROWS, replace=False)
        kind = KMeans(min(num_alternatives, len(np.unique(rows, axis=0))))
        points.append(kind.fit_class(rows, index).points)
        classes += [index] * len(points[-1])
    return Candidates(np.concatenate(points), np.array(classes))


def with_alternatives(
    selection: Selection,
    candidates: Candidates,
    encodings: Float[np.ndarray, "n *latent"],
    allowed: Bool[np.ndarray, "n classes"],
    alternative: Int[np.ndarray, " n"],
) -> Selection:
    """Replace the prototypes of rows that are to be led elsewhere.

    Each alternative is the candidate of an allowed class with the largest ratio of its distance to
    those taken before it (the first of them the usual prototype) over its distance to the row:
    near the row, far from them.

    Args:
        selection: the usual prototypes (eq. 2).
        candidates: what to choose from.
        encodings: `[n, *latent]`, of the rows.
        allowed: `[n, classes]`, which classes each row may go to.
        alternative: `[n]`, 0 keeps the usual prototype, k > 0 takes the k-th alternative to it.

    Returns:
        The selection with prototypes and classes replaced; distances as they were.
    """
    flat = np.asarray(encodings, np.float32).reshape(len(encodings), -1)
    prototype = selection.prototype.reshape(flat.shape).copy()
    target = selection.target_class.copy()
    usable = allowed[:, candidates.classes]
    wanting = (alternative > 0) & (target >= 0)
    own = np.maximum(_distances(flat, candidates.points), np.finfo(np.float32).tiny)
    apart = _distances(prototype, candidates.points)
    between = _distances(candidates.points, candidates.points)
    for turn in range(int(alternative.max(initial=0))):
        chosen = np.argmax(np.where(usable, apart / own, -1.0), axis=1)
        moved = wanting & (alternative > turn)
        prototype[moved] = candidates.points[chosen[moved]]
        target[moved] = candidates.classes[chosen[moved]]
        apart = np.minimum(apart, between[chosen])
    return selection._replace(
        prototype=prototype.reshape(selection.prototype.shape), target_class=target
    )


def _distances(
    first: Float[np.ndarray, "n features"], second: Float[np.ndarray, "k features"]
) -> Float[np.ndarray, "n k"]:
    """Euclidean, one column at a time: there are few."""
    return np.stack([np.linalg.norm(first - point, axis=1) for point in second], axis=1)
