"""One run over batches of rows on one engine: what is ready goes in, what has ended comes out."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from jaxcf.constraints import Grid
from jaxcf.explainers.batch import Batch, BatchSearch
from jaxcf.explainers.progress import OnProgress, Progress
from jaxcf.explainers.refinement import Refinement
from jaxcf.explainers.state import FittedState
from jaxcf.objective import Instance
from jaxcf.predictors.blackbox import Failures
from jaxcf.predictors.guides import black_boxes
from jaxcf.results.explanations import Explanations
from jaxcf.search.engine import Engine, Finished, Pending
from jaxcf.search.lanes import Traced
from jaxcf.search.options import split_options
from jaxcf.search.status import Status
from jaxcf.utils.interrupts import Interrupts
from jaxcf.utils.json_files import plain
from jaxcf.utils.threads import Workers
from jaxcf.utils.timing import timed
from jaxcf.version import __version__

# Rows of batches that have begun and aren't given out yet, per lane: the slowest row takes about so
# many times the steps of the others.
_ROWS_PER_LANE = 32


class ExplanationInterrupted(KeyboardInterrupt):
    """Ctrl-C during `explain`.

    What had been found by then is asked of the model once more, as ever; `Refinement` is left out.
    A second Ctrl-C ends that as well: what isn't confirmed by then isn't called found.

    Attributes:
        explanations: every row. FOUND are those whose search had found something, ended or not;
            the others that weren't finished have the status INTERRUPTED. `scores["interrupted"]` is
            1 for both kinds: a search to the end might find a nearer one.
    """

    def __init__(self, explanations: Explanations) -> None:
        super().__init__("explaining was interrupted; .explanations holds what was found by then")
        self.explanations = explanations


def make_engine(
    state: FittedState,
    grid: Grid | None,
    *,
    num_rows: int | None = None,
    failures: Failures | None = None,
    interrupts: Interrupts | None = None,
) -> Engine:
    """The engine for the searches of a fitted explainer; it has compiled nothing yet.

    Args:
        state: whose models, options and trust the searches have.
        grid: of one row, as shapes and types; None where no feature is held to one.
        num_rows: how many rows will come, if known.
        failures: told of what goes wrong when a black box is asked.
        interrupts: allowed wherever the search waits.
    """
    static_options, traced_options = split_options(state.search, state.objective)
    return Engine(
        state.models,
        static_options,
        Traced(state.params, state.objective, traced_options, state.trust, state.guides),
        state.engine,
        Instance.shapes(state.shape, state.latent_shape, state.num_classes, grid),
        num_rows,
        failures,
        interrupts,
    )


class Run:
    """Explains batches on one engine. Used once.

    Args:
        state: what was fitted.
        on_progress: called when rows have ended; a context manager is entered meanwhile.
        num_rows: how many rows will come, if known.
        grid: of one row, as shapes and types; None where no feature is held to one.
    """

    def __init__(
        self,
        state: FittedState,
        on_progress: OnProgress | None,
        num_rows: int | None = None,
        grid: Grid | None = None,
    ) -> None:
        self._state = state
        self._on_progress = on_progress
        self._num_rows = num_rows
        self._grid = grid
        self._engine: Engine | None = None
        self._open: dict[int, BatchSearch] = {}
        self._open_rows = 0
        parts = ("compile", "search", "refinement")
        self._seconds = {"prototypes": state.seconds, **dict.fromkeys(parts, 0.0)}
        # Where others have the word: who takes the explanations, and who is told of progress.
        self._elsewhere = {"caller": 0.0}
        self._settings: dict[str, Any] = {}
        self._failures = Failures()
        for box in black_boxes(state.models, state.guides).values():
            self._failures.answered(box, box.probabilities, state.answered_rows[:1])
        self._began = time.perf_counter()
        self._search_began: float | None = None
        self._done = 0
        self._found = 0
        self._already_in_target = 0
        self._interrupts = Interrupts()
        self._workers = Workers()
        self._interruptions = 0
        self._source_error: Exception | None = None

    def explain(self, batch: Batch) -> Explanations:
        """The explanations of one batch.

        Raises:
            ExplanationInterrupted: on Ctrl-C.
        """
        answers = self._answers([batch], in_order=True)
        explanations = None
        try:
            _, explanations = next(answers)
            answers.close()
        except KeyboardInterrupt:
            self._interruptions += 1
        if explanations is None:  # the interrupt came before the batch was begun
            explanations = self.untouched(batch)
        if self._interruptions or self._interrupts.noticed:
            raise ExplanationInterrupted(explanations) from None
        return explanations

    def untouched(self, batch: Batch) -> Explanations:
        """A batch as it stands before its search: rows that weren't looked at are INTERRUPTED."""
        self._interruptions = max(1, self._interruptions)
        return self._finish(BatchSearch(self._state, batch, 0, self._failures, self._workers))

    def stream(
        self, batches: Iterable[Batch], *, in_order: bool = True
    ) -> Generator[Explanations, None, None]:
        """Yield the explanations of each batch; its number is `settings["batch"]`.

        Args:
            batches: pulled when lanes fall free.
            in_order: whether a batch waits for those before it, and what comes after it for what
                memory it may take meanwhile; else each comes as soon as it is finished.

        Raises:
            KeyboardInterrupt: on Ctrl-C, once every batch that was begun has come as it stands.
            Exception: of `batches`, once every batch before it has come.
        """
        with closing(self._answers(batches, in_order)) as answers:
            for number, explanations in answers:
                settings = {**explanations.settings, "batch": number}
                yield replace(explanations, settings=settings)

    def _answers(
        self, batches: Iterable[Batch], in_order: bool
    ) -> Generator[tuple[int, Explanations], None, None]:
        shown = self._on_progress
        context = shown if isinstance(shown, AbstractContextManager) else nullcontext()
        with context, self._workers:
            work = self._work(batches, in_order)
            while True:
                # Not where the caller has the word.
                with self._interrupts:
                    answer = next(work, None)
                if answer is None:
                    return
                with timed(self._elsewhere, "caller"):
                    yield answer

    def _work(self, batches: Iterable[Batch], in_order: bool) -> Iterator[tuple[int, Explanations]]:
        try:
            yield from self._search(batches, in_order)
        except GeneratorExit:
            raise
        except BaseException as error:
            self._take_interrupt(error)
            self._count_search()
            self._until_interrupted_again(1, self._accept_stopped)
        for number in list(self._open):
            yield self._give_out(number)
        if self._interruptions or self._interrupts.noticed:
            raise KeyboardInterrupt
        if self._source_error is not None:
            raise self._source_error

    def _search(
        self, batches: Iterable[Batch], in_order: bool
    ) -> Iterator[tuple[int, Explanations]]:
        with self._interrupts.allowed():
            engine = self._engine = make_engine(
                self._state,
                self._grid,
                num_rows=self._num_rows,
                failures=self._failures,
                interrupts=self._interrupts,
            )
            self._settings = self._describe_settings(engine)
            self._seconds["compile"] = engine.compile()
        self._search_began = time.perf_counter()
        for finished in engine.search(self._pending(batches, _ROWS_PER_LANE * engine.num_lanes)):
            self._route(finished)
            self._count_search()
            self._report()
            for number in self._complete(in_order):
                self._search_lost(self._open[number])
                yield self._give_out(number)
        if self._open:
            self._report()  # rows that can't be searched end without a step
        for batch in self._open.values():
            self._search_lost(batch)

    def _pending(self, batches: Iterable[Batch], most_rows: int) -> Iterator[Pending | None]:
        source = iter(batches)
        number = first_row = 0
        while True:
            while len(self._open) > 1 and self._open_rows >= most_rows:
                yield None
            with self._interrupts.allowed():
                try:
                    batch = next(source, None)
                except Exception as error:
                    self._source_error, batch = error, None
            if batch is None:
                return
            opened = BatchSearch(self._state, batch, first_row, self._failures, self._workers)
            self._open[number] = opened
            # One at least: a batch without rows takes some memory, too.
            self._open_rows += max(1, len(batch.x))
            number, first_row = number + 1, first_row + len(batch.x)
            yield from self._prepared(opened, opened.prepare())

    def _prepared(self, batch: BatchSearch, pending: Iterator[Pending]) -> Iterator[Pending]:
        while True:
            began = time.perf_counter()
            refused, already = batch.refused, batch.already_in_target
            with self._interrupts.allowed():
                one = next(pending, None)
            self._done += batch.refused - refused
            self._already_in_target += batch.already_in_target - already
            self._seconds["prototypes"] += time.perf_counter() - began
            if one is None:
                return
            yield one

    def _search_lost(self, batch: BatchSearch) -> None:
        """Search the rows once more that were lost while the model was out of reach."""
        lost = batch.status == Status.MODEL_NOT_FINITE
        if self._engine is None or not (self._failures.outage and lost.any()):
            return
        self._failures.start_over()
        for finished in self._engine.search(self._prepared(batch, batch.prepare_again())):
            batch.accept(finished)
            self._found += int((finished.status == Status.FOUND).sum())
            self._count_search()
            self._report()

    def _route(self, finished: Finished) -> None:
        """Give rows that have ended back to their batches."""
        opened = list(self._open.values())
        of_batch = np.searchsorted([one.first_row for one in opened], finished.rows, "right") - 1
        for place in np.unique(of_batch):
            mine = of_batch == place
            opened[place].accept(Finished(*(array[mine] for array in finished)))
        self._done += len(finished.rows)
        self._found += int((finished.status == Status.FOUND).sum())

    def _count_search(self) -> None:
        if self._search_began is not None:
            # All of these happen during the search, but aren't it.
            preparing = self._seconds["prototypes"] - self._state.seconds
            others = preparing + self._seconds["refinement"] + self._elsewhere["caller"]
            self._seconds["search"] = time.perf_counter() - self._search_began - others

    def _report(self) -> None:
        if self._on_progress is not None and self._search_began is not None:
            seconds = time.perf_counter() - self._search_began
            with self._interrupts.allowed(), timed(self._elsewhere, "caller"):
                self._on_progress(
                    Progress(
                        self._done, self._found, self._num_rows, seconds, self._already_in_target
                    )
                )

    def _complete(self, in_order: bool) -> Iterator[int]:
        for number, batch in list(self._open.items()):
            if batch.complete:
                yield number
            elif in_order:
                return

    def _give_out(self, number: int) -> tuple[int, Explanations]:
        explanations = self._finish(self._open[number])
        self._open_rows -= max(1, len(explanations))
        del self._open[number]
        return number, explanations

    def _finish(self, batch: BatchSearch) -> Explanations:
        def refine() -> None:
            with self._interrupts.allowed():
                batch.refine()

        def look() -> None:
            with self._interrupts.allowed():
                batch.look(in_pieces=self._interruptions > 0)

        with timed(self._seconds, "refinement"):
            self._until_interrupted_again(0, refine)
            self._until_interrupted_again(1, look)
            result = batch.explanations(self._settings)
        own = time.perf_counter() - self._began - self._elsewhere["caller"]
        self._seconds["total"] = self._state.seconds + own
        return replace(result, seconds=dict(self._seconds))

    def _accept_stopped(self) -> None:
        for finished in self._engine.stopped() if self._engine is not None else ():
            if len(finished.rows):
                self._route(finished)

    def _until_interrupted_again(self, most: int, work: Callable[[], None]) -> None:
        """Do something, unless there have been more interrupts than that; if need be once more."""
        while self._interruptions <= most:
            try:
                work()
                return
            except BaseException as error:
                self._take_interrupt(error)

    def _take_interrupt(self, error: BaseException) -> None:
        """Take note of an interrupt, or of what became of one inside a compiled program."""
        if not isinstance(error, KeyboardInterrupt) and not self._interrupts.noticed:
            raise error
        self._interrupts.taken()
        self._interruptions += 1
        self._failures.give_up()  # nobody waits for a model any more

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
        return plain(settings)
