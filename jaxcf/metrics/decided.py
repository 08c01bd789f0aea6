"""Which classes models decide for, as the metrics ask them: no answer is no class."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from jaxcf.utils.batching import map_batches

Batched = Callable[..., object]

_NONE = -2
"""Of rows without an answer; -1 is the class of rows that have none."""


def decisions(predict: Batched, x: Any) -> Int[np.ndarray, " n"]:
    """The class of the largest answer for each row, for `agree`.

    Args:
        predict: from `[batch, *shape]` to probabilities or logits `[batch, classes]`.
        x: `[n, *shape]`, at least one row.

    Returns:
        `[n]`, below -1 where an answer is NaN.

    Raises:
        ValueError: if the model returns anything but a batch of at least two classes.

    Examples:
        >>> import numpy as np
        >>> decisions(lambda x: x, np.array([[0.1, 0.9], [np.nan, 0.2]])).tolist()
        [1, -2]
    """
    answers = np.asarray(map_batches(predict, x))
    if answers.ndim != 2 or answers.shape[1] < 2:
        raise ValueError(
            f"predict returned shape {answers.shape} for {len(x)} rows; expected [{len(x)}, "
            "classes] with two classes at least: of a model with one output p return [1 - p, p]"
        )
    return np.where(np.isnan(answers).any(axis=1), _NONE, answers.argmax(axis=1))


def agree(
    decided: Int[np.ndarray, "*models n"], classes: Int[np.ndarray, " n"]
) -> Bool[np.ndarray, "*models n"]:
    """Whether `decisions` are for the classes; never where there is no answer, or no class.

    Examples:
        >>> import numpy as np
        >>> agree(np.array([1, -2, 0]), np.array([1, -1, -1])).tolist()
        [True, False, False]
    """
    return np.asarray((decided == classes) & (decided >= 0))
