"""How many rows were found, of those that needed a counterfactual: counted and said in one way."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from jaxcf.search.status import Status


class Counts(NamedTuple):
    """How many rows there are, how many were found, and how many needed nothing.

    Attributes:
        n: all rows.
        found: rows with a counterfactual.
        already_in_target: rows whose decision was a requested one before: none was sought.

    Examples:
        >>> counts = Counts.of(np.array([Status.FOUND, Status.ALREADY_IN_TARGET, Status.FOUND]))
        >>> counts.needed, counts.share, str(counts)
        (2, 1.0, '2 of 2 found (100.0 %), 1 already in the target')
    """

    n: int
    found: int
    already_in_target: int

    @classmethod
    def of(cls, status: Int[np.ndarray, " n"]) -> "Counts":
        """The counts of rows that ended so."""
        found, already = (
            int((status == code).sum()) for code in (Status.FOUND, Status.ALREADY_IN_TARGET)
        )
        return cls(len(status), found, already)

    @property
    def needed(self) -> int:
        """Rows that needed a counterfactual, found or not."""
        return self.n - self.already_in_target

    @property
    def share(self) -> float | None:
        """The share of these that were found; None where there are none."""
        return self.found / self.needed if self.needed else None

    @property
    def brief(self) -> str:
        """As fields, such as "n=3, found=2", for the repr of a result."""
        already = self.already_in_target
        there = f", already_in_target={already}" if already else ""
        return f"n={self.n}, found={self.found}{there}"

    def __str__(self) -> str:
        return self.said("found")

    def said(self, what: str = "") -> str:
        """In words, such as "787 of 2000 found (39.4 %)", and what was there already, if anything.

        Args:
            what: stands behind the numbers.
        """
        share = "" if self.share is None else f"({100 * self.share:.1f} %)"
        words = " ".join(filter(None, (f"{self.found} of {self.needed}", what, share)))
        there = f", {self.already_in_target} already in the target"
        return words + (there if self.already_in_target else "")
