"""The rows of a table that a command works on."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from jaxcf.tabular.columns import is_missing
from jaxcf.tabular.tables import read_columns


@dataclass(frozen=True, eq=False)
class Rows:
    """Columns, and the label and the identifier of each row where there is one.

    A row without a label where others have one has None.
    """

    columns: dict[str, np.ndarray]
    labels: np.ndarray | None
    ids: np.ndarray | None = None

    def take(self, rows: slice | np.ndarray) -> "Rows":
        """Some rows: a slice or a mask."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        labels, ids = (None if one is None else one[rows] for one in (self.labels, self.ids))
        return Rows(columns, labels, ids)

    def only(self, names: Collection[str]) -> "Rows":
        """Without the columns of other names."""
        kept = {name: column for name, column in self.columns.items() if name in names}
        return replace(self, columns=kept)

    def first(self, count: int | None) -> "Rows":
        """Only the first rows; None for all."""
        return self.take(slice(count))

    def gaps(self) -> dict[str, np.ndarray]:
        """For each column the mask of the rows in which it is missing."""
        return {name: one.missing() for name, one in read_columns(self.columns).items()}

    def lacking(self) -> np.ndarray:
        """Which rows lack an entry, `[n]`; the label is none."""
        return np.any(list(self.gaps().values()), axis=0)

    def labelled(self) -> np.ndarray:
        """Which rows have their label, `[n]`; all of them where none is known."""
        if self.labels is None:
            return np.ones(len(self), bool)
        return np.array([not is_missing(one) for one in self.labels.tolist()], bool)

    def classes(self, class_names: Sequence[str]) -> Int[np.ndarray, " n"] | None:
        """What each row really is, by number; -1 where its label is missing or of no such class.

        Args:
            class_names: in the order of the numbers.

        Returns:
            `[n]`; None where that is so of all.
        """
        if self.labels is None:
            return None
        numbers = {name: place for place, name in enumerate(class_names)}
        found = np.array([numbers.get(str(one), -1) for one in self.labels.tolist()], np.int32)
        return found if (found >= 0).any() else None

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))
