"""A job done by workers of Ray, over a data set of Ray; parts and all else are those of `run`.

A stream of Ray's has no row numbers: blocks come in the order of the data set where that is asked
for, but none knows its place, and joining them with a range of numbers holds everything in memory.
So the data set is read twice. First in order, which says how many rows there are, which input it is
and what each block of rows holds; then block by block, by whichever worker is free, which finds the
place of a block by what is in it. So the order of the stream isn't relied on: a data set that gives
other rows the second time is refused, and rows that are equal may change places. Nothing is kept
but a digest per unit of rows.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from jaxcf.constraints import Constraints
from jaxcf.explainers.fitted import FittedExplainer
from jaxcf.jobs.asking import AnyExplainer
from jaxcf.jobs.job import Job
from jaxcf.jobs.question import Question, fitted_by
from jaxcf.jobs.running import JobInterrupted, JobOptions, begin, do_rows, usual_rows_per_unit
from jaxcf.jobs.sources import RowsDigest, digest_of_rows
from jaxcf.results.parts import JOB_FILE, JobFolder, Rows, named
from jaxcf.tabular.explainer import Relations
from jaxcf.tabular.rules import Rules
from jaxcf.utils.numbers import check_number, check_whole

# Blocks for each worker, at least: where they were few, some workers would wait for the others.
_BLOCKS_PER_WORKER = 4

_USUAL = JobOptions()


def ray_data(
    explainer: AnyExplainer | Callable[[], AnyExplainer],
    dataset: Any,
    folder: str | os.PathLike[str],
    *,
    columns: str | Sequence[str] | None = None,
    num_workers: int = 1,
    num_cpus: float = 1.0,
    num_gpus: float = 0.0,
    target: Any = None,
    constraints: Constraints | None = None,
    rules: Rules | None = None,
    relations: Relations | None = None,
    num_alternatives: int = 1,
    labels: Any = None,
    restart: bool = False,
    options: JobOptions = _USUAL,
    scored: Callable[[Any], Any] | None = None,
    notes: Mapping[str, Any] | None = None,
) -> Job:
    """Explain a data set of Ray by workers of its cluster; otherwise as `run`, which can go on.

    The folder is one of `run`, to the last bit of every answer: either goes on with what the other
    has begun, and is gathered and checked likewise. Rows that the folder holds aren't explained
    again. A worker that is killed costs the rows that it hadn't written; Ray starts another.

    Args:
        explainer: a function without arguments that makes a fitted explainer, called once by each
            worker and once before; or a fitted one that can be pickled.
        dataset: `ray.data.Dataset` that gives the same rows in the same order each time it is read,
            which it is twice; `dataset.materialize()` where reading is slow and memory large.
        folder: as for `run`; on a file system that all workers share.
        columns: of the data set, for an explainer of arrays: one that holds arrays (or images), or
            several of numbers, which become the features in this order. None takes those that it
            was fitted with by name, else the only one.
        num_workers: how many explain at the same time, >= 1, each with an engine of its own.
        num_cpus: of each worker, as Ray counts them, >= 0. Reading needs some as well.
        num_gpus: of each worker, likewise.
        target: as for `run`.
        constraints: likewise.
        rules: likewise.
        relations: likewise.
        num_alternatives: likewise.
        labels: likewise; a data set has none of its own.
        restart: likewise.
        options: likewise.
        scored: likewise; it is pickled.
        notes: likewise.

    Returns:
        The job, with all rows done.

    Raises:
        ImportError: if Ray isn't installed.
        TypeError: if the data set isn't Ray's, or the explainer is none.
        ValueError: as `run`; or if columns aren't there, or the data set gave other rows when it
            was read again.
        ray.exceptions.RayTaskError: around what a worker raised.
        JobInterrupted: on Ctrl-C; rows that weren't written yet are lost.

    Examples:
        >>> dataset = ray.data.read_parquet("s3://...")  # doctest: +SKIP
        >>> job = ray_data(make_explainer, dataset, "run", num_workers=16)  # doctest: +SKIP
        >>> job = run(make_explainer, frame, "run")  # goes on without Ray  # doctest: +SKIP
    """
    try:
        ray, data = import_module("ray"), import_module("ray.data")
    except ImportError as error:
        raise ImportError('Ray isn\'t installed; pip install "jaxcf[ray]"') from error
    if not isinstance(dataset, data.Dataset):
        raise TypeError(
            f"dataset is a {type(dataset).__name__}; expected a ray.data.Dataset, such as "
            "ray.data.read_parquet gives"
        )
    check_whole("num_workers", num_workers)
    check_number("num_cpus", num_cpus, least=0)
    check_number("num_gpus", num_gpus, least=0)
    question = {
        "target": target,
        "constraints": constraints,
        "rules": rules,
        "relations": relations,
        "num_alternatives": num_alternatives,
        "labels": labels,
    }
    asked = _Asked(explainer, question, Path(folder).absolute(), options, scored)
    resources = {"num_cpus": num_cpus, "num_gpus": num_gpus}
    try:
        _explain(ray, asked, dataset, columns, num_workers, resources, restart, notes or {})
    except KeyboardInterrupt:
        if not (asked.folder / JOB_FILE).exists():
            raise
        raise JobInterrupted(Job.open(asked.folder)) from None
    job = Job.open(folder)
    if not job.complete:
        raise ValueError(
            f"the data set gave other rows when it was read again: rows {named(job.missing())} are "
            "missing. It must give the same rows in the same order each time; pass "
            "dataset.materialize(), which keeps them"
        )
    return job


@dataclass(frozen=True)
class _Asked:
    """What travels to workers: a job, as `run` is given it, but for its input."""

    explainer: Any
    question: Mapping[str, Any]
    folder: Path
    options: JobOptions
    scored: Callable[[Any], Any] | None


@dataclass(frozen=True)
class _Input:
    """A data set that has been read once.

    Attributes:
        read: how its batches become rows.
        num_rows: how many.
        text: which they are.
        rows_per_block: that one worker does at a time, whole units.
        places: where blocks begin, by the digest of their rows.
    """

    read: "_Reading"
    num_rows: int
    text: str
    rows_per_block: int
    places: Mapping[str, Sequence[int]]


class _Held:
    """A job's input, of which the rows of one block are in memory."""

    def __init__(self, known: _Input, given: Any = None, start: int = 0) -> None:
        self._known = known
        self._given = given
        self._start = start

    def __len__(self) -> int:
        return self._known.num_rows

    def rows(self, start: int, stop: int) -> Any:
        window = slice(start - self._start, stop - self._start)
        if isinstance(self._given, Mapping):
            return {name: column[window] for name, column in self._given.items()}
        return self._given[window]

    def fingerprint(self) -> str:
        return self._known.text


