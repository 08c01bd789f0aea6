"""Schemas and the numbers of categories as JSON, and back."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from jaxcf import storage
from jaxcf.tabular.category_values import CategoryValues
from jaxcf.tabular.coding import TableCoding
from jaxcf.tabular.columns import Categorical, Column, Numeric, Ordinal
from jaxcf.tabular.schema import Schema

_KINDS: dict[str, type[Numeric] | type[Ordinal] | type[Categorical]] = {
    "numeric": Numeric,
    "ordinal": Ordinal,
    "categorical": Categorical,
}


def coding_to_json(coding: TableCoding) -> dict[str, Any]:
    """What a coding consists of, for JSON.

    Args:
        coding: Of a table.

    Returns:
        The "schema" with its "columns", "scaling" and "layout", and the "category_values".

    Examples:
        >>> schema = Schema((Ordinal("size", ("small", "large")),))
        >>> coding = TableCoding(schema, CategoryValues((), (), ()))
        >>> coding_to_json(coding)["schema"]["columns"][0]["categories"]
        ['small', 'large']
        >>> coding_from_json(coding_to_json(coding)) == coding
        True
    """
    schema = _fields(coding.schema) | {"columns": list(map(_of_column, coding.schema.columns))}
    numbers = _fields(coding.category_values)
    return storage.plain({"schema": schema, "category_values": numbers})


def coding_from_json(given: Any) -> TableCoding:
    """The coding that `coding_to_json` described.

    Args:
        given: What JSON held.

    Returns:
        A coding equal to the one described.

    Raises:
        ValueError: If it describes none.
    """
    try:
        given = _as_tuples(given)
        schema = _exactly(Schema, given["schema"])
        numbers = _exactly(CategoryValues, given["category_values"])
        columns = tuple(map(_to_column, schema.pop("columns")))
        # The classes check what they are given; wrong types stumble over their comparisons.
        return TableCoding(Schema(columns, **schema), CategoryValues(**numbers))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"this is no description of a table: {error}") from error


def _fields(record: Any) -> dict[str, Any]:
    return {one.name: getattr(record, one.name) for one in fields(record)}


def _as_tuples(given: Any) -> Any:
    """JSON with its lists as tuples, as the classes have them."""
    if isinstance(given, dict):
        return {name: _as_tuples(one) for name, one in given.items()}
    return tuple(map(_as_tuples, given)) if isinstance(given, list) else given


def _exactly(made: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of an object, which must be the fields of a class: no default stands in."""
    expected = {one.name for one in fields(made)}
    if set(given) != expected:
        raise ValueError(
            f"{made.__name__} has the entries {sorted(given)}; expected {sorted(expected)}"
        )
    return dict(given)


def _of_column(column: Column) -> dict[str, Any]:
    kind = next(name for name, one in _KINDS.items() if isinstance(column, one))
    return {"kind": kind} | _fields(column)


def _to_column(given: Mapping[str, Any]) -> Column:
    entries = dict(given)
    made = _KINDS[entries.pop("kind")]
    return made(**_exactly(made, entries))
