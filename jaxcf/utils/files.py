"""Files that are whole or not there at all, and what is left of those that nobody finished."""

import os
import re
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_BINARY = getattr(os, "O_BINARY", 0)  # Windows has it

_MOMENTARY = ".jaxcf-"

# What another machine's process has left behind, nobody here can know but by its age.
_ABANDONED_SECONDS = 24 * 3600.0

# Numbers of processes come again, in containers always the same.
_STARTED = secrets.token_hex(4)


def write_atomically(path: str | os.PathLike[str], write: Callable[[Any], Any]) -> None:
    """Call `write(file)` on a temporary file beside `path`, then put it in place.

    What was written is on the disk before it gets its name, and the name before this returns. The
    file is as public as the umask has it.

    Args:
        path: where the file shall be; its folder is made if it is missing.
        write: given a binary file open for writing.
    """
    path = Path(path)
    with _written_beside(path, write) as temporary:
        os.replace(temporary, path)


def write_once(path: str | os.PathLike[str], write: Callable[[Any], Any]) -> bool:
    """As `write_atomically`, unless there is such a file: of many that write one at once, one does.

    Args:
        path: where the file shall be.
        write: given a binary file open for writing.

    Returns:
        Whether it was this call that wrote it.
    """
    path = Path(path)
    with _written_beside(path, write) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        except OSError:  # a file system without links: the moment between is all that is lost
            if path.exists():
                return False
            os.replace(temporary, path)
    return True


@contextmanager
def _written_beside(path: Path, write: Callable[[Any], Any]) -> Iterator[Path]:
    """A file that is on the disk under a name for the moment; who gets it gives it its own."""
    _make_folder(path.parent)
    temporary = path.parent / f"{_MOMENTARY}{_machine()}-{_process()}-{secrets.token_hex(8)}"
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR | _BINARY, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        with suppress(OSError):  # the folder may take no changes any more
            temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _machine() -> str:
    return re.sub(r"[^A-Za-z0-9.]", ".", socket.gethostname())[:64]


def _process() -> str:
    return f"{os.getpid()}.{_STARTED}"


def remove_leftovers(folder: str | os.PathLike[str]) -> None:
    """Take away what processes that were killed while they wrote have left in a folder.

    Files of processes that live are left alone; those of other machines for a day.

    Args:
        folder: whose files were written by `write_atomically` or `write_once`; it may be missing.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     left = Path(place) / f".jaxcf-{_machine()}-{os.getpid()}.0-00"
        ...     left.touch()
        ...     remove_leftovers(place)
        ...     left.exists()
        False
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(_MOMENTARY) and _is_abandoned(entry):
                with suppress(OSError):
                    os.unlink(entry.path)


def _is_abandoned(entry: os.DirEntry[str]) -> bool:
    found = re.fullmatch(
        rf"{re.escape(_MOMENTARY + _machine())}-((\d+)\.[0-9a-f]+)-[0-9a-f]+", entry.name
    )
    if found is None:
        return time.time() - entry.stat().st_mtime > _ABANDONED_SECONDS
    own, number = found[1] == _process(), int(found[2])
    return not own and (number == os.getpid() or not _lives(number))


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def _make_folder(folder: Path) -> None:
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for one in missing:
        _sync_folder(one.parent)


def _sync_folder(folder: Path) -> None:
    # Some systems open no folders, and some file systems sync none: there is nothing to be done.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def check_writable(path: str | os.PathLike[str], *, folder: bool = False) -> None:
    """Check that a file or a folder can be written, and leave nothing behind.

    Args:
        path: of what may not be there yet, nor the folders above it.
        folder: whether it is a folder.

    Raises:
        OSError: if it can't be written.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     check_writable(f"{place}/new/run", folder=True)
    """
    path = Path(path)
    nearest = path if folder else path.parent
    if not folder and path.is_dir():
        raise IsADirectoryError(f"{path} can't be written: it is a folder; name a file")
    with suppress(FileNotFoundError, NotADirectoryError):
        path.lstat()  # which knows names that are too long, and folders that may not be entered
    while not os.path.lexists(nearest):
        nearest = nearest.parent
    if not nearest.is_dir():
        raise NotADirectoryError(
            f"{path} can't be written: {nearest} is no folder; choose another place"
        )
    # Rights alone don't say it: a disk may be read-only, and root may do what rights forbid.
    probe = nearest / f".jaxcf-{secrets.token_hex(8)}"
    try:
        os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        probe.unlink()
    except OSError as error:
        raise OSError(
            f"{path} can't be written: {nearest} takes no files ({error.strerror}); choose "
            "another place"
        ) from error
