"""Other models of the same input that have to agree before a counterfactual counts.

A model that was trained to withstand small changes is convinced by none but those that a person
sees. As a guide it leads the search to them, whatever model is explained.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxcf.decisions import Guidance
from jaxcf.predictors.blackbox import BlackBox, Failures, how_to_pass
from jaxcf.predictors.checks import check_answer, few_rows
from jaxcf.predictors.estimators import Predicts, announced, make
from jaxcf.predictors.functions import (
    Model,
    ModelFunctions,
    check_models,
    check_params,
    check_unchanged,
)
from jaxcf.utils.batching import map_batches
from jaxcf.utils.fingerprints import fingerprint
from jaxcf.utils.numbers import Scalar, check_number


@dataclass(frozen=True, eq=False)
class Guide:
    """Another model of the same input, which has to agree on a counterfactual's class.

    Args:
        predict: `[n, *shape]` to `[n, classes]`, of the explained model's classes: in JAX, where
            it is called `predict(params, x)` with `params`, or whatever else an `Explainer`
            takes: an estimator, a network, a `BlackBox`.
        params: a pytree passed through untouched, traced; None for a function of `x` alone.
        output: "probabilities" or "logits", what `predict` returns.
        confidence: the probability that the guide must give the class, in [0, 1). 0 asks only that
            it be its decision. Traced. The right one depends on how calibrated the guide is:
            `models.train_guide` chooses it.
        name: what results call it; None numbers it.

    Raises:
        TypeError: if `predict` is no such model, or the confidence no number.
        ValueError: if an option is unknown or the confidence out of its range.

    Examples:
        >>> import jax, jax.numpy as jnp, numpy as np
        >>> from jaxcf import Explainer
        >>> weights = jnp.array([[4.0, -4.0], [0.0, 0.0]])
        >>> guide = Guide(lambda x: x @ (weights + 0.1), output="logits", confidence=0.6)
        >>> x = np.array([[0.2, 0.5], [0.4, 0.1], [-0.3, 0.2], [-0.5, 0.9]], np.float32)
        >>> explainer = Explainer(lambda x: jax.nn.softmax(x @ weights), guides=[guide])
        >>> explanations = explainer.fit(x).explain(x)
        >>> explanations.found.all(), explanations.guide_probabilities.shape
        (np.True_, (4, 1, 2))
    """

    predict: Model | BlackBox | Predicts
    params: Any = None
    output: str = "probabilities"
    confidence: Scalar = 0.9
    name: str | None = None

    def __post_init__(self) -> None:
        if not callable(announced(self.predict, self.output, self.params).predict):
            got = f"{type(self.predict).__name__}{how_to_pass(self.predict)}"
            raise TypeError(f"a guide's predict must be a function, got {got}")
        if self.output not in ("probabilities", "logits"):
            raise ValueError(f"output must be 'probabilities' or 'logits', got {self.output!r}")
        hint = "; it is a probability: 75 % is 0.75"
        check_number("a guide's confidence", self.confidence, least=0, below=1, hint=hint)
        if not (self.name is None or isinstance(self.name, str)):
            raise TypeError(f"a guide's name must be a text, got {self.name!r}")


NOTHING_KNOWN: Mapping[int, Any] = {}


@dataclass(frozen=True, eq=False)
class Guides:
    """The guides of an explainer, checked. A pytree: functions and names are static.

    Attributes:
        names: of each.
        functions: of each; none has an encoder.
        params: of each.
        confidence: `[guides]`.
        needed: how many have to agree.
    """

    names: tuple[str, ...]
    functions: tuple[ModelFunctions, ...]
    params: tuple[Any, ...]
    confidence: Float[Array, " guides"]
    needed: Array

    @property
    def compiled(self) -> "Guides":
        """As compiled programs know them: black boxes are asked outside."""
        return replace(self, functions=tuple(one.compiled for one in self.functions))

    def answers(
        self,
        x: Float[Array, "n *shape"],
        *,
        by_log_odds: bool,
        known: Mapping[int, Float[Array, "n classes"]] = NOTHING_KNOWN,
    ) -> Guidance:
        """What they say of a batch; the probabilities of some, by number, may be known already."""
        said = [
            one.answers(params, x, by_log_odds=by_log_odds, probabilities=known.get(number))
            for number, (one, params) in enumerate(zip(self.functions, self.params, strict=True))
        ]
        log_odds = None
        if by_log_odds:
            log_odds = jnp.stack([one.log_odds for one in said if one.log_odds is not None], axis=1)
        return self.guidance(jnp.stack([one.probabilities for one in said], axis=1), log_odds)

    def guidance(self, probabilities: Any, log_odds: Array | None = None) -> Guidance:
        """What is known of their answers, with what is asked of them."""
        n = len(probabilities)
        return Guidance(
            probabilities,
            jnp.broadcast_to(self.confidence, (n, len(self.names))),
            jnp.broadcast_to(self.needed, (n,)),
            log_odds,
        )

    def check_current(self, shape: tuple[int, ...]) -> None:
        """Check that they are still those that were checked.

        Raises:
            ValueError: if params have been deleted, or a function without params holds others.
        """
        for name, functions, params in zip(self.names, self.functions, self.params, strict=True):
            with errors_name(name):
                check_params(params)
                check_unchanged(functions, params, shape)

    def settings(self) -> dict[str, Any]:
        """Confidences, how many have to agree, and which weights, as plain values for records."""
        confidence = np.asarray(self.confidence).tolist()
        # A function without params is known by nothing that another process would find again.
        weights = [None if params is None else fingerprint(params) for params in self.params]
        return {
            "confidence": dict(zip(self.names, confidence, strict=True)),
            "needed": int(self.needed),
            "fingerprint": dict(zip(self.names, weights, strict=True)),
        }


def _flatten(guides: Guides) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    return (guides.params, guides.confidence, guides.needed), (guides.names, guides.functions)


def _unflatten(static: tuple[Any, ...], leaves: Iterable[Any]) -> Guides:
    return Guides(*static, *leaves)


jax.tree_util.register_pytree_node(Guides, _flatten, _unflatten)


@contextmanager
def errors_name(guide: str) -> Iterator[None]:
    """Say in an error which guide it is about."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise type(error)(f"the guide {guide!r}: {error}") from error


