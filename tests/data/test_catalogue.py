import hashlib
import subprocess
import sys

import numpy as np
import pytest

from jaxcf.data import available, load
from jaxcf.data.prepared import describe_prepared, find_prepared, read_prepared


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def test_digits():
    digits = load("digits")
    assert digits.kind == "image"
    assert digits.x_train.shape == (1346, 8, 8, 1)
    assert digits.x_test.shape == (451, 8, 8, 1)
    assert digits.x_train.dtype == digits.x_test.dtype == np.float32
    assert digits.y_train.dtype == digits.y_test.dtype == np.int32
    assert (digits.x_train.min(), digits.x_train.max()) == (0, 1)
    np.testing.assert_array_equal(digits.x_train * 16, np.rint(digits.x_train * 16))
    assert digits.class_names == tuple("0123456789")


def test_breast_cancer():
    table = load("breast_cancer")
    assert table.kind == "table"
    assert table.x_train.shape == (427, 30)
    assert table.x_test.shape == (142, 30)
    assert table.class_names == ("malignant", "benign")
    assert table.feature_names is not None
    assert table.feature_names[0] == "mean radius"
    np.testing.assert_array_equal(table.x_train.min(axis=0), 0)
    np.testing.assert_array_equal(table.x_train.max(axis=0), 1)
    assert table.x_test.min() > -0.5
    assert table.x_test.max() < 1.5


@pytest.mark.parametrize("name", ["digits", "breast_cancer"])
def test_embedded_splits_are_disjoint_stratified_and_the_same_each_time(name):
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    first, second = load(name), load(name)
    for array in ("x_train", "y_train", "x_test", "y_test"):
        np.testing.assert_array_equal(getattr(first, array), getattr(second, array))
    shares = np.bincount(first.y_test) / np.bincount(bunch.target)
    assert np.abs(shares - 0.25).max() < 0.01
    rows = np.concatenate([first.x_train, first.x_test]).reshape(len(bunch.target), -1)
    original = bunch.data / 16 if name == "digits" else (bunch.data - first.offset) / first.scale
    # each original row appears exactly once in one of the two splits
    order = np.lexsort(np.round(rows, 4).T)
    expected = np.lexsort(np.round(original.astype(np.float32), 4).T)
    np.testing.assert_allclose(rows[order].sum(axis=1), original[expected].sum(axis=1), rtol=1e-4)
    assert len(np.unique(rows, axis=0)) == len(np.unique(bunch.data, axis=0))


def test_embedded_sets_are_what_they_have_always_been():
    digits, table = load("digits"), load("breast_cancer")
    assert [digest(digits.x_test), digest(digits.y_test), digest(table.y_test)] == [
        "e45a9664e7adb24d",
        "1ba863bf423759d0",
        "0f5070bdfc539321",
    ]


def test_available_names_are_sorted():
    assert list(available()) == sorted(available())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            ("minst",),
            ValueError,
            r"'minst' \(did you mean mnist\?\); expected one of breast_cancer",
        ),
        (("MNIST",), ValueError, r"'MNIST' \(did you mean mnist\?\)"),
        (("imagenet",), ValueError, "see from_arrays, image_folder and read_csv"),
        ((3,), TypeError, "name must be a string, got int"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_unknown_names(arguments, error, message):
    with pytest.raises(error, match=message):
        load(*arguments)


@pytest.mark.parametrize(
    ("name", "image_size", "error", "message"),
    [
        ("digits", 8, ValueError, "'digits', which has one size only"),
        ("mnist", 0, ValueError, "image_size is 0; expected a side of 1 pixel or more"),
        ("mnist", 28.0, TypeError, "image_size must be an integer, got float"),
        ("mnist", True, TypeError, "image_size must be an integer, got bool"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_wrong_image_sizes(name, image_size, error, message):
    with pytest.raises(error, match=message):
        load(name, image_size=image_size)


def test_data_dir_that_is_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"is not a folder.*leave out data_dir="):
        load("mnist", data_dir=tmp_path / "absent")


def test_data_dir_that_holds_something_else(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no 'cifar10'; expected cifar10/<version>"):
        load("cifar10", data_dir=tmp_path)


def test_download_off_and_nothing_in_the_cache(tmp_path):
    with pytest.raises(FileNotFoundError, match="download is off"):
        load("mnist", cache_dir=tmp_path, download=False)


def test_the_default_cache_is_where_the_system_keeps_caches(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    with pytest.raises(FileNotFoundError) as caught:
        load("mnist", download=False)
    assert str(tmp_path / "xdg" / "jaxcf" / "tfds") in str(caught.value)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError) as caught:
        load("mnist", download=False)
    assert str(tmp_path / ".cache" / "jaxcf" / "tfds") in str(caught.value)


@pytest.mark.parametrize(
    ("name", "counts", "split", "shape", "of_each_class", "class_name"),
    [
        (
            "mnist",
            {"train": 60000, "test": 10000},
            "test",
            (28, 28, 1),
            [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
            "7",
        ),
        ("cifar10", {"train": 50000, "test": 10000}, "test", (32, 32, 3), [1000] * 10, "airplane"),
        (
            "caltech101",
            {"train": 3060, "test": 6084},
            "train",
            (64, 64, 3),
            [30] * 102,
            "background_google",
        ),
    ],
)
def test_published_data_as_prepared_by_tensorflow_datasets(
    shared_data, session_cache, name, counts, split, shape, of_each_class, class_name
):
    path = find_prepared(name, shared_data / "tfds")
    assert path is not None
    folder = describe_prepared(name, path)
    assert folder.counts == counts
    assert class_name in folder.class_names
    images, labels = read_prepared(folder, split, shape=shape, cache_dir=session_cache)
    assert images.shape == (counts[split], *shape)
    assert np.bincount(labels).tolist() == of_each_class


def test_importing_the_package_loads_no_heavy_library():
    heavy = ("sklearn", "tensorflow_datasets", "tensorflow", "PIL")
    code = f"import sys, jaxcf.data; print([name for name in {heavy} if name in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert output.stdout.strip() == "[]", output.stderr
