"""The caller's models as pure batched functions: called in one way, checked before anything runs.

A model is any callable from a batch `[n, *shape]` to a batch; there is no base class. The models
always see the whole batch of lanes at once, never one vmapped row, so whatever is fast for their
framework stays fast.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxcf.decisions import Outputs, log_odds, log_odds_of_probabilities
from jaxcf.objective import narrowed
from jaxcf.predictors.blackbox import BlackBox, how_to_stack
from jaxcf.predictors.captured import Trace, trace_anew, tracing_context
from jaxcf.utils.forks import check_not_forked

Model = Callable[..., Array]

# Of the batch that functions are traced with.
_ROWS = 2

# Added to the probabilities of a black box before their logarithms are taken.
_LEAST_HEARD = 1e-6


class Captured(NamedTuple):
    """What the caller's functions hold besides params: the weights of a closure, of a module.

    Attributes:
        digests: the name of each function of JAX, and the digest of its trace.
        context: in which they were traced.
    """

    digests: tuple[tuple[str, str], ...]
    context: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class ModelFunctions:
    """The functions of a batch that the search may call. Static: compared with what they hold.

    Args:
        predict: `[n, *shape]` to probabilities (or logits) `[n, classes]`, or a `BlackBox`.
        encode: `[n, *shape]` to `[n, *latent]`; None leaves the prototypes in input space.
        reconstruct: `[n, *shape]` to `[n, *shape]`; None where no objective needs it.
        decode: `[n, *latent]` to `[n, *shape]`; takes the place of `reconstruct` where given.
        output: what `predict` returns, "probabilities" or "logits".
        takes_params: whether the functions are called `f(params, x)` instead of `f(x)`; a
            `BlackBox` never is.
        captured: what they hold besides, as `check_models` found it; compiled programs are those
            of functions that hold this.
    """

    predict: Model
    encode: Model | None = None
    reconstruct: Model | None = None
    decode: Model | None = None
    output: str = "probabilities"
    takes_params: bool = False
    captured: Captured | None = None

    @property
    def _functions(self) -> tuple[Model | None, ...]:
        return (self.predict, self.encode, self.reconstruct, self.decode)

    @property
    def _rest(self) -> tuple[Any, ...]:
        return (self.output, self.takes_params, self.captured)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ModelFunctions):
            return NotImplemented
        same = map(_same_function, self._functions, other._functions)
        return self._rest == other._rest and all(same)

    def __hash__(self) -> int:
        # Every call of a compiled function asks; a network's own takes as long as a small batch.
        return hash(self._rest)

    @property
    def black_box(self) -> BlackBox | None:
        """The classifier, if it is a model outside JAX."""
        return self.predict if isinstance(self.predict, BlackBox) else None

    @property
    def has_autoencoder(self) -> bool:
        """Whether a batch can be reconstructed."""
        return self.reconstruct is not None or self.decode is not None

    @property
    def compiled(self) -> "ModelFunctions":
        """The functions that compiled programs depend on: a black box is asked outside of them."""
        return self if self.black_box is None else replace(self, predict=self.black_box.stand_in())

    def _call(self, function: Model, params: Any, x: Array) -> Array:
        if isinstance(function, BlackBox) or not self.takes_params:
            answered = function(x)
        else:
            answered = function(params, x)
        return narrowed(answered, x)

    def probabilities(self, params: Any, x: Float[Array, "n *shape"]) -> Float[Array, "n classes"]:
        """Class probabilities of a batch."""
        predicted = self._call(self.predict, params, x)
        return jax.nn.softmax(predicted, axis=-1) if self.output == "logits" else predicted

    def answers(
        self,
        params: Any,
        x: Float[Array, "n *shape"],
        *,
        by_log_odds: bool,
        probabilities: Float[Array, "n classes"] | None = None,
    ) -> Outputs:
        """What decides: the probabilities of a batch, and the log-odds where they are asked for.

        Probabilities that are known already aren't computed again.
        """
        if probabilities is not None:
            # A black box's: differences of its answers can't tell smaller ones apart.
            odds = log_odds_of_probabilities(probabilities, _LEAST_HEARD) if by_log_odds else None
            return Outputs(probabilities, log_odds=odds)
        predicted, odds = self._call(self.predict, params, x), None
        if self.output == "logits":
            odds = log_odds(predicted) if by_log_odds else None
            return Outputs(jax.nn.softmax(predicted, axis=-1), log_odds=odds)
        odds = log_odds_of_probabilities(predicted) if by_log_odds else None
        return Outputs(predicted, log_odds=odds)

    def encoding(self, params: Any, x: Float[Array, "n *shape"]) -> Float[Array, "n *latent"]:
        """The batch in the prototypes' space: encoded, or as it is without an encoder."""
        return x if self.encode is None else self._call(self.encode, params, x)

    def outputs(
        self,
        params: Any,
        x: Float[Array, "n *shape"],
        *,
        encoding: bool,
        reconstruction: bool,
        by_log_odds: bool = False,
        probabilities: Float[Array, "n classes"] | None = None,
    ) -> Outputs:
        """All that the loss terms may ask about a batch; what isn't asked for is None.

        Probabilities that are known already aren't computed again.
        """
        outputs = self.answers(params, x, by_log_odds=by_log_odds, probabilities=probabilities)
        encoded = self.encoding(params, x) if encoding else None
        rebuilt = self.reconstruction(params, x, encoded) if reconstruction else None
        return outputs._replace(encoding=encoded, reconstruction=rebuilt)

    def reconstruction(
        self, params: Any, x: Float[Array, "n *shape"], encoded: Array | None = None
    ) -> Array | None:
        """The autoencoder's image of a batch, or None where there is no autoencoder.

        With a decoder the encoding serves both the prototype and the reconstruction term: one
        pass through the encoder and, what XLA can't see by itself, one way back.
        """
        if self.decode is not None:
            encoded = self.encoding(params, x) if encoded is None else encoded
            return self._call(self.decode, params, encoded)
        return None if self.reconstruct is None else self._call(self.reconstruct, params, x)


