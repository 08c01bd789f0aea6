"""Rows split in two: stratified into training and test, or into halves at random."""

import numpy as np
from jaxtyping import Int, Shaped, UInt64


def check_split_options(test_fraction: float, seed: int) -> None:
    """Raise unless `test_fraction` lies strictly between 0 and 1 and `seed` is a natural number."""
    if isinstance(test_fraction, bool) or not isinstance(test_fraction, (int, float)):
        raise TypeError(f"test_fraction must be a number, got {type(test_fraction).__name__}.")
    if not 0.0 < test_fraction < 1.0:
        raise ValueError(
            f"test_fraction is {test_fraction}; expected a number strictly between 0 and 1, "
            "for example 0.25."
        )
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise TypeError(f"seed must be an integer, got {type(seed).__name__}.")
    if seed < 0:
        raise ValueError(f"seed is {seed}; expected 0 or a positive integer.")


def stratified_split(
    labels: Shaped[np.ndarray, " rows"], *, test_fraction: float = 0.25, seed: int = 0
) -> tuple[Int[np.ndarray, " train_rows"], Int[np.ndarray, " test_rows"]]:
    """Split row numbers so that every class keeps its share in both parts.

    Args:
        labels: One label per row, of any type that numpy can sort.
        test_fraction: Share of each class that goes to the test part, in (0, 1). A class of two
            rows or more gives at least one row to each part; a single row stays in training.
        seed: Which split; the same seed gives the same split on every platform.

    Returns:
        Row numbers of the training part and of the test part, both in mixed order.

    Raises:
        TypeError: `test_fraction` is not a number or `seed` is not an integer.
        ValueError: `labels` is not one-dimensional, `test_fraction` or `seed` is out of range.

    Examples:
        >>> import numpy as np
        >>> train, test = stratified_split(np.array([0, 0, 0, 0, 1, 1, 1, 1]), test_fraction=0.25)
        >>> len(train), len(test), sorted([*train.tolist(), *test.tolist()])
        (6, 2, [0, 1, 2, 3, 4, 5, 6, 7])
    """
    check_split_options(test_fraction, seed)
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise ValueError(f"labels has shape {labels.shape}; expected one label per row, [rows].")
    order = np.argsort(random_numbers(labels.size, seed=seed), kind="stable")
    in_test = np.zeros(labels.size, dtype=bool)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        if members.size > 1:
            # adding a half rounds ties up; round() would send them to the even neighbour
            count = int(members.size * test_fraction + 0.5)
            in_test[members[: min(max(count, 1), members.size - 1)]] = True
    return order[~in_test[order]], order[in_test[order]]


def halves(
    num_rows: int, seed: int
) -> tuple[Int[np.ndarray, " first"], Int[np.ndarray, " second"]]:
    """Split row numbers into two halves at random.

    Args:
        num_rows: How many rows there are.
        seed: Which split.

    Returns:
        The numbers of the rows in either half, in order; an odd row goes to the second.

    Examples:
        >>> first, second = halves(5, seed=0)
        >>> sorted([*first.tolist(), *second.tolist()])
        [0, 1, 2, 3, 4]
    """
    order = np.random.default_rng(seed).permutation(num_rows)
    return np.sort(order[: num_rows // 2]), np.sort(order[num_rows // 2 :])


def random_numbers(count: int, *, seed: int) -> UInt64[np.ndarray, " count"]:
    """Return `count` random uint64 that no numpy release may change.

    numpy promises the raw stream of a bit generator for ever, and that of `Generator.permutation`
    only until further notice.
    """
    return np.random.PCG64(seed).random_raw(count)
