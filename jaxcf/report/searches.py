"""A closer look at some rows: the way the search went, its losses, prototype and nearest rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxcf.report.contents import Contents, reduced
from jaxcf.report.packing import PackedArray, pack, quantise
from jaxcf.results.comparison import Results
from jaxcf.results.traces import Traces
from jaxcf.tabular.explanations import TableExplanations
from jaxcf.utils.selection import evenly_spread

_MOST_POINTS = 12


@dataclass(frozen=True)
class _Points:
    """Points beside some rows, `[m, k, *shape]`, NaN where there is none."""

    name: str
    rows: np.ndarray
    points: np.ndarray


def searches(
    explanations: Results, traces: Traces | None, shown: Contents
) -> tuple[dict[str, Any], dict[str, PackedArray]]:
    """What the page knows of the searches of some rows.

    Args:
        explanations: of n rows; those of a run that kept its path or history have these of all.
        traces: of some of them, or None.
        shown: how the rows are shown.

    Returns:
        The facts, JSON-able ("rows" that have any, by position in the arrays), and the arrays.

    Raises:
        ValueError: if the traces are of rows that the explanations don't have, or of other shapes.
    """
    core = explanations.core
    if traces is None:
        return _recorded(explanations, shown)
    if len(traces) and not 0 <= traces.rows.min() <= traces.rows.max() < len(core):
        raise ValueError(
            f"the traces are of rows up to {traces.rows.max()}; the explanations have {len(core)}"
        )
    if traces.prototype.shape[1:] != core.original.shape[1:]:
        raise ValueError(
            f"the traces have rows of shape {traces.prototype.shape[1:]}; the explanations of "
            f"{core.original.shape[1:]}"
        )
    said, num_classes = traces.probabilities, core.probabilities.shape[1]
    if said is not None and said.shape[2] != num_classes:
        raise ValueError(f"the traces know {said.shape[2]} classes; the explanations {num_classes}")
    facts: dict[str, Any] = {
        "rows": traces.rows.tolist(),
        "nearestRow": traces.nearest_row.tolist(),
    }
    chosen, evaluations = _thinned(traces.evaluations)
    facts["evaluations"] = evaluations
    if said is not None:
        facts["readings"] = [
            [_reading(one) for one in said[row, chosen[row, : len(kept)]]]
            for row, kept in enumerate(evaluations)
        ]
    path = np.take_along_axis(
        traces.path, chosen.reshape(*chosen.shape, *[1] * (traces.path.ndim - 2)), axis=1
    )
    arrays = _losses(traces.losses, facts)
    for name, points in (
        ("path", path),
        ("prototype", traces.prototype[:, None]),
        ("nearest", traces.nearest),
    ):
        arrays |= _shown_points(explanations, _Points(name, traces.rows, points), shown, facts)
    return facts, arrays


def _recorded(
    explanations: Results, shown: Contents
) -> tuple[dict[str, Any], dict[str, PackedArray]]:
    """The path and the history that the explanations themselves hold, if they were asked for."""
    core = explanations.core
    if not len(core) or (core.path is None and not core.history):
        return {"rows": []}, {}
    facts: dict[str, Any] = {"rows": list(range(len(core)))}
    arrays = _losses(core.history, facts)
    if core.path is not None:
        reached = ~np.isnan(core.path).reshape(*core.path.shape[:2], -1).all(axis=2)
        numbers = np.where(reached, np.arange(core.path.shape[1]), -1)
        chosen, facts["evaluations"] = _thinned(numbers)
        path = np.take_along_axis(
            core.path, chosen.reshape(*chosen.shape, *[1] * (core.path.ndim - 2)), axis=1
        )
        points = _Points("path", np.arange(len(core)), path)
        arrays |= _shown_points(explanations, points, shown, facts)
    return facts, arrays


def _thinned(evaluations: np.ndarray) -> tuple[np.ndarray, list[list[int]]]:
    """Which points of each path are shown, first and last among them, and when they were."""
    chosen = np.zeros((len(evaluations), min(_MOST_POINTS, evaluations.shape[1])), np.intp)
    kept: list[list[int]] = []
    for row, numbers in enumerate(evaluations):
        present = np.flatnonzero(numbers >= 0)
        places = present[evenly_spread(len(present), _MOST_POINTS)] if len(present) else present
        chosen[row, : len(places)] = places
        kept.append(numbers[places].tolist())
    return chosen, kept


def _reading(probabilities: np.ndarray) -> tuple[int, float] | None:
    """The class that the model decides for and how surely, None where it says nothing."""
    if not len(probabilities) or not np.isfinite(probabilities).all():
        return None
    decided = int(probabilities.argmax())
    return decided, float(probabilities[decided])


def _losses(losses: Mapping[str, np.ndarray], facts: dict[str, Any]) -> dict[str, PackedArray]:
    facts["lossTerms"] = list(losses)
    if not losses:
        return {}
    table = np.stack([np.asarray(one, np.float32) for one in losses.values()], axis=1)
    return {"searchLosses": pack(table, 1)}


def _shown_points(
    explanations: Results, given: _Points, shown: Contents, facts: dict[str, Any]
) -> dict[str, PackedArray]:
    m, k = given.points.shape[:2]
    if shown.kind == "none" or not m * k:
        return {}
    flat = given.points.reshape(m * k, *given.points.shape[2:])
    present = np.isfinite(flat).reshape(m * k, -1).any(axis=1)
    facts[f"{given.name}Present"] = present.reshape(m, k).tolist()
    if shown.kind == "picture":
        pictures = quantise(reduced(flat, shown.channels), shown.facts["low"], shown.facts["high"])
        return {given.name: pack(pictures.reshape(m, k, *pictures.shape[1:]), 1)}
    if isinstance(explanations, TableExplanations):
        return {given.name: pack(explanations[given.rows].values_at(given.points), 1)}
    return {given.name: pack(shown.in_units(given.points), 1)}
