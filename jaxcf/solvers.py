"""Step rules: how one instance's point moves, given a gradient.

A solver is a frozen, hashable object with two pure functions of ONE instance, `init` and `update`;
their states say where the next gradient is wanted. The search never looks inside. L1 and the box
are handled here: by a proximal step, or, for the report's variant, by a subgradient.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass
from functools import lru_cache, partial, wraps
from typing import Any, NamedTuple, ParamSpec, Protocol, SupportsIndex, cast, runtime_checkable

import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PyTree

from jaxcf.objective import Instance
from jaxcf.utils.numbers import Scalar, check_number


class SolverState(NamedTuple):
    """Where a solver stands on one instance.

    Attributes:
        iterate: `[*shape]`, the solver's point.
        query: `[*shape]`, where it wants the next gradient.
        memory: what the step rule remembers.
    """

    iterate: Array
    query: Array
    memory: PyTree


@runtime_checkable
class Solver(Protocol):
    """What the search asks of a step rule. Implementations are frozen and hashable (static).

    One that has an attribute `wants_value`, true, is also given `value=`: the objective at the
    query, without L1 for a proximal solver.
    """

    @property
    def name(self) -> str:
        """The solver's name in records."""
        ...

    @property
    def proximal(self) -> bool:
        """Whether `update` handles L1 itself, so that the gradient must leave it out."""
        ...

    @property
    def looks_ahead(self) -> bool:
        """Whether gradients are wanted elsewhere than at the iterate."""
        ...

    def init(self, instance: Instance) -> SolverState:
        """The state before the first step, at the original."""
        ...

    def update(
        self,
        state: SolverState,
        gradient: Float[Array, "*shape"],
        instance: Instance,
        l1_weight: Scalar,
        progress: Scalar,
    ) -> SolverState:
        """The state after one step; `progress` is the share of the budget already used."""
        ...


def gets_value(solver: Solver) -> bool:
    """Whether a solver's `update` is also given the value of the objective."""
    return bool(getattr(solver, "wants_value", False))


def check_is_solver(given: object) -> None:
    """Check that an option is a solver.

    Raises:
        TypeError: if it is something else, such as a name or an optax transformation, with what
            makes a solver of it; or if it can't be hashed.
    """
    if isinstance(given, Solver) and not isinstance(given, type):
        try:
            hash(given)
        except TypeError as error:
            raise TypeError(
                f"solver {given.name!r} can't be hashed ({error}); a solver is static: make it a "
                "frozen dataclass of hashable fields"
            ) from error
        return
    got, hint = type(given).__name__, "pass one such as solvers.adam()"
    if isinstance(given, type):
        got, hint = f"the class {given.__name__}", "pass an instance of it"
    elif isinstance(given, str):
        got, hint = f"the name {given!r}", f"pass solvers.named({given!r})"
    elif hasattr(given, "init") and hasattr(given, "update"):
        got = f"{got}, an optax transformation by its looks"
        hint = (
            "pass solvers.from_optax(transformation, step_size=...), where step_size is what a "
            "lasting gradient is multiplied by"
        )
    elif callable(given):
        got, hint = (
            f"the function {getattr(given, '__name__', given)}",
            "call it, as solvers.adam()",
        )
    raise TypeError(f"solver must be a solver of jaxcf.solvers or one's own, got {got}; {hint}")


def settings_of(solver: Solver) -> dict[str, Any]:
    """What a solver was made with, as plain values for records; its name stands beside them.

    Args:
        solver: a named one, of which these are the arguments, or another dataclass, of which they
            are the fields.

    Returns:
        Texts, truth values and finite numbers by name. What is none of these, such as a function or
        the transformation of `from_optax`, has no place in a record.

    Examples:
        >>> settings_of(adam(0.1))
        {'learning_rate': 0.1, 'momentum': 0.5}
        >>> settings_of(Fista(restart=True))
        {'learning_rate': 0.01, 'threshold': 'exact', 'restart': True}
    """
    recipe = solver._recipe if isinstance(solver, GradientSolver) else None
    if recipe is not None:
        made = inspect.signature(recipe.func).bind(*recipe.args, **recipe.keywords)
        made.apply_defaults()
        given = made.arguments
    elif is_dataclass(solver):
        given = {one.name: getattr(solver, one.name) for one in fields(solver) if one.init}
    else:
        given = {}
    plain = {
        name: one.item() if isinstance(one, np.generic) else one for name, one in given.items()
    }
    return {name: one for name, one in plain.items() if name != "name" and _is_plain(one)}


