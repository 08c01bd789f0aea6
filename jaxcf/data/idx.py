"""Read the IDX files that MNIST is published in."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

_GZIP_MAGIC = b"\x1f\x8b"
_TYPES = {
    0x08: np.dtype("u1"),
    0x09: np.dtype("i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}


def read_idx(path: str | Path) -> Shaped[np.ndarray, "..."]:
    """Read an IDX file, gzipped or plain.

    Args:
        path: The file; whether it is gzipped is seen from its content, not from its name.

    Returns:
        The array it holds, in the byte order of this machine.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The content is no IDX: wrong magic number, or more or fewer values than stated.

    Examples:
        >>> import tempfile, pathlib
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "labels"
        >>> _ = file.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 5, 6, 7]))
        >>> read_idx(file).tolist()
        [5, 6, 7]
    """
    return parse_idx(read_content(Path(path)), str(path))


def read_content(path: Path) -> bytes:
    """Return the content of a file, unzipped where it is gzipped.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is gzipped and damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}; correct the path.")
    content = path.read_bytes()
    if not content.startswith(_GZIP_MAGIC):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(
            f"{path} is gzipped and cannot be unzipped ({error}). Fetch it again."
        ) from error


def parse_idx(content: bytes, origin: str) -> np.ndarray:
    """Return the array in the bytes of an IDX file; `origin` names it in errors.

    Raises:
        ValueError: The content is no IDX.
    """
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _TYPES:
        raise ValueError(
            f"{origin} starts with the bytes {content[:4].hex(' ') or '(none)'}; expected an IDX "
            "file: two zero bytes, a type (08, 09, 0b, 0c, 0d or 0e), the number of axes."
        )
    dtype, axes = _TYPES[content[2]], content[3]
    start = 4 + 4 * axes
    if len(content) < start:
        raise ValueError(
            f"{origin} ends within its header: {len(content)} bytes; expected {start} for {axes} "
            "axes. Fetch it again."
        )
    shape = tuple(int(length) for length in np.frombuffer(content, ">u4", count=axes, offset=4))
    expected = start + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        raise ValueError(
            f"{origin} holds {len(content)} bytes; expected {expected} for {dtype.name} values of "
            f"shape {shape}. It is cut short or damaged: fetch it again."
        )
    values = np.frombuffer(content, dtype, offset=start).reshape(shape)
    return values.astype(dtype.newbyteorder("="))
