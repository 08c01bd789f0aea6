"""The search for the counterfactual of ONE instance: start, accept, step, finish.

Pure functions of unbatched arrays; the engine maps them over its lanes and calls the models for
all lanes at once in between. One evaluation looks at the point reached so far: does it count as a
counterfactual, is it the best one yet, is the round over? Only then comes the next update, so a
search that needs k updates evaluates k + 1 points, the first of them the original itself.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxcf.constraints import snap
from jaxcf.decisions import Outputs, decision_margin
from jaxcf.objective import L1, Instance, Objective
from jaxcf.search.options import StaticOptions, TracedOptions
from jaxcf.search.status import Status
from jaxcf.solvers import SolverState, clip_perturbation, gets_value
from jaxcf.utils.numbers import Scalar

# Beyond this the upper bound on c counts as "no counterfactual seen yet" (the reference's value).
_NO_UPPER_BOUND = 1e9


class SearchState(NamedTuple):
    """Where the search for one instance stands.

    Attributes:
        solver: the solver's state.
        status: a `Status`; RUNNING while the search goes on.
        step: updates in this round.
        total_steps: updates in all rounds.
        round: rounds finished.
        prediction_weight: c as it stands.
        weight_lower: the largest c known to be too small.
        weight_upper: the smallest c known to be enough.
        round_found: whether this round has seen a counterfactual.
        found: whether any round has.
        best: `[*shape]`, the nearest counterfactual, or while there is none the point whose
            decision came nearest to changing.
        best_score: elastic-net distance of `best` if found, else its class margin.
        best_weight: c when `best` was seen.
        best_objective: the lowest objective of this round ("converged").
        stalled: evaluations since the objective last fell ("converged").
        history: `[history_length, terms]`, NaN where not reached.
        path: `[path_length, *shape]`, the candidates, NaN where not reached.
    """

    solver: SolverState
    status: Array
    step: Array
    total_steps: Array
    round: Array
    prediction_weight: Array
    weight_lower: Array
    weight_upper: Array
    round_found: Array
    found: Array
    best: Array
    best_score: Array
    best_weight: Array
    best_objective: Array
    stalled: Array
    history: Array
    path: Array


def init(
    static: StaticOptions, traced: TracedOptions, num_terms: int, instance: Instance
) -> SearchState:
    """The state of a search that has not looked at anything yet."""
    zero = jnp.zeros((), jnp.int32)
    infinite = jnp.full((), jnp.inf, jnp.float32)
    false = jnp.zeros((), bool)
    return SearchState(
        solver=static.solver.init(instance),
        status=jnp.full((), Status.RUNNING, jnp.int32),
        step=zero,
        total_steps=zero,
        round=zero,
        prediction_weight=traced.prediction_weight,
        weight_lower=jnp.zeros((), jnp.float32),
        weight_upper=jnp.full((), 10 * _NO_UPPER_BOUND, jnp.float32),
        round_found=false,
        found=false,
        best=instance.original,
        best_score=infinite,
        best_weight=traced.prediction_weight,
        best_objective=infinite,
        stalled=zero,
        history=jnp.full((static.history_length, num_terms), jnp.nan, jnp.float32),
        path=jnp.full((static.path_length, *jnp.shape(instance.original)), jnp.nan, jnp.float32),
    )


def feasible(point: Float[Array, "*shape"], instance: Instance) -> Float[Array, "*shape"]:
    """The nearest point that the instance may become."""
    return snap(point, instance.original, instance.lower, instance.upper, instance.grid)


def view(
    instance: Instance, query: Float[Array, "*shape"]
) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """The point that the models see for a solver's query, and the perturbation that costs.

    The gradient passes wherever the query lies within the range, its ends included: a feature
    that starts at the end of its range must be able to leave it.
    """
    inside = (query >= instance.lower) & (query <= instance.upper)
    seen = jax.lax.stop_gradient(feasible(query, instance))
    if instance.grid is None:
        return jnp.where(inside, query, seen), query - instance.original
    # The model is asked about the nearest point of the grid, the step is taken from the query.
    through = query - jax.lax.stop_gradient(query)
    return seen + jnp.where(inside, through, 0.0), query - instance.original


def candidate(instance: Instance, state: SearchState) -> Float[Array, "*shape"]:
    """The point that would be the counterfactual if the search stopped now."""
    clipped = clip_perturbation(state.solver.iterate - instance.original, instance)
    return clipped if instance.grid is None else feasible(clipped, instance)


def elastic_net(l1_weight: Scalar, perturbation: Float[Array, "*shape"]) -> Float[Array, ""]:
    r"""The distance by which counterfactuals are compared, $\beta\,\|d\|_1 + \|d\|_2^2$ (eq. 5)."""
    return l1_weight * jnp.sum(jnp.abs(perturbation)) + jnp.sum(jnp.square(perturbation))


def step(
    static: StaticOptions,
    traced: TracedOptions,
    objective: Objective,
    instance: Instance,
    state: SearchState,
    answers: Outputs,
    terms: Float[Array, " terms"],
    gradient: Float[Array, "*shape"],
    trusted: Bool[Array, ""] | None = None,
) -> SearchState:
    """One evaluation and, unless it ends the round, one update.

    Args:
        static: the static options.
        traced: the traced options.
        objective: for its margin and L1 weight.
        instance: the row.
        state: before the evaluation.
        answers: what the models decide by at the candidate.
        terms: `[terms]`, the weighted loss terms at the solver's query.
        gradient: `[*shape]` of the objective (without L1 for a proximal solver) at the query.
        trusted: whether the candidate's trust score is high enough; None where nobody asks.

    Returns:
        The state after it. A state that isn't RUNNING comes back unchanged.
    """
    judged, flipped, finite = _accept(
        static, objective, instance, state, answers, terms, gradient, trusted
    )
    over = judged.step >= step_limit(traced, judged)
    last_round = judged.round + 1 >= traced.weight_rounds
    if static.stop == "first_flip":
        over, last_round = over | judged.found, last_round | judged.found
    elif static.stop == "converged":
        judged = _watch_progress(traced, judged, jnp.sum(terms))
        over = over | (judged.stalled >= traced.patience)
    ended = over & last_round | ~finite

    extra = {}
    if gets_value(static.solver):
        left_out = L1 if static.solver.proximal else None
        kept = np.array([name != left_out for name in objective.term_names])
        extra["value"] = jnp.sum(jnp.where(kept, terms, 0.0))
    # Steps that fade with it are as long after the last as that was.
    regular = jnp.minimum(judged.step, traced.max_steps - 1)
    progress = regular.astype(jnp.float32) / traced.max_steps.astype(jnp.float32)
    moved = judged._replace(
        solver=static.solver.update(
            judged.solver, gradient, instance, objective.l1_weight_in_use, progress, **extra
        ),
        step=judged.step + 1,
        total_steps=judged.total_steps + 1,
        prediction_weight=_adapt_weight(static, traced, judged, flipped),
    )
    following = _where(over, _next_round(static, instance, traced, judged), moved)
    after = _where(
        ended, judged._replace(status=_final_status(instance, judged, finite)), following
    )
    kept = _where(state.status == Status.RUNNING, after, state)
    # Written in place: choosing between two copies of a whole path would cost more than the step.
    return kept._replace(history=judged.history, path=judged.path)


def step_limit(traced: TracedOptions, state: SearchState) -> Array:
    """The updates that this round may take: more in the last one while nothing is found."""
    waits = ~state.found & (state.round + 1 >= traced.weight_rounds)
    return traced.max_steps + jnp.where(waits, traced.extra_steps, 0)


def _accept(
    static: StaticOptions,
    objective: Objective,
    instance: Instance,
    state: SearchState,
    answers: Outputs,
    terms: Array,
    gradient: Array,
    trusted: Array | None,
) -> tuple[SearchState, Array, Array]:
    """Judge the candidate, and keep it if it is the best yet.

    Returns:
        The state, whether the candidate is a counterfactual, whether the decision, the gradient and
        terms of the caller's own are finite.
    """
    point = candidate(instance, state)
    margin = decision_margin(answers, instance.targets, objective.confidence)
    finite = jnp.isfinite(margin) & jnp.all(jnp.isfinite(gradient))
    if objective.extra_terms:  # the paper's are finite where the models and the gradient are
        finite = finite & jnp.all(jnp.isfinite(terms[len(objective.terms) :]))
    flipped = margin < -jnp.asarray(objective.margin)
    if trusted is not None:
        flipped = flipped & trusted
    distance = elastic_net(objective.l1_weight_in_use, point - instance.original)
    nearer = ~state.found | (distance < state.best_score)
    closer = ~state.found & (margin < state.best_score)
    better = jnp.where(flipped, nearer, closer)
    history, path = state.history, state.path
    # Nothing is written where no search runs: past the end, it is dropped.
    evaluation = jnp.where(state.status == Status.RUNNING, state.total_steps + state.round, 2**30)
    if static.history_length:
        history = history.at[evaluation].set(terms, mode="drop")
    if static.path_length:
        path = path.at[evaluation].set(point, mode="drop")
    judged = state._replace(
        found=state.found | flipped,
        round_found=state.round_found | flipped,
        best=jnp.where(better, point, state.best),
        best_score=jnp.where(better, jnp.where(flipped, distance, margin), state.best_score),
        best_weight=jnp.where(better, state.prediction_weight, state.best_weight),
        history=history,
        path=path,
    )
    return judged, flipped, finite


def _adapt_weight(
    static: StaticOptions, traced: TracedOptions, state: SearchState, flipped: Array
) -> Array:
    """The next c: larger after a point that is no counterfactual, smaller after one that is."""
    weight, growth = state.prediction_weight, traced.weight_growth
    # c = 0 stays, and so does a c that the caller set beyond the bound.
    grown = jnp.minimum(weight * growth, jnp.maximum(weight, _NO_UPPER_BOUND))
    if static.stop == "converged":  # needs an objective that holds still once one is found
        return jnp.where(state.round_found, weight, grown)
    return jnp.where(flipped, weight / growth, grown)


def _watch_progress(traced: TracedOptions, state: SearchState, objective: Array) -> SearchState:
    # Objectives with different c can't be compared: c grows until a counterfactual is found.
    growing = (traced.weight_growth > 1) & ~state.round_found
    best = state.best_objective
    # inf - inf would be NaN at the first evaluation: any finite objective is progress then.
    needed = jnp.where(jnp.isfinite(best), traced.tolerance * jnp.abs(best), 0.0)
    fell = objective < best - needed
    return state._replace(
        best_objective=jnp.where(growing, jnp.inf, jnp.where(fell, objective, best)),
        stalled=jnp.where(fell | growing, 0, state.stalled + 1),
    )


def _next_round(
    static: StaticOptions, instance: Instance, traced: TracedOptions, state: SearchState
) -> SearchState:
    """Back to the original with another c: tenfold until one was enough, then bisection."""
    weight = state.prediction_weight
    lower = jnp.where(
        state.round_found, state.weight_lower, jnp.maximum(state.weight_lower, weight)
    )
    upper = jnp.where(
        state.round_found, jnp.minimum(state.weight_upper, weight), state.weight_upper
    )
    following = jnp.where(upper < _NO_UPPER_BOUND, (lower + upper) / 2, 10 * weight)
    return state._replace(
        solver=static.solver.init(instance),
        step=jnp.zeros_like(state.step),
        round=state.round + 1,
        prediction_weight=following,
        weight_lower=lower,
        weight_upper=upper,
        round_found=jnp.zeros_like(state.round_found),
        best_objective=jnp.full_like(state.best_objective, jnp.inf),
        stalled=jnp.zeros_like(state.stalled),
    )


def _final_status(instance: Instance, state: SearchState, finite: Array) -> Array:
    moved = jnp.any(candidate(instance, state) != instance.original)
    moved = moved | jnp.any(state.best != instance.original)
    missed = jnp.where(moved, Status.NOT_FOUND, Status.NEVER_MOVED)
    missed = jnp.where(finite, missed, Status.MODEL_NOT_FINITE)
    return jnp.where(state.found, Status.FOUND, missed).astype(jnp.int32)


def _where(condition: Array, chosen: SearchState, other: SearchState) -> SearchState:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), chosen, other)
