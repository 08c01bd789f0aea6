"""The caller's model of the table as a model of its coordinates."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, wraps
from typing import Any

import jax
import numpy as np
from jaxtyping import Float32

from jaxcf.predictors.blackbox import BadAnswer, BlackBox, Failures
from jaxcf.predictors.checks import check_answer, few_rows
from jaxcf.predictors.functions import ModelFunctions, check_models, is_pure
from jaxcf.predictors.inference import check_training_answers, predict
from jaxcf.predictors.jacobians import CentralDifferences, RandomDirections
from jaxcf.predictors.trees import Thresholds, thresholds_of
from jaxcf.tabular.category_values import fit_category_values
from jaxcf.tabular.coding import TableCoding
from jaxcf.tabular.columns import Numeric
from jaxcf.tabular.estimators import OfColumns
from jaxcf.tabular.inference import lacking
from jaxcf.tabular.missing import typical_values
from jaxcf.tabular.schema import Schema
from jaxcf.tabular.tables import OwnCells, Table


@dataclass(frozen=True)
class CoordinateModel:
    """A JAX model of the encoded table, asked at coordinates. Static, compared by its parts."""

    predict: Callable[..., jax.Array]
    coding: TableCoding

    @property
    def pure(self) -> bool:
        """Whether the model promises to hold nothing that changes."""
        return is_pure(self.predict)

    def __call__(self, *arguments: Any) -> jax.Array:
        """`predict` of coordinates, or of params and coordinates."""
        *params, coordinates = arguments
        return self.predict(*params, self.coding.model_input(coordinates))


@dataclass(frozen=True)
class CoordinateFunction:
    """A function outside JAX of the encoded table, or of the table itself, asked at coordinates."""

    predict: Callable[[Any], Any]
    coding: TableCoding
    like: "TableKind | None"

    @property
    def __wrapped__(self) -> Callable[[Any], Any]:
        """The function: what is called, and by one thread at a time."""
        return self.predict

    def __call__(self, coordinates: np.ndarray) -> Any:
        """The function's answer for the rows of the table that the coordinates stand for."""
        values = nearest_values(self.coding, coordinates)
        if self.like is None:
            return self.predict(self.coding.schema.encode(values))
        return self.predict(self.coding.schema.write(values, like=self.like.table))


@dataclass(frozen=True, eq=False)
class TableKind:
    """An example of the table that a function takes; compared by identity."""

    table: Table


def nearest_values(coding: TableCoding, coordinates: np.ndarray) -> np.ndarray:
    """The values that coordinates stand for, on the grids of their columns; NaN for missing.

    Special codes, where the coordinates lie nearer to one than to any number.
    """
    nothing = np.full(coordinates.shape, np.nan, np.float32)
    values = coding.values(coordinates, np.zeros(coordinates.shape), nothing)
    values = coding.with_codes(values, coordinates)
    if coding.missing is None:
        return values
    return np.where(coordinates == coding.missing_coordinates, np.nan, values)


@dataclass(frozen=True, eq=False)
class TableModel:
    """The caller's model, asked about rows of a table as they are and not as the search sees them.

    Args:
        models: predict alone, of the encoded table, in JAX or outside, or of the table itself.
        params: what a JAX model takes first, if it does.
        schema: of the table.
        like: the kind of table that a black box takes instead of the encoded one.
    """

    models: ModelFunctions
    params: Any
    schema: Schema
    like: Table | None

    @classmethod
    def of(
        cls,
        predict: Callable[..., Any] | BlackBox,
        params: Any,
        output: str,
        schema: Schema,
        like: Table | None,
    ) -> "TableModel":
        """A model as the caller gives it, checked without being run where it is one of JAX.

        Raises:
            TypeError: if a JAX model can't be called on an encoded table.
            ValueError: if it returns another shape than it must, or params have been deleted.
        """
        models = ModelFunctions(predict, output=output, takes_params=params is not None)
        if models.black_box is None:
            models = check_models(models, params, (schema.width,)).models
        return cls(models, params, schema, like)

    @cached_property
    def thresholds(self) -> Thresholds | None:
        """Of trees the thresholds of each column, in its units; else None.

        Of trees of the encoded table, or of an estimator that takes columns in an order of its own.
        What any other model makes of the table itself isn't known.
        """
        box = self.models.black_box
        if box is None:
            return None
        found = thresholds_of(box.predict)
        if found is None:
            return None
        if isinstance(box.predict, OfColumns):
            names = box.predict.names or ()
            by_name = dict(zip(names, found, strict=True)) if len(names) == len(found) else {}
            none = np.empty(0)
            return tuple(
                by_name.get(one.name, none) if isinstance(one, Numeric) else none
                for one in self.schema.columns
            )
        if self.like is not None or len(found) != self.schema.width:
            return None
        columns: list[np.ndarray] = []
        for column, places in zip(self.schema.columns, self.schema.positions, strict=True):
            if not isinstance(column, Numeric):
                columns.append(np.empty(0))
                continue
            shift, scale = column.shift_and_scale(self.schema.scaling)
            columns.append(found[places[0]] * scale + shift)
        return tuple(columns)

    def probabilities(
        self, values: np.ndarray, own: OwnCells, failures: Failures, size: int | None = None
    ) -> np.ndarray:
        """The probabilities of rows of some values, float32; NaN where there are none.

        Args:
            values: `[n, columns]`, at least one row.
            own: which cells are those of the table that was given.
            failures: told of what goes wrong.
            size: rows that a compiled model is asked for at once; None chooses.
        """
        box = self.models.black_box
        if self.like is not None and box is not None:
            return self._of_tables(box, values, own, failures)
        if isinstance(own.table, np.ndarray):
            encoded = np.asarray(self.schema.write(values, own.table, own=own), np.float32)
        else:
            encoded = self.schema.encode(values)
        return predict(self.models, self.params, encoded, failures, size)

    def _of_tables(
        self, box: BlackBox, values: np.ndarray, own: OwnCells, failures: Failures
    ) -> np.ndarray:
        @wraps(box.predict, assigned=(), updated=())
        def ask(numbers: np.ndarray) -> Any:
            chosen = numbers.astype(np.intp) @ np.array([_NUMBERED_BY, 1])
            cells = OwnCells(own.table, own.rows[chosen], own.kept[chosen])
            return box.predict(self.schema.write(values[chosen], self.like, own=cells))

        # A black box is handed arrays of float32, which hold no table: these are the numbers of its
        # rows, in two parts that float32 holds exactly.
        numbers = np.stack(np.divmod(np.arange(len(values)), _NUMBERED_BY), axis=1)
        asked = replace(box, predict=ask).ask(numbers.astype(np.float32), failures)
        return asked.astype(np.float32)


