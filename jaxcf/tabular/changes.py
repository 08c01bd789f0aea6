"""What differs between a row and its counterfactual."""

import numpy as np
from jaxtyping import Bool, Float

from jaxcf.tabular.schema import Schema


def changed_features(
    schema: Schema,
    values: Float[np.ndarray, "n columns"],
    other_values: Float[np.ndarray, "n columns"],
) -> Bool[np.ndarray, "n columns"]:
    """Which columns differ between two sets of values.

    Args:
        schema: Of both.
        values: `[n, columns]`.
        other_values: `[n, columns]`, row by row.

    Returns:
        `[n, columns]`; exact, and an entry that is missing in both hasn't changed.

    Raises:
        ValueError: If the values don't fit the schema or each other.

    Examples:
        >>> from jaxcf.tabular import Categorical, Numeric
        >>> schema = Schema((Numeric("age", 20, 60), Categorical("job", ("clerk", "sailor"))))
        >>> changed_features(schema, np.array([[30.0, 1]]), np.array([[31.0, 1]])).tolist()
        [[True, False]]
    """
    first, second = schema.checked(values), schema.checked(other_values)
    if first.shape != second.shape:
        raise ValueError(
            f"values of shape {first.shape} and {second.shape} can't be compared; expected the "
            "same rows"
        )
    return (first != second) & ~(np.isnan(first) & np.isnan(second))
