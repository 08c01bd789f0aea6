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

    def restore(
        self, points: Float[np.ndarray, "m *shape"], source_row: Int[np.ndarray, " m"]
    ) -> Float[np.ndarray, "m *shape"]:
        """Where the final forms of some points lie.

        Args:
            points: `[m, *shape]`, wherever the search ended.
            source_row: `[m]`, the rows they belong to.
        """
        ...

    def predict(
        self,
        points: Float[np.ndarray, "m *shape"],
        source_row: Int[np.ndarray, " m"],
        failures: Failures,
    ) -> Float[np.ndarray, "m classes"]:
        """The probabilities of the final forms of some points, float32; NaN where there are none.

        Args:
            points: `[m, *shape]`, at least one.
            source_row: `[m]`, the rows they belong to; a row's own point stands for the row itself.
            failures: told of what goes wrong.
        """
        ...