def check_are_guides(guides: Any, agreement: Any, devices: Sequence[Any] | None) -> None:
    """Check that guides were given as such.

    Args:
        guides: what was given.
        agreement: likewise.
        devices: that the search is spread over.

    Raises:
        TypeError: if they are no guides, or the share of them is no number.
        ValueError: if the share isn't one, or there is nobody to share it, or a black box doesn't
            go with the other options.
    """
    if isinstance(guides, str) or not isinstance(guides, Sequence):
        raise TypeError(f"guides must be a list of jaxcf.Guide, got {guides!r}")
    for number, guide in enumerate(guides, 1):
        if not isinstance(guide, Guide):
            raise TypeError(f"guides must be a list of jaxcf.Guide, got one of {guide!r}")
        made = announced(guide.predict, guide.output, guide.params)
        if isinstance(made.predict, BlackBox):
            with errors_name(guide.name or f"guide {number}"):
                made.predict.check_options(made.output, devices)
    _check_agreement(agreement)
    if float(agreement) < 1 and not guides:
        raise _nobody_to_agree(agreement)


def _check_agreement(agreement: Any) -> None:
    hint = "; it is the share of the guides that has to agree"
    check_number("agreement", agreement, above=0, least=None, hint=hint)
    if float(agreement) > 1:
        raise ValueError(f"agreement must be > 0 and <= 1, got {agreement}{hint}")


def _nobody_to_agree(agreement: Any) -> ValueError:
    return ValueError(
        f"agreement={agreement} is the share of the guides that has to agree, but there are no "
        "guides; pass guides=[...] beside it, or leave it out"
    )


def with_agreement(guides: Guides | None, agreement: Any) -> Guides:
    """The same guides, of which another share has to agree.

    Args:
        guides: that are there already, if any are.
        agreement: the share, in (0, 1].

    Raises:
        TypeError: if the share is no number.
        ValueError: if it isn't in (0, 1], or there are no guides.
    """
    _check_agreement(agreement)
    if guides is None:
        raise _nobody_to_agree(agreement)
    return replace(guides, needed=_needed(agreement, len(guides.names)))


