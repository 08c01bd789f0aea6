"""The columns of a table, found from its training rows or from an array that is encoded already."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from jaxcf.data.written_numbers import unread_text
from jaxcf.tabular.columns import (
    MOST_DECIMALS,
    Categorical,
    CategoricalEncoding,
    Category,
    Column,
    Numeric,
    Ordinal,
    step_of,
)
from jaxcf.tabular.tables import Entries, Table, as_indices, as_numbers, read_columns

# A number beyond so many of which one step is can't have come to lie on the steps by chance.
_LEAST_SPACINGS = 4

# More than this is free text or an identifier, and putting them on a line would take minutes.
MOST_CATEGORIES = 500


def infer_columns(
    table: Table,
    *,
    ordinal: Mapping[str, Sequence[Category]],
    categorical: Iterable[str],
    decimals: Mapping[str, int | None],
    special: Mapping[str, Collection[float]],
    encoding: CategoricalEncoding,
    keep_missing: bool,
) -> tuple[Column, ...]:
    """One description per column of a table; `Schema.infer` states the rules.

    Args:
        table: The training rows.
        ordinal: Names of ordinal columns, with their categories in order.
        categorical: Names of columns that are categorical whatever they hold.
        decimals: How many decimals numbers of some columns have, None for any number.
        special: Codes of some columns of numbers that stand for something else.
        encoding: What the model takes for categorical columns.
        keep_missing: Whether entries may be missing.

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
    steps = {name: step_of(given) for name, given in decimals.items()}
    _check_names(columns, ordinal, forced)
    if not columns or not len(next(iter(columns.values())).entries):
        raise ValueError("the table holds no rows or no columns; pass the training rows")
    for argument, names in (("decimals", steps), ("special", special)):
        unknown = sorted(set(names) - set(columns))
        texts = sorted(name for name in names if name in columns and not columns[name].is_number)
        if unknown or texts or set(names) & (set(ordinal) | forced):
            raise ValueError(
                f"{argument} names {', '.join(map(repr, sorted(names)))}; expected columns of "
                "numbers that are taken for such: leave the others out, or convert them"
            )
    missing = {name: entries.missing() for name, entries in columns.items()}
    empty = [name for name, gaps in missing.items() if gaps.all()]
    if empty:
        raise ValueError(
            f"every entry of {', '.join(map(repr, empty))} is missing; leave out such a column"
        )
    if not keep_missing:
        check_present(missing)
    return tuple(
        _infer_numbers(name, entries, missing[name], steps.get(name), special.get(name, ()))
        if name not in ordinal and name not in forced and entries.is_number
        else _infer_categories(
            name, entries, missing[name], ordinal.get(name), name in forced, encoding
        )
        for name, entries in columns.items()
    )


def lacking(missing: Mapping[str, np.ndarray]) -> str | None:
    """Which columns lack entries in how many rows, to begin a sentence with; None if none does.

    Args:
        missing: For each column the mask `[n]` of the rows in which it is missing.

    Examples:
        >>> lacking({"age": np.array([True, False]), "job": np.array([False, False])})
        "entries are missing in 1 of 2 rows: of 'age' in 1"
    """
    counts = {name: int(gaps.sum()) for name, gaps in missing.items() if gaps.any()}
    if not counts:
        return None
    rows = np.any(list(missing.values()), axis=0)
    named = ", ".join(f"{name!r} in {count}" for name, count in counts.items())
    return f"entries are missing in {int(rows.sum())} of {len(rows)} rows: of {named}"


def check_present(missing: Mapping[str, np.ndarray]) -> None:
    """Check that the training rows lack no entry.

    Args:
        missing: For each column the mask `[n]` of the rows in which it is missing.

    Raises:
        ValueError: If some do; the message names all columns.
    """
    said = lacking(missing)
    if said is not None:
        raise ValueError(
            f"{said}; fill them in, leave out such columns or training rows, or give missing "
            "categories a name of their own, such as 'missing'. A BlackBox that fills them in "
            "itself gets them as they are with takes='table'"
        )


def describe_numbers(name: str, numbers: np.ndarray, step: float) -> Numeric:
    """A numeric column from its training values.

    Args:
        name: Of the column.
        numbers: `[n]`, at least one; none is missing.
        step: Of its grid, 0 for none.

    Returns:
        The column, with limits, mean and deviation.

    Raises:
        ValueError: If some are infinite.
    """
    infinite = int((~np.isfinite(numbers)).sum())
    if infinite:
        raise ValueError(
            f"column {name!r} has {infinite} infinite numbers among {len(numbers)} in the training "
            "rows; expected finite ones: correct them or leave out those rows"
        )
    lower, upper = float(numbers.min()), float(numbers.max())
    # the deviation of equal numbers is not exactly 0 in floating point
    deviation = float(numbers.std()) if lower < upper else 0.0
    return Numeric(name, lower, upper, step, float(numbers.mean()), deviation)


def step_found(entries: np.ndarray, numbers: np.ndarray) -> float:
    """The step of the fewest decimals that all numbers of a column have.

    Args:
        entries: `[n]`, of a type of numbers or objects.
        numbers: `[n]`, the same as float64, finite.

    Returns:
        1.0 for whole numbers, 0.01 for two decimals and so on; 0.0 where they have more than their
        type holds exactly, or than 8.

    Examples:
        >>> pay = np.array([31168.34, 900.5], np.float32)
        >>> step_found(pay, pay.astype(float)), step_found(pay / 3, pay.astype(float) / 3)
        (0.01, 0.0)
    """
    if entries.dtype.kind in "iu":
        return 1.0
    if not np.isfinite(numbers).all():
        return 0.0
    kind = entries.dtype if entries.dtype.kind == "f" else np.dtype(np.float64)
    given = numbers.astype(kind)
    with np.errstate(over="ignore"):
        resolved = float(np.spacing(np.abs(given).max())) * _LEAST_SPACINGS
    for decimals in range(MOST_DECIMALS + 1):
        step = step_of(decimals)
        if step < resolved:
            return 0.0
        if (np.round(numbers, decimals).astype(kind) == given).all():
            return step
    return 0.0


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


