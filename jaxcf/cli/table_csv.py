"""Counterfactuals of a table as a CSV file, in original units."""

import csv
import io
import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxcf.search.status import Status
from jaxcf.tabular.columns import Column, Numeric, is_missing
from jaxcf.tabular.explanations import TableExplanations
from jaxcf.utils.files import write_atomically

# What a spreadsheet takes for a formula, and runs; beyond ASCII, what some of them read alike.
_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def write_counterfactuals(
    path: str | os.PathLike[str],
    explanations: TableExplanations,
    id_name: str | None = None,
    *,
    run: str | None = None,
    raw: bool = False,
) -> None:
    """Write one line per row: the counterfactual's columns, then what became of the row.

    The columns of the table come first, after "row" (counted from 0) and what the rows are called,
    where that was asked for; then "status", "original_class", "counterfactual_class",
    "target_class", "original_probability", "counterfactual_probability", "changed" (how many
    columns), "changes" (in words), "message" and "run". Where the table has a column of such a
    name, ours starts with "jaxcf_". A cell that can't be read is empty, and "message" says why.
    Where the status isn't "found", the columns are the best effort or the row itself.

    Args:
        path: of the file; written at once or not at all.
        explanations: of the table.
        id_name: the column for the labels of the explanations; None leaves them out.
        run: of which run the file is a part, the last column; None leaves it out.
        raw: whether texts stay as they are that a spreadsheet would run as formulas; else they get
            an apostrophe in front, see `harmless`.
    """
    columns = _written(explanations, explanations.values)
    if id_name is not None and explanations.labels is not None:
        columns = {id_name: explanations.labels.tolist()} | columns
    facts = _facts(explanations)
    if run is not None:
        facts["run"] = [run] * len(explanations)
    heads = [*_renamed(("row",), columns), *columns, *_renamed(tuple(facts), columns)]
    rows = explanations.core.source_row.tolist()
    lines = [heads, *zip(rows, *columns.values(), *facts.values(), strict=True)]
    text = _csv_text(lines if raw else [[harmless(cell) for cell in line] for line in lines])
    write_atomically(path, lambda file: file.write(text.encode()))


def harmless(cell: Any) -> Any:
    """A cell that a spreadsheet won't run: an apostrophe in front of a text that it would.

    Numbers stay what they are, as numbers or in words. A text that has apostrophes in front of such
    a beginning already gets one more, so that taking one away always gives the text back.

    Args:
        cell: a text or anything else.

    Returns:
        The cell.

    Examples:
        >>> harmless("=1+1"), harmless("'=1+1"), harmless("'s"), harmless("-1.5"), harmless(-1.5)
        ("'=1+1", "''=1+1", "'s", '-1.5', -1.5)
    """
    if not isinstance(cell, str) or not _FORMULA.match(cell):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def _csv_text(lines: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    # Ends of lines within a cell are quoted only if they are those of the file.
    writer = csv.writer(text, lineterminator="\r\n")
    ended = []
    for line in lines:
        writer.writerow(line)
        ended.append(text.getvalue().removesuffix("\r\n"))
        text.seek(0)
        text.truncate()
    return "".join(f"{line}\n" for line in ended)


def _written(explanations: TableExplanations, values: np.ndarray) -> dict[str, list[Any]]:
    schema = explanations.coding.schema
    table = explanations.columns_of(values)
    return {
        column.name: [_cell(column, one) for one in np.asarray(table[column.name]).tolist()]
        for column in schema.columns
    }


def _cell(column: Column, entry: Any) -> Any:
    if is_missing(entry):
        return ""
    # One empty cell makes a column of integers one of floats.
    whole = isinstance(column, Numeric) and column.decimals == 0 and float(entry).is_integer()
    return int(entry) if whole and not isinstance(entry, int) else entry


def _facts(explanations: TableExplanations) -> dict[str, list[Any]]:
    core = explanations.core
    names = explanations.class_names

    def named(classes: np.ndarray) -> list[Any]:
        known = names or range(core.probabilities.shape[1])
        return ["" if one < 0 else known[one] for one in classes.tolist()]

    def highest(probabilities: np.ndarray) -> list[str]:
        return ["" if np.isnan(one) else f"{one:.4f}" for one in probabilities.max(axis=1)]

    return {
        "status": [Status(code).name.lower() for code in core.status],
        "original_class": named(core.original_class),
        "counterfactual_class": named(core.counterfactual_class),
        "target_class": named(core.target_class),
        "original_probability": highest(core.original_probabilities),
        "counterfactual_probability": highest(core.probabilities),
        "changed": explanations.changed.sum(axis=1).tolist(),
        "changes": _changes(explanations),
        "message": [
            "" if found else message
            for found, message in zip(explanations.found, explanations.messages, strict=True)
        ],
    }


def _changes(explanations: TableExplanations) -> list[str]:
    before = _written(explanations, explanations.original_values)
    after = _written(explanations, explanations.values)
    parts: list[list[str]] = [[] for _ in range(len(explanations))]
    for place, name in enumerate(before):
        for row in np.flatnonzero(explanations.changed[:, place]).tolist():
            parts[row].append(f"{name}: {before[name][row]} -> {after[name][row]}")
    return ["; ".join(one) for one in parts]


def _renamed(heads: tuple[str, ...], taken: dict[str, Any]) -> list[str]:
    renamed = []
    for head in heads:
        while head in taken:
            head = f"jaxcf_{head}"
        renamed.append(head)
    return renamed
