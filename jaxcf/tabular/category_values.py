"""A number in [0, 1] for each category of a categorical column, learnt from data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Int

from jaxcf.tabular.category_distances import (
    abdm_distances,
    column_codes,
    embed_distances,
    mvdm_distances,
)
from jaxcf.tabular.columns import Categorical, Category
from jaxcf.tabular.schema import Schema

Method = Literal["abdm", "mvdm", "abdm-mvdm", "index"]

# Two categories are kept apart by this share of the gap that equal spacing would give them: far
# more than float32 needs, and small beside a learnt gap.
_LEAST_GAP = 0.01
# The search works in float32, and the middle between two categories must differ from both.
_CLOSEST = 1e-6
# Positions that agree to so many digits are the same but for rounding.
_DIGITS = 6


@dataclass(frozen=True)
class CategoryValues:
    """The learnt number of each category; made by `fit_category_values`, or by hand.

    Args:
        names: Of the categorical columns.
        categories: Those of each column.
        numbers: In [0, 1], one per category, no two of a column closer than 1e-6.
        method: How they were found, for records.

    Raises:
        ValueError: If the lengths differ, or numbers are too close or outside [0, 1].

    Examples:
        >>> values = CategoryValues(("job",), (("clerk", "sailor", "pilot"),), ((0.0, 1.0, 0.8),))
        >>> values.order("job")
        (('clerk', 0.0), ('pilot', 0.8), ('sailor', 1.0))
    """

    names: tuple[str, ...]
    categories: tuple[tuple[Category, ...], ...]
    numbers: tuple[tuple[float, ...], ...]
    method: str = "given"

    def __post_init__(self) -> None:
        if not len(self.names) == len(self.categories) == len(self.numbers):
            raise ValueError(
                f"there are {len(self.names)} names, {len(self.categories)} lists of categories "
                f"and {len(self.numbers)} lists of numbers; expected one of each per column"
            )
        for name, categories, numbers in zip(
            self.names, self.categories, self.numbers, strict=True
        ):
            if len(categories) != len(numbers):
                raise ValueError(
                    f"column {name!r} has {len(categories)} categories and {len(numbers)} numbers; "
                    "expected one number per category"
                )
            exact = np.sort(numbers)
            inside = bool(((exact >= 0) & (exact <= 1)).all())
            if not inside or (np.diff(exact) < _CLOSEST).any():
                raise ValueError(
                    f"column {name!r} has the numbers {numbers}; expected numbers in [0, 1] that "
                    f"lie {_CLOSEST} or more apart"
                )

    def of(self, column: str) -> tuple[float, ...]:
        """The numbers of a column's categories, in the order of the schema.

        Raises:
            ValueError: If it is no categorical column.
        """
        if column not in self.names:
            raise ValueError(
                f"there is no categorical column {column!r}; there are "
                f"{', '.join(map(repr, self.names)) or 'none'}"
            )
        return self.numbers[self.names.index(column)]

    def order(self, column: str) -> tuple[tuple[Category, float], ...]:
        """A column's categories with their numbers, from 0 to 1: neighbours are alike.

        Args:
            column: Name of a categorical column.

        Returns:
            Pairs of category and number, ascending.

        Raises:
            ValueError: If it is no categorical column.
        """
        numbers = self.of(column)
        categories = self.categories[self.names.index(column)]
        return tuple(sorted(zip(categories, numbers, strict=True), key=lambda pair: pair[1]))


def fit_category_values(
    schema: Schema,
    values: Float[np.ndarray, "n columns"],
    classes: Int[np.ndarray, " n"] | None = None,
    method: Method = "abdm",
    weight: float = 0.5,
    smooth: float = 1.0,
    quantiles: Sequence[float] = (25, 50, 75),
    alpha: float = 1.0,
) -> CategoryValues:
    """Learn a number for each category, so that like categories lie close together.

    Distances between the categories of a column are put on a line (`embed_distances`) and scaled
    to [0, 1] column by column: every column spans its whole range. (The reference scales all
    columns by one range, so that a column with small distances gets a small range; here a change
    from one end to the other costs the same in every column.) Categories at the same place are set
    apart by a hundredth of the gap that equal spacing would give, in the order of the schema.
    Columns with one category have 0, with two 0 and 1. A category without training rows has no
    distances: it is placed after the others, one mean gap further each.

    Args:
        schema: Of the values.
        values: Training rows `[n, columns]`, without NaN.
        classes: `[n]`, the classes the MODEL predicts for them; needed for MVDM.
        method: "abdm" compares what the other columns hold, "mvdm" what the model predicts,
            "abdm-mvdm" is their weighted mean, and "index" spaces categories equally as listed.
        weight: Of ABDM against MVDM in "abdm-mvdm", in [0, 1]. The line of MVDM is turned round
            where that agrees better with ABDM's, since either end may be the origin.
        smooth: Exponent of the distances, positive; below 1 large ones count less.
        quantiles: Percentages at which ABDM cuts numeric columns into bins.
        alpha: Exponent of MVDM's differences, positive.

    Returns:
        The numbers.

    Raises:
        ValueError: If values are missing, classes are missing or don't fit the rows, or an argument
            is out of its range.

    Examples:
        >>> schema = Schema.infer({"pay": [1.0, 1.1, 5.0, 5.1, 5.2], "job": list("abcbc")})
        >>> values = np.array([[1.0, 0], [1.1, 0], [5.0, 1], [5.1, 2], [5.2, 1]])
        >>> [job for job, _ in fit_category_values(schema, values, quantiles=(40,)).order("job")]
        ['a', 'b', 'c']
    """
    _check_arguments(method, weight, smooth)
    codes = column_codes(schema, schema.checked(values), quantiles)
    if not len(codes):
        raise ValueError("there are no rows to learn from; expected the training rows")
    needs_classes = method in ("mvdm", "abdm-mvdm")
    labels = _check_classes(classes, len(codes)) if needs_classes else None
    names, categories, numbers = [], [], []
    for place, column in enumerate(schema.columns):
        if not isinstance(column, Categorical):
            continue
        count = len(column.categories)
        lines = []
        if count > 2 and method in ("abdm", "abdm-mvdm"):
            lines.append(_line(abdm_distances(codes, place, count), codes[:, place], smooth))
        if count > 2 and labels is not None:
            distances = mvdm_distances(codes[:, place], labels, count, alpha)
            lines.append(_line(distances, codes[:, place], smooth))
        names.append(column.name)
        categories.append(column.categories)
        numbers.append(_combine(lines, weight) if lines else _equal(count))
    return CategoryValues(tuple(names), tuple(categories), tuple(numbers), method)


def _check_arguments(method: str, weight: float, smooth: float) -> None:
    if method not in get_args(Method):
        raise ValueError(
            f"method={method!r} is unknown; expected one of {', '.join(get_args(Method))}"
        )
    if not 0 <= weight <= 1:
        raise ValueError(f"weight={weight} is outside [0, 1]; expected the share of ABDM")
    if not (smooth > 0 and np.isfinite(smooth)):
        raise ValueError(f"smooth={smooth}; expected a positive exponent")


def _check_classes(classes: np.ndarray | None, rows: int) -> np.ndarray:
    if classes is None:
        raise ValueError(
            "MVDM compares the classes that the model predicts, and none were given; pass classes, "
            "or use method='abdm'"
        )
    labels = np.asarray(classes)
    if labels.shape != (rows,) or labels.dtype.kind not in "iub" or labels.min() < 0:
        raise ValueError(
            f"classes have shape {labels.shape} and dtype {labels.dtype}; expected one integer "
            f"from 0 up for each of {rows} rows"
        )
    return labels.astype(np.int64)


def _equal(count: int) -> tuple[float, ...]:
    return tuple(float(one) for one in np.linspace(0, 1, count)) if count > 1 else (0.0,)


def _line(distances: np.ndarray, codes: np.ndarray, smooth: float) -> np.ndarray:
    """Positions in [0, 1] of all categories, those without rows after the others."""
    count = len(distances)
    seen = np.bincount(codes, minlength=count) > 0
    positions = np.zeros(count)
    embedded = embed_distances(distances[np.ix_(seen, seen)] ** smooth)
    positions[seen] = _to_unit(embedded)
    mean_gap = 1 / max(seen.sum() - 1, 1)
    positions[~seen] = 1 + mean_gap * np.arange(1, (~seen).sum() + 1)
    return _to_unit(positions)


def _to_unit(positions: np.ndarray) -> np.ndarray:
    low, high = positions.min(), positions.max()
    return (positions - low) / (high - low) if high > low else np.zeros_like(positions)


def _combine(lines: list[np.ndarray], weight: float) -> tuple[float, ...]:
    positions = lines[0]
    if len(lines) == 2:
        second = lines[1]
        if (positions - positions.mean()) @ (second - second.mean()) < 0:
            second = 1 - second
        positions = weight * positions + (1 - weight) * second
    return tuple(float(one) for one in _set_apart(_to_unit(positions)))


def _set_apart(positions: np.ndarray) -> np.ndarray:
    least = _LEAST_GAP / (len(positions) - 1)
    # rounded, so that a trace of rounding error decides no order; stable, so that the schema does
    order = np.argsort(positions.round(_DIGITS), kind="stable")
    gaps = np.maximum(np.diff(positions[order]), least)
    apart = np.empty_like(positions)
    apart[order] = np.concatenate([[0.0], np.cumsum(gaps)])
    return apart / apart.max()
