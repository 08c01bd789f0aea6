"""How far a counterfactual lies from its original, and whether it is one: one value per row."""

import math

import numpy as np
from jaxtyping import Bool, Float, Int, Real, Shaped

from jaxcf.metrics.decided import Batched, decisions


def as_floats(array: Shaped[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Numbers in a type that holds their squares and differences: bytes would wrap around."""
    given = np.asarray(array)
    wide = given.dtype.kind == "f" and given.itemsize >= 4
    return given if wide else given.astype(np.float64)


def flat(array: np.ndarray) -> np.ndarray:
    """The rows as vectors; -1 can't be worked out where there are no rows."""
    return as_floats(array).reshape(len(array), math.prod(np.shape(array)[1:]))


def l0(perturbation: Real[np.ndarray, "n *shape"]) -> Int[np.ndarray, " n"]:
    """How many features changed at all.

    Examples:
        >>> import numpy as np
        >>> l0(np.array([[0.0, 0.5, -0.5]])).tolist()
        [2]
    """
    return np.count_nonzero(flat(perturbation), axis=1)


def diversity(points: Real[np.ndarray, "k *shape"]) -> float:
    r"""How far several counterfactuals of one row lie apart: their mean pairwise L1 distance.

    $$\frac{2}{k(k-1)} \sum_{i<j} \|x_i - x_j\|_1$$

    Args:
        points: `[k, *shape]`, k >= 2.

    Returns:
        At least 0; 0 where all are the same.

    Raises:
        ValueError: if there are fewer than two points.

    Examples:
        >>> import numpy as np
        >>> diversity(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0]]))
        2.0
    """
    if len(points) < 2:
        raise ValueError(f"diversity needs at least 2 points, got {len(points)}")
    rows = flat(points)
    first, second = np.triu_indices(len(rows), k=1)
    return float(np.abs(rows[first] - rows[second]).sum(axis=1).mean())


def l1(perturbation: Real[np.ndarray, "n *shape"]) -> Float[np.ndarray, " n"]:
    r"""The sum of absolute changes, $\|d\|_1$.

    Examples:
        >>> import numpy as np
        >>> l1(np.array([[3.0, -4.0]])).tolist()
        [7.0]
    """
    return np.abs(flat(perturbation)).sum(axis=1)


def l2(perturbation: Real[np.ndarray, "n *shape"]) -> Float[np.ndarray, " n"]:
    r"""The Euclidean length of the change, $\|d\|_2$ (not squared).

    Examples:
        >>> import numpy as np
        >>> l2(np.array([[3.0, -4.0]])).tolist()
        [5.0]
    """
    return np.linalg.norm(flat(perturbation), axis=1)


def elastic_net(
    perturbation: Real[np.ndarray, "n *shape"], l1_weight: float = 0.1
) -> Float[np.ndarray, " n"]:
    r"""The distance of eq. 5, $\beta\,\|d\|_1 + \|d\|_2^2$.

    Examples:
        >>> import numpy as np
        >>> elastic_net(np.array([[3.0, -4.0]]), l1_weight=1.0).tolist()
        [32.0]
    """
    return l1_weight * l1(perturbation) + np.square(flat(perturbation)).sum(axis=1)


def validity(
    predict: Batched,
    counterfactual: Real[np.ndarray, "n *shape"],
    targets: Bool[np.ndarray, "n c"],
) -> Bool[np.ndarray, " n"]:
    """Whether each counterfactual is predicted as one of its target classes, asked anew.

    Args:
        predict: from `[batch, *shape]` to probabilities or logits `[batch, classes]`.
        counterfactual: `[n, *shape]`.
        targets: `[n, classes]`, which classes count.

    Returns:
        `[n]`; false where the model says NaN.

    Raises:
        ValueError: if it returns anything but a batch of at least two classes.
    """
    if not len(counterfactual):
        return np.zeros(0, bool)
    decided = decisions(predict, counterfactual)
    wanted = np.asarray(targets)[np.arange(len(decided)), np.maximum(decided, 0)]
    return np.asarray(wanted & (decided >= 0))
