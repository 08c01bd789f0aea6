"""Class prototypes, built ahead of time in numpy and scikit-learn, and the choice of target.

A kind of prototype is a frozen description (`NearestMean`, `KDTree`, `KMeans`, or one's own); `fit`
turns it into a `FittedPrototypes`, whose `select` picks each row's target class (eq. 2).
"""

from jaxcf.prototypes.fitted import FittedPrototypes, Selection, fit
from jaxcf.prototypes.kinds import (
    NAMED_KINDS,
    ClassPrototypes,
    KDTree,
    KMeans,
    Nearest,
    NearestMean,
    PrototypeKind,
    named,
)

__all__ = [
    "NAMED_KINDS",
    "ClassPrototypes",
    "FittedPrototypes",
    "KDTree",
    "KMeans",
    "Nearest",
    "NearestMean",
    "PrototypeKind",
    "Selection",
    "fit",
    "named",
]
