"""Arrays and their description in one npz file: written at once or not at all, never pickled."""

import json
import math
import os
import re
import secrets
import socket
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

_METADATA = "metadata"

# What each format is called, and what reads it.
_FORMATS = {
    "jaxcf.explanations": ("explanations", "jaxcf.Explanations"),
    "jaxcf.table_explanations": ("explanations of a table", "jaxcf.tabular.TableExplanations"),
    "jaxcf.details": ("traces", "jaxcf.Traces"),
    "jaxcf.job": ("job", "jaxcf.Explanations"),
}

# Deflate makes of one byte at most so many: who declares more lies.
_MOST_EXPANSION = 1032

# A description is text, and text packs worse than arrays of one number: JSON takes many times its
# length once it is read.
_MOST_TEXT_EXPANSION = 100
_LEAST_TEXT_LIMIT = 1 << 20

# What comes to nest deeper was made to break what reads it.
_DEEPEST = 64

_KINDS = "biufU"


_BINARY = getattr(os, "O_BINARY", 0)  # Windows has it


# --- writing -----------------------------------------------------------------------------------


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


_MOMENTARY = ".jaxcf-"

# What another machine's process has left behind, nobody here can know but by its age.
_ABANDONED_SECONDS = 24 * 3600.0


# Numbers of processes come again, in containers always the same.
_STARTED = secrets.token_hex(4)


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


def plain(value: Any) -> Any:
    """The value with the numbers and arrays of numpy and JAX as Python's own, for JSON."""
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value.tolist() if hasattr(value, "tolist") else value


def json_text(value: Any) -> str:
    """A value as indented JSON, which has no NaN."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write a value as indented JSON."""
    text = json_text(value)
    write_atomically(path, lambda file: file.write(text.encode()))


def write_arrays(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]
) -> None:
    """Write arrays and a JSON-able description of them.

    Raises:
        ValueError: if an array is called "metadata" or holds Python objects.
    """
    for name, array in arrays.items():
        if name == _METADATA or np.asarray(array).dtype.hasobject:
            raise ValueError(f"can't store the array {name!r}: reserved name or Python objects")
    described = np.frombuffer(json.dumps(metadata).encode(), np.uint8)
    content = dict(arrays) | {_METADATA: described}

    def write(file: Any) -> None:
        # What numpy.savez_compressed does, which can't take arrays called "file". The least effort
        # takes half the time of the usual one, for files 6 % larger.
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, array in content.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)

    write_atomically(path, write)


# --- reading -----------------------------------------------------------------------------------


class ArrayHeader(NamedTuple):
    """What an array of a file says of itself, before it is unpacked."""

    dtype: np.dtype
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """How much memory it takes."""
        return self.dtype.itemsize * math.prod(self.shape)


Described = ArrayHeader | np.ndarray
"""What has a type and a shape."""


class ArrayRule(NamedTuple):
    """What an array of a file must be.

    Attributes:
        kinds: numpy's letters of the types it may have, such as "iu".
        ndim: how many dimensions, None for any number.
        lowest: the smallest value allowed, None for any.
        highest: the greatest value allowed, None for any.
        codes: the only values allowed, None for any.
    """

    kinds: str
    ndim: int | None = None
    lowest: int | None = None
    highest: int | None = None
    codes: frozenset[int] | None = None


@dataclass(frozen=True)
class ArrayFile:
    """A file of arrays that is open: what it declares is known, nothing is unpacked yet.

    Attributes:
        path: of the file, for messages.
        headers: of every array but the description, by name.
    """

    path: str | os.PathLike[str]
    headers: Mapping[str, ArrayHeader]
    _archive: zipfile.ZipFile

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """The description.

        Raises:
            ValueError: if there is none, or it is no JSON object.
        """
        with _naming_damage(self.path):
            info = self._archive.getinfo(f"{_METADATA}.npy")
            limit = _LEAST_TEXT_LIMIT + _MOST_TEXT_EXPANSION * info.compress_size
            if info.file_size > limit:
                raise ValueError(f"its description claims to be {info.file_size} bytes long")
            metadata = _parsed(_unpacked(self._archive, _METADATA).tobytes())
        if not isinstance(metadata, dict):
            raise ValueError(f"{self.path} is damaged: its description is no JSON object")
        return metadata

    def read(self, rules: Mapping[str, ArrayRule] | None = None) -> dict[str, np.ndarray]:
        """Unpack the arrays, the smallest first, each checked before the next is unpacked.

        Args:
            rules: by name, whose `lowest`, `highest` and `codes` are to hold.

        Returns:
            The arrays in the order of the file.

        Raises:
            ValueError: if one is damaged or breaks its rule, or there is no memory for them.
        """
        arrays = {}
        for name in sorted(self.headers, key=lambda one: self.headers[one].nbytes):
            with _naming_damage(self.path):
                arrays[name] = _unpacked(self._archive, name)
            rule = (rules or {}).get(name)
            if rule is not None:
                check_values(self.path, name, arrays[name], rule)
        return {name: arrays[name] for name in self.headers}


