"""A finished job, looked at by somebody who doesn't believe it: what of its claims holds.

The model is asked again about every row whose counterfactual is claimed, and about every original;
each counterfactual is held against the rules of its row; the rows are read again; every part is
held against its name, and what was asked against what is asked now.
"""

import math
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxcf.constraints import Constraints
from jaxcf.explainers.batch import Batch
from jaxcf.explainers.guide_answers import GuideAnswers
from jaxcf.explainers.snapping import snap_rows
from jaxcf.jobs.asking import AnyExplainer, differences
from jaxcf.jobs.job import Job, Results
from jaxcf.jobs.question import Question
from jaxcf.jobs.writing import unit_of
from jaxcf.predictors.blackbox import Failures
from jaxcf.predictors.inference import predict
from jaxcf.results.parts import JOB_FILE, Part, Piece, Rows, digest_of, gaps_in, named, pieces_of
from jaxcf.search.status import GIVEN_BACK, Status
from jaxcf.tabular.explainer import Relations
from jaxcf.tabular.explanations import TableExplanations
from jaxcf.tabular.final_rows import FinalRows
from jaxcf.tabular.rules import Rules
from jaxcf.utils.batching import batch_size
from jaxcf.utils.json_files import is_number, write_json
from jaxcf.version import __version__

CERTIFICATE_FILE = "certificate.json"

FORMAT = "jaxcf.certificate"
SCHEMA_VERSION = 1

# What the model said may have been said on another machine.
_PROBABILITY_TOLERANCE = 1e-3

# Coordinates of categories were learnt on another machine, perhaps.
_CODING_TOLERANCE = 1e-4

# Of a point that lies on its rules: what snapping it once more moves it by.
_SNAP_TOLERANCE = 1e-5

# A problem names no more rows than these.
_MOST_NAMED = 5

_COUNTED = ("parts", "bytes", "rows", "originals", "found", "rules", "fingerprints")

# A certificate says both; neither is wrong.
_MAY_DIFFER = ("versions",)

_NOT_CHECKED = (
    "that there is no nearer counterfactual",
    "that there is none where none was found",
    "steps, losses, prototypes and scores",
)


@dataclass(frozen=True)
class Certificate:
    """What a job claims, what of it was checked, and what doesn't hold.

    Attributes:
        claimed: counts, and what was asked.
        checked: how many of what were looked at again.
        problems: what doesn't hold, each in a sentence; empty where all of it does.
        content: a digest of all parts and of what was asked: another content has another.
    """

    claimed: Mapping[str, Any]
    checked: Mapping[str, int]
    problems: tuple[str, ...]
    content: str

    @property
    def holds(self) -> bool:
        """Whether nothing was found that doesn't hold."""
        return not self.problems

    def document(self) -> dict[str, Any]:
        """As JSON, with when it was made, and by which versions on what."""
        packages = ("jax", "jaxlib", "numpy", "pyarrow")
        return {
            "format": FORMAT,
            "schema_version": SCHEMA_VERSION,
            "holds": self.holds,
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "content": self.content,
            "claimed": dict(self.claimed),
            "checked": dict(self.checked),
            "not_checked": list(_NOT_CHECKED),
            "problems": list(self.problems),
            "by": {
                "jaxcf": __version__,
                "python": platform.python_version(),
                **{name: installed_version(name) for name in packages},
                "device": jax.devices()[0].device_kind,
            },
        }


def check(
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
) -> Certificate:
    """Check everything that a job's folder claims, and write `certificate.json` beside it.

    Args:
        explainer: as `jobs.run` was given it.
        data: likewise.
        folder: of the job.
        target: likewise.
        constraints: likewise.
        rules: likewise.
        relations: likewise.
        num_alternatives: likewise.
        labels: likewise.

    Returns:
        What was claimed and checked, with everything that doesn't hold named: parts that were
        changed, are missing or are of something else; rows that aren't those of the data; answers
        that aren't the model's; counterfactuals outside the rules.

    Raises:
        FileNotFoundError: if there is no job.
        ValueError: if what was asked is damaged, or something doesn't go with the explainer.
        TypeError: likewise.

    Examples:
        >>> import jax, tempfile
        >>> from jaxcf import Explainer, jobs
        >>> x = np.array([[0.2], [0.4], [-0.3], [-0.5]], np.float32)
        >>> fitted = Explainer(lambda x: jax.nn.softmax(x @ np.array([[4.0, -4.0]]))).fit(x)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     job = jobs.run(fitted, x, folder)
        ...     certificate = check(fitted, x, folder)
        >>> certificate.holds, certificate.checked["found"]
        (True, 4)
    """
    question = Question.of(
        explainer, data, target, constraints, rules, relations, num_alternatives, labels
    )
    checking = _Checking(question, Job.open(folder))
    certificate = checking.certificate()
    write(Path(folder), certificate)
    return certificate


