"""The caller's model of the table as a model of its coordinates."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import jax
import numpy as np

from jaxcf.predictors.blackbox import BlackBox, Failures
from jaxcf.predictors.jacobians import CentralDifferences, RandomDirections
from jaxcf.tabular.category_values import fit_category_values
from jaxcf.tabular.coding import TableCoding
from jaxcf.tabular.columns import Numeric
from jaxcf.tabular.schema import Schema
from jaxcf.tabular.tables import Table
from jaxcf.utils.batching import map_batches

Takes = Literal["input", "table"]


@dataclass(frozen=True)
class CoordinateModel:
    """A JAX model of the encoded table, asked at coordinates. Static, compared by its parts."""

    predict: Callable[..., jax.Array]
    coding: TableCoding

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
    """The values that coordinates stand for, on the grids of their columns."""
    nothing = np.full(coordinates.shape, np.nan, np.float32)
    return coding.values(coordinates, np.zeros(coordinates.shape), nothing)


def predicted_classes(
    predict: Callable[..., Any] | BlackBox,
    params: Any,
    schema: Schema,
    values: np.ndarray,
    like: Table | None,
) -> np.ndarray:
    """What the model decides for some rows of a table, outside any search.

    Args:
        predict: of the encoded table, in JAX, or a black box.
        params: what a JAX model takes first, if it does.
        schema: of the table.
        values: `[n, columns]`.
        like: what a black box takes instead of the encoded table.

    Returns:
        `[n]`; 0 for rows that a black box has no answer for.

    Raises:
        ValueError: if a black box fails for the first rows, or answers in another shape.
    """
    if isinstance(predict, BlackBox):
        # where the categories lie makes no difference to what is asked
        anywhere = TableCoding(schema, fit_category_values(schema, values, method="index"))
        box = replace(predict, predict=_of_coordinates(predict, anywhere, like))
        x = anywhere.coordinates(values)
        box.check_answer(x[:2])
        return np.nan_to_num(box.ask(x, Failures(warn=False))).argmax(axis=1)
    arguments = () if params is None else (params,)
    return map_batches(lambda x: predict(*arguments, x), schema.encode(values)).argmax(axis=1)


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
