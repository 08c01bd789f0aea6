"""The data sets known by name, and the one function that loads them."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from jaxcf.data.dataset import Dataset, from_arrays
from jaxcf.data.originals import ORIGINAL_FILES, find_originals
from jaxcf.data.prepared import check_image_size, describe_prepared, find_prepared, read_prepared
from jaxcf.data.preparing import prepare
from jaxcf.data.splitting import stratified_split
from jaxcf.utils.folders import default_cache_dir
from jaxcf.utils.spelling import did_you_mean

_EMBEDDED = ("breast_cancer", "digits")
# side in pixels and channels; Caltech-101 has images of every size, so its side is a choice
_IMAGES = {"caltech101": (64, 3), "cifar10": (32, 3), "mnist": (28, 1)}
# fixed for good: another number would be another data set
_EMBEDDED_SPLIT_SEED = 2019


def available() -> tuple[str, ...]:
    """Return the names that `load` knows.

    Returns:
        The names, sorted.

    Examples:
        >>> available()
        ('breast_cancer', 'caltech101', 'cifar10', 'digits', 'mnist')
    """
    return tuple(sorted((*_EMBEDDED, *_IMAGES)))


def load(
    name: str,
    *,
    data_dir: str | Path | None = None,
    cache_dir: str | Path | None = None,
    download: bool = True,
    image_size: int | None = None,
) -> Dataset:
    """Load a data set by name.

    "digits" and "breast_cancer" come with scikit-learn: three quarters of each class are training
    rows, always the same ones. "mnist", "cifar10" and "caltech101" are read from a folder that
    tensorflow-datasets prepared, in the order of that folder (which is mixed, not the order of the
    original files). Without such a folder the original files are downloaded and prepared once.
    Decoded images are kept in the cache, so that the next call takes a fraction of a second.

    Caltech-101 has 102 classes, one of them background; every image is stretched to a square.
    Where it is prepared here, 30 images per class are training images, chosen by a fixed seed.

    Args:
        name: One of `available()`.
        data_dir: Where to look instead of the cache: a folder prepared by tensorflow-datasets in
            the array_record format (itself, or one that holds `<name>/<version>`), or one that
            holds the original published files, which are then prepared without any network: the
            four IDX files of MNIST (with or without .gz), `cifar-10-binary.tar.gz`, or
            `caltech-101.zip`. Not used by the embedded sets.
        cache_dir: Where to keep prepared and decoded data; by default `$XDG_CACHE_HOME/jaxcf`, or
            `~/.cache/jaxcf`. Where decoded images cannot be written there, they are decoded anew
            each time.
        download: Whether the original files may be downloaded when `data_dir` is None.
        image_size: Side of the square that images are brought to, in pixels; by default 28 for
            mnist, 32 for cifar10 and 64 for caltech101. Not for the embedded sets.

    Returns:
        The data set: float32 rows, images in [0, 1].

    Raises:
        ConnectionError: The download was tried and the network does not answer.
        FileNotFoundError: The data is not where it was looked for and may not be downloaded.
        TypeError: An argument has the wrong type.
        ValueError: The name is not known, an argument is out of range, or the data is damaged.

    Examples:
        >>> load("breast_cancer")
        Dataset(name='breast_cancer', kind='table', shape=(30,), train_rows=427, test_rows=142, \
num_classes=2)
    """
    _check_name(name)
    if name in _EMBEDDED:
        if image_size is not None:
            raise ValueError(
                f"image_size={image_size} was given with {name!r}, which has one size only; "
                f"it applies to {', '.join(_IMAGES)}. Leave it out."
            )
        return _load_embedded(name)
    side, channels = _IMAGES[name]
    if image_size is not None:
        side = check_image_size(image_size)
    cache = Path(cache_dir).expanduser() if cache_dir is not None else default_cache_dir()
    folder = describe_prepared(
        name,
        _prepared_in_cache(name, cache, download=download)
        if data_dir is None
        else _prepared_in_data_dir(name, Path(data_dir).expanduser(), cache),
    )
    shape = (side, side, channels)
    x_train, y_train = read_prepared(folder, "train", shape=shape, cache_dir=cache)
    x_test, y_test = read_prepared(folder, "test", shape=shape, cache_dir=cache)
    return from_arrays(x_train, y_train, x_test, y_test, name=name, class_names=folder.class_names)


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"name must be a string, got {type(name).__name__}.")
    if name not in available():
        raise ValueError(
            f"There is no data set {name!r}{did_you_mean(name.lower(), available())}; expected one "
            f"of {', '.join(available())}. For your own data see from_arrays, image_folder and "
            "read_csv."
        )


def _prepared_in_data_dir(name: str, data_dir: Path, cache: Path) -> Path:
    if not data_dir.is_dir():
        raise FileNotFoundError(
            f"data_dir {data_dir} is not a folder; expected one that holds {name!r}. "
            "Correct the path, or leave out data_dir= to download the data."
        )
    prepared = find_prepared(name, data_dir)
    if prepared is not None:
        return prepared
    originals = find_originals(name, data_dir)
    if originals is None:
        raise FileNotFoundError(
            f"data_dir {data_dir} holds no {name!r}; expected {name}/<version>/dataset_info.json "
            f"prepared by tensorflow-datasets, or the original files "
            f"{', '.join(ORIGINAL_FILES[name])}. Correct the path, or leave out data_dir "
            "to download the data."
        )
    # the originals are checked against their published checksums, so what was once prepared from
    # them is what would be prepared now
    return find_prepared(name, cache / "tfds") or prepare(name, cache, originals=originals)


def _prepared_in_cache(name: str, cache: Path, *, download: bool) -> Path:
    prepared = find_prepared(name, cache / "tfds")
    if prepared is not None:
        return prepared
    if not download:
        raise FileNotFoundError(
            f"There is no {name!r} in the cache {cache / 'tfds'}, and download is off. Pass "
            "data_dir= with a folder prepared by tensorflow-datasets or the original "
            f"files {', '.join(ORIGINAL_FILES[name])}, or allow the download."
        )
    return prepare(name, cache)


def _load_embedded(name: str) -> Dataset:
    feature_names = None
    if name == "digits":
        table = _digits()
        rows, labels = (table[:, :-1].reshape(-1, 8, 8) / 16.0)[..., None], table[:, -1].astype(int)
        class_names = tuple(map(str, range(10)))
    else:
        from sklearn.datasets import load_breast_cancer

        bunch: Any = load_breast_cancer()
        rows, labels = bunch.data, bunch.target
        class_names, feature_names = (
            tuple(map(str, names)) for names in (bunch.target_names, bunch.feature_names)
        )
    train, test = stratified_split(labels, test_fraction=0.25, seed=_EMBEDDED_SPLIT_SEED)
    return from_arrays(
        rows[train],
        labels[train],
        rows[test],
        labels[test],
        name=name,
        class_names=class_names,
        feature_names=feature_names,
    )


def _digits() -> np.ndarray:
    """scikit-learn's digits and their labels, `[n, 65]`.

    From the file that lies in its package: importing it would take as long as half of all that
    `jaxcf explain digits` does.
    """
    found = find_spec("sklearn")
    for folder in (found and found.submodule_search_locations) or ():
        path = Path(folder, "datasets", "data", "digits.csv.gz")
        if path.exists():
            return np.loadtxt(path, delimiter=",")
    from sklearn.datasets import load_digits  # a release that keeps it elsewhere

    bunch: Any = load_digits()
    return np.column_stack([bunch.data, bunch.target])
