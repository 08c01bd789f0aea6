"""What runs on the device: all lanes evaluated and moved on by a chunk of steps.

The models are called for all lanes at once; everything else is the search of one instance, mapped
over the lanes. Each function here is compiled once per static and number of lanes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxcf.decisions import Outputs
from jaxcf.objective import L1, Instance, Objective, loss_terms
from jaxcf.predictors.blackbox import BlackBox
from jaxcf.predictors.functions import ModelFunctions
from jaxcf.predictors.guides import EXPLAINED, Guides, black_boxes
from jaxcf.predictors.queries import Answers, Questions
from jaxcf.prototypes.trust import Trust, trust_scores
from jaxcf.search import step
from jaxcf.search.options import StaticOptions, TracedOptions
from jaxcf.search.status import Status
from jaxcf.search.step import SearchState
from jaxcf.utils import batching

LANE_AXIS = "lanes"


@dataclass(frozen=True)
class Static:
    """What is static about a search: other values are another program.

    Args:
        models: the caller's functions.
        options: the static search options.
        mesh: the devices the lanes are spread over, or None for one.
        device_loop: whether a chunk is one compiled loop; else each step is one call.
    """

    models: ModelFunctions
    options: StaticOptions
    mesh: Mesh | None = None
    device_loop: bool = True


class Traced(NamedTuple):
    """The traced values every lane shares.

    Attributes:
        params: what the models take first, if they do.
        objective: what is minimised.
        options: the traced search options.
        trust: what trust scores are measured against, if they are asked for.
        guides: other models that have to agree, if there are any.
        keep_terms: whether lanes keep the loss terms of their evaluations. A search is faster
            without them: most solvers ask for no more than gradients.
    """

    params: Any
    objective: Objective
    options: TracedOptions
    trust: Trust | None = None
    guides: Guides | None = None
    keep_terms: bool | jax.Array = False


class BlackBoxMemory(NamedTuple):
    """What a lane remembers of a black box's answers.

    Attributes:
        jacobian: `[lanes, classes, *shape]`, the last one; without classes where the objective
            needs no gradient of the probabilities.
        predictions: `[lanes]`, how many rows the lane's search has cost so far.
    """

    jacobian: Any
    predictions: Any


class Lanes(NamedTuple):
    """One instance and its search per lane, and what was seen of it.

    Attributes:
        instance: `[lanes, ...]`.
        state: `[lanes, ...]`.
        terms: `[lanes, terms]`, the loss terms of the last evaluation that was to keep them.
        memories: one for each black box among the models.
    """

    instance: Instance
    state: SearchState
    terms: Any
    memories: tuple[BlackBoxMemory, ...] = ()


def empty_memory(template: Instance, objective: Objective, num_lanes: int) -> BlackBoxMemory:
    """The memory of lanes that have asked nothing yet, in numpy."""
    classes = template.targets.shape[0] if objective.needs_prediction_gradient else 0
    shape = (num_lanes, classes, *template.original.shape)
    return BlackBoxMemory(np.zeros(shape, np.float32), np.zeros(num_lanes, np.int32))


def _evaluate_and_step(
    static: Static, traced: Traced, lanes: Lanes, answers: tuple[Answers, ...] = ()
) -> Lanes:
    models, options = static.models, static.options
    objective = traced.objective
    instances, states, last_terms, memories = lanes
    memories = tuple(map(_remember, memories, answers))
    boxes = black_boxes(models, traced.guides)

    def surrogates(points: jax.Array) -> dict[int, jax.Array]:
        said = (_surrogate(*heard, points) for heard in zip(answers, memories, strict=True))
        return dict(zip(boxes, said, strict=True))

    names = objective.term_names

    def terms_of(points: jax.Array, perturbations: jax.Array, outputs: Outputs) -> Any:
        return jax.vmap(partial(loss_terms, objective))(
            states.prediction_weight, instances, points, perturbations, outputs
        )

    def in_order(terms: Mapping[str, jax.Array]) -> jax.Array:
        return jnp.stack([terms[name] for name in names], axis=-1)

    def smooth_objective(queries: jax.Array) -> tuple[jax.Array, tuple[Outputs, jax.Array]]:
        points, perturbations = jax.vmap(step.view)(instances, queries)
        known = surrogates(points)
        outputs = models.outputs(
            traced.params,
            points,
            encoding=objective.needs_encoding,
            reconstruction=objective.needs_reconstruction,
            by_log_odds=objective.by_log_odds,
            probabilities=known.get(EXPLAINED),
        )
        outputs = _with_guides(outputs, traced, points, known)
        terms = terms_of(points, perturbations, outputs)
        smooth = [terms[name] for name in names if not (options.solver.proximal and name == L1)]
        # Rows don't meet in any term, so the gradient of the sum is each row's own gradient.
        return jnp.sum(jnp.stack(smooth)), (outputs, in_order(terms))

    gradient_of = jax.grad(smooth_objective, has_aux=True)
    gradients, (outputs, terms) = gradient_of(states.solver.query)
    # Decided as it runs, so that to keep them is no other program.
    kept_terms = jax.lax.cond(
        traced.keep_terms,
        lambda: in_order(terms_of(*jax.vmap(step.view)(instances, states.solver.query), outputs)),
        lambda: last_terms,
    )
    decided_by = outputs._replace(encoding=None, reconstruction=None)
    if options.solver.looks_ahead:
        candidates = jax.vmap(step.candidate)(instances, states)
        judged = dict(zip(boxes, (heard.judged for heard in answers), strict=True))
        decided_by = models.answers(
            traced.params,
            candidates,
            by_log_odds=objective.by_log_odds,
            probabilities=judged.get(EXPLAINED),
        )
        decided_by = _with_guides(decided_by, traced, candidates, judged)
    trusted = None
    if traced.trust is not None:
        candidates = jax.vmap(step.candidate)(instances, states)
        encodings = models.encoding(traced.params, candidates)
        new_class = jnp.argmax(decided_by.probabilities, axis=1)
        scores = trust_scores(traced.trust, encodings, instances.original_class, new_class)
        trusted = scores > traced.trust.threshold
    advanced = partial(step.step, options, traced.options, objective)
    moved = jax.vmap(advanced)(instances, states, decided_by, terms, gradients, trusted)
    return Lanes(instances, moved, kept_terms, memories)


def _with_guides(
    outputs: Outputs, traced: Traced, points: jax.Array, known: Mapping[int, jax.Array]
) -> Outputs:
    """The models' outputs at some points, with what the guides say of them, if there are any."""
    if traced.guides is None:
        return outputs
    by_log_odds = traced.objective.by_log_odds
    return outputs._replace(
        guides=traced.guides.answers(points, by_log_odds=by_log_odds, known=known)
    )


