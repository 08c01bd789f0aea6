"""Counterfactuals for the rows of a table: in original units, under rules, by name."""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from types import EllipsisType
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float

from jaxcf.explainers.batch import Batch
from jaxcf.explainers.costs import costs_of
from jaxcf.explainers.explainer import Explainer
from jaxcf.explainers.fitted import Asked, FittedExplainer
from jaxcf.explainers.progress import OnProgress
from jaxcf.explainers.refinement import Refinement
from jaxcf.explainers.run import Run
from jaxcf.explainers.targets import Target
from jaxcf.explainers.tracing import allowed_classes, choose_rows, trace_rows
from jaxcf.objective import RECONSTRUCTION, Objective, as_objective
from jaxcf.predictors.blackbox import BlackBox
from jaxcf.predictors.estimators import Predicts, announced, recognised
from jaxcf.predictors.functions import Model
from jaxcf.prototypes.kinds import PrototypeKind
from jaxcf.results.explanations import Explanations
from jaxcf.results.traces import Traces
from jaxcf.search.options import EngineOptions, SearchOptions
from jaxcf.search.status import GIVEN_BACK
from jaxcf.tabular.category_values import Method, fit_category_values
from jaxcf.tabular.class_names import ClassNames, check_count, numbers_of, read_class_names
from jaxcf.tabular.coding import TableCoding
from jaxcf.tabular.columns import Categorical, Category
from jaxcf.tabular.estimators import Brought, Takes, bring
from jaxcf.tabular.explanations import TableExplanations
from jaxcf.tabular.final_rows import FinalRows
from jaxcf.tabular.missing import missing_coordinates, typical_values
from jaxcf.tabular.predictors import (
    TableModel,
    check_takes,
    of_coordinates,
    training_probabilities,
)
from jaxcf.tabular.relations import Relation, read_relations
from jaxcf.tabular.rules import Rules, moved_in, read_rules
from jaxcf.tabular.schema import Schema
from jaxcf.tabular.tables import Table, example_of, float_types, labels_of
from jaxcf.utils.fingerprints import described_array

Relations = Sequence[str | Relation]


# Of 4,800 rows under random rules 500 updates find 2,089, as 100 do, in four times the time: what
# has led nowhere by then is found from training rows, or can't be had.
SEARCH = SearchOptions(max_steps=100)