@contextmanager
def open_arrays(path: str | os.PathLike[str]) -> Iterator[ArrayFile]:
    """Open a file of arrays: what it declares is read and checked against its size.

    Args:
        path: of a file that `write_arrays` or numpy wrote.

    Yields:
        The open file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it isn't such a file, is damaged, or declares more than it can hold, or than
            this machine's memory can.
    """
    with open(path, "rb") as file:
        with _naming_damage(path):
            archive = zipfile.ZipFile(file)
            headers = _headers(archive, os.fstat(file.fileno()).st_size)
        headers.pop(_METADATA, None)
        yield ArrayFile(path, headers, archive)


def read_arrays(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `write_arrays` wrote, whatever it is.

    Returns:
        The arrays by name, and the description.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it isn't such a file, or is damaged.
    """
    with open_arrays(path) as file:
        metadata = file.metadata
        return file.read(), metadata


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read only the description of what `write_arrays` wrote.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it isn't such a file, or its description is damaged.
    """
    with open_arrays(path) as file:
        return file.metadata


@contextmanager
def _naming_damage(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise ValueError(f"{path} holds more than there is memory for") from error
    # Damage shows as whatever zip, zlib, numpy's header or JSON stumble over.
    except Exception as error:
        raise ValueError(
            f"{path} is not a file that jaxcf wrote, or is damaged: {error}"
        ) from error


def _headers(archive: zipfile.ZipFile, size: int) -> dict[str, ArrayHeader]:
    """What the members declare, none of which is believed before it fits the file."""
    members = archive.infolist()
    names = [one.filename.removesuffix(".npy") for one in members]
    if len(set(names)) < len(names):
        raise ValueError("it holds an array twice")
    if sum(one.compress_size for one in members) > size:
        raise ValueError("its arrays claim more bytes than it has")
    headers = {}
    for name, member in zip(names, members, strict=True):
        stored = member.compress_type == zipfile.ZIP_STORED
        if not stored and member.compress_type != zipfile.ZIP_DEFLATED:
            raise ValueError(f"the array {name} is packed in a way of its own")
        most = member.compress_size * (1 if stored else _MOST_EXPANSION)
        if member.file_size > most:
            raise ValueError(
                f"the array {name} claims {member.file_size} bytes, packed in "
                f"{member.compress_size}"
            )
        headers[name] = _header(archive, member, name)
    total, memory = sum(one.nbytes for one in headers.values()), _memory()
    if memory is not None and total > memory:
        raise ValueError(f"it claims {total / 1e9:.1f} GB; this machine has {memory / 1e9:.1f}")
    return headers


def _header(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> ArrayHeader:
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(member)
        elif version == (2, 0):
            shape, _, dtype = np.lib.format.read_array_header_2_0(member)
        else:
            raise ValueError(f"the array {name} has a header of version {version}")
        start = member.tell()
    if dtype.kind not in _KINDS:
        raise ValueError(f"the array {name} has dtype {dtype}")
    if any(isinstance(length, bool) or length < 0 for length in shape):
        raise ValueError(f"the array {name} has shape {shape}")
    header = ArrayHeader(dtype, tuple(shape))
    if info.file_size != start + header.nbytes:
        raise ValueError(
            f"the array {name} of {dtype} {shape} has {info.file_size - start} bytes instead of "
            f"{header.nbytes}"
        )
    return header


def _memory() -> int | None:
    """Bytes of memory that the machine has, where it says so."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _unpacked(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(f"{name}.npy") as member:
        array = np.lib.format.read_array(member, allow_pickle=False)
        # Only at the end of the member does zipfile compare its checksum.
        if member.read(1):
            raise ValueError(f"the array {name} is longer than it says")
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype.kind == "U":
        array.tolist()  # which raises where something is no character
    return array


def _parsed(text: bytes, **hooks: Any) -> Any:
    try:
        value = json.loads(text, **hooks)
        level = [[value]]
        for _ in range(_DEEPEST):
            level = [inner for one in level for inner in _inside(one)]
    except RecursionError:
        level = [text]
    if level:
        raise ValueError("it is nested too deeply")
    return value


def _inside(value: Any) -> list[Any]:
    """The objects and lists that an object or a list of JSON holds."""
    entries = value.values() if isinstance(value, dict) else value
    return [one for one in entries if isinstance(one, dict | list)]


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number")
    return number


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read what `write_json` wrote.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no JSON, which has no NaN, or is nested without end.
    """
    try:
        return _parsed(Path(path).read_bytes(), parse_constant=_finite, parse_float=_finite)
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error


# --- checking ----------------------------------------------------------------------------------


def is_number(value: Any) -> bool:
    """Whether a leaf of JSON is a finite number.

    Examples:
        >>> is_number(0.5), is_number(None), is_number(True), is_number(float("inf"))
        (True, False, False, False)
    """
    # A whole number of JSON may be too large for a float.
    whole = isinstance(value, int) and not isinstance(value, bool)
    return (whole and abs(value) < 2**63) or (isinstance(value, float) and math.isfinite(value))


def check_format(
    path: str | os.PathLike[str], metadata: Mapping[str, Any], wanted: str, version: int
) -> None:
    """Raise unless a file's description is of the format and the schema version wanted.

    Raises:
        ValueError: if it is another; where jaxcf has a class for that, it is named.
    """
    given = metadata.get("format")
    if given != wanted:
        known = _FORMATS.get(given) if isinstance(given, str) else None
        hint = "" if known is None else f": read it with {known[1]}.load"
        raise ValueError(f"{path} holds no {_FORMATS[wanted][0]} but {given!r}{hint}")
    if metadata.get("schema_version") != version:
        raise ValueError(
            f"{path} has schema version {metadata.get('schema_version')!r}; this jaxcf reads "
            f"version {version}"
        )


def check_arrays(
    path: str | os.PathLike[str],
    arrays: Mapping[str, Described],
    required: Mapping[str, ArrayRule],
    optional: Mapping[str, ArrayRule] | None = None,
    tables: Mapping[str, ArrayRule] | None = None,
) -> dict[str, ArrayRule]:
    """Check that a file holds the arrays it must, none unknown, all of one length and as ruled.

    Args:
        path: of the file, for messages.
        arrays: what it holds, or declares to hold.
        required: by name.
        optional: by name.
        tables: arrays called "NAME/..." by their NAME.

    Returns:
        The rule of each array, for `ArrayFile.read`, which checks the values.

    Raises:
        ValueError: if something isn't so.
    """
    missing = [name for name in required if name not in arrays]
    if missing:
        raise ValueError(f"{path} is damaged: it lacks {', '.join(missing)}")
    check_lengths(path, arrays)
    named, rules = {**required, **(optional or {})}, {}
    for name, array in arrays.items():
        table, slash, _ = name.partition("/")
        rule = (tables or {}).get(table) if slash else named.get(name)
        if rule is None:
            raise ValueError(f"{path} is damaged: unknown array {name!r}")
        if array.dtype.kind not in rule.kinds or rule.ndim not in (None, len(array.shape)):
            raise ValueError(
                f"{path} is damaged: {name} has dtype {array.dtype} and shape {array.shape}"
            )
        rules[name] = rule
    return rules


def check_shapes(
    path: str | os.PathLike[str],
    arrays: Mapping[str, Described],
    expected: Mapping[str, tuple[int, ...]],
) -> None:
    """Check that arrays have the shapes that others give them.

    Args:
        path: of the file, for messages.
        arrays: what it holds, or declares to hold.
        expected: shape by name.

    Raises:
        ValueError: if one has another.
    """
    for name, wanted in expected.items():
        if arrays[name].shape != wanted:
            raise ValueError(
                f"{path} is damaged: {name} has shape {arrays[name].shape} where the other arrays "
                f"want {wanted}"
            )


def check_lengths(path: str | os.PathLike[str], arrays: Mapping[str, Described]) -> None:
    """Check that all arrays of a file have the same number of rows.

    Raises:
        ValueError: if they differ.
    """
    lengths = {name: array.shape[:1] for name, array in arrays.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"{path} is damaged: its arrays differ in length: {lengths}")


def check_values(
    path: str | os.PathLike[str], name: str, array: np.ndarray, rule: ArrayRule
) -> None:
    """Check that the values of an array of a file are as ruled.

    Raises:
        ValueError: if some aren't.
    """
    if not array.size:
        return
    if rule.lowest is not None and array.min() < rule.lowest:
        raise ValueError(
            f"{path} is damaged: {name} holds {array.min()}; expected {rule.lowest} or more"
        )
    if rule.highest is not None and array.max() > rule.highest:
        raise ValueError(
            f"{path} is damaged: {name} holds {array.max()}; expected {rule.highest} or less"
        )
    if rule.codes is not None:
        unknown = set(np.unique(array).tolist()) - rule.codes
        if unknown:
            raise ValueError(f"{path} is damaged: unknown {name} codes {sorted(unknown)}")


def under(arrays: Mapping[str, np.ndarray], table: str) -> dict[str, np.ndarray]:
    """The arrays of a file that are called "TABLE/...", by the rest of their name.

    Examples:
        >>> import numpy as np
        >>> list(under({"losses/l1": np.zeros(1), "steps": np.zeros(1)}, "losses"))
        ['l1']
    """
    prefix = f"{table}/"
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
