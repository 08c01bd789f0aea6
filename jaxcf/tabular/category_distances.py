r"""How far apart the categories of a column lie, found from data.

ABDM compares what the OTHER columns hold where one category or the other stands; MVDM compares
what the model predicts there. For categories i and j,

$$\text{ABDM}(i, j) = \sum_{\text{columns}} \sum_t \left( P(t \mid i) - P(t \mid j) \right)
  \log \frac{P(t \mid i) + \epsilon}{P(t \mid j) + \epsilon}$$

$$\text{MVDM}(i, j) = \sum_y \left| P(y \mid i) - P(y \mid j) \right|^\alpha$$
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from jaxcf.tabular.columns import Numeric
from jaxcf.tabular.schema import Schema

_EPSILON = 1e-12
# Typed Any: scikit-learn's own annotations say str for n_init.
_MDS_STARTS: Any = 4
_MDS_STEPS = 5000
_MDS_TOLERANCE = 1e-9
# Steps cost the square of the categories: with many, minutes would go into the last digits.
_MANY_CATEGORIES = 100
_COARSE_TOLERANCE = 1e-6


def column_codes(
    schema: Schema,
    values: Float[np.ndarray, "n columns"],
    quantiles: Sequence[float] = (25, 50, 75),
) -> Int[np.ndarray, "n columns"]:
    """Every column as categories: numbers fall into bins between their quantiles.

    Args:
        schema: Of the values.
        values: `[n, columns]`, without NaN.
        quantiles: Percentages at which numeric columns are cut; a number on a cut falls below it.

    Returns:
        The index of the category or bin.

    Raises:
        ValueError: If a value is NaN or a quantile is no percentage.

    Examples:
        >>> schema = Schema((Numeric("age", 0, 4),))
        >>> column_codes(schema, np.array([[0.0], [1.0], [2.0], [3.0], [4.0]]))[:, 0].tolist()
        [0, 0, 1, 2, 3]
    """
    if np.isnan(values).any():
        rows = np.flatnonzero(np.isnan(values).any(axis=1))
        raise ValueError(
            f"{len(rows)} rows hold missing or unseen entries, the first is row {rows[0]}; "
            "expected complete training rows: drop those"
        )
    if not all(0 <= one <= 100 for one in quantiles):
        raise ValueError(f"quantiles are {tuple(quantiles)}; expected percentages, 0 to 100")
    codes = np.empty(values.shape, np.int64)
    for place, column in enumerate(schema.columns):
        if isinstance(column, Numeric):
            cuts = np.unique(np.percentile(values[:, place], list(quantiles)))
            codes[:, place] = np.searchsorted(cuts, values[:, place], side="left")
        else:
            codes[:, place] = values[:, place]
    return codes


def abdm_distances(
    codes: Int[np.ndarray, "n columns"], column: int, num_categories: int
) -> Float[np.ndarray, "k k"]:
    """Association-based distances between the categories of a column.

    Args:
        codes: `[n, columns]`, of every column, from `column_codes`.
        column: Which column's categories.
        num_categories: k.

    Returns:
        Symmetric, `[k, k]`; zero to and from a category without rows.

    Examples:
        >>> codes = np.array([[0, 0], [0, 1], [1, 1], [1, 0]])
        >>> abdm_distances(codes, 0, 2).tolist()  # both categories see the same mixture
        [[0.0, 0.0], [0.0, 0.0]]
    """
    distances = np.zeros((num_categories, num_categories))
    for other in range(codes.shape[1]):
        if other == column:
            continue
        share = _shares(codes[:, column], codes[:, other], num_categories)
        logarithm = np.log(share + _EPSILON)
        # sum_t (p_it - p_jt) (log p_it - log p_jt) without an array of k * k * t
        cross = share @ logarithm.T
        own = np.diagonal(cross)
        distances += own[:, None] + own[None, :] - cross - cross.T
    return _cleaned(distances, codes[:, column], num_categories)


def mvdm_distances(
    codes: Int[np.ndarray, " n"],
    classes: Int[np.ndarray, " n"],
    num_categories: int,
    alpha: float = 1.0,
) -> Float[np.ndarray, "k k"]:
    """Distances between the categories of a column by the classes predicted for them.

    Args:
        codes: `[n]`, the column's categories.
        classes: `[n]`, the classes the model predicts for the rows.
        num_categories: k.
        alpha: Exponent of each difference, positive.

    Returns:
        Symmetric, `[k, k]`; zero to and from a category without rows.

    Examples:
        >>> mvdm_distances(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), 2).tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """
    if not alpha > 0:
        raise ValueError(f"alpha is {alpha}; expected a positive exponent")
    share = _shares(codes, classes, num_categories)
    distances = np.zeros((num_categories, num_categories))
    for one_class in share.T:
        distances += np.abs(one_class[:, None] - one_class[None, :]) ** alpha
    return _cleaned(distances, codes, num_categories)


def embed_distances(distances: Float[np.ndarray, "k k"]) -> Float[np.ndarray, " k"]:
    """Put categories on a line: one number for each.

    Metric multidimensional scaling to two dimensions, from four random starts of a fixed seed; the
    category farthest from the middle is the origin, and a number is the distance from it.

    Args:
        distances: Symmetric, `[k, k]`.

    Returns:
        `[k]`, 0 for the origin; all 0 where all distances are.

    Examples:
        >>> line = np.array([0.0, 1.0, 3.0])
        >>> embed_distances(np.abs(line[:, None] - line)).round(1).tolist()
        [3.0, 2.0, 0.0]
    """
    if not distances.any():
        return np.zeros(len(distances))
    # its start-up costs most of a second, which importing the package should not
    from sklearn.manifold import smacof

    # scaled, for the tolerance is judged against the size of the distances by some versions
    size = distances.max()
    result: Any = smacof(
        distances / size,
        n_components=2,
        n_init=_MDS_STARTS,
        max_iter=_MDS_STEPS,
        eps=_MDS_TOLERANCE if len(distances) <= _MANY_CATEGORIES else _COARSE_TOLERANCE,
        random_state=0,
    )
    points = result[0]
    origin = np.argmax(np.linalg.norm(points, axis=1).round(6))
    return np.linalg.norm(points - points[origin], axis=1) * size


def _shares(codes: np.ndarray, others: np.ndarray, num_categories: int) -> np.ndarray:
    width = int(others.max()) + 1
    counts = np.bincount(codes * width + others, minlength=num_categories * width)
    counts = counts.reshape(num_categories, width)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def _cleaned(distances: np.ndarray, codes: np.ndarray, num_categories: int) -> np.ndarray:
    seen = np.bincount(codes, minlength=num_categories) > 0
    distances = np.where(seen[:, None] & seen[None, :], distances, 0.0)
    np.fill_diagonal(distances, 0.0)
    # the order of floating-point sums leaves a trace of asymmetry, and below zero
    return np.maximum((distances + distances.T) / 2, 0.0)