def write(folder: Path, certificate: Certificate) -> None:
    """Write a certificate beside what it is of.

    Args:
        folder: of the job.
        certificate: of it.
    """
    write_json(folder / CERTIFICATE_FILE, certificate.document())


class _Checking:
    def __init__(self, question: Question, job: Job) -> None:
        self._question = question
        self._job = job
        self._failures = Failures(warn=False)
        self._problems: list[str] = []
        self._counts: dict[str, int] = dict.fromkeys(_COUNTED, 0)
        self._status: dict[str, int] = {}

    def certificate(self) -> Certificate:
        self._check_asked()
        parts = self._check_names()
        pieces = pieces_of(parts)
        gaps = gaps_in(pieces, self._job.folder.rows)
        if gaps:
            self._wrong(f"rows {named(gaps)} are missing")
        for piece in pieces:
            self._check_piece(piece)
        names = sorted(part.name for part in parts)
        claimed = {
            "rows": self._job.num_rows,
            "parts": len(parts),
            "status": self._status,
            "asked": self._job.folder.job["asked"],
        }
        content = digest_of("\n".join([self._job.folder.job["id"], *names]).encode())
        return Certificate(claimed, self._counts, tuple(self._problems), content)

    def _wrong(self, text: str) -> None:
        self._problems.append(text)

    def _check_asked(self) -> None:
        job = self._job.folder.job
        now = {"rows": self._question.num_rows, **self._question.asked()}
        then = {"rows": job["rows"], **job["asked"]}
        for asked in (now, then):
            for name in _MAY_DIFFER:
                asked.pop(name, None)
        for differing in differences(now, then):
            self._wrong(f"{JOB_FILE}: {differing}")
        described = self._question.described()
        for name, value in described.items():
            if not alike(value, job["described"].get(name), _CODING_TOLERANCE):
                self._wrong(f"{JOB_FILE}: {name} isn't that of the model")
        self._counts["fingerprints"] = len(now)

    def _check_names(self) -> list[Any]:
        folder = self._job.folder
        try:
            parts = folder.parts()
        except ValueError as error:
            self._wrong(str(error))
            return []
        known = {part.name for part in parts}
        if folder.parts_path.is_dir():
            for path in sorted(folder.parts_path.iterdir()):
                if path.name not in known and not path.name.startswith("."):
                    self._wrong(f"{path.name} is no part of this job")
        return parts

    def _check_piece(self, piece: Piece) -> None:
        folder, name = self._job.folder, piece.part.name
        try:
            size = folder.file_of(piece.part).stat().st_size
            explanations = self._job.read(piece)
            columns, words = folder.columns_of(piece.part)
        except (OSError, ValueError) as error:
            self._wrong(str(error))  # which names the part
            return
        self._counts["parts"] += 1
        self._counts["bytes"] += size
        for code, count in zip(*np.unique(explanations.status, return_counts=True), strict=True):
            status = Status(code).name.lower()
            self._status[status] = self._status.get(status, 0) + int(count)
        try:
            self._check_input(name, piece.part.rows, words)
            for wrong in _Rows(self._question, piece.rows, explanations, self._failures).all():
                self._wrong(f"{name}: {wrong}")
        except (ValueError, TypeError) as error:  # rows that can't even be asked about
            self._wrong(f"{name}: {error}")
            return
        if piece.rows == piece.part.rows:
            for wrong in _derived(piece.rows, explanations, columns):
                self._wrong(f"{name}: {wrong}")
        self._counts["rows"] += len(explanations)
        self._counts["originals"] += int((explanations.original_class >= 0).sum())
        self._counts["found"] += int(explanations.found.sum())
        self._counts["rules"] += int(explanations.found.sum())

    def _check_input(self, name: str, rows_of: Rows, words: Mapping[str, Any]) -> None:
        given = words.get("input", [])
        covered = [Rows(int(start), int(stop)) for start, stop, _ in given]
        said = pieces_of([Part(rows, "") for rows in covered])
        if gaps_in(said, rows_of):
            self._wrong(f"{name}: it doesn't say of which input it is")
        for rows, (_, _, digest) in zip(covered, given, strict=True):
            if self._question.digest(self._question.about(rows).rows) != digest:
                self._wrong(f"{name}: rows {rows} of the input are others now")


