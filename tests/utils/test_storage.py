"""Files: what is written comes back, at once or not at all, and never through pickle."""

import json
import os
import pickle
import stat

import numpy as np
import pytest

from jaxcf.utils import storage

ARRAYS = {
    "x": np.arange(12, dtype=np.float32).reshape(3, 4),
    "table/key with spaces": np.array([True, False]),
    "file": np.array([1, 2]),
    "allow_pickle": np.array([3]),
    "empty": np.zeros((0, 2), np.int8),
}


def test_arrays_and_description_come_back_as_they_were(tmp_path):
    path = tmp_path / "new" / "folder" / "arrays.npz"
    storage.write_arrays(path, ARRAYS, {"a": [1, 2.5, None], "b": {"c": "ü"}})
    arrays, metadata = storage.read_arrays(path)
    assert metadata == {"a": [1, 2.5, None], "b": {"c": "ü"}}
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


def test_the_name_is_kept_as_given(tmp_path):
    storage.write_arrays(tmp_path / "no-suffix", ARRAYS, {})
    assert os.listdir(tmp_path) == ["no-suffix"]


@pytest.mark.parametrize(
    "write",
    [
        lambda path: storage.write_arrays(path, ARRAYS, {"not JSON": object()}),
        lambda path: storage.write_json(path, float("nan")),
    ],
    ids=["arrays", "json"],
)
def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path, write):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises((TypeError, ValueError)):
        write(path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_write_that_stops_half_way_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write(file):
        file.write(b"half of the n")
        raise error

    with pytest.raises(type(error)):
        storage.write_atomically(path, write)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_files_are_as_public_as_the_umask_has_it(tmp_path, umask):
    before = os.umask(umask)
    try:
        storage.write_json(tmp_path / "file", {})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~umask


def test_contents_are_on_the_disk_before_the_name_and_the_name_before_the_end(
    tmp_path, monkeypatch
):
    done, sync, replace = [], os.fsync, os.replace

    def noting_sync(descriptor):
        status = os.fstat(descriptor)
        done.append("folder" if stat.S_ISDIR(status.st_mode) else status.st_size)
        sync(descriptor)

    def noting_replace(*paths):
        done.append("name")
        replace(*paths)

    monkeypatch.setattr(os, "fsync", noting_sync)
    monkeypatch.setattr(os, "replace", noting_replace)
    storage.write_atomically(tmp_path / "new" / "file", lambda file: file.write(b"12345"))
    assert done == ["folder", 5, "name", "folder"]


def test_what_can_be_written_is_known_beforehand_and_nothing_is_left(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for path, folder in (("new/folder", True), ("", True), ("new/file", False), ("file", False)):
        storage.check_writable(tmp_path / path, folder=folder)
    for path, folder in (("file/new", True), ("file", True), ("file/new", False)):
        with pytest.raises(NotADirectoryError, match="file is no folder; choose another place"):
            storage.check_writable(tmp_path / path, folder=folder)
    with pytest.raises(IsADirectoryError, match="it is a folder; name a file"):
        storage.check_writable(tmp_path)
    with pytest.raises(OSError, match="too long"):
        storage.check_writable(tmp_path / ("x" * 300))
    assert os.listdir(tmp_path) == ["file"]

    def read_only(*arguments):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(OSError, match=r"takes no files \(Read-only file system\)"):
        storage.check_writable(tmp_path / "new")


def test_json_comes_back(tmp_path):
    storage.write_json(tmp_path / "a.json", {"b": [1, None, "c"]})
    assert storage.read_json(tmp_path / "a.json") == {"b": [1, None, "c"]}
    assert json.loads((tmp_path / "a.json").read_text()) == {"b": [1, None, "c"]}
    for text in ("{", "NaN", "[1e999]", "[-Infinity]", "[" * 10**5, "[" * 99 + "]" * 99, "\xff"):
        (tmp_path / "a.json").write_text(text, encoding="latin-1")
        with pytest.raises(ValueError, match=r"a\.json is damaged"):
            storage.read_json(tmp_path / "a.json")


@pytest.mark.parametrize(
    "arrays", [{"metadata": np.zeros(1)}, {"objects": np.array([None, 1])}], ids=["name", "objects"]
)
def test_reserved_names_and_objects_are_refused(tmp_path, arrays):
    with pytest.raises(ValueError, match="can't store the array"):
        storage.write_arrays(tmp_path / "file", arrays, {})
    assert not os.listdir(tmp_path)


class Trap:
    """Unpickling it would be noticed."""

    def __reduce__(self):
        return (os.mkdir, ("unpickled",))


def write_pickle(path):
    path.write_bytes(pickle.dumps(Trap()))


def write_objects(path):
    with path.open("wb") as file:
        np.savez(file, x=np.array([Trap()], dtype=object), metadata=np.zeros(2, np.uint8))


def write_bare_array(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def write_without_description(path):
    with path.open("wb") as file:
        np.savez(file, x=np.zeros(3))


def write_odd_description(path):
    with path.open("wb") as file:
        np.savez(file, metadata=np.frombuffer(b"[1]", np.uint8))


@pytest.mark.parametrize(
    "write",
    [
        write_pickle,
        write_objects,
        write_bare_array,
        write_without_description,
        write_odd_description,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"PK\x03\x04 not really a zip"),
        lambda path: path.write_text("a,b\n1,2\n"),
    ],
)
def test_files_of_another_kind_are_refused_and_never_unpickled(tmp_path, monkeypatch, write):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "file")
    with pytest.raises(ValueError, match="is damaged"):
        storage.read_arrays(tmp_path / "file")
    assert os.listdir(tmp_path) == ["file"]


def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        storage.read_arrays(tmp_path / "none")


def test_a_file_damaged_anywhere_is_refused_or_still_whole(tmp_path):
    path = tmp_path / "file"
    storage.write_arrays(path, {"x": ARRAYS["x"]}, {"a": 1})
    whole = path.read_bytes()
    refused = 0
    for position in range(len(whole)):
        for damaged in (
            whole[:position],
            whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :],
            whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :],
        ):
            path.write_bytes(damaged)
            try:
                arrays, metadata = storage.read_arrays(path)
            except ValueError:
                refused += 1
                continue
            # Dates and the like may change; names, values and the description may not.
            assert metadata == {"a": 1}
            np.testing.assert_array_equal(list(arrays.values()), [ARRAYS["x"]])
    assert refused > 2 * len(whole)


