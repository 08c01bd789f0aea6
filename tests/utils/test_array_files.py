"""Arrays in files: what is written comes back, at once or not at all, and never through pickle."""

import os
import pickle

import numpy as np
import pytest

from jaxcf.utils.array_files import read_arrays, write_arrays

ARRAYS = {
    "x": np.arange(12, dtype=np.float32).reshape(3, 4),
    "table/key with spaces": np.array([True, False]),
    "file": np.array([1, 2]),
    "allow_pickle": np.array([3]),
    "empty": np.zeros((0, 2), np.int8),
}


def test_arrays_and_description_come_back_as_they_were(tmp_path):
    path = tmp_path / "new" / "folder" / "arrays.npz"
    write_arrays(path, ARRAYS, {"a": [1, 2.5, None], "b": {"c": "ü"}})
    arrays, metadata = read_arrays(path)
    assert metadata == {"a": [1, 2.5, None], "b": {"c": "ü"}}
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


def test_the_name_is_kept_as_given(tmp_path):
    write_arrays(tmp_path / "no-suffix", ARRAYS, {})
    assert os.listdir(tmp_path) == ["no-suffix"]


def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(TypeError):
        write_arrays(path, ARRAYS, {"not JSON": object()})
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(
    "arrays", [{"metadata": np.zeros(1)}, {"objects": np.array([None, 1])}], ids=["name", "objects"]
)
def test_reserved_names_and_objects_are_refused(tmp_path, arrays):
    with pytest.raises(ValueError, match="can't store the array"):
        write_arrays(tmp_path / "file", arrays, {})
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
        read_arrays(tmp_path / "file")
    assert os.listdir(tmp_path) == ["file"]


def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_arrays(tmp_path / "none")


def test_a_file_damaged_anywhere_is_refused_or_still_whole(tmp_path):
    path = tmp_path / "file"
    write_arrays(path, {"x": ARRAYS["x"]}, {"a": 1})
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
                arrays, metadata = read_arrays(path)
            except ValueError:
                refused += 1
                continue
            # Dates and the like may change; names, values and the description may not.
            assert metadata == {"a": 1}
            np.testing.assert_array_equal(list(arrays.values()), [ARRAYS["x"]])
    assert refused > 2 * len(whole)
