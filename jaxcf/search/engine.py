"""Many searches at once: groups of lanes, chunks of steps, refill, streaming. The only loop.

A fixed number of lanes each hold one instance. A chunk of steps advances a group of them; lanes
whose search has ended are then emptied and refilled from the queue, so nobody waits for the slowest
and memory depends on the number of lanes, not of rows. While one group is looked at, the device
works on the next. When the queue has run dry, groups that stand half empty are merged. One row
takes the same path as a million.

A chunk can be stopped between pieces of a fraction of a second, and what its lanes have found by
then can be had: `Engine.stopped`.
"""

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import lru_cache, partial
from threading import Event
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxcf.objective import Instance, in_float32
from jaxcf.predictors import queries
from jaxcf.predictors.blackbox import Failures
from jaxcf.predictors.functions import ModelFunctions
from jaxcf.predictors.guides import black_boxes
from jaxcf.search import lanes, step
from jaxcf.search.lanes import LANE_AXIS, Lanes, Static, Traced, slow_in_a_loop
from jaxcf.search.options import EngineOptions, StaticOptions, TracedOptions
from jaxcf.search.status import Status
from jaxcf.search.step import SearchState
from jaxcf.utils.interrupts import Interrupts
from jaxcf.utils.threads import cores, settings_here, under


class Finished(NamedTuple):
    """Searches that have ended; numpy arrays with one row each.

    Attributes:
        rows: which rows of the input they are.
        counterfactual: `[k, *shape]`.
        status: `[k]`, a `Status`; RUNNING where a search that had found something was stopped.
        steps: `[k]`, updates used.
        prediction_weight: `[k]`, c when the counterfactual was seen.
        history: `[k, history_length, terms]`.
        path: `[k, path_length, *shape]`.
        predictions: `[k]`, the rows that a black box was asked for; 0 for a JAX model.
    """

    rows: np.ndarray
    counterfactual: np.ndarray
    status: np.ndarray
    steps: np.ndarray
    prediction_weight: np.ndarray
    history: np.ndarray
    path: np.ndarray
    predictions: np.ndarray


class Recorded(NamedTuple):
    """All that one search was led through; numpy arrays.

    Attributes:
        row: which row of the input it is.
        counterfactual: `[*shape]`, what the search kept.
        path: `[evaluations, *shape]`, the point that each evaluation judged.
        losses: `[evaluations, terms]`, what it found there.
    """

    row: int
    counterfactual: np.ndarray
    path: np.ndarray
    losses: np.ndarray


class Pending(NamedTuple):
    """Rows waiting to be searched: their numbers and their instances (numpy, one row each)."""

    rows: np.ndarray
    instances: Instance


class _Queue:
    """Rows not yet in a lane, taken from what is pending as they are needed."""

    def __init__(self, pending: Iterable[Pending | None]) -> None:
        self._source = iter(pending)
        self._current: Pending | None = None
        self._position = 0
        self._ended = False
        self._next()

    def _next(self) -> None:
        self._position, self._current = 0, None
        for one in self._source:
            if one is None:
                return
            if len(one.rows):
                self._current = one
                return
        self._ended = True

    @property
    def empty(self) -> bool:
        """Whether no row is left and none will come."""
        return self._ended and self._current is None

    def take(self, slots: np.ndarray, incoming: Instance) -> np.ndarray:
        """Move waiting rows into the first of the given lanes of `incoming`; return the rows."""
        if self._current is None and not self._ended:
            self._next()
        taken, filled = [np.empty(0, int)], 0
        while filled < len(slots) and self._current is not None:
            available = len(self._current.rows) - self._position
            count = min(available, len(slots) - filled)
            here = slots[filled : filled + count]
            window = slice(self._position, self._position + count)
            taken.append(self._current.rows[window])
            waiting = jax.tree.leaves(self._current.instances)
            for target, source in zip(jax.tree.leaves(incoming), waiting, strict=True):
                target[here] = source[window]
            filled += count
            self._position += count
            if self._position == len(self._current.rows):
                self._next()
        return np.concatenate(taken)


