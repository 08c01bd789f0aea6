import gzip
import http.server
import io
import struct
import tarfile
import threading
import zipfile
from functools import partial

import numpy as np
import pytest
import tensorflow_datasets as tfds
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from tensorflow_datasets.core.download.checksums import compute_url_info

from jaxcf.data import load
from jaxcf.data.originals import (
    MNIST_CHECKSUMS,
    ORIGINAL_FILES,
    find_originals,
    parse_idx,
    read_content,
    read_originals,
)
from jaxcf.data.prepared import describe_prepared, find_prepared, read_prepared
from jaxcf.data.preparing import prepare

MNIST_FILES = ORIGINAL_FILES["mnist"]
BYTES = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5))


@given(BYTES)
def test_an_idx_file_is_read_as_it_was_written(idx_bytes, array):
    read = parse_idx(idx_bytes(array), "array")
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, array)


@given(array=BYTES, data=st.data())
def test_an_idx_file_cut_anywhere_is_refused(idx_bytes, array, data):
    content = idx_bytes(array)
    kept = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(ValueError, match="expected"):
        parse_idx(content[:kept], "cut")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"wrong starts with the bytes \(none\)"),
        (b"PNG!", "expected an IDX file of bytes"),
        (bytes([0, 0, 12, 1, 0, 0, 0, 0]), "starts with the bytes 00 00 0c 01"),
        (bytes([0, 0, 8, 2, 0, 0, 0, 1]), "ends within its header: 8 bytes; expected 12"),
        (bytes([0, 0, 8, 1, 0, 0, 0, 2, 1]), "holds 9 bytes; expected 10"),
        (bytes([0, 0, 8, 1, 0, 0, 0, 2, 1, 2, 3]), "holds 11 bytes; expected 10"),
        (bytes([0, 0, 8, 2, 255, 255, 255, 255, 255, 255, 255, 255]), "holds 12 bytes"),
    ],
)
def test_what_is_no_idx_file_is_refused(content, message):
    with pytest.raises(ValueError, match=message):
        parse_idx(content, "wrong")


def test_a_file_is_read_gzipped_or_not_unless_it_is_damaged(tmp_path):
    file, content = tmp_path / "file", bytes(2000)
    for written in (content, gzip.compress(content, mtime=0)):
        file.write_bytes(written)
        assert read_content(file) == content
    file.write_bytes(gzip.compress(content, mtime=0)[:-12])
    with pytest.raises(ValueError, match="cannot be unzipped"):
        read_content(file)


def rows(images, labels):
    """One bytes object per row, to compare sets whose order differs."""
    return sorted(
        image.tobytes() + struct.pack("<i", int(label))
        for image, label in zip(images, labels, strict=True)
    )


def pixels(images):
    return np.rint(images * 255).astype(np.uint8)


def test_mnist_files_are_prepared_and_read_back(prepared_mnist, small_mnist, tmp_path):
    mnist = load("mnist", data_dir=prepared_mnist, cache_dir=tmp_path / "cache")
    assert mnist.shape == (28, 28, 1)
    assert mnist.class_names == tuple("0123456789")
    images, labels = (small_mnist[file] for file in MNIST_FILES[:2])
    assert rows(pixels(mnist.x_train), mnist.y_train) == rows(images, labels)
    images, labels = (small_mnist[file] for file in MNIST_FILES[2:])
    assert rows(pixels(mnist.x_test), mnist.y_test) == rows(images, labels)


def test_the_prepared_order_is_fixed_and_not_that_of_the_files(prepared_mnist, tmp_path):
    mnist = load("mnist", data_dir=prepared_mnist, cache_dir=tmp_path / "cache")
    assert mnist.y_test.tolist() != (np.arange(20) % 10).tolist()
    # "test" records are keyed 0 to 19 whatever the images are
    assert mnist.y_test.tolist() == [6, 3, 9, 5, 6, 1, 8, 2, 9, 4, 3, 2, 7, 4, 0, 8, 5, 1, 0, 7]


def test_preparing_writes_nothing_to_standard_output(small_originals, tmp_path, capsys):
    originals = {file: small_originals / file for file in MNIST_FILES}
    folder = prepare("mnist", tmp_path, originals=originals, checksums={})
    assert capsys.readouterr().out == ""
    assert folder.parent == tmp_path / "tfds" / "mnist"
    assert [entry.name for entry in folder.parent.iterdir()] == [folder.name]


def test_unzipped_mnist_files_are_found(small_originals):
    for file in MNIST_FILES[:2]:
        plain = small_originals / file.removesuffix(".gz")
        plain.write_bytes(gzip.decompress((small_originals / file).read_bytes()))
        (small_originals / file).unlink()
    found = find_originals("mnist", small_originals)
    assert found is not None
    assert [path.name for path in found.values()] == [
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    ]
    (small_originals / MNIST_FILES[3]).unlink()
    assert find_originals("mnist", small_originals) is None


