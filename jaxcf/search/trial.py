"""What callers bring into a search, tried without being run: solvers, and terms of their own."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from jaxcf.decisions import Guidance, Outputs
from jaxcf.objective import Candidate, Instance, Objective, Term
from jaxcf.predictors.captured import trace_anew, tracing_context
from jaxcf.solvers import Solver, SolverState, gets_value

_NUMBER = jax.ShapeDtypeStruct((), jnp.float32)


@lru_cache(maxsize=64)
def check_solver(solver: Solver, instance: Instance) -> None:
    """Check that a solver can begin and go on, and that its state stays what it is.

    Args:
        solver: to be tried.
        instance: of shapes and types, from `Instance.shapes`.

    Raises:
        TypeError: if it fails, or a step turns its state into another kind.
    """
    what = f"the solver {solver.name!r}"
    point = instance.original
    try:
        before = jax.eval_shape(solver.init, instance)
    except Exception as error:
        raise TypeError(
            f"{what} can't begin on an instance of shape {point.shape}: {_said(error)}"
        ) from error
    if not isinstance(before, SolverState):
        raise TypeError(
            f"{what} begins with a {type(before).__name__}; its init must return a SolverState of "
            "iterate, query and memory"
        )
    extra = {"value": _NUMBER} if gets_value(solver) else {}
    try:
        after = jax.eval_shape(solver.update, before, point, instance, _NUMBER, _NUMBER, **extra)
    except Exception as error:
        hint = ""
        if "value_fn" in str(error):
            hint = (
                ". A linesearch calls the objective again, which a search of many rows can't give "
                "it (value_fn); value and grad it can: take a fixed learning rate, as "
                "optax.lbfgs(1e-2, linesearch=None) does"
            )
        raise TypeError(
            f"{what} can't take a step on an instance of shape {point.shape}: {_said(error)}{hint}"
        ) from error
    if jax.tree.structure(before) != jax.tree.structure(after):
        raise TypeError(
            f"a step of {what} turns its state {jax.tree.structure(before)} into "
            f"{jax.tree.structure(after)}; its update must return a state like that of its init"
        )
    paths = jax.tree_util.tree_leaves_with_path(before)
    for (path, old), new in zip(paths, jax.tree.leaves(after), strict=True):
        if (old.shape, old.dtype) != (new.shape, new.dtype):
            raise TypeError(
                f"a step of {what} turns state{jax.tree_util.keystr(path)} from "
                f"{old.dtype}{list(old.shape)} into {new.dtype}{list(new.shape)}; its update must "
                "return a state like that of its init"
            )
    for name in ("iterate", "query"):
        made = getattr(before, name)
        if (made.shape, made.dtype) != (point.shape, point.dtype):
            raise TypeError(
                f"{what} begins with state.{name} of {made.dtype}{list(made.shape)}; expected "
                f"{point.dtype}{list(point.shape)}, like the instance"
            )


def solver_digest(solver: Solver, instance: Instance) -> str:
    """What a solver does, whatever it is called and made of: equal steps have equal digests.

    Args:
        solver: that `check_solver` has let pass.
        instance: of shapes and types, from `Instance.shapes`.

    Returns:
        64 hexadecimal digits, the same in another process.
    """

    def first_step(instance: Instance, gradient: Any, number: Any) -> SolverState:
        extra = {"value": number} if gets_value(solver) else {}
        return solver.update(solver.init(instance), gradient, instance, number, number, **extra)

    return trace_anew(first_step, instance, instance.original, _NUMBER).digest


@dataclass(frozen=True)
class TracedTerm:
    """A term of the caller's own, known by what it holds as well. Static.

    Attributes:
        function: from a candidate to a number.
        digest: of its trace.
        context: in which it was traced.
    """

    function: Term
    digest: str
    context: tuple[Any, ...]

    def __call__(self, candidate: Candidate) -> jax.Array:
        """The term."""
        return self.function(candidate)


def check_terms(
    objective: Objective, instance: Instance, *, has_autoencoder: bool, num_guides: int = 0
) -> Objective:
    """Check that the caller's own terms are functions from one candidate to a number.

    Args:
        objective: whose extra terms are tried.
        instance: of shapes and types, from `Instance.shapes`.
        has_autoencoder: whether candidates have a reconstruction.
        num_guides: how many guides say something of candidates.

    Returns:
        The same objective; compiled programs know its extra terms by what they hold now.

    Raises:
        TypeError: if one can't be called, or returns no array.
        ValueError: if it returns an array of several numbers.
    """
    probabilities = jax.ShapeDtypeStruct(instance.targets.shape, jnp.float32)
    point: Any = instance.original
    reconstruction = point if has_autoencoder else None
    odds = probabilities if objective.by_log_odds else None
    guides = None
    if num_guides:
        said: Any = jax.ShapeDtypeStruct((num_guides, *probabilities.shape), jnp.float32)
        least: Any = jax.ShapeDtypeStruct((num_guides,), jnp.float32)
        needed: Any = jax.ShapeDtypeStruct((), jnp.int32)
        guides = Guidance(said, least, needed, said if objective.by_log_odds else None)
    outputs = Outputs(*_any(probabilities, instance.prototype, reconstruction, odds, guides))
    candidate = Candidate(*_any(instance, point, point, outputs, _NUMBER, _NUMBER))
    traced: list[tuple[str, Term]] = []
    for name, given in objective.extra_terms:
        function = given.function if isinstance(given, TracedTerm) else given
        expected = (
            "expected one number, a JAX scalar, for the candidate of one instance: take a sum or "
            "a mean, such as jnp.sum(jnp.square(candidate.perturbation))"
        )
        try:
            value, digest = trace_anew(function, candidate)
        except Exception as error:
            raise TypeError(
                f"the term {name!r} can't be called: {_said(error)}; {expected}"
            ) from error
        if not hasattr(value, "shape"):
            raise TypeError(f"the term {name!r} returned {type(value).__name__}; {expected}")
        if value.shape != ():
            raise ValueError(f"the term {name!r} returned shape {value.shape}; {expected}")
        traced.append((name, TracedTerm(function, digest, tracing_context())))
    return replace(objective, extra_terms=tuple(traced)) if traced else objective


def check_terms_unchanged(
    objective: Objective, instance: Instance, *, has_autoencoder: bool, num_guides: int = 0
) -> None:
    """Check that terms still hold what they held when they were checked.

    Args:
        objective: as `check_terms` returned it.
        instance: likewise.
        has_autoencoder: likewise.
        num_guides: likewise.

    Raises:
        ValueError: if one holds other values.
    """
    now = check_terms(objective, instance, has_autoencoder=has_autoencoder, num_guides=num_guides)
    for (name, known), (_, term) in zip(objective.extra_terms, now.extra_terms, strict=True):
        assert isinstance(known, TracedTerm)
        assert isinstance(term, TracedTerm)
        if known.context == term.context and known.digest != term.digest:
            raise ValueError(
                f"the term {name!r} changed since fit: the values held there are others now; call "
                "fit again, or with_options(objective=...), which keeps the prototypes"
            )


def _any(*values: Any) -> Any:
    return values


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