class CheckedModels(NamedTuple):
    """Models that fit the data.

    Attributes:
        models: the functions, with what they hold now.
        num_classes: how many classes they tell apart.
        latent_shape: the shape of one encoding.
    """

    models: ModelFunctions
    num_classes: int
    latent_shape: tuple[int, ...]


def _same_function(one: object, other: object) -> bool:
    if one is other:
        return True
    try:
        return hash(one) == hash(other) and bool(one == other)
    except TypeError:  # those without a hash are known by identity
        return False


def check_models(models: ModelFunctions, params: Any, shape: tuple[int, ...]) -> CheckedModels:
    """Check abstractly, without running anything, that the models fit the data.

    Args:
        models: the functions.
        params: what they take first, if they do.
        shape: the shape of one instance.

    Returns:
        The functions with what they hold, the number of classes, and the shape of one encoding.

    Raises:
        TypeError: if a function can't be called on such a batch, or returns another type.
        ValueError: if a function returns another shape than it must, or params have been deleted.
        RuntimeError: if nothing can be computed in this process, see `check_not_forked`.
    """
    check_not_forked()
    check_params(params)
    batch = jax.ShapeDtypeStruct((_ROWS, *shape), jnp.float32)
    digests = {}
    predicted, digests["predict"] = abstract_call("predict", models.probabilities, params, batch)
    if len(predicted.shape) != 2 or predicted.shape[0] != _ROWS or predicted.shape[1] < 2:
        raise ValueError(
            f"predict returned shape {predicted.shape} for a batch of shape {batch.shape}; "
            f"expected ({_ROWS}, classes) with at least 2 classes: a batch [n, *shape] must give "
            "one row of class probabilities (or logits, with output='logits') per instance"
            f"{how_to_stack(predicted.shape, _ROWS, 'jnp', models.output)}"
        )
    if models.black_box is not None:
        models.black_box.check(shape)
        del digests["predict"]  # no part of compiled programs
    encoded, digests["encode"] = abstract_call("encode", models.encoding, params, batch)
    if len(encoded.shape) < 2 or encoded.shape[0] != _ROWS:
        raise ValueError(
            f"encode returned shape {encoded.shape} for a batch of shape {batch.shape}; "
            f"expected ({_ROWS}, *latent) with one encoding per instance"
        )
    if models.has_autoencoder:
        name = "reconstruct" if models.decode is None else "decode"
        reconstructed, digests[name] = abstract_call(
            name, models.reconstruction, params, batch, encoded
        )
        if reconstructed.shape != batch.shape:
            raise ValueError(
                f"{name} returned shape {reconstructed.shape} for a batch of shape "
                f"{batch.shape}; an autoencoder must give back the shape it was given"
            )
    captured = Captured(tuple(digests.items()), tracing_context())
    return CheckedModels(replace(models, captured=captured), predicted.shape[1], encoded.shape[1:])


