"""One run over batches of rows: prepare them, search them, describe what came out.

Rows that can't be searched never reach the engine: they get a status and keep their place.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcf import search, storage
from jaxcf.blackbox import Failures
from jaxcf.descriptions import describe_all, describe_all_results
from jaxcf.engine import Block, Engine, Finished
from jaxcf.explanations import Explanations
from jaxcf.objective import Instance, traced
from jaxcf.status import Status
from jaxcf.targets import Target, read_targets
from jaxcf.version import __version__

if TYPE_CHECKING:
    from jaxcf.explainer import FittedExplainer

# Rows that are predicted, encoded and given prototypes together, ahead of their search.
_PREPARED_TOGETHER = 4096


class FeatureRange(NamedTuple):
    """Smallest and largest allowed values.

    Attributes:
        lower: broadcasts to `*shape` or `[n, *shape]`.
        upper: likewise.
        strict: whether rows outside it are refused; else they may keep their own values.
    """

    lower: np.ndarray
    upper: np.ndarray
    strict: bool


class Batch(NamedTuple):
    """Rows to be explained, with what is asked of them."""

    x: np.ndarray
    target: Target
    feature_range: FeatureRange


class Progress(NamedTuple):
    """How far a run is.

    Attributes:
        done: rows finished.
        found: counterfactuals among them.
        total: rows known to come; None while streaming.
        seconds: since the search began.
    """

    done: int
    found: int
    total: int | None
    seconds: float


class ExplanationInterrupted(KeyboardInterrupt):
    """Ctrl-C during `explain`.

    Attributes:
        explanations: every row; those not finished have the status INTERRUPTED.
    """

    def __init__(self, explanations: Explanations) -> None:
        super().__init__("explaining was interrupted; .explanations holds what was finished")
        self.explanations = explanations


class _OpenBatch:
    """A batch whose rows are being searched: its arrays, filled row by row."""

    def __init__(
        self, explainer: "FittedExplainer", batch: Batch, first_row: int, failures: Failures
    ) -> None:
        self.first_row = first_row
        self._explainer = explainer
        self._failures = failures
        self._x = batch.x
        self._range = batch.feature_range
        n = len(batch.x)
        self._asked = read_targets(batch.target, n, explainer.num_classes)
        self._any_other = batch.target is None
        self.counterfactual = batch.x.copy()
        self.status = np.full(n, Status.IDLE, np.int8)
        self.steps = np.zeros(n, np.int32)
        self.predictions = np.zeros(n, np.int64)
        self.prediction_weight = np.full(n, np.nan, np.float32)
        self.original_class = np.full(n, -1, np.int32)
        self.original_probabilities = np.full((n, explainer.num_classes), np.nan, np.float32)
        self.target_class = np.full(n, -1, np.int32)
        self.targets = self._asked.allowed
        self.prototype = np.zeros((n, *explainer.latent_shape), np.float32)
        self.history: np.ndarray | None = None
        self.path: np.ndarray | None = None
        self.refused = 0
        self._prepared = False
        self._searched = 0
        self._mark_invalid_rows()

    def _mark_invalid_rows(self) -> None:
        flat_axes = tuple(range(1, self._x.ndim))
        finite = np.isfinite(self._x).all(axis=flat_axes)
        if self._range.strict:
            with np.errstate(invalid="ignore"):
                outside = (self._x < self._range.lower) | (self._x > self._range.upper)
            self.status[outside.any(axis=flat_axes)] = Status.OUT_OF_RANGE
        self.status[self._asked.unknown] = Status.UNKNOWN_TARGET
        self.status[~finite] = Status.INVALID_INPUT

    def prepare(self) -> Iterator[Block]:
        """Predict, encode and choose prototypes, a piece at a time; yield what can be searched."""
        for start in range(0, len(self._x), _PREPARED_TOGETHER):
            piece = np.arange(start, min(start + _PREPARED_TOGETHER, len(self._x)))
            rows = piece[self.status[piece] != Status.INVALID_INPUT]
            if len(rows):
                self._prepare_rows(rows)
                rows = rows[self.status[rows] == Status.RUNNING]
            self.refused += len(piece) - len(rows)
            if len(rows):
                self._searched += len(rows)
                yield Block(rows + self.first_row, self._instances(rows))
        self._prepared = True

    @property
    def complete(self) -> bool:
        """Whether every row that can be searched has been."""
        return self._prepared and not self._searched

    def _prepare_rows(self, rows: np.ndarray) -> None:
        explainer = self._explainer
        probabilities, encodings = describe_all(
            explainer.models, explainer.options.params, self._x[rows], self._failures
        )
        self.predictions[rows] += 1
        finite = np.isfinite(probabilities).all(axis=1)
        finite &= np.isfinite(encodings.reshape(len(rows), -1)).all(axis=1)
        encodings = np.where(finite.reshape(-1, *[1] * (encodings.ndim - 1)), encodings, 0)
        original_class = _argmax(probabilities)
        if self._any_other:
            self.targets[rows, original_class] = False
        selection = explainer.prototypes.select(encodings, self.targets[rows])

        status = np.full(len(rows), Status.RUNNING, np.int8)
        status[selection.target_class < 0] = Status.NO_PROTOTYPE
        status[self.targets[rows, original_class]] = Status.ALREADY_IN_TARGET
        status[~finite] = Status.MODEL_NOT_FINITE
        self.status[rows] = np.where(self.status[rows] == Status.IDLE, status, self.status[rows])
        self.original_probabilities[rows] = probabilities
        self.original_class[rows] = np.where(finite, original_class, -1)
        self.prototype[rows] = selection.prototype
        self.target_class[rows] = selection.target_class

    def _instances(self, rows: np.ndarray) -> Instance:
        x = self._x[rows]
        lower, upper = (
            np.broadcast_to(end, self._x.shape)[rows].astype(np.float32, copy=False)
            for end in (self._range.lower, self._range.upper)
        )
        if not self._range.strict:
            lower, upper = np.minimum(lower, x), np.maximum(upper, x)
        original_class, targets = self.original_class[rows], self.targets[rows]
        return Instance._make((x, original_class, targets, self.prototype[rows], lower, upper))

    def accept(self, finished: Finished) -> None:
        """Take over rows that have ended."""
        rows = finished.rows - self.first_row
        self.counterfactual[rows] = finished.counterfactual
        self.status[rows] = finished.status
        self.steps[rows] = finished.steps
        self.predictions[rows] += finished.predictions
        self.prediction_weight[rows] = finished.prediction_weight
        self.history = self._record(self.history, rows, finished.history)
        self.path = self._record(self.path, rows, finished.path)
        self._searched -= len(rows)

    def _record(
        self, kept: np.ndarray | None, rows: np.ndarray, recorded: np.ndarray
    ) -> np.ndarray | None:
        """Take over what was recorded at each evaluation; nothing where nothing was asked for."""
        if not recorded.shape[1]:
            return None
        if kept is None:
            kept = np.full((len(self._x), *recorded.shape[1:]), np.nan, np.float32)
        kept[rows] = recorded
        return kept

    def finish(self, settings: dict[str, Any]) -> Explanations:
        """Ask the models once more what the counterfactuals are, and put it all together."""
        self.status[np.isin(self.status, (Status.IDLE, Status.RUNNING))] = Status.INTERRUPTED
        objective = traced(self._explainer.objective)
        n = len(self._x)
        probabilities = np.full_like(self.original_probabilities, np.nan)
        losses = {name: np.full(n, np.nan, np.float32) for name in objective.term_names}
        described = np.flatnonzero(self.original_class >= 0)
        if len(described):
            weight = self.prediction_weight[described]
            first_weight = self._explainer.options.search.prediction_weight
            weight[np.isnan(weight)] = np.float32(first_weight)
            fresh, terms = describe_all_results(
                self._explainer.models,
                self._explainer.options.params,
                objective,
                self._instances(described),
                self.counterfactual[described],
                weight,
                self._failures,
            )
            self.predictions[described] += 1
            probabilities[described] = fresh
            for name, values in terms.items():
                losses[name][described] = values
        self._confirm(probabilities)
        counterfactual_class = np.where(
            np.isfinite(probabilities).all(axis=1), _argmax(probabilities), -1
        ).astype(np.int32)
        history = {
            name: self.history[:, :, index]
            for index, name in enumerate(objective.term_names)
            if self.history is not None
        }
        scores = {}
        if self._explainer.models.black_box is not None:
            scores["predictions"] = self.predictions.astype(np.float64)
        return Explanations(
            original=self._x,
            counterfactual=self.counterfactual,
            status=self.status,
            original_class=self.original_class,
            original_probabilities=self.original_probabilities,
            counterfactual_class=counterfactual_class,
            probabilities=probabilities,
            target_class=self.target_class,
            prototype=self.prototype,
            steps=self.steps,
            prediction_weight=self.prediction_weight,
            losses=losses,
            scores=scores,
            history=history,
            path=self.path,
            settings=settings,
        )

    def _confirm(self, probabilities: np.ndarray) -> None:
        found = np.flatnonzero(self.status == Status.FOUND)
        decided = _argmax(probabilities)[found]
        # A service may have failed meanwhile: no answer confirms nothing.
        confirmed = np.isfinite(probabilities[found]).all(axis=1) & self.targets[found, decided]
        self.status[found[~confirmed]] = Status.NOT_CONFIRMED


def _argmax(probabilities: np.ndarray) -> np.ndarray:
    return np.argmax(np.nan_to_num(probabilities, nan=-1.0), axis=1)


class Run:
    """Explains batches on one engine. Used once.

    Args:
        explainer: fitted.
        on_progress: called when rows have ended.
        num_rows: how many rows will come, if known.
    """

    def __init__(
        self,
        explainer: "FittedExplainer",
        on_progress: Callable[[Progress], None] | None,
        num_rows: int | None = None,
    ) -> None:
        self._explainer = explainer
        self._on_progress = on_progress
        self._num_rows = num_rows
        self._open: deque[_OpenBatch] = deque()
        self._seconds = {"prototypes": explainer.seconds, "compile": 0.0, "search": 0.0}
        self._settings: dict[str, Any] = {}
        self._failures = Failures()
        self._began = time.perf_counter()
        self._done = 0
        self._found = 0

    def explain(self, batches: Iterable[Batch]) -> Iterator[Explanations]:
        """Yield the explanations of each batch, in order."""
        explainer = self._explainer
        rule, limits = search.split_options(explainer.options.search, explainer.objective)
        engine = Engine(
            explainer.models,
            explainer.options.params,
            explainer.objective,
            rule,
            limits,
            explainer.options.engine,
            self._template(),
            self._num_rows,
            self._failures,
        )
        self._settings = self._describe_settings(engine)
        self._seconds["compile"] = engine.compile()
        self._search_began = time.perf_counter()
        prepared = self._seconds["prototypes"]
        for finished in engine.search(self._blocks(batches)):
            self._route(finished)
            # Preparing rows happens inside the loop, but isn't the search.
            passed = time.perf_counter() - self._search_began
            self._seconds["search"] = passed - (self._seconds["prototypes"] - prepared)
            self._report()
            while self._open and self._open[0].complete:
                yield self._finish_first()
        while self._open:
            yield self._finish_first()

    def unfinished(self, batch: Batch) -> Explanations:
        """The only batch as it stands, its missing rows marked INTERRUPTED."""
        # The interrupt may have come before the batch was opened.
        opened = (
            self._open[0] if self._open else _OpenBatch(self._explainer, batch, 0, self._failures)
        )
        return self._finish(opened)

    def _template(self) -> Instance:
        explainer = self._explainer
        shape, latent = explainer.shape, explainer.latent_shape
        original, prototype = ((dims, jnp.float32) for dims in (shape, latent))
        original_class, targets = ((), jnp.int32), ((explainer.num_classes,), jnp.bool_)
        leaves = (original, original_class, targets, prototype, original, original)
        return Instance._make(jax.ShapeDtypeStruct(*leaf) for leaf in leaves)

    def _blocks(self, batches: Iterable[Batch]) -> Iterator[Block]:
        first_row = 0
        for batch in batches:
            opened = _OpenBatch(self._explainer, batch, first_row, self._failures)
            self._open.append(opened)
            first_row += len(batch.x)
            blocks = opened.prepare()
            while True:
                began = time.perf_counter()
                refused = opened.refused
                block = next(blocks, None)
                self._done += opened.refused - refused
                self._seconds["prototypes"] += time.perf_counter() - began
                if block is None:
                    break
                yield block

    def _route(self, finished: Finished) -> None:
        for batch in self._open:
            mine = (finished.rows >= batch.first_row) & (
                finished.rows < batch.first_row + len(batch.status)
            )
            if mine.any():
                batch.accept(Finished(*(array[mine] for array in finished)))
        self._done += len(finished.rows)
        self._found += int((finished.status == Status.FOUND).sum())

    def _report(self) -> None:
        if self._on_progress is not None:
            seconds = time.perf_counter() - self._search_began
            self._on_progress(Progress(self._done, self._found, self._num_rows, seconds))

    def _finish_first(self) -> Explanations:
        finished = self._finish(self._open[0])
        self._open.popleft()
        return finished

    def _finish(self, batch: _OpenBatch) -> Explanations:
        result = batch.finish(self._settings)
        self._seconds["total"] = self._explainer.seconds + time.perf_counter() - self._began
        return replace(result, seconds=dict(self._seconds))

    def _describe_settings(self, engine: Engine) -> dict[str, Any]:
        explainer = self._explainer
        kind = explainer.prototypes.kind
        settings = {
            "objective": explainer.objective.settings(),
            "prototypes": {"kind": kind.name} | vars(kind),
            "search": explainer.options.search.settings(),
            "lanes": engine.num_lanes,
            "device": jax.devices()[0].device_kind,
            "versions": {"jaxcf": __version__, "jax": jax.__version__},
        }
        if explainer.models.black_box is not None:
            settings["black_box"] = explainer.models.black_box.settings()
        return storage.plain(settings)
