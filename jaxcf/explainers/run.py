"""One run over batches of rows on one engine: what is ready goes in, what has ended comes out."""

import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import jax

from jaxcf.explainers.batch import Batch, BatchSearch
from jaxcf.explainers.progress import OnProgress, Progress
from jaxcf.explainers.refinement import Refinement
from jaxcf.explainers.state import FittedState
from jaxcf.objective import Instance
from jaxcf.predictors.blackbox import Failures
from jaxcf.results.explanations import Explanations
from jaxcf.search.engine import Engine, Finished, Pending
from jaxcf.search.lanes import Traced
from jaxcf.search.options import EngineOptions, split_options
from jaxcf.search.status import Status
from jaxcf.utils import storage
from jaxcf.version import __version__


class ExplanationInterrupted(KeyboardInterrupt):
    """Ctrl-C during `explain`.

    Attributes:
        explanations: every row; those not finished have the status INTERRUPTED.
    """

    def __init__(self, explanations: Explanations) -> None:
        super().__init__("explaining was interrupted; .explanations holds what was finished")
        self.explanations = explanations


def make_engine(
    state: FittedState,
    num_levels: int | None,
    *,
    num_rows: int | None = None,
    failures: Failures | None = None,
    layout: EngineOptions | None = None,
    recorded: int | None = None,
) -> Engine:
    """The engine for the searches of a fitted explainer; it has compiled nothing yet.

    Args:
        state: whose models, options and trust the searches have.
        num_levels: the most values a feature is held to; None where no feature is held to a grid.
        num_rows: how many rows will come, if known.
        failures: told of what goes wrong when a black box is asked.
        layout: how the work is laid out; None takes the state's.
        recorded: how many evaluations of each search to record, with their points; None records
            what the search options say.
    """
    static_options, traced_options = split_options(state.search, state.objective)
    if recorded is not None:
        static_options = replace(static_options, history_length=recorded, path_length=recorded)
    return Engine(
        state.models,
        static_options,
        Traced(state.params, state.objective, traced_options, state.trust),
        layout or state.engine,
        Instance.shapes(state.shape, state.latent_shape, state.num_classes, num_levels),
        num_rows,
        failures,
    )


class Run:
    """Explains batches on one engine. Used once.

    Args:
        state: what was fitted.
        on_progress: called when rows have ended; a context manager is entered meanwhile.
        num_rows: how many rows will come, if known.
        num_levels: the most values a feature is held to; None where no feature is held to a grid.
    """

    def __init__(
        self,
        state: FittedState,
        on_progress: OnProgress | None,
        num_rows: int | None = None,
        num_levels: int | None = None,
    ) -> None:
        self._state = state
        self._on_progress = on_progress
        self._num_rows = num_rows
        self._num_levels = num_levels
        self._open: deque[BatchSearch] = deque()
        self._seconds = {"prototypes": state.seconds, "compile": 0.0, "search": 0.0}
        self._settings: dict[str, Any] = {}
        self._failures = Failures()
        if state.models.black_box is not None:
            known = state.answered_row[None]
            self._failures.answered(state.models.black_box.probabilities, known)
        self._began = time.perf_counter()
        self._done = 0
        self._found = 0

    def explain(self, batches: Iterable[Batch]) -> Generator[Explanations, None, None]:
        """Yield the explanations of each batch, in order."""
        shown = self._on_progress
        with shown if isinstance(shown, AbstractContextManager) else nullcontext():
            yield from self._explain(batches)

    def _explain(self, batches: Iterable[Batch]) -> Iterator[Explanations]:
        engine = self._engine = make_engine(
            self._state, self._num_levels, num_rows=self._num_rows, failures=self._failures
        )
        self._settings = self._describe_settings(engine)
        self._seconds["compile"] = engine.compile()
        self._search_began = time.perf_counter()
        prepared = self._seconds["prototypes"]
        for finished in engine.search(self._pending(batches)):
            self._route(finished)
            # Preparing rows happens inside the loop, but isn't the search.
            passed = time.perf_counter() - self._search_began
            self._seconds["search"] = passed - (self._seconds["prototypes"] - prepared)
            self._report()
            while self._open and self._open[0].complete:
                yield self._finish_first()
        if self._open:
            self._report()  # rows that can't be searched end without a step
        while self._open:
            yield self._finish_first()

    def unfinished(self, batch: Batch) -> Explanations:
        """The only batch as it stands, its missing rows marked INTERRUPTED."""
        self._failures.give_up()  # nobody waits for a model any more
        # The interrupt may have come before the batch was opened.
        opened = self._open[0] if self._open else BatchSearch(self._state, batch, 0, self._failures)
        return self._finish(opened)

    def _pending(self, batches: Iterable[Batch]) -> Iterator[Pending]:
        first_row = 0
        for batch in batches:
            opened = BatchSearch(self._state, batch, first_row, self._failures)
            self._open.append(opened)
            first_row += len(batch.x)
            prepared = opened.prepare()
            while True:
                began = time.perf_counter()
                refused = opened.refused
                pending = next(prepared, None)
                self._done += opened.refused - refused
                self._seconds["prototypes"] += time.perf_counter() - began
                if pending is None:
                    break
                yield pending

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

    def _search_again(self, batch: BatchSearch) -> None:
        """Search the rows once more that were lost while the model was out of reach."""
        began = time.perf_counter()
        self._failures.start_over()
        for finished in self._engine.search(batch.prepare_again()):
            batch.accept(finished)
            self._found += int((finished.status == Status.FOUND).sum())
            self._report()
        self._seconds["search"] += time.perf_counter() - began

    def _finish_first(self) -> Explanations:
        lost = self._open[0].status == Status.MODEL_NOT_FINITE
        if self._failures.outage and lost.any():
            self._search_again(self._open[0])
        finished = self._finish(self._open[0])
        self._open.popleft()
        return finished

    def _finish(self, batch: BatchSearch) -> Explanations:
        result = batch.finish(self._settings)
        self._seconds["total"] = self._state.seconds + time.perf_counter() - self._began
        return replace(result, seconds=dict(self._seconds))

    def _describe_settings(self, engine: Engine) -> dict[str, Any]:
        state = self._state
        settings = state.method_settings | {
            "lanes": engine.num_lanes,
            "device": jax.devices()[0].device_kind,
            "versions": {"jaxcf": __version__, "jax": jax.__version__},
        }
        if state.trust_threshold is not None:
            settings["trust_threshold"] = state.trust_threshold
        if state.refinement != Refinement():
            settings["refinement"] = vars(state.refinement)
        if state.models.black_box is not None:
            settings["black_box"] = state.models.black_box.settings()
        return storage.plain(settings)
