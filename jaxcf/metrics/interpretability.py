"""IM1 and IM2: the paper's two metrics of interpretability (arXiv 1907.02584, eq. 9 and 10)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Real

from jaxcf.metrics.decided import Batched
from jaxcf.metrics.distances import as_floats, flat
from jaxcf.utils.batching import batch_size, map_batches

EPS = 1e-8
"""Of the denominators, unless another is asked for."""


class Interpretability(NamedTuple):
    """IM1 and IM2 of every row.

    Attributes:
        im1: `[n]`; below 1 where the class autoencoder of the new class reconstructs the
            counterfactual better than that of the original class.
        im2: `[n]`; small where the new class's autoencoder and the common one agree.
    """

    im1: Float[np.ndarray, " n"]
    im2: Float[np.ndarray, " n"]


def interpretability(
    counterfactual: Real[np.ndarray, "n *shape"],
    original_class: Int[np.ndarray, " n"],
    counterfactual_class: Int[np.ndarray, " n"],
    *,
    reconstruct: Batched,
    class_reconstruct: Sequence[Batched],
    eps: float = EPS,
) -> Interpretability:
    r"""IM1 and IM2 (eq. 9 and 10).

    $$\text{IM1} = \frac{\|x - \text{AE}_i(x)\|_2^2}
      {\|x - \text{AE}_{t_0}(x)\|_2^2 + \epsilon},\quad
      \text{IM2} = \frac{\|\text{AE}_i(x) - \text{AE}(x)\|_2^2}{\|x\|_1 + \epsilon}$$

    with i the class of the counterfactual. Both reward noise and blank images (see the
    documentation): read them beside the same numbers for unchanged and for real images.

    Args:
        counterfactual: `[n, *shape]`.
        original_class: `[n]`, t0.
        counterfactual_class: `[n]`, i.
        reconstruct: the autoencoder of all classes, `[batch, *shape]` to the same.
        class_reconstruct: one autoencoder per class, each trained on that class alone.
        eps: of the denominators. State it with the numbers: peers use 1e-8 to 1e-5.

    Returns:
        Both, `[n]` each; NaN for rows without a class (-1: invalid rows).

    Raises:
        ValueError: if a class has no autoencoder.

    Examples:
        >>> import numpy as np
        >>> x = np.ones((1, 4), np.float32)
        >>> scores = interpretability(x, np.array([0]), np.array([1]), reconstruct=lambda x: x,
        ...     class_reconstruct=[lambda x: 0 * x, lambda x: 0.5 * x])
        >>> scores.im1.round(3).tolist(), scores.im2.round(3).tolist()
        ([0.25], [0.25])
    """
    highest = max(original_class.max(initial=0), counterfactual_class.max(initial=0))
    if highest >= len(class_reconstruct):
        raise ValueError(
            f"class {highest} has no autoencoder: class_reconstruct has "
            f"{len(class_reconstruct)} entries, one is needed for every class"
        )
    if not len(counterfactual):
        return Interpretability(np.zeros(0, np.float32), np.zeros(0, np.float32))
    # Batches of one size for all, since each size is compiled anew, and no larger than the largest
    # class fills: of a hundred classes most have few rows.
    most = max(_largest(classes) for classes in (original_class, counterfactual_class))
    size = batch_size(most, counterfactual.shape[1:])
    of_original = _by_class(counterfactual, original_class, class_reconstruct, size)
    of_new = _by_class(counterfactual, counterfactual_class, class_reconstruct, size)
    of_all = as_floats(map_batches(reconstruct, counterfactual, size=size))

    x = as_floats(counterfactual)

    def squared(difference: np.ndarray) -> np.ndarray:
        return np.square(flat(difference)).sum(axis=1)

    im1 = squared(x - of_new) / (squared(x - of_original) + eps)
    im2 = squared(of_new - of_all) / (np.abs(flat(x)).sum(axis=1) + eps)
    return Interpretability(im1, im2)


def _largest(classes: np.ndarray) -> int:
    return int(np.bincount(classes[classes >= 0], minlength=1).max(initial=1))


def _by_class(
    x: np.ndarray, classes: np.ndarray, class_reconstruct: Sequence[Batched], size: int
) -> np.ndarray:
    result = np.full_like(as_floats(x), np.nan)
    for index in np.unique(classes[classes >= 0]):
        rows = classes == index
        result[rows] = map_batches(class_reconstruct[index], x[rows], size=size)
    return result
