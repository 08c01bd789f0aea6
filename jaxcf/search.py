"""The search for the counterfactual of ONE instance: start, accept, step, finish.

Pure functions of unbatched arrays; the engine maps them over its lanes and calls the models for
all lanes at once in between. One evaluation looks at the point reached so far: does it count as a
counterfactual, is it the best one yet, is the round over? Only then comes the next update, so a
search that needs k updates evaluates k + 1 points, the first of them the original itself.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxcf import solvers
from jaxcf.constraints import snap
from jaxcf.objective import PREDICTION, Instance, Objective, Scalar, class_margin
from jaxcf.solvers import Solver, SolverState, clip_perturbation
from jaxcf.status import Status

STOP_RULES = ("first_flip", "budget", "converged")

# Beyond this the upper bound on c counts as "no counterfactual seen yet" (the reference's value).
_NO_UPPER_BOUND = 1e9


@dataclass(frozen=True)
class SearchOptions:
    """How one instance is searched.

    Args:
        solver: the step rule. Static.
        stop: "first_flip" ends at the first counterfactual (the report); "budget" uses every
            step and keeps the best by elastic-net distance (the paper); "converged" ends once the
            objective stalls, and keeps the best. Static.
        max_steps: updates per round, >= 1. An objective without a prediction term has no c to
            search for: its rounds are one, of `weight_rounds * max_steps` updates. Traced.
        prediction_weight: c in eq. 8, the first one where it changes, >= 0. Traced.
        weight_growth: what c is multiplied by after each point that is no counterfactual, and
            divided by after each that is one, >= 1 ("converged" keeps the c of the first). One
            pass then finds the c that each instance needs, instead of one search per value; 1
            keeps c as it is. Traced.
        weight_rounds: how many rounds of `max_steps` the paper's search for c may take, >= 1,
            each anew from the original: c grows tenfold until a counterfactual is found and is
            bisected from then on. 1 is a single round. Traced.
        tolerance: the relative fall of the objective that counts as progress ("converged").
            Traced.
        patience: evaluations without progress before it counts as converged. Traced.
        record_history: keep every loss term at every evaluation. Static.
        record_path: keep the point at every evaluation, too: evaluations times the instance's size
            in memory per row and lane, so for few rows. Static.

    Raises:
        ValueError: if a value is out of its range, the stop rule is unknown, or c is to grow within
            rounds and between them.

    Examples:
        >>> SearchOptions(max_steps=100, weight_growth=1.0).stop
        'first_flip'
    """

    solver: Solver = field(default_factory=solvers.adam)
    stop: str = "first_flip"
    max_steps: int | np.integer = 500
    prediction_weight: Scalar = 1.0
    weight_growth: Scalar = 1.1
    weight_rounds: int | np.integer = 1
    tolerance: Scalar = 1e-4
    patience: int | np.integer = 20
    record_history: bool = False
    record_path: bool = False

    def __post_init__(self) -> None:
        if self.stop not in STOP_RULES:
            raise ValueError(f"unknown stop rule {self.stop!r}; there are {', '.join(STOP_RULES)}")
        for name in ("max_steps", "weight_rounds", "patience"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not (self.prediction_weight >= 0 and self.tolerance >= 0):
            raise ValueError(
                "prediction_weight and tolerance must be >= 0, got "
                f"{self.prediction_weight} and {self.tolerance}"
            )
        if not self.weight_growth >= 1:
            raise ValueError(f"weight_growth must be at least 1, got {self.weight_growth}")
        if self.weight_growth > 1 and self.weight_rounds > 1:
            raise ValueError(
                f"c can't be searched for in rounds (weight_rounds={self.weight_rounds}) while it "
                f"grows within each (weight_growth={self.weight_growth}); pass weight_growth=1 or "
                "weight_rounds=1"
            )

    def settings(self) -> dict[str, Any]:
        """The options as plain values for records."""
        plain = {name: value for name, value in vars(self).items() if name != "solver"}
        return {"solver": self.solver.name} | plain


class Limits(NamedTuple):
    """The traced part of the options: changing it compiles nothing anew."""

    max_steps: Array
    prediction_weight: Array
    weight_growth: Array
    weight_rounds: Array
    tolerance: Array
    patience: Array


@dataclass(frozen=True)
class Rule:
    """The static part of the options: changing it is another program."""

    solver: Solver
    stop: str
    history_length: int
    path_length: int = 0


def split_options(options: SearchOptions, objective: Objective) -> tuple[Rule, Limits]:
    """Part the options into what picks code and what is only a number."""
    rounds, max_steps, growth = options.weight_rounds, options.max_steps, options.weight_growth
    if PREDICTION not in objective.terms:
        # Every c is the same search: spend the whole budget on one.
        rounds, max_steps, growth = 1, rounds * max_steps, 1.0
    limits = Limits(
        max_steps=jnp.asarray(max_steps, jnp.int32),
        prediction_weight=jnp.asarray(options.prediction_weight, jnp.float32),
        weight_growth=jnp.asarray(growth, jnp.float32),
        weight_rounds=jnp.asarray(rounds, jnp.int32),
        tolerance=jnp.asarray(options.tolerance, jnp.float32),
        patience=jnp.asarray(options.patience, jnp.int32),
    )
    evaluations = int(rounds * (max_steps + 1))
    history_length = evaluations if options.record_history else 0
    path_length = evaluations if options.record_path else 0
    return Rule(options.solver, options.stop, history_length, path_length), limits


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


def init(rule: Rule, limits: Limits, num_terms: int, instance: Instance) -> SearchState:
    """The state of a search that has not looked at anything yet."""
    zero = jnp.zeros((), jnp.int32)
    infinite = jnp.full((), jnp.inf, jnp.float32)
    false = jnp.zeros((), bool)
    return SearchState(
        solver=rule.solver.init(instance),
        status=jnp.full((), Status.RUNNING, jnp.int32),
        step=zero,
        total_steps=zero,
        round=zero,
        prediction_weight=limits.prediction_weight,
        weight_lower=jnp.zeros((), jnp.float32),
        weight_upper=jnp.full((), 10 * _NO_UPPER_BOUND, jnp.float32),
        round_found=false,
        found=false,
        best=instance.original,
        best_score=infinite,
        best_weight=limits.prediction_weight,
        best_objective=infinite,
        stalled=zero,
        history=jnp.full((rule.history_length, num_terms), jnp.nan, jnp.float32),
        path=jnp.full((rule.path_length, *jnp.shape(instance.original)), jnp.nan, jnp.float32),
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
    r"""The distance by which counterfactuals are compared, $\beta\,|d|_1 + |d|_2^2$ (eq. 5)."""
    return l1_weight * jnp.sum(jnp.abs(perturbation)) + jnp.sum(jnp.square(perturbation))


def step(
    rule: Rule,
    limits: Limits,
    objective: Objective,
    instance: Instance,
    state: SearchState,
    probabilities: Float[Array, " classes"],
    terms: Float[Array, " terms"],
    gradient: Float[Array, "*shape"],
    trusted: Bool[Array, ""] | None = None,
) -> SearchState:
    """One evaluation and, unless it ends the round, one update.

    Args:
        rule: the static options.
        limits: the traced options.
        objective: for its margin and L1 weight.
        instance: the row.
        state: before the evaluation.
        probabilities: `[classes]` at the candidate.
        terms: `[terms]`, the weighted loss terms at the solver's query.
        gradient: `[*shape]` of the objective (without L1 for a proximal solver) at the query.
        trusted: whether the candidate's trust score is high enough; None where nobody asks.

    Returns:
        The state after it. A state that isn't RUNNING comes back unchanged.
    """
    judged, flipped, finite = _accept(
        rule, objective, instance, state, probabilities, terms, gradient, trusted
    )
    over = judged.step >= limits.max_steps
    last_round = judged.round + 1 >= limits.weight_rounds
    if rule.stop == "first_flip":
        over, last_round = over | judged.found, last_round | judged.found
    elif rule.stop == "converged":
        judged = _watch_progress(limits, judged, jnp.sum(terms))
        over = over | (judged.stalled >= limits.patience)
    ended = over & last_round | ~finite

    progress = judged.step / limits.max_steps
    moved = judged._replace(
        solver=rule.solver.update(judged.solver, gradient, instance, objective.l1_weight, progress),
        step=judged.step + 1,
        total_steps=judged.total_steps + 1,
        prediction_weight=_adapt_weight(rule, limits, judged, flipped),
    )
    following = _where(over, _next_round(rule, instance, limits, judged), moved)
    after = _where(
        ended, judged._replace(status=_final_status(instance, judged, finite)), following
    )
    kept = _where(state.status == Status.RUNNING, after, state)
    # Written in place: choosing between two copies of a whole path would cost more than the step.
    return kept._replace(history=judged.history, path=judged.path)


def _accept(
    rule: Rule,
    objective: Objective,
    instance: Instance,
    state: SearchState,
    probabilities: Array,
    terms: Array,
    gradient: Array,
    trusted: Array | None,
) -> tuple[SearchState, Array, Array]:
    """Judge the candidate, and keep it if it is the best yet.

    Returns:
        The state, whether the candidate is a counterfactual, whether all numbers are finite.
    """
    point = candidate(instance, state)
    margin = class_margin(probabilities, instance.targets, objective.confidence)
    finite = jnp.isfinite(margin) & jnp.all(jnp.isfinite(gradient))
    flipped = margin < -jnp.asarray(objective.margin)
    if trusted is not None:
        flipped = flipped & trusted
    distance = elastic_net(objective.l1_weight, point - instance.original)
    nearer = ~state.found | (distance < state.best_score)
    closer = ~state.found & (margin < state.best_score)
    better = jnp.where(flipped, nearer, closer)
    history, path = state.history, state.path
    # Nothing is written where no search runs: past the end, it is dropped.
    evaluation = jnp.where(state.status == Status.RUNNING, state.total_steps + state.round, 2**30)
    if rule.history_length:
        history = history.at[evaluation].set(terms, mode="drop")
    if rule.path_length:
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


def _adapt_weight(rule: Rule, limits: Limits, state: SearchState, flipped: Array) -> Array:
    """The next c: larger after a point that is no counterfactual, smaller after one that is."""
    weight, growth = state.prediction_weight, limits.weight_growth
    # c = 0 stays, and so does a c that the caller set beyond the bound.
    grown = jnp.minimum(weight * growth, jnp.maximum(weight, _NO_UPPER_BOUND))
    if rule.stop == "converged":  # needs an objective that holds still once one is found
        return jnp.where(state.round_found, weight, grown)
    return jnp.where(flipped, weight / growth, grown)


def _watch_progress(limits: Limits, state: SearchState, objective: Array) -> SearchState:
    # Objectives with different c can't be compared: c grows until a counterfactual is found.
    growing = (limits.weight_growth > 1) & ~state.round_found
    best = state.best_objective
    # inf - inf would be NaN at the first evaluation: any finite objective is progress then.
    needed = jnp.where(jnp.isfinite(best), limits.tolerance * jnp.abs(best), 0.0)
    fell = objective < best - needed
    return state._replace(
        best_objective=jnp.where(growing, jnp.inf, jnp.where(fell, objective, best)),
        stalled=jnp.where(fell | growing, 0, state.stalled + 1),
    )


def _next_round(rule: Rule, instance: Instance, limits: Limits, state: SearchState) -> SearchState:
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
        solver=rule.solver.init(instance),
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
