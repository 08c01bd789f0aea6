"""What the search minimises: the loss terms of one instance, their weights, the objectives A-F.

Source: Van Looveren & Klaise, "Interpretable Counterfactual Explanations Guided by Prototypes"
(arXiv 1907.02584), equations 4-8. Every function here sees ONE instance; the engine maps them
over all of them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxcf.constraints import Grid
from jaxcf.decisions import Outputs, decision_margin
from jaxcf.utils.numbers import Scalar, check_number

PREDICTION = "prediction"
L1 = "l1"
L2 = "l2"
RECONSTRUCTION = "reconstruction"
PROTOTYPE = "prototype"

TERMS = (PREDICTION, L1, L2, RECONSTRUCTION, PROTOTYPE)
"""The terms of eq. 8 by name, in its order."""

_NAMED_TERMS: dict[str, tuple[str, ...]] = {
    "A": (PREDICTION, L1, L2),
    "B": (PREDICTION, L1, L2, RECONSTRUCTION),
    "C": (PREDICTION, L1, L2, PROTOTYPE),
    "D": (PREDICTION, L1, L2, RECONSTRUCTION, PROTOTYPE),
    "E": (L1, L2, PROTOTYPE),
    "F": (L1, L2, RECONSTRUCTION, PROTOTYPE),
}
NAMED_OBJECTIVES = tuple(_NAMED_TERMS)


PREDICTIONS = ("probability", "log_odds")
"""What the prediction term measures decisions by."""


class Instance(NamedTuple):
    """One row to be explained, and all that is fixed for it before the search. All traced.

    Attributes:
        original: `[*shape]`, x0.
        original_class: scalar, t0 = argmax f(x0).
        targets: `[classes]`, the classes a counterfactual may have.
        prototype: `[*latent]`, proto_j of eq. 7.
        lower: `[*shape]`, the smallest allowed values.
        upper: `[*shape]`, the largest allowed values.
        grid: the values its features may take, or None where any within the range will do.
    """

    original: Float[Array, "*shape"]
    original_class: Int[Array, ""]
    targets: Bool[Array, " classes"]
    prototype: Float[Array, "*latent"]
    lower: Float[Array, "*shape"]
    upper: Float[Array, "*shape"]
    grid: Grid | None = None

    @classmethod
    def of_rows(
        cls,
        original: np.ndarray,
        original_class: np.ndarray,
        targets: np.ndarray,
        prototype: np.ndarray,
        bounds: tuple[Any, Any, Any],
    ) -> "Instance":
        """Several instances in one, each leaf with an axis of rows in front, as lanes take them.

        Args:
            original: `[n, *shape]`.
            original_class: `[n]`.
            targets: `[n, classes]`.
            prototype: `[n, *latent]`.
            bounds: lower and upper ends, `[n, *shape]` each, and the grid, if there is one.

        Returns:
            All n of them.
        """
        return cls(*cast(Any, (original, original_class, targets, prototype, *bounds)))

    @classmethod
    def shapes(
        cls,
        shape: tuple[int, ...],
        latent_shape: tuple[int, ...],
        num_classes: int,
        grid: Grid | None = None,
    ) -> "Instance":
        """What one instance consists of, without values: shapes and types.

        Args:
            shape: `*shape`.
            latent_shape: `*latent`.
            num_classes: of the model.
            grid: likewise without values; None where no feature is held to one.

        Returns:
            An instance of `jax.ShapeDtypeStruct`.
        """
        point = jax.ShapeDtypeStruct(shape, jnp.float32)
        original_class = jax.ShapeDtypeStruct((), jnp.int32)
        targets = jax.ShapeDtypeStruct((num_classes,), jnp.bool_)
        prototype = jax.ShapeDtypeStruct(latent_shape, jnp.float32)
        return cls(*cast(Any, (point, original_class, targets, prototype, point, point, grid)))


class Candidate(NamedTuple):
    """What a loss term is given, all of one instance.

    Attributes:
        instance: the row being explained.
        point: `[*shape]`, the current x.
        perturbation: `[*shape]`, d = x - x0.
        outputs: what the models say of the point.
        margin: kappa in eq. 4.
        confidence: the probability that the target class must exceed.
    """

    instance: Instance
    point: Float[Array, "*shape"]
    perturbation: Float[Array, "*shape"]
    outputs: Outputs
    margin: Scalar = 0.0
    confidence: Scalar = 0.0


Term = Callable[[Candidate], Array]
"""A loss term of ONE instance, not weighted: those of the paper are no other than a caller's."""


def _prediction(candidate: Candidate) -> Array:
    """L_pred (eq. 4), in log-odds and of several models where asked for."""
    lead = decision_margin(candidate.outputs, candidate.instance.targets, candidate.confidence)
    return jnp.maximum(lead, -jnp.asarray(candidate.margin))


