"""An explainer that is ready: `explain`, `stream` and a closer look at what came of them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from jaxcf import detailing, run
from jaxcf.batches import Restore, plan
from jaxcf.blocks import block_size
from jaxcf.constraints import Constraints, FeatureRange, resolve
from jaxcf.details import Details
from jaxcf.explanations import Explanations
from jaxcf.inputs import as_rows_of_shape
from jaxcf.model_functions import ModelFunctions, check_params
from jaxcf.objective import PROTOTYPE, Objective
from jaxcf.prototypes import FittedPrototypes
from jaxcf.run import ExplanationInterrupted, Progress
from jaxcf.targets import Target
from jaxcf.trust import Trust, trust_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from jaxcf.explainer import Explainer

OnProgress = Callable[[Progress], None]


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

    options: "Explainer"
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
        x = as_rows_of_shape(x, self.shape)
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
        rows = (as_rows_of_shape(batch, self.shape) for batch in batches)
        feasible = ((x, resolve(None, self.feature_range, x)) for x in rows)
        ready = (plan(x, target, sets, self.num_classes) for x, sets in feasible)
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
            as_rows_of_shape(x, self.shape),
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