def _is_plain(value: object) -> bool:
    if isinstance(value, float):
        return bool(np.isfinite(value))
    return value is None or isinstance(value, str | int)


def soft_threshold(
    perturbation: Float[Array, "*shape"], threshold: Scalar
) -> Float[Array, "*shape"]:
    r"""The proximal operator of $t\,\|d\|_1$: shrink towards 0 by t, exactly 0 within t.

    Examples:
        >>> import jax.numpy as jnp
        >>> soft_threshold(jnp.array([-3.0, 0.5, 2.0]), 1.0).tolist()
        [-2.0, 0.0, 1.0]
    """
    return jnp.sign(perturbation) * jnp.maximum(jnp.abs(perturbation) - threshold, 0.0)


def clip_perturbation(
    perturbation: Float[Array, "*shape"], instance: Instance
) -> Float[Array, "*shape"]:
    """The point x0 + d within the instance's range; exactly x0 wherever d is 0."""
    moved = jnp.clip(instance.original + perturbation, instance.lower, instance.upper)
    # Adding 0 isn't enough: -0.0 + 0.0 is 0.0, and an unmoved feature keeps every bit.
    return jnp.where(perturbation == 0, instance.original, moved)


# What is left of a step that fades. Rows that have found nothing yet go on with such steps.
_SHORTEST = 0.05

StepSize = Callable[..., Scalar]
"""From the state of an optax transformation to its step size."""


@dataclass(frozen=True)
class GradientSolver:
    """An optax transformation, made proximal for L1 and the box.

    One step: the transformation turns the gradient of the smooth terms into an update; the
    perturbation is then soft-thresholded at (step size x beta) and clipped to the range, which
    solves the L1 term and the box exactly. The step size is what the transformation multiplies a
    lasting gradient by, per coordinate: the learning rate for plain gradient descent, the
    learning rate over the root of the second moment for Adam.

    Args:
        name: how records call it.
        transformation: the optax transformation. Those of the extended protocol are given `value`,
            the objective at the iterate (without L1 where it is proximal), and `grad`. There is no
            `value_fn`: a search can't evaluate the objective elsewhere within a step.
        step_size: from the transformation's state to the step size, a scalar or `[*shape]`.
        proximal: False gives the subgradient variant: |d| is differentiated with the rest, and
            nothing becomes exactly zero.
        projected: whether the iterate itself is kept in the range; False lets d grow beyond it
            and clips only what the models see, as the report's code does.
        fading: whether steps grow shorter over a round, in proportion to what is left of
            `max_steps`, down to a twentieth.
    """

    name: str
    transformation: optax.GradientTransformation
    step_size: StepSize
    proximal: bool = True
    projected: bool = True
    fading: bool = False
    _recipe: "partial[GradientSolver] | None" = field(
        default=None, init=False, repr=False, compare=False
    )

    looks_ahead = False
    wants_value = True

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        """Pickle a recipe, if there is one: an optax transformation is made of closures."""
        return super().__reduce_ex__(protocol) if self._recipe is None else (self._recipe, ())

    def init(self, instance: Instance) -> SolverState:
        """The state before the first step, at the original."""
        original = instance.original
        return SolverState(original, original, self.transformation.init(original))

    def update(
        self,
        state: SolverState,
        gradient: Float[Array, "*shape"],
        instance: Instance,
        l1_weight: Scalar,
        progress: Scalar,
        value: Scalar | None = None,
    ) -> SolverState:
        """One step of the transformation, then the proximal step where it is one."""
        share = jnp.maximum(1.0 - progress, _SHORTEST) if self.fading else 1.0
        transformation = optax.with_extra_args_support(self.transformation)
        extra = {} if value is None else {"value": value, "grad": gradient}
        updates, memory = transformation.update(gradient, state.memory, state.iterate, **extra)
        perturbation = state.iterate - instance.original + share * cast(Array, updates)
        if self.proximal:
            threshold = share * self.step_size(memory) * l1_weight
            perturbation = soft_threshold(perturbation, threshold)
        if self.projected:
            point = clip_perturbation(perturbation, instance)
        else:
            point = instance.original + perturbation
        return SolverState(point, point, memory)