@dataclass(frozen=True, eq=False)
class TableExplainer:
    """Counterfactuals for a model of a table, as options; `fit` makes it ready.

    The search moves in coordinates, one per column: numbers scaled to [0, 1], each category of a
    column a learnt number in [0, 1], so that similar categories lie near each other. The model is
    asked only about real rows of a table, each category exactly one.

    Args:
        predict: a fitted classifier of scikit-learn's kind, such as a pipeline, a booster or a
            network, itself (see docs/your-model.md); or a function of the encoded table
            `[n, width]` (see `Schema.encode`) to class probabilities, in JAX or as a `BlackBox`.
            With `params`, it is called `f(params, x)`.
        schema: what the columns hold; None infers it from the training rows, of the columns that an
            estimator was fitted on.
        params: a pytree passed through untouched, traced.
        output: "probabilities" or "logits", what `predict` returns.
        takes: "input", the encoded table, or "table", for a model outside JAX that takes the
            columns as they were given to `fit`, such as a scikit-learn pipeline of a DataFrame.
            Where it fills in missing entries itself, rows may lack those that training rows lack
            too: the model gets them as they are, and what is missing stays missing. None asks an
            estimator what it was fitted on; other models take the encoded table.
        class_names: one per class; targets are then given by name. None takes an estimator's
            `classes_`.
        objective: "A", "C" or "E" or an `Objective` without a reconstruction term; None is "C", and
            "E" for a model outside JAX, which is then asked half as often for answers as near.
        prototypes: None takes "kdtree", the nearest training row of the class.
        categories: how the numbers of categories are learnt: "abdm" (from the other columns),
            "mvdm" (from the model's predictions), "abdm-mvdm" (both) or "index" (not at all).
        category_weight: the share of ABDM in "abdm-mvdm", in [0, 1].
        search: how one row is searched; by default for at most 100 updates, since what isn't found
            by then is looked for among training rows.
        trust_threshold: what the trust score of a counterfactual must exceed; None asks for none.
        refinement: what is tried after the search; None is `Refinement.for_tables()`.
        engine: how the work is laid out.

    Raises:
        TypeError: if `predict` is no model, a regressor or a classifier without probabilities, or
            a class is named by anything but strings and numbers.
        ValueError: if an option is unknown or doesn't go with another, or two classes have one
            name.

    Examples:
        >>> import jax, jax.numpy as jnp
        >>> def predict(x):  # declines sailors, and the young
        ...     granted = 4 * x[:, 0] - 2 * x[:, 2] - 1
        ...     return jax.nn.softmax(jnp.stack([-granted, granted], axis=1))
        >>> table = {"age": [20, 30, 50, 60], "job": ["clerk", "sailor", "clerk", "sailor"]}
        >>> explainer = TableExplainer(predict, class_names=("declined", "granted"))
        >>> explanations = explainer.fit(table).explain(table, target="granted")
        >>> [str(change) for change in explanations.changes(1)]
        ['age: 30 -> 31', 'job: sailor -> clerk']

    Source:
        Van Looveren & Klaise, arXiv 1907.02584, section 3.3 (categorical variables).
    """

    predict: Model | BlackBox | Predicts
    schema: Schema | None = None
    params: Any = None
    output: str = "probabilities"
    takes: Takes | None = None
    class_names: Sequence[Category] | np.ndarray | None = None
    objective: str | Objective | None = None
    prototypes: str | PrototypeKind | None = None
    categories: Method = "abdm"
    category_weight: float = 0.5
    search: SearchOptions = SEARCH
    trust_threshold: float | None = None
    refinement: Refinement | None = None
    engine: EngineOptions = field(default_factory=EngineOptions)

    def __post_init__(self) -> None:
        made = announced(self.predict, self.output, self.params)
        if not callable(made.predict):
            raise TypeError(f"predict must be a function, got {type(self.predict).__name__}")
        if self.takes == "table" and not isinstance(made.predict, BlackBox):
            raise ValueError(
                "takes='table' is for models outside JAX; wrap the model in a BlackBox, or let it "
                "take the encoded table"
            )
        self._objective_for(made.predict)
        read_class_names(self.class_names)

    def _objective_for(self, predict: Model | BlackBox) -> Objective:
        default = "E" if isinstance(predict, BlackBox) else "C"
        return as_table_objective(self.objective or default)

    def _brought(self, table: Table) -> tuple[Brought, ClassNames | None]:
        """The model and its schema given training rows, and what its classes are called."""
        names, estimator = read_class_names(self.class_names), recognised(self.predict)
        if estimator is not None:
            if names is None:
                names = read_class_names(estimator.class_names)
            return bring(estimator, table, self.schema, self.takes, self.output), names
        of_table = self.takes == "table"
        schema = self.schema or Schema.infer(table, keep_missing=of_table)
        made = announced(self.predict, self.output, self.params)
        return Brought(made, schema, table if of_table else None), names

    def fit(self, table: Table) -> "FittedTableExplainer":
        """Learn the numbers of the categories and build the class prototypes.

        Args:
            table: training rows, without the label: a frame of pandas, polars or Arrow, a mapping
                from names to columns, or an array that the schema's `read` takes. Columns that an
                estimator wasn't fitted on are left out.

        Returns:
            An explainer that can explain.

        Raises:
            TypeError: if the table is of another kind, or the model can't be called.
            ValueError: if rows can't be read, the prototypes can't be built, or there are more or
                fewer class names than classes.
        """
        ((predict, output), schema, like), names = self._brought(table)
        like = None if like is None else example_of(like)
        if isinstance(predict, BlackBox):
            check_count(names, predict.num_classes)
        values = schema.read_training(table, keep_missing=like is not None)
        model = TableModel.of(predict, self.params, output, schema, like)
        check_takes(model, values)
        missing = schema.missing(table)
        lacking = np.asarray(missing.any(axis=0))
        trained_on = described_array(values)
        # Of the rows as they are: those on the columns' grids, or filled in, may be others.
        probabilities = training_probabilities(model, values, missing, table)
        typical = typical_values(schema, values)
        # Nor has a code a place among the numbers: its row stands at the typical one.
        values = np.where(missing | schema.special(values), typical, values)
        numbers = fit_category_values(
            schema,
            values,
            probabilities.argmax(axis=1),
            method=self.categories,
            weight=self.category_weight,
        )
        coding = TableCoding(schema, numbers)
        if lacking.any():
            coding = replace(coding, missing=missing_coordinates(coding, typical, lacking))
        explainer = Explainer(
            of_coordinates(predict, coding, like),
            params=self.params,
            output=output,
            objective=self._objective_for(predict),
            prototypes=self.prototypes,
            search=self.search,
            trust_threshold=self.trust_threshold,
            refinement=_in_order(self.refinement or Refinement.for_tables(), schema),
            engine=self.engine,
        )
        unordered = np.array([isinstance(column, Categorical) for column in schema.columns])
        fitted = explainer.fit(
            coding.coordinates(values), probabilities=probabilities, unordered=unordered
        )
        check_count(names, fitted.num_classes)
        return FittedTableExplainer(coding, fitted, model, names, trained_on)