class _Rows:
    """The rows of one part, and what is asked about them."""

    def __init__(
        self, question: Question, rows: Rows, explanations: Results, failures: Failures
    ) -> None:
        self._explanations = explanations
        self._core = explanations.core
        self._state = question.state
        self._failures = failures
        self._batch: Batch = question.fitted.batch_of(question.about(rows))
        self._first = rows.start
        self._labels = None
        if question.labels is not None:
            self._labels = question.labels[rows.start : rows.stop]
        self._found = np.flatnonzero(explanations.found)

    def all(self) -> Iterator[str]:
        """Everything that doesn't hold."""
        batch = self._batch
        if not np.array_equal(self._core.source_row, batch.source_row + self._first):
            yield "its rows aren't those that were asked about"
            return
        if self._core.probabilities.shape[1] != self._state.num_classes:
            yield "its classes aren't those of the model"
            return
        if self._core.original.shape != batch.x.shape:
            yield "its rows have another shape than those of the input"
            return
        yield from self._input()
        yield from self._originals()
        if len(self._found):
            yield from self._counterfactuals()
            yield from self._rules()
        yield from self._given_back()

    def _named(self, wrong: Any, what: str) -> Iterator[str]:
        """One sentence about the rows where something is wrong; none where it is nowhere."""
        if wrong.any():
            rows = self._core.source_row[np.flatnonzero(wrong)]
            shown = ", ".join(map(str, rows[:_MOST_NAMED].tolist()))
            more = f" and {len(rows) - _MOST_NAMED} more" if len(rows) > _MOST_NAMED else ""
            yield f"rows {shown}{more}: {what}"

    def _input(self) -> Iterator[str]:
        core, final = self._core, self._batch.final_form
        if isinstance(final, FinalRows) and isinstance(self._explanations, TableExplanations):
            values = final.originals(self._batch.source_row)
            theirs = self._explanations.original_values
            yield from self._named(~_same(values, theirs), "original_values aren't the input's")
            if self._labels is not None and self._explanations.labels is not None:
                wanted = self._labels[self._batch.source_row].astype(str)
                wrong = wanted != np.asarray(self._explanations.labels).astype(str)
                yield from self._named(np.asarray(wrong), "labels aren't the input's")
        close = np.isclose(core.original, self._batch.x, rtol=0, atol=1e-6, equal_nan=True)
        different = ~close.reshape(len(close), -1).all(axis=1)
        yield from self._named(different, "original isn't the input's")

    def _originals(self) -> Iterator[str]:
        core, rows = self._core, np.flatnonzero(self._core.original_class >= 0)
        finite = np.isfinite(self._batch.x).reshape(len(core), -1).all(axis=1)
        skipped = finite & (core.original_class < 0) & (core.status != Status.MODEL_NOT_FINITE)
        yield from self._named(skipped, "original_class is left out")
        if not len(rows):
            return
        said = self._ask(rows, self._batch.x[rows], original=True)
        yield from self._compared(
            rows, said, core.original_class, core.original_probabilities, "original"
        )

    def _counterfactuals(self) -> Iterator[str]:
        core, rows = self._core, self._found
        said = self._ask(rows, core.counterfactual[rows], original=False)
        names = core.counterfactual_class, core.probabilities
        yield from self._compared(rows, said, *names, "counterfactual")
        decided = np.nan_to_num(said, nan=-1).argmax(axis=1)
        allowed = self._allowed[rows, decided]
        sure = said[np.arange(len(rows)), decided] > float(self._state.objective.confidence)
        yield from self._at(rows, ~allowed, "the new class isn't one that was asked for")
        yield from self._at(rows, ~sure, "the model isn't as sure as was asked for")
        if self._state.guides is not None:
            guides = GuideAnswers(self._state.guides, len(rows), said.shape[1])
            everyone = np.arange(len(rows))
            guides.ask(guides.counterfactual, everyone, core.counterfactual[rows], self._failures)
            yield from self._at(rows, ~guides.agree(decided), "too few guides agree")

    @property
    def _allowed(self) -> np.ndarray:
        allowed = self._batch.targets.allowed.copy()
        if self._batch.any_other:
            described = np.flatnonzero(self._core.original_class >= 0)
            allowed[described, self._core.original_class[described]] = False
        return allowed

    def _rules(self) -> Iterator[str]:
        core, rows, final = self._core, self._found, self._batch.final_form
        points = core.counterfactual[rows]
        if isinstance(final, FinalRows) and isinstance(self._explanations, TableExplanations):
            # What a table's own units allow: the exact values of the points, and no others.
            sources = self._batch.source_row[rows]
            exact = final.exact(points, sources)
            values = self._explanations.values[rows]
            lower, upper, _ = final.read.limits(sources)
            moved = ~((values == final.values[sources]) | np.isnan(values))
            outside = moved & ((values < lower) | (values > upper))
            yield from self._at(rows, ~_same(exact, values), "values aren't those of the point")
            yield from self._at(rows, outside.any(axis=1), "values lie outside the rules")
            if final.has_relations:
                broken = ~final.holds(values, sources)
                yield from self._at(rows, broken, "values break a relation between columns")
            return
        feasible = self._batch.feasible.of(rows)
        bounds = feasible[:3]
        outside = (points < bounds[0]) | (points > bounds[1])
        flat = outside.reshape(len(rows), -1).any(axis=1)
        yield from self._at(rows, flat, "counterfactual lies outside its range or its rules")
        snapped = snap_rows(
            points, self._batch.x[rows], bounds, batch_size(len(rows), points.shape[1:])
        )
        off = (np.abs(snapped - points) > _SNAP_TOLERANCE).reshape(len(rows), -1).any(axis=1)
        yield from self._at(rows, off & ~flat, "counterfactual isn't a value its rules allow")

    def _given_back(self) -> Iterator[str]:
        core = self._core
        back = np.isin(core.status, GIVEN_BACK)
        moved = ~_same(core.counterfactual, core.original)
        yield from self._named(back & moved, "a row that isn't searched was moved")
        already = core.status == Status.ALREADY_IN_TARGET
        rows = np.flatnonzero(already & (core.original_class >= 0))
        wrong = ~self._allowed[rows, core.original_class[rows]]
        yield from self._at(rows, wrong, "original_class isn't one that was asked for")
        unfinished = np.isin(core.status, (Status.INTERRUPTED, Status.RUNNING, Status.IDLE))
        yield from self._named(unfinished, "the search wasn't finished")

    def _ask(self, rows: np.ndarray, x: np.ndarray, *, original: bool) -> np.ndarray:
        state, final = self._state, self._batch.final_form
        if final is None:
            return predict(state.models, state.params, x, self._failures)
        sources = self._batch.source_row[rows]
        if original:
            return final.predict(final.originals(sources), sources, self._failures)
        assert isinstance(self._explanations, TableExplanations)
        values = self._explanations.values[rows]
        return final.predict(values, sources, self._failures)

    def _compared(
        self,
        rows: np.ndarray,
        said: np.ndarray,
        classes: np.ndarray,
        probabilities: np.ndarray,
        what: str,
    ) -> Iterator[str]:
        silent = ~np.isfinite(said).all(axis=1)
        yield from self._at(rows, silent, f"the model has no answer for the {what}")
        claimed = probabilities[rows]
        off = ~silent & (np.abs(claimed - said) > _PROBABILITY_TOLERANCE).any(axis=1)
        yield from self._at(rows, off, f"probabilities of the {what} aren't the model's")
        # On the very edge of a decision either is right, as long as the numbers are.
        given = np.clip(classes[rows], 0, said.shape[1] - 1)
        behind = said.max(axis=1) - said[np.arange(len(rows)), given]
        other = ~silent & ((behind > _PROBABILITY_TOLERANCE) | (classes[rows] < 0))
        yield from self._at(rows, other, f"class of the {what} isn't the model's decision")

    def _at(self, rows: np.ndarray, wrong: Any, what: str) -> Iterator[str]:
        everywhere = np.zeros(len(self._core), bool)
        everywhere[rows] = wrong
        yield from self._named(everywhere, what)


