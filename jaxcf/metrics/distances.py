"""How far a counterfactual lies from its original, and whether it is one: one value per row."""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxcf.utils.batching import map_batches

Batched = Callable[..., object]


def flat(array: np.ndarray) -> np.ndarray:
    """The rows as vectors; -1 can't be worked out where there are no rows."""
    return np.asarray(array).reshape(len(array), math.prod(np.shape(array)[1:]))


def l0(perturbation: Float[np.ndarray, "n *shape"]) -> Int[np.ndarray, " n"]:
    """How many features changed at all.

    Examples:
        >>> import numpy as np
        >>> l0(np.array([[0.0, 0.5, -0.5]])).tolist()
        [2]
    """
    return np.count_nonzero(flat(perturbation), axis=1)


def diversity(points: Float[np.ndarray, "k *shape"]) -> float:
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


def l1(perturbation: Float[np.ndarray, "n *shape"]) -> Float[np.ndarray, " n"]:
    r"""The sum of absolute changes, $\|d\|_1$.

    Examples:
        >>> import numpy as np
        >>> l1(np.array([[3.0, -4.0]])).tolist()
        [7.0]
    """
    return np.abs(flat(perturbation)).sum(axis=1)


def l2(perturbation: Float[np.ndarray, "n *shape"]) -> Float[np.ndarray, " n"]:
    r"""The Euclidean length of the change, $\|d\|_2$ (not squared).

    Examples:
        >>> import numpy as np
        >>> l2(np.array([[3.0, -4.0]])).tolist()
        [5.0]
    """
    return np.linalg.norm(flat(perturbation), axis=1)


def elastic_net(
    perturbation: Float[np.ndarray, "n *shape"], l1_weight: float = 0.1
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
    counterfactual: Float[np.ndarray, "n *shape"],
    targets: Bool[np.ndarray, "n c"],
) -> Bool[np.ndarray, " n"]:
    """Whether each counterfactual is predicted as one of its target classes, asked anew.

    Args:
        predict: from `[batch, *shape]` to probabilities or logits `[batch, classes]`.
        counterfactual: `[n, *shape]`.
        targets: `[n, classes]`, which classes count.

    Returns:
        `[n]`.
    """
    if not len(counterfactual):
        return np.zeros(0, bool)
    predicted = np.argmax(map_batches(predict, counterfactual), axis=1)
    return np.asarray(targets)[np.arange(len(predicted)), predicted]
