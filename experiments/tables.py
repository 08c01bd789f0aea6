"""Tables of the figures: lines per instance put together, and the summary on the terminal."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.common import print_table


def stack(parts: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> dict[str, np.ndarray]:
    """The columns of several groups of instances, one after the other.

    Args:
        parts: per group what all its instances have in common, and one value per instance.

    Returns:
        Columns of equal length, in the first group's order.

    Examples:
        >>> import numpy as np
        >>> columns = stack([({"k": 1}, {"l1": np.ones(2)}), ({"k": 5}, {"l1": np.zeros(1)})])
        >>> columns["k"].tolist(), columns["l1"].tolist()
        ([1, 1, 5], [1.0, 1.0, 0.0])
    """
    whole = []
    for shared, columns in parts:
        length = len(next(iter(columns.values())))
        common = {name: np.full(length, value) for name, value in shared.items()}
        whole.append({**common, **columns})
    return {name: np.concatenate([part[name] for part in whole]) for name in whole[0]}


def show(title: str, rows: Sequence[Mapping[str, Any]], heads: Sequence[str]) -> None:
    """Print the named columns of a summary; intervals as "mean [lower, upper]"."""
    print_table(title, heads, [[str(row[head]) for head in heads] for row in rows])