def test_files_other_than_the_published_ones_are_refused(small_originals, tmp_path):
    with pytest.raises(ValueError, match=r"is not the train-images-idx3-ubyte\.gz that was"):
        load("mnist", data_dir=small_originals, cache_dir=tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("dataset_info.json"))


@pytest.mark.parametrize(
    ("file", "array", "message"),
    [
        (MNIST_FILES[0], np.zeros((40, 27, 28), np.uint8), r"shape \(40, 27, 28\)"),
        (MNIST_FILES[1], np.zeros(39, np.uint8), r"labels of shape \(39,\)"),
        (MNIST_FILES[1], np.full(40, 10, np.uint8), "up to 10"),
    ],
)
def test_mnist_files_that_do_not_fit(small_originals, idx_bytes, file, array, message):
    (small_originals / file).write_bytes(idx_bytes(array))
    files = {name: small_originals / name for name in MNIST_FILES}
    with pytest.raises(ValueError, match=message):
        read_originals("mnist", files, {})


def test_the_published_mnist_files_pass_their_checksums(shared_data):
    files = find_originals("mnist", shared_data / "mnist-idx")
    assert files is not None
    _, first = next(read_originals("mnist", files, MNIST_CHECKSUMS).train)
    assert first["label"] == 5


def test_mnist_is_prepared_in_the_order_of_tensorflow_datasets(
    shared_data, session_cache, small_originals, tmp_path
):
    # Only the test images are the published ones: the splits don't depend on each other.
    published = find_originals("mnist", shared_data / "mnist-idx")
    assert published is not None
    originals = {file: small_originals / file for file in MNIST_FILES[:2]}
    originals |= {file: published[file] for file in MNIST_FILES[2:]}
    made = prepare("mnist", tmp_path, originals=originals, checksums={})
    given = find_prepared("mnist", shared_data / "tfds")
    assert given is not None
    (images, labels), (given_images, given_labels) = (
        read_prepared(
            describe_prepared("mnist", folder), "test", shape=(28, 28, 1), cache_dir=cache
        )
        for folder, cache in ((made, tmp_path), (given, session_cache))
    )
    np.testing.assert_array_equal(images, given_images)
    np.testing.assert_array_equal(labels, given_labels)
    assert labels[:10].tolist() == [2, 0, 4, 8, 7, 6, 0, 6, 3, 1]
    arrays = [parse_idx(read_content(published[file]), file) for file in MNIST_FILES[2:]]
    assert rows(images, labels) == rows(*arrays)


def tar_gz(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


CIFAR_NAMES = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
]


