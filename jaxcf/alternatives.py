"""Other prototypes than the nearest, so that several counterfactuals of one row differ."""

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxcf.prototypes import FittedPrototypes, KMeans, Selection


def with_alternatives(
    selection: Selection,
    prototypes: FittedPrototypes,
    encodings: Float[np.ndarray, "n *latent"],
    allowed: Bool[np.ndarray, "n classes"],
    alternative: Int[np.ndarray, " n"],
) -> Selection:
    """Replace the prototypes of rows that are to be led elsewhere.

    The candidates are k-means centroids of every allowed class, one more than alternatives. Each
    alternative is the one with the largest ratio of its distance to those taken before it (the
    first of them the usual prototype) over its distance to the row: near the row, far from them.

    Args:
        selection: the usual prototypes (eq. 2).
        prototypes: they were chosen from.
        encodings: `[n, *latent]`, of the rows.
        allowed: `[n, classes]`, which classes each row may go to.
        alternative: `[n]`, 0 keeps the usual prototype, k > 0 takes the k-th alternative to it.

    Returns:
        The selection with prototypes and classes replaced; distances as they were.
    """
    flat = np.asarray(encodings, np.float32).reshape(len(encodings), -1)
    prototype = selection.prototype.reshape(flat.shape).copy()
    target = selection.target_class.copy()
    centroids, classes = _centroids(prototypes, int(alternative.max()) + 1)
    for row in np.flatnonzero((alternative > 0) & (target >= 0)):
        usable = np.flatnonzero(allowed[row, classes])
        own = np.linalg.norm(centroids[usable] - flat[row], axis=1)
        apart = np.linalg.norm(centroids[usable] - prototype[row], axis=1)
        for _ in range(alternative[row]):
            position = usable[np.argmax(apart / np.maximum(own, np.finfo(np.float32).tiny))]
            taken = np.linalg.norm(centroids[usable] - centroids[position], axis=1)
            apart = np.minimum(apart, taken)
            prototype[row], target[row] = centroids[position], classes[position]
    return selection._replace(
        prototype=prototype.reshape(selection.prototype.shape), target_class=target
    )


def _centroids(prototypes: FittedPrototypes, count: int) -> tuple[np.ndarray, np.ndarray]:
    """So many k-means centroids of every class (fewer of small ones), and their classes."""
    points, classes = [], []
    for index, rows in enumerate(prototypes.members):
        if len(rows):
            points.append(KMeans(min(count, len(rows))).fit_class(rows, index).points)
            classes += [index] * len(points[-1])
    return np.concatenate(points), np.array(classes)