@dataclass(frozen=True)
class _Reading:
    """Which columns of a data set are the rows.

    Attributes:
        columns: their names.
        is_table: whether they are those of a table; else they make one array.
    """

    columns: tuple[str, ...]
    is_table: bool

    def rows_of(self, batch: Mapping[str, np.ndarray]) -> Any:
        """The rows of a batch, as `run` would be given them."""
        chosen = {name: batch[name] for name in self.columns}
        if self.is_table:
            return chosen
        arrays = list(chosen.values())
        array = arrays[0] if len(arrays) == 1 else np.stack(arrays, axis=1)
        if array.dtype.hasobject:
            raise ValueError(
                f"{', '.join(self.columns)} of the data set don't hold arrays of numbers of one "
                "shape; bring them to one with dataset.map_batches first"
            )
        return array

    @property
    def names(self) -> tuple[str, ...] | None:
        """Of the columns of a table."""
        return self.columns if self.is_table else None


class _Beginner:
    """Makes the explainer and begins the job, where workers run: so nobody else needs a GPU."""

    def __init__(self, asked: _Asked) -> None:
        self._asked = asked
        self._fitted = fitted_by(asked.explainer)

    def reading(self, columns: Sequence[str] | None, there: Sequence[str]) -> _Reading:
        fitted = self._fitted
        is_table = not isinstance(fitted, FittedExplainer)
        if is_table and columns is not None:
            raise ValueError("columns= is for explainers of arrays; that of a table knows its own")
        wanted = fitted.coding.schema.names if is_table else columns or fitted.feature_names
        if wanted is None and len(there) > 1:
            raise ValueError(
                f"the data set has the columns {', '.join(there)}; say by columns= which of them "
                "hold the rows"
            )
        wanted = tuple(there if wanted is None else wanted)
        lacking = [name for name in wanted if name not in there]
        if lacking:
            raise ValueError(
                f"the data set lacks the columns {', '.join(map(repr, lacking))}; it has "
                f"{', '.join(map(repr, there))}"
            )
        return _Reading(wanted, is_table)

    def rows_per_unit(self, restart: bool) -> int:
        """Of the job that is there, or of the one to be begun."""
        asked, fitted = self._asked, self._fitted
        if not restart and (asked.folder / JOB_FILE).exists():
            return JobFolder.open(asked.folder).job["rows_per_unit"]
        state = fitted if isinstance(fitted, FittedExplainer) else fitted.of_coordinates
        return asked.options.rows_per_unit or usual_rows_per_unit(state)

    def begin(self, known: _Input, restart: bool, notes: Mapping[str, Any]) -> None:
        asked = self._asked
        question = Question.of(self._fitted, _Held(known), **asked.question)
        begin(question, asked.folder, restart, asked.options, notes)


