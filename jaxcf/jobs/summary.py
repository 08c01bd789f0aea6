"""The summary of a job, read part by part: what `summary` of all rows at once would say."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from jaxcf.jobs.job import Results
from jaxcf.search.status import Status
from jaxcf.tabular.explanations import TableExplanations


class _Mean:
    def __init__(self) -> None:
        self.sum, self.count = 0.0, 0

    def add(self, values: np.ndarray) -> None:
        chosen = values[np.isfinite(values)]
        self.sum += float(np.sum(chosen, dtype=np.float64))
        self.count += len(chosen)

    @property
    def value(self) -> float | None:
        return self.sum / self.count if self.count else None


class Totals:
    """Counts and sums over rows that come in parts; memory depends on neither."""

    def __init__(self) -> None:
        self._num_rows = self._found = self._needed = 0
        self._status: Counter[int] = Counter()
        self._steps = np.zeros(1, np.int64)
        self._means: dict[str, _Mean] = {}
        self._changed: np.ndarray | None = None
        self._moved = np.zeros(0)
        self._columns: tuple[str, ...] = ()
        self._notes: list[str] = []

    def add(self, part: Results) -> None:
        """Take some rows into account."""
        core, found = part.core, part.found
        self._num_rows += len(core)
        self._found += core.counts.found
        self._needed += core.counts.needed
        codes, counts = np.unique(core.status, return_counts=True)
        self._status.update(dict(zip(codes.tolist(), counts.tolist(), strict=True)))
        steps = np.bincount(core.steps[found], minlength=len(self._steps))
        steps[: len(self._steps)] += self._steps
        self._steps = steps
        values = {name: getattr(core, name) for name in ("l1", "l2", "elastic_net")}
        values["changed"] = part.num_changed
        for name, one in {**values, **core.scores}.items():
            self._means.setdefault(name, _Mean()).add(one[found])
        if isinstance(part, TableExplanations):
            changed = part.changed[found].sum(axis=0)
            moved = part.distance[found].sum(axis=0)
            if self._changed is None:
                self._columns = part.coding.schema.names
                self._notes = list(part.notes)
                self._changed, self._moved = changed, moved
            else:
                self._changed, self._moved = self._changed + changed, self._moved + moved

    def summary(self) -> dict[str, Any]:
        """What `summary` of all these rows says; without seconds, which are those of a call."""
        means = {name: mean.value for name, mean in self._means.items()}
        numbers = np.arange(len(self._steps))
        said: dict[str, Any] = {
            "n": self._num_rows,
            "found": self._found,
            "needed": self._needed,
            "status": {
                Status(code).name.lower(): self._status[code] for code in sorted(self._status)
            },
            "steps": {
                "median": self._quantile(0.5),
                "p99": self._quantile(0.99),
                "mean": float(self._steps @ numbers) / self._found if self._found else None,
            },
            **means,
            "seconds": {},
        }
        if self._changed is None:
            return said
        counts = self._changed.tolist()
        named = list(zip(self._columns, counts, self._moved.tolist(), strict=True))
        return said | {
            "changed_share": {name: count / max(self._found, 1) for name, count, _ in named},
            "moved": {name: moved / count if count else None for name, count, moved in named},
            "notes": self._notes,
        }

    def _quantile(self, share: float) -> float | None:
        if not self._found:
            return None
        place = share * (self._found - 1)
        reached = np.cumsum(self._steps)
        low, high = (
            int(np.searchsorted(reached, one, "right")) for one in (np.floor(place), np.ceil(place))
        )
        return float(low + (high - low) * (place - np.floor(place)))


def summary_of(parts: Iterable[Results]) -> dict[str, Any]:
    """The summary of rows that come in parts.

    Args:
        parts: explanations, of which one is held at a time.

    Examples:
        >>> summary_of([])["n"]
        0
    """
    totals = Totals()
    for part in parts:
        totals.add(part)
    return totals.summary()
