"""Rows that are finished, on their way into parts."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from jaxcf import metrics
from jaxcf.jobs.job import Results
from jaxcf.results import explanations as plain
from jaxcf.results.parts import (
    AFTER,
    BEFORE,
    JobFolder,
    Rows,
    gaps_in,
    one_after_the_other,
)
from jaxcf.tabular.columns import Numeric
from jaxcf.tabular.explanations import TableExplanations
from jaxcf.utils import json_files


class Unit(NamedTuple):
    """Rows that were explained together, ready to be written.

    Attributes:
        rows: of the input.
        arrays: by their names in a file, "source_row" counting rows of the input.
        derived: columns for others to read.
        problems: pairs of a row of the input and a message.
        settings: what produced them.
        digest: of the input.
    """

    rows: Rows
    arrays: Mapping[str, np.ndarray]
    derived: Mapping[str, np.ndarray]
    problems: list[list[Any]]
    settings: Mapping[str, Any]
    digest: str


def unit_of(rows: Rows, explanations: Results, digest: str) -> Unit:
    """What is written of explanations.

    Args:
        rows: of the input that they are of; `source_row` counts from the first of them.
        explanations: finished.
        digest: of these rows of the input.
    """
    core = explanations.core
    moved = replace(core, source_row=core.source_row.astype(np.int64) + rows.start)
    settings = {name: one for name, one in core.settings.items() if name != "batch"}
    change = core.perturbation
    derived: dict[str, Any] = {
        "found": core.found,
        "changed": explanations.num_changed.astype(np.int32),
        "l1": metrics.l1(change).astype(np.float64),
        "l2": metrics.l2(change).astype(np.float64),
    }
    problems = []
    arrays = plain.pack(moved)
    if isinstance(explanations, TableExplanations):
        arrays = replace(explanations, core=moved).packed()
        derived |= _in_units(explanations, explanations.original_values, BEFORE)
        derived |= _in_units(explanations, explanations.values, AFTER)
        known = explanations.problems.items()
        problems = [[int(row) + rows.start, message] for row, message in known]
    return Unit(rows, arrays, derived, problems, json_files.plain(settings), digest)


def _in_units(explanations: TableExplanations, values: np.ndarray, prefix: str) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for place, column in enumerate(explanations.coding.schema.columns):
        if isinstance(column, Numeric):
            columns[prefix + column.name] = values[:, place]
            continue
        # A category that is a number here would be a text there. The last stands for none.
        names = np.array([*map(str, column.categories), None], object)
        index = np.where(np.isnan(values[:, place]), len(column.categories), values[:, place])
        # All rows of a category share its text: a million texts would be walked by the garbage
        # collector again and again.
        columns[prefix + column.name] = names[index.astype(np.int64)]
    return columns


class Finished:
    """Units that are finished and not written yet, of which parts are made.

    Args:
        folder: of the job.
        rows_per_part: when so many rows have come, they are written; no part has more, but for a
            unit that has.
        seconds_per_part: when the first of them has waited so long, too.
    """

    def __init__(self, folder: JobFolder, rows_per_part: int, seconds_per_part: float) -> None:
        self._folder = folder
        self._most_rows = rows_per_part
        self._most_seconds = seconds_per_part
        self._units: list[Unit] = []
        self._since = time.monotonic()
        self.written = 0

    def add(self, unit: Unit) -> None:
        """Take over a unit; what is due is written."""
        if not self._units:
            self._since = time.monotonic()
        self._units.append(unit)
        self.write_due()

    def write_due(self) -> None:
        """Write what has waited for long, or is a part's worth."""
        waiting = sum(unit.rows.size for unit in self._units)
        if self._units and (
            waiting >= self._most_rows or time.monotonic() - self._since >= self._most_seconds
        ):
            self.write()

    def write(self) -> None:
        """Write all units, those that lie next to each other in one part."""
        if not self._units:
            return
        current = JobFolder.open(self._folder.path)
        if current.job["id"] != self._folder.job["id"]:
            raise ValueError(
                f"{self._folder.path} has been begun anew meanwhile, as another job; what this one "
                "has found isn't written"
            )
        pieces = current.pieces()
        for stretch in _stretches(sorted(self._units, key=lambda one: one.rows), self._most_rows):
            # Another process may have done the same rows, as well.
            fresh = [unit for unit in stretch if gaps_in(pieces, unit.rows) == [unit.rows]]
            for group in [fresh] if len(fresh) == len(stretch) else [[unit] for unit in fresh]:
                self._write(group)
            # Only now: an interrupt or a full disk leaves the others to be written.
            done = {unit.rows for unit in stretch}
            self._units = [unit for unit in self._units if unit.rows not in done]

    def _write(self, units: Sequence[Unit]) -> None:
        rows = Rows(units[0].rows.start, units[-1].rows.stop)
        arrays = one_after_the_other([unit.arrays for unit in units])
        derived = {
            name: np.concatenate([unit.derived[name] for unit in units])
            for name in units[0].derived
        }
        description = {
            "settings": units[0].settings,
            "problems": [one for unit in units for one in unit.problems],
            "input": [[*unit.rows, unit.digest] for unit in units],
        }
        self._folder.write(rows, arrays, derived, description)
        self.written += rows.size


def _stretches(units: Sequence[Unit], most_rows: int) -> list[list[Unit]]:
    """Units next to each other, together no more rows than that."""
    stretches: list[list[Unit]] = []
    for unit in units:
        last = stretches[-1] if stretches else []
        near = bool(last) and last[-1].rows.stop == unit.rows.start
        if near and unit.rows.stop - last[0].rows.start <= most_rows:
            last.append(unit)
        else:
            stretches.append([unit])
    return stretches
