"""What a job asks of whom about which rows; a unit of it at a time."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jaxcf.constraints import Constraints, check_are_constraints
from jaxcf.explainers.fitted import Asked, FittedExplainer
from jaxcf.explainers.state import FittedState
from jaxcf.explainers.targets import as_target
from jaxcf.jobs.asking import AnyExplainer, asked_of
from jaxcf.jobs.job import Results
from jaxcf.jobs.sources import RowSource, as_source, digest_of_rows, labels_in, read_rows
from jaxcf.results import explanations as plain
from jaxcf.results.parts import Rows
from jaxcf.tabular.explainer import FittedTableExplainer, Relations
from jaxcf.tabular.explanations import TableExplanations, described
from jaxcf.tabular.rules import Rules
from jaxcf.tabular.tables import plain_labels
from jaxcf.utils import json_files


@dataclass(frozen=True)
class Question:
    """A fitted explainer, rows, and what is asked of each of them.

    Attributes:
        fitted: the explainer.
        source: of the rows.
        target: as `explain` takes it; where it is given by row, of all rows.
        rules: `Constraints`, or the rules of a table by name, likewise.
        relations: between the columns of a table.
        num_alternatives: counterfactuals per row and target.
        labels: what the rows of a table are called; None where they have no names.
    """

    fitted: AnyExplainer
    source: RowSource
    target: Any
    rules: Any
    relations: Relations | None
    num_alternatives: int
    labels: np.ndarray | None

    @classmethod
    def of(
        cls,
        explainer: AnyExplainer | Callable[[], AnyExplainer],
        data: Any,
        target: Any = None,
        constraints: Constraints | None = None,
        rules: Rules | None = None,
        relations: Relations | None = None,
        num_alternatives: int = 1,
        labels: Any = None,
    ) -> "Question":
        """What `jobs.run` is given, checked.

        Raises:
            TypeError: if the explainer is none, or an argument is of a wrong kind.
            ValueError: if there are no rows, or something doesn't go with the rest.
        """
        fitted = fitted_by(explainer)
        is_table = isinstance(fitted, FittedTableExplainer)
        if (constraints if is_table else rules) is not None:
            wanted, given = ("rules", "constraints") if is_table else ("constraints", "rules")
            raise ValueError(f"{given}= is for the other kind of explainer; pass {wanted}=")
        check_are_constraints(constraints)
        if relations and not is_table:
            raise ValueError("relations= are between the columns of a table")
        source = as_source(data, fitted.coding.schema.names if is_table else None)
        return cls(
            fitted,
            source,
            as_target(target),
            rules if is_table else constraints,
            relations or None,
            num_alternatives,
            _labels(labels, source) if is_table else None,
        )

    @property
    def num_rows(self) -> int:
        """Of the input."""
        return len(self.source)

    @property
    def state(self) -> FittedState:
        """The explainer's; of a table, that of its coordinates."""
        fitted = self.fitted
        return fitted if isinstance(fitted, FittedExplainer) else fitted.of_coordinates

    @property
    def names(self) -> tuple[str, ...] | None:
        """Of the columns of a table."""
        fitted = self.fitted
        return fitted.coding.schema.names if isinstance(fitted, FittedTableExplainer) else None

    @property
    def searches_per_row(self) -> int:
        """How many counterfactuals are asked for of each row."""
        each = isinstance(self.target, str) and self.target == "each"
        return self.num_alternatives * (self.state.num_classes if each else 1)

    def asked(self) -> dict[str, Any]:
        """By what the job is known, see `asked_of`."""
        question = {
            "target": self.target,
            "rules": self.rules,
            "relations": self.relations,
            "num_alternatives": self.num_alternatives,
            "labels": self.labels,
        }
        return asked_of(self.fitted, self.source, question)

    def described(self) -> dict[str, Any]:
        """What all parts say of themselves alike."""
        core = {"format": plain.FORMAT, "schema_version": plain.SCHEMA_VERSION}
        if isinstance(self.fitted, FittedExplainer):
            return core
        coding, ruled = self.fitted.coding, set(self.rules or ())
        in_order = [name for name in coding.schema.names if name in ruled]
        table = described(coding, self.fitted.class_names, in_order)
        return json_files.plain(table | {"explanations": core})

    def about(self, rows: Rows) -> Asked:
        """What is asked of some of the rows, which are read."""
        given, chosen = read_rows(self.source, rows), np.arange(rows.start, rows.stop)
        rules = self.rules
        if isinstance(rules, Constraints):
            rules = rules.of_rows(chosen, self.state.shape)
        elif rules is not None:
            rules = {name: rule.of_rows(chosen) for name, rule in rules.items()}
        return Asked(given, self._target(rows), rules, self.num_alternatives, self.relations)

    def _target(self, rows: Rows) -> Any:
        target = self.target
        if not hasattr(target, "__len__") or isinstance(target, str):
            return target
        if len(target) != self.num_rows:
            raise ValueError(f"target has {len(target)} entries for {self.num_rows} rows")
        return target[rows.start : rows.stop]

    def digest(self, given: Any) -> str:
        """Which rows these are that were read."""
        return digest_of_rows(given, self.names)

    def labelled(self, rows: Rows, explanations: Results) -> Results:
        """Explanations of these rows with what they are called."""
        if not isinstance(explanations, TableExplanations):
            return explanations
        if self.labels is None:
            return replace(explanations, labels=None)
        return explanations.with_labels(self.labels[rows.start : rows.stop])


def fitted_by(explainer: AnyExplainer | Callable[[], AnyExplainer]) -> AnyExplainer:
    """An explainer that is fitted, or that a function without arguments makes.

    Raises:
        TypeError: if it is none.
    """
    fitted = explainer if isinstance(explainer, AnyExplainer) else explainer()
    if not isinstance(fitted, AnyExplainer):
        raise TypeError(
            f"explainer must be fitted, or a function that gives one that is; got "
            f"{type(fitted).__name__}"
        )
    return fitted


def _labels(labels: Any, source: RowSource) -> np.ndarray | None:
    if labels is None:
        return labels_in(source)
    given = plain_labels(labels)
    if given is None or len(given) != len(source):
        raise ValueError(
            f"labels must be texts or whole numbers, one for each of {len(source)} rows"
        )
    return given
