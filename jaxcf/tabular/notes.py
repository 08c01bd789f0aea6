"""What is worth a second look in the columns of a table, in words."""

import re
from collections.abc import Collection, Sequence

import numpy as np

from jaxcf.data.written_numbers import is_number_text
from jaxcf.tabular.columns import Column, Numeric, Ordinal, is_constant

# What people are rather than do, and what rows are called.
_SELDOM_CHANGES = frozenset(
    (
        "age",
        "ancestry",
        "birth",
        "birthdate",
        "birthday",
        "birthplace",
        "born",
        "citizenship",
        "disability",
        "dob",
        "ethnic",
        "ethnicity",
        "female",
        "gender",
        "id",
        "identifier",
        "male",
        "nationality",
        "native",
        "origin",
        "race",
        "racial",
        "religion",
        "religious",
        "sex",
        "ssn",
        "uuid",
    )
)

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

_SHOWN_CATEGORIES = 4

# Codes are few and occur again; the numbers beside them are many.
_MOST_CODES, _LEAST_REPEATED, _LEAST_OTHERS = 4, 2, 10
_NINES = re.compile("9{1,}[5-9]")
_IS_CODE = re.compile(r"0\d")


def seldom_changes(name: str) -> bool:
    """Whether a column is named like what no advice can change: age, sex, birth, id and the like.

    Args:
        name: Of the column; whole words of it count, however they are joined.

    Examples:
        >>> names = ("age", "Sex", "customerID", "wage", "date_of_birth", "idle")
        >>> [name for name in names if seldom_changes(name)]
        ['age', 'Sex', 'customerID', 'date_of_birth']
    """
    return any(word.lower() in _SELDOM_CHANGES for word in _WORDS.findall(name))


def free_to_change(columns: Collection[Column], ruled: Collection[str]) -> tuple[str, ...]:
    """The columns that seldom change and that nothing forbids to.

    Args:
        columns: Of the table.
        ruled: The names of those that rules speak about.

    Examples:
        >>> columns = Numeric("age", 20, 60), Numeric("pay", 0, 9), Numeric("sex", 0, 1)
        >>> free_to_change(columns, ["sex"])
        ('age',)
    """
    return tuple(
        one.name
        for one in columns
        if one.name not in ruled and not is_constant(one) and seldom_changes(one.name)
    )


def apart_from_the_rest(numbers: np.ndarray) -> tuple[float, ...]:
    """Numbers that may be codes: a few negative ones below many others, or a few such as 999 above.

    Args:
        numbers: `[n]`, of a column; NaN is no number.

    Examples:
        >>> months = np.tile(np.arange(20.0), 3)
        >>> apart_from_the_rest(np.concatenate([months, [-8, -8, -9, -9]]))
        (-9.0, -8.0)
        >>> apart_from_the_rest(np.concatenate([months, [999, 999]])), apart_from_the_rest(months)
        ((999.0,), ())
    """
    found, counts = np.unique(numbers[np.isfinite(numbers)], return_counts=True)
    repeated = (counts >= _LEAST_REPEATED) & (found == np.round(found))
    below = found[found < 0]
    few = 0 < len(below) <= _MOST_CODES and repeated[: len(below)].all()
    if few and len(found) - len(below) >= _LEAST_OTHERS:
        return tuple(below.tolist())
    nines = np.array([bool(_NINES.fullmatch(f"{one:.0f}")) for one in found[-_MOST_CODES:]], bool)
    above = len(nines) if nines.all() else int(np.argmin(nines[::-1]))
    rest = found[: len(found) - above]
    few = above > 0 and len(rest) >= _LEAST_OTHERS and repeated[-above:].all()
    if few and found[-above] - rest[-1] > np.ptp(rest):
        return tuple(found[-above:].tolist())
    return ()


def column_notes(
    columns: Sequence[Column], ruled: Collection[str], values: np.ndarray | None = None
) -> tuple[str, ...]:
    """What may be meant otherwise than it is taken, a sentence each.

    Args:
        columns: Of the table.
        ruled: The names of those that rules speak about.
        values: `[n, columns]`, of the training rows; None where they aren't known.

    Examples:
        >>> from jaxcf.tabular import Categorical
        >>> columns = Numeric("age", 20, 60), Categorical("zip", ("10115", "80331"))
        >>> column_notes(columns, [])[1:]
        ("nothing forbids this column to change: 'age'",)
    """
    notes = []
    for place, column in enumerate(columns):
        if isinstance(column, Numeric):
            apart = ()
            if values is not None and not column.special:
                apart = apart_from_the_rest(values[:, place])
            if apart:
                codes = ", ".join(f"{one:.0f}" for one in apart)
                notes.append(
                    f"{column.name!r} holds {codes} apart from its other numbers: if they stand "
                    f"for something else, say special={{{column.name!r}: [{codes}]}}"
                )
            continue
        texts = [one for one in column.categories if isinstance(one, str)]
        # Who gave them an order has said what they are, and so have zeros in front.
        amounts = not isinstance(column, Ordinal) and not any(map(_IS_CODE.match, texts))
        if amounts and len(texts) == len(column.categories) and all(map(is_number_text, texts)):
            notes.append(
                f"{column.name!r} holds numbers as text, such as {texts[0]!r}, and each is a "
                "category: make numbers of them if they are amounts"
            )
    free = free_to_change(columns, ruled)
    if free:
        these = "this column" if len(free) == 1 else "these columns"
        notes.append(f"nothing forbids {these} to change: {', '.join(map(repr, free))}")
    return tuple(notes)


def described(column: Column) -> str:
    """What a column holds, in a few words.

    Examples:
        >>> described(Numeric("age", 20, 60, 1.0)), described(Numeric("pay", 0, 9.5, 0.01))
        ('whole numbers, 20 to 60', 'numbers with 2 decimals, 0 to 9.5')
        >>> from jaxcf.tabular import Categorical
        >>> described(Ordinal("size", ("S", "L"))), described(Categorical("job", ("a", "b")))
        ('2 categories in order, S to L', '2 categories: a, b')
    """
    if isinstance(column, Numeric):
        decimals = column.decimals
        what = "whole numbers" if decimals == 0 else f"numbers with {decimals} decimals"
        if decimals is None:
            what = f"multiples of {column.step:g}" if column.step else "numbers"
        codes = f", or {', '.join(f'{one:g}' for one in column.special)}" if column.special else ""
        return f"{what}, {column.lower:.12g} to {column.upper:.12g}{codes}"
    shown = [str(one) for one in column.categories]
    count = f"{len(shown)} {'category' if len(shown) == 1 else 'categories'}"
    if isinstance(column, Ordinal):
        return f"{count} in order, {shown[0]} to {shown[-1]}"
    more = ", ..." if len(shown) > _SHOWN_CATEGORIES else ""
    return f"{count}: {', '.join(shown[:_SHOWN_CATEGORIES])}{more}"
