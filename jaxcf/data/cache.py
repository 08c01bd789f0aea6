"""Decoded images on disk: written in one piece, checked when read, rebuilt when damaged."""

from contextlib import suppress
from pathlib import Path

import numpy as np
from jaxtyping import Int32, UInt8

from jaxcf.utils.array_files import open_arrays
from jaxcf.utils.file_checks import ArrayHeader
from jaxcf.utils.files import write_atomically


def read_images(
    path: Path, *, count: int, shape: tuple[int, ...], num_classes: int
) -> tuple[UInt8[np.ndarray, "rows *shape"], Int32[np.ndarray, " rows"]] | None:
    """Read images and labels back, or return None where the file is absent, damaged or other.

    Args:
        path: The file, as `write_images` wrote it.
        count: How many rows it must hold.
        shape: Shape that each image must have.
        num_classes: One more than the largest label it may hold.

    Returns:
        Images in [0, 255] and labels in [0, num_classes), or None.
    """
    declared = {
        "images": ArrayHeader(np.dtype(np.uint8), (count, *shape)),
        "labels": ArrayHeader(np.dtype(np.int32), (count,)),
    }
    try:
        with open_arrays(path) as file:
            if file.headers != declared:
                return None
            arrays = file.read()
    except (OSError, ValueError):
        return None
    images, labels = arrays["images"], arrays["labels"]
    fits = count == 0 or (labels.min() >= 0 and labels.max() < num_classes)
    return (images, labels) if fits else None


def write_images(
    path: Path, images: UInt8[np.ndarray, "rows *shape"], labels: Int32[np.ndarray, " rows"]
) -> None:
    """Write images and labels, or leave everything as it was where the folder takes no files.

    Args:
        path: The file to write; its folder is made where it does not exist.
        images: Images `[rows, height, width, channels]` in [0, 255].
        labels: Labels `[rows]`.
    """
    # a cache saves time and nothing else: a full or read-only disk must not stop the work
    with suppress(OSError):
        write_atomically(path, lambda file: np.savez(file, images=images, labels=labels))
