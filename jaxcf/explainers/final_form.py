"""What points of a search stand for, where that is more than the points: the rows that go out."""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from jaxcf.predictors.blackbox import Failures


@runtime_checkable
class FinalForm(Protocol):
    """The form in which rows come in and go out, such as the exact values of a table.

    The model's word about a row, original or counterfactual, is its word about this form.
    """

    def originals(self, source_row: Int[np.ndarray, " m"]) -> Float[np.ndarray, "m *shape"]:
        """Rows as they came in: a search may start beside them."""
        ...

    def exact(
        self, points: Float[np.ndarray, "m *shape"], source_row: Int[np.ndarray, " m"]
    ) -> Float[np.ndarray, "m *shape"]:
        """What some points stand for, feature by feature: no feature of it hangs on another.

        Args:
            points: `[m, *shape]`, wherever a search ended.
            source_row: `[m]`, the rows they belong to.
        """
        ...

    def points(
        self, exact: Float[np.ndarray, "m *shape"], source_row: Int[np.ndarray, " m"]
    ) -> Float[np.ndarray, "m *shape"]:
        """Where that lies.

        Args:
            exact: `[m, *shape]`, what points stand for; of the features of a row's own, these.
            source_row: `[m]`, the rows they belong to.
        """
        ...

    def predict(
        self,
        exact: Float[np.ndarray, "m *shape"],
        source_row: Int[np.ndarray, " m"],
        failures: Failures,
        size: int | None = None,
    ) -> Float[np.ndarray, "m classes"]:
        """The probabilities of what points stand for, float32; NaN where there are none.

        Args:
            exact: `[m, *shape]`, at least one.
            source_row: `[m]`, the rows they belong to.
            failures: told of what goes wrong.
            size: rows that a compiled function is asked for at once; None chooses.
        """
        ...
