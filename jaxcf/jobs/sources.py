"""Where a job's rows come from: arrays, tables, or whatever can be read by ranges of rows."""

import hashlib
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from jaxcf.results.parts import Rows
from jaxcf.tabular.columns import is_missing
from jaxcf.tabular.frames import describe_frame
from jaxcf.tabular.tables import is_frame, labels_of, plain_labels, read_columns, with_rows
from jaxcf.utils.fingerprints import described_array

# Of input that isn't read as a whole, so many rows say which it is.
_SAMPLED_ROWS = 256


@runtime_checkable
class RowSource(Protocol):
    """Input that is read by ranges of rows, such as files that don't fit into memory.

    A job reads the ranges that it explains and no others, each once or more often.
    """

    def __len__(self) -> int:
        """How many rows there are."""
        ...

    def rows(self, start: int, stop: int) -> Any:
        """The rows from `start` to before `stop`: an array `[stop - start, *shape]`, or a table."""
        ...

    def fingerprint(self) -> str:
        """What tells this input from others, the same in every process; cheap."""
        ...


class _InMemory:
    def __init__(self, data: Any, names: tuple[str, ...] | None) -> None:
        self._data = data
        self._names = names
        self.labels = plain_labels(labels_of(data)) if names is not None else None
        self.frame = {} if names is None else describe_frame(data, names)

    def __len__(self) -> int:
        if isinstance(self._data, Mapping):
            return len(next(iter(self._data.values()), ()))
        return len(self._data)

    def rows(self, start: int, stop: int) -> Any:
        if is_frame(self._data) or isinstance(self._data, Mapping):
            return with_rows(self._data, slice(start, stop))
        return self._data[start:stop]

    def fingerprint(self) -> str:
        if isinstance(self._data, np.memmap):  # as large as a disk, perhaps
            chosen = np.unique(np.linspace(0, len(self) - 1, _SAMPLED_ROWS).astype(int))
            return f"{self._data.shape} sampled {described_array(self._data[chosen])}"
        return digest_of_rows(self._data, self._names)


def as_source(data: Any, names: tuple[str, ...] | None) -> RowSource:
    """What a job's rows are read from.

    Args:
        data: arrays, a table, or a `RowSource`.
        names: of the columns of a table that are explained; None for arrays.

    Raises:
        ValueError: if there are no rows.

    Examples:
        >>> source = as_source({"age": [20, 30, 40]}, ("age",))
        >>> len(source), source.rows(1, 3)
        (3, {'age': [30, 40]})
    """
    source = data if isinstance(data, RowSource) else _InMemory(data, names)
    if not len(source):
        raise ValueError("there are no rows to be explained; a job needs one at least")
    return source


def labels_in(source: RowSource) -> np.ndarray | None:
    """What a table in memory calls its rows; None where it doesn't say."""
    return getattr(source, "labels", None)


def frame_in(source: RowSource) -> dict[str, Any]:
    """What files say of a frame in memory; nothing where it isn't one."""
    return getattr(source, "frame", {})


def read_rows(source: RowSource, rows: Rows) -> Any:
    """Rows of a source.

    Raises:
        ValueError: if it gives more or fewer.
    """
    given = source.rows(rows.start, rows.stop)
    table = is_frame(given) or not isinstance(given, Mapping)
    count = len(given) if table else len(next(iter(given.values()), ()))
    if count != rows.size:
        raise ValueError(f"the source gave {count} rows when asked for rows {rows}")
    return given


class RowsDigest:
    """Which rows these are, in a few words: of rows that come in pieces, one after the other.

    Args:
        names: of the columns of a table that count; None for arrays.

    Examples:
        >>> digest = RowsDigest(("age",))
        >>> for piece in ({"age": [20]}, {"age": [30.5, 40]}):
        ...     digest.add(piece)
        >>> digest.text == digest_of_rows({"age": [20, 30.5, 40]}, ("age",))
        True
    """

    def __init__(self, names: tuple[str, ...] | None) -> None:
        self._names = names
        self._columns: dict[str, Any] = {}
        self._kind: tuple[Any, ...] | None = None
        self.num_rows = 0

    def add(self, rows: Any) -> None:
        """Take more rows into account.

        Raises:
            ValueError: if they are of another kind than those before.
        """
        if self._names is None or isinstance(rows, np.ndarray):
            array = np.asarray(rows)
            kind = (array.dtype, array.shape[1:])
            if self._kind not in (None, kind):
                raise ValueError(
                    f"rows are {kind[0]} of shape {kind[1]}, and those before them "
                    "were others; expected one type and shape in all of the input"
                )
            self._kind = kind
            self._column("").update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
            self.num_rows += len(array)
            return
        for name, column in read_columns(rows, self._names).items():
            entries = column.entries
            if entries.dtype.kind in "iufb":
                # A column read in pieces holds whole numbers here and floats there.
                self._column(name).update(np.ascontiguousarray(entries, np.float64).data)
            else:
                self._column(name).update(_in_one(entries.tolist()).encode())
        self.num_rows += len(column.entries)

    def _column(self, name: str) -> Any:
        return self._columns.setdefault(name, hashlib.sha256())

    @property
    def text(self) -> str:
        """All rows so far."""
        if self._kind is not None:
            dtype, shape = self._kind
            return f"{dtype}{(self.num_rows, *shape)}{self._column('').hexdigest()}"
        words = [f"{name}:{one.hexdigest()}" for name, one in self._columns.items()]
        return hashlib.sha256("\n".join(words).encode()).hexdigest()


def _in_one(entries: list[Any]) -> str:
    try:
        return "\x1f" + "\x1f".join(entries) if entries else ""
    except TypeError:  # they aren't all texts
        # What stands for nothing is None to some readers, and NaN to others.
        return "".join("\x1e" if is_missing(one) else f"\x1f{one}" for one in entries)


def digest_of_rows(rows: Any, names: tuple[str, ...] | None) -> str:
    """Which rows these are, in a few words.

    Args:
        rows: an array, or a table.
        names: of the columns of a table that count; None for arrays.

    Examples:
        >>> one = digest_of_rows({"job": ["clerk"], "age": [20]}, ("age",))
        >>> one == digest_of_rows({"age": [20.0]}, ("age",))
        True
    """
    digest = RowsDigest(names)
    digest.add(rows)
    return digest.text