def _l1(candidate: Candidate) -> Array:
    """L_1 (eq. 5)."""
    return jnp.sum(jnp.abs(candidate.perturbation))


def _l2(candidate: Candidate) -> Array:
    """L_2 (eq. 5)."""
    return jnp.sum(jnp.square(candidate.perturbation))


def _reconstruction(candidate: Candidate) -> Array:
    """L_AE without gamma (eq. 6)."""
    residual = candidate.point - cast(Array, candidate.outputs.reconstruction)
    return jnp.sum(jnp.square(residual))


def _prototype(candidate: Candidate) -> Array:
    """L_proto without theta (eq. 7)."""
    offset = cast(Array, candidate.outputs.encoding) - candidate.instance.prototype
    return jnp.sum(jnp.square(offset))


_PAPER_TERMS: dict[str, Term] = {
    PREDICTION: _prediction,
    L1: _l1,
    L2: _l2,
    RECONSTRUCTION: _reconstruction,
    PROTOTYPE: _prototype,
}


@dataclass(frozen=True)
class Objective:
    r"""A weighted sum of loss terms (eq. 8).

    $$c\,L_{\text{pred}} + \beta\,\|d\|_1 + \|d\|_2^2 + \gamma\,\|x - \text{AE}(x)\|_2^2
      + \theta\,\|\text{ENC}(x) - \text{proto}_j\|_2^2$$

    A term that is not named in `terms` is not computed. All weights are traced: changing one
    compiles nothing anew. The weight c of the prediction term belongs to the search, which may
    change it per instance (see `SearchOptions.prediction_weight`).

    Args:
        margin: kappa in eq. 4, the lead beyond which the prediction term rewards no further
            change, in [0, 1) where that is one in probability, else at least 0. Traced.
        confidence: the probability that the target class must exceed, in [0, 1): in the
            prediction term, in what counts as a counterfactual, and for the training rows that
            prototypes are made of. 0 asks only that it be the decision. Traced.
        l1_weight: beta. Traced.
        l2_weight: the factor of the squared Euclidean length; 1 in the paper. Traced.
        reconstruction_weight: gamma in eq. 6. Traced.
        prototype_weight: theta in eq. 7. Traced.
        extra_weights: one weight for each extra term. Traced.
        prediction: what decisions are measured by: "probability" (eq. 4), or "log_odds",
            log p_k / (1 - p_k) of each class, whose slope doesn't vanish where the model is sure
            of another class. The margin is in the same unit. Static.
        terms: which terms of `TERMS` are summed. Static.
        extra_terms: `(name, function)` pairs, each function from a `Candidate` of one instance to
            a scalar. Static.

    Raises:
        TypeError: if a weight, the margin or the confidence is no number.
        ValueError: if a term is unknown or named twice, terms and weights don't match, or a number
            is out of its range: weights are at least 0, those of extra terms any.

    Examples:
        >>> from jaxcf.objective import Objective
        >>> objective = Objective.named("D", prototype_weight=50.0)
        >>> objective.terms
        ('prediction', 'l1', 'l2', 'reconstruction', 'prototype')
        >>> objective.without("reconstruction").terms
        ('prediction', 'l1', 'l2', 'prototype')
        >>> def brightness(candidate):
        ...     return candidate.perturbation.sum() ** 2
        >>> objective.with_term("brightness", brightness, weight=0.1).term_names[-1]
        'brightness'
    """

    margin: Scalar = 0.0
    confidence: Scalar = 0.0
    l1_weight: Scalar = 0.1
    l2_weight: Scalar = 1.0
    reconstruction_weight: Scalar = 100.0
    prototype_weight: Scalar = 100.0
    extra_weights: tuple[Scalar, ...] = ()
    prediction: str = "probability"
    terms: tuple[str, ...] = TERMS
    extra_terms: tuple[tuple[str, Term], ...] = ()

    def __post_init__(self) -> None:
        unknown = [term for term in self.terms if term not in TERMS]
        if unknown:
            raise ValueError(f"unknown loss term {unknown[0]!r}; the terms are {', '.join(TERMS)}")
        for name, _ in self.extra_terms:
            if not isinstance(name, str):
                raise TypeError(f"a term's name must be a text, got {name!r}")
            if name in TERMS:  # solvers, weights and records know those by name
                raise ValueError(
                    f"a term of one's own can't be called {name!r}, which is one of the paper's: "
                    f"{', '.join(TERMS)}; choose another name, such as {f'own_{name}'!r}"
                )
        if len(set(self.term_names)) != len(self.term_names):
            raise ValueError(f"each term may be named once, got {self.term_names}")
        if not self.terms and not self.extra_terms:
            raise ValueError(f"an objective needs at least one term of {', '.join(TERMS)}")
        if len(self.extra_weights) != len(self.extra_terms):
            raise ValueError(
                f"{len(self.extra_terms)} extra terms need as many extra_weights, "
                f"got {len(self.extra_weights)}; add terms through with_term()"
            )
        if self.prediction not in PREDICTIONS:
            raise ValueError(
                f"prediction must be {' or '.join(map(repr, PREDICTIONS))}, got {self.prediction!r}"
            )
        below = 1 if self.prediction == "probability" else None
        check_number("margin", self.margin, least=0, below=below)
        hint = "; it is a probability: 75 % is 0.75"
        check_number("confidence", self.confidence, least=0, below=1, hint=hint)
        for name in _WEIGHTS:
            check_number(name, getattr(self, name), least=0)
        for (name, _), weight in zip(self.extra_terms, self.extra_weights, strict=True):
            check_number(f"the weight of the term {name!r}", weight)

    def check_scalars(self) -> None:
        """Check that every number is a single one; under `jax.vmap` an objective may hold several.

        Raises:
            ValueError: if one is an array of several.
        """
        own = (
            (f"the weight of the term {name!r}", weight)
            for (name, _), weight in zip(self.extra_terms, self.extra_weights, strict=True)
        )
        for name, weight in (
            *((name, getattr(self, name)) for name in ("margin", "confidence", *_WEIGHTS)),
            *own,
        ):
            if np.shape(weight) != ():
                raise ValueError(
                    f"{name} must be a single number, got shape {np.shape(weight)}; to weigh "
                    "features apart, add a term with Objective.with_term"
                )

    @classmethod
    def named(cls, name: str, **weights: Scalar | str) -> "Objective":
        """One of the paper's objectives, with the report's weights unless others are given.

        Args:
            name: "A" to "F". A = prediction + L1 + L2; B = A + reconstruction; C = A + prototype;
                D = A + both; E = C and F = D without the prediction term.
            **weights: any weight of `Objective`, by name; also `prediction`.

        Returns:
            The objective; theta is 200 without a reconstruction term (C, E) and 100 with it.

        Raises:
            ValueError: if there is no objective of that name.
        """
        if name not in _NAMED_TERMS:
            raise ValueError(
                f"unknown objective {name!r}; the named ones are {', '.join(NAMED_OBJECTIVES)}"
            )
        terms = _NAMED_TERMS[name]
        prototype_weight = 100.0 if RECONSTRUCTION in terms else 200.0
        named = cls(prototype_weight=prototype_weight, terms=terms)
        return replace(named, **cast(Any, weights))

    @property
    def term_names(self) -> tuple[str, ...]:
        """The names of all terms, the caller's own last."""
        return self.terms + tuple(name for name, _ in self.extra_terms)

    @property
    def needs_encoding(self) -> bool:
        """Whether any term looks at the encoding; extra terms may."""
        return PROTOTYPE in self.terms or bool(self.extra_terms)

    @property
    def needs_reconstruction(self) -> bool:
        """Whether any term looks at the reconstruction; extra terms may."""
        return RECONSTRUCTION in self.terms or bool(self.extra_terms)

    @property
    def l1_weight_in_use(self) -> Scalar:
        """The weight of L1 where it is among the terms, else 0: solvers take no other."""
        return self.l1_weight if L1 in self.terms else jnp.zeros_like(self.l1_weight)

    @property
    def by_log_odds(self) -> bool:
        """Whether decisions are measured by log-odds."""
        return self.prediction == "log_odds"

    @property
    def needs_prediction_gradient(self) -> bool:
        """Whether any term needs the gradient of the probabilities; extra terms may."""
        return PREDICTION in self.terms or bool(self.extra_terms)

    def without(self, *names: str) -> "Objective":
        """The same objective with the named terms dropped; they aren't computed any more."""
        missing = [name for name in names if name not in self.term_names]
        if missing:
            raise ValueError(f"no term {missing[0]!r} to drop; there are {self.term_names}")
        kept = [i for i, (name, _) in enumerate(self.extra_terms) if name not in names]
        return replace(
            self,
            terms=tuple(term for term in self.terms if term not in names),
            extra_terms=tuple(self.extra_terms[i] for i in kept),
            extra_weights=tuple(self.extra_weights[i] for i in kept),
        )

    def with_term(self, name: str, function: Term, weight: Scalar = 1.0) -> "Objective":
        """The same objective plus a term of the caller's own.

        Args:
            name: what the term is called in results; none of the paper's.
            function: from the `Candidate` of one instance to a scalar, written in JAX. Smooth
                terms only: it is differentiated. Static: pass the same function object again to
                compile nothing anew.
            weight: traced.

        Returns:
            A new objective.

        Raises:
            TypeError: if the name is no text, or the function none.
            ValueError: if a term is called so already, or one of the paper's is.
        """
        if not callable(function):
            raise TypeError(f"the term {name!r} must be a function, got {type(function).__name__}")
        return replace(
            self,
            extra_terms=(*self.extra_terms, (name, function)),
            extra_weights=(*self.extra_weights, weight),
        )

    def weighted_terms(self, prediction_weight: Scalar) -> tuple[tuple[str, Term, Scalar], ...]:
        """Name, function and weight of every term: the objective is their weighted sum.

        Args:
            prediction_weight: c in eq. 8, which belongs to the search.

        Returns:
            In the order of `term_names`.
        """
        weights = {
            PREDICTION: prediction_weight,
            L1: self.l1_weight,
            L2: self.l2_weight,
            RECONSTRUCTION: self.reconstruction_weight,
            PROTOTYPE: self.prototype_weight,
        }
        own = zip(self.extra_terms, self.extra_weights, strict=True)
        return (
            *((name, _PAPER_TERMS[name], weights[name]) for name in self.terms),
            *((name, function, weight) for (name, function), weight in own),
        )

    def settings(self) -> dict[str, Any]:
        """The weights of the terms in use and the margin, as plain numbers for records."""
        used = {
            name: float(weight)
            for name, _, weight in self.weighted_terms(0.0)
            if name != PREDICTION
        }
        return {
            "prediction": self.prediction,
            "terms": list(self.term_names),
            "weights": used,
            "margin": float(self.margin),
            "confidence": float(self.confidence),
        }


