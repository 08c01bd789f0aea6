"""One run over batches of rows on one engine: what is ready goes in, what has ended comes out."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import jax
import jax.numpy as jnp

from jaxcf import search, storage
from jaxcf.batches import Batch, OpenBatch
from jaxcf.blackbox import Failures
from jaxcf.constraints import Grid
from jaxcf.engine import Block, Engine, EngineOptions, Finished
from jaxcf.explanations import Explanations
from jaxcf.objective import Instance
from jaxcf.refinement import Refinement
from jaxcf.search import Limits, Rule
from jaxcf.status import Status
from jaxcf.version import __version__

if TYPE_CHECKING:
    from jaxcf.fitted_explainer import FittedExplainer


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


def engine_of(
    explainer: "FittedExplainer",
    rule: Rule,
    limits: Limits,
    options: EngineOptions,
    num_levels: int | None,
    num_rows: int | None = None,
    failures: Failures | None = None,
) -> Engine:
    """The engine for a fitted explainer.

    Args:
        explainer: whose models, objective and trust the searches have.
        rule: the static search options.
        limits: the traced search options.
        options: the layout.
        num_levels: the most values a feature is held to; None where no feature is held to a grid.
        num_rows: how many rows will come, if known.
        failures: told of what goes wrong when a black box is asked.

    Returns:
        An engine that has compiled nothing yet.
    """
    shape, latent = explainer.shape, explainer.latent_shape
    original, prototype = (jax.ShapeDtypeStruct(dims, jnp.float32) for dims in (shape, latent))
    original_class = jax.ShapeDtypeStruct((), jnp.int32)
    targets = jax.ShapeDtypeStruct((explainer.num_classes,), jnp.bool_)
    grid = None
    if num_levels is not None:
        levels = jax.ShapeDtypeStruct((*shape, num_levels), jnp.float32)
        grid = Grid(*cast(Any, (original, original, levels)))
    leaves = (original, original_class, targets, prototype, original, original)
    return Engine(
        explainer.models,
        explainer.options.params,
        explainer.objective,
        rule,
        limits,
        options,
        Instance(*cast(Any, leaves), grid=grid),
        num_rows,
        failures,
        explainer.trust,
    )


class Run:
    """Explains batches on one engine. Used once.

    Args:
        explainer: fitted.
        on_progress: called when rows have ended; a context manager is entered meanwhile.
        num_rows: how many rows will come, if known.
        num_levels: the most values a feature is held to; None where no feature is held to a grid.
    """

    def __init__(
        self,
        explainer: "FittedExplainer",
        on_progress: Callable[[Progress], None] | None,
        num_rows: int | None = None,
        num_levels: int | None = None,
    ) -> None:
        self._explainer = explainer
        self._on_progress = on_progress
        self._num_rows = num_rows
        self._num_levels = num_levels
        self._open: deque[OpenBatch] = deque()
        self._seconds = {"prototypes": explainer.seconds, "compile": 0.0, "search": 0.0}
        self._settings: dict[str, Any] = {}
        self._failures = Failures()
        self._began = time.perf_counter()
        self._done = 0
        self._found = 0

    def explain(self, batches: Iterable[Batch]) -> Generator[Explanations, None, None]:
        """Yield the explanations of each batch, in order."""
        shown = self._on_progress
        with shown if isinstance(shown, AbstractContextManager) else nullcontext():
            yield from self._explain(batches)

    def _explain(self, batches: Iterable[Batch]) -> Iterator[Explanations]:
        explainer = self._explainer
        rule, limits = search.split_options(explainer.options.search, explainer.objective)
        options = explainer.options.engine
        engine = engine_of(
            explainer, rule, limits, options, self._num_levels, self._num_rows, self._failures
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
        if self._open:
            self._report()  # rows that can't be searched end without a step
        while self._open:
            yield self._finish_first()

    def unfinished(self, batch: Batch) -> Explanations:
        """The only batch as it stands, its missing rows marked INTERRUPTED."""
        # The interrupt may have come before the batch was opened.
        opened = (
            self._open[0] if self._open else OpenBatch(self._explainer, batch, 0, self._failures)
        )
        return self._finish(opened)

    def _blocks(self, batches: Iterable[Batch]) -> Iterator[Block]:
        first_row = 0
        for batch in batches:
            opened = OpenBatch(self._explainer, batch, first_row, self._failures)
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

    def _finish(self, batch: OpenBatch) -> Explanations:
        result = batch.finish(self._settings)
        self._seconds["total"] = self._explainer.seconds + time.perf_counter() - self._began
        return replace(result, seconds=dict(self._seconds))

    def _describe_settings(self, engine: Engine) -> dict[str, Any]:
        explainer = self._explainer
        settings = method_settings(explainer) | {
            "lanes": engine.num_lanes,
            "device": jax.devices()[0].device_kind,
            "versions": {"jaxcf": __version__, "jax": jax.__version__},
        }
        if explainer.options.trust_threshold is not None:
            settings["trust_threshold"] = explainer.options.trust_threshold
        if explainer.options.refinement != Refinement():
            settings["refinement"] = vars(explainer.options.refinement)
        if explainer.models.black_box is not None:
            settings["black_box"] = explainer.models.black_box.settings()
        return storage.plain(settings)


def method_settings(explainer: "FittedExplainer") -> dict[str, Any]:
    """What decides how every row is searched, as plain values for records."""
    kind = explainer.prototypes.kind
    return storage.plain(
        {
            "objective": explainer.objective.settings(),
            "prototypes": {"kind": kind.name} | vars(kind),
            "search": explainer.options.search.settings(),
        }
    )
