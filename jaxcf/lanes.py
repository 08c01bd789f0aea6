"""What runs on the device: all lanes evaluated and moved on by a chunk of steps.

The models are called for all lanes at once; everything else is the search of one instance, mapped
over the lanes. Each function here is compiled once per problem and number of lanes.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxcf import loops, search
from jaxcf.blackbox import Answers, BlackBox, Questions
from jaxcf.model_functions import ModelFunctions
from jaxcf.objective import L1, PREDICTION, Instance, Objective, Outputs, loss_terms
from jaxcf.search import Limits, Rule, SearchState
from jaxcf.status import Status
from jaxcf.trust import Trust, trust_scores

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
    trust: Trust | None = None


class Heard(NamedTuple):
    """What a lane remembers of a black box's answers.

    Attributes:
        jacobian: `[lanes, classes, *shape]`, the last one; without classes where the objective
            needs no gradient of the probabilities.
        predictions: `[lanes]`, how many rows the lane's search has cost so far.
    """

    jacobian: Any
    predictions: Any


class Lanes(NamedTuple):
    """One instance and its search per lane; what was heard only where the model is a black box."""

    instance: Instance
    state: SearchState
    heard: Heard | None = None


def differentiates_predictions(objective: Objective) -> bool:
    """Whether any term needs the gradient of the probabilities; extra terms may."""
    return PREDICTION in objective.terms or bool(objective.extra_terms)


def nothing_heard(template: Instance, objective: Objective, num_lanes: int) -> Heard:
    """The memory of lanes that have asked nothing yet, in numpy."""
    classes = template.targets.shape[0] if differentiates_predictions(objective) else 0
    shape = (num_lanes, classes, *template.original.shape)
    return Heard(np.zeros(shape, np.float32), np.zeros(num_lanes, np.int32))


def _evaluate_and_step(
    problem: Problem, inputs: Inputs, lanes: Lanes, answers: Answers | None = None
) -> Lanes:
    models, rule = problem.models, problem.rule
    objective = inputs.objective
    instances, states, heard = lanes
    if answers is not None and heard is not None:
        heard = _remember(heard, answers)

    def smooth_objective(queries: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        points, perturbations = jax.vmap(search.view)(instances, queries)
        outputs = models.outputs(
            inputs.params,
            points,
            encoding=objective.needs_encoding,
            reconstruction=objective.needs_reconstruction,
            probabilities=None if answers is None else _surrogate(answers, heard, points),
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
    if answers is not None:
        probabilities = answers.judged
    elif rule.solver.looks_ahead:
        candidates = jax.vmap(search.candidate)(instances, states)
        probabilities = models.probabilities(inputs.params, candidates)
    trusted = None
    if inputs.trust is not None:
        candidates = jax.vmap(search.candidate)(instances, states)
        encodings = models.encoding(inputs.params, candidates)
        new_class = jnp.argmax(probabilities, axis=1)
        scores = trust_scores(inputs.trust, encodings, instances.original_class, new_class)
        trusted = scores > inputs.trust.threshold
    step = partial(search.step, rule, inputs.limits, objective)
    moved = jax.vmap(step)(instances, states, probabilities, terms, gradients, trusted)
    return Lanes(instances, moved, heard)


def _remember(heard: Heard, answers: Answers) -> Heard:
    jacobian = heard.jacobian
    if answers.due is not None:
        due = answers.due.reshape(-1, *[1] * (jacobian.ndim - 1))
        jacobian = jnp.where(due, answers.jacobian, jacobian)
    return Heard(jacobian, heard.predictions + answers.predictions)


def _surrogate(answers: Answers, heard: Heard | None, points: jax.Array) -> jax.Array:
    """The probabilities that a black box gave for the points, with the gradient last heard."""
    probabilities = answers.judged if answers.queried is None else answers.queried
    if answers.due is None or heard is None:
        return probabilities
    offset = points - jax.lax.stop_gradient(points)
    flat = heard.jacobian.reshape(*probabilities.shape, -1)
    return probabilities + jnp.einsum("lcf,lf->lc", flat, offset.reshape(len(offset), -1))


@partial(jax.jit, static_argnames="problem")
def questions(problem: Problem, inputs: Inputs, lanes: Lanes) -> Questions:
    """What the next step of every lane asks of a black box; answered on the host."""
    instances, states, _ = lanes
    box, looks_ahead = problem.models.black_box, problem.rule.solver.looks_ahead
    running = states.status == Status.RUNNING
    points, _ = jax.vmap(search.view)(instances, states.solver.query)
    candidates = jax.vmap(search.candidate)(instances, states) if looks_ahead else None
    due, queried = None, None
    if differentiates_predictions(inputs.objective):
        # The last evaluation of a round is followed by no update.
        due = running & (states.step < inputs.limits.max_steps)
        due = due & (states.step % cast(BlackBox, box).gradient.every == 0)
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


@partial(jax.jit, static_argnames="problem", donate_argnames="lanes")
def advance_with(problem: Problem, inputs: Inputs, lanes: Lanes, answers: Answers) -> Lanes:
    """Move every running lane on by one evaluation, with what a black box said of it."""
    return _evaluate_and_step(problem, inputs, lanes, answers)


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
    nothing = jax.tree.map(jnp.zeros_like, lanes.heard)
    return _choose(taken, Lanes(incoming, jax.vmap(start)(incoming), nothing), lanes)


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
