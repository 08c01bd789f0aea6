"""Arrays in the page: compressed blocks of rows, each read when one of its rows is shown."""

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt8

# What a block weighs before it is compressed: read in some milliseconds, and not too many of them.
_BLOCK_BYTES = 400_000
_DTYPES = ("uint8", "float32", "float64", "int32")


@dataclass(frozen=True)
class PackedArray:
    """An array as the page holds it.

    Attributes:
        dtype: of its entries, little-endian.
        shape: of one row.
        rows_per_block: the last block may have fewer.
        blocks: each gzip, then base64.
        facts: what else the page must know to read it, JSON-able.
    """

    dtype: str
    shape: tuple[int, ...]
    rows_per_block: int
    blocks: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def description(self) -> dict[str, Any]:
        """All but the blocks, JSON-able."""
        return {
            "dtype": self.dtype,
            "shape": list(self.shape),
            "rowsPerBlock": self.rows_per_block,
            "blocks": len(self.blocks),
            **self.facts,
        }


def pack(
    array: Shaped[np.ndarray, "n *shape"], rows_per_block: int | None = None, **facts: Any
) -> PackedArray:
    """Put an array into compressed blocks of rows.

    Args:
        array: `[n, *shape]` of uint8, int32, float32 or float64.
        rows_per_block: None for as many as make a block of some hundred kilobytes.
        facts: kept beside it, JSON-able.

    Returns:
        The packed array.

    Raises:
        ValueError: if the dtype is another.

    Examples:
        >>> import numpy as np
        >>> packed = pack(np.zeros((5, 2), np.float32), 2)
        >>> len(packed.blocks), packed.description()["shape"]
        (3, [2])
        >>> unpack(packed).shape
        (5, 2)
    """
    if array.dtype.name not in _DTYPES:
        raise ValueError(f"can't pack {array.dtype}; expected one of {', '.join(_DTYPES)}")
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    row_bytes = max(little[:1].nbytes, 1)
    size = rows_per_block or max(1, _BLOCK_BYTES // row_bytes)
    blocks = tuple(
        base64.b64encode(_gzip(np.ascontiguousarray(little[start : start + size]))).decode()
        for start in range(0, len(little), size)
    )
    return PackedArray(array.dtype.name, array.shape[1:], size, blocks, facts)


def _gzip(array: np.ndarray) -> bytes:
    # zlib with a gzip header that holds no time: the same array always gives the same bytes. Level
    # 9 takes ten times as long for 2 to 9 % less.
    compressor = zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return compressor.compress(array.tobytes()) + compressor.flush()


def unpack(packed: PackedArray) -> Shaped[np.ndarray, "n *shape"]:
    """The array that was packed.

    Args:
        packed: by `pack`.

    Returns:
        `[n, *shape]`.

    Examples:
        >>> import numpy as np
        >>> unpack(pack(np.array([[1, 2]], np.uint8))).tolist()
        [[1, 2]]
    """
    content = b"".join(
        zlib.decompress(base64.b64decode(block), 16 + zlib.MAX_WBITS) for block in packed.blocks
    )
    dtype = np.dtype(packed.dtype).newbyteorder("<")
    return np.frombuffer(content, dtype).astype(packed.dtype).reshape(-1, *packed.shape)


def quantise(
    values: Shaped[np.ndarray, "n *shape"], low: float, high: float
) -> UInt8[np.ndarray, "n *shape"]:
    """Values in 256 steps: 0 is `low`, 255 is `high`; the error is half a step at most.

    Args:
        values: what lies outside is drawn as the nearer end, NaN as `low`.
        low: drawn darkest.
        high: drawn brightest, above `low`.

    Returns:
        The nearest step of each.

    Examples:
        >>> import numpy as np
        >>> quantise(np.array([-1.0, 0.0, 0.5, 1.0, np.nan]), 0.0, 1.0).tolist()
        [0, 0, 128, 255, 0]
    """
    with np.errstate(invalid="ignore", over="ignore"):
        steps = (np.asarray(values, np.float32) - low) * (255 / (high - low))
        # Rounds halves up, as the page's own arithmetic does.
        return np.floor(np.clip(np.nan_to_num(steps, nan=0.0), 0, 255) + 0.5).astype(np.uint8)


def packed_pictures(
    pictures: Shaped[np.ndarray, "n *shape"], low: float, high: float, **facts: Any
) -> PackedArray:
    """Pictures quantised and packed; their scale goes along.

    Args:
        pictures: `[n, *shape]`.
        low: drawn darkest.
        high: drawn brightest.
        facts: kept beside them.

    Returns:
        The packed pictures.

    Examples:
        >>> import numpy as np
        >>> unpack(packed_pictures(np.ones((1, 2, 2)), 0.0, 1.0)).max()
        np.uint8(255)
    """
    return pack(quantise(pictures, low, high), **facts)


def packed_changes(
    pictures: Shaped[np.ndarray, "n *shape"],
    originals: Shaped[np.ndarray, "n *shape"],
    low: float,
    high: float,
    relative_to: str,
) -> PackedArray:
    """Pictures packed as what differs from others, which is little and so compresses well.

    Args:
        pictures: `[n, *shape]`.
        originals: `[n, *shape]`, packed under the name `relative_to`.
        low: of both.
        high: of both.
        relative_to: what the page must add, modulo 256, to have the pictures.

    Returns:
        The packed differences.

    Examples:
        >>> import numpy as np
        >>> one = np.zeros((1, 2, 2))
        >>> unpack(packed_changes(one, one + 1, 0.0, 1.0, "original")).max()
        np.uint8(1)
    """
    change = quantise(pictures, low, high) - quantise(originals, low, high)
    return pack(change, relativeTo=relative_to)