@dataclass(frozen=True)
class Fista:
    r"""FISTA as in the paper: a gradient step with decaying rate, shrinkage, momentum k/(k+3).

    $$x_{k+1} = S_{t}(y_k - \eta_k \nabla g(y_k)),\quad
      y_{k+1} = x_{k+1} + \tfrac{k+1}{k+4}(x_{k+1} - x_k)$$

    with $\eta_k = \eta\sqrt{1 - k/K}$, both points clipped to the range. `threshold="exact"`
    shrinks at $t = \eta_k \beta$, which solves the stated objective; `threshold="reference"` at
    $t = \beta$, whatever the rate, as the paper's reference implementation does: a feature then
    leaves its original value only where one step exceeds beta.

    Args:
        learning_rate: eta, > 0.
        threshold: "exact" or "reference".
        restart: whether the momentum starts anew, k = 0, wherever it points uphill:
            $(y_k - x_{k+1}) \cdot (x_{k+1} - x_k) > 0$ (O'Donoghue & Candes 2015, gradient
            scheme).
        name: how records call it.
    """

    learning_rate: float = 1e-2
    threshold: str = "exact"
    restart: bool = False
    name: str = "fista"

    proximal = True
    looks_ahead = True

    def __post_init__(self) -> None:
        _check_rate(self.learning_rate)
        if self.threshold not in ("exact", "reference"):
            raise ValueError(f"threshold must be 'exact' or 'reference', got {self.threshold!r}")

    def init(self, instance: Instance) -> SolverState:
        """The state before the first step, at the original."""
        original = instance.original
        return SolverState(original, original, jnp.zeros((), jnp.int32))

    def update(
        self,
        state: SolverState,
        gradient: Float[Array, "*shape"],
        instance: Instance,
        l1_weight: Scalar,
        progress: Scalar,
    ) -> SolverState:
        """One accelerated proximal step."""
        rate = self.learning_rate * jnp.sqrt(1.0 - progress)
        threshold = l1_weight if self.threshold == "reference" else rate * l1_weight
        moved = state.query - rate * gradient - instance.original
        iterate = clip_perturbation(soft_threshold(moved, threshold), instance)
        count = state.memory + 1
        if self.restart:
            uphill = jnp.sum((state.query - iterate) * (iterate - state.iterate)) > 0
            count = jnp.where(uphill, 0, count)
        momentum = count.astype(jnp.float32) / (count + 3).astype(jnp.float32)
        ahead = iterate + momentum * (iterate - state.iterate)
        query = clip_perturbation(ahead - instance.original, instance)
        return SolverState(iterate, query, count)


def _check_rate(rate: float, what: str = "learning_rate") -> None:
    check_number(what, rate, above=0)


def _check_momentum(momentum: float) -> None:
    check_number("momentum", momentum, least=0, below=1)


_ADAM_DECAY = 0.999
_ADAM_EPSILON = 1e-8


_Arguments = ParamSpec("_Arguments")


