"""Many searches at once: lanes, chunks of steps, refill, streaming, devices. The only loop.

A fixed number of lanes each hold one instance. A chunk of steps advances all of them; lanes whose
search has ended are then emptied and refilled from the queue, so nobody waits for the slowest and
memory depends on the number of lanes, not of rows. One row takes the same path as a million.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxcf import search
from jaxcf.model_functions import ModelFunctions
from jaxcf.objective import L1, Instance, Objective, loss_terms, traced
from jaxcf.search import Limits, Rule, SearchState, Status

_LANES = "lanes"


@dataclass(frozen=True)
class EngineOptions:
    """How the work is laid out. None of it changes an answer.

    Args:
        lanes: how many instances are searched at once, >= 1; None chooses by device. Memory grows
            with it.
        steps_per_chunk: updates between two looks at which lanes have ended, >= 1.
        devices: the jax devices to spread the lanes over; None uses the default device only.

    Raises:
        ValueError: if a number is below 1.
    """

    lanes: int | None = None
    steps_per_chunk: int = 8
    devices: tuple[Any, ...] | None = None

    def __post_init__(self) -> None:
        if self.lanes is not None and self.lanes < 1:
            raise ValueError(f"lanes must be at least 1 or None, got {self.lanes}")
        if self.steps_per_chunk < 1:
            raise ValueError(f"steps_per_chunk must be at least 1, got {self.steps_per_chunk}")


@dataclass(frozen=True)
class Problem:
    """What is static about a search: other values are another program.

    Args:
        models: the caller's functions.
        rule: the static search options.
        mesh: the devices the lanes are spread over, or None for one.
        device_loop: whether a chunk is one compiled loop; else each step is one call.
    """

    models: ModelFunctions
    rule: Rule
    mesh: Mesh | None = None
    device_loop: bool = True


class Inputs(NamedTuple):
    """The traced values every lane shares."""

    params: Any
    objective: Objective
    limits: Limits


class Lanes(NamedTuple):
    """One instance and its search per lane."""

    instance: Instance
    state: SearchState


class Finished(NamedTuple):
    """Searches that have ended; numpy arrays with one row each.

    Attributes:
        rows: which rows of the input they are.
        counterfactual: `[k, *shape]`.
        status: `[k]`, a `Status`.
        steps: `[k]`, updates used.
        prediction_weight: `[k]`, c when the counterfactual was seen.
        history: `[k, history_length, terms]`.
    """

    rows: np.ndarray
    counterfactual: np.ndarray
    status: np.ndarray
    steps: np.ndarray
    prediction_weight: np.ndarray
    history: np.ndarray


class Block(NamedTuple):
    """Rows waiting to be searched: their numbers and their instances (numpy, one row each)."""

    rows: np.ndarray
    instances: Instance


# --- what runs on the device --------------------------------------------------------------


def _evaluate_and_step(problem: Problem, inputs: Inputs, lanes: Lanes) -> Lanes:
    models, rule = problem.models, problem.rule
    objective = inputs.objective
    instances, states = lanes

    def smooth_objective(queries: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        points, perturbations = jax.vmap(search.view)(instances, queries)
        outputs = models.outputs(
            inputs.params,
            points,
            encoding=objective.needs_encoding,
            reconstruction=objective.needs_reconstruction,
        )
        terms = jax.vmap(partial(loss_terms, objective))(
            states.prediction_weight, instances, points, perturbations, outputs
        )
        names = objective.term_names
        smooth = [terms[name] for name in names if not (rule.solver.proximal and name == L1)]
        # Rows don't meet in any term, so the gradient of the sum is each row's own gradient.
        total = jnp.sum(jnp.stack(smooth))
        return total, (outputs.probabilities, jnp.stack([terms[n] for n in names], axis=-1))

    gradient_of = jax.grad(smooth_objective, has_aux=True)
    gradients, (probabilities, terms) = gradient_of(states.solver.query)
    if rule.solver.looks_ahead:
        candidates = jax.vmap(search.candidate)(instances, states)
        probabilities = models.probabilities(inputs.params, candidates)
    step = partial(search.step, rule, inputs.limits, objective)
    return Lanes(instances, jax.vmap(step)(instances, states, probabilities, terms, gradients))


@partial(jax.jit, static_argnames="problem", donate_argnames="lanes")
def _advance(problem: Problem, inputs: Inputs, lanes: Lanes, num_steps: int | jax.Array) -> Lanes:
    def chunk(inputs: Inputs, lanes: Lanes, num_steps: int | jax.Array) -> Lanes:
        if not problem.device_loop:
            return _evaluate_and_step(problem, inputs, lanes)
        return jax.lax.fori_loop(
            0, num_steps, lambda _, lanes: _evaluate_and_step(problem, inputs, lanes), lanes
        )

    if problem.mesh is None:
        return chunk(inputs, lanes, num_steps)
    # Around the whole chunk, so that no device waits for another inside it.
    everywhere, split = PartitionSpec(), PartitionSpec(_LANES)
    spread = jax.shard_map(
        chunk, mesh=problem.mesh, in_specs=(everywhere, split, everywhere), out_specs=split
    )
    return spread(inputs, lanes, num_steps)


@partial(jax.jit, static_argnames="problem", donate_argnames="lanes")
def _refill(
    problem: Problem, inputs: Inputs, lanes: Lanes, incoming: Instance, taken: jax.Array
) -> Lanes:
    start = partial(search.init, problem.rule, inputs.limits, len(inputs.objective.term_names))
    fresh = Lanes(incoming, jax.vmap(start)(incoming))

    def choose(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(taken.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    return jax.tree.map(choose, fresh, lanes)


# --- the loop ------------------------------------------------------------------------------


class _Queue:
    """Rows not yet in a lane, taken from the blocks as they are needed."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        self._blocks = iter(blocks)
        self._block: Block | None = None
        self._position = 0
        self._advance_block()

    def _advance_block(self) -> None:
        self._position = 0
        self._block = next((block for block in self._blocks if len(block.rows)), None)

    @property
    def empty(self) -> bool:
        return self._block is None

    def take(self, slots: np.ndarray, rows: np.ndarray, incoming: Instance) -> np.ndarray:
        """Move waiting rows into the given lanes of `incoming`; return the lanes filled."""
        filled = 0
        while filled < len(slots) and self._block is not None:
            available = len(self._block.rows) - self._position
            count = min(available, len(slots) - filled)
            here = slots[filled : filled + count]
            window = slice(self._position, self._position + count)
            rows[here] = self._block.rows[window]
            for target, source in zip(incoming, self._block.instances, strict=True):
                target[here] = source[window]
            filled += count
            self._position += count
            if self._position == len(self._block.rows):
                self._advance_block()
        return slots[:filled]


