"""What is judged: searches by name, each a function from what is at hand to options."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from jaxcf import KMeans, Objective
from jaxcf.data import Dataset
from jaxcf.models import ModelSet


class Given(NamedTuple):
    """What a configuration may use.

    Attributes:
        models: what is explained, with its autoencoders.
        dataset: what it was trained on.
    """

    models: ModelSet
    dataset: Dataset


@dataclass(frozen=True)
class Configuration:
    """One way to search.

    Attributes:
        name: in tables and figures.
        options: from what is given to the keyword arguments of `Explainer`.
    """

    name: str
    options: Callable[[Given], dict[str, Any]]


def alone(**options: Any) -> Callable[[Given], dict[str, Any]]:
    """The explained model with its autoencoder and nothing else to convince.

    Args:
        **options: of `Explainer`, where they aren't jaxcf's own.

    Returns:
        The function of a `Configuration`.
    """
    return lambda given: given.models.functions() | {"feature_range": (0.0, 1.0)} | options


def _named(letter: str, **weights: Any) -> dict[str, Any]:
    return {"objective": Objective.named(letter, **weights)}


REFERENCE = Configuration("D", alone())
"""jaxcf's default: what the others' seconds are compared with."""

CONFIGURATIONS = (
    REFERENCE,
    Configuration("D, confidence .9", alone(**_named("D", confidence=0.9))),
    Configuration("D, confidence .99", alone(**_named("D", confidence=0.99))),
    Configuration("D, 5-means", alone(prototypes=KMeans(k=5))),
    Configuration(
        "D, 5-means, confidence .99",
        alone(prototypes=KMeans(k=5), **_named("D", confidence=0.99)),
    ),
    Configuration("A", alone(**_named("A"))),
)
"""In the order of the tables."""


def chosen(names: list[str] | None) -> tuple[Configuration, ...]:
    """The configurations of some names, or all.

    Raises:
        ValueError: if there is none of a name.

    Examples:
        >>> [one.name for one in chosen(["D", "A"])]
        ['D', 'A']
    """
    if names is None:
        return CONFIGURATIONS
    known = {one.name: one for one in CONFIGURATIONS}
    missing = [name for name in names if name not in known]
    if missing:
        raise ValueError(f"there is no configuration {missing[0]!r}; there are {', '.join(known)}")
    return tuple(known[name] for name in names)
