"""The entry: options, `fit`, `explain`. The one place where input is checked."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from jaxcf import detailing, prototypes, run
from jaxcf.batches import Restore, plan
from jaxcf.blackbox import BlackBox
from jaxcf.blocks import block_size
from jaxcf.constraints import Constraints, FeatureRange, Range, range_of, resolve
from jaxcf.descriptions import describe_training
from jaxcf.details import Details
from jaxcf.engine import EngineOptions
from jaxcf.explanations import Explanations
from jaxcf.inputs import as_rows, check_finite, check_labels
from jaxcf.model_functions import Model, ModelFunctions, check_models, check_params
from jaxcf.objective import PROTOTYPE, RECONSTRUCTION, Objective
from jaxcf.prototypes import FittedPrototypes, PrototypeKind
from jaxcf.refinement import Refinement
from jaxcf.run import ExplanationInterrupted, Progress
from jaxcf.search import SearchOptions
from jaxcf.targets import Target
from jaxcf.trust import Trust, trust_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Explainer", "ExplanationInterrupted", "FittedExplainer", "Progress"]

OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class Explainer:
    """Counterfactuals guided by class prototypes for a model, as options; `fit` makes it ready.

    Args:
        predict: `[n, *shape]` to class probabilities `[n, classes]`, in JAX. With `params`, all
            functions are called `f(params, x)`. A `BlackBox` brings in a model outside JAX.
        encode: `[n, *shape]` to `[n, *latent]`; the prototypes live there. None leaves them in
            input space.
        reconstruct: `[n, *shape]` to `[n, *shape]`, an autoencoder; needed by B, D and F unless
            there is a decoder.
        decode: `[n, *latent]` to `[n, *shape]`: the autoencoder is then `decode(encode(x))`, which
            is faster than `reconstruct` since both terms share one encoding.
        params: a pytree passed through untouched, traced: other values compile nothing anew.
        output: "probabilities" or "logits", what `predict` returns.
        objective: "A" to "F" or an `Objective`; None takes the richest the functions allow: D
            with an autoencoder, else C.
        prototypes: "nearest", "kdtree", "kmeans" or a kind with its options; None takes "nearest"
            with an encoder and "kdtree" without.
        search: how one instance is searched.
        trust_threshold: what the trust score of a counterfactual must exceed, >= 0: how far it
            lies from its original class over how far from its new one, by the training rows of
            each (by their mean encodings where there is an encoder). Then `scores["trust"]` holds
            it; 0 asks for no more than that, None leaves it out. Without an encoder every step
            looks at every training row.
        refinement: what is tried after the search; nothing unless asked for.
        engine: how the work is laid out.
        feature_range: smallest and largest allowed value, scalars or arrays `*shape`. None takes
            what the training rows span (all features together for images, each by itself for
            tables) and lets rows that already lie outside keep their values.

    Raises:
        TypeError: if a function isn't callable.
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

    predict: Model
    encode: Model | None = None
    reconstruct: Model | None = None
    decode: Model | None = None
    params: Any = None
    output: str = "probabilities"
    objective: str | Objective | None = None
    prototypes: str | PrototypeKind | None = None
    search: SearchOptions = field(default_factory=SearchOptions)
    trust_threshold: float | None = None
    refinement: Refinement = field(default_factory=Refinement)
    engine: EngineOptions = field(default_factory=EngineOptions)
    feature_range: Range | None = None

    def __post_init__(self) -> None:
        for name in ("predict", "encode", "reconstruct", "decode"):
            function = getattr(self, name)
            if not callable(function) and not (function is None and name != "predict"):
                raise TypeError(f"{name} must be a function, got {type(function).__name__}")
        if self.output not in ("probabilities", "logits"):
            raise ValueError(f"output must be 'probabilities' or 'logits', got {self.output!r}")
        if self.decode is not None and (self.encode is None or self.reconstruct is not None):
            raise ValueError(
                "decode needs an encode function and stands in for reconstruct; pass encode= and "
                "decode=, or reconstruct="
            )
        if isinstance(self.predict, BlackBox):
            self._check_black_box()
        if self.trust_threshold is not None and not self.trust_threshold >= 0:
            raise ValueError(f"trust_threshold must be >= 0 or None, got {self.trust_threshold}")
        objective = self._objective()
        if RECONSTRUCTION in objective.terms and not self._has_autoencoder:
            raise ValueError(
                "the objective has a reconstruction term (B, D, F) but no reconstruct function "
                "was given; pass reconstruct=, or objective='C', or drop the term with "
                "Objective.without('reconstruction')"
            )
        kind = self._prototype_kind()
        if kind.in_input_space and self.encode is not None and PROTOTYPE in objective.terms:
            raise ValueError(
                f"prototypes of kind {kind.name!r} lie in input space but an encode function was "
                "given; leave encode out, or choose 'nearest' or 'kmeans'"
            )
        if self.refinement.line_search and self.encode is not None:
            raise ValueError(
                "the line search goes to training rows in input space, but an encode function was "
                "given; leave encode out, or pass Refinement(line_search=False)"
            )

    def _check_black_box(self) -> None:
        if self.output != "probabilities":
            raise ValueError(
                f"a BlackBox must return probabilities, but output is {self.output!r}; take the "
                "softmax of the logits in its function"
            )
        devices = self.engine.devices or ()
        if len(devices) > 1:
            raise ValueError(
                f"a BlackBox is asked from one place, but the engine has {len(devices)} devices; "
                "pass EngineOptions(devices=None) or one device"
            )

    @property
    def _has_autoencoder(self) -> bool:
        return self.reconstruct is not None or self.decode is not None

    def _objective(self) -> Objective:
        if isinstance(self.objective, Objective):
            return self.objective
        default = "D" if self._has_autoencoder else "C"
        return Objective.named(self.objective or default)

    def _prototype_kind(self) -> PrototypeKind:
        kind = self.prototypes or ("kdtree" if self.encode is None else "nearest")
        return prototypes.named(kind) if isinstance(kind, str) else kind

    def _models(self) -> ModelFunctions:
        return ModelFunctions(
            self.predict,
            self.encode,
            self.reconstruct,
            self.decode,
            self.output,
            self.params is not None,
        )

    def fit(
        self,
        x_train: ArrayLike,
        labels: ArrayLike | None = None,
    ) -> "FittedExplainer":
        """Build the class prototypes.

        Args:
            x_train: `[n, *shape]`.
            labels: `[n]`, the classes of the rows for the prototypes; None takes the classes the
                model predicts, as the paper does.

        Returns:
            An explainer that can explain.

        Raises:
            TypeError: if the rows aren't numbers or a model can't be called on them.
            ValueError: if rows aren't finite, params have been deleted, a model returns another
                shape than it must or values that aren't finite, or the prototypes can't be built.
        """
        began = time.perf_counter()
        x_train = as_rows("x_train", x_train)
        if x_train.ndim < 2 or not len(x_train):
            raise ValueError(
                f"x_train must hold training rows [n, *shape], got shape {x_train.shape}"
            )
        check_finite("training rows", x_train)
        models = self._models()
        check_params(self.params)
        num_classes, latent_shape = check_models(models, self.params, x_train.shape[1:])
        probabilities, encodings = describe_training(models, self.params, x_train)
        classes = probabilities.argmax(axis=1)
        if labels is not None:
            classes = check_labels(labels, len(x_train), num_classes)
        sure = probabilities[np.arange(len(classes)), classes] > self._objective().confidence
        fitted = prototypes.fit(self._prototype_kind(), encodings[sure], classes[sure], num_classes)
        return FittedExplainer(
            options=self,
            models=models,
            objective=self._objective(),
            prototypes=fitted,
            num_classes=num_classes,
            training_class=np.where(sure, classes, -1),
            shape=x_train.shape[1:],
            latent_shape=latent_shape,
            feature_range=range_of(self.feature_range, x_train),
            seconds=time.perf_counter() - began,
        )


