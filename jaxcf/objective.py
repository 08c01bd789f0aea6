"""What the search minimises: the loss terms of one instance, their weights, the objectives A-F.

Source: Van Looveren & Klaise, "Interpretable Counterfactual Explanations Guided by Prototypes"
(arXiv 1907.02584), equations 4-8. Every function here sees ONE instance; the engine maps them
over all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from jaxcf.constraints import Grid

Scalar = int | float | np.number | Array

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


class Outputs(NamedTuple):
    """What the models say of one point.

    Attributes:
        probabilities: `[classes]`.
        encoding: the point in the prototypes' space (the point itself where there is no
            encoder), or None where no prototype term needs it.
        reconstruction: the autoencoder's image of the point, `[*shape]`, or None where no term
            needs it.
    """

    probabilities: Array
    encoding: Array | None
    reconstruction: Array | None


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


class Candidate(NamedTuple):
    """What a caller's own loss term is given, all of one instance.

    Attributes:
        instance: the row being explained.
        point: `[*shape]`, the current x.
        perturbation: `[*shape]`, d = x - x0.
        outputs: what the models say of the point.
    """

    instance: Instance
    point: Float[Array, "*shape"]
    perturbation: Float[Array, "*shape"]
    outputs: Outputs


Term = Callable[[Candidate], Array]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Objective:
    r"""A weighted sum of loss terms (eq. 8).

    $$c\,L_{pred} + \beta\,|d|_1 + |d|_2^2 + \gamma\,|x - AE(x)|_2^2
      + \theta\,|ENC(x) - proto_j|_2^2$$

    A term that is not named in `terms` is not computed. All weights are traced: changing one
    compiles nothing anew. The weight c of the prediction term belongs to the search, which may
    change it per instance (see `SearchOptions.prediction_weight`).

    Args:
        margin: kappa in eq. 4, the lead in probability beyond which the prediction term rewards
            no further change, in [0, 1). Traced.
        confidence: the probability that the target class must exceed, in [0, 1): in the
            prediction term, in what counts as a counterfactual, and for the training rows that
            prototypes are made of. 0 asks only that it be the decision. Traced.
        l1_weight: beta. Traced.
        l2_weight: the factor of the squared Euclidean length; 1 in the paper. Traced.
        reconstruction_weight: gamma in eq. 6. Traced.
        prototype_weight: theta in eq. 7. Traced.
        extra_weights: one weight for each extra term. Traced.
        terms: which terms of `TERMS` are summed. Static.
        extra_terms: `(name, function)` pairs, each function from a `Candidate` of one instance to
            a scalar. Static.

    Raises:
        ValueError: if a term is unknown or named twice, or terms and weights don't match.

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
    terms: tuple[str, ...] = field(default=TERMS, metadata={"static": True})
    extra_terms: tuple[tuple[str, Term], ...] = field(default=(), metadata={"static": True})

    def __post_init__(self) -> None:
        unknown = [term for term in self.terms if term not in TERMS]
        if unknown:
            raise ValueError(f"unknown loss term {unknown[0]!r}; the terms are {', '.join(TERMS)}")
        if len(set(self.term_names)) != len(self.term_names):
            raise ValueError(f"each term may be named once, got {self.term_names}")
        if not self.terms and not self.extra_terms:
            raise ValueError(f"an objective needs at least one term of {', '.join(TERMS)}")
        if len(self.extra_weights) != len(self.extra_terms):
            raise ValueError(
                f"{len(self.extra_terms)} extra terms need as many extra_weights, "
                f"got {len(self.extra_weights)}; add terms through with_term()"
            )

    @classmethod
    def named(cls, name: str, **weights: Scalar) -> "Objective":
        """One of the paper's objectives, with the report's weights unless others are given.

        Args:
            name: "A" to "F". A = prediction + L1 + L2; B = A + reconstruction; C = A + prototype;
                D = A + both; E = C and F = D without the prediction term.
            **weights: any weight of `Objective`, by name.

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
            name: what the term is called in results.
            function: from the `Candidate` of one instance to a scalar, written in JAX. Smooth
                terms only: it is differentiated. Static: pass the same function object again to
                compile nothing anew.
            weight: traced.

        Returns:
            A new objective.
        """
        if not callable(function):
            raise TypeError(f"the term {name!r} must be a function, got {type(function).__name__}")
        return replace(
            self,
            extra_terms=(*self.extra_terms, (name, function)),
            extra_weights=(*self.extra_weights, weight),
        )

    def settings(self) -> dict[str, Any]:
        """The weights of the terms in use and the margin, as plain numbers for records."""
        weights = {
            L1: self.l1_weight,
            L2: self.l2_weight,
            RECONSTRUCTION: self.reconstruction_weight,
            PROTOTYPE: self.prototype_weight,
        }
        used = {name: float(weights[name]) for name in self.terms if name in weights}
        extra = zip(self.extra_terms, self.extra_weights, strict=True)
        used |= {name: float(weight) for (name, _), weight in extra}
        return {
            "terms": list(self.term_names),
            "weights": used,
            "margin": float(self.margin),
            "confidence": float(self.confidence),
        }


def traced(objective: Objective) -> Objective:
    """The same objective with float32 arrays as weights.

    Python and numpy numbers of any type then meet the same compiled programs.
    """
    return jax.tree.map(lambda weight: jnp.asarray(weight, jnp.float32), objective)


def class_margin(
    probabilities: Float[Array, " classes"],
    targets: Bool[Array, " classes"],
    confidence: Scalar = 0.0,
) -> Float[Array, ""]:
    """How far the decision is from a target class: negative once it is one.

    The largest probability outside the targets, or the confidence asked for if that is more,
    minus the largest inside. With every class but the original as target and no confidence this
    is the difference in eq. 4.

    Examples:
        >>> import jax.numpy as jnp
        >>> margin = class_margin(jnp.array([0.5, 0.3, 0.2]), jnp.array([False, True, True]))
        >>> round(float(margin), 6)
        0.2
    """
    outside = jnp.max(jnp.where(targets, -jnp.inf, probabilities))
    outside = jnp.maximum(outside, confidence)
    inside = jnp.max(jnp.where(targets, probabilities, -jnp.inf))
    return outside - inside


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
    values: dict[str, Array] = {}
    for term in objective.terms:
        if term == PREDICTION:  # eq. 4
            margin = class_margin(outputs.probabilities, instance.targets, objective.confidence)
            values[term] = prediction_weight * jnp.maximum(margin, -jnp.asarray(objective.margin))
        elif term == L1:  # eq. 5
            values[term] = objective.l1_weight * jnp.sum(jnp.abs(perturbation))
        elif term == L2:  # eq. 5
            values[term] = objective.l2_weight * jnp.sum(jnp.square(perturbation))
        elif term == RECONSTRUCTION:  # eq. 6
            residual = point - cast(Array, outputs.reconstruction)
            values[term] = objective.reconstruction_weight * jnp.sum(jnp.square(residual))
        elif term == PROTOTYPE:  # eq. 7
            offset = cast(Array, outputs.encoding) - instance.prototype
            values[term] = objective.prototype_weight * jnp.sum(jnp.square(offset))
    candidate = Candidate(instance, point, perturbation, outputs)
    for (name, function), weight in zip(
        objective.extra_terms, objective.extra_weights, strict=True
    ):
        values[name] = weight * function(candidate)
    return values
