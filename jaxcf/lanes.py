"""What runs on the device: all lanes evaluated and moved on by a chunk of steps.

The models are called for all lanes at once; everything else is the search of one instance, mapped
over the lanes. Each function here is compiled once per problem and number of lanes.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxcf import loops, search
from jaxcf.model_functions import ModelFunctions
from jaxcf.objective import L1, Instance, Objective, Outputs, loss_terms
from jaxcf.search import Limits, Rule, SearchState
from jaxcf.status import Status

LANE_AXIS = "lanes"


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
def advance(problem: Problem, inputs: Inputs, lanes: Lanes, num_steps: int | jax.Array) -> Lanes:
    """Move every running lane on by so many evaluations (by one where there is no device loop).

    Ends before that if no lane runs any more.
    """

    def chunk(inputs: Inputs, lanes: Lanes, num_steps: int | jax.Array) -> Lanes:
        if not problem.device_loop:
            return _evaluate_and_step(problem, inputs, lanes)

        def goes_on(carry: tuple[jax.Array, Lanes]) -> jax.Array:
            done, lanes = carry
            return (done < num_steps) & jnp.any(lanes.state.status == Status.RUNNING)

        def step(carry: tuple[jax.Array, Lanes]) -> tuple[jax.Array, Lanes]:
            done, lanes = carry
            return done + 1, _evaluate_and_step(problem, inputs, lanes)

        return jax.lax.while_loop(goes_on, step, (jnp.zeros((), jnp.int32), lanes))[1]

    if problem.mesh is None:
        return chunk(inputs, lanes, num_steps)
    # Around the whole chunk, so that no device waits for another inside it.
    everywhere, split = PartitionSpec(), PartitionSpec(LANE_AXIS)
    spread = jax.shard_map(
        chunk, mesh=problem.mesh, in_specs=(everywhere, split, everywhere), out_specs=split
    )
    return spread(inputs, lanes, num_steps)


@partial(jax.jit, static_argnames="problem", donate_argnames="lanes")
def refill(
    problem: Problem, inputs: Inputs, lanes: Lanes, incoming: Instance, taken: jax.Array
) -> Lanes:
    """Start new searches in the taken lanes: lane i takes instance i of `incoming`."""
    start = partial(search.init, problem.rule, inputs.limits, len(inputs.objective.term_names))
    return _choose(taken, Lanes(incoming, jax.vmap(start)(incoming)), lanes)


@partial(jax.jit, static_argnames="problem", donate_argnames="lanes")
def move(
    problem: Problem, lanes: Lanes, source: Lanes, index: jax.Array, taken: jax.Array
) -> Lanes:
    """Put lanes of another group in place of the taken ones: lane i takes `source[index[i]]`."""
    moved = _choose(taken, jax.tree.map(lambda leaf: leaf[index], source), lanes)
    if problem.mesh is None:
        return moved
    sharding = NamedSharding(problem.mesh, PartitionSpec(LANE_AXIS))
    return jax.lax.with_sharding_constraint(moved, sharding)


def _choose(taken: jax.Array, new: Lanes, old: Lanes) -> Lanes:
    def choose(new: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(taken.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    return jax.tree.map(choose, new, old)


def slow_in_a_loop(models: ModelFunctions, params: Any, x: Any) -> bool:
    """Whether a compiled loop would slow the models down, see `loops.slow_in_a_loop`."""
    return loops.slow_in_a_loop(_all_outputs, (models,), params, x)


def _all_outputs(models: ModelFunctions, params: Any, x: jax.Array) -> Outputs:
    return models.outputs(params, x, encoding=True, reconstruction=True)