@dataclass(frozen=True)
class FittedExplainer:
    """An explainer with its prototypes: made by `Explainer.fit`, never by hand.

    Attributes:
        options: the explainer it was fitted from.
        models: its functions.
        objective: what is minimised.
        prototypes: the class prototypes.
        num_classes: of the model.
        training_class: `[n]`, the class that each training row stands for: what the model decides,
            or its label where those were given; -1 where the model isn't as sure as it must be.
        shape: `*shape` of one instance.
        latent_shape: `*latent` of one encoding.
        feature_range: lower and upper, arrays that broadcast to `*shape`, and whether they were
            asked for.
        seconds: that `fit` took.
    """

    options: Explainer
    models: ModelFunctions
    objective: Objective
    prototypes: FittedPrototypes
    num_classes: int
    training_class: np.ndarray
    shape: tuple[int, ...]
    latent_shape: tuple[int, ...]
    feature_range: FeatureRange
    seconds: float

    def __repr__(self) -> str:
        terms, kind = ", ".join(self.objective.terms), self.prototypes.kind
        return f"FittedExplainer({terms}; {kind}; classes={self.num_classes}, shape={self.shape})"

    def _repr_html_(self) -> str:
        from jaxcf.notebook import explainer_html

        return explainer_html(self)

    @cached_property
    def trust(self) -> Trust | None:
        """What trust scores are measured against, if they are asked for."""
        threshold = self.options.trust_threshold
        return None if threshold is None else trust_of(self.prototypes, threshold)

    def explain(
        self,
        x: ArrayLike,
        *,
        target: Target | Literal["each"] = None,
        constraints: Constraints | None = None,
        num_alternatives: int = 1,
        on_progress: OnProgress | None = None,
        restore: Restore | None = None,
    ) -> Explanations:
        """Explain every row.

        Args:
            x: `[n, *shape]`, any n.
            target: None for any class but the original; a class for all rows; `[n]`, one per row;
                a boolean mask `[n, classes]`; or a list with a collection of classes per row. The
                prediction term, the prototype and the acceptance all keep to it. "each" gives
                every row one counterfactual per class: n x classes rows, those of one row next to
                each other, the one for its own class `ALREADY_IN_TARGET`.
            constraints: what the counterfactuals may be, for all rows or each its own. Traced:
                other values compile nothing anew.
            num_alternatives: counterfactuals per row and target, >= 1, each led by another
                prototype: the usual one, then k-means centroids of the allowed classes that lie
                near the row and far from those already taken. `source_row` says whose they are.
            on_progress: called now and then with a `Progress`, such as `progress_bar()`; if it
                is a context manager, it is entered meanwhile.
            restore: brings counterfactuals into a final form before the model confirms them, such
                as the exact values of a table: from points `[m, *shape]` and the rows of `x` they
                belong to, `[m]`, to points.

        Returns:
            One row per row of `x` (and per class or alternative), in its order; rows that can't be
            explained have a status that says why and leave the others alone.

        Raises:
            TypeError: if `x` or `target` is of a wrong type.
            ValueError: if a shape or the one target class is wrong, constraints don't fit, or
                params have been deleted.
            ExplanationInterrupted: on Ctrl-C; it holds what was finished.
        """
        check_params(self.options.params)
        x = self._check_rows(x)
        if num_alternatives < 1:
            raise ValueError(f"num_alternatives must be at least 1, got {num_alternatives}")
        if num_alternatives > 1 and PROTOTYPE not in self.objective.terms:
            raise ValueError(
                "alternatives are led by different prototypes, but the objective has no prototype "
                f"term: its terms are {', '.join(self.objective.terms)}; use C, D, E or F"
            )
        feasible = resolve(constraints, self.feature_range, x)
        batch = plan(x, target, feasible, self.num_classes, num_alternatives, restore)
        search = run.Run(self, on_progress, len(batch.x), feasible.num_levels)
        answers = search.explain([batch])
        try:
            return next(answers)
        except KeyboardInterrupt:
            raise ExplanationInterrupted(search.unfinished(batch)) from None
        finally:
            answers.close()

    def stream(
        self,
        batches: Iterable[ArrayLike],
        *,
        target: int | None = None,
        on_progress: OnProgress | None = None,
    ) -> Iterator[Explanations]:
        """Explain more rows than fit into memory.

        Args:
            batches: arrays `[n, *shape]`, pulled when lanes fall free.
            target: None, or one class for all rows.
            on_progress: called now and then with a `Progress`, such as `progress_bar()`; if it
                is a context manager, it is entered meanwhile.

        Yields:
            The explanations of each batch, in order. The lanes stay full across batches, so small
            batches cost nothing.

        Raises:
            ValueError: if params have been deleted.
        """
        check_params(self.options.params)
        ready = (
            plan(x, target, resolve(None, self.feature_range, x), self.num_classes)
            for x in map(self._check_rows, batches)
        )
        return run.Run(self, on_progress).explain(ready)

    def plot_latent(
        self,
        x: ArrayLike,
        ax: "Axes | None" = None,
        *,
        explanations: Explanations | None = None,
        class_names: Sequence[str] | None = None,
        projection: str = "pca",
    ) -> "Axes":
        """Encodings of rows in the plane, and prototypes; see `jaxcf.plots.encoded_rows`."""
        from jaxcf import plots

        return plots.encoded_rows(
            self,
            self._check_rows(x),
            ax,
            explanations=explanations,
            class_names=class_names,
            projection=projection,
        )

    def details(
        self,
        explanations: Explanations,
        x_train: ArrayLike,
        *,
        rows: Any = None,
        num_rows: int = 24,
        num_points: int = 12,
        num_neighbours: int = 3,
        target: Target | Literal["each"] = None,
        constraints: Constraints | None = None,
    ) -> Details:
        """Search some rows once more and look closely: the way, the prototype, its neighbours.

        Args:
            explanations: that this explainer made, all of them or some.
            x_train: `[n, *shape]`, the rows given to `fit`.
            rows: of the explanations: a slice, a mask, row numbers or one row number; None chooses
                rows that were searched, of all original classes in turn, found ones first.
            num_rows: how many it chooses at most.
            num_points: of each way, >= 2, from its first to its last.
            num_neighbours: training rows per counterfactual, >= 0.
            target: what `explain` was given for these explanations, for all of its rows.
            constraints: likewise.

        Returns:
            The details. Rows that weren't searched to the end have no way.

        Raises:
            TypeError: if `x_train` or `target` is of a wrong type.
            ValueError: if the explanations, `x_train`, `target` or constraints don't go with this
                explainer and each other, or a number is out of its range.
        """
        check_params(self.options.params)
        chosen = detailing.choose_rows(explanations, rows, num_rows)
        part = explanations[chosen]
        if constraints is not None:
            constraints = constraints.of_rows(part.source_row, self.shape)
        allowed = detailing.allowed_classes(part, target)
        counts = num_points, num_neighbours, block_size(len(explanations))
        details = detailing.look_closer(self, part, x_train, allowed, constraints, *counts)
        return replace(details, rows=chosen)

    def _check_rows(self, x: Any) -> np.ndarray:
        x = as_rows("x", x)
        if x.shape[1:] != self.shape:
            hint = "; pass x[None] for one instance" if x.shape == self.shape else ""
            raise ValueError(
                f"x has shape {x.shape}; expected [n, {', '.join(map(str, self.shape))}] as in "
                f"training{hint}"
            )
        return x