class _Group:
    """Lanes that are advanced by one call, and the rows of the input that they hold."""

    def __init__(self, empty: Lanes, incoming: Instance, num_lanes: int) -> None:
        self.lanes = empty
        self.incoming = incoming
        self.rows = np.full(num_lanes, -1)
        self.running = np.zeros(num_lanes, bool)
        self.chunk: Future[Lanes] | None = None

    def look(self) -> None:
        """Wait for the chunk under way, if one is, and see which lanes still run."""
        if self.chunk is not None:
            try:
                self.lanes = self.chunk.result()
            except CancelledError:
                pass  # it never began: the lanes are as they were
            except BaseException:
                if self.chunk.done() and self.chunk.exception() is not None:
                    self.chunk = None
                raise
            self.chunk = None
        self.running = np.asarray(self.lanes.state.status) == Status.RUNNING

    @property
    def occupied(self) -> np.ndarray:
        """Which lanes hold a row, ended or not."""
        return self.rows >= 0

    @property
    def free(self) -> np.ndarray:
        """The numbers of the lanes that hold none."""
        return np.flatnonzero(self.rows < 0)

    def harvest(self) -> Finished:
        """Take the rows that have ended out of their lanes."""
        return self._take(self.occupied & ~self.running)

    def stopped(self) -> Finished:
        """Take out those that have ended and those that have found something so far."""
        return self._take(self.occupied & (~self.running | np.asarray(self.lanes.state.found)))

    def _take(self, ended: np.ndarray) -> Finished:
        state = self.lanes.state
        fields = (state.best, state.status, state.total_steps, state.best_weight)
        predictions = np.zeros_like(self.rows)
        for heard in self.lanes.memories:
            predictions = predictions + np.asarray(heard.predictions)
        fields += (state.history, state.path, predictions)
        finished = Finished(self.rows[ended], *(np.asarray(array)[ended] for array in fields))
        self.rows[ended] = -1
        return finished