def cifar_members():
    generator = np.random.default_rng(1)
    members = {}
    for batch in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        records = generator.integers(0, 256, (10, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(10)
        members[f"cifar-10-batches-bin/{batch}.bin"] = records.tobytes()
    members["cifar-10-batches-bin/batches.meta.txt"] = ("\n".join(CIFAR_NAMES) + "\n\n").encode()
    return members


def test_cifar10_from_its_binary_archive(tmp_path):
    archive = tmp_path / "cifar-10-binary.tar.gz"
    members = cifar_members()
    archive.write_bytes(tar_gz(members))
    prepare("cifar10", tmp_path, originals={archive.name: archive}, checksums={})
    cifar = load("cifar10", cache_dir=tmp_path, download=False)
    assert cifar.class_names == tuple(CIFAR_NAMES)
    assert cifar.x_train.shape == (50, 32, 32, 3)
    records = np.frombuffer(members["cifar-10-batches-bin/test_batch.bin"], np.uint8)
    records = records.reshape(10, 3073)
    images = records[:, 1:].reshape(10, 3, 32, 32).transpose(0, 2, 3, 1)
    assert rows(pixels(cifar.x_test), cifar.y_test) == rows(images, records[:, 0])


def test_wrong_cifar10_archives(tmp_path):
    archive = tmp_path / "cifar-10-binary.tar.gz"
    archive.write_bytes(b"not an archive")
    files = {archive.name: archive}
    with pytest.raises(ValueError, match="expected the binary version of CIFAR-10"):
        read_originals("cifar10", files, {})
    with pytest.raises(ValueError, match=r"is not the cifar-10-binary\.tar\.gz that was"):
        load("cifar10", data_dir=tmp_path, cache_dir=tmp_path / "cache")
    members = cifar_members()
    members["cifar-10-batches-bin/test_batch.bin"] += b"\0"
    archive.write_bytes(tar_gz(members))
    with pytest.raises(ValueError, match="expected a multiple of 3073"):
        list(read_originals("cifar10", files, {}).test)
    del members["cifar-10-batches-bin/test_batch.bin"]
    archive.write_bytes(tar_gz(members))
    with pytest.raises(ValueError, match=r"test_batch\.bin"):
        read_originals("cifar10", files, {})


def caltech_archive(images_per_class):
    members = {}
    for number, category in enumerate(("accordion", "BACKGROUND_Google", "Faces")):
        for index in range(images_per_class):
            buffer = io.BytesIO()
            mode = "L" if index % 2 else "RGB"
            image = Image.new(mode, (30 + index, 20), 60 * number + index)
            image.save(buffer, format="JPEG")
            place = f"101_ObjectCategories/{category}/image_{index:04d}.jpg"
            members[place] = buffer.getvalue()
        members[f"101_ObjectCategories/{category}/._image_0000.jpg"] = b"shadow"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("caltech-101/101_ObjectCategories.tar.gz", tar_gz(members))
    return buffer.getvalue()


def test_caltech101_from_its_archive(tmp_path):
    archive = tmp_path / "caltech-101.zip"
    archive.write_bytes(caltech_archive(33))
    prepare("caltech101", tmp_path, originals={archive.name: archive}, checksums={})
    caltech = load("caltech101", cache_dir=tmp_path, download=False, image_size=16)
    assert caltech.num_classes == 102
    assert caltech.shape == (16, 16, 3)
    names = [caltech.class_names[label] for label in caltech.y_train]
    assert {name: names.count(name) for name in names} == {
        "accordion": 30,
        "background_google": 30,
        "faces": 30,
    }
    assert len(caltech.y_test) == 9
    with pytest.raises(ValueError, match=r"is not the caltech-101\.zip that was"):
        load("caltech101", data_dir=tmp_path, cache_dir=tmp_path / "other")


def test_wrong_caltech101_archive(tmp_path):
    archive = tmp_path / "caltech-101.zip"
    archive.write_bytes(b"not an archive")
    with pytest.raises(ValueError, match="expected the published archive"):
        read_originals("caltech101", {archive.name: archive}, {})


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


@pytest.fixture
def served_mnist(small_originals, monkeypatch):
    """The stock builder, with a server on this machine in place of its addresses."""
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(small_originals))
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    stock = tfds.builder_cls("mnist")
    address = f"http://127.0.0.1:{server.server_address[1]}"
    infos = {f"{address}/{file}": compute_url_info(small_originals / file) for file in MNIST_FILES}

    class Served(stock, skip_registration=True):  # pyright: ignore
        url_infos = infos

    monkeypatch.setattr(tfds, "builder_cls", lambda name: Served)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield small_originals
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_download_is_prepared(served_mnist, small_mnist, tmp_path):
    folder = prepare("mnist", tmp_path, checksums={})
    assert (folder / "dataset_info.json").is_file()
    mnist = load("mnist", cache_dir=tmp_path, download=False)
    assert rows(pixels(mnist.x_test), mnist.y_test) == rows(
        small_mnist[MNIST_FILES[2]], small_mnist[MNIST_FILES[3]]
    )


def test_a_download_of_other_content_is_refused(served_mnist, tmp_path):
    damaged = served_mnist / MNIST_FILES[0]
    damaged.write_bytes(damaged.read_bytes() + b"\0")
    with pytest.raises(ValueError, match="A downloaded file of 'mnist' is damaged"):
        prepare("mnist", tmp_path, checksums={})
    assert not list(tmp_path.rglob("dataset_info.json"))


def test_a_download_that_the_server_does_not_have(served_mnist, tmp_path):
    (served_mnist / MNIST_FILES[0]).unlink()
    with pytest.raises(ConnectionError, match=r"'mnist' is not at hand.*HTTP code: 404"):
        prepare("mnist", tmp_path, checksums={})


@pytest.mark.parametrize("name", ["mnist", "cifar10", "caltech101"])
def test_without_network_the_error_says_what_to_do(name, tmp_path, monkeypatch):
    # a port of this machine at which nothing listens stands for the missing network
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ConnectionError) as caught:
        load(name, cache_dir=tmp_path)
    message = str(caught.value)
    assert f"{name!r} is not at hand" in message
    assert str(tmp_path) in message
    assert "data_dir=" in message
    for file in ORIGINAL_FILES[name]:
        assert file in message


def test_a_cache_that_cannot_be_written_cannot_take_prepared_data(small_originals, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    originals = {file: small_originals / file for file in MNIST_FILES}
    with pytest.raises(OSError, match=r"cannot be prepared in .*Pass cache_dir="):
        prepare("mnist", blocked, originals=originals, checksums={})