def alike(one: Any, other: Any, tolerance: float) -> bool:
    """Whether two values of JSON are equal, numbers but for what another machine makes of them.

    Args:
        one: a value.
        other: another one.
        tolerance: of numbers, as a share of them and beside that.

    Examples:
        >>> alike({"a": [1.0, None]}, {"a": [1.00001, None]}, 1e-4), alike(1, "1", 1e-4)
        (True, False)
    """
    if isinstance(one, dict) and isinstance(other, dict):
        known = one.keys() == other.keys()
        return known and all(alike(one[name], other[name], tolerance) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(alike(*pair, tolerance) for pair in pairs)
    numbers: Any = one, other
    if all(map(is_number, numbers)):
        return math.isclose(*numbers, rel_tol=tolerance, abs_tol=tolerance)
    return one == other


def _same(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Row by row, NaN where NaN is."""
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    return np.asarray(same.reshape(len(same), -1).all(axis=1))


def _derived(rows: Rows, explanations: Results, columns: Mapping[str, np.ndarray]) -> Iterator[str]:
    """Columns for others to read that don't follow from the rest."""
    for name, mine in unit_of(rows, explanations, "").derived.items():
        theirs = columns.get(name)
        if theirs is None or theirs.shape != mine.shape:
            yield f"the column {name} is missing"
        elif mine.dtype.kind == "f":
            if not np.allclose(mine, theirs, equal_nan=True):
                yield f"the column {name} doesn't follow from the rest"
        elif (mine != theirs).any():
            yield f"the column {name} doesn't follow from the rest"