def test_of_many_that_write_a_file_once_one_does(tmp_path, monkeypatch):
    file = tmp_path / "new" / "job.json"
    assert storage.write_once(file, lambda one: one.write(b"first"))
    assert not storage.write_once(file, lambda one: one.write(b"second"))
    assert file.read_bytes() == b"first"

    def no_links(*_):
        raise PermissionError

    monkeypatch.setattr("os.link", no_links)  # as file systems that have none
    assert not storage.write_once(file, lambda one: one.write(b"third"))
    assert storage.write_once(tmp_path / "other", lambda one: one.write(b"other"))
    assert (tmp_path / "other").read_bytes() == b"other"
    assert [path.name for path in file.parent.iterdir()] == ["job.json"]


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(tmp_path):
    ours = f".jaxcf-{storage._machine()}-"
    names = {
        "dead": f"{ours}4194999.0a-00",
        "another process of this number": f"{ours}{os.getpid()}.0a-00",
        "old": ".jaxcf-elsewhere-1.0a-00",
        "this process": f"{ours}{storage._process()}-00",
        "alive": f"{ours}{os.getppid()}.0a-00",
        "elsewhere": ".jaxcf-elsewhere-2.0a-00",
        "somebody's": "notes.txt",
    }
    for name in names.values():
        (tmp_path / name).touch()
    os.utime(tmp_path / names["old"], (0, 0))
    storage.remove_leftovers(tmp_path)
    left = {what for what, name in names.items() if (tmp_path / name).exists()}
    assert left == {"this process", "alive", "elsewhere", "somebody's"}
    storage.remove_leftovers(tmp_path / "nowhere")