@dataclass(frozen=True, eq=False)
class FittedTableExplainer:
    """An explainer of a table that is ready: made by `TableExplainer.fit`, never by hand.

    Attributes:
        coding: between the table and the coordinates; `coding.category_values.order(column)`
            gives the learnt order of a column's categories.
        of_coordinates: the explainer of the coordinates, with all options.
        model: the caller's, asked about rows as they are.
        names: of the classes, if they have any, as targets name them.
        trained_on: which training rows these were, as they were read; see `described_array`.
    """

    coding: TableCoding
    of_coordinates: FittedExplainer
    model: TableModel
    names: ClassNames | None
    trained_on: str

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The names of the classes as they are shown, if they have any."""
        return None if self.names is None else tuple(map(str, self.names))

    def __repr__(self) -> str:
        return f"FittedTableExplainer({', '.join(self.coding.schema.names)})"

    def _repr_html_(self) -> str:
        return self.of_coordinates._repr_html_()

    def coordinates(self, table: Table) -> Float[np.ndarray, "n columns"]:
        """Where the rows of a table lie in the search space, `[n, columns]`."""
        return self.coding.coordinates(self.coding.schema.read(table), self._missing(table))

    def _missing(self, table: Table) -> Bool[np.ndarray, "n columns"] | None:
        """Which entries of a table are missing and may be; None where none may."""
        if self.coding.missing is None:
            return None
        return self.coding.schema.missing(table) & np.isfinite(self.coding.missing_coordinates)

    def _final_rows(
        self, table: Table, rules: Rules | None, relations: Relations | None
    ) -> FinalRows:
        values, missing = self.coding.schema.read(table), self._missing(table)
        begun = moved_in(rules or {}, self.coding, values)
        types = float_types(table, self.coding.schema.names)
        related = read_relations(relations, self.coding, types)
        read = read_rules(rules or {}, self.coding, begun, missing, related)
        starts = self.coding.coordinates(begun, missing)
        return FinalRows(self.model, self.coding, table, values, begun, read, related, starts)

    def with_options(
        self,
        *,
        objective: str | Objective | None = None,
        search: SearchOptions | None = None,
        trust_threshold: float | EllipsisType | None = ...,
        refinement: Refinement | None = None,
        engine: EngineOptions | None = None,
    ) -> "FittedTableExplainer":
        """The same model and prototypes with other options, checked as `TableExplainer` does.

        Args:
            objective: "A", "C" or "E" or an `Objective` of the same confidence; None keeps it.
            search: how one row is searched; None keeps it.
            trust_threshold: what the trust score of a counterfactual must exceed, None for no such
                thing; ... keeps it.
            refinement: what is tried after the search; None keeps it.
            engine: how the work is laid out; None keeps it.

        Returns:
            Another explainer that can explain. Other numbers compile nothing anew.

        Raises:
            ValueError: as `FittedExplainer.with_options`, and if the objective has a
                reconstruction term.

        Examples:
            >>> import jax
            >>> weights = np.array([[9.0, -9.0]])
            >>> explainer = TableExplainer(lambda x: jax.nn.softmax((x - 0.5) @ weights))
            >>> fitted = explainer.fit({"age": [20, 30, 50, 60]})
            >>> fitted.with_options(objective="E").of_coordinates.objective.terms
            ('l1', 'l2', 'prototype')
        """
        changed = self.of_coordinates.with_options(
            objective=None if objective is None else as_table_objective(objective),
            search=search,
            trust_threshold=trust_threshold,
            refinement=refinement and _in_order(refinement, self.coding.schema),
            engine=engine,
        )
        return replace(self, of_coordinates=changed)

    def explain(
        self,
        table: Table,
        *,
        target: Target | Category | Literal["each"] = None,
        rules: Rules | None = None,
        relations: Relations | None = None,
        num_alternatives: int = 1,
        on_progress: OnProgress | None = None,
    ) -> TableExplanations:
        """Explain every row.

        Args:
            table: of the columns of the training rows; others are ignored.
            target: as for `FittedExplainer.explain`; where classes have names, these (looked up by
                value) and no numbers. A row that names an unknown class has a status that says so.
            rules: what columns may become, by name, in original units. Other rules compile
                nothing anew.
            relations: what columns must be to each other, such as "part <= whole", "total == a + b"
                or "if job = pilot then age >= 21" (see `Relation`).
            num_alternatives: counterfactuals per row and target.
            on_progress: called now and then with a `Progress`, such as `progress_bar()`.

        Returns:
            One row per row of the table (and per class or alternative), in its order; every
            counterfactual obeys every rule and relation. Rows that can't be read or start outside
            these have a status that says so.

        Raises:
            TypeError: if the table or target is of a wrong kind.
            ValueError: if a column is lacking, a rule or target doesn't fit, or the model has
                changed since `fit`.
            ExplanationInterrupted: on Ctrl-C.
        """
        rows = self._final_rows(table, rules, relations)
        explanations = self.of_coordinates.explain(
            rows.starts,
            target=numbers_of(target, self.names),
            constraints=rows.read.constraints,
            num_alternatives=num_alternatives,
            on_progress=on_progress,
            final_form=rows,
        )
        return self._in_units(explanations, rows)

    def stream(
        self,
        batches: Iterable[Table],
        *,
        target: Target | Category | Literal["each"] = None,
        rules: Rules | None = None,
        relations: Relations | None = None,
        num_alternatives: int = 1,
        in_order: bool = True,
        on_progress: OnProgress | None = None,
    ) -> Iterator[TableExplanations]:
        """Explain more rows than fit into memory.

        Args:
            batches: tables as `explain` takes them, pulled when lanes fall free.
            target: as for `explain`, for the rows of each batch.
            rules: likewise.
            relations: likewise.
            num_alternatives: likewise.
            in_order: as for `FittedExplainer.stream`: whether the batches come in the order of
                `batches`; False gives each as soon as it is finished.
            on_progress: called now and then with a `Progress`, such as `progress_bar()`.

        Yields:
            The explanations of each batch; `settings["batch"]` is its number, from 0. Each is what
            `explain` would have returned of it. The lanes stay full across batches, and memory
            depends on these, not on how many batches there are.

        Raises:
            TypeError: if the target is of a wrong kind. Once all batches before it have come: if a
                table is.
            ValueError: if the target doesn't fit, or the model has changed since `fit`. Once all
                batches before it have come: if a column is lacking, or a rule doesn't fit.
            Exception: what `batches` raises, once all batches before it have come.
            KeyboardInterrupt: on Ctrl-C, once the batches that had begun have come as they stand.

        Examples:
            >>> import jax
            >>> weights = np.array([[9.0, -9.0]])
            >>> explainer = TableExplainer(lambda x: jax.nn.softmax((x - 0.5) @ weights))
            >>> fitted = explainer.fit({"age": [20, 30, 50, 60]})
            >>> for explanations in fitted.stream([{"age": [20, 30]}, {"age": [50]}]):
            ...     print(explanations.settings["batch"], explanations)
            0 TableExplanations(n=2, found=2)
            1 TableExplanations(n=1, found=1)
        """
        asked = (Asked(table, target, rules, num_alternatives, relations) for table in batches)
        numbers_of(target, self.names)  # raises if it doesn't fit
        return self.stream_asked(asked, in_order=in_order, on_progress=on_progress)

    def stream_asked(
        self,
        asked: Iterable[Asked],
        *,
        num_rows: int | None = None,
        in_order: bool = True,
        on_progress: OnProgress | None = None,
    ) -> Generator[TableExplanations, None, None]:
        """As `stream`, of batches of which each says what is asked of it.

        Args:
            asked: the batches, pulled when lanes fall free.
            num_rows: how many searches these may be, for how many lanes there are; None for any
                number.
            in_order: as for `stream`.
            on_progress: likewise.

        Yields:
            The explanations of each batch.

        Raises:
            ValueError: as `stream`.
        """
        self.of_coordinates.check_current()
        opened: dict[int, FinalRows] = {}

        def ready() -> Iterator[Batch]:
            for number, one in enumerate(asked):
                batch = self.batch_of(one)
                opened[number] = _rows_of(batch)
                yield batch

        def answers() -> Generator[TableExplanations, None, None]:
            with closing(
                self.of_coordinates.stream_batches(ready(), num_rows, in_order, on_progress)
            ) as stream:
                for explanations in stream:
                    rows = opened.pop(explanations.settings["batch"])
                    yield self._in_units(explanations, rows)

        return answers()

    def batch_of(self, asked: Asked) -> Batch:
        """The searches in coordinates that a batch of rows asks for; its final form are the rows.

        Raises:
            TypeError: as `explain`.
            ValueError: likewise.
        """
        rows = self._final_rows(asked.rows, asked.rules, asked.relations)
        return self.of_coordinates.batch(
            rows.starts,
            target=numbers_of(asked.target, self.names),
            constraints=rows.read.constraints,
            num_alternatives=asked.num_alternatives,
            final_form=rows,
        )

    def untouched(self, asked: Asked) -> TableExplanations:
        """What `explain` gives of a batch when it is interrupted before it has begun."""
        batch = self.batch_of(asked)
        return self._in_units(Run(self.of_coordinates, None).untouched(batch), _rows_of(batch))

    def trace(
        self,
        explanations: TableExplanations,
        table: Table,
        *,
        rows: Any = None,
        num_rows: int = 24,
        num_points: int = 12,
        num_neighbours: int = 3,
        target: Target | Category | Literal["each"] = None,
        rules: Rules | None = None,
        relations: Relations | None = None,
    ) -> Traces:
        """Search some rows once more and look closely: the way, the prototype, its neighbours.

        Args:
            explanations: that this explainer made, all of them or some.
            table: the training rows given to `fit`.
            rows: as for `FittedExplainer.trace`.
            num_rows: likewise.
            num_points: likewise.
            num_neighbours: likewise.
            target: what `explain` was given for these explanations, for all of its rows.
            rules: likewise.
            relations: likewise.

        Returns:
            The traces, in coordinates: `explanations[traces.rows].values_at(traces.path)` gives
            the values of the points.

        Raises:
            TypeError: if the table or target is of a wrong kind.
            ValueError: if the explanations, the table, the rules or the target are others than the
                explainer's own, or a number is out of its range.
            IndexError: if a row doesn't exist.
        """
        schema = self.coding.schema
        may_lack = self.coding.missing is not None
        values = schema.read_training(table, keep_missing=may_lack)
        gaps = schema.missing(table) | schema.special(values)
        filled = np.where(gaps, typical_values(schema, values), values)
        coordinates = self.coding.coordinates(filled)
        chosen = choose_rows(explanations.core, rows, num_rows)
        part = explanations[chosen]
        own = {name: rule.of_rows(part.source_row) for name, rule in (rules or {}).items()}
        # A row that can't be read has no coordinates; what is missing has some.
        missing = np.isnan(part.original_values) & np.isfinite(part.core.original)
        related = read_relations(relations, self.coding)
        read = read_rules(own, self.coding, part.original_values, missing, related)
        traces = trace_rows(
            self.of_coordinates,
            part.core,
            coordinates,
            allowed_classes(part.core, numbers_of(target, self.names)),
            read.constraints,
            num_points=num_points,
            num_neighbours=num_neighbours,
            num_rows=len(explanations),
        )
        return replace(traces, rows=chosen)

    def in_units(
        self,
        explanations: Explanations,
        table: Table,
        rules: Rules | None = None,
        relations: Relations | None = None,
    ) -> TableExplanations:
        """Explanations of a table's coordinates, such as an interrupted call holds, in its units.

        Args:
            explanations: by `of_coordinates`, of this table.
            table: as it was given to `explain`.
            rules: likewise.
            relations: likewise.

        Returns:
            What `explain` would have returned of them.
        """
        return self._in_units(explanations, self._final_rows(table, rules, relations))

    def _in_units(self, explanations: Explanations, rows: FinalRows) -> TableExplanations:
        chosen = explanations.source_row
        labels = labels_of(rows.table)
        original_values = rows.values[chosen]
        given_back = np.isin(explanations.status, GIVEN_BACK)
        values = rows.exact(explanations.counterfactual, chosen)
        return TableExplanations(
            core=explanations,
            coding=self.coding,
            original_values=original_values,
            values=np.where(given_back[:, None], original_values, values),
            like=rows.table,
            # What is missing and may be is no problem: any value will do in its place.
            problems=self.coding.schema.problems(
                np.where(np.isfinite(rows.starts), np.nan_to_num(rows.values), rows.values),
                rows.table,
            ),
            class_names=self.class_names,
            labels=None if labels is None else labels[chosen],
            ruled=rows.read.ruled,
        )


def _rows_of(batch: Batch) -> FinalRows:
    rows = batch.final_form
    assert isinstance(rows, FinalRows)
    return rows


def _in_order(refinement: Refinement, schema: Schema) -> Refinement:
    """With the costs in the order of the columns, where they are given by name."""
    if not isinstance(refinement.costs, Mapping):
        return refinement
    shape = (len(schema.columns),)
    return replace(refinement, costs=costs_of(refinement.costs, schema.names, shape))


def as_table_objective(given: str | Objective) -> Objective:
    """An objective that tables can have, where its name may stand for it."""
    objective = as_objective(given)
    if RECONSTRUCTION in objective.terms:
        raise ValueError(
            "the objective has a reconstruction term (B, D, F), which tables have no "
            "autoencoder for; use A, C or E"
        )
    return objective
