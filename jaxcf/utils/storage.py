"""Arrays and their description in one npz file: written at once or not at all, never pickled."""

import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

_METADATA = "metadata"

# What each format is called, and what reads it.
_FORMATS = {
    "jaxcf.explanations": ("explanations", "jaxcf.Explanations"),
    "jaxcf.table_explanations": ("explanations of a table", "jaxcf.tabular.TableExplanations"),
    "jaxcf.details": ("traces", "jaxcf.Traces"),
}


def write_atomically(path: str | os.PathLike[str], write: Any) -> None:
    """Call `write(file)` on a temporary file beside `path`, then put it in place.

    Args:
        path: where the file shall be; its folder is made if it is missing.
        write: given a binary file open for writing.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
        # mkstemp makes files private; what is written here is as public as its folder.
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


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


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read what `write_json` wrote.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no JSON.
    """
    try:
        return json.loads(Path(path).read_text())
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error


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
        # What numpy.savez_compressed does, which can't take arrays called "file".
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, array in content.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)

    write_atomically(path, write)


def _member(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(name) as member:
        array = np.lib.format.read_array(member, allow_pickle=False)
        # Only at the end of the member does zipfile compare its checksum.
        if member.read(1):
            raise ValueError(f"the array {name} is longer than it says")
        return array


def read_arrays(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `write_arrays` wrote.

    Returns:
        The arrays by name, and the description.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it isn't such a file, or is damaged.
    """
    return _read(path)


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read only the description of what `write_arrays` wrote.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it isn't such a file, or its description is damaged.
    """
    return _read(path, f"{_METADATA}.npy")[1]


def _read(
    path: str | os.PathLike[str], *members: str
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Some members of an archive, the description among them; all where none is named."""
    try:
        with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
            arrays = {
                name.removesuffix(".npy"): _member(archive, name)
                for name in members or archive.namelist()
            }
        metadata = json.loads(arrays.pop(_METADATA).tobytes())
    except FileNotFoundError:
        raise
    # Damage shows as whatever zip, zlib, numpy's header or JSON stumble over.
    except Exception as error:
        raise ValueError(
            f"{path} is not a file that jaxcf wrote, or is damaged: {error}"
        ) from error
    if not isinstance(metadata, dict):
        raise ValueError(f"{path} is damaged: its description is no JSON object")
    return arrays, metadata


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


class ArrayRule(NamedTuple):
    """What an array of a file must be.

    Attributes:
        kinds: numpy's letters of the types it may have, such as "iu".
        ndim: how many dimensions, None for any number.
        lowest: the smallest value allowed, None for any.
    """

    kinds: str
    ndim: int | None = None
    lowest: int | None = None


def check_arrays(
    path: str | os.PathLike[str],
    arrays: Mapping[str, np.ndarray],
    required: Mapping[str, ArrayRule],
    optional: Mapping[str, ArrayRule] | None = None,
    tables: Mapping[str, ArrayRule] | None = None,
) -> None:
    """Check that a file holds the arrays it must, none unknown, all of one length and as ruled.

    Args:
        path: of the file, for messages.
        arrays: what it holds.
        required: by name.
        optional: by name.
        tables: arrays called "NAME/..." by their NAME.

    Raises:
        ValueError: if something isn't so.
    """
    missing = [name for name in required if name not in arrays]
    if missing:
        raise ValueError(f"{path} is damaged: it lacks {', '.join(missing)}")
    check_lengths(path, arrays)
    named = {**required, **(optional or {})}
    for name, array in arrays.items():
        table, slash, _ = name.partition("/")
        rule = (tables or {}).get(table) if slash else named.get(name)
        if rule is None:
            raise ValueError(f"{path} is damaged: unknown array {name!r}")
        if array.dtype.kind not in rule.kinds or rule.ndim not in (None, array.ndim):
            raise ValueError(
                f"{path} is damaged: {name} has dtype {array.dtype} and shape {array.shape}"
            )
        if rule.lowest is not None and array.size and array.min() < rule.lowest:
            raise ValueError(
                f"{path} is damaged: {name} holds {array.min()}; expected {rule.lowest} or more"
            )


def check_lengths(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Check that all arrays of a file have the same number of rows.

    Raises:
        ValueError: if they differ.
    """
    lengths = {name: array.shape[:1] for name, array in arrays.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"{path} is damaged: its arrays differ in length: {lengths}")


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
