"""What models that never guided the search take a counterfactual for."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxcf.metrics.decided import Batched, agree, decisions


class Verdicts(NamedTuple):
    """What the judges say of every row.

    Attributes:
        new: `[judges, n]`, whether each judge reads the row as its new class.
        original: `[judges, n]`, whether it still reads it as the original class.
    """

    new: Bool[np.ndarray, "judges n"]
    original: Bool[np.ndarray, "judges n"]

    @property
    def oracle_score(self) -> Float[np.ndarray, " n"]:
        """`[n]`, the share of the judges that read the new class."""
        return self.new.mean(axis=0)

    @property
    def stays_original(self) -> Float[np.ndarray, " n"]:
        """`[n]`, the share of the judges that still read the original class."""
        return self.original.mean(axis=0)


def verdicts(
    judges: Mapping[str, Batched],
    counterfactual: Float[np.ndarray, "n *shape"],
    original_class: Int[np.ndarray, " n"],
    counterfactual_class: Int[np.ndarray, " n"],
) -> Verdicts:
    """Ask judges what they take counterfactuals for.

    Validity minus the mean oracle score is the transfer gap: what only the explained model sees.

    Args:
        judges: name to a function from `[batch, *shape]` to logits or probabilities; models of
            other architectures, trained apart from the explained one.
        counterfactual: `[n, *shape]`.
        original_class: `[n]`.
        counterfactual_class: `[n]`.

    Returns:
        The verdicts, judges in their order; a judge that says NaN of a row reads it as nothing.

    Raises:
        ValueError: if there is no judge, or one returns anything but a batch of two classes at
            least.

    Examples:
        >>> import numpy as np
        >>> said = verdicts({"one": lambda x: x}, np.array([[0.1, 0.9], [0.8, 0.2]], np.float32),
        ...     np.array([0, 0]), np.array([1, 1]))
        >>> said.oracle_score.tolist(), said.stays_original.tolist()
        ([1.0, 0.0], [0.0, 1.0])

    Source: the oracle score of Hvilshøj et al., arXiv 2111.00177.
    """
    if not judges:
        raise ValueError(
            "no judge was given; pass at least one model that is not the explained one"
        )
    if not len(counterfactual):
        return Verdicts(*np.zeros((2, len(judges), 0), bool))
    decided = np.stack([decisions(predict, counterfactual) for predict in judges.values()])
    return Verdicts(agree(decided, counterfactual_class), agree(decided, original_class))
