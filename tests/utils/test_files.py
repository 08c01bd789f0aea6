"""Files: whole or not there at all, on the disk before they have a name; and nothing is left."""

import os
import stat

import pytest

from jaxcf.utils import files
from jaxcf.utils.files import check_writable, remove_leftovers, write_atomically, write_once


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_write_that_stops_half_way_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write(file):
        file.write(b"half of the n")
        raise error

    with pytest.raises(type(error)):
        write_atomically(path, write)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_files_are_as_public_as_the_umask_has_it(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "file", lambda file: file.write(b"{}"))
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
    write_atomically(tmp_path / "new" / "file", lambda file: file.write(b"12345"))
    assert done == ["folder", 5, "name", "folder"]


def test_what_can_be_written_is_known_beforehand_and_nothing_is_left(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for path, folder in (("new/folder", True), ("", True), ("new/file", False), ("file", False)):
        check_writable(tmp_path / path, folder=folder)
    for path, folder in (("file/new", True), ("file", True), ("file/new", False)):
        with pytest.raises(NotADirectoryError, match="file is no folder; choose another place"):
            check_writable(tmp_path / path, folder=folder)
    with pytest.raises(IsADirectoryError, match="it is a folder; name a file"):
        check_writable(tmp_path)
    with pytest.raises(OSError, match="too long"):
        check_writable(tmp_path / ("x" * 300))
    assert os.listdir(tmp_path) == ["file"]

    def read_only(*arguments):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(OSError, match=r"takes no files \(Read-only file system\)"):
        check_writable(tmp_path / "new")


def test_of_many_that_write_a_file_once_one_does(tmp_path, monkeypatch):
    file = tmp_path / "new" / "job.json"
    assert write_once(file, lambda one: one.write(b"first"))
    assert not write_once(file, lambda one: one.write(b"second"))
    assert file.read_bytes() == b"first"

    def no_links(*_):
        raise PermissionError

    monkeypatch.setattr("os.link", no_links)  # as file systems that have none
    assert not write_once(file, lambda one: one.write(b"third"))
    assert write_once(tmp_path / "other", lambda one: one.write(b"other"))
    assert (tmp_path / "other").read_bytes() == b"other"
    assert [path.name for path in file.parent.iterdir()] == ["job.json"]


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(tmp_path):
    ours = f".jaxcf-{files._machine()}-"
    names = {
        "dead": f"{ours}4194999.0a-00",
        "another process of this number": f"{ours}{os.getpid()}.0a-00",
        "old": ".jaxcf-elsewhere-1.0a-00",
        "this process": f"{ours}{files._process()}-00",
        "alive": f"{ours}{os.getppid()}.0a-00",
        "elsewhere": ".jaxcf-elsewhere-2.0a-00",
        "somebody's": "notes.txt",
    }
    for name in names.values():
        (tmp_path / name).touch()
    os.utime(tmp_path / names["old"], (0, 0))
    remove_leftovers(tmp_path)
    left = {what for what, name in names.items() if (tmp_path / name).exists()}
    assert left == {"this process", "alive", "elsewhere", "somebody's"}
    remove_leftovers(tmp_path / "nowhere")
