import json

import numpy as np
import pytest

import jaxcf.data.prepared
from jaxcf.data import load
from jaxcf.data.cache import read_images, write_images
from jaxcf.data.prepared import describe_prepared, find_prepared


def cache_files(cache):
    return sorted((cache / "decoded").iterdir())


def arrays(data_set):
    return [data_set.x_train, data_set.y_train, data_set.x_test, data_set.y_test]


def assert_same(first, second):
    for left, right in zip(arrays(first), arrays(second), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.fixture
def decoded(prepared_mnist, tmp_path, monkeypatch):
    """Load the small MNIST once; then list which splits are decoded anew."""
    cache = tmp_path / "cache"
    first = load("mnist", data_dir=prepared_mnist, cache_dir=cache)
    calls = []
    original = jaxcf.data.prepared._decode

    def counted(folder, split, shape):
        calls.append(split)
        return original(folder, split, shape)

    monkeypatch.setattr(jaxcf.data.prepared, "_decode", counted)
    return first, cache, calls


def test_the_second_load_decodes_nothing(prepared_mnist, decoded):
    first, cache, calls = decoded
    assert_same(first, load("mnist", data_dir=prepared_mnist, cache_dir=cache))
    assert calls == []
    assert len(cache_files(cache)) == 2


def damage_middle(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(bytes(content))


def hold_other_shape(file):
    write_images(file, np.zeros((20, 4, 4, 1), np.uint8), np.zeros(20, np.int32))


def hold_other_labels(file):
    write_images(file, np.zeros((20, 28, 28, 1), np.uint8), np.full(20, 10, np.int32))


def hold_fewer_rows(file):
    write_images(file, np.zeros((19, 28, 28, 1), np.uint8), np.zeros(19, np.int32))


def hold_floats(file):
    with file.open("wb") as stream:
        np.savez(stream, images=np.zeros((20, 28, 28, 1)), labels=np.zeros(20, np.int32))


def hold_one_array(file):
    with file.open("wb") as stream:
        np.savez(stream, images=np.zeros((20, 28, 28, 1), np.uint8))


def hold_no_zip(file):
    with file.open("wb") as stream:
        np.save(stream, np.zeros((20, 28, 28, 1), np.uint8))


def hold_objects(file):
    with file.open("wb") as stream:
        np.savez(stream, images=np.array([{}], dtype=object), labels=np.zeros(20, np.int32))


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(b"no zip at all"),
        lambda file: file.write_bytes(file.read_bytes()[:-100]),
        damage_middle,
        hold_other_shape,
        hold_other_labels,
        hold_fewer_rows,
        hold_floats,
        hold_one_array,
        hold_no_zip,
        hold_objects,
    ],
)
def test_a_damaged_cache_is_rebuilt(prepared_mnist, decoded, damage):
    first, cache, calls = decoded
    (file,) = [file for file in cache_files(cache) if "test" in file.name]
    damage(file)
    assert_same(first, load("mnist", data_dir=prepared_mnist, cache_dir=cache))
    assert calls == ["test"]
    load("mnist", data_dir=prepared_mnist, cache_dir=cache)
    assert calls == ["test"]
    assert len(cache_files(cache)) == 2


def test_a_changed_folder_is_decoded_anew(prepared_mnist, decoded):
    _, cache, calls = decoded
    description = next(prepared_mnist.rglob("dataset_info.json"))
    description.write_text(description.read_text() + "\n")
    load("mnist", data_dir=prepared_mnist, cache_dir=cache)
    assert calls == ["train", "test"]


def test_another_size_has_a_cache_of_its_own(prepared_mnist, decoded):
    _, cache, calls = decoded
    small = load("mnist", data_dir=prepared_mnist, cache_dir=cache, image_size=14)
    assert small.shape == (14, 14, 1)
    assert calls == ["train", "test"]
    assert len(cache_files(cache)) == 4


def test_a_cache_that_cannot_be_written_does_not_stop_the_load(prepared_mnist, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    mnist = load("mnist", data_dir=prepared_mnist, cache_dir=blocked / "cache")
    assert len(mnist.x_train) == 40
    assert blocked.read_text() == "in the way"


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "images.npz"
    images, labels = np.zeros((2, 3, 3, 1), np.uint8), np.zeros(2, np.int32)
    write_images(file, images, labels)

    def full_disk(stream, **content):
        stream.write(b"half a file")
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", full_disk)
    write_images(file, images + 1, labels)
    read = read_images(file, count=2, shape=(3, 3, 1), num_classes=1)
    assert read is not None
    np.testing.assert_array_equal(read[0], images)
    assert list(tmp_path.iterdir()) == [file]


def test_the_folder_is_found_at_each_level(prepared_mnist, tmp_path):
    version = prepared_mnist / "mnist" / "3.0.1"
    assert find_prepared("mnist", prepared_mnist) == version
    assert find_prepared("mnist", version) == version
    assert find_prepared("cifar10", prepared_mnist) is None
    for name in ("3.0.0", "10.0.0", "incomplete.3.0.9"):
        (prepared_mnist / "mnist" / name).mkdir()
        (prepared_mnist / "mnist" / name / "dataset_info.json").write_text("{}")
    assert find_prepared("mnist", prepared_mnist) == prepared_mnist / "mnist" / "10.0.0"


def change_description(folder, **changes):
    file = folder / "dataset_info.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def cut_records(folder):
    (records,) = folder.glob("mnist-test.array_record*")
    records.write_bytes(records.read_bytes()[:1000])


def claim_more_rows(folder):
    file = folder / "dataset_info.json"
    file.write_text(file.read_text().replace('"20"', '"21"'))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: change_description(folder, name="kmnist"), "holds the data set 'kmnist'"),
        (
            lambda folder: change_description(folder, fileFormat="tfrecord"),
            "prepared as 'tfrecord'; expected 'array_record'",
        ),
        (lambda folder: change_description(folder, splits=[]), "it has no 'train' split"),
        (
            lambda folder: next(folder.glob("mnist-test*")).unlink(),
            "is incomplete: it has no 'test' split",
        ),
        (
            lambda folder: (folder / "dataset_info.json").write_text("{"),
            "cannot be read .*expected a description written by tensorflow-datasets",
        ),
        (lambda folder: (folder / "features.json").write_text("[]"), "holds no description"),
        (lambda folder: (folder / "features.json").write_text("{}"), "describes no class label"),
        (lambda folder: (folder / "features.json").unlink(), "features.json cannot be read"),
        (lambda folder: (folder / "label.labels.txt").write_text("a\nb\n"), r"expected \[0, 2\)"),
        (cut_records, "'test' records of .* cannot be read"),
        (claim_more_rows, "'test' records of .* cannot be read"),
    ],
)
def test_damaged_folders(prepared_mnist, tmp_path, damage, message):
    damage(prepared_mnist / "mnist" / "3.0.1")
    with pytest.raises(ValueError, match=message):
        load("mnist", data_dir=prepared_mnist, cache_dir=tmp_path / "cache")


def test_the_description(prepared_mnist):
    folder = describe_prepared("mnist", prepared_mnist / "mnist" / "3.0.1")
    assert folder.counts == {"train": 40, "test": 20}
    assert folder.version == "3.0.1"
    assert folder.class_names == tuple("0123456789")
