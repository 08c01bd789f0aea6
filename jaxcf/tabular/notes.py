"""What is worth a second look in the columns of a table, in words."""

import re
from collections.abc import Collection

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


def column_notes(columns: Collection[Column], ruled: Collection[str]) -> tuple[str, ...]:
    """What may be meant otherwise than it is taken, a sentence each.

    Args:
        columns: Of the table.
        ruled: The names of those that rules speak about.

    Examples:
        >>> columns = Numeric("age", 20, 60), Categorical("zip", ("10115", "80331"))
        >>> column_notes(columns, [])[1:]
        ("nothing forbids this column to change: 'age'",)
    """
    notes = []
    for column in columns:
        if isinstance(column, Numeric):
            continue
        texts = [one for one in column.categories if isinstance(one, str)]
        if len(texts) == len(column.categories) and all(map(is_number_text, texts)):
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
        >>> described(Ordinal("size", ("S", "L"))), described(Categorical("job", ("a", "b")))
        ('2 categories in order, S to L', '2 categories: a, b')
    """
    if isinstance(column, Numeric):
        decimals = column.decimals
        what = "whole numbers" if decimals == 0 else f"numbers with {decimals} decimals"
        if decimals is None:
            what = f"multiples of {column.step:g}" if column.step else "numbers"
        return f"{what}, {column.lower:.12g} to {column.upper:.12g}"
    shown = [str(one) for one in column.categories]
    count = f"{len(shown)} {'category' if len(shown) == 1 else 'categories'}"
    if isinstance(column, Ordinal):
        return f"{count} in order, {shown[0]} to {shown[-1]}"
    more = ", ..." if len(shown) > _SHOWN_CATEGORIES else ""
    return f"{count}: {', '.join(shown[:_SHOWN_CATEGORIES])}{more}"
