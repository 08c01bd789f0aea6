"""What rows really are, beside what a model reads."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from jaxtyping import ArrayLike, Int

from jaxcf.results.comparison import Results


def read_true_classes(
    given: ArrayLike | Sequence[Any] | None,
    explanations: Results,
    class_names: Sequence[str],
) -> Int[np.ndarray, " n"] | None:
    """What each row really is, as numbers.

    Args:
        given: one per row that was explained: numbers or names of classes, -1 or None where
            nobody knows; None where that is so of all.
        explanations: of n rows; several of one row have the same.
        class_names: one per class.

    Returns:
        `[n]`, -1 where unknown.

    Raises:
        ValueError: if there are too few, or one is no class.

    Examples:
        >>> import numpy as np
        >>> from jaxcf import Explanations
        >>> rows = np.zeros((2, 3), np.float32)
        >>> none, ones, chances = np.zeros(2, int), np.ones(2, int), np.ones((2, 2))
        >>> explanations = Explanations(rows, rows + 0.5, none, np.arange(2), none, chances, ones,
        ...     chances, ones, rows, ones, np.ones(2))
        >>> read_true_classes(["yes", None], explanations, ["no", "yes"]).tolist()
        [1, -1]
    """
    if given is None:
        return None
    values = np.asarray(given, object)
    rows = explanations.core.source_row
    if values.ndim != 1 or (len(rows) and len(values) <= int(rows.max())):
        most = int(rows.max(initial=-1))
        raise ValueError(
            f"the true classes have shape {values.shape}, and there is a row {most}; pass one per "
            "row that was explained"
        )
    numbers = {name: place for place, name in enumerate(class_names)}
    known = {None: -1, **numbers, **{place: place for place in (-1, *numbers.values())}}
    found = np.full(len(values), -1)
    for place, one in enumerate(values.tolist()):
        if one != one:  # as pandas has what is missing
            continue
        if not isinstance(one, Hashable) or one not in known:
            raise ValueError(
                f"the true class {one!r} is none; expected the number or name of one of "
                f"{', '.join(class_names)}, -1 or None where nobody knows"
            )
        found[place] = known[one]
    return found[rows]