def _remember(memory: BlackBoxMemory, answers: Answers) -> BlackBoxMemory:
    jacobian = memory.jacobian
    if answers.due is not None:
        due = answers.due.reshape(-1, *[1] * (jacobian.ndim - 1))
        jacobian = jnp.where(due, answers.jacobian, jacobian)
    return BlackBoxMemory(jacobian, memory.predictions + answers.predictions)


def _surrogate(answers: Answers, memory: BlackBoxMemory, points: jax.Array) -> jax.Array:
    """The probabilities that a black box gave for the points, with the gradient last heard."""
    probabilities = answers.judged if answers.queried is None else answers.queried
    if answers.due is None:
        return probabilities
    offset = points - jax.lax.stop_gradient(points)
    flat = memory.jacobian.reshape(*probabilities.shape, -1)
    return probabilities + jnp.einsum("lcf,lf->lc", flat, offset.reshape(len(offset), -1))


@jax.jit
def candidates(lanes: Lanes) -> jax.Array:
    """The point of every lane that its next evaluation judges."""
    return jax.vmap(step.candidate)(lanes.instance, lanes.state)


@partial(jax.jit, static_argnames="static")
def questions(static: Static, traced: Traced, lanes: Lanes) -> tuple[Questions, ...]:
    """What the next step of every lane asks of each black box; answered on the host."""
    instances, states = lanes.instance, lanes.state
    looks_ahead = static.options.solver.looks_ahead
    running = states.status == Status.RUNNING
    points, _ = jax.vmap(step.view)(instances, states.solver.query)
    candidates = jax.vmap(step.candidate)(instances, states) if looks_ahead else None

    def of(box: BlackBox) -> Questions:
        due, queried = None, None
        if traced.objective.needs_prediction_gradient:
            # The last evaluation of a round is followed by no update.
            due = running & (
                states.step < jax.vmap(partial(step.step_limit, traced.options))(states)
            )
            due = due & (states.step % box.gradient.every == 0)
            queried = points if looks_ahead else None
        return Questions(
            judged=points if candidates is None else candidates,
            queried=queried,
            running=running,
            due=due,
            # Copies: the lanes' own memory is given away with the next step.
            lower=jnp.copy(instances.lower),
            upper=jnp.copy(instances.upper),
            evaluation=states.total_steps + states.round,
        )

    return tuple(map(of, black_boxes(static.models, traced.guides).values()))


