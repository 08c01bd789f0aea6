"""The original published files of MNIST, CIFAR-10 and Caltech-101, read as encoded records."""

import gzip
import hashlib
import io
import math
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import UInt8

from jaxcf.data.splitting import random_numbers

Record = tuple[int | str, dict[str, bytes | int | str]]

ORIGINAL_FILES = {
    "mnist": (
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    ),
    "cifar10": ("cifar-10-binary.tar.gz",),
    "caltech101": ("caltech-101.zip",),
}

# of the content, not of the .gz around it: the same content is found gzipped in several ways
MNIST_CHECKSUMS = {
    "train-images-idx3-ubyte.gz": "md5:6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte.gz": "md5:a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte.gz": "md5:2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte.gz": "md5:27ae3e4e09519cfbb04c329615203637",
}

_CIFAR_FOLDER = "cifar-10-batches-bin"

_CIFAR_SHAPE = (3, 32, 32)

_CALTECH_TRAIN_PER_CLASS = 30

_CALTECH_SPLIT_SEED = 1234

_GZIP_MAGIC = b"\x1f\x8b"

_IDX_OF_BYTES = b"\0\0\x08"


@dataclass(frozen=True)
class Originals:
    """The records of a data set, keyed as tensorflow-datasets keys them.

    Args:
        train: Training records: key, and features with the image as encoded bytes.
        test: Test records.
        class_names: One name per class, or None where the names are known without the files.
    """

    train: Iterator[Record]
    test: Iterator[Record]
    class_names: tuple[str, ...] | None = None


def find_originals(name: str, data_dir: Path) -> dict[str, Path] | None:
    """Return where the original files lie in `data_dir`, or None unless all are there.

    Args:
        name: Name of the data set.
        data_dir: The folder that may hold them; MNIST files are also found without ".gz".

    Returns:
        One path per original file name.
    """
    found = {}
    for file in ORIGINAL_FILES[name]:
        places = [data_dir / file]
        if name == "mnist":
            places.append(data_dir / file.removesuffix(".gz"))
        for place in places:
            if place.is_file():
                found.setdefault(file, place)
    return found if len(found) == len(ORIGINAL_FILES[name]) else None


def read_originals(name: str, files: Mapping[str, Path], checksums: Mapping[str, str]) -> Originals:
    """Check the original files and return their records.

    Args:
        name: Name of the data set.
        files: One path per original file name.
        checksums: Per original file name "algorithm:hexdigest", of the unzipped content for MNIST
            and of the archive for the others. A file without one is taken as it is.

    Returns:
        The records; images are read one after the other, as they are asked for.

    Raises:
        ValueError: A file is damaged, or is another one than was published.
    """
    readers = {"mnist": _read_mnist, "cifar10": _read_cifar10, "caltech101": _read_caltech101}
    return readers[name](files, checksums)


def _check(content: bytes, file: str, path: Path, checksums: Mapping[str, str]) -> None:
    if file not in checksums:
        return
    algorithm, expected = checksums[file].split(":")
    found = hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()
    if found != expected:
        raise ValueError(
            f"{path} is not the {file} that was published: its content has {algorithm} {found}; "
            f"expected {expected}. Fetch it again."
        )


def _read_mnist(files: Mapping[str, Path], checksums: Mapping[str, str]) -> Originals:
    arrays = []
    for file in ORIGINAL_FILES["mnist"]:
        content = read_content(files[file])
        arrays.append(parse_idx(content, str(files[file])))
        _check(content, file, files[file], checksums)
    train_images, train_labels, test_images, test_labels = arrays
    for images, labels in ((train_images, train_labels), (test_images, test_labels)):
        fits = images.shape[1:] == (28, 28) and labels.shape == images.shape[:1]
        if not fits or labels.max(initial=0) > 9:
            raise ValueError(
                f"The MNIST files hold images of shape {images.shape} and labels of shape "
                f"{labels.shape} up to {labels.max(initial=0)}; expected [rows, 28, 28] and [rows] "
                "up to 9. Fetch them again."
            )
    return Originals(
        train=_mnist_records(train_images, train_labels),
        test=_mnist_records(test_images, test_labels),
    )


def _mnist_records(images: np.ndarray, labels: np.ndarray) -> Iterator[Record]:
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        yield index, {"image": _png(image), "label": int(label)}


def _read_cifar10(files: Mapping[str, Path], checksums: Mapping[str, str]) -> Originals:
    (file,) = ORIGINAL_FILES["cifar10"]
    content = files[file].read_bytes()
    _check(content, file, files[file], checksums)
    members = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    members.append("batches.meta.txt")
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            read = [_member(archive, f"{_CIFAR_FOLDER}/{member}") for member in members]
    except (tarfile.TarError, KeyError, OSError, EOFError) as error:
        raise ValueError(
            f"{files[file]} cannot be read ({error}); expected the binary version of CIFAR-10, "
            f"with {_CIFAR_FOLDER}/data_batch_1.bin and its companions. Fetch it again."
        ) from error
    *batches, names = read
    return Originals(
        train=_cifar_records("train", batches[:-1], files[file]),
        test=_cifar_records("test", batches[-1:], files[file]),
        class_names=tuple(names.decode("ascii").split()),
    )


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(f"{name} is not a file")
    return file.read()