class Engine:
    """Searches blocks of instances on a fixed number of lanes.

    Args:
        models: the caller's functions.
        params: what the functions take first, if they do.
        objective: what is minimised.
        rule: the static search options.
        limits: the traced search options.
        options: the layout.
        instance: one instance of shape-and-dtype structs or arrays, to know the shapes.
        num_rows: how many rows will come, if known; fewer rows than lanes make fewer lanes.
    """

    def __init__(
        self,
        models: ModelFunctions,
        params: Any,
        objective: Objective,
        rule: Rule,
        limits: Limits,
        options: EngineOptions,
        instance: Instance,
        num_rows: int | None = None,
    ) -> None:
        devices = options.devices or ()
        mesh = Mesh(np.array(devices), (_LANES,)) if len(devices) > 1 else None
        self._sharding = None if mesh is None else NamedSharding(mesh, PartitionSpec(_LANES))
        self._device = devices[0] if len(devices) == 1 else None
        self.num_lanes = _choose_lanes(options, num_rows)
        self._steps_per_chunk = options.steps_per_chunk
        self._inputs = Inputs(params, traced(objective), limits)
        self._template = instance
        self._problem = Problem(models, rule, mesh)
        if _slow_in_a_loop(self._problem, self._inputs, self._lane_shapes()):
            self._problem = Problem(models, rule, mesh, device_loop=False)

    def _lane_shapes(self) -> Lanes:
        start = partial(
            search.init,
            self._problem.rule,
            self._inputs.limits,
            len(self._inputs.objective.term_names),
        )
        instances = self._blank_instances()
        return Lanes(instances, jax.eval_shape(jax.vmap(start), instances))

    def _empty_lanes(self) -> Lanes:
        blank = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), self._lane_shapes())
        idle = np.full(self.num_lanes, Status.IDLE, np.int32)
        return self._place(blank._replace(state=blank.state._replace(status=idle)))

    def _place(self, tree: Any) -> Any:
        return jax.device_put(tree, self._sharding or self._device)

    def compile(self) -> float:
        """Compile every program of the search; the seconds it took (about 0 when known)."""
        began = time.perf_counter()
        lanes = self._empty_lanes()
        incoming = self._place(self._blank_instances())
        taken = self._place(np.zeros(self.num_lanes, bool))
        lanes = _refill(self._problem, self._inputs, lanes, incoming, taken)
        jax.block_until_ready(_advance(self._problem, self._inputs, lanes, 0))
        return time.perf_counter() - began

    def _blank_instances(self) -> Instance:
        return jax.tree.map(
            lambda leaf: np.zeros((self.num_lanes, *leaf.shape), leaf.dtype), self._template
        )

    def search(self, blocks: Iterable[Block]) -> Iterator[Finished]:
        """Search every row of the blocks; yield rows as they end, in the order they end.

        Args:
            blocks: pulled one at a time, when lanes fall free.

        Yields:
            The rows that have ended since the last time.
        """
        queue = _Queue(blocks)
        rows = np.full(self.num_lanes, -1)
        status = np.full(self.num_lanes, int(Status.IDLE))
        lanes = self._empty_lanes()
        incoming = self._blank_instances()
        # Waiting for a few ended lanes spreads the cost of one refill; few enough that the
        # lanes standing idle stay in the low percents.
        enough = max(1, self.num_lanes // 16)
        while True:
            running = status == Status.RUNNING
            ended = ~running & (rows >= 0)
            if ended.sum() >= enough or not running.any() or (queue.empty and ended.any()):
                if ended.any():
                    yield _harvest(lanes.state, rows, ended)
                    rows[ended] = -1
                free = np.flatnonzero(rows < 0)
                filled = queue.take(free, rows, incoming)
                if len(filled):
                    taken = np.zeros(self.num_lanes, bool)
                    taken[filled] = True
                    lanes = _refill(
                        self._problem,
                        self._inputs,
                        lanes,
                        self._place(incoming),
                        self._place(taken),
                    )
                elif not (rows >= 0).any():
                    return
            lanes = self._run_chunk(lanes)
            status = np.asarray(lanes.state.status)

    def _run_chunk(self, lanes: Lanes) -> Lanes:
        if self._problem.device_loop:
            return _advance(self._problem, self._inputs, lanes, self._steps_per_chunk)
        for _ in range(self._steps_per_chunk):
            lanes = _advance(self._problem, self._inputs, lanes, 1)
        return lanes


def _harvest(state: SearchState, rows: np.ndarray, ended: np.ndarray) -> Finished:
    fields = (state.best, state.status, state.total_steps, state.best_weight, state.history)
    best, status, steps, weight, history = (np.asarray(array)[ended] for array in fields)
    return Finished(rows[ended], best, status, steps, weight, history)


def _choose_lanes(options: EngineOptions, num_rows: int | None) -> int:
    devices = options.devices or (jax.devices()[0],)
    default = 128 if devices[0].platform == "cpu" else 4096
    lanes = options.lanes or default * len(devices)
    if num_rows is not None and options.lanes is None:
        # A power of two, so that calls with other numbers of rows meet compiled programs.
        lanes = min(lanes, 1 << max(0, num_rows - 1).bit_length())
    return -(-lanes // len(devices)) * len(devices)


@lru_cache(maxsize=64)
def _holds_convolution(problem: Problem, treedef: Any, leaves: tuple[Any, ...]) -> bool:
    def evaluate(*leaves: jax.Array) -> Lanes:
        return _evaluate_and_step(problem, *jax.tree.unflatten(treedef, leaves))

    return "stablehlo.convolution" in jax.jit(evaluate).lower(*leaves).as_text()


def _slow_in_a_loop(problem: Problem, inputs: Inputs, lanes: Lanes) -> bool:
    """Whether a compiled loop would slow the models down: on CPU it does for convolutions.

    XLA's CPU backend runs a convolution inside a loop up to twenty times slower than outside.
    """
    if jax.default_backend() != "cpu":
        return False
    leaves, treedef = jax.tree.flatten((inputs, lanes))
    shapes = tuple(jax.ShapeDtypeStruct(jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves)
    return _holds_convolution(problem, treedef, shapes)
