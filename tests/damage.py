"""Files damaged at random: every way in which one that jaxcf wrote may come to hold nonsense."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

LEAVES: tuple[Any, ...] = (
    *(None, True, -1, 0, 3.7, 10**30, 10**400, float("inf"), float("nan"), "", "x", "12"),
    *([], {}, [None], [[]], {"a": None}, ["x", 1], [1.5, None]),
)
"""What may stand in the place of an entry of JSON."""

_SHAPES = ((), (0,), (3, 0), (10**6, 10**6), (2**62,), (-1,), (1, 1, 1))
_TYPES = ("<f4", ">f8", "<i8", "|u1", "|b1", "<U3", "|O", "<c8", "<M8[s]", "<f2", "<u8", "|V8")


def damaged(path: Path, generator: np.random.Generator) -> str:
    """Damage one entry or one array of a file, and say how.

    Args:
        path: of an npz file, which is written anew: whole as a zip, with checksums that are right.
        generator: chooses.

    Returns:
        What was done to what.
    """
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    if generator.random() < 0.5:
        said, members["metadata.npy"] = _with_entry(members["metadata.npy"], generator)
    else:
        name = _one(sorted(members), generator)
        way = _one(_WAYS, generator)
        said, content = f"{name}: {way.__name__}", way(members[name], generator)
        members.pop(name)
        if content is not None:
            members[name] = content
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return said


def _one(choices: Any, generator: np.random.Generator) -> Any:
    return choices[generator.integers(len(choices))]


def _bytes(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=True)
    return file.getvalue()


# --- the description -----------------------------------------------------------------------


def _with_entry(member: bytes, generator: np.random.Generator) -> tuple[str, bytes]:
    described = json.loads(np.lib.format.read_array(io.BytesIO(member)).tobytes())
    places: list[tuple[Any, Any]] = []
    level = [described]
    while level:
        one = level.pop()
        keys = one.keys() if isinstance(one, dict) else range(len(one))
        places += [(one, key) for key in keys]
        level += [one[key] for key in keys if isinstance(one[key], dict | list)]
    holder, key = _one(places, generator)
    was = holder[key]
    if generator.random() < 0.15:
        del holder[key]
        said = f"{key!r} ({was!r:.40}) left out"
    else:
        holder[key] = _one(LEAVES, generator)
        said = f"{key!r} ({was!r:.40}) is {holder[key]!r:.40}"
    return said, _bytes(np.frombuffer(json.dumps(described).encode(), np.uint8))


# --- the arrays ----------------------------------------------------------------------------


def _array(member: bytes) -> np.ndarray:
    return np.lib.format.read_array(io.BytesIO(member)).copy()


def left_out(member: bytes, generator: np.random.Generator) -> None:
    """Not there."""


def of_another_type(member: bytes, generator: np.random.Generator) -> bytes:
    """The values as another type has them."""
    array, kinds = _array(member), _TYPES[:-1]
    with np.errstate(all="ignore"):
        return _bytes(array.astype(_one(kinds if array.dtype.kind != "U" else ("|S3",), generator)))


def of_another_shape(member: bytes, generator: np.random.Generator) -> bytes:
    """An axis more, one less, a row less, a feature less, none of them, or the other way round."""
    array = _array(member)
    shapes = [array[..., None], array[None], array[:-1], array[..., :-1], array[:0], array[..., :0]]
    shapes += [array.reshape(-1), array.T, np.asfortranarray(array), array.reshape(-1)[0]]
    return _bytes(np.asarray(_one(shapes, generator)))


def with_another_value(member: bytes, generator: np.random.Generator) -> bytes:
    """A value that is far out, or none."""
    array = _array(member).copy()
    if array.size and array.dtype.kind in "iuf":
        given = np.array([-5, 10, 1e6, 120, np.nan, np.inf, -np.inf, -1, 100, 2**31])
        place = generator.integers(array.size)
        with np.errstate(all="ignore"):
            array.reshape(-1)[place] = given.astype(array.dtype)[generator.integers(len(given))]
    return _bytes(array)


def that_lies(member: bytes, generator: np.random.Generator) -> bytes:
    """A header that says another shape or type than the bytes behind it have."""
    array = _array(member)
    shape = _one((*_SHAPES, (*array.shape, 10**9)), generator)
    kind = _one((*_TYPES, np.lib.format.dtype_to_descr(array.dtype)), generator)
    file = io.BytesIO()
    header = {"descr": kind, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + array.tobytes()


def cut_short(member: bytes, generator: np.random.Generator) -> bytes:
    """The first bytes alone."""
    return member[: generator.integers(len(member))]


_WAYS: tuple[Callable[[bytes, np.random.Generator], bytes | None], ...] = (
    left_out,
    of_another_type,
    of_another_shape,
    with_another_value,
    with_another_value,
    that_lies,
    cut_short,
)
