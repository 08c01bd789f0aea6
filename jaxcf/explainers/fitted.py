"""An explainer that is ready: `explain`, `stream`, `trace`, and the same with other options."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain
from types import EllipsisType
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxcf import solvers
from jaxcf.constraints import Constraints, check_are_constraints, resolve
from jaxcf.explainers import tracing
from jaxcf.explainers.batch import Batch, make_batch
from jaxcf.explainers.final_form import FinalForm
from jaxcf.explainers.progress import OnProgress
from jaxcf.explainers.refinement import Refinement
from jaxcf.explainers.run import Run
from jaxcf.explainers.state import FittedState
from jaxcf.explainers.targets import Target
from jaxcf.objective import PROTOTYPE, Objective, as_objective
from jaxcf.predictors.guides import Guide, check_are_guides, with_agreement
from jaxcf.predictors.inference import guides_asked
from jaxcf.results.explanations import Explanations
from jaxcf.results.html import titled_table
from jaxcf.results.traces import Traces
from jaxcf.search.options import EngineOptions, SearchOptions
from jaxcf.utils.numbers import check_whole
from jaxcf.utils.validation import check_scale


class Asked(NamedTuple):
    """A batch of rows, and what is asked of it.

    Attributes:
        rows: `[n, *shape]`, or a table.
        target: as `explain` takes it.
        rules: what the counterfactuals may be: `Constraints`, or the rules of a table by name.
        num_alternatives: counterfactuals per row and target.
        relations: what columns of a table must be to each other.
    """

    rows: Any
    target: Any = None
    rules: Any = None
    num_alternatives: int = 1
    relations: Any = None


class FittedExplainer(FittedState):
    """An explainer with its prototypes: made by `Explainer.fit`, never by hand.

    Its attributes are those of `FittedState`: `objective`, `prototypes`, `search`, ...
    """

    def __repr__(self) -> str:
        terms, kind = ", ".join(self.objective.term_names), self.prototypes.kind
        return f"FittedExplainer({terms}; {kind}; classes={self.num_classes}, shape={self.shape})"

    def _repr_html_(self) -> str:
        settings = self.objective.settings()
        weights = (f"{name} {one:g}" for name, one in settings["weights"].items())
        lower, upper = self.feature_range[:2]
        members = [len(one) for one in self.prototypes.members]
        by_class = ", ".join(map(str, members))
        rows = {
            "terms": ", ".join(settings["terms"]),
            "weights": ", ".join(weights),
            "prototypes": repr(self.prototypes.kind),
            "one instance": f"{self.shape}, from {np.min(lower):g} to {np.max(upper):g}",
            "one encoding": str(self.latent_shape),
            "training rows": f"{sum(members)}, by predicted class: {by_class}",
            "stop": self.search.stop,
        }
        return titled_table("FittedExplainer", rows)

    def with_options(
        self,
        *,
        objective: str | Objective | None = None,
        search: SearchOptions | None = None,
        trust_threshold: float | EllipsisType | None = ...,
        refinement: Refinement | None = None,
        engine: EngineOptions | None = None,
        guides: Sequence[Guide] | None = None,
        agreement: float | None = None,
    ) -> "FittedExplainer":
        """The same functions and prototypes with other options, checked as `Explainer` checks them.

        Args:
            objective: "A" to "F" or an `Objective` of the same confidence; None keeps it.
            search: how one instance is searched; None keeps it.
            trust_threshold: what the trust score of a counterfactual must exceed, None for no such
                thing; ... keeps it.
            refinement: what is tried after the search; None keeps it.
            engine: how the work is laid out; None keeps it.
            guides: other models that have to agree, none for an empty list; None keeps them.
            agreement: the share of the guides that has to agree, in (0, 1]; None keeps that of
                the guides that are kept, and asks all of those that are given.

        Returns:
            Another explainer that can explain. Other numbers compile nothing anew.

        Raises:
            ValueError: if the options don't go with the functions or each other, a share of guides
                is asked for that aren't there, or the objective asks for another confidence, by
                which the training rows behind the prototypes were chosen.

        Examples:
            >>> import jax, numpy as np
            >>> from jaxcf import Explainer
            >>> x = np.array([[0.2], [0.4], [-0.3], [-0.5]], np.float32)
            >>> fitted = Explainer(lambda x: jax.nn.softmax(x @ np.array([[4.0, -4.0]]))).fit(x)
            >>> fitted.with_options(search=SearchOptions(stop="budget")).explain(x).found.all()
            np.True_
        """
        changes: dict[str, Any] = {"search": search, "refinement": refinement, "engine": engine}
        changes = {name: value for name, value in changes.items() if value is not None}
        if objective is not None:
            changes["objective"] = as_objective(objective)
            given, wanted = self.objective.confidence, changes["objective"].confidence
            if float(given) != float(wanted):
                raise ValueError(
                    f"the objective asks for a confidence of {wanted}, but the prototypes are made "
                    f"of training rows of which the model is surer than {given}; fit an Explainer "
                    "with that objective"
                )
        if guides is not None:
            share = 1.0 if agreement is None else agreement
            check_are_guides(guides, share, (engine or self.engine).devices)
            known = self.answered_rows
            changes["guides"] = guides_asked(guides, share, known, self.num_classes)
        elif agreement is not None:
            changes["guides"] = with_agreement(self.guides, agreement)
        if trust_threshold is not ...:
            changes["trust_threshold"] = trust_threshold
        return replace(self, **changes)

    def explain(
        self,
        x: ArrayLike,
        *,
        target: Target | Literal["each"] = None,
        constraints: Constraints | None = None,
        num_alternatives: int = 1,
        on_progress: OnProgress | None = None,
        final_form: FinalForm | None = None,
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
            final_form: in which rows come in and go out, such as the exact values of a table; what
                the model decides for originals and counterfactuals is asked about that.

        Returns:
            One row per row of `x` (and per class or alternative), in its order; rows that can't be
            explained have a status that says why and leave the others alone.

        Raises:
            TypeError: if `x` or `target` is of a wrong type.
            ValueError: if a shape or the one target class is wrong, the columns of a DataFrame are
                others than in `fit` or in another order, images have values up to 255 and had none
                in `fit`, constraints don't fit, params have been deleted, or the model has changed
                since `fit`.
            RuntimeError: in a process forked off one in which JAX was running.
            ExplanationInterrupted: on Ctrl-C; it holds what was found by then.
        """
        self.check_current()
        batch = self.batch(
            x,
            target=target,
            constraints=constraints,
            num_alternatives=num_alternatives,
            final_form=final_form,
        )
        return Run(self, on_progress, len(batch.x), batch.feasible.grid_shapes).explain(batch)

    def batch(
        self,
        x: ArrayLike,
        *,
        target: Target | Literal["each"] = None,
        constraints: Constraints | None = None,
        num_alternatives: int = 1,
        final_form: FinalForm | None = None,
    ) -> Batch:
        """The searches that one call of `explain` makes, for a `Run` of several.

        Args:
            x: as for `explain`.
            target: likewise.
            constraints: likewise.
            num_alternatives: likewise.
            final_form: likewise.

        Raises:
            TypeError: as `explain`.
            ValueError: likewise, but for what has changed since `fit`.
        """
        given, x = x, self._rows(x)
        if final_form is None and (x is given or x.base is not None):
            x = x.copy()  # loaders fill one buffer again and again, and answers keep their rows
        check_are_constraints(constraints)
        check_whole("num_alternatives", num_alternatives)
        if num_alternatives > 1 and PROTOTYPE not in self.objective.terms:
            raise ValueError(
                "alternatives are led by different prototypes, but the objective has no prototype "
                f"term: its terms are {', '.join(self.objective.terms)}; use C, D, E or F"
            )
        if constraints is not None and constraints.relations is not None and final_form is None:
            raise ValueError(
                "relations between features are kept to the last digit in the units of a table "
                "only: use TableExplainer, and explain(..., relations=[...])"
            )
        feasible = resolve(constraints, self.feature_range, x)
        return make_batch(x, target, feasible, self.num_classes, num_alternatives, final_form)

    def _rows(self, x: ArrayLike) -> np.ndarray:
        """Rows to be explained, checked against those of `fit`."""
        x = self.rows(x)
        small_steps = self.search.solver in (solvers.normalized(), solvers.adam())
        check_scale(x, *self.feature_range[:2], small_steps=small_steps)
        return x

    def stream(
        self,
        batches: Iterable[ArrayLike],
        *,
        target: int | None = None,
        in_order: bool = True,
        on_progress: OnProgress | None = None,
    ) -> Iterator[Explanations]:
        """Explain more rows than fit into memory.

        Args:
            batches: arrays `[n, *shape]`, pulled when lanes fall free.
            target: None, or one class for all rows.
            in_order: whether the batches come in the order of `batches`. A batch waits for its
                slowest row, and then those after it wait, too; memory stays bounded, at the price
                of lanes that stand idle meanwhile. False gives each as soon as it is finished.
            on_progress: called now and then with a `Progress`, such as `progress_bar()`; if it
                is a context manager, it is entered meanwhile.

        Yields:
            The explanations of each batch; `settings["batch"]` is its number, from 0. The lanes
            stay full across batches, so small batches cost nothing.

        Raises:
            ValueError: if params have been deleted, or the model has changed since `fit`. Once all
                batches before it have come: if one isn't rows of the right shape.
            RuntimeError: in a process forked off one in which JAX was running.
            Exception: what `batches` raises, once all batches before it have come.
            KeyboardInterrupt: on Ctrl-C, once the batches that had begun have come as they stand,
                see `ExplanationInterrupted`.

        Examples:
            >>> import jax, numpy as np
            >>> from jaxcf import Explainer
            >>> x = np.array([[0.2], [0.4], [-0.3], [-0.5]], np.float32)
            >>> fitted = Explainer(lambda x: jax.nn.softmax(x @ np.array([[4.0, -4.0]]))).fit(x)
            >>> for explanations in fitted.stream([x[:3], x[3:]]):
            ...     print(explanations.settings["batch"], explanations)
            0 Explanations(n=3, found=3)
            1 Explanations(n=1, found=1)
        """
        asked = (Asked(x, target) for x in batches)
        return self.stream_asked(asked, in_order=in_order, on_progress=on_progress)

    def stream_asked(
        self,
        asked: Iterable[Asked],
        *,
        num_rows: int | None = None,
        in_order: bool = True,
        on_progress: OnProgress | None = None,
    ) -> Generator[Explanations, None, None]:
        """As `stream`, of batches of which each says what is asked of it.

        Args:
            asked: the batches, pulled when lanes fall free; all with as many levels in their
                constraints, or none.
            num_rows: how many searches these may be, for how many lanes there are; None for any
                number.
            in_order: as for `stream`.
            on_progress: likewise.

        Yields:
            The explanations of each batch.

        Raises:
            ValueError: as `stream`.
            RuntimeError: likewise.
        """
        self.check_current()
        return self.stream_batches(map(self.batch_of, asked), num_rows, in_order, on_progress)

    def stream_batches(
        self,
        batches: Iterator[Batch],
        num_rows: int | None = None,
        in_order: bool = True,
        on_progress: OnProgress | None = None,
    ) -> Generator[Explanations, None, None]:
        """As `stream`, of batches that `batch` has made, all with the same kind of grid.

        Args:
            batches: pulled when lanes fall free.
            num_rows: as for `stream_asked`.
            in_order: as for `stream`.
            on_progress: likewise.

        Yields:
            The explanations of each batch.
        """
        # What is compiled depends on what features are held to: the first batch says so.
        first = next(batches, None)
        if first is None:
            return
        run = Run(self, on_progress, num_rows, first.feasible.grid_shapes)
        with closing(run.stream(chain([first], batches), in_order=in_order)) as stream:
            yield from stream

    def batch_of(self, asked: Asked) -> Batch:
        """The searches that a batch asks for, see `batch`."""
        return self.batch(
            asked.rows,
            target=asked.target,
            constraints=asked.rules,
            num_alternatives=asked.num_alternatives,
        )

    def untouched(self, asked: Asked) -> Explanations:
        """What `explain` gives of a batch when it is interrupted before it has begun."""
        return Run(self, None).untouched(self.batch_of(asked))

    def trace(
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
    ) -> Traces:
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
            The traces. Rows that weren't searched to the end have no way.

        Raises:
            TypeError: if `x_train` or `target` is of a wrong type.
            ValueError: if the explanations, `x_train`, `target` or constraints don't go with this
                explainer and each other, a number is out of its range, or the model has changed
                since `fit`.
        """
        chosen = tracing.choose_rows(explanations, rows, num_rows)
        part = explanations[chosen]
        check_are_constraints(constraints)
        if constraints is not None:
            constraints = constraints.of_rows(part.source_row, self.shape)
        traces = tracing.trace_rows(
            self,
            part,
            x_train,
            tracing.allowed_classes(part, target),
            constraints,
            num_points=num_points,
            num_neighbours=num_neighbours,
            num_rows=len(explanations),
        )
        return replace(traces, rows=chosen)
