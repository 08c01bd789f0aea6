"""The columns of a table, found from its training rows or from an array that is encoded already."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxcf.tabular.columns import (
    Categorical,
    CategoricalEncoding,
    Category,
    Column,
    Numeric,
    Ordinal,
    is_missing,
)
from jaxcf.tabular.tables import Entries, Table, as_indices, as_numbers, read_columns

# More than this is free text or an identifier, and putting them on a line would take minutes.
MOST_CATEGORIES = 500


def infer_columns(
    table: Table,
    *,
    ordinal: Mapping[str, Sequence[Category]],
    categorical: Iterable[str],
    encoding: CategoricalEncoding,
) -> tuple[Column, ...]:
    """One description per column of a table; `Schema.infer` states the rules.

    Args:
        table: The training rows.
        ordinal: Names of ordinal columns, with their categories in order.
        categorical: Names of columns that are categorical whatever they hold.
        encoding: What the model takes for categorical columns.

    Returns:
        The columns, in the order of the table.

    Raises:
        ValueError: If the table is empty, an entry is missing or none of the categories, or a
            name isn't a column's.
        TypeError: If a column holds neither numbers nor names.
    """
    if isinstance(categorical, str):
        raise TypeError(f"categorical is one string, {categorical!r}; expected several names")
    forced = set(categorical)
    columns = read_columns(table)
    _check_names(columns, ordinal, forced)
    if not columns or not len(next(iter(columns.values())).entries):
        raise ValueError("the table holds no rows or no columns; pass the training rows")
    return tuple(
        _infer_column(name, entries, ordinal.get(name), name in forced, encoding)
        for name, entries in columns.items()
    )


def describe_numbers(name: str, numbers: np.ndarray, step: float) -> Numeric:
    """A numeric column from its training values.

    Args:
        name: Of the column.
        numbers: `[n]`; NaN or infinite where missing.
        step: Of its grid, 0 for none.

    Returns:
        The column, with limits, mean and deviation.

    Raises:
        ValueError: If numbers are missing.
    """
    missing = int((~np.isfinite(numbers)).sum())
    if missing:
        raise ValueError(
            f"column {name!r} has {missing} missing or infinite numbers among {len(numbers)} "
            "training rows; expected numbers: fill them in or drop those rows"
        )
    lower, upper = float(numbers.min()), float(numbers.max())
    # the deviation of equal numbers is not exactly 0 in floating point
    deviation = float(numbers.std()) if lower < upper else 0.0
    return Numeric(name, lower, upper, step, float(numbers.mean()), deviation)


def _check_names(
    columns: Mapping[str, Any], ordinal: Mapping[str, Any], forced: Iterable[str]
) -> None:
    for names, argument in ((ordinal, "ordinal"), (forced, "categorical")):
        unknown = sorted(set(names) - set(columns))
        if unknown:
            raise ValueError(
                f"{argument} names {', '.join(map(repr, unknown))}, which the table lacks; it has "
                f"{', '.join(map(repr, columns))}"
            )
    both = sorted(set(ordinal) & set(forced))
    if both:
        raise ValueError(
            f"{', '.join(map(repr, both))} is named both ordinal and categorical; expected one"
        )


def _infer_column(
    name: str,
    entries: Entries,
    order: Sequence[Category] | None,
    forced: bool,
    encoding: CategoricalEncoding,
) -> Column:
    if order is None and not forced and entries.is_number:
        return describe_numbers(name, as_numbers(entries), 1.0 if entries.is_integer else 0.0)
    _check_entries(name, entries)
    if order is not None:
        column = Ordinal(name, tuple(order))
        _check_known(name, entries, column.categories)
        return column
    if entries.ordered and entries.categories is not None and not forced:
        return Ordinal(name, entries.categories)
    categories = entries.categories or _sorted(set(entries.as_list()))
    if len(categories) > MOST_CATEGORIES:
        raise ValueError(
            f"column {name!r} holds {len(categories)} different entries such as {categories[0]!r}; "
            f"expected at most {MOST_CATEGORIES} categories: leave it out, group it, or convert "
            "it to numbers"
        )
    return Categorical(name, categories, encoding)


def _check_entries(name: str, entries: Entries) -> None:
    listed = entries.as_list()
    missing = sum(is_missing(one) for one in listed)
    if missing:
        raise ValueError(
            f"column {name!r} has {missing} missing entries among {len(listed)} training rows; "
            "name them as a category of their own, such as 'missing', or drop those rows"
        )
    wrong = [one for one in listed if not isinstance(one, (str, int, float, bool))]
    if wrong:
        raise TypeError(
            f"column {name!r} holds {wrong[0]!r}, a {type(wrong[0]).__name__}; expected numbers, "
            "booleans or names of categories: convert it first"
        )


def _check_known(name: str, entries: Entries, categories: tuple[Category, ...]) -> None:
    unknown = np.flatnonzero(np.isnan(as_indices(entries, categories)))
    if unknown.size:
        raise ValueError(
            f"column {name!r} holds {entries.as_list()[unknown[0]]!r}, which is none of the "
            f"categories given for it, {categories}; give all of them in order"
        )


def _sorted(categories: set[Category]) -> tuple[Category, ...]:
    try:
        return tuple(sorted(categories))  # pyright: ignore[reportArgumentType]
    except TypeError:  # numbers beside strings
        return tuple(sorted(categories, key=lambda one: (type(one).__name__, str(one))))


Positions = slice | Sequence[int]

Categories = int | Sequence[Category]

Layout = tuple[tuple[int, ...], ...]


def describe_encoded(
    x: np.ndarray,
    names: Sequence[str] | None,
    one_hot: Mapping[str, Positions],
    label_encoded: Mapping[str, Categories],
    ordinal: Mapping[str, Categories],
    integer: Iterable[str],
) -> tuple[tuple[Column, ...], Layout]:
    """Columns and their positions in the array; `Schema.from_encoded` states the arguments.

    Args:
        x: `[n, width]`, training rows.
        names: One per position.
        one_hot: Name of each block and its positions.
        label_encoded: Name of each column of labels and its categories.
        ordinal: Name of each column of ranks and its categories in order.
        integer: Names of columns that hold whole numbers.

    Returns:
        The columns, by their first position, and the positions of each.

    Raises:
        ValueError: If the array isn't a table of numbers, or names or positions don't fit it.
    """
    array = np.asarray(x)
    if array.ndim != 2 or not array.size or array.dtype.kind not in "biuf":
        raise ValueError(
            f"x has shape {array.shape} and dtype {array.dtype}; expected numbers [n, width] of "
            "one or more training rows"
        )
    width = array.shape[1]
    names = _position_names(names, width)
    blocks = {name: _positions(name, given, width) for name, given in one_hot.items()}
    taken = [place for block in blocks.values() for place in block]
    if len(set(taken)) < len(taken):
        raise ValueError("one_hot gives a position to two blocks; expected each in one at most")
    single = {names[place]: place for place in range(width) if place not in set(taken)}
    _check_single(single, label_encoded, ordinal, integer)
    whole = set(integer)
    described: list[tuple[tuple[int, ...], Column]] = [
        (block, Categorical(name, _block_categories(name, [names[place] for place in block])))
        for name, block in blocks.items()
    ]
    for name, place in single.items():
        if name in label_encoded:
            column = Categorical(name, _category_names(label_encoded[name]), encoding="label")
        elif name in ordinal:
            column = Ordinal(name, _category_names(ordinal[name]))
        else:
            numbers = array[:, place].astype(np.float64)
            column = describe_numbers(name, numbers, 1.0 if name in whole else 0.0)
        described.append(((place,), column))
    described.sort(key=lambda one: min(one[0]))
    return tuple(column for _, column in described), tuple(block for block, _ in described)


def _position_names(names: Sequence[str] | None, width: int) -> list[str]:
    if names is None:
        return [f"column_{place}" for place in range(width)]
    if len(names) != width or len(set(names)) < width:
        raise ValueError(
            f"names holds {len(names)} names, {len(set(names))} of them different; expected one "
            f"per position of x, {width}, each once"
        )
    return [str(name) for name in names]


def _positions(name: str, given: Positions, width: int) -> tuple[int, ...]:
    if isinstance(given, slice):
        places = tuple(range(width))[given]
    else:
        places = tuple(int(place) for place in given)
    if not places or not all(0 <= place < width for place in places):
        raise ValueError(
            f"one_hot gives {name!r} the positions {places}; expected one or more of 0 to "
            f"{width - 1}"
        )
    return places


def _check_single(
    single: Mapping[str, int],
    label_encoded: Mapping[str, Categories],
    ordinal: Mapping[str, Categories],
    integer: Iterable[str],
) -> None:
    kinds = {"label_encoded": label_encoded, "ordinal": ordinal, "integer": tuple(integer)}
    said: dict[str, str] = {}
    for argument, names in kinds.items():
        for name in names:
            if name not in single:
                raise ValueError(
                    f"{argument} names {name!r}, which is no column of x outside its one-hot "
                    f"blocks; there are {', '.join(map(repr, single))}"
                )
            if name in said:
                raise ValueError(
                    f"{name!r} is named in {said[name]} and in {argument}; expected one of them"
                )
            said[name] = argument


def _block_categories(name: str, names: list[str]) -> tuple[str, ...]:
    for joint in ("=", "_"):
        prefix = name + joint
        if all(one.startswith(prefix) and len(one) > len(prefix) for one in names):
            return tuple(one.removeprefix(prefix) for one in names)
    return tuple(names)


def _category_names(given: Categories) -> tuple[Category, ...]:
    return tuple(range(given)) if isinstance(given, int) else tuple(given)
