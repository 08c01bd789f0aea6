"""What is judged: searches by name, each a function from what is at hand to options."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from jaxcf import Guide, KMeans, Objective, presets
from jaxcf.data import Dataset
from jaxcf.models import ModelSet
from jaxcf.models.guides import GuideNetwork


class Given(NamedTuple):
    """What a configuration may use.

    Attributes:
        models: what is explained, with its autoencoders.
        dataset: what it was trained on.
        guides: by name.
    """

    models: ModelSet
    dataset: Dataset
    guides: Mapping[str, GuideNetwork]


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


def guided(
    preset: Callable[..., dict[str, Any]], guide: str, **options: Any
) -> Callable[[Given], dict[str, Any]]:
    """A preset that goes with a guide.

    Args:
        preset: `presets.near` or one like it.
        guide: the name of the guide.
        **options: of `Explainer`, where they aren't the preset's.

    Returns:
        The function of a `Configuration`.
    """

    def of(given: Given) -> dict[str, Any]:
        guides = [Guide(**given.guides[guide].functions())]
        settings = preset(x_train=given.dataset.x_train)
        return alone(**settings, guides=guides)(given) | options

    return of


def _named(letter: str, **weights: Any) -> dict[str, Any]:
    return {"objective": Objective.named(letter, **weights)}


REFERENCE = Configuration("D", alone())
"""jaxcf's default without a guide: what the others' seconds are compared with."""

SHIPPED = "shipped"
"""The guide that comes with jaxcf; its configurations have the name of the preset alone."""

_ALONE = (
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
_GUIDED = {"quick": presets.quick, "near": presets.near, "plausible": presets.plausible}


def configurations(guides: Sequence[str]) -> tuple[Configuration, ...]:
    """All configurations in the order of the tables.

    Args:
        guides: names of the guides at hand; each has its configurations.

    Examples:
        >>> [one.name for one in configurations(["shipped", "seed 1"])][-4:]
        ['plausible', 'quick, seed 1', 'near, seed 1', 'plausible, seed 1']
    """
    with_guide = (
        Configuration(name if guide == SHIPPED else f"{name}, {guide}", guided(preset, guide))
        for guide in guides
        for name, preset in _GUIDED.items()
    )
    return *_ALONE, *with_guide


def chosen(every: Sequence[Configuration], names: Sequence[str] | None) -> list[Configuration]:
    """The configurations of some names, or all.

    Raises:
        ValueError: if there is none of a name.

    Examples:
        >>> [one.name for one in chosen(configurations([]), ["D", "A"])]
        ['D', 'A']
    """
    known = {one.name: one for one in every}
    missing = [name for name in names or () if name not in known]
    if missing:
        raise ValueError(f"there is no configuration {missing[0]!r}; there are {', '.join(known)}")
    return [known[name] for name in names or known]
