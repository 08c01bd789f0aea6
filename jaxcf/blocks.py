"""Run a batched function over many rows in blocks of one size, so that it compiles once."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np


def block_size(num_rows: int, largest: int = 512) -> int:
    """The block for so many rows: a power of two, so that few sizes are ever compiled."""
    return min(largest, 1 << max(0, num_rows - 1).bit_length())


def map_blocks(function: Callable[..., Any], *arrays: Any, size: int | None = None) -> Any:
    """Apply a batched function to rows of numpy arrays, block by block.

    Args:
        function: from arrays `[block, ...]` to a pytree of arrays `[block, ...]`.
        *arrays: each with the same number of rows, at least one row. The last block is filled up
            with copies of its last row, and the surplus is cut off again.
        size: rows per block; None chooses.

    Returns:
        The pytree with numpy arrays of all rows.
    """
    num_rows = len(arrays[0])
    size = size or block_size(num_rows)
    parts = []
    for start in range(0, num_rows, size):
        count = min(size, num_rows - start)
        block = [_filled(array[start : start + count], size) for array in arrays]
        parts.append(jax.tree.map(lambda leaf, k=count: np.asarray(leaf)[:k], function(*block)))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def _filled(array: np.ndarray, size: int) -> np.ndarray:
    missing = size - len(array)
    if not missing:
        return np.asarray(array)
    return np.concatenate([array, np.repeat(array[-1:], missing, axis=0)])
