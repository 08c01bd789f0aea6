"""An estimator as a model of a table: which columns it takes, as a frame or a matrix, and how."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Shaped

from jaxcf.predictors.blackbox import BlackBox
from jaxcf.predictors.estimators import Estimator, Made, asked_rows
from jaxcf.predictors.jacobians import CentralDifferences
from jaxcf.tabular.columns import Numeric, is_missing
from jaxcf.tabular.frames import as_pandas, is_other_frame
from jaxcf.tabular.schema import Schema
from jaxcf.tabular.tables import Table, is_frame, read_columns, with_columns, with_rows

Takes = Literal["input", "table"]

Form = Literal["frame", "pandas", "matrix"]


class Brought(NamedTuple):
    """An estimator as the explainer of a table works with it.

    Attributes:
        made: a black box, or a function in JAX, and what it returns.
        schema: of the table.
        like: an example of the table that it takes; None where it takes the encoded table.
    """

    made: Made
    schema: Schema
    like: Table | None


def bring(
    estimator: Estimator, table: Table, schema: Schema | None, takes: Takes | None, output: str
) -> Brought:
    """What the explainer of a table makes of an estimator.

    Args:
        estimator: as it was recognised.
        table: the training rows; columns that the estimator doesn't know are left out.
        schema: what the columns hold and how they are encoded; None infers it, and where the
            encoded table is taken encodes numbers as they are.
        takes: "input" or "table"; None finds it out, see `takes_of`.
        output: as for `Explainer`.

    Raises:
        TypeError: if the table is of another kind.
        ValueError: if the estimator was fitted on other columns, doesn't go with the table, or
            fails for the first rows.
    """
    takes = takes or takes_of(estimator, table, schema)
    if takes == "input":
        schema = schema or Schema.infer(table, scaling="original")
        values = schema.read_training(table)
        made = estimator.make(schema.encode(values[asked_rows(len(values))]), output)
        if isinstance(made.predict, BlackBox):
            # Its own derivatives aren't those by the coordinates of the search.
            made = made._replace(predict=replace(made.predict, gradient=CentralDifferences()))
        return Brought(made, schema, None)
    if estimator.is_network:
        raise ValueError(
            f"takes is 'table', but a {estimator.name} takes a matrix of numbers; leave takes out"
        )
    given = tuple(read_columns(table)) if schema is None else schema.names
    names = estimator.column_names
    form: Form = "frame"
    lacking = [name for name in names or () if name not in given]
    if lacking:
        whose = "table" if schema is None else "schema"
        raise ValueError(
            f"the {estimator.name} was fitted on the columns {', '.join(map(repr, lacking))}, "
            f"which the {whose} lacks; it has {', '.join(map(repr, given))}"
        )
    if names is None and estimator.num_features is not None:
        names, form = given, "matrix"
    # In the order of the table, in which counterfactuals come back.
    chosen = with_columns(table, [name for name in given if names is None or name in names])
    schema = schema or Schema.infer(chosen, keep_missing=True)
    known = read_columns(chosen)
    rows = with_rows(chosen, asked_rows(len(next(iter(known.values())).entries)))
    if form == "frame" and is_other_frame(chosen) and not _is_taken(estimator, rows, names):
        form = "pandas"
    made = estimator.make(_taken(rows, names, form), output)
    assert isinstance(made.predict, BlackBox)  # no network takes a table
    box = replace(made.predict, predict=OfColumns(made.predict.predict, names, form))
    like = {name: one.entries for name, one in known.items()} if form == "matrix" else chosen
    return Brought(made._replace(predict=box), schema, like)


def takes_of(estimator: Estimator, table: Table, schema: Schema | None) -> Takes:
    """Whether an estimator takes the columns of the table, or these encoded, as far as it says.

    One that was fitted on named columns takes these. Of others the number of features tells, and
    networks take the encoded table in any case.

    Args:
        estimator: as it was recognised.
        table: the training rows.
        schema: of the table, if there is one already.

    Raises:
        TypeError: if the table is of another kind.
        ValueError: if neither fits, or both do and aren't the same.
    """
    if estimator.is_network or isinstance(table, np.ndarray):
        return "input"
    count = estimator.num_features
    if estimator.column_names is not None:
        return "table"
    if count is None:
        return "table" if schema is None else "input"
    columns = len(read_columns(table)) if schema is None else len(schema.names)
    width = None if schema is None else schema.width
    same = schema is None or (
        schema.scaling == "original" and all(isinstance(one, Numeric) for one in schema.columns)
    )
    if count == columns and (count != width or same):
        return "table"
    if count == width and count != columns:
        return "input"
    fits = f"the {columns} columns of the table"
    if count == width:
        raise ValueError(
            f"the {estimator.name} was fitted on {count} features without names, which may be "
            f"{fits} or what the schema encodes them to; say takes='table' or takes='input'"
        )
    encoded = "" if width is None else f" or the {width} entries that the schema encodes them to"
    raise ValueError(
        f"the {estimator.name} was fitted on {count} features without names, which can't be {fits}"
        f"{encoded}; pass the columns that it was fitted on, in their order, a pipeline that "
        "encodes them itself, or the schema whose encode made its input"
    )


@dataclass(frozen=True)
class OfColumns:
    """A function of what an estimator was fitted on, as a function of tables.

    Args:
        predict: of a frame or a matrix.
        names: of the columns that it takes, in its order; None takes all of them.
        form: "frame" of whatever library the caller has, one of "pandas", or a "matrix".
    """

    predict: Callable[[Any], Any]
    names: tuple[str, ...] | None
    form: Form

    @property
    def __wrapped__(self) -> Callable[[Any], Any]:
        """The function: what is called, and by one thread at a time."""
        return self.predict

    def __call__(self, table: Table) -> Any:
        """The function's answer for the rows of a table."""
        return self.predict(_taken(table, self.names, self.form))


def _taken(table: Table, names: tuple[str, ...] | None, form: Form) -> Any:
    """What an estimator takes of a table."""
    chosen = table if names is None else with_columns(table, names)
    if form == "matrix":
        return _as_matrix(chosen)
    if is_other_frame(chosen):
        return as_pandas(chosen) if form == "pandas" else chosen
    return chosen if is_frame(chosen) else as_frame(chosen)


def _is_taken(estimator: Estimator, rows: Table, names: tuple[str, ...] | None) -> bool:
    """Whether an estimator takes a frame of another library than pandas, which not all know."""
    try:
        estimator.answers(_taken(rows, names, "frame"))
    except ValueError:
        return find_spec("pandas") is None
    return True


def _as_matrix(table: Table) -> Shaped[np.ndarray, "n columns"]:
    columns = [one.entries for one in read_columns(table).values()]
    numbers = all(column.dtype.kind in "biuf" for column in columns)
    return np.stack(columns if numbers else [one.astype(object) for one in columns], axis=1)


def as_frame(columns: Any) -> Any:
    """Columns by name as a pandas DataFrame, with NaN for what is missing.

    Raises:
        ImportError: if pandas isn't installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            "the model was fitted on a frame and gets one, which needs pandas, an extra: "
            "pip install 'jaxcf[pandas]'; or explain a frame of the library it was fitted with"
        ) from error
    return pandas.DataFrame({name: _with_nan(column) for name, column in columns.items()})


def _with_nan(column: Any) -> Any:
    # as pandas reads files, and as imputers expect it
    if getattr(column, "dtype", None) == np.dtype(object):
        return np.array([np.nan if is_missing(one) else one for one in column.tolist()], object)
    return column