_WEIGHTS = ("l1_weight", "l2_weight", "reconstruction_weight", "prototype_weight")
_TRACED = ("margin", "confidence", *_WEIGHTS, "extra_weights")
_STATIC = ("prediction", "terms", "extra_terms")


def _flatten(objective: Objective) -> tuple[tuple[tuple[Any, Any], ...], tuple[Any, ...]]:
    keys = map(jax.tree_util.GetAttrKey, _TRACED)
    leaves = (getattr(objective, name) for name in _TRACED)
    static = tuple(getattr(objective, name) for name in _STATIC)
    return tuple(zip(keys, leaves, strict=True)), static


def _unflatten(static: tuple[Any, ...], leaves: Iterable[Any]) -> Objective:
    # Not through `__init__`: what JAX puts in place of weights, such as axes, is no number of ours.
    objective = object.__new__(Objective)
    values = dict(zip((*_TRACED, *_STATIC), (*leaves, *static), strict=True))
    for name, value in values.items():
        object.__setattr__(objective, name, value)
    return objective


jax.tree_util.register_pytree_with_keys(Objective, _flatten, _unflatten)


def as_objective(given: str | Objective) -> Objective:
    """An objective, where its name may stand for it.

    Raises:
        TypeError: if it is neither.
        ValueError: if there is none of that name.
    """
    if not isinstance(given, str | Objective):
        raise TypeError(
            f"objective must be an Objective or a name of {', '.join(NAMED_OBJECTIVES)}, got "
            f"{type(given).__name__}"
        )
    return given if isinstance(given, Objective) else Objective.named(given)


