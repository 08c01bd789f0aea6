"""Jacobians of models that can only be asked for values: which points to ask, what to make of them.

All in numpy, on the host, and in the precision that the model answers in. A row is flattened to
its features here; displaced points stay within the row's range, and every difference is divided
by the distance that was really gone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from jaxcf.utils.numbers import check_whole

Epsilon = float | int | tuple[Any, ...] | list[Any] | np.ndarray | np.number


class Neighbours(NamedTuple):
    """Rows whose Jacobian is due, and what lies next to them within their range.

    Attributes:
        point: `[rows, features]`.
        above: `[rows, features]`, each feature by epsilon larger, or at the end of its range.
        below: likewise smaller.
        evaluation: `[rows]`, the how manieth point of its search each row is.
    """

    point: np.ndarray
    above: np.ndarray
    below: np.ndarray
    evaluation: np.ndarray

    def per_distance(self, differences: np.ndarray) -> np.ndarray:
        """`[rows, classes, features]` divided by the distances from below to above; 0 by 0 is 0."""
        # The difference of two float32 is exact in float64: it is the distance really gone.
        distance = (self.above.astype(np.float64) - self.below)[:, None, :]
        return np.divide(differences, distance, out=np.zeros_like(differences), where=distance > 0)


class Plan(NamedTuple):
    """The displaced points to be asked for.

    Attributes:
        row: `[points]`, whose neighbour each is.
        points: from a slice of them to `[k, features]`; made when needed, since all together may
            take much memory.
        jacobian: from the probabilities `[rows, classes]` and `[points, classes]` to the
            Jacobians `[rows, classes, features]`.
    """

    row: np.ndarray
    points: Callable[[slice], np.ndarray]
    jacobian: Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class CentralDifferences:
    r"""Each feature by itself, a step up and a step down: 2 predictions per feature (the paper's).

    $$\frac{\partial f_k}{\partial x_i} \approx
      \frac{f_k(x + \epsilon_i e_i) - f_k(x - \epsilon_i e_i)}{2 \epsilon_i}$$

    At an end of its range a feature is displaced to the other side only, which needs one
    prediction; a frozen one (lower == upper) none.

    Args:
        epsilon: the step, > 0, a number or one per feature (kept as tuples). Models that are
            constant almost everywhere (trees) need one that crosses their thresholds.
        every: steps of a row from one Jacobian to the next, >= 1; the last one serves in between.

    Raises:
        ValueError: if a value is out of its range.

    Examples:
        >>> CentralDifferences(epsilon=[0.1, 2]).epsilon
        (0.1, 2.0)
    """

    epsilon: Epsilon = 1e-3
    every: int = 1

    def __post_init__(self) -> None:
        _check(self)

    def predictions(self, num_features: int) -> int:
        """The most predictions that one Jacobian needs."""
        return 2 * num_features

    def plan(self, near: Neighbours) -> Plan:
        """Which points to ask for, and what follows from the answers."""
        ends = np.stack([near.above, near.below], axis=1)
        row, side, feature = np.nonzero(ends != near.point[:, None])

        def points(chosen: slice) -> np.ndarray:
            displaced = near.point[row[chosen]]
            picked = row[chosen], side[chosen], feature[chosen]
            displaced[np.arange(len(displaced)), feature[chosen]] = ends[picked]
            return displaced

        def jacobian(probabilities: np.ndarray, asked: np.ndarray) -> np.ndarray:
            num_rows, num_features = near.point.shape
            # What wasn't displaced is the point itself, whose probabilities are known.
            around = np.empty((num_rows, 2, num_features, probabilities.shape[1]))
            around[:] = probabilities[:, None, None]
            around[row, side, feature] = asked
            return near.per_distance((around[:, 0] - around[:, 1]).swapaxes(1, 2))

        return Plan(row, points, jacobian)


@dataclass(frozen=True)
class RandomDirections:
    r"""All features at once along random signs: 2 predictions per direction.

    With directions $u_j$ of signs $\pm 1$, $m$ of them, and $w_i$ the distance between the two
    displaced values of feature i ($2 \epsilon_i$ inside the range, less at its ends):

    $$\frac{\partial f_k}{\partial x_i} \approx \frac{1}{m} \sum_j
      \frac{f_k(x^{+}_j) - f_k(x^{-}_j)}{w_i} u_{ji}, \qquad
      x^{\pm}_j = \text{clip}(x \pm \epsilon \circ u_j)$$

    The signs of two features are uncorrelated, so the estimate of a linear function has the right
    expectation, at the ends of the range too. The $u_j$ are rows of a Hadamard matrix, drawn
    without replacement, its columns' signs random: less variance than independent signs have, and
    none for a linear function once `count` reaches the next power of two of the features. They
    depend on nothing but the seed and the step of a row, so rows of one batch share them and a
    row's answer doesn't depend on its company.

    Args:
        count: m, the pairs of points, >= 1.
        epsilon: as in `CentralDifferences`.
        every: likewise.
        seed: of the directions, >= 0.

    Raises:
        ValueError: if a value is out of its range.
    """

    count: int = 8
    epsilon: Epsilon = 1e-3
    every: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        _check(self)
        check_whole("count", self.count)
        check_whole("seed", self.seed, least=0)

    def predictions(self, num_features: int) -> int:
        """The predictions that one Jacobian needs."""
        return 2 * min(self.count, _order(num_features))

    def directions(self, num_features: int, evaluation: int) -> np.ndarray:
        """`[m, features]` of signs, those of one step."""
        order = _order(num_features)
        generator = np.random.default_rng([self.seed, evaluation])
        rows = generator.choice(order, min(self.count, order), replace=False)
        flips = generator.choice([-1.0, 1.0], num_features)
        # Sylvester's Hadamard matrix, entry by entry.
        odd = np.bitwise_count(rows[:, None] & np.arange(num_features)) & 1
        return np.where(odd, -flips, flips)

    def plan(self, near: Neighbours) -> Plan:
        """Which points to ask for, and what follows from the answers."""
        num_rows, num_features = near.point.shape
        steps, which = np.unique(near.evaluation, return_inverse=True)
        signs = np.stack([self.directions(num_features, int(step)) for step in steps])
        shape = (num_rows, signs.shape[1], 2)
        numbers = np.arange(np.prod(shape))

        def points(chosen: slice) -> np.ndarray:
            row, direction, side = np.unravel_index(numbers[chosen], shape)
            up = (signs[which[row], direction] > 0) ^ (side == 1)[:, None]
            return np.where(up, near.above[row], near.below[row])

        def jacobian(probabilities: np.ndarray, asked: np.ndarray) -> np.ndarray:
            pairs = asked.reshape(*shape, probabilities.shape[1])
            rises = (pairs[:, :, 0] - pairs[:, :, 1]).swapaxes(1, 2)
            return near.per_distance(rises @ signs[which] / shape[1])

        return Plan(np.unravel_index(numbers, shape)[0], points, jacobian)


@dataclass(frozen=True)
class ExactJacobian:
    """The Jacobian from the model's own framework, PyTorch for example.

    Args:
        function: from numpy `[n, *shape]` to probabilities `[n, classes]` and their derivatives
            `[n, classes, *shape]`, numpy or what numpy can read.
        every: steps of a row from one Jacobian to the next, >= 1; the last one serves in between.

    Raises:
        TypeError: if `function` isn't one.
        ValueError: if `every` is below 1.
    """

    function: Callable[[np.ndarray], tuple[Any, Any]]
    every: int = 1

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise TypeError(f"function must be callable, got {type(self.function).__name__}")
        check_whole("every", self.every)

    def predictions(self, num_features: int) -> int:
        """None beside that of the point itself."""
        del num_features
        return 0


Gradient = CentralDifferences | RandomDirections | ExactJacobian


def _order(num_features: int) -> int:
    return 1 << max(0, num_features - 1).bit_length()


def _check(options: CentralDifferences | RandomDirections) -> None:
    try:
        values = np.asarray(options.epsilon, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"epsilon must be a number or one per feature, got {options.epsilon!r}"
        ) from error
    if not values.size or not (np.isfinite(values) & (values > 0)).all():
        raise ValueError(f"epsilon must be finite and above 0, got {options.epsilon!r}")
    check_whole("every", options.every)
    # Static in compiled programs, so it must hash.
    object.__setattr__(options, "epsilon", _as_tuples(values.tolist()))


def _as_tuples(values: Any) -> Any:
    return tuple(map(_as_tuples, values)) if isinstance(values, list) else values
