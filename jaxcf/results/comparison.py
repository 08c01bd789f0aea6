"""Two runs over the same rows, compared row by row."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int

from jaxcf import metrics
from jaxcf.metrics import Interval, mean_intervals
from jaxcf.results import html
from jaxcf.results.explanations import Explanations
from jaxcf.results.wording import measure_words
from jaxcf.search.status import Status

_NOT_COMPARED = ("confidence_before", "prediction_weight")

_DISTANCES = ("l1", "l2", "elastic_net")


@runtime_checkable
class Results(Protocol):
    """Explanations of either kind: of arrays, or of a table in its own units."""

    def __len__(self) -> int:
        """How many rows there are."""
        ...

    @property
    def found(self) -> Bool[np.ndarray, " n"]:
        """Whether each row has a counterfactual."""
        ...

    @property
    def core(self) -> Explanations:
        """The explanations that the search made; of a table, those in coordinates."""
        ...

    @property
    def num_changed(self) -> Int[np.ndarray, " n"]:
        """How many features, or columns of a table, changed."""
        ...

    def check_same_rows(self, other: Any) -> None:
        """Raise unless other results are of the same rows in the same order."""
        ...


class PairedDifference(NamedTuple):
    """A number of the rows that both runs found a counterfactual for.

    Attributes:
        first: mean of the first run, over the rows where both have the number.
        second: mean of the second run, over the same rows.
        difference: mean of second - first, with its 95 % bootstrap interval.
    """

    first: float
    second: float
    difference: Interval


@dataclass(frozen=True, eq=False)
class Comparison:
    """What `compare` found; printed, or as the last line of a notebook's cell, two tables.

    Attributes:
        first: the explanations compared.
        second: with these.
        names: what the two are called.
        counts: how many rows were found by "both", "only_first", "only_second" and "neither"; apart
            from the last how many were found by neither since the decision was a requested one
            "already_in_target", for one model at least.
        same_original_class: in how many rows the two models decide alike for the original.
        same_new_class: how many of the rows found by both reached the same class in both.
        differences: by name of `row_measures`, over the rows found by both.
    """

    first: Results = field(repr=False)
    second: Results = field(repr=False)
    names: tuple[str, str]
    counts: Mapping[str, int]
    same_original_class: int
    same_new_class: int
    differences: Mapping[str, PairedDifference] = field(repr=False)

    def __len__(self) -> int:
        return len(self.first)

    def tables(self) -> dict[str, html.Table]:
        """What is printed: who found what, and the means, in words under titles."""
        first, second = self.names
        counts = {
            "found by both": self.counts["both"],
            f"found only by {first}": self.counts["only_first"],
            f"found only by {second}": self.counts["only_second"],
            "found by neither": self.counts["neither"],
            "already in the target": self.counts["already_in_target"],
            "found by both, same class": self.same_new_class,
            "models decide alike before": self.same_original_class,
        }
        lines = [
            [
                measure_words(name).label,
                *(_number(mean) for mean in (one.first, one.second)),
                str(one.difference) if one.difference.n else "-",
            ]
            for name, one in self.differences.items()
        ]
        head = ("", first, second, f"{second} - {first} [95 % interval]")
        return {
            f"{first} and {second}: {len(self)} rows": html.Table(
                [[name, str(count)] for name, count in counts.items()]
            ),
            f"means over the {self.counts['both']} rows found by both": html.Table(lines, head),
        }

    def __str__(self) -> str:
        lines: list[str] = []
        for title, table in self.tables().items():
            shown = aligned(table)
            longest = max(map(len, shown), default=0)
            lines += [title, *(f"  {name:{longest}}  {cells}" for name, cells in shown.items())]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return "".join(html.under_title(title, table) for title, table in self.tables().items())

    def summary(self) -> dict[str, Any]:
        """Everything but the rows, JSON-able; None where no row has a number."""
        return {
            "n": len(self),
            "names": list(self.names),
            "found": dict(self.counts),
            "same_original_class": self.same_original_class,
            "same_new_class": self.same_new_class,
            "differences": {
                name: {
                    "n": one.difference.n,
                    "first": _finite(one.first),
                    "second": _finite(one.second),
                    "difference": _finite(one.difference.mean),
                    "lower": _finite(one.difference.lower),
                    "upper": _finite(one.difference.upper),
                }
                for name, one in self.differences.items()
            },
        }


def _number(value: float) -> str:
    return f"{value:.4g}" if np.isfinite(value) else "-"


def aligned(table: html.Table) -> dict[str, str]:
    """The lines of a table as text, by their first cells, which differ; numbers to the right.

    Args:
        table: any.

    Returns:
        The head first, if there is one; nothing where there are no rows.

    Examples:
        >>> aligned(html.Table([["steps", "3"], ["L1", "0.5"]], ["", "mean"]))
        {'': 'mean', 'steps': '   3', 'L1': ' 0.5'}
    """
    lines = [*([table.head] if table.head else []), *table.rows] if table.rows else []
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return {
        name: "  ".join(cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        for name, *cells in lines
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def compare(
    first: Results,
    second: Results,
    *,
    names: tuple[str, str] = ("first", "second"),
) -> Comparison:
    """Compare two runs over the same rows: who found what, and at what cost.

    Rows are paired by position. Numbers are compared over the rows that BOTH found, so that no
    failure is in a mean, and as differences per row, whose interval is much narrower than those of
    the two means. Distances are measured alike: the elastic net with the first run's beta; two
    tables whose categories were given different numbers have no distance in common, and so none.

    Args:
        first: n rows.
        second: the same n rows, explained otherwise.
        names: what to call them.

    Returns:
        Counts, means and paired differences.

    Raises:
        TypeError: if one explains a table in original units and the other doesn't.
        ValueError: if the originals are not the same; the message says how they differ.

    Examples:
        >>> import numpy as np
        >>> from jaxcf import Explanations
        >>> rows = np.zeros((3, 2), np.float32)
        >>> def run(steps, status):
        ...     return Explanations(rows, rows + 1, np.array(status), np.arange(3),
        ...         np.zeros(3, int), np.ones((3, 2)), np.ones(3, int), np.ones((3, 2)),
        ...         np.ones(3, int), rows, np.array(steps), np.ones(3))
        >>> compared = compare(run([5, 6, 9], [0, 0, 1]), run([3, 4, 9], [0, 0, 0]))
        >>> dict(compared.counts)
        {'both': 2, 'only_first': 0, 'only_second': 1, 'neither': 0, 'already_in_target': 0}
        >>> compared.differences["steps"].difference.mean
        -2.0
        >>> print(compared)  # doctest: +ELLIPSIS
        first and second: 3 rows
          found by both               2
          found only by first         0
          found only by second        1
        ...
    """
    first.check_same_rows(second)
    one, other = first.core, second.core
    both, neither = first.found & second.found, ~first.found & ~second.found
    already = neither & (
        (one.status == Status.ALREADY_IN_TARGET) | (other.status == Status.ALREADY_IN_TARGET)
    )
    counts = {
        "both": int(both.sum()),
        "only_first": int((first.found & ~second.found).sum()),
        "only_second": int((second.found & ~first.found).sum()),
        "neither": int((neither & ~already).sum()),
        "already_in_target": int(already.sum()),
    }
    return Comparison(
        first,
        second,
        names,
        counts,
        int((one.original_class == other.original_class).sum()),
        int((both & (one.counterfactual_class == other.counterfactual_class)).sum()),
        _differences(first, second, both),
    )


def _differences(first: Results, second: Results, both: np.ndarray) -> dict[str, PairedDifference]:
    one, other = row_measures(first), row_measures(second)
    other["elastic_net"] = metrics.elastic_net(
        second.core.perturbation, first.core.l1_weight
    ).astype(np.float64)
    left_out = set(_NOT_COMPARED)
    if not np.array_equal(first.core.original, second.core.original, equal_nan=True):
        left_out |= set(_DISTANCES)
    names = [name for name in one if name in other and name not in left_out]
    pairs = {name: (one[name][both], other[name][both]) for name in names}
    intervals = mean_intervals({name: pair[1] - pair[0] for name, pair in pairs.items()})
    found = {}
    for name, (before, after) in pairs.items():
        present = ~np.isnan(after - before)
        one_mean, other_mean = (
            float(values[present].mean()) if present.any() else np.nan for values in (before, after)
        )
        found[name] = PairedDifference(one_mean, other_mean, intervals[name])
    return found


_NEVER_SEARCHED = (
    Status.INVALID_INPUT,
    Status.OUT_OF_RANGE,
    Status.UNKNOWN_TARGET,
    Status.NO_PROTOTYPE,
)


def row_measures(explanations: Results) -> dict[str, np.ndarray]:
    """Every number of a row by name; NaN where a row was never searched or has no such number.

    Args:
        explanations: of n rows.

    Returns:
        Name to `[n]`, float64: "steps", "confidence" (the highest probability after the change),
        "confidence_before", "changed" (features, or columns of a table), "l1", "l2",
        "elastic_net", "prediction_weight", then the scores.
    """
    core = explanations.core
    searched = ~np.isin(core.status, [int(code) for code in _NEVER_SEARCHED])
    measured = {
        "steps": core.steps,
        "confidence": core.probabilities.max(axis=1, initial=-np.inf),
        "confidence_before": core.original_probabilities.max(axis=1, initial=-np.inf),
        "changed": explanations.num_changed,
        "l1": core.l1,
        "l2": core.l2,
        "elastic_net": core.elastic_net,
        "prediction_weight": core.prediction_weight,
    }
    measured = {
        name: np.where(searched, np.asarray(values, np.float64), np.nan)
        for name, values in measured.items()
    }
    return measured | {name: np.asarray(one, np.float64) for name, one in core.scores.items()}
