"""Rules as a line of text each, as the command line takes them: "age:increase", "hours:20..60"."""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from jaxcf.tabular.columns import Categorical, Category, Column, Numeric, Ordinal
from jaxcf.tabular.relations import Relation
from jaxcf.tabular.rules import Rule
from jaxcf.tabular.schema import Schema

_WORDS = {
    "frozen": {"frozen": True},
    "increase": {"increase_only": True},
    "decrease": {"decrease_only": True},
    "move-in": {"move_in": True},
}
_FORMS = (
    "NAME:frozen, NAME:increase, NAME:decrease, NAME:20..60 (either end may be left out), "
    "NAME:step=100 (numbers), NAME:this|that (categories) or NAME:move-in (beside another rule: "
    "what starts outside it is moved in)"
)
_STEP = "step="
_MOVE_IN = ":move-in"


def parse_rules(texts: Sequence[str], schema: Schema) -> dict[str, Rule]:
    """Read rules; several for one column are joined.

    Args:
        texts: "NAME:WHAT", with WHAT one of "frozen", "increase", "decrease", a range "20..60",
            "20.." or "..60" (of categories for an ordinal column), "step=100", categories
            "this|that", or "move-in".
        schema: of the table.

    Returns:
        Rules by column.

    Raises:
        ValueError: if a text is no rule, names no column or no category, doesn't fit its column,
            or says again what another said.

    Examples:
        >>> schema = Schema((Numeric("age", 20, 60), Categorical("job", ("clerk", "pilot"))))
        >>> rules = parse_rules(["age:increase", "age:..65", "job:pilot"], schema)
        >>> rules["age"].increase_only, rules["age"].upper, rules["job"].allowed
        (True, 65.0, ('pilot',))
    """
    rules: dict[str, Rule] = {}
    for text in texts:
        column, what = _split(text, schema)
        fields = _fields(text, column, what)
        before = rules.get(column.name, Rule())
        for name in fields:
            if getattr(before, name) != getattr(Rule(), name):
                raise ValueError(
                    f"the rule {text!r} says again what another rule says of column "
                    f"{column.name!r} ({name}); give it once"
                )
        rules[column.name] = replace(before, **fields)
    return rules


def parse_relations(texts: Sequence[str]) -> list[Relation]:
    """Relations between columns, ":move-in" behind them where rows that break them are explained.

    Args:
        texts: what columns must be to each other, see `Relation`.

    Returns:
        One for each.

    Examples:
        >>> parse_relations(["part <= whole:move-in"])
        [Relation(text='part <= whole', move_in=True)]
    """
    return [
        Relation(text.removesuffix(_MOVE_IN).strip(), move_in=text.endswith(_MOVE_IN))
        for text in map(str.strip, texts)
    ]


def _split(text: str, schema: Schema) -> tuple[Column, str]:
    # names may hold colons themselves: the longest one that fits is meant
    fitting = [name for name in schema.names if text.startswith(f"{name}:")]
    if not fitting:
        name, colon, _ = text.partition(":")
        if not colon:
            raise ValueError(f"{text!r} is no rule; expected {_FORMS}")
        raise ValueError(
            f"the rule {text!r} names no column; there are {', '.join(map(repr, schema.names))} "
            f"(there is no {name!r})"
        )
    name = max(fitting, key=len)
    return schema.columns[schema.index(name)], text[len(name) + 1 :].strip()


def _fields(text: str, column: Column, what: str) -> dict[str, Any]:
    if not what:
        raise ValueError(f"the rule {text!r} says nothing of its column; expected {_FORMS}")
    if what in _WORDS:
        if isinstance(column, Categorical) and what not in ("frozen", "move-in"):
            raise ValueError(
                f"the rule {text!r} needs an order, but column {column.name!r} is categorical; "
                "freeze it, list categories, or declare its order with --ordinal"
            )
        return _WORDS[what]
    if isinstance(column, Numeric):
        return _step(text, what) if what.startswith(_STEP) else _number_range(text, what)
    ends = re.fullmatch(r"(.*?)\.\.(.*)", what)
    if isinstance(column, Ordinal) and ends and what not in map(str, column.categories):
        given = {"lower": ends[1].strip(), "upper": ends[2].strip()}
        found = {name: _category(text, column, one) for name, one in given.items() if one}
        if not found:
            raise ValueError(f"the rule {text!r} has a range without an end; expected {_FORMS}")
        return found
    one_name = what in map(str, column.categories)  # which may hold any sign
    names = [what] if one_name else what.split("|")
    allowed = tuple(_category(text, column, one.strip()) for one in names)
    return {"allowed": allowed}


def _step(text: str, what: str) -> dict[str, float]:
    try:
        step = float(what.removeprefix(_STEP))
    except ValueError:
        step = 0.0
    if not 0 < step < math.inf:
        raise ValueError(f"the rule {text!r} has no step above 0; expected {_FORMS}")
    return {"step": step}


def _number_range(text: str, what: str) -> dict[str, float]:
    ends = what.split("..")
    try:
        lower, upper = ((float(end) if end.strip() else None) for end in ends)
    except ValueError:
        lower = upper = None
    if lower is None and upper is None:
        raise ValueError(
            f"the rule {text!r} is none for a column of numbers; expected a range such as 20..60, "
            "20.. or ..60, a step such as step=100, or one of frozen, increase, decrease"
        )
    if lower is not None and upper is not None and lower > upper:
        raise ValueError(f"the rule {text!r} has a range from {lower:g} down to {upper:g}; swap")
    return {name: end for name, end in (("lower", lower), ("upper", upper)) if end is not None}


def _category(text: str, column: Categorical | Ordinal, given: str) -> Category:
    named = {str(one): one for one in column.categories}
    if given not in named:
        raise ValueError(
            f"the rule {text!r} names {given!r}, which is no category of column {column.name!r}; "
            f"it has {', '.join(named)}"
        )
    return named[given]
