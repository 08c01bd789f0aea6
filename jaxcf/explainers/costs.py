"""What changes cost: which of several counterfactuals of a row is the best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

By = Literal["nearest", "sparsest", "plausible"]
BY: tuple[str, ...] = get_args(By)

# A feature that is mostly constant deviates by next to nothing from its median.
_LEAST_SHARE = 0.05
_MIDDLE = (1, 99)

# What each changed feature counts among answers that are about as near, in units: of twentieths the
# most at which moves on four tables sum up to what they did at a tenth, where walks try fewer ways.
_PER_FEATURE = 0.25


def units_of(x: Float[np.ndarray, "n features"]) -> Float[np.ndarray, " features"]:
    """How far a move of each feature is one unit far: its median absolute deviation.

    At least a twentieth of what the middle 98 % of its values span (of what all span, where these
    are one value): else a move of a feature that is mostly constant would be worth millions.

    Args:
        x: `[n, features]`, training rows.

    Returns:
        `[features]`, positive; 1 for a constant feature.

    Examples:
        >>> x = np.array([[0.0, 5.0], [1.0, 5.0], [2.0, 5.0], [3.0, 5.0], [4.0, 6.0]])
        >>> units_of(x).round(2).tolist()
        [1.0, 0.05]
    """
    x = np.asarray(x, np.float64)
    deviation = np.median(np.abs(x - np.median(x, axis=0)), axis=0)
    low, high = np.percentile(x, _MIDDLE, axis=0)
    span = np.where(high > low, high - low, np.ptp(x, axis=0))
    unit = np.maximum(deviation, _LEAST_SHARE * span)
    return np.where(unit > 0, unit, 1.0)


@dataclass(frozen=True, eq=False)
class ChangeCost:
    """What it costs to change each feature of a row.

    Args:
        by: "nearest", the weighted moves in units, and a quarter for each feature; "sparsest", the
            weighted number of changed features, ties by the moves; "plausible", the distance to the
            training rows of the new class, in units, ties by the moves.
        unit: `[features]`, how far a move is one unit far.
        unordered: `[features]`, those that count 1 where they differ, however far apart.
        weight: `[features]`, what a unit of each costs.
    """

    by: By
    unit: Float[np.ndarray, " features"]
    unordered: Bool[np.ndarray, " features"]
    weight: Float[np.ndarray, " features"]

    def moves(
        self, start: Float[np.ndarray, "*m features"], point: Float[np.ndarray, "*m features"]
    ) -> Float[np.ndarray, "*m features"]:
        """What the move of each feature costs by itself, in units."""
        distance = np.abs(np.asarray(point, np.float64) - start) / self.unit
        return self.weight * np.where(self.unordered, start != point, distance)

    def features(self, changed: Bool[np.ndarray, "*m features"]) -> Float[np.ndarray, "*m"]:
        """What it costs that features are changed at all, beside their moves, in units."""
        return _PER_FEATURE * (self.weight * changed).sum(axis=-1)

    def one_feature(self, feature: np.ndarray, changed: np.ndarray) -> Float[np.ndarray, "*m"]:
        """The same where each entry is of a feature of its own."""
        return _PER_FEATURE * self.weight[feature] * changed

    def one_move(
        self, feature: np.ndarray, start: np.ndarray, value: np.ndarray
    ) -> Float[np.ndarray, "*m"]:
        """What one move costs by itself, in units, where each is of a feature of its own."""
        distance = np.abs(np.asarray(value, np.float64) - start) / self.unit[feature]
        return self.weight[feature] * np.where(self.unordered[feature], start != value, distance)


def check_costs(given: Any) -> None:
    """Check what features cost, by name or as an array.

    Raises:
        ValueError: if they aren't positive and finite.
    """
    if given is None:
        return
    try:
        costs = np.array(list(given.values()) if isinstance(given, Mapping) else given, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"costs must be numbers, by the feature's name or as an array, got {given!r}"
        ) from error
    if not (np.isfinite(costs) & (costs > 0)).all():
        raise ValueError(
            f"costs must be positive and finite, got {given!r}; what must not change at all is a "
            "rule: frozen"
        )


def costs_of(
    given: Mapping[str, float] | ArrayLike | None,
    names: Sequence[str] | None,
    shape: tuple[int, ...],
) -> Float[np.ndarray, " features"]:
    """What each feature costs; 1 where nothing is said.

    Args:
        given: costs by name, or `*shape`; None for none.
        names: of the features, where they have some.
        shape: of one row.

    Raises:
        ValueError: if a name is unknown, or an array doesn't fit the rows.

    Examples:
        >>> costs_of({"age": 10}, ("age", "pay"), (2,)).tolist()
        [10.0, 1.0]
    """
    if not isinstance(given, Mapping):
        costs = np.ones(()) if given is None else np.asarray(given, np.float64)
        try:
            return np.broadcast_to(costs, shape).ravel()
        except ValueError as error:
            raise ValueError(
                f"costs have shape {costs.shape}, which doesn't fit rows of shape {shape}"
            ) from error
    if names is None:
        raise ValueError("costs by name need features with names; pass an array instead")
    costs = np.ones(len(names))
    for name, cost in given.items():
        if name not in names:
            raise ValueError(
                f"costs name {name!r}, and there is no such column; there are "
                f"{', '.join(map(repr, names))}"
            )
        costs[list(names).index(name)] = cost
    return costs
