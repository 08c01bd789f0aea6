"""What a picture is of: explanations of either kind, with the names that a table brings along."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxcf.results.comparison import Results
from jaxcf.results.explanations import Explanations
from jaxcf.tabular.explanations import TableExplanations


class Subject(NamedTuple):
    """Explanations as arrays, and what to call their classes and features.

    Attributes:
        core: the explanations; of a table, those in coordinates.
        class_names: one per class; None for their numbers.
        feature_names: one per feature; None for their numbers.
        table: the same in the table's own units, where it is one.
    """

    core: Explanations
    class_names: Sequence[str] | None
    feature_names: Sequence[str] | None
    table: TableExplanations | None = None


def subject_of(
    explanations: Results,
    class_names: Sequence[str] | None = None,
    feature_names: Sequence[str] | None = None,
) -> Subject:
    """What is to be drawn of explanations of either kind.

    Args:
        explanations: of arrays or of a table.
        class_names: where others than a table's own are wanted.
        feature_names: likewise.

    Returns:
        Arrays and names.
    """
    if isinstance(explanations, TableExplanations):
        return Subject(
            explanations.core,
            class_names or explanations.class_names,
            feature_names or explanations.coding.schema.names,
            explanations,
        )
    return Subject(explanations.core, class_names, feature_names)
