"""The folder of a job: what was asked, in one file, and parts that hold the rows that are done.

A part is a Parquet file whose name says which rows it holds and what its content is, so a listing
of names is all there is to know of how far a job is. No file is ever written twice: any number of
processes may write parts side by side. Where two have written the same rows, the answers are the
same, and what of which part counts follows from the names.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxcf.search.status import Status
from jaxcf.utils.array_files import ArrayFile, open_arrays
from jaxcf.utils.file_checks import ArrayHeader, ArrayRule, check_format, check_values
from jaxcf.utils.files import write_atomically
from jaxcf.utils.json_files import json_text, read_json
from jaxcf.utils.parquet import column_sizes, from_parquet, to_parquet

JOB_FILE = "job.json"

PARTS = "parts"

FORMAT = "jaxcf.job"
SCHEMA_VERSION = 1

DERIVED = ("found", "changed", "l1", "l2")
"""Columns for those who ask a part questions without jaxcf: they follow from the others."""

BEFORE, AFTER = "before_", "after_"
"""What the columns of a table in its own units begin with."""

_NAME = re.compile(r"part-(\d{12})-(\d{12})-([0-9a-f]{32})\.parquet")

# How arrays called "losses/l1" are called as columns, which SQL wants without a slash.
_PREFIXES = {"losses/": "loss_", "scores/": "score_", "history/": "history_"}
_ROW, _STATUS, _LABELS = "row", "status", "labels"

_STATUS_NAMES = {code: code.name.lower() for code in Status}
_STATUS_CODES = {name: int(code) for code, name in _STATUS_NAMES.items()}

# A message names no more ranges than these.
_MOST_NAMED = 5


class Rows(NamedTuple):
    """Rows of the input, from the first to before the last, counted from 0."""

    start: int
    stop: int

    def __str__(self) -> str:
        return f"{self.start} to {self.stop - 1}" if self.size > 1 else f"{self.start}"

    @property
    def size(self) -> int:
        """How many."""
        return self.stop - self.start


def named(ranges: Sequence[Rows]) -> str:
    """Ranges of rows in words, the first few."""
    more = f" and {len(ranges) - _MOST_NAMED} more ranges" if len(ranges) > _MOST_NAMED else ""
    return ", ".join(map(str, ranges[:_MOST_NAMED])) + more


class Part(NamedTuple):
    """A file of rows that are done.

    Attributes:
        rows: of the input, that it is of.
        digest: of its content, as its name has it.
    """

    rows: Rows
    digest: str

    @property
    def name(self) -> str:
        """Of the file."""
        return f"part-{self.rows.start:012d}-{self.rows.stop:012d}-{self.digest}.parquet"


class Piece(NamedTuple):
    """The rows of a part that count: all, but for those that another one holds as well."""

    part: Part
    rows: Rows


def pieces_of(parts: Sequence[Part]) -> list[Piece]:
    """As few parts as hold all rows, each with those that none before it holds.

    Examples:
        >>> one, other = Part(Rows(0, 8), "a"), Part(Rows(4, 16), "b")
        >>> [str(piece.rows) for piece in pieces_of([other, one, one])]
        ['0 to 7', '8 to 15']
    """
    waiting = sorted(parts, key=lambda one: (one.rows.start, -one.rows.stop, one.digest))
    pieces: list[Piece] = []
    reached, place, best = 0, 0, None
    while True:
        # Of those that go on where the last one ends, the one that reaches farthest.
        while place < len(waiting) and waiting[place].rows.start <= reached:
            if best is None or waiting[place].rows.stop > best.rows.stop:
                best = waiting[place]
            place += 1
        if best is not None and best.rows.stop > reached:
            pieces.append(Piece(best, Rows(max(reached, best.rows.start), best.rows.stop)))
            reached = best.rows.stop
        elif place < len(waiting):
            reached = waiting[place].rows.start
        else:
            return pieces


def gaps_in(pieces: Sequence[Piece], rows: Rows) -> list[Rows]:
    """The rows that no piece holds.

    Examples:
        >>> gaps_in(pieces_of([Part(Rows(2, 4), "a")]), Rows(0, 8))
        [Rows(start=0, stop=2), Rows(start=4, stop=8)]
    """
    gaps, reached = [], rows.start
    for piece in pieces:
        if reached < min(piece.rows.start, rows.stop):
            gaps.append(Rows(reached, min(piece.rows.start, rows.stop)))
        reached = max(reached, piece.rows.stop)
    return [*gaps, Rows(reached, rows.stop)] if reached < rows.stop else gaps


@dataclass(frozen=True)
class JobFolder:
    """A folder in which a job writes its parts, and what was asked.

    Attributes:
        path: of the folder.
        job: what `job.json` holds: `id`, `rows` (of the input), `rows_per_unit` (that are explained
            together), `asked` (fingerprints and options), `described` (what is the same in all
            parts), `notes` (of whoever has begun it).
    """

    path: Path
    job: Mapping[str, Any]

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "JobFolder":
        """Read what was asked of the job in a folder.

        Raises:
            FileNotFoundError: if it holds no job.
            ValueError: if `job.json` is damaged, or of another version.
        """
        path = Path(path)
        file = path / JOB_FILE
        if not file.is_file():
            raise FileNotFoundError(
                f"{path} holds no job: it has no {JOB_FILE}; pass a folder that jaxcf.jobs.run or "
                "`jaxcf explain` wrote parts to"
            )
        job = read_json(file)
        if not isinstance(job, dict):
            raise ValueError(f"{file} is damaged: it holds no JSON object")
        check_format(file, job, FORMAT, SCHEMA_VERSION)
        for name, kind in _CONTENT.items():
            given = job.get(name)
            if not isinstance(given, kind) or (isinstance(given, int) and given < 0):
                raise ValueError(f"{file} is damaged: {name!r} is {given!r}")
        if job["rows_per_unit"] < 1 or job["id"] != job_id(job):
            raise ValueError(f"{file} is damaged: its id isn't that of what it holds")
        return cls(path, job)

    @property
    def rows(self) -> Rows:
        """Of the input, all of them."""
        return Rows(0, self.job["rows"])

    @property
    def parts_path(self) -> Path:
        """Where the parts lie."""
        return self.path / PARTS

    def parts(self) -> list[Part]:
        """The parts that are there, whatever they hold.

        Raises:
            ValueError: if one is of rows that the job hasn't.
        """
        found = []
        if self.parts_path.is_dir():
            with os.scandir(self.parts_path) as entries:
                for match in filter(None, (_NAME.fullmatch(entry.name) for entry in entries)):
                    rows = Rows(int(match[1]), int(match[2]))
                    if not rows.start < rows.stop <= self.rows.stop:
                        raise ValueError(
                            f"{self.parts_path / match[0]} is no part of this job, which has "
                            f"{self.rows.stop} rows; take it away"
                        )
                    found.append(Part(rows, match[3]))
        return found

    def pieces(self) -> list[Piece]:
        """What of which part counts, in the order of rows."""
        return pieces_of(self.parts())

    def missing(self, rows: Rows | None = None) -> list[Rows]:
        """The rows that no part holds.

        Args:
            rows: among which; None for all.
        """
        return gaps_in(self.pieces(), rows or self.rows)

    def file_of(self, part: Part) -> Path:
        """Where a part lies."""
        return self.parts_path / part.name

    def content_of(self, part: Part) -> bytes:
        """What a part's file holds, which is what its name says.

        Raises:
            FileNotFoundError: if it is gone.
            ValueError: if it holds anything else.
        """
        content = self.file_of(part).read_bytes()
        if digest_of(content) != part.digest:
            raise ValueError(
                f"{self.file_of(part)} is damaged: its content isn't what its name says; run the "
                "job again, which does its rows anew"
            )
        return content

    def write(
        self,
        rows: Rows,
        arrays: Mapping[str, np.ndarray],
        derived: Mapping[str, Any],
        description: Mapping[str, Any],
    ) -> Part:
        """Write a part: its content is on the disk before it has its name.

        Args:
            rows: of the input, that it is of.
            arrays: by their names in a file of explanations; "source_row" counts rows of the input.
            derived: further columns, which are for others to read.
            description: JSON-able.

        Returns:
            The part.
        """
        columns: dict[str, Any] = {_column_of(name): array for name, array in arrays.items()}
        columns[_STATUS] = [_STATUS_NAMES[Status(code)] for code in arrays[_STATUS].tolist()]
        first = {name: columns.pop(name) for name in (_ROW, _STATUS)}
        words = {**description, "job": self.job["id"], "start": rows.start, "stop": rows.stop}
        content = to_parquet({**first, **derived, **columns}, words)
        part = Part(rows, digest_of(content))
        write_atomically(self.file_of(part), lambda file: file.write(content))
        return part

    def read(self, piece: Piece) -> "JoinedParts":
        """The rows of a part that count.

        Raises:
            FileNotFoundError: if it is gone.
            ValueError: if it is damaged, or of another job.
        """
        return self.joined([piece])

    def joined(self, pieces: Sequence[Piece] | None = None) -> "JoinedParts":
        """The rows of some parts, one after the other.

        Args:
            pieces: which; None for all, none of which may be missing.

        Raises:
            FileNotFoundError: if a part is gone.
            ValueError: if a part is damaged, of another job or of other arrays than the others, or
                if rows are missing where all are asked for.
        """
        if pieces is None:
            pieces = self.pieces()
            gaps = gaps_in(pieces, self.rows)
            if gaps:
                raise ValueError(
                    f"{self.path} isn't complete: rows {named(gaps)} are missing of "
                    f"{self.rows.size}; run the same job again, which does what is missing"
                )
        if not pieces:
            raise ValueError(f"{self.path} holds no rows yet")
        read = [self._read(piece) for piece in pieces]
        problems = [one for _, words in read for one in words.get("problems", [])]
        metadata = self.metadata(read[0][1].get("settings", {}), problems)
        arrays = one_after_the_other([arrays for arrays, _ in read], self.path)
        return JoinedParts(self.path, arrays, metadata)

    def metadata(self, settings: Mapping[str, Any], problems: Sequence[Any]) -> dict[str, Any]:
        """The description of rows of this job, as a file of explanations has it.

        Args:
            settings: what produced them.
            problems: of a table, pairs of a row and why it couldn't be read.
        """
        metadata = _plain_copy(self.job["described"])
        core = metadata.get("explanations", metadata)
        core |= {"settings": settings, "seconds": {}}
        return metadata | {"problems": list(problems)} if core is not metadata else metadata

    def columns_of(self, part: Part) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """All columns of a part as they are, those for others too, and what it says of itself.

        Raises:
            FileNotFoundError: if it is gone.
            ValueError: if it is damaged, or of another job.
        """
        content = self.content_of(part)
        try:
            columns, words = from_parquet(content)
        except ValueError as error:
            raise ValueError(f"{self.file_of(part)} is damaged: {error}") from error
        if words.get("job") != self.job["id"]:
            raise ValueError(
                f"{self.file_of(part)} is of another job than {self.path / JOB_FILE}; take it away"
            )
        if (words.get("start"), words.get("stop")) != part.rows:
            raise ValueError(f"{self.file_of(part)} is damaged: it is of other rows than it says")
        return columns, words

    def _read(self, piece: Piece) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        part, rows = piece
        columns, words = self.columns_of(part)
        row = columns.get(_ROW, np.zeros(0))
        inside = row.dtype.kind in "iu" and ((row >= part.rows.start) & (row < part.rows.stop))
        if not np.all(inside) or not row.size:
            raise ValueError(f"{self.file_of(part)} is damaged: it holds other rows than it says")
        arrays = self._arrays(part, columns)
        if rows != part.rows:
            kept = (row >= rows.start) & (row < rows.stop)
            arrays = {name: array[kept] for name, array in arrays.items()}
            problems = words.get("problems", [])
            words["problems"] = [one for one in problems if rows.start <= one[0] < rows.stop]
        return arrays, words

    def unpacked_size(self, part: Part) -> int:
        """About how many bytes the arrays of a part take in memory.

        Raises:
            FileNotFoundError: if it is gone.
            ValueError: if it is damaged.
        """
        try:
            sizes = column_sizes(self.file_of(part))
        except ValueError as error:
            raise ValueError(f"{self.file_of(part)} is damaged: {error}") from error
        return sum(size for name, size in sizes.items() if not _is_derived(name))

    def _arrays(self, part: Part, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        arrays = {}
        for name, column in columns.items():
            if _is_derived(name):
                continue
            array = column
            if name == _STATUS:
                unknown = sorted(map(str, set(column.tolist()) - _STATUS_CODES.keys()))
                if unknown:
                    raise ValueError(f"{self.file_of(part)} is damaged: unknown status {unknown}")
                array = np.array([_STATUS_CODES[one] for one in column.tolist()], np.int8)
            elif column.dtype.kind == "O":
                array = np.array([str(one) for one in column.tolist()])
            arrays[_array_of(name)] = array
        return arrays


_CONTENT = {
    "id": str,
    "rows": int,
    "rows_per_unit": int,
    "asked": dict,
    "described": dict,
    "notes": dict,
}

# What makes a job another one.
_IDENTITY = ("rows", "rows_per_unit", "asked", "described")

_DIGITS = 32


def digest_of(content: bytes) -> str:
    """What a content is called by."""
    return hashlib.sha256(content).hexdigest()[:_DIGITS]


def job_id(job: Mapping[str, Any]) -> str:
    """What a job is called by, which follows from what was asked.

    Args:
        job: what `job.json` holds.
    """
    text = json_text({name: job[name] for name in _IDENTITY})
    return digest_of(text.encode())


@dataclass(frozen=True)
class JoinedParts:
    """The rows of some parts, as `ArrayFile` has those of a file.

    Attributes:
        path: of the job's folder, for messages.
        arrays: by name.
        metadata: their description.
    """

    path: Path
    arrays: Mapping[str, np.ndarray]
    metadata: dict[str, Any]

    @property
    def headers(self) -> Mapping[str, ArrayHeader]:
        """What the arrays are, by name."""
        return {name: ArrayHeader(one.dtype, one.shape) for name, one in self.arrays.items()}

    def read(self, rules: Mapping[str, ArrayRule] | None = None) -> dict[str, np.ndarray]:
        """The arrays.

        Args:
            rules: by name, whose `lowest`, `highest` and `codes` are to hold.

        Raises:
            ValueError: if one breaks its rule.
        """
        for name, rule in (rules or {}).items():
            check_values(self.path, name, self.arrays[name], rule)
        return dict(self.arrays)


@contextmanager
def open_explanations(
    path: str | os.PathLike[str],
) -> Iterator[ArrayFile | JoinedParts]:
    """Open explanations, in a file or in the parts of a job's folder.

    Raises:
        FileNotFoundError: if there is neither.
        ValueError: if they are damaged, or the job isn't complete.
    """
    if Path(path).is_dir():
        yield JobFolder.open(path).joined()
    else:
        with open_arrays(path) as file:
            yield file


def _is_derived(column: str) -> bool:
    return column in DERIVED or column.startswith((BEFORE, AFTER))


def _column_of(name: str) -> str:
    for prefix, short in _PREFIXES.items():
        if name.startswith(prefix):
            return short + name.removeprefix(prefix)
    return _ROW if name == "source_row" else name


def _array_of(column: str) -> str:
    for prefix, short in _PREFIXES.items():
        if column.startswith(short):
            return prefix + column.removeprefix(short)
    return "source_row" if column == _ROW else column


def _plain_copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain_copy(one) for key, one in value.items()}
    return value


def one_after_the_other(
    parts: Sequence[Mapping[str, np.ndarray]], path: str | os.PathLike[str] = "the job"
) -> dict[str, np.ndarray]:
    """The arrays of some rows, then those of others.

    Args:
        parts: arrays by name, as a file of explanations has them; what no row of a part has, such
            as a score, may be lacking in it.
        path: where they come from, for messages.

    Raises:
        ValueError: if they don't go together.
    """
    joined = {}
    for name in dict.fromkeys(name for part in parts for name in part):
        like = next(part[name] for part in parts if name in part)
        arrays = [part[name] if name in part else _nothing(name, part, like) for part in parts]
        known = [one for one in arrays if one is not None]
        if len(known) < len(arrays):
            raise ValueError(f"{path} is damaged: some of its parts lack {name}")
        if len({one.shape[1:] for one in known}) > 1 or len({one.dtype.kind for one in known}) > 1:
            raise ValueError(f"{path} is damaged: its parts differ in {name}")
        joined[name] = known[0] if len(known) == 1 else np.concatenate(known)
    return joined


# What a part lacks where none of its rows was searched, or needed it; else NaN stands for it.
_MAY_LACK = ("scores/", "history/", "path")
_ZERO_WHERE_LACKING = ("scores/line_search", "scores/interrupted")


def _nothing(name: str, part: Mapping[str, np.ndarray], like: np.ndarray) -> np.ndarray | None:
    if not name.startswith(_MAY_LACK):
        return None
    filling = 0 if name in _ZERO_WHERE_LACKING else np.nan
    return np.full((len(part["source_row"]), *like.shape[1:]), filling, like.dtype)
