"""Read a folder that tensorflow-datasets prepared into arrays, without TensorFlow."""

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from jaxcf.data.cache import read_images, write_images

_SPLITS = ("train", "test")
# raise it when the same records would decode to other pixels, so that old caches are left alone
_DECODING = 1
_RECORDS_AT_ONCE = 1000


@dataclass(frozen=True)
class PreparedFolder:
    """What the description of a prepared folder says about it.

    Args:
        path: The folder that holds `dataset_info.json`.
        name: Name of the data set.
        version: Its version, for example "3.0.1".
        counts: How many rows each split has.
        class_names: One name per class.
        fingerprint: Changes whenever a file of the folder does.
    """

    path: Path
    name: str
    version: str
    counts: dict[str, int]
    class_names: tuple[str, ...]
    fingerprint: str


def find_prepared(name: str, data_dir: Path) -> Path | None:
    """Return the prepared folder of `name` in `data_dir`, its newest version, or None.

    Args:
        name: Name of the data set.
        data_dir: The prepared folder itself, or one that holds `<name>/<version>`.

    Returns:
        The folder that holds `dataset_info.json`, or None where there is none.
    """
    if (data_dir / "dataset_info.json").is_file():
        return data_dir
    versions = [
        file.parent
        for file in (data_dir / name).glob("*/dataset_info.json")
        if all(part.isdigit() for part in file.parent.name.split("."))
    ]
    return max(
        versions, key=lambda folder: [int(part) for part in folder.name.split(".")], default=None
    )


def describe_prepared(name: str, path: Path) -> PreparedFolder:
    """Read and check the description of a prepared folder.

    Args:
        name: Name of the data set it is expected to hold.
        path: The folder that holds `dataset_info.json`.

    Returns:
        The description.

    Raises:
        ValueError: The folder holds another data set, another file format, or is incomplete.
    """
    info = _read_json(path / "dataset_info.json")
    features = _read_json(path / "features.json")
    if info.get("name") != name:
        raise ValueError(
            f"{path} holds the data set {info.get('name')!r}; expected {name!r}. "
            "Pass the folder of that data set, or the one that holds <name>/<version>."
        )
    if info.get("fileFormat") != "array_record":
        raise ValueError(
            f"{path} is prepared as {info.get('fileFormat')!r}; expected 'array_record', the "
            "format that reads without TensorFlow. Prepare it again with "
            "file_format='array_record', or leave out data_dir to download it."
        )
    counts = {
        split["name"]: sum(int(length) for length in split["shardLengths"])
        for split in info.get("splits", [])
    }
    for split in _SPLITS:
        if not counts.get(split) or not list(path.glob(f"{name}-{split}.array_record*")):
            raise ValueError(
                f"{path} is incomplete: it has no {split!r} split. Prepare it again, or leave out "
                "data_dir to download it."
            )
    return PreparedFolder(
        path=path,
        name=name,
        version=info["version"],
        counts=counts,
        class_names=_class_names(path, features),
        fingerprint=_fingerprint(path),
    )


def read_prepared(
    folder: PreparedFolder, split: str, *, shape: tuple[int, int, int], cache_dir: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Return the images and labels of one split, from the cache where it has them.

    Args:
        folder: The prepared folder.
        split: "train" or "test".
        shape: `(height, width, channels)` to bring every image to.
        cache_dir: Where decoded arrays are kept.

    Returns:
        Images uint8 `[rows, height, width, channels]` and labels int32 `[rows]`, in the order of
        the folder.

    Raises:
        ValueError: A record cannot be read, or a label is out of range.
    """
    count, num_classes = folder.counts[split], len(folder.class_names)
    size = "x".join(map(str, shape))
    key = f"{folder.name}-{folder.version}-{split}-{size}-{folder.fingerprint}.npz"
    cached = read_images(
        cache_dir / "decoded" / key, count=count, shape=shape, num_classes=num_classes
    )
    if cached is not None:
        return cached
    images, labels = _decode(folder, split, shape)
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f"{folder.path} holds labels from {labels.min()} to {labels.max()} in split {split!r}; "
            f"expected [0, {num_classes}). Prepare it again."
        )
    write_images(cache_dir / "decoded" / key, images, labels)
    return images, labels


def decode_image(source: Path | io.BytesIO, shape: tuple[int, int, int]) -> np.ndarray:
    """Decode one image file and bring it to `shape`.

    Args:
        source: The file, or its content.
        shape: `(height, width, channels)`; one channel means grey levels, three mean RGB.

    Returns:
        Pixels uint8 of that shape. The image is stretched where its sides are in another ratio.
    """
    from PIL import Image, ImageOps

    height, width, channels = shape
    with Image.open(source) as file:
        # a photograph may be stored lying on its side, with a note of how to turn it
        image = ImageOps.exif_transpose(file)
        if image.mode == "P" or "A" in image.mode:
            image = image.convert("RGBA")
        image = image.convert("L" if channels == 1 else "RGB")
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(image, dtype=np.uint8).reshape(shape)


def check_image_size(image_size: object) -> int:
    """Return `image_size`, or raise where it is not a positive integer."""
    if isinstance(image_size, bool) or not isinstance(image_size, int):
        raise TypeError(f"image_size must be an integer, got {type(image_size).__name__}.")
    if image_size < 1:
        raise ValueError(f"image_size is {image_size}; expected a side of 1 pixel or more.")
    return image_size


def _decode(
    folder: PreparedFolder, split: str, shape: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    import tensorflow_datasets as tfds

    count = folder.counts[split]
    images = np.empty((count, *shape), dtype=np.uint8)
    labels = np.empty(count, dtype=np.int32)
    try:
        # PIL on the encoded bytes takes half the time that their own decoding takes
        builder = cast(Any, tfds.builder_from_directory(folder.path))
        source = builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
        if len(source) != count:
            raise ValueError(f"{len(source)} records instead of {count}")
        for start in range(0, count, _RECORDS_AT_ONCE):
            rows = range(start, min(start + _RECORDS_AT_ONCE, count))
            for row, record in zip(rows, source.__getitems__(rows), strict=True):
                images[row] = decode_image(io.BytesIO(record["image"]), shape)
                labels[row] = record["label"]
    except (OSError, ValueError, KeyError, IndexError, RuntimeError) as error:
        raise ValueError(
            f"The {split!r} records of {folder.path} cannot be read ({error}). The files are "
            "damaged or incomplete: prepare the folder again."
        ) from error
    return images, labels


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{path} cannot be read ({error}); expected a description written by "
            "tensorflow-datasets. Prepare the folder again."
        ) from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no description; prepare the folder again.")
    return content


def _class_names(path: Path, features: dict[str, Any]) -> tuple[str, ...]:
    names_file = path / "label.labels.txt"
    if names_file.is_file():
        names = names_file.read_text(encoding="utf-8").splitlines()
        return tuple(name for name in names if name)
    try:
        count = int(features["featuresDict"]["features"]["label"]["classLabel"]["numClasses"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path / 'features.json'} describes no class label; expected a classification set "
            "with the features 'image' and 'label'."
        ) from error
    return tuple(str(label) for label in range(count))


def _fingerprint(path: Path) -> str:
    digest = hashlib.sha256(f"decoding {_DECODING}".encode())
    for file in sorted(path.iterdir()):
        status = file.stat()
        digest.update(f"{file.name}:{status.st_size}:{status.st_mtime_ns};".encode())
    return digest.hexdigest()[:16]
