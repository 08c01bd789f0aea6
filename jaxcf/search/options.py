"""How to search, as options; and what of them picks code, what is only a number."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxcf import solvers
from jaxcf.objective import PREDICTION, Objective
from jaxcf.solvers import Solver
from jaxcf.utils.numbers import Scalar, check_number, check_whole

# Programs count steps in int32.
_MOST = 2**31 - 1

STOP_RULES = ("first_flip", "budget", "converged")


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
        extra_steps: updates beyond `max_steps` in the last round that a row may take while it has
            found nothing; it ends with the first counterfactual. Traced.
        prediction_weight: c in eq. 8, the first one where it changes, >= 0. Traced.
        weight_growth: what c is multiplied by after each point that is no counterfactual, and
            divided by after each that is one, >= 1 ("converged" keeps the c of the first). One
            pass then finds the c that each instance needs, instead of one search per value; 1
            keeps c as it is. The shorter the steps, the smaller it should be. Traced.
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
        TypeError: if the solver is none, or an option of a wrong kind.
        ValueError: if a value is out of its range, the stop rule is unknown, or c is to grow within
            rounds and between them.

    Examples:
        >>> SearchOptions(max_steps=100, weight_growth=1.0).stop
        'first_flip'
    """

    solver: Solver = field(default_factory=solvers.normalized)
    stop: str = "first_flip"
    max_steps: int | np.integer = 500
    extra_steps: int | np.integer = 0
    prediction_weight: Scalar = 1.0
    weight_growth: Scalar = 1.4
    weight_rounds: int | np.integer = 1
    tolerance: Scalar = 1e-4
    patience: int | np.integer = 20
    record_history: bool = False
    record_path: bool = False

    def __post_init__(self) -> None:
        if self.stop not in STOP_RULES:
            raise ValueError(f"unknown stop rule {self.stop!r}; there are {', '.join(STOP_RULES)}")
        solvers.check_is_solver(self.solver)
        for name in ("max_steps", "weight_rounds", "patience"):
            check_whole(name, getattr(self, name), most=_MOST)
        check_whole("extra_steps", self.extra_steps, least=0, most=_MOST)
        evaluations = int(self.weight_rounds) * (int(self.max_steps) + 1) + int(self.extra_steps)
        if evaluations > _MOST:
            raise ValueError(
                f"weight_rounds={self.weight_rounds} rounds of max_steps={self.max_steps} and "
                f"extra_steps={self.extra_steps} are {evaluations} evaluations; expected {_MOST} "
                "at most"
            )
        for name, least in (("prediction_weight", 0), ("tolerance", 0), ("weight_growth", 1)):
            check_number(name, getattr(self, name), least=least)
        for name in ("record_history", "record_path"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise TypeError(f"{name} must be True or False, got {getattr(self, name)!r}")
        if self.weight_rounds > 1 and self.weight_growth > 1:
            raise ValueError(
                f"c can't be searched for in rounds (weight_rounds={self.weight_rounds}) while it "
                f"grows within each (weight_growth={self.weight_growth}); pass weight_growth=1 or "
                "weight_rounds=1"
            )

    def settings(self) -> dict[str, Any]:
        """The options as plain values for records; those of the solver are `solver_options`."""
        plain = {name: value for name, value in vars(self).items() if name != "solver"}
        made_with = solvers.settings_of(self.solver)
        return {"solver": self.solver.name, "solver_options": made_with} | plain


class TracedOptions(NamedTuple):
    """The traced part of the options: changing it compiles nothing anew."""

    max_steps: Array
    prediction_weight: Array
    weight_growth: Array
    weight_rounds: Array
    tolerance: Array
    patience: Array
    extra_steps: Array


@dataclass(frozen=True)
class StaticOptions:
    """The static part of the options: changing it is another program."""

    solver: Solver
    stop: str
    history_length: int
    path_length: int = 0


def split_options(
    options: SearchOptions, objective: Objective
) -> tuple[StaticOptions, TracedOptions]:
    """Part the options into what picks code and what is only a number."""
    rounds, max_steps, growth = options.weight_rounds, options.max_steps, options.weight_growth
    if PREDICTION not in objective.terms:
        # Every c is the same search: spend the whole budget on one.
        rounds, max_steps, growth = 1, rounds * max_steps, 1.0
    traced = TracedOptions(
        max_steps=jnp.asarray(max_steps, jnp.int32),
        prediction_weight=jnp.asarray(options.prediction_weight, jnp.float32),
        weight_growth=jnp.asarray(growth, jnp.float32),
        weight_rounds=jnp.asarray(rounds, jnp.int32),
        tolerance=jnp.asarray(options.tolerance, jnp.float32),
        patience=jnp.asarray(options.patience, jnp.int32),
        extra_steps=jnp.asarray(options.extra_steps, jnp.int32),
    )
    evaluations = int(rounds * (max_steps + 1) + options.extra_steps)
    history_length = evaluations if options.record_history else 0
    path_length = evaluations if options.record_path else 0
    return StaticOptions(options.solver, options.stop, history_length, path_length), traced


@dataclass(frozen=True)
class EngineOptions:
    """How the work is laid out. None of it changes an answer.

    Args:
        lanes: how many instances are searched at once, >= 1; None chooses by device. Memory grows
            with it.
        lanes_per_group: how many lanes one compiled call advances, >= 1; None chooses by device:
            few on a CPU, whose caches are small, half of all on an accelerator. Two groups or more
            keep the device busy while the host looks after one. A black box is always asked for
            all lanes at once: they are one group.
        steps_per_chunk: updates between two looks at which lanes have ended, >= 1.
        devices: the jax devices to spread each group over; None uses the default device only.

    Raises:
        TypeError: if a number is no whole number.
        ValueError: if it is below 1.
    """

    lanes: int | None = None
    lanes_per_group: int | None = None
    steps_per_chunk: int = 8
    devices: tuple[Any, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("lanes", "lanes_per_group", "steps_per_chunk"):
            value = getattr(self, name)
            if value is not None:
                check_whole(name, value)

    def __reduce__(self) -> Any:
        """Pickle devices as what they are called: the objects are those of one process."""
        devices = self.devices and tuple((one.platform, one.id) for one in self.devices)
        return _laid_out, (self.lanes, self.lanes_per_group, self.steps_per_chunk, devices)


def _laid_out(
    lanes: int | None,
    lanes_per_group: int | None,
    steps_per_chunk: int,
    called: tuple[tuple[str, int], ...] | None,
) -> EngineOptions:
    """Engine options on the devices of this process."""
    devices = None
    if called is not None:
        platforms = {platform for platform, _ in called}
        here = {(one.platform, one.id): one for name in platforms for one in jax.devices(name)}
        missing = [
            f"{platform}:{number}" for platform, number in called if (platform, number) not in here
        ]
        if missing:
            raise ValueError(
                f"the engine options are for {', '.join(missing)}, which this process lacks; "
                "pickle them with devices=None, or start it with as many devices"
            )
        devices = tuple(here[one] for one in called)
    return EngineOptions(lanes, lanes_per_group, steps_per_chunk, devices)
