"""The options of an explanation and `fit`; models and training rows are checked here."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool
from numpy.typing import ArrayLike

from jaxcf import prototypes
from jaxcf.constraints import Range, range_of
from jaxcf.explainers.fitted import FittedExplainer
from jaxcf.explainers.refinement import Refinement
from jaxcf.explainers.state import check_options
from jaxcf.objective import PROTOTYPE, Objective, as_objective
from jaxcf.predictors.blackbox import BlackBox, Failures, are_probabilities, how_to_pass
from jaxcf.predictors.checks import few_rows
from jaxcf.predictors.estimators import Made, Predicts, announced, asked_rows, make
from jaxcf.predictors.functions import Model, ModelFunctions, check_models
from jaxcf.predictors.guides import (
    EXPLAINED,
    Guide,
    Guides,
    black_boxes,
    check_are_guides,
)
from jaxcf.predictors.inference import guides_asked, predict_and_encode_training
from jaxcf.predictors.preprocess import Preprocess, as_pixels
from jaxcf.prototypes.kinds import PrototypeKind
from jaxcf.search.options import EngineOptions, SearchOptions
from jaxcf.utils.batching import batch_size
from jaxcf.utils.fingerprints import described_array
from jaxcf.utils.selection import evenly_spread
from jaxcf.utils.validation import check_finite, check_labels, column_names


@dataclass(frozen=True, eq=False)
class Explainer:
    """Counterfactuals guided by class prototypes for a model, as options; `fit` makes it ready.

    Args:
        predict: `[n, *shape]` to class probabilities `[n, classes]`, in JAX. With `params`, all
            functions are called `f(params, x)`. Or a model of another library itself: a fitted
            classifier of scikit-learn's kind, a booster of XGBoost or LightGBM, a PyTorch module or
            a Keras model (see docs/your-model.md). A `BlackBox` brings in any other.
        encode: `[n, *shape]` to `[n, *latent]`; the prototypes live there. None leaves them in
            input space.
        reconstruct: `[n, *shape]` to `[n, *shape]`, an autoencoder; needed by B, D and F unless
            there is a decoder.
        decode: `[n, *latent]` to `[n, *shape]`: the autoencoder is then `decode(encode(x))`, which
            is faster than `reconstruct` since both terms share one encoding.
        params: a pytree passed through untouched, traced: other values compile nothing anew.
        output: "probabilities" or "logits", what `predict` returns.
        guides: other models of the same input that have to agree on the new class before a
            counterfactual counts. They neither choose training rows nor target classes.
        agreement: the share of the guides that has to agree, in (0, 1].
        objective: "A" to "F" or an `Objective`; None takes the richest the functions allow: D
            with an autoencoder, else C.
        prototypes: "nearest", "kdtree", "kmeans" or a kind with its options; None takes "nearest"
            with an encoder and "kdtree" without.
        search: how one instance is searched.
        trust_threshold: what the trust score of a counterfactual must exceed, >= 0: how far it
            lies from its original class over how far from its new one, by the training rows of
            each (by their mean encodings where there is an encoder), under a `confidence` by those
            that the model is that sure of. Then `scores["trust"]` holds it; 0 asks for no more
            than that, None leaves it out. Without an encoder every step looks at every training
            row.
        refinement: what is tried after the search; nothing unless asked for.
        engine: how the work is laid out.
        feature_range: smallest and largest allowed value, scalars or arrays `*shape`. None takes
            what the training rows span (all features together for images, each by itself for
            tables) and lets rows that already lie outside keep their values.
        preprocess: for images, how they become what `predict` takes; None gives it rows as they
            are.

    Raises:
        TypeError: if a function isn't callable, or an option is of a wrong kind; if `predict` is a
            regressor, or a classifier without probabilities.
        ValueError: if an option is unknown or a function that the objective needs is missing.

    Examples:
        >>> import jax, jax.numpy as jnp, numpy as np
        >>> weights = jnp.array([[4.0, -4.0], [0.0, 0.0]])
        >>> explainer = Explainer(lambda x: jax.nn.softmax(x @ weights), prototypes="kdtree")
        >>> x = np.array([[0.2, 0.5], [0.4, 0.1], [-0.3, 0.2], [-0.5, 0.9]], np.float32)
        >>> explanations = explainer.fit(x).explain(x)
        >>> explanations.found.all(), explanations.counterfactual_class.tolist()
        (np.True_, [1, 1, 0, 0])
    """

    predict: Model | BlackBox | Predicts
    encode: Model | None = None
    reconstruct: Model | None = None
    decode: Model | None = None
    params: Any = None
    output: str = "probabilities"
    guides: Sequence[Guide] = ()
    agreement: float = 1.0
    objective: str | Objective | None = None
    prototypes: str | PrototypeKind | None = None
    search: SearchOptions = field(default_factory=SearchOptions)
    trust_threshold: float | None = None
    refinement: Refinement = field(default_factory=Refinement)
    engine: EngineOptions = field(default_factory=EngineOptions)
    feature_range: Range | None = None
    preprocess: Preprocess | None = None

    def __post_init__(self) -> None:
        made = announced(self.predict, self.output, self.params)
        for name in ("predict", "encode", "reconstruct", "decode"):
            function = made.predict if name == "predict" else getattr(self, name)
            if not callable(function) and not (function is None and name != "predict"):
                got = f"{type(function).__name__}{how_to_pass(function)}"
                raise TypeError(f"{name} must be a function, got {got}")
        if self.output not in ("probabilities", "logits"):
            raise ValueError(f"output must be 'probabilities' or 'logits', got {self.output!r}")
        if not (self.preprocess is None or isinstance(self.preprocess, Preprocess)):
            raise TypeError(
                f"preprocess must be a Preprocess, got {type(self.preprocess).__name__}; what is "
                "no matter of scale, mean, deviation and layout belongs into predict"
            )
        if self.decode is not None and (self.encode is None or self.reconstruct is not None):
            raise ValueError(
                "decode needs an encode function and stands in for reconstruct; pass encode= and "
                "decode=, or reconstruct="
            )
        check_options(
            self._models(made),
            self._objective(),
            self._prototype_kind(),
            self.search,
            self.trust_threshold,
            self.refinement,
            self.engine,
        )
        check_are_guides(self.guides, self.agreement, self.engine.devices)

    def _objective(self) -> Objective:
        has_autoencoder = self.reconstruct is not None or self.decode is not None
        default = "D" if has_autoencoder else "C"
        return as_objective(self.objective or default)

    def _prototype_kind(self) -> PrototypeKind:
        kind = self.prototypes or ("kdtree" if self.encode is None else "nearest")
        return prototypes.named(kind) if isinstance(kind, str) else kind

    def _models(self, made: Made) -> ModelFunctions:
        return ModelFunctions(
            made.predict,
            self.encode,
            self.reconstruct,
            self.decode,
            made.output,
            self.params is not None,
        )

    def _made(self, x_train: np.ndarray, names: tuple[str, ...] | None) -> Made:
        """The model of rows as they are searched, given training rows."""
        if self.preprocess is None:
            return make(self.predict, self.output, x_train, names)
        self.preprocess.check(x_train.shape[1:])
        few = x_train[asked_rows(len(x_train))]
        made = make(self.predict, self.output, self.preprocess.model_input(few), names)
        return made._replace(predict=self.preprocess.before(made.predict))

    def fit(
        self,
        x_train: ArrayLike,
        labels: ArrayLike | None = None,
        *,
        probabilities: ArrayLike | None = None,
        unordered: Bool[np.ndarray, "*shape"] | None = None,
    ) -> "FittedExplainer":
        """Build the class prototypes.

        Args:
            x_train: `[n, *shape]`; of a DataFrame the names of the columns are remembered, and
                asked for in `explain`.
            labels: `[n]`, the classes of the rows for the prototypes; None takes the classes the
                model predicts, as the paper does.
            probabilities: `[n, classes]`, what the model says of the training rows, where that is
                known or `x_train` only stands for them, such as coordinates of a table; None asks
                the model about `x_train`.
            unordered: `[*shape]`, features whose values are codes without an order: for
                `Refinement` a change of one counts 1, however far it goes. None for none.

        Returns:
            An explainer that can explain.

        Raises:
            TypeError: if rows or probabilities aren't numbers or a model can't be called on them.
            ValueError: if rows aren't finite, params have been deleted, a model returns another
                shape than it must (or a guide knows other classes) or values that aren't finite,
                its answer to a row depends on the rows beside it (`check_model` says more), or the
                prototypes can't be built.
            RuntimeError: in a process forked off one in which JAX was running.
        """
        began = time.perf_counter()
        feature_names = column_names(x_train)
        x_train = as_pixels("x_train", x_train, self.preprocess)
        if x_train.ndim < 2 or not x_train.size:
            raise ValueError(
                f"x_train must hold training rows [n, *shape], got shape {x_train.shape}; of one "
                "number at least each"
            )
        check_finite("training rows", x_train)
        made = self._made(x_train, feature_names)
        models, num_classes, latent_shape = check_models(
            self._models(made), self.params, x_train.shape[1:]
        )
        if probabilities is not None:
            probabilities = _checked_probabilities(probabilities, (len(x_train), num_classes))
        probabilities, encodings = predict_and_encode_training(
            models, self.params, x_train, probabilities
        )
        classes = probabilities.argmax(axis=1)
        if labels is not None:
            classes = check_labels(labels, len(x_train), num_classes)
        objective = self._objective()
        confidence = float(objective.confidence)
        # Without a confidence every row counts, also one whose label the model finds impossible.
        sure = probabilities[np.arange(len(classes)), classes] > (confidence or -np.inf)
        fitted = prototypes.fit(
            self._prototype_kind(),
            encodings[sure],
            classes[sure],
            num_classes,
            sure_rows=_sure_rows(confidence, probabilities) if confidence else None,
            needed=PROTOTYPE in objective.terms,
        )
        known = x_train[_kept_rows(x_train)]
        size = batch_size(len(x_train), x_train.shape[1:])
        guides = guides_asked(self.guides, self.agreement, known, num_classes, size)
        return FittedExplainer(
            models=models,
            params=self.params,
            guides=guides,
            objective=objective,
            prototypes=fitted,
            search=self.search,
            trust_threshold=self.trust_threshold,
            refinement=self.refinement,
            engine=self.engine,
            num_classes=num_classes,
            training_class=np.where(sure, classes, -1),
            shape=x_train.shape[1:],
            answered_rows=known,
            latent_shape=latent_shape,
            feature_range=range_of(self.feature_range, x_train),
            seconds=time.perf_counter() - began,
            trained_on=described_array(x_train),
            answers=_answers(models, guides, x_train, probabilities),
            feature_names=feature_names,
            unordered=unordered,
            preprocess=self.preprocess,
        )


def _checked_probabilities(given: ArrayLike, shape: tuple[int, int]) -> np.ndarray:
    """Probabilities of training rows as the caller has them, by the rule for those of models."""
    probabilities = np.asarray(given)
    if probabilities.dtype.kind not in "biuf":
        raise TypeError(f"probabilities must hold numbers, got dtype {probabilities.dtype}")
    if probabilities.shape != shape:
        raise ValueError(
            f"probabilities must be [n, classes], here {shape}, got shape {probabilities.shape}"
        )
    if probabilities.dtype.kind != "f":  # all or nothing of a class
        probabilities = probabilities.astype(np.float32)
    fine = are_probabilities(probabilities, Failures(warn=False), "")
    if not fine.all():
        first = int(np.argmin(fine))
        row = np.array2string(probabilities[first], precision=3, threshold=8)
        raise ValueError(
            f"probabilities of training row {first} are {row}; expected numbers in [0, 1] that sum "
            "to 1: take the softmax of logits"
        )
    return probabilities


# Training rows that are kept, to ask guides that come later: as many as an estimator is asked
# about, fewer of many numbers.
_ASKED_LATER, _NUMBERS_ASKED_LATER = 64, 2**20


def _kept_rows(x_train: np.ndarray) -> np.ndarray:
    """The numbers of a few training rows that differ, if any do, spread over all of them."""
    most = max(2, min(_ASKED_LATER, _NUMBERS_ASKED_LATER // math.prod(x_train.shape[1:])))
    return np.union1d(few_rows(x_train), evenly_spread(len(x_train), most))


# What is kept of the answers of a model outside JAX: so many rows, fewer of many classes.
_KEPT_ROWS, _KEPT_NUMBERS = 16, 512


def _answers(
    models: ModelFunctions, guides: Guides | None, x_train: np.ndarray, probabilities: np.ndarray
) -> dict[int, np.ndarray]:
    """What models outside JAX say of a few training rows: nothing else tells them from others."""
    most = max(2, min(_KEPT_ROWS, _KEPT_NUMBERS // probabilities.shape[1]))
    few = evenly_spread(len(x_train), most)
    return {
        number: probabilities[few]
        if number == EXPLAINED
        else box.ask(x_train[few], Failures(warn=False))
        for number, box in black_boxes(models, guides).items()
    }


# A message names no more classes than these.
_MOST_NAMED = 10


def _sure_rows(confidence: float, probabilities: np.ndarray) -> str:
    """What to call the training rows that the model is sure of, and how sure it gets at most."""
    highest = [
        f"{probability:.3g} for class {index}"
        for index, probability in enumerate(probabilities.max(axis=0)[:_MOST_NAMED])
    ]
    more = ", ..." if probabilities.shape[1] > _MOST_NAMED else ""
    return (
        f"training rows whose class has a probability above the confidence {confidence:g} (the "
        f"highest probabilities reached are {', '.join(highest)}{more})"
    )
