"""Entries that rows lack, for models of the table itself that fill them in.

A missing entry stays missing: the search sees the row's column at a typical value, where it may not
move, and the model is asked about the row without the entry. Training rows stand at the typical
value for prototypes and distances.
"""

import numpy as np
from jaxtyping import Bool, Float

from jaxcf.tabular.coding import TableCoding
from jaxcf.tabular.columns import Categorical, Numeric
from jaxcf.tabular.schema import Schema

# In coordinates of a continuous column: no distance, and no coordinate that a number has.
_BESIDE = 2.0**-12
# A grid of steps as wide as this in coordinates: float32 tells a quarter of one.
_FINEST = 2.0**-20


def typical_values(
    schema: Schema, values: Float[np.ndarray, "n columns"]
) -> Float[np.ndarray, " columns"]:
    """The median of numbers and ranks, the most frequent category; special codes count for nothing.

    Args:
        schema: Of the table.
        values: Training rows `[n, columns]`, NaN where an entry is missing.

    Returns:
        A value per column that its schema allows.

    Examples:
        >>> schema = Schema.infer({"age": [20, 30, 31, 60], "job": ["b", "a", "b", "c"]})
        >>> typical_values(schema, np.array([[20, 1], [30, 0], [np.nan, 1], [60, np.nan]])).tolist()
        [30.0, 1.0]
    """
    found = []
    for place, column in enumerate(schema.columns):
        present = values[~np.isnan(values[:, place]), place]
        if isinstance(column, Numeric) and column.special:
            present = present[~np.isin(present, column.special)]
        if not len(present):  # of a schema that was given
            found.append(column.lower if isinstance(column, Numeric) else 0.0)
        elif isinstance(column, Categorical):
            found.append(float(np.bincount(present.astype(np.intp)).argmax()))
        else:
            # One of them, for the middle of two needn't lie on the grid.
            found.append(float(np.percentile(present, 50, method="lower")))
    return np.array(found)


def missing_coordinates(
    coding: TableCoding,
    typical: Float[np.ndarray, " columns"],
    lacking: Bool[np.ndarray, " columns"],
) -> tuple[float | None, ...]:
    """Where a missing entry of each column stands: beside the typical value, where no value does.

    Args:
        coding: Of the table.
        typical: A value per column.
        lacking: The columns that training rows lack entries of.

    Returns:
        A coordinate per column; None for the others.

    Examples:
        >>> from jaxcf.tabular import Numeric, fit_category_values
        >>> schema = Schema((Numeric("age", 0, 4, 1.0), Numeric("pay", 0, 1)))
        >>> numbers = fit_category_values(schema, np.array([[0.0, 1.0]]), method="index")
        >>> coding = TableCoding(schema, numbers)
        >>> missing_coordinates(coding, np.array([2.0, 0.5]), np.array([True, False]))
        (0.5625, None)
    """
    standing = coding.coordinates(typical[None])[0]
    found: list[float | None] = []
    for place, column in enumerate(coding.schema.columns):
        gap = float(coding.steps[place])
        if not isinstance(column, Numeric):
            levels = np.sort(coding.levels[place][np.isfinite(coding.levels[place])])
            gap = float(np.diff(levels).min(initial=1.0))
        beside = np.float32(standing[place] + (gap / 4 if gap > _FINEST else _BESIDE))
        found.append(float(beside) if lacking[place] else None)
    return tuple(found)
