"""The table of the Adult experiment: its rows, its schema, its rules, and how these are checked.

`education-num` is left out: it is the rank of `education`, and a counterfactual that changed one
of the two alone would be no person. The rank is used as the order of `education` where that is an
ordinal column.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxcf import data
from jaxcf.data import LabelledTable
from jaxcf.tabular import Categorical, Numeric, Ordinal, Rule, Schema

EDUCATION, RANK = "education", "education-num"
FROZEN = ("sex", "race", "native-country", "fnlwgt")
LEAST_HOURS, MOST_HOURS = 10, 80

_GENERATED = {
    "workclass": ("Private", "State-gov", "?"),
    EDUCATION: ("HS-grad", "Some-college", "Bachelors", "Masters"),
    "occupation": ("Sales", "Tech-support", "Craft-repair", "?"),
    "race": ("Black", "White"),
    "sex": ("Female", "Male"),
    "native-country": ("Mexico", "United-States"),
}

Columns = Mapping[str, np.ndarray]


class Adult(NamedTuple):
    """Training and test rows, and the categories of `education` from lowest to highest."""

    train: LabelledTable
    test: LabelledTable
    education: tuple[str, ...]


def load(data_dir: Path | None, *, quick: bool = False, seed: int = 0) -> Adult:
    """The real table; a generated one with some of its columns for a quick run.

    Args:
        data_dir: where `train.csv` and `test.csv` lie.
        quick: whether to generate 500 rows instead.
        seed: of the generated rows.
    """
    train, test = (
        (_generate(400, seed), _generate(100, seed + 1)) if quick else data.read_adult(data_dir)
    )
    ranks = dict(zip(train.columns[EDUCATION].tolist(), train.columns[RANK].tolist(), strict=True))
    return Adult(
        _without_rank(train), _without_rank(test), tuple(sorted(ranks, key=ranks.__getitem__))
    )


def schema(adult: Adult, *, ordinal: bool) -> Schema:
    """The columns; `education` ordinal, its rank scaled to [0, 1] for the model, or categorical."""
    found = Schema.infer(adult.train.columns)
    if not ordinal:
        return found
    education = Ordinal(EDUCATION, adult.education, encoding="unit")
    return Schema(tuple(education if one.name == EDUCATION else one for one in found.columns))


def rules() -> dict[str, Rule]:
    """What a person may become: older, better educated, and working 10 to 80 hours."""
    frozen = {name: Rule(frozen=True) for name in FROZEN}
    return frozen | {
        "age": Rule(increase_only=True),
        EDUCATION: Rule(increase_only=True),
        "hours-per-week": Rule(lower=LEAST_HOURS, upper=MOST_HOURS),
    }


def broken_rules(before: Columns, after: Columns, education: tuple[str, ...]) -> int:
    """How many entries break a rule, worked out from the columns alone.

    Args:
        before: the originals of the found rows.
        after: their counterfactuals.
        education: its categories from lowest to highest.
    """
    ranks = {name: rank for rank, name in enumerate(education)}
    was, now = (
        np.array([ranks[one] for one in table[EDUCATION].tolist()]) for table in (before, after)
    )
    hours = after["hours-per-week"]
    broken = [before[name] != after[name] for name in FROZEN if name in before]
    broken += [after["age"] < before["age"], now < was, hours < LEAST_HOURS, hours > MOST_HOURS]
    return int(np.sum(broken))


def impossible_entries(before: Columns, after: Columns, adult: Adult, columns: Schema) -> int:
    """How many entries no row of the table could hold, rules or no rules.

    A category that the training rows lack, a number that is not whole or lies outside what they
    span (where the row itself doesn't).
    """
    count = 0
    for column in columns.columns:
        known, old, new = (table[column.name] for table in (adult.train.columns, before, after))
        if isinstance(column, Categorical | Ordinal):
            count += int((~np.isin(new.astype(str), known.astype(str))).sum())
        else:
            assert isinstance(column, Numeric)
            low, high = np.minimum(known.min(), old), np.maximum(known.max(), old)
            count += int(((new < low) | (new > high) | (new != np.round(new))).sum())
    return count


def _without_rank(table: LabelledTable) -> LabelledTable:
    columns = {name: column for name, column in table.columns.items() if name != RANK}
    return LabelledTable(columns, table.labels)


def _generate(n: int, seed: int) -> LabelledTable:
    generator = np.random.default_rng(seed)
    columns: dict[str, np.ndarray] = {"age": generator.integers(17, 90, n)}
    for name, categories in _GENERATED.items():
        columns[name] = np.array(categories, object)[generator.integers(0, len(categories), n)]
    order = {name: rank for rank, name in enumerate(_GENERATED[EDUCATION])}
    columns[RANK] = np.array([order[one] for one in columns[EDUCATION].tolist()])
    columns["fnlwgt"] = generator.integers(12_000, 1_000_000, n)
    columns["hours-per-week"] = generator.integers(1, 99, n)
    score = columns["age"] / 90 + columns[RANK] / 3 + columns["hours-per-week"] / 99
    score = score + 0.4 * (columns["occupation"] == "Tech-support")
    return LabelledTable(columns, np.where(score > 1.9, ">50K", "<=50K").astype(object))