def _needed(agreement: float, num_guides: int) -> Array:
    # A share such as 2/3 of 3 isn't quite 2 in floating point.
    return jnp.asarray(max(1, math.ceil(agreement * num_guides - 1e-6)), jnp.int32)


def check_guides(
    guides: Sequence[Guide],
    agreement: float,
    rows: Float[np.ndarray, "k *shape"],
    num_classes: int,
) -> Guides | None:
    """Check that the guides fit the data and the model; black boxes are asked for two rows.

    Args:
        guides: to be checked.
        agreement: the share of them that has to agree on a class, in (0, 1].
        rows: `[k, *shape]`, training rows, at least one.
        num_classes: of the explained model.

    Returns:
        The guides, ready for use; None where there are none.

    Raises:
        TypeError: if one can't be called on such a batch, or returns another type.
        ValueError: if one knows another number of classes, two have one name, or params have been
            deleted.
    """
    if not guides:
        return None
    names = tuple(guide.name or f"guide {number}" for number, guide in enumerate(guides, 1))
    if len(set(names)) < len(names):
        raise ValueError(f"guides need names of their own, got {', '.join(names)}")
    functions = []
    for name, guide in zip(names, guides, strict=True):
        with errors_name(name):
            made = make(guide.predict, guide.output, rows)
            given = ModelFunctions(
                made.predict, output=made.output, takes_params=guide.params is not None
            )
            checked = check_models(given, guide.params, rows.shape[1:])
            if given.black_box is not None:
                check_answer(given.black_box, rows[few_rows(rows)])
            if checked.num_classes != num_classes:
                raise ValueError(
                    f"it knows {checked.num_classes} classes, the explained model {num_classes}; "
                    "a guide must know the same classes in the same order"
                )
        functions.append(checked.models)
    confidence = np.array([float(guide.confidence) for guide in guides], np.float32)
    return Guides(
        names,
        tuple(functions),
        tuple(guide.params for guide in guides),
        jnp.asarray(confidence),
        _needed(agreement, len(guides)),
    )


def black_boxes(models: ModelFunctions, guides: Guides | None) -> dict[int, BlackBox]:
    """The models outside JAX: by the number of the guide, the explained model's is EXPLAINED."""
    functions = {EXPLAINED: models}
    if guides is not None:
        functions |= dict(enumerate(guides.functions))
    return {number: one.black_box for number, one in functions.items() if one.black_box is not None}


EXPLAINED = -1


@jax.jit
def _answers(guides: Guides, x: jax.Array, *known: jax.Array) -> jax.Array:
    boxes = [number for number, one in enumerate(guides.functions) if one.black_box is not None]
    by_number = dict(zip(boxes, known, strict=True))
    return guides.answers(x, by_log_odds=False, known=by_number).probabilities


def ask_guides(
    guides: Guides,
    x: Float[np.ndarray, "n *shape"],
    failures: Failures,
    size: int | None = None,
) -> tuple[Float[np.ndarray, "n guides classes"], Int[np.ndarray, " n"]]:
    """The probabilities that the guides give any number of rows, at least one, float32.

    And how often black boxes among them were asked for each.
    """
    known, counts = [], np.zeros(len(x), np.int64)
    for box in (one.black_box for one in guides.functions):
        if box is not None:
            known.append(box.ask(x, failures).astype(np.float32))
            counts += failures.asked
    answers = map_batches(partial(_answers, guides.compiled), x, *known, size=size)
    return answers.astype(np.float32, copy=False), counts


def ask_guides_in_jax(
    guides: Guides, x: Float[np.ndarray, "n *shape"], num_classes: int, size: int
) -> Float[np.ndarray, "n guides classes"]:
    """The same of those in JAX, by the same program; NaN of black boxes, which aren't asked."""
    unknown = np.full((len(x), num_classes), np.nan, np.float32)
    known = [unknown for one in guides.functions if one.black_box is not None]
    return map_batches(partial(_answers, guides.compiled), x, *known, size=size)