def in_float32(objective: Objective) -> Objective:
    """The same objective with float32 arrays as weights.

    Python and numpy numbers of any type then meet the same compiled programs.
    """
    return jax.tree.map(lambda weight: jnp.asarray(weight, jnp.float32), objective)


def narrowed(values: Array, point: Array) -> Array:
    """What a function of the caller's makes of a point, in no more than the point's precision.

    Models may work in double precision (jax_enable_x64), the search is float32: what it asks about
    is, and so is what it hears. Half precision stays until it meets something wider.

    Args:
        values: that the function has returned.
        point: that it was given.

    Returns:
        float32 in place of float64 where the point is float32; else the values as they are.

    Examples:
        >>> narrowed(np.array([0.1]), np.float32([2.0])).dtype
        dtype('float32')
    """
    double = getattr(values, "dtype", None) == np.float64 and point.dtype == np.float32
    return jnp.asarray(values, jnp.float32) if double else values


def loss_terms(
    objective: Objective,
    prediction_weight: Scalar,
    instance: Instance,
    point: Float[Array, "*shape"],
    perturbation: Float[Array, "*shape"],
    outputs: Outputs,
) -> dict[str, Float[Array, ""]]:
    r"""Every loss term of one instance at one point, weighted: their sum is the objective.

    Args:
        objective: the terms and their weights.
        prediction_weight: c in eq. 8. Traced.
        instance: the row being explained.
        point: `[*shape]`, x.
        perturbation: `[*shape]`, d; x - x0 unless a solver keeps d outside the allowed range.
        outputs: what the models say of `point`.

    Returns:
        The weighted terms by name, in the order of `objective.term_names`.
    """
    candidate = Candidate(
        instance, point, perturbation, outputs, objective.margin, objective.confidence
    )
    return {
        name: weight * narrowed(function(candidate), point)
        for name, function, weight in objective.weighted_terms(prediction_weight)
    }
