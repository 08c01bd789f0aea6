"""What the page knows of every row at once: enough to count, filter and sort all of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int, Shaped

from jaxcf.plots.grids import title
from jaxcf.plots.tables import changed_cells
from jaxcf.results.comparison import Results, row_measures
from jaxcf.results.convinced import agreement, new_classes, who_was_convinced
from jaxcf.results.wording import STATUS_LABELS, measure_words
from jaxcf.search.status import Status
from jaxcf.tabular.explanations import TableExplanations
from jaxcf.utils.selection import representative_rows

_EXAMPLES = 3
_AT_A_GLANCE = 10


def numbers(values: Shaped[np.ndarray, " n"]) -> list[float | int | None]:
    """A column for JSON: five significant digits, None where there is no finite number.

    Args:
        values: `[n]`, numbers or booleans.

    Returns:
        Plain numbers.

    Examples:
        >>> import numpy as np
        >>> numbers(np.array([1.23456789, np.nan, np.inf, 2.0]))
        [1.2346, None, None, 2]
    """
    array = np.asarray(values)
    if array.dtype.kind in "biu":
        return [int(one) for one in array.tolist()]
    return [_short(one) if np.isfinite(one) else None for one in array.tolist()]


def _short(value: float) -> float | int:
    rounded = float(f"{value:.5g}")
    return int(rounded) if rounded.is_integer() else rounded


def columns(
    explanations: Results, true_classes: Int[np.ndarray, " n"] | None = None
) -> dict[str, list[Any]]:
    """Whole-number columns of every row: status, classes and the row asked about.

    Args:
        explanations: of n rows.
        true_classes: what they really are, -1 where that is unknown; None where it is of all.

    Returns:
        Name to n numbers; -1 for no class.
    """
    core = explanations.core
    known = {} if true_classes is None else {"trueClass": true_classes.tolist()}
    return known | {
        "status": core.status.tolist(),
        "sourceRow": core.source_row.tolist(),
        "originalClass": core.original_class.tolist(),
        "newClass": core.counterfactual_class.tolist(),
        "targetClass": core.target_class.tolist(),
    }


def examples(explanations: Results) -> list[int]:
    """A few rows to begin with: found ones of all classes, those that pictures show first.

    Args:
        explanations: of n rows.

    Returns:
        Up to three row numbers; none that wasn't found.
    """
    return _found_ones(explanations, _EXAMPLES).tolist()


def _found_ones(explanations: Results, most: int) -> np.ndarray:
    core = explanations.core
    rows = representative_rows(core.found, core.original_class, most)
    return rows[core.found[rows]]


def glance(explanations: Results, class_names: Sequence[str]) -> dict[str, Any] | None:
    """The picture of a table: some rows with what changed; None of other rows, and of none.

    Args:
        explanations: of n rows.
        class_names: one per class.

    Returns:
        "rows": their numbers. "titles": what became of them. The rest as in `changed_cells`.
    """
    if not isinstance(explanations, TableExplanations) or not explanations.found.any():
        return None
    rows = _found_ones(explanations, _AT_A_GLANCE)
    chosen = explanations[rows]
    cells = changed_cells(chosen)
    return {
        "rows": rows.tolist(),
        "titles": [title(chosen.core, row, class_names, longest=99) for row in range(len(rows))],
        "heads": cells.heads,
        "entries": cells.entries,
        "alsoChanged": cells.also_changed,
    }


def measures(explanations: Results) -> list[dict[str, Any]]:
    """The numbers of every row that can be sorted by, with their names and explanations.

    Args:
        explanations: of n rows.

    Returns:
        For each: "key", "label", "help" and "values", None where a row has none.
    """
    values = row_measures(explanations)
    return [
        {"key": key, **measure_words(key)._asdict(), "values": numbers(array)}
        for key, array in values.items()
        if np.isfinite(np.asarray(array, np.float64)).any()
    ]


def statuses(explanations: Results) -> dict[str, dict[str, str]]:
    """Each status that occurs, by its number: its name, a few words and its message."""
    codes = [Status(int(code)) for code in np.unique(explanations.core.status)]
    return {
        str(int(code)): {
            "name": code.name.lower(),
            "label": STATUS_LABELS.get(code.name.lower(), code.message),
            "message": code.message,
        }
        for code in codes
    }


def guided(explanations: Results) -> dict[str, Any] | None:
    """Who had to be convinced of what; None where the model was explained alone.

    Args:
        explanations: of n rows.

    Returns:
        "agreement": who agrees on found rows, in words. "who": of the model and each guide, its
        name and what was asked of it. "aim": n classes, what each row says of them.
    """
    core = explanations.core
    who = who_was_convinced(core)
    if not who:
        return None
    return {
        "agreement": agreement(core),
        "who": [{"name": one.name, "asked": one.asked} for one in who],
        "aim": new_classes(core).tolist(),
    }


def own_messages(explanations: Results) -> dict[str, str]:
    """What is said of single rows beyond their status, by row: why a table's row can't be read."""
    if not isinstance(explanations, TableExplanations):
        return {}
    usual = explanations.core.messages
    return {
        str(row): text
        for row, (text, other) in enumerate(zip(explanations.messages, usual, strict=True))
        if text != other
    }


def notes(explanations: Results) -> list[str]:
    """What is worth a second look in a table's columns, in sentences; none of other rows.

    Args:
        explanations: of n rows.
    """
    return list(explanations.notes) if isinstance(explanations, TableExplanations) else []


def labels(explanations: Results) -> list[str] | None:
    """What the caller calls the rows; None where that is nothing, or no more than their number.

    Args:
        explanations: of n rows.

    Returns:
        n texts, the same for all counterfactuals of one row.
    """
    if not isinstance(explanations, TableExplanations) or explanations.labels is None:
        return None
    shown = [str(one) for one in explanations.labels.tolist()]
    numbered = [str(one) for one in explanations.source_row.tolist()]
    return None if shown == numbered else shown


def flattened(settings: Mapping[str, Any], prefix: str = "") -> list[list[str]]:
    """Nested settings as pairs of a dotted name and a text.

    Args:
        settings: JSON-able.
        prefix: of every name.

    Returns:
        The pairs, in order.

    Examples:
        >>> flattened({"search": {"stop": "first_flip"}, "lanes": 128, "none": None})
        [['search.stop', 'first_flip'], ['lanes', '128'], ['none', '-']]
    """
    pairs: list[list[str]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            pairs += flattened(value, f"{prefix}{name}.")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            pairs.append([f"{prefix}{name}", ", ".join(map(str, value)) or "-"])
        else:
            pairs.append([f"{prefix}{name}", "-" if value is None or value == "" else str(value)])
    return pairs