class _Worker:
    """Does blocks of rows, each as `run` does a shard, on one engine."""

    def __init__(self, asked: _Asked, known: _Input) -> None:
        self._asked = asked
        self._known = known
        self._question = Question.of(asked.explainer, _Held(known), **asked.question)
        # Its explainer is another one than that of the others, where machines differ.
        self._folder = begin(self._question, asked.folder, False, asked.options, {})

    def __call__(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        known = self._known
        given = known.read.rows_of(batch)
        size = self._folder.job["rows_per_unit"]
        count = len(batch[known.read.columns[0]])
        block = _Held(known, given)
        units = [
            digest_of_rows(block.rows(start, start + size), known.read.names)
            for start in range(0, count, size)
        ]
        # None where the data set gives other rows than before: those then lack at the end.
        starts = known.places.get(_key(units), ())
        for start in starts:  # equal rows, more than once
            question = replace(self._question, source=_Held(known, given, start))
            rows = Rows(start, start + count)
            do_rows(question, self._folder, rows, self._asked.options, self._asked.scored)
        return {"start": np.array(starts), "rows": np.full(len(starts), count)}


def _explain(
    ray: Any,
    asked: _Asked,
    dataset: Any,
    columns: str | Sequence[str] | None,
    num_workers: int,
    resources: Mapping[str, float],
    restart: bool,
    notes: Mapping[str, Any],
) -> None:
    columns = (columns,) if isinstance(columns, str) else columns
    # It takes no CPU from those who read meanwhile.
    beginner = ray.remote(**{**resources, "num_cpus": 0})(_Beginner).remote(asked)
    try:
        there = tuple(dataset.columns())
        read = ray.get(beginner.reading.remote(columns, there))
        size = ray.get(beginner.rows_per_unit.remote(restart))
        chosen = dataset.select_columns(list(read.columns))
        with _in_order(chosen):
            known = _read(chosen, read, size, asked.options.rows_per_part, num_workers)
            ray.get(beginner.begin.remote(known, restart, notes))
            ray.kill(beginner)  # its GPU is for a worker
            done = chosen.repartition(
                target_num_rows_per_block=known.rows_per_block, strict=True
            ).map_batches(
                _Worker,
                batch_size=None,
                batch_format="numpy",
                fn_constructor_args=(asked, known),
                compute=ray.data.ActorPoolStrategy(size=num_workers),
                **resources,
            )
            for _ in done.iter_batches(batch_size=None):
                pass
    finally:
        ray.kill(beginner)


@contextmanager
def _in_order(dataset: Any) -> Iterator[None]:
    options = dataset.context.execution_options
    before, options.preserve_order = options.preserve_order, True
    try:
        yield
    finally:
        options.preserve_order = before


def _read(dataset: Any, read: _Reading, size: int, rows_per_part: int, num_workers: int) -> _Input:
    """Read a data set once, unit by unit in its order."""
    whole, units = RowsDigest(read.names), []
    for batch in dataset.iter_batches(batch_size=size, batch_format="numpy"):
        rows = read.rows_of(batch)
        whole.add(rows)
        units.append(digest_of_rows(rows, read.names))
    if not units:
        raise ValueError("there are no rows to be explained; a job needs one at least")
    shared = -(-len(units) // (_BLOCKS_PER_WORKER * num_workers))
    per_block = max(1, min(shared, rows_per_part // size))
    places: dict[str, list[int]] = {}
    for start in range(0, len(units), per_block):
        places.setdefault(_key(units[start : start + per_block]), []).append(start * size)
    return _Input(read, whole.num_rows, whole.text, per_block * size, places)


def _key(units: Sequence[str]) -> str:
    return " ".join(units) if len(units) == 1 else digest_of_rows(np.array(units), None)
