"""A job that survives: rows are written as they finish, and the same call goes on where it was.

Rows are explained in units that lie fixed among the rows of the input, so that an answer doesn't
depend on who did which rows, nor on what was there before. No process waits for another or tells it
anything: each looks at the names in the folder, does what is missing there of its share, and writes
parts that nobody writes again. What two processes do at the same time is done twice, with equal
answers, and counts once.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from jaxcf.constraints import Constraints
from jaxcf.explainers.fitted import Asked
from jaxcf.explainers.progress import OnProgress, Progress
from jaxcf.explainers.state import FittedState
from jaxcf.jobs.asking import AnyExplainer, differences, in_words
from jaxcf.jobs.job import Job, Results, shard_of
from jaxcf.jobs.question import Question
from jaxcf.jobs.sources import frame_in
from jaxcf.jobs.writing import Finished, unit_of
from jaxcf.predictors.guides import black_boxes
from jaxcf.results.parts import (
    FORMAT,
    JOB_FILE,
    PARTS,
    SCHEMA_VERSION,
    JobFolder,
    Rows,
    gaps_in,
    job_id,
    one_after_the_other,
    pieces_of,
)
from jaxcf.tabular.explainer import Relations
from jaxcf.tabular.rules import Rules
from jaxcf.utils.files import remove_leftovers, write_once
from jaxcf.utils.interrupts import Interrupts, told_to_end
from jaxcf.utils.json_files import json_text, plain
from jaxcf.utils.numbers import check_number, check_whole
from jaxcf.utils.timing import timed

# Rows of one unit: many enough that what is done for them together costs little (a model outside
# JAX is asked about all of them at once), few enough that they are seconds of work.
_MOST_PER_UNIT, _MOST_OUTSIDE_JAX, _LEAST_PER_UNIT = 8192, 1024, 64
_NUMBERS_PER_UNIT = 2**20

# How often a process looks for what others have done, at most.
_SECONDS_BETWEEN_LOOKS = 60.0


@dataclass(frozen=True)
class JobOptions:
    """How a job is written. None of it changes an answer.

    Args:
        rows_per_part: no part has more rows, >= 1.
        seconds_per_part: finished rows wait no longer until they are written, > 0.
        rows_per_unit: how many rows are explained together, >= 1: what is lost where a process is
            killed are the units that it had begun. None takes 8192, or 1024 with models outside
            JAX; fewer (64 at least) where rows are large, or such a model takes fewer rows per
            call. It is fixed when a job is begun.

    Raises:
        TypeError: if one is no number.
        ValueError: if one is out of its range.
    """

    rows_per_part: int = 65_536
    seconds_per_part: float = 30.0
    rows_per_unit: int | None = None

    def __post_init__(self) -> None:
        check_whole("rows_per_part", self.rows_per_part)
        check_number("seconds_per_part", self.seconds_per_part, above=0)
        if self.rows_per_unit is not None:
            check_whole("rows_per_unit", self.rows_per_unit)


class AnotherJob(ValueError):
    """The folder holds another job than is asked for; `args` say which, and in what it differs."""

    def __str__(self) -> str:
        """In what it differs, and what to do in Python."""
        return (
            f"{self.args[0]}. Choose another folder, or begin anew with restart=True, which takes "
            "away what is there"
        )


class JobInterrupted(KeyboardInterrupt):
    """Ctrl-C, SIGTERM or SIGHUP during `run`: what was finished is written, the same call goes on.

    Attributes:
        job: as it is now.
        signal: the number of the signal that it was; None for Ctrl-C.
    """

    def __init__(
        self,
        job: Job,
        signal: int | None = None,
        as_it_stands: Callable[[Job], Results] | None = None,
    ) -> None:
        super().__init__(f"the job was interrupted: {job!r}; the same call goes on")
        self.job = job
        self.signal = signal
        self._as_it_stands = as_it_stands

    def explanations(self) -> Results:
        """Every row as it stands, as `ExplanationInterrupted` has them; they must fit in memory.

        Rows that aren't written are INTERRUPTED, or FOUND with `scores["interrupted"]` 1 where
        their search had found something.

        Raises:
            ValueError: in another process than that in which the job was interrupted.
        """
        if self._as_it_stands is None:
            raise ValueError("only the process whose job was interrupted knows how far it was")
        return self._as_it_stands(self.job)

    def __reduce__(self) -> Any:
        """Pickle what another process can use: the job on the disk, and what ended it."""
        return JobInterrupted, (self.job, self.signal)


def run(
    explainer: AnyExplainer | Callable[[], AnyExplainer],
    data: Any,
    folder: str | os.PathLike[str],
    *,
    target: Any = None,
    constraints: Constraints | None = None,
    rules: Rules | None = None,
    relations: Relations | None = None,
    num_alternatives: int = 1,
    labels: Any = None,
    shard: tuple[int, int] | None = None,
    restart: bool = False,
    options: JobOptions = JobOptions(),
    scored: Callable[[Any], Any] | None = None,
    notes: Mapping[str, Any] | None = None,
    on_progress: OnProgress | None = None,
) -> Job:
    """Explain rows, written to a folder as they finish; the same call goes on where it was.

    Args:
        explainer: a fitted one, of arrays or of a table, or a function without arguments that makes
            one.
        data: `[n, *shape]`, arrays mapped from a file included; or a table; or a `RowSource`, whose
            rows are read by ranges, those that are missing alone.
        folder: where to: `job.json` says what was asked, `parts/` holds the rows.
        target: as `explain` takes it; where it is given by row, of all rows of `data`.
        constraints: of an explainer of arrays, likewise.
        rules: of an explainer of a table, likewise.
        relations: between the columns of a table.
        num_alternatives: counterfactuals per row and target.
        labels: one per row of a table, what they are called; None takes the index of a DataFrame.
        shard: which of how many, such as (3, 16), from 1: its rows alone are done. Processes with
            different shards may run at the same time, on as many machines; those with the same do
            no harm.
        restart: whether what the folder holds of another job is taken away. Only without `shard`.
        options: how parts are written.
        scored: given the explanations of some rows, gives them with further scores, which are
            written with them.
        notes: JSON-able, kept in `job.json`.
        on_progress: as for `explain`; counts rows that were there before as done.

    Returns:
        The job, with these rows done.

    Raises:
        TypeError: if the explainer is none.
        ValueError: if the folder holds another job (the message says in what it differs), an option
            doesn't go with the others, or as `explain`.
        OSError: if the folder can't be written (any more); what is written stays.
        JobInterrupted: on Ctrl-C, SIGTERM or SIGHUP, once finished rows are written.

    Examples:
        >>> import jax, tempfile
        >>> from jaxcf import Explainer
        >>> x = np.array([[0.2], [0.4], [-0.3], [-0.5]], np.float32)
        >>> fitted = Explainer(lambda x: jax.nn.softmax(x @ np.array([[4.0, -4.0]]))).fit(x)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     half = run(fitted, x, folder, shard=(1, 2), options=JobOptions(rows_per_unit=2))
        ...     half.missing(), run(fitted, x, folder).load().found.all()
        ([Rows(start=2, stop=4)], np.True_)
    """
    question = Question.of(
        explainer, data, target, constraints, rules, relations, num_alternatives, labels
    )
    if restart and shard is not None:
        raise ValueError("restart takes away the parts of all shards; call it once, without shard")
    begun = begin(question, Path(folder), restart, options, notes or {})
    return do_rows(question, begun, shard_of(begun, shard), options, scored, on_progress)


def do_rows(
    question: Question,
    folder: JobFolder,
    rows: Rows,
    options: JobOptions,
    scored: Callable[[Any], Any] | None = None,
    on_progress: OnProgress | None = None,
) -> Job:
    """Do what is missing of some rows of a job, whole units of it.

    Args:
        question: of the job; its source is asked for these rows and no others.
        folder: of the job, which is begun.
        rows: those to be done.
        options: as `run` takes them.
        scored: likewise.
        on_progress: likewise.

    Returns:
        The job, with these rows done.

    Raises:
        OSError: as `run`.
        JobInterrupted: likewise.
    """
    tidy(folder, rows)
    if not folder.missing(rows):
        return Job(folder)
    return Job(folder, _Task(question, folder, rows, options, scored, on_progress).do())


def begin(
    question: Question,
    folder: Path,
    restart: bool,
    options: JobOptions,
    notes: Mapping[str, Any],
) -> JobFolder:
    """The job in the folder, which is this one; begun if there is none.

    Args:
        question: what is asked.
        folder: where the job is to be.
        restart: whether what it holds of another job is taken away.
        options: how parts are written.
        notes: JSON-able.

    Raises:
        AnotherJob: if the folder holds one.
        ValueError: if it holds parts of nobody knows what.
    """
    asked = question.asked()
    if restart:
        remove(folder)
    if not (folder / JOB_FILE).exists():
        if any((folder / PARTS).glob("part-*")):
            raise ValueError(
                f"{folder / PARTS} holds parts, but nothing says of what: there is no {JOB_FILE}; "
                "take them away, or choose another folder"
            )
        job = {
            "format": FORMAT,
            "schema_version": SCHEMA_VERSION,
            "rows": question.num_rows,
            "rows_per_unit": options.rows_per_unit or usual_rows_per_unit(question.state),
            "asked": asked,
            # Which kind of frame it was is no part of what is asked: `check` may be given another.
            "described": question.described() | frame_in(question.source),
            "notes": plain(notes),
        }
        text = json_text({"id": job_id(job), **job}).encode()
        # Of many that begin at once, one says what it is, and the others find it.
        write_once(folder / JOB_FILE, lambda file: file.write(text))
    found = JobFolder.open(folder)
    wanted = options.rows_per_unit or found.job["rows_per_unit"]
    differing = differences(
        {"rows": question.num_rows, "rows_per_unit": wanted, **asked},
        {name: found.job[name] for name in ("rows", "rows_per_unit")} | found.job["asked"],
    )
    if differing:
        raise AnotherJob(f"{folder} holds another job: {in_words(differing)}")
    return found


def usual_rows_per_unit(state: FittedState) -> int:
    """How many rows are explained together where nobody says, see `JobOptions`."""
    calls = [box.max_rows_per_call for box in black_boxes(state.models, state.guides).values()]
    wanted = min(
        _NUMBERS_PER_UNIT // max(1, int(np.prod(state.shape))),
        *(most for most in calls if most is not None),
        _MOST_OUTSIDE_JAX if calls else _MOST_PER_UNIT,
    )
    return max(_LEAST_PER_UNIT, 1 << max(0, wanted.bit_length() - 1))


def remove(folder: Path) -> None:
    """Take a job away: its parts, then what was asked. Whatever stops this, it is the same job.

    Args:
        folder: of the job; it may hold none.
    """
    parts = folder / PARTS
    for one in [*parts.glob("part-*"), folder / JOB_FILE]:
        one.unlink(missing_ok=True)
    remove_leftovers(parts)
    with suppress(OSError):  # files of others lie there
        parts.rmdir()


def tidy(folder: JobFolder, rows: Rows) -> list[str]:
    """Take away what a killed process has left, and parts of these rows that don't count.

    Args:
        folder: of the job.
        rows: whose parts are read.

    Returns:
        The names of those that were damaged.
    """
    damaged = []
    for place in (folder.path, folder.parts_path):
        remove_leftovers(place)
    parts = folder.parts()
    counting = {piece.part for piece in pieces_of(parts)}
    for part in parts:
        if part.rows.stop <= rows.start or part.rows.start >= rows.stop:
            continue
        try:
            if part in counting:
                folder.content_of(part)
                continue
        except FileNotFoundError:
            continue
        except ValueError:  # its rows are done anew
            damaged.append(part.name)
        folder.file_of(part).unlink(missing_ok=True)
    return damaged


class _Task:
    """What one call does of a job."""

    def __init__(
        self,
        question: Question,
        folder: JobFolder,
        rows: Rows,
        options: JobOptions,
        scored: Callable[[Any], Any] | None,
        on_progress: OnProgress | None,
    ) -> None:
        self._question = question
        self._folder = folder
        self._rows = rows
        self._scored = scored
        self._finished = Finished(folder, options.rows_per_part, options.seconds_per_part)
        self._on_progress = on_progress
        self._begun: list[tuple[Rows, str]] = []
        self._open: dict[Rows, Results] = {}
        self._explaining: Mapping[str, float] = {}
        self._others: dict[str, float] = {}

    def do(self) -> Mapping[str, float]:
        """Do what is missing of these rows; the seconds it took by part of the work."""
        with told_to_end() as ended:
            try:
                self._explain()
                self._write()
            except KeyboardInterrupt:
                self._write()
                job = Job(self._folder, self._seconds())
                raise JobInterrupted(job, ended.by, self._as_it_stands) from None
            except BaseException:
                with suppress(OSError, ValueError):  # the first error is the one to be told
                    self._write()
                raise
        return self._seconds()

    def _seconds(self) -> dict[str, float]:
        total = self._explaining.get("total", 0.0) + sum(self._others.values())
        return {**self._explaining, **self._others, "total": total}

    def _write(self) -> None:
        with Interrupts() as interrupts, timed(self._others, "parts"):
            self._finished.write()
        interrupts.check()

    def _write_due(self) -> None:
        with timed(self._others, "parts"):
            self._finished.write_due()

    def _explain(self) -> None:
        missing = sum(one.size for one in self._folder.missing(self._rows))
        per_row = self._question.searches_per_row
        stream = self._question.fitted.stream_asked(
            self._asked(),
            # Of all rows of the job: what is compiled, and so the answers, are the same whoever
            # does how many of them.
            num_rows=self._folder.rows.size * per_row,
            in_order=False,
            on_progress=_Told(
                self._on_progress,
                self._write_due,
                (self._rows.size - missing) * per_row,
                self._rows.size * per_row,
            ),
        )
        with closing(stream):
            for explanations in stream:
                rows, digest = self._begun[explanations.settings["batch"]]
                self._explaining = explanations.core.seconds
                if "interrupted" in explanations.scores:
                    self._open[rows] = explanations
                    self._write()
                    continue
                self._take(rows, self._question.labelled(rows, explanations), digest)

    def _take(self, rows: Rows, explanations: Results, digest: str) -> None:
        try:
            scored = explanations
            if self._scored is not None:
                with timed(self._others, "scores"):
                    scored = self._scored(explanations)
        except KeyboardInterrupt:
            self._open[rows] = explanations
            raise
        with Interrupts() as interrupts, timed(self._others, "parts"):
            self._finished.add(unit_of(rows, scored, digest))
        interrupts.check()

    def _asked(self) -> Iterator[Asked]:
        """What is missing, unit by unit; what others have done meanwhile is left out."""
        size = self._folder.job["rows_per_unit"]
        looked, pieces = -np.inf, []
        for start in range(self._rows.start, self._rows.stop, size):
            rows = Rows(start, min(start + size, self._rows.stop))
            if time.monotonic() - looked > _SECONDS_BETWEEN_LOOKS:
                looked, pieces = time.monotonic(), self._folder.pieces()
            if not gaps_in(pieces, rows):
                continue
            asked = self._question.about(rows)
            self._begun.append((rows, self._question.digest(asked.rows)))
            yield asked

    def _as_it_stands(self, job: Job) -> Results:
        """Rows that are written, those that were begun, and the others untouched."""
        size = job.folder.job["rows_per_unit"]
        pieces = job.folder.pieces()
        arrays, problems = [], []
        settings: Mapping[str, Any] = {}
        if pieces:
            joined = job.folder.joined(pieces)
            arrays.append(joined.arrays)
            problems += joined.metadata.get("problems", [])
            settings = joined.metadata.get("explanations", joined.metadata)["settings"]
        for gap in job.missing():
            for start in range(gap.start // size * size, gap.stop, size):
                rows = Rows(max(start, gap.start), min(start + size, gap.stop))
                explanations = self._open.get(rows)
                if explanations is None:
                    question = self._question
                    explanations = question.fitted.untouched(question.about(rows))
                unit = unit_of(rows, self._question.labelled(rows, explanations), "")
                arrays.append(unit.arrays)
                problems += unit.problems
                settings = settings or unit.settings
        return job.whole(one_after_the_other(arrays), problems, settings)


class _Told(AbstractContextManager["_Told"]):
    """Progress of a job: rows that were there before count as done; what is due is written."""

    def __init__(
        self, shown: OnProgress | None, write_due: Callable[[], None], before: int, total: int
    ) -> None:
        self._shown = shown
        self._write_due = write_due
        self._before = before
        self._total = total
        self._contexts = ExitStack()

    def __enter__(self) -> "_Told":
        if isinstance(self._shown, AbstractContextManager):
            self._contexts.enter_context(self._shown)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._contexts.close()

    def __call__(self, progress: Progress) -> None:
        self._write_due()
        if self._shown is not None:
            self._shown(progress._replace(done=progress.done + self._before, total=self._total))