def _infer_categories(
    name: str,
    entries: Entries,
    missing: np.ndarray,
    order: Sequence[Category] | None,
    forced: bool,
    encoding: CategoricalEncoding,
) -> Column:
    present = Entries(entries.entries[~missing], entries.categories, entries.ordered)
    _check_entries(name, present)
    if order is not None:
        column = Ordinal(name, tuple(order))
        _check_known(name, present, column.categories)
        return column
    if entries.ordered and entries.categories is not None and not forced:
        return Ordinal(name, entries.categories)
    if entries.categories is None and not forced:
        _check_text(name, present)
    categories = entries.categories or _sorted(set(present.as_list()))
    if len(categories) > MOST_CATEGORIES:
        raise ValueError(
            f"column {name!r} holds {len(categories)} different entries such as {categories[0]!r}; "
            f"expected at most {MOST_CATEGORIES} categories: leave it out, group it, or convert "
            "it to numbers"
        )
    return Categorical(name, categories, encoding)


def _infer_numbers(
    name: str,
    entries: Entries,
    missing: np.ndarray,
    step: float | None,
    special: Collection[float],
) -> Numeric:
    present = entries.entries[~missing]
    numbers = as_numbers(Entries(present))  # which has NaN for infinite ones
    codes = tuple(float(one) for one in special)
    coded = np.isin(numbers, codes)
    if coded.all():
        raise ValueError(
            f"column {name!r} holds nothing but the special codes {codes}; leave the column out"
        )
    present, numbers = present[~coded], numbers[~coded]
    if step is None:
        step = step_found(present, numbers)
    column = describe_numbers(name, numbers, step)
    if not codes:
        return column
    typical = float(np.percentile(numbers, 50, method="lower"))
    return replace(column, special=codes, typical=typical)


def _check_text(name: str, entries: Entries) -> None:
    different = dict.fromkeys(entries.as_list())
    held = unread_text([str(one) for one in different])
    if held is not None and any(isinstance(one, str) for one in different):
        raise ValueError(f"column {name!r} holds {held}; or leave it out, or name it categorical")


def _check_entries(name: str, entries: Entries) -> None:
    wrong = [one for one in entries.as_list() if not isinstance(one, (str, int, float, bool))]
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
    dropped: Mapping[str, Category],
    decimals: Mapping[str, int | None],
) -> tuple[tuple[Column, ...], Layout]:
    """Columns and their positions in the array; `Schema.from_encoded` states the arguments.

    Args:
        x: `[n, width]`, training rows.
        names: One per position.
        one_hot: Name of each block and its positions.
        label_encoded: Name of each column of labels and its categories.
        ordinal: Name of each column of ranks and its categories in order.
        integer: Names of columns that hold whole numbers.
        dropped: Of blocks that leave out a category its name.
        decimals: How many decimals numbers of some columns have, None for any number.

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
    steps = {name: step_of(given) for name, given in decimals.items()}
    _check_single(
        single,
        {"label_encoded": label_encoded, "ordinal": ordinal, "integer": integer, "decimals": steps},
    )
    steps |= dict.fromkeys(integer, 1.0)
    unknown = sorted(set(dropped) - set(blocks))
    if unknown:
        raise ValueError(
            f"drop_first names {', '.join(map(repr, unknown))}, which one_hot has no positions of; "
            "expected the names of blocks that leave out a category"
        )
    check_present(
        {
            name: np.isnan(array[:, place].astype(np.float64))
            for name, place in single.items()
            if name not in label_encoded and name not in ordinal
        }
    )
    described: list[tuple[tuple[int, ...], Column]] = [
        (block, _described_block(name, [names[place] for place in block], dropped))
        for name, block in blocks.items()
    ]
    for name, place in single.items():
        if name in label_encoded:
            column = Categorical(name, _category_names(label_encoded[name]), encoding="label")
        elif name in ordinal:
            column = Ordinal(name, _category_names(ordinal[name]))
        else:
            numbers = array[:, place].astype(np.float64)
            step = steps[name] if name in steps else step_found(array[:, place], numbers)
            column = describe_numbers(name, numbers, step)
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


def _check_single(single: Mapping[str, int], arguments: Mapping[str, Iterable[str]]) -> None:
    kinds = {argument: tuple(names) for argument, names in arguments.items()}
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


def _described_block(name: str, names: list[str], dropped: Mapping[str, Category]) -> Categorical:
    categories = _block_categories(name, names)
    if name not in dropped:
        return Categorical(name, categories)
    return Categorical(name, (dropped[name], *categories), encoding="drop-first")


def _block_categories(name: str, names: list[str]) -> tuple[str, ...]:
    for joint in ("=", "_"):
        prefix = name + joint
        if all(one.startswith(prefix) and len(one) > len(prefix) for one in names):
            return tuple(one.removeprefix(prefix) for one in names)
    return tuple(names)


def _category_names(given: Categories) -> tuple[Category, ...]:
    return tuple(range(given)) if isinstance(given, int) else tuple(given)