def check_unchanged(models: ModelFunctions, params: Any, shape: tuple[int, ...]) -> None:
    """Check that functions without params still hold what they held when they were checked.

    With params what may change is there, and the last look at the counterfactuals has to do.
    Functions that are all pure, see `is_pure`, aren't looked at.

    Raises:
        ValueError: if they hold other values, or can't be called any more.
    """
    known = models.captured
    if models.takes_params or known is None or known.context != tracing_context():
        return
    if all(function is None or is_pure(function) for function in models._functions):
        return
    held = dict(known.digests)
    now = check_models(models, params, shape).models.captured
    assert now is not None
    changed = [name for name, digest in now.digests if digest != held[name]]
    if changed:
        raise ValueError(
            f"{' and '.join(changed)} changed since fit: the values held there (the weights of a "
            "module or a closure) are others now, but the prototypes are those of the model as it "
            "was; call fit again"
        )


def is_pure(function: object) -> bool:
    """Whether a function promises, by an attribute `pure`, to hold nothing that ever changes.

    Examples:
        >>> def predict(x):
        ...     return jax.nn.softmax(x)
        >>> predict.pure = True
        >>> is_pure(predict), is_pure(jax.nn.softmax)
        (True, False)
    """
    return bool(getattr(function, "pure", False))


def check_params(params: Any) -> None:
    """Check that the arrays still exist: a compiled program may have been given their buffers.

    Raises:
        ValueError: if some of them have been deleted.
    """
    deleted = [
        jax.tree_util.keystr(path)
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
        if isinstance(leaf, jax.Array) and leaf.is_deleted()
    ]
    if deleted:
        raise ValueError(
            f"params holds deleted arrays ({len(deleted)} of them), the first is "
            f"params{deleted[0]}: something donated them to a compiled program (training steps and "
            "Keras's fit and predict do); pass copies, made with jnp.array"
        )


def predict_changed(models: ModelFunctions, params: Any, shape: tuple[int, ...]) -> bool:
    """Whether `predict` traces otherwise than when it was checked, or not at all any more.

    A model outside JAX never does: it is asked itself, each time. Nor does a pure function.

    Args:
        models: the functions, checked.
        params: what they take first, if they do.
        shape: the shape of one instance.
    """
    if models.captured is None or models.black_box is not None:
        return False
    if is_pure(models.predict):
        return False
    batch = jax.ShapeDtypeStruct((_ROWS, *shape), jnp.float32)
    try:
        now = abstract_call("predict", models.probabilities, params, batch).digest
    except TypeError:
        return True
    return now != dict(models.captured.digests)["predict"]


def abstract_call(
    name: str, function: Callable[..., Any], params: Any, *batches: jax.ShapeDtypeStruct
) -> Trace:
    """What `function(params, *batches)` does, without running it; `name` is for the errors.

    Raises:
        TypeError: if it can't be called on such batches, or returns another type.
    """
    try:
        trace = trace_anew(function, params, *batches)
    except Exception as error:
        outside = (
            "; an estimator of scikit-learn or a module of PyTorch is passed itself, a function of "
            "numpy arrays as BlackBox(predict, ...)"
        )
        raise TypeError(
            f"{name} could not be called on a float32 batch of shape {batches[0].shape}: {error}. "
            f"{name} must be a JAX function of a batch [n, *shape], or of (params, batch) "
            f"where params= is given{outside if name == 'predict' else ''}"
        ) from error
    result = trace.result
    if not hasattr(result, "shape") or not jnp.issubdtype(result.dtype, jnp.floating):
        raise TypeError(
            f"{name} returned {getattr(result, 'dtype', type(result).__name__)}; "
            "expected one array of floating-point numbers"
        )
    return trace