@partial(jax.jit, static_argnames="static", donate_argnames="lanes")
def advance_with(
    static: Static, traced: Traced, lanes: Lanes, answers: tuple[Answers, ...]
) -> Lanes:
    """Move every running lane on by one evaluation, with what the black boxes said of it."""
    return _evaluate_and_step(static, traced, lanes, answers)


@partial(jax.jit, static_argnames="static", donate_argnames="lanes")
def advance(static: Static, traced: Traced, lanes: Lanes, num_steps: int | jax.Array) -> Lanes:
    """Move every running lane on by so many evaluations (by one where there is no device loop).

    Ends before that if no lane runs any more.
    """

    def chunk(traced: Traced, lanes: Lanes, num_steps: int | jax.Array) -> Lanes:
        if not static.device_loop:
            return _evaluate_and_step(static, traced, lanes)

        def goes_on(carry: tuple[jax.Array, Lanes]) -> jax.Array:
            done, lanes = carry
            return (done < num_steps) & jnp.any(lanes.state.status == Status.RUNNING)

        def one_more(carry: tuple[jax.Array, Lanes]) -> tuple[jax.Array, Lanes]:
            done, lanes = carry
            return done + 1, _evaluate_and_step(static, traced, lanes)

        return jax.lax.while_loop(goes_on, one_more, (jnp.zeros((), jnp.int32), lanes))[1]

    if static.mesh is None:
        return chunk(traced, lanes, num_steps)
    # Around the whole chunk, so that no device waits for another inside it. The models know of no
    # devices: whatever they do with constants of their own, in a loop or a derivative, holds on
    # each device as it does on one, and isn't for JAX to check.
    everywhere, split = PartitionSpec(), PartitionSpec(LANE_AXIS)
    spread = jax.shard_map(
        chunk,
        mesh=static.mesh,
        in_specs=(everywhere, split, everywhere),
        out_specs=split,
        check_vma=False,
    )
    return spread(traced, lanes, num_steps)


@partial(jax.jit, static_argnames="static", donate_argnames="lanes")
def refill(
    static: Static, traced: Traced, lanes: Lanes, incoming: Instance, taken: jax.Array
) -> Lanes:
    """Start new searches in the taken lanes: lane i takes instance i of `incoming`."""
    start = partial(step.init, static.options, traced.options, len(traced.objective.term_names))
    nothing = jax.tree.map(jnp.zeros_like, lanes.memories)
    fresh = Lanes(incoming, jax.vmap(start)(incoming), jnp.zeros_like(lanes.terms), nothing)
    return _choose(taken, fresh, lanes)


@partial(jax.jit, static_argnames="static", donate_argnames="lanes")
def move(static: Static, lanes: Lanes, source: Lanes, index: jax.Array, taken: jax.Array) -> Lanes:
    """Put lanes of another group in place of the taken ones: lane i takes `source[index[i]]`."""
    moved = _choose(taken, jax.tree.map(lambda leaf: leaf[index], source), lanes)
    if static.mesh is None:
        return moved
    sharding = NamedSharding(static.mesh, PartitionSpec(LANE_AXIS))
    return jax.lax.with_sharding_constraint(moved, sharding)


def _choose(taken: jax.Array, new: Lanes, old: Lanes) -> Lanes:
    def choose(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(taken.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    return jax.tree.map(choose, new, old)


def slow_in_a_loop(models: ModelFunctions, params: Any, guides: Guides | None, x: Any) -> bool:
    """Whether a compiled loop would slow the models down, see `batching.slow_in_a_loop`."""
    return batching.slow_in_a_loop(_all_outputs, (models,), (params, guides), x)


def _all_outputs(models: ModelFunctions, values: Any, x: jax.Array) -> tuple[Outputs, Any]:
    params, guides = values
    outputs = models.outputs(params, x, encoding=True, reconstruction=True)
    return outputs, None if guides is None else guides.answers(x, by_log_odds=False)
