"""Tables: what their columns hold, and a space in which categories can be searched.

A `Schema` reads a table into values and encodes values for the model; `fit_category_values` learns
how far apart categories lie; `TableCoding` is the search space that comes of both.
"""

from jaxcf.tabular.category_distances import abdm_distances, mvdm_distances
from jaxcf.tabular.category_values import CategoryValues, fit_category_values
from jaxcf.tabular.coding import TableCoding
from jaxcf.tabular.columns import Categorical, Numeric, Ordinal
from jaxcf.tabular.explainer import FittedTableExplainer, TableExplainer
from jaxcf.tabular.explanations import Change, TableExplanations
from jaxcf.tabular.relations import Relation
from jaxcf.tabular.rules import Rule
from jaxcf.tabular.schema import Schema

__all__ = [
    "Categorical",
    "CategoryValues",
    "Change",
    "FittedTableExplainer",
    "Numeric",
    "Ordinal",
    "Relation",
    "Rule",
    "Schema",
    "TableCoding",
    "TableExplainer",
    "TableExplanations",
    "abdm_distances",
    "fit_category_values",
    "mvdm_distances",
]