class Engine:
    """Searches instances on a fixed number of lanes.

    Args:
        models: the caller's functions.
        options: the static search options.
        traced: the values that all searches share; the objective's weights in any number type.
        layout: how the work is laid out.
        template: one instance of shape-and-dtype structs or arrays, to know the shapes.
        num_rows: how many rows will come, if known; fewer rows than lanes make fewer lanes.
        failures: told of what goes wrong when a black box is asked.
        interrupts: allowed wherever the search waits.
    """

    def __init__(
        self,
        models: ModelFunctions,
        options: StaticOptions,
        traced: Traced,
        layout: EngineOptions,
        template: Instance,
        num_rows: int | None = None,
        failures: Failures | None = None,
        interrupts: Interrupts | None = None,
    ) -> None:
        devices = layout.devices or ()
        mesh = Mesh(np.array(devices), (LANE_AXIS,)) if len(devices) > 1 else None
        self._sharding = None if mesh is None else NamedSharding(mesh, PartitionSpec(LANE_AXIS))
        self._device = devices[0] if len(devices) == 1 else None
        self._boxes = tuple(black_boxes(models, traced.guides).values())
        self._failures = failures or Failures()
        self._interrupts = interrupts or Interrupts()
        self._num_groups, self._group_size = _choose_layout(
            layout,
            num_rows,
            min((box.lanes(template.original.shape) for box in self._boxes), default=None),
        )
        self._steps_per_chunk = layout.steps_per_chunk
        self._steps_per_piece = 1  # until it is known how long a step takes
        self._groups: list[_Group] = []
        self._idle: list[_Group] = []
        self._traced = traced._replace(
            objective=in_float32(traced.objective), guides=traced.guides and traced.guides.compiled
        )
        keep_terms = True
        if devices:  # where the lanes are; the caller's params may live anywhere
            everywhere = self._device if mesh is None else NamedSharding(mesh, PartitionSpec())
            self._traced, keep_terms = jax.device_put((self._traced, keep_terms), everywhere)
        self._keeping_terms = self._traced._replace(keep_terms=keep_terms)
        self._template = template
        # A black box is asked between the steps.
        blank = self._blank_instances(self._group_size).original
        in_loop = not self._boxes and not slow_in_a_loop(
            models, traced.params, traced.guides, blank
        )
        self._static = Static(models.compiled, options, mesh, device_loop=in_loop)

    @property
    def num_lanes(self) -> int:
        """How many instances are searched at once."""
        return self._num_groups * self._group_size

    @property
    def group_size(self) -> int:
        """How many lanes one call advances."""
        return self._group_size

    def _blank_instances(self, size: int) -> Instance:
        return jax.tree.map(lambda leaf: np.zeros((size, *leaf.shape), leaf.dtype), self._template)

    def _empty_lanes(self, size: int) -> Lanes:
        num_terms = len(self._traced.objective.term_names)
        shapes = _state_shapes(self._static.options, num_terms, self._template)
        states = jax.tree.map(lambda leaf: np.zeros((size, *leaf.shape), leaf.dtype), shapes)
        idle = np.full(size, Status.IDLE, np.int32)
        memories = tuple(
            lanes.empty_memory(self._template, self._traced.objective, size) for _ in self._boxes
        )
        terms = np.zeros((size, num_terms), np.float32)
        states = states._replace(status=idle)
        return self._place(Lanes(self._blank_instances(size), states, terms, memories))

    def _empty_group(self, size: int | None = None) -> _Group:
        size = size or self._group_size
        return _Group(self._empty_lanes(size), self._blank_instances(size), size)

    def _place(self, tree: Any) -> Any:
        return jax.device_put(tree, self._sharding or self._device)

    def compile(self) -> float:
        """Compile every program of the search; the seconds it took (about 0 when known)."""
        began = time.perf_counter()
        nobody = np.zeros(self._group_size, bool)
        self._idle = self._take_idle()
        group, *others = self._idle
        self._fill(group, nobody)
        if others:
            nowhere = np.zeros(self._group_size, int)
            self._take_over(group, others[0].lanes, nowhere, nobody)
        if not self._boxes:
            group.lanes = lanes.advance(self._static, self._traced, group.lanes, 0)
        else:  # no lane runs, so nothing is asked
            self._ask_and_run_chunk(group, 1, self._traced)
        jax.block_until_ready(group.lanes)
        return time.perf_counter() - began

    def _take_idle(self) -> list[_Group]:
        """All groups, without a row: those that `compile` has made, if nobody took them yet."""
        idle, self._idle = self._idle, []
        return idle or [self._empty_group() for _ in range(self._num_groups)]

    def search(self, pending: Iterable[Pending | None]) -> Iterator[Finished]:
        """Search every pending row; yield rows as they end, in the order they end.

        Args:
            pending: pulled one at a time, when lanes fall free; None where there is nothing at the
                moment, and more may come once those rows that have ended are out.

        Yields:
            The rows that have ended since the last time; none of them where the search can't go on
            before something is pending.
        """
        # XLA uses one core for most of what a small group asks of it: as many threads as cores
        # keep the others busy. On an accelerator they queue up work ahead of the device.
        workers = min(self._num_groups, cores())
        pool, stopping = ThreadPoolExecutor(workers), Event()
        try:
            yield from self._search(_Queue(pending), pool, stopping)
        finally:
            # Where something broke off the search, nobody waits here for chunks under way: they
            # end with their next piece.
            stopping.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def record(self, pending: Pending) -> list[Recorded]:
        """Search rows on one group of lanes, and keep what every evaluation looked at.

        The host looks on after each, so these are the programs of `search`, and the same searches.

        Args:
            pending: no more rows than `group_size`.

        Returns:
            One for each row, in their order.
        """
        group = self._empty_group()
        self._refill(group, _Queue([pending]))
        path: list[list[np.ndarray]] = [[] for _ in pending.rows]
        losses: list[list[np.ndarray]] = [[] for _ in pending.rows]
        while group.running.any():
            points = np.asarray(lanes.candidates(group.lanes))
            if self._boxes:
                self._ask_and_run_chunk(group, 1, self._keeping_terms)
            else:
                group.lanes = lanes.advance(self._static, self._keeping_terms, group.lanes, 1)
            terms = np.asarray(group.lanes.terms)
            for lane in np.flatnonzero(group.running):
                path[lane].append(points[lane].copy())
                losses[lane].append(terms[lane].copy())
            group.look()
        ends = group.harvest()
        led = zip(ends.rows.tolist(), ends.counterfactual, path, losses, strict=True)
        return [
            Recorded(row, best, np.stack(way), np.stack(terms)) for row, best, way, terms in led
        ]

    def stopped(self) -> Iterator[Finished]:
        """What the lanes hold once an interrupt has ended the search; call it again to go on.

        Yields:
            Rows that had ended, and rows whose search had found something by then.
        """
        while self._groups:
            group = self._groups[0]
            try:
                with self._interrupts.allowed():
                    group.look()
                finished = group.stopped()
            except Exception:
                finished = None  # the interrupt struck inside the chunk: its lanes are lost
            self._groups.remove(group)
            if finished is not None:
                yield finished

    def _search(
        self, queue: _Queue, pool: ThreadPoolExecutor, stopping: Event
    ) -> Iterator[Finished]:
        settings = settings_here()
        groups = self._take_idle()
        self._groups += groups
        last_chunks = 0
        while groups:
            for group in list(groups):
                with self._interrupts.allowed():
                    group.look()
                if self._wants_attention(group, queue):
                    finished = group.harvest()
                    if len(finished.rows):
                        yield finished
                    self._refill(group, queue)
                if queue.empty:
                    self._merge(group, [other for other in groups if other is not group])
                    last_chunks += 1
                    if self._boxes and last_chunks > _CHUNKS_AMONG_MANY:
                        fewer = self._in_fewer_lanes(group)
                        groups[groups.index(group)] = fewer
                        self._groups[self._groups.index(group)] = fewer
                        group = fewer
                if group.occupied.any():
                    # The last group has nothing to be refilled from and nobody to merge with.
                    last = queue.empty and len(groups) == 1 and self._static.device_loop
                    steps = self._steps_per_chunk * (_LAST_CHUNK if last else 1)
                    if not self._boxes:
                        group.chunk = pool.submit(
                            self._run_chunk, group.lanes, steps, settings, stopping
                        )
                    else:  # in the caller's thread: there Ctrl-C reaches the model
                        self._ask_and_run_chunk(group, steps, self._traced)
                elif queue.empty:
                    groups.remove(group)
                    self._groups.remove(group)
            if groups and not any(group.occupied.any() for group in groups):
                yield groups[0].harvest()

    def _wants_attention(self, group: _Group, queue: _Queue) -> bool:
        """Whether enough lanes stand idle to be worth a refill, few enough to cost little."""
        idle = int((~group.running).sum())
        if queue.empty:
            return bool((group.occupied & ~group.running).any())
        return idle >= max(1, self._group_size // 16)

    def _refill(self, group: _Group, queue: _Queue) -> None:
        free = group.free
        rows = queue.take(free, group.incoming)
        if len(rows):
            filled = free[: len(rows)]
            taken = np.zeros(self._group_size, bool)
            taken[filled] = True
            self._fill(group, taken)
            group.rows[filled], group.running[filled] = rows, True

    def _fill(self, group: _Group, taken: np.ndarray) -> None:
        incoming, taken = self._place(group.incoming), self._place(taken)
        group.lanes = lanes.refill(self._static, self._traced, group.lanes, incoming, taken)

    def _merge(self, group: _Group, others: list[_Group]) -> None:
        """Move the group's searches into free lanes of the others, if all of them fit there."""
        leaving = np.flatnonzero(group.occupied)
        if not len(leaving) or len(leaving) > sum(len(other.free) for other in others):
            return
        for other in others:
            slots = other.free[: len(leaving)]
            if not len(slots):
                continue
            with self._interrupts.allowed():
                other.look()
            moving, leaving = leaving[: len(slots)], leaving[len(slots) :]
            index = np.zeros(self._group_size, int)
            taken = np.zeros(self._group_size, bool)
            index[slots], taken[slots] = moving, True
            self._take_over(other, group.lanes, index, taken)
            other.rows[slots], group.rows[moving] = group.rows[moving], -1

    def _in_fewer_lanes(self, group: _Group) -> _Group:
        """The group's last searches in a group of few lanes; itself where that isn't worth it."""
        leaving = np.flatnonzero(group.occupied)
        if len(leaving) > _FEW_LANES or len(group.rows) < _MANY_LANES or self._sharding is not None:
            return group
        few = self._empty_group(_FEW_LANES)
        taken = np.arange(_FEW_LANES) < len(leaving)
        index = np.zeros(_FEW_LANES, int)
        index[taken] = leaving
        self._take_over(few, group.lanes, index, taken)
        few.rows[taken], few.running[taken] = group.rows[leaving], group.running[leaving]
        return few

    def _take_over(
        self, group: _Group, source: Lanes, index: np.ndarray, taken: np.ndarray
    ) -> None:
        group.lanes = lanes.move(self._static, group.lanes, source, index, taken)

    def _run_chunk(
        self, group: Lanes, steps: int, settings: dict[str, Any], stopping: Event
    ) -> Lanes:
        in_one = self._static.device_loop
        with under(settings):
            while steps and not stopping.is_set():
                piece = min(steps, self._steps_per_piece)
                began = time.perf_counter()
                for _ in range(1 if in_one else piece):
                    group = lanes.advance(self._static, self._traced, group, piece if in_one else 1)
                status = np.asarray(jax.block_until_ready(group).state.status)
                if not (status == Status.RUNNING).any():
                    break
                steps -= piece
                per_step = (time.perf_counter() - began) / piece
                self._steps_per_piece = max(1, int(_PIECE_SECONDS / max(per_step, 1e-6)))
            return group

    def _ask_and_run_chunk(self, group: _Group, steps: int, traced: Traced) -> None:
        for _ in range(steps):
            asked = jax.device_get(lanes.questions(self._static, traced, group.lanes))
            with self._interrupts.allowed():
                answers = tuple(
                    queries.answer(box, one, self._failures)
                    for box, one in zip(self._boxes, asked, strict=True)
                )
            answers = self._place(answers)
            group.lanes = lanes.advance_with(self._static, traced, group.lanes, answers)
            if not (np.asarray(group.lanes.state.status) == Status.RUNNING).any():
                break


# A step of a model outside JAX moves all lanes of its group, so the last few searches would cost as
# much as all of them did: one row of Adult in 600 takes its 500 updates. They go on by themselves,
# once they have lasted so many chunks, since that is other programs.
_MANY_LANES, _FEW_LANES = 256, 32
_CHUNKS_AMONG_MANY = 8

# Chunks are this much longer where there is nothing to do between them but to report.
_LAST_CHUNK = 8

# A chunk can be stopped after pieces that take about so long, or after a step that takes longer.
_PIECE_SECONDS = 0.25


@lru_cache(maxsize=64)
def _state_shapes(options: StaticOptions, num_terms: int, instance: Instance) -> SearchState:
    """What one search consists of. Kept, since one row is searched faster than this is found."""
    scalar = jax.ShapeDtypeStruct((), np.float32)
    traced = TracedOptions._make(scalar for _ in TracedOptions._fields)
    return jax.eval_shape(partial(step.init, options, traced, num_terms), instance)


def _choose_layout(
    options: EngineOptions, num_rows: int | None, in_one_group: int | None = None
) -> tuple[int, int]:
    """The number of groups and the lanes of each; or one group, of so many lanes by default."""
    devices = options.devices or (jax.devices()[0],)
    on_cpu = devices[0].platform == "cpu"
    num_cores = cores()
    # As many lanes in a group as a core's caches hold, and groups for every core and to spare.
    most = options.lanes or (32 * max(4, num_cores) if on_cpu else 4096) * len(devices)
    if in_one_group is not None:
        most = options.lanes or in_one_group
    if num_rows is not None and options.lanes is None:
        # A power of two, so that calls with other numbers of rows meet compiled programs.
        most = min(most, 1 << max(0, num_rows - 1).bit_length())
    if in_one_group is not None:
        return 1, most
    default = min(32 * len(devices), max(4, most // num_cores)) if on_cpu else -(-most // 2)
    size = min(options.lanes_per_group or default, most)
    size = -(-size // len(devices)) * len(devices)
    return max(1, most // size), size
