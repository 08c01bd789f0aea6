"""A job that is on the disk: how far it is, and its rows, as a whole or part by part."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from jaxcf.results.explanations import Explanations
from jaxcf.results.parts import JobFolder, JoinedParts, Piece, Rows, one_after_the_other
from jaxcf.tabular import explanations as tables
from jaxcf.tabular.explanations import TableExplanations

Results = Explanations | TableExplanations


@dataclass(frozen=True)
class Job:
    """A job in a folder, whole or not.

    Attributes:
        folder: its parts, and what was asked.
        seconds: wall time by part of the work, of the call that gave this; empty where none did.
    """

    folder: JobFolder
    seconds: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "Job":
        """The job in a folder.

        Raises:
            FileNotFoundError: if it holds none.
            ValueError: if what was asked is damaged.
        """
        return cls(JobFolder.open(path))

    def __repr__(self) -> str:
        missing = sum(one.size for one in self.missing())
        return f"Job({self.folder.path}: {self.num_rows - missing} of {self.num_rows} rows)"

    @property
    def path(self) -> Path:
        """Of the folder."""
        return self.folder.path

    @property
    def num_rows(self) -> int:
        """Of the input."""
        return self.folder.rows.size

    @property
    def is_table(self) -> bool:
        """Whether the rows of a table are explained."""
        return self.folder.job["described"].get("format") == tables.FORMAT

    def missing(self, shard: tuple[int, int] | None = None) -> list[Rows]:
        """The rows that aren't done.

        Args:
            shard: which of how many, such as (3, 16); None for the whole job.
        """
        return self.folder.missing(shard_of(self.folder, shard))

    @property
    def complete(self) -> bool:
        """Whether every row is done."""
        return not self.missing()

    def load(self) -> Results:
        """All rows at once.

        Raises:
            ValueError: if some are missing, or a part is damaged.
        """
        return self._kind.load(self.path)

    def stream(self) -> Iterator[Results]:
        """The rows that are done, part by part, in their order; `source_row` counts all rows.

        Yields:
            What one part holds, so many rows as were written at once.

        Raises:
            ValueError: if a part is damaged.
        """
        for piece in self.folder.pieces():
            yield self.read(piece)

    def sample(self, count: int) -> Results:
        """Rows that lie evenly among all that are done, part by part: memory holds no more.

        Args:
            count: how many rows of the input, at most.

        Raises:
            ValueError: if a part is damaged, or no row is done.
        """
        chosen = np.unique(np.linspace(0, self.num_rows - 1, count).astype(np.int64))
        arrays, problems, settings = [], [], {}
        for piece in self.folder.pieces():
            wanted = chosen[(chosen >= piece.rows.start) & (chosen < piece.rows.stop)]
            if not len(wanted):
                continue
            part = self.folder.read(piece)
            kept = np.isin(part.arrays["source_row"], wanted)
            arrays.append({name: array[kept] for name, array in part.arrays.items()})
            known = set(wanted.tolist())
            problems += [one for one in part.metadata.get("problems", []) if one[0] in known]
            settings = settings or part.metadata.get("explanations", part.metadata)["settings"]
        if not arrays:
            raise ValueError(f"{self.path} holds no rows yet")
        return self.whole(one_after_the_other(arrays, self.path), problems, settings)

    @property
    def num_bytes(self) -> int:
        """About how much memory all rows would take, going by the first part; 0 without one.

        Raises:
            ValueError: if that part is damaged.
        """
        for piece in self.folder.pieces()[:1]:
            size = self.folder.unpacked_size(piece.part)
            return size * self.num_rows // piece.part.rows.size
        return 0

    def read(self, piece: Piece) -> Results:
        """The rows of one part.

        Args:
            piece: as `folder.pieces()` has it.

        Raises:
            ValueError: if it is damaged.
        """
        return self._kind.read(self.folder.file_of(piece.part), self.folder.read(piece))

    def whole(
        self, arrays: Mapping[str, np.ndarray], problems: list[Any], settings: Mapping[str, Any]
    ) -> Results:
        """Explanations of arrays, in any order of rows, with what is the same in all parts.

        Args:
            arrays: by their names in a file of explanations, "source_row" counting all rows.
            problems: pairs of a row and a message.
            settings: what produced them.

        Raises:
            ValueError: if they make none.
        """
        order = np.argsort(arrays["source_row"], kind="stable")
        metadata = self.folder.metadata(settings, problems)
        sorted_arrays = {name: array[order] for name, array in arrays.items()}
        return self._kind.read(self.path, JoinedParts(self.path, sorted_arrays, metadata))

    @property
    def _kind(self) -> type[Explanations] | type[TableExplanations]:
        return TableExplanations if self.is_table else Explanations


def shard_of(folder: JobFolder, shard: tuple[int, int] | None) -> Rows:
    """The rows of a shard: whole units, next to each other, as many as those of the others.

    Args:
        folder: of the job.
        shard: which of how many, from 1; None for all rows.

    Raises:
        ValueError: if there is no such shard.
    """
    if shard is None:
        return folder.rows
    number, count = shard
    if not 1 <= number <= count:
        raise ValueError(f"shard={number}/{count} is none; expected 1/{count} to {count}/{count}")
    size = folder.job["rows_per_unit"]
    units = -(-folder.rows.stop // size)
    start, stop = ((units * one // count) * size for one in (number - 1, number))
    return Rows(start, max(start, min(stop, folder.rows.stop)))
