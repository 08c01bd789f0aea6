"""What points of a search stand for, where that is more than the points: the rows that go out."""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxcf.predictors.blackbox import Failures
from jaxcf.predictors.trees import Thresholds


@runtime_checkable
class FinalForm(Protocol):
    """The form in which rows come in and go out, such as the exact values of a table.

    The model's word about a row, original or counterfactual, is its word about this form.
    """

    def originals(self, source_row: Int[np.ndarray, " m"]) -> Float[np.ndarray, "m *shape"]:
        """Rows as they came in: a search may start beside them."""
        ...

    @property
    def thresholds(self) -> Thresholds | None:
        """The thresholds of the model's trees, of each feature of this form; None of others."""
        ...

    @property
    def has_relations(self) -> bool:
        """Whether features must be something to each other."""
        ...

    def exact(
        self, points: Float[np.ndarray, "m *shape"], source_row: Int[np.ndarray, " m"]
    ) -> Float[np.ndarray, "m *shape"]:
        """What some points stand for.

        Args:
            points: `[m, *shape]`, wherever a search ended.
            source_row: `[m]`, the rows they belong to.
        """
        ...

    def by_feature(
        self, points: Float[np.ndarray, "m *shape"], source_row: Int[np.ndarray, " m"]
    ) -> Float[np.ndarray, "m *shape"]:
        """The same before features mind each other: none of it hangs on another.

        Args:
            points: `[m, *shape]`.
            source_row: `[m]`, the rows they belong to.
        """
        ...

    def of_feature(
        self,
        points: Float[np.ndarray, " m"],
        source_row: Int[np.ndarray, " m"],
        feature: Int[np.ndarray, " m"],
    ) -> Float[np.ndarray, " m"]:
        """The same of one feature of each point.

        Args:
            points: `[m]`.
            source_row: `[m]`, the rows they belong to.
            feature: `[m]`, which they are of.
        """
        ...

    def mended(
        self,
        exact: Float[np.ndarray, "m *shape"],
        source_row: Int[np.ndarray, " m"],
        held: Bool[np.ndarray, "m *shape"],
    ) -> Float[np.ndarray, "m *shape"]:
        """Other features moved until features are to each other what they must be.

        Args:
            exact: `[m, *shape]`, what points stand for.
            source_row: `[m]`, the rows they belong to.
            held: `[m, *shape]`, which features stay.

        Returns:
            `[m, *shape]`; the same where nothing need be moved. Not everything can be mended.
        """
        ...

    def holds(
        self, exact: Float[np.ndarray, "m *shape"], source_row: Int[np.ndarray, " m"]
    ) -> Bool[np.ndarray, " m"]:
        """Where features are to each other what they must be.

        Args:
            exact: `[m, *shape]`.
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

    def point_of_feature(
        self,
        exact: Float[np.ndarray, " m"],
        source_row: Int[np.ndarray, " m"],
        feature: Int[np.ndarray, " m"],
    ) -> Float[np.ndarray, " m"]:
        """The same of one feature of each.

        Args:
            exact: `[m]`, what points stand for.
            source_row: `[m]`, the rows they belong to.
            feature: `[m]`, which they are of.
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