def _recipe(make: Callable[_Arguments, GradientSolver]) -> Callable[_Arguments, GradientSolver]:
    """A function that makes the same solver, the very object, of the same arguments.

    Solvers are static arguments of the compiled search, and optax transformations compare by
    identity: else every explainer, and every one that was pickled, would compile anew.
    """

    @lru_cache(maxsize=64)
    @wraps(make)
    def kept(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> GradientSolver:
        solver = make(*args, **kwargs)
        object.__setattr__(solver, "_recipe", partial(kept, *args, **kwargs))
        return solver

    return cast(Callable[_Arguments, GradientSolver], kept)


@_recipe
def adam(learning_rate: float = 3e-2, momentum: float = 0.5) -> GradientSolver:
    """Proximal Adam: Adam on the smooth terms, L1 solved in Adam's own metric.

    Args:
        learning_rate: about how far a feature moves in one step, > 0. Static.
        momentum: the decay of the mean gradient (Adam's beta 1), in [0, 1). Less than the usual
            0.9, since the way to the first flip is short: the counterfactuals stay nearer.
            Static.

    Returns:
        The solver; its threshold for L1 is beta times each coordinate's own Adam step size.

    Examples:
        >>> adam(0.01).proximal
        True
    """
    _check_rate(learning_rate)
    _check_momentum(momentum)
    transformation = optax.adam(learning_rate, b1=momentum, b2=_ADAM_DECAY, eps=_ADAM_EPSILON)
    return GradientSolver("adam", transformation, lambda state: learning_rate / _root(state[0]))


def _root(moments: optax.ScaleByAdamState) -> Array:
    """What Adam divides the mean gradient by."""
    count = cast(Array, moments.count).astype(jnp.float32)
    return jnp.sqrt(cast(Array, moments.nu) / (1 - _ADAM_DECAY**count)) + _ADAM_EPSILON


# Steps by the number of features, chosen on images of 784 and of 64 pixels and on tables of 12 and
# of 30 columns (benchmarks/README.md): the more features there are, the fewer of them in proportion
# have a say in the decision. For those of `normalized` that is the length, for `fading_adam` how
# far each feature moves at first.
_LENGTH_PER_ROOT, _RATE_PER_ROOT = 0.045, 0.1


def _root_of_size(point: PyTree) -> float:
    return jnp.size(point) ** (1 / 3)


@_recipe
def fading_adam(learning_rate: float | None = None, momentum: float = 0.5) -> GradientSolver:
    """Proximal Adam for searches that use all of their steps: long ones first, shorter and shorter.

    Over `max_steps` they fall to a twentieth, in proportion to what is left. Made for the presets
    that go with guides, where 30 steps of it get as near as 60 of `adam`; under jaxcf's own weights
    of the terms its first steps lead too far.

    Args:
        learning_rate: about how far a feature moves in the first step, > 0. None takes 0.1 times
            the cube root of the number of features, for features in [0, 1]. Static.
        momentum: as for `adam`. Static.

    Returns:
        The solver.

    Examples:
        >>> fading_adam().fading
        True
    """
    if learning_rate is not None:
        _check_rate(learning_rate)
    _check_momentum(momentum)

    def rate(point: PyTree) -> float:
        return _RATE_PER_ROOT * _root_of_size(point) if learning_rate is None else learning_rate

    transformation = optax.chain(
        optax.scale_by_adam(b1=momentum, b2=_ADAM_DECAY, eps=_ADAM_EPSILON),
        optax.stateless(lambda updates, _: -rate(updates) * cast(Array, updates)),
    )

    def step_size(state: PyTree) -> Array:
        return rate(state[0].nu) / _root(state[0])

    return GradientSolver("fading_adam", transformation, step_size, fading=True)


@_recipe
def subgradient_adam(learning_rate: float = 1e-2) -> GradientSolver:
    """The report's solver: plain Adam on all terms, |d| differentiated as sign(d).

    Args:
        learning_rate: eta, > 0. Static.

    Returns:
        The solver. It leaves no feature exactly unchanged.
    """
    _check_rate(learning_rate)
    transformation = optax.adam(learning_rate, b2=_ADAM_DECAY, eps=_ADAM_EPSILON)
    return GradientSolver(
        "subgradient_adam",
        transformation,
        step_size=lambda state: learning_rate,
        proximal=False,
        projected=False,
    )


@_recipe
def gradient_descent(learning_rate: float = 1e-3, momentum: float = 0.0) -> GradientSolver:
    """Proximal gradient descent (ISTA), with heavy-ball momentum if wanted.

    Args:
        learning_rate: eta, > 0. Static.
        momentum: in [0, 1). Static.

    Returns:
        The solver.
    """
    _check_rate(learning_rate)
    _check_momentum(momentum)
    return from_optax(
        optax.sgd(learning_rate, momentum=momentum or None),
        step_size=learning_rate / (1.0 - momentum),
        name="gradient_descent",
    )


def _to_length(step_length: float | None) -> optax.GradientTransformation:
    """Scale the gradient to a length; the factor by which is kept as the state."""

    def update(
        updates: PyTree, state: PyTree, params: PyTree | None = None
    ) -> tuple[PyTree, PyTree]:
        del state, params
        usual = _LENGTH_PER_ROOT * _root_of_size(updates)
        length = usual if step_length is None else step_length
        norm = jnp.maximum(jnp.linalg.norm(updates.ravel()), jnp.finfo(jnp.float32).tiny)
        return updates / norm * length, length / norm

    return optax.GradientTransformation(lambda params: jnp.ones((), jnp.float32), update)


@_recipe
def normalized(step_length: float | None = None, momentum: float = 0.7) -> GradientSolver:
    r"""Steps of a given length along the gradient: direction and distance decoupled. The default.

    $$x_{k+1} = S_{t}\big(x_k - \eta v_k\big),\quad
      v_k = \mu v_{k-1} + \nabla g(x_k) / \|\nabla g(x_k)\|_2$$

    Args:
        step_length: eta, the Euclidean length of one step, > 0; with momentum a lasting direction
            gets 1 / (1 - momentum) times as much. None takes 0.045 times the cube root of the
            number of features, for features in about [0, 1]. Static.
        momentum: mu, heavy-ball, in [0, 1). Static.

    Returns:
        The solver; its threshold for L1 is beta times the step's share of the gradient,
        $t = \beta \eta / ((1 - \mu) \|\nabla g\|_2)$.

    Examples:
        >>> normalized().proximal
        True

    Source:
        After the decoupled direction and norm of Rony et al. (arXiv 1811.09600).
    """
    if step_length is not None:
        _check_rate(step_length, "step_length")
    _check_momentum(momentum)
    transformation = optax.chain(_to_length(step_length), optax.sgd(1.0, momentum or None))

    def step_size(state: PyTree) -> Array:
        return state[0] / (1.0 - momentum)

    return GradientSolver("normalized", transformation, step_size)


@lru_cache(maxsize=64)
def fista(learning_rate: float = 1e-2, restart: bool = False) -> Fista:
    """FISTA with the exact threshold eta x beta, if wanted with restarts of its momentum."""
    return Fista(learning_rate, restart=restart, name="restarted_fista" if restart else "fista")


@lru_cache(maxsize=64)
def reference_fista(learning_rate: float = 1e-2) -> Fista:
    """FISTA as the paper's reference implementation runs it, shrinking by beta each step."""
    return Fista(learning_rate, threshold="reference", name="reference_fista")


def from_optax(
    transformation: optax.GradientTransformation,
    *,
    step_size: float,
    name: str = "optax",
    proximal: bool = True,
) -> GradientSolver:
    """An optax transformation as a solver; a linesearch can't be one.

    Args:
        transformation: turns a gradient `[*shape]` of one instance into an update. It may ask for
            `value` and `grad` (`optax.polyak_sgd`), but for no linesearch: `fit` refuses one.
        step_size: what a lasting gradient is multiplied by, > 0; the L1 threshold is this times
            beta. For plain gradient descent it is the learning rate.
        name: how records call it.
        proximal: False differentiates |d| instead of thresholding.

    Returns:
        The solver. Keep and reuse it: a new one is a new program to compile. It can't be pickled,
        since optax's functions can't (cloudpickle can); the named solvers can.

    Raises:
        TypeError: if `transformation` is no optax transformation.

    Examples:
        >>> import optax
        >>> from_optax(optax.rmsprop(1e-2), step_size=1e-2, name="rmsprop").name
        'rmsprop'
    """
    if not (hasattr(transformation, "init") and hasattr(transformation, "update")):
        raise TypeError(
            f"expected an optax.GradientTransformation such as optax.adam(1e-2), "
            f"got {type(transformation).__name__}"
        )
    _check_rate(step_size, "step_size")
    return GradientSolver(name, transformation, lambda state: step_size, proximal=proximal)


NAMED_SOLVERS: dict[str, Callable[..., GradientSolver | Fista]] = {
    "adam": adam,
    "subgradient_adam": subgradient_adam,
    "gradient_descent": gradient_descent,
    "normalized": normalized,
    "fading_adam": fading_adam,
    "fista": fista,
    "reference_fista": reference_fista,
}


def named(name: str, learning_rate: float | None = None) -> GradientSolver | Fista:
    """A solver by its name, with its own default learning rate unless one is given.

    Raises:
        ValueError: if there is no solver of that name.

    Examples:
        >>> named("fista").name
        'fista'
    """
    if name not in NAMED_SOLVERS:
        raise ValueError(f"unknown solver {name!r}; the named ones are {', '.join(NAMED_SOLVERS)}")
    recipe = NAMED_SOLVERS[name]
    if learning_rate is None:
        return recipe()
    _check_rate(learning_rate)
    return recipe(learning_rate)
