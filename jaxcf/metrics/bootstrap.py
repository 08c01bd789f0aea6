"""Means with their 95 % intervals, of rows that have a value: no failure is averaged."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped

from jaxcf.utils.numbers import check_number, check_whole

# Resamples whose row counts are held in memory at once.
_TOGETHER = 250


class Interval(NamedTuple):
    """A mean, and where it lies in 95 of 100 cases.

    Attributes:
        mean: of the rows that have a value; NaN where there is none.
        lower: lower end of the interval.
        upper: upper end.
        n: how many rows have a value.
    """

    mean: float
    lower: float
    upper: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.3g} [{self.lower:.3g}, {self.upper:.3g}]" if self.n else "-"


def mean_interval(
    values: Shaped[np.ndarray, " n"], *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """The mean of one value per row and its interval.

    Args:
        values: `[n]`; rows with NaN have no value and don't count. Of booleans (a share) the
            interval is Wilson's, since resampling ten rows of ten successes would claim certainty.
        level: of the interval, between 0 and 1.
        resamples: how many bootstrap samples of the rows are drawn (percentile interval).
        seed: of the resampling.

    Returns:
        The interval; both ends are the mean where only one row has a value.

    Examples:
        >>> import numpy as np
        >>> mean_interval(np.array([1.0, 2.0, 3.0, np.nan])).mean
        2.0
        >>> str(mean_interval(np.array([True] * 10)))
        '1 [0.722, 1]'
    """
    return mean_intervals({"": values}, level=level, resamples=resamples, seed=seed)[""]


def mean_intervals(
    columns: Mapping[str, Shaped[np.ndarray, " n"]],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Interval]:
    """`mean_interval` of several values per row, all from the same resamples.

    Args:
        columns: name to `[n]`, all of one length.
        level: of the intervals, between 0 and 1.
        resamples: how many bootstrap samples are drawn.
        seed: of the resampling.

    Returns:
        One interval per name.

    Raises:
        ValueError: if the columns differ in length, or `level` or `resamples` is out of range.

    Examples:
        >>> import numpy as np
        >>> mean_intervals({"a": np.ones(4), "b": np.zeros(4)})["b"].upper
        0.0
    """
    check_number("level", level, above=0, below=1)
    check_whole("resamples", resamples)
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the columns differ in length: {lengths}")
    shares = {name: v for name, v in columns.items() if np.asarray(v).dtype == bool}
    numbers = {name: v for name, v in columns.items() if name not in shares}
    intervals = {name: _wilson(values, level) for name, values in shares.items()}
    if numbers:
        table = np.stack([np.asarray(v, np.float64) for v in numbers.values()], axis=1)
        intervals |= dict(zip(numbers, _bootstrap(table, level, resamples, seed), strict=True))
    return {name: intervals[name] for name in columns}


def _wilson(values: np.ndarray, level: float) -> Interval:
    from scipy.stats import binomtest

    n = len(values)
    if not n:
        return Interval(np.nan, np.nan, np.nan, 0)
    hits = int(np.sum(values))
    ends = binomtest(hits, n).proportion_ci(level, method="wilson")
    return Interval(hits / n, float(ends.low), float(ends.high), n)


def _bootstrap(table: np.ndarray, level: float, resamples: int, seed: int) -> list[Interval]:
    present = ~np.isnan(table)
    counts = present.sum(axis=0)
    filled = np.where(present, table, 0.0)
    if not len(table):
        return [Interval(np.nan, np.nan, np.nan, 0)] * table.shape[1]
    generator = np.random.default_rng(seed)
    means = []
    for start in range(0, resamples, _TOGETHER):
        size = min(_TOGETHER, resamples - start)
        drawn = generator.integers(len(table), size=(size, len(table)))
        drawn += len(table) * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * len(table)).reshape(size, -1)
        with np.errstate(invalid="ignore", divide="ignore"):
            means.append((times @ filled) / (times @ present.astype(np.float64)))
    tails = [50 * (1 - level), 100 - 50 * (1 - level)]
    intervals = []
    for column, samples in enumerate(np.concatenate(means).T):
        n = int(counts[column])
        if not n:
            intervals.append(Interval(np.nan, np.nan, np.nan, 0))
            continue
        # A resample may miss every row that has a value.
        finite = not np.isinf(samples).any()  # between two infinite samples lies nothing
        lower, upper = np.nanpercentile(samples, tails, method="linear" if finite else "nearest")
        mean = filled[:, column].sum() / n
        intervals.append(Interval(float(mean), float(lower), float(upper), n))
    return intervals
