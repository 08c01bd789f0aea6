"""The rows of `benchmarks.accelerator` as Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

_COLUMNS = {
    "what": "",
    "n": "n",
    "seconds": "s",
    "first_seconds": "first, s",
    "rows_per_second": "rows per second",
    "found": "found",
    "stop": "stop",
}

_OF_THE_MACHINE = ("device", "platform", "jax", "python", "system")

_MISSING = "-"


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """One table of all rows, with what they were measured on above it.

    Args:
        rows: as they are kept, each with its `part`; of those that were repeated the last count.

    Returns:
        The text.

    Examples:
        >>> row = {"part": "images", "what": "digits", "n": 8, "seconds": 0.5, "steps": 3.25}
        >>> print(markdown([row | {"device": "cpu", "jax": "0.10.2"}]))
        device cpu, jax 0.10.2
        <BLANKLINE>
        |  | n | s | first, s | rows per second | found | stop | more |
        |---|---|---|---|---|---|---|---|
        | digits | 8 | 0.5 | - | - | - | - | steps 3.25 |
    """
    machines = dict.fromkeys(filter(None, map(_machine, rows)))
    heads = [*_COLUMNS.values(), "more"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    lines += [_line(row) for row in _that_count(rows)]
    return "\n".join([*machines, "", *lines])


def _that_count(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of rows of the same name the last; how a part ended only where nothing of it came after."""
    last = {row["part"]: row for row in rows}
    named = {(row["part"], row.get("what")): row for row in rows}
    return [row for row in named.values() if "what" in row or row is last[row["part"]]]


def _machine(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {row[name]}" for name in _OF_THE_MACHINE if name in row)


def _line(row: Mapping[str, Any]) -> str:
    for ending in ("error", "skipped"):
        if ending in row:
            cells = [row["part"], *[_MISSING] * (len(_COLUMNS) - 1)]
            said = " ".join(str(row[ending]).split()).replace("|", "/")
            return f"| {' | '.join([*cells, f'{ending}: {said}'])} |"
    cells = [_cell(row.get(name)) for name in _COLUMNS]
    apart = {"part", *_COLUMNS, *_OF_THE_MACHINE}
    more = (
        f"{name.replace('_', ' ')} {_cell(value)}"
        for name, value in row.items()
        if name not in apart
    )
    return f"| {' | '.join([*cells, ', '.join(more)])} |"


def _cell(value: Any) -> str:
    if value is None:
        return _MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        # All figures of large numbers, three of small ones.
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