_NUMBERED_BY = 4096


def check_takes(model: TableModel, values: np.ndarray) -> None:
    """Ask a model outside JAX about the first training rows, to find out what it can't take.

    Args:
        model: of the table.
        values: `[n, columns]`, of the training rows, NaN where an entry is missing.

    Raises:
        ValueError: if it fails for the first rows, or answers in another shape.
    """
    box = model.models.black_box
    if box is None:
        return
    # where the categories lie makes no difference to what is asked
    schema = model.schema
    filled = np.where(np.isnan(values), typical_values(schema, values), values)
    anywhere = TableCoding(schema, fit_category_values(schema, filled, method="index"))
    box = replace(box, predict=_of_coordinates(box, anywhere, model.like))
    try:
        check_answer(box, anywhere.coordinates(filled[few_rows(filled)]))
    except ValueError as error:
        if isinstance(error.__cause__, BadAnswer):
            raise
        gets, other = "the encoded table, an array", "takes='table' hands it the table itself"
        if model.like is not None:
            gets, other = "the table itself", "takes='input' hands it the encoded table, an array"
        raise ValueError(f"{error}; the model gets {gets}: {other}") from None


def training_probabilities(
    model: TableModel, values: np.ndarray, missing: np.ndarray, table: Table
) -> Float32[np.ndarray, "n classes"]:
    """What the model says of the training rows as they are, outside any search.

    Args:
        model: of the table.
        values: `[n, columns]`, of its rows.
        missing: `[n, columns]`, which entries they lack.
        table: that was given.

    Returns:
        `[n, classes]`.

    Raises:
        ValueError: if it has no answer for one; the message names all columns where rows that lack
            entries have none.
    """
    own = OwnCells(table, np.arange(len(values)), np.ones(values.shape, bool))
    failures = Failures(warn=False)
    probabilities = model.probabilities(values, own, failures)
    lost = np.isnan(probabilities).any(axis=1)
    if failures.first is not None and (lost & missing.any(axis=1)).any():
        gaps = dict(zip(model.schema.names, missing.T, strict=True))
        raise ValueError(
            f"{lacking(gaps)}, and the model has no answer for such rows ({failures.first}); fill "
            "them in, leave out such columns or training rows, or let the model fill them in, "
            "such as a pipeline with an imputer"
        )
    check_training_answers(probabilities, failures)
    return probabilities


def of_coordinates(
    predict: Callable[..., Any] | BlackBox, coding: TableCoding, like: Table | None
) -> Callable[..., Any] | BlackBox:
    """The model as the search asks it.

    Args:
        predict: of the encoded table, in JAX, or a black box.
        coding: of the table.
        like: what a black box takes instead of the encoded table.

    Returns:
        A model of coordinates. A black box's `epsilon` counts in coordinates; one number becomes
        one for each column, so that it is a multiple of the column's step, and reaches the next
        category on one side at least.
    """
    if not isinstance(predict, BlackBox):
        return CoordinateModel(predict, coding)
    function = _of_coordinates(predict, coding, like)
    gradient = predict.gradient
    if isinstance(gradient, (CentralDifferences, RandomDirections)) and not np.shape(
        gradient.epsilon
    ):
        epsilon = _epsilons(coding, float(np.asarray(gradient.epsilon)))
        gradient = replace(gradient, epsilon=epsilon)
    return replace(predict, predict=function, gradient=gradient)


def _of_coordinates(box: BlackBox, coding: TableCoding, like: Table | None) -> CoordinateFunction:
    return CoordinateFunction(box.predict, coding, None if like is None else TableKind(like))


def _epsilons(coding: TableCoding, epsilon: float) -> tuple[float, ...]:
    found = []
    for column, levels, step in zip(
        coding.schema.columns, coding.levels, coding.steps.tolist(), strict=True
    ):
        if isinstance(column, Numeric):
            found.append(step * max(1, round(epsilon / step)) if step else epsilon)
        else:
            known = np.sort(levels[np.isfinite(levels)])
            gaps = np.diff(known)
            found.append(float(gaps.max()) if len(gaps) else epsilon)
    return tuple(found)