def _cifar_records(split: str, batches: Iterable[bytes], path: Path) -> Iterator[Record]:
    index = 0
    width = 1 + int(np.prod(_CIFAR_SHAPE))
    for batch in batches:
        if len(batch) % width:
            raise ValueError(
                f"{path} holds a batch of {len(batch)} bytes; expected a multiple of {width} (one "
                "label and one image each). Fetch it again."
            )
        for row in np.frombuffer(batch, np.uint8).reshape(-1, width):
            image = row[1:].reshape(_CIFAR_SHAPE).transpose(1, 2, 0)
            features = {"id": f"{split}_{index:05d}", "image": _png(image), "label": int(row[0])}
            yield index, features
            index += 1


def _read_caltech101(files: Mapping[str, Path], checksums: Mapping[str, str]) -> Originals:
    (file,) = ORIGINAL_FILES["caltech101"]
    content = files[file].read_bytes()
    _check(content, file, files[file], checksums)
    images: dict[str, dict[str, bytes]] = {}
    try:
        with (
            zipfile.ZipFile(io.BytesIO(content)) as outer,
            outer.open("caltech-101/101_ObjectCategories.tar.gz") as inner,
            tarfile.open(fileobj=inner, mode="r|gz") as archive,
        ):
            for member in archive:
                place = PurePosixPath(member.name)
                image = archive.extractfile(member)
                # macOS left a "._" shadow beside some files
                if image and place.suffix == ".jpg" and not place.name.startswith("."):
                    images.setdefault(place.parent.name, {})[place.name] = image.read()
    except (zipfile.BadZipFile, tarfile.TarError, KeyError, OSError, EOFError) as error:
        raise ValueError(
            f"{files[file]} cannot be read ({error}); expected the published archive with "
            "caltech-101/101_ObjectCategories.tar.gz in it. Fetch it again."
        ) from error
    chosen = {category: _caltech_training(sorted(images[category])) for category in images}
    return Originals(
        train=_caltech_records(images, chosen, training=True),
        test=_caltech_records(images, chosen, training=False),
    )


def _caltech_training(names: list[str]) -> frozenset[str]:
    # the stock split depends on the order in which a file system lists names; this one does not
    order = np.argsort(random_numbers(len(names), seed=_CALTECH_SPLIT_SEED), kind="stable")
    return frozenset(names[place] for place in order[:_CALTECH_TRAIN_PER_CLASS])


def _caltech_records(
    images: Mapping[str, Mapping[str, bytes]],
    chosen: Mapping[str, frozenset[str]],
    *,
    training: bool,
) -> Iterator[Record]:
    for category in sorted(images):
        for name in sorted(images[category]):
            if (name in chosen[category]) == training:
                yield (
                    f"{category}/{name}",
                    {
                        "image": images[category][name],
                        "label": category.lower(),
                        "image/file_name": name,
                    },
                )


def _png(image: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, format="PNG")
    return buffer.getvalue()


def read_content(path: Path) -> bytes:
    """Return the content of a file, unzipped where it is gzipped.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is gzipped and damaged.
    """
    content = path.read_bytes()
    if not content.startswith(_GZIP_MAGIC):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(
            f"{path} is gzipped and cannot be unzipped ({error}). Fetch it again."
        ) from error


def parse_idx(content: bytes, origin: str) -> UInt8[np.ndarray, "..."]:
    """Return the array in the bytes of an IDX file whose values are bytes, as MNIST's are.

    Args:
        content: Of the file, unzipped.
        origin: What to call it in errors.

    Raises:
        ValueError: The content is no such IDX: wrong magic number, or more or fewer values than
            stated.

    Examples:
        >>> parse_idx(bytes([0, 0, 8, 1, 0, 0, 0, 3, 5, 6, 7]), "labels").tolist()
        [5, 6, 7]
    """
    if len(content) < 4 or content[:3] != _IDX_OF_BYTES:
        raise ValueError(
            f"{origin} starts with the bytes {content[:4].hex(' ') or '(none)'}; expected an IDX "
            "file of bytes: 00 00 08 and the number of axes."
        )
    axes = content[3]
    start = 4 + 4 * axes
    if len(content) < start:
        raise ValueError(
            f"{origin} ends within its header: {len(content)} bytes; expected {start} for {axes} "
            "axes. Fetch it again."
        )
    shape = tuple(int(length) for length in np.frombuffer(content, ">u4", count=axes, offset=4))
    expected = start + math.prod(shape)
    if len(content) != expected:
        raise ValueError(
            f"{origin} holds {len(content)} bytes; expected {expected} for values of shape "
            f"{shape}. It is cut short or damaged: fetch it again."
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
