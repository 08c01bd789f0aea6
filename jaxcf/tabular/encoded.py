"""The columns of an array that is encoded already: one-hot blocks and codes among numbers."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from jaxcf.tabular.columns import Categorical, Category, Column, Ordinal
from jaxcf.tabular.inference import describe_numbers

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
    _check_names(single, label_encoded, ordinal, integer)
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


def _check_names(
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
