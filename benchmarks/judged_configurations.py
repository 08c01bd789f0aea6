"""What is judged: searches by name, each a function from what is at hand to options."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from flax import nnx

from jaxcf import Guide, KMeans, Objective, presets
from jaxcf.data import Dataset
from jaxcf.models import ModelSet
from jaxcf.models.functions import ModelFunction
from jaxcf.models.guides import GuideNetwork


class Given(NamedTuple):
    """What a configuration may use.

    Attributes:
        models: what is explained, with its autoencoders.
        dataset: what it was trained on.
        guides: by name.
        ordinary: returns a classifier built like the shipped guide that no adversary trained; it
            is trained when it is first asked for.
    """

    models: ModelSet
    dataset: Dataset
    guides: Mapping[str, GuideNetwork]
    ordinary: Callable[[], GuideNetwork]

    def guide(self, name: str) -> GuideNetwork:
        """The guide of a name, the ordinary one among them."""
        return self.ordinary() if name == ORDINARY else self.guides[name]


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
    preset: Callable[..., dict[str, Any]],
    *guides: str,
    confidence: Callable[[Given], float] | float | None = None,
    weights: Mapping[str, Any] | None = None,
    **options: Any,
) -> Callable[[Given], dict[str, Any]]:
    """A preset that goes with guides.

    Args:
        preset: `presets.near` or one like it.
        *guides: their names; all must agree. None: the preset without one.
        confidence: that each must reach, or a function that says it; None asks for its own.
        weights: of `Objective`, and its other options, where they aren't the preset's.
        **options: of `Explainer`, likewise.

    Returns:
        The function of a `Configuration`.
    """

    def of(given: Given) -> dict[str, Any]:
        asked = confidence(given) if callable(confidence) else confidence
        sure: dict[str, Any] = {} if asked is None else {"confidence": asked}
        convinced = [Guide(**given.guide(name).functions() | sure) for name in guides]
        settings = preset(x_train=given.dataset.x_train)
        settings["objective"] = replace(settings["objective"], **weights or {})
        return alone(**settings, guides=convinced)(given) | options

    return of


def led_by_features(
    of: Callable[[Given], dict[str, Any]], guide: str
) -> Callable[[Given], dict[str, Any]]:
    """The same search with prototypes among the features of a guide.

    Args:
        of: the function of a `Configuration`.
        guide: the name of the guide.

    Returns:
        The function of another one.
    """

    def in_features(given: Given) -> dict[str, Any]:
        network, key = given.guide(guide).network, "features"
        options = of(given) | given.models.functions(latent_prototypes=False)
        options["params"] = options["params"] | {key: nnx.state(network)}
        del options["decode"]
        return options | {"encode": ModelFunction.of(network, key, "features")}

    return in_features


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

ORDINARY = "ordinary"
"""The network of the shipped guide, trained on images as they are: what fools one fools it too."""

LADDER = "near at "
"""How names begin of `near` with the shipped guide asked for one confidence after the other."""
_CONFIDENCES = (0.5, 0.9, 0.95, 0.99, 0.995, 0.999)
_PROTOTYPE_WEIGHTS = (1, 10, 100)


def _near(letter: str) -> Callable[..., dict[str, Any]]:
    return partial(presets.near, letter)


def _around_the_shipped() -> Iterator[Configuration]:
    """What makes `near` with the shipped guide what it is: one thing after the other changed."""
    near, by_probability = presets.near, {"prediction": "probability"}
    yield Configuration("near without a guide", guided(near))
    yield Configuration("near, A, no guide, .99", guided(_near("A"), weights={"confidence": 0.99}))
    yield Configuration("near, ordinary guide", guided(near, ORDINARY))
    usual = guided(near, ORDINARY, confidence=lambda given: given.guides[SHIPPED].confidence)
    yield Configuration("near, ordinary guide, as sure as the shipped", usual)
    yield Configuration("near by probabilities", guided(near, SHIPPED, weights=by_probability))
    for confidence in _CONFIDENCES:
        asked = guided(near, SHIPPED, confidence=confidence)
        yield Configuration(f"{LADDER}{confidence}", asked)
    for letter in "AB":
        yield Configuration(f"near, {letter}", guided(_near(letter), SHIPPED))
    for letter in "CDEF":
        for weight in _PROTOTYPE_WEIGHTS:
            led = guided(_near(letter), SHIPPED, weights={"prototype_weight": float(weight)})
            yield Configuration(f"near, {letter}, prototype {weight}", led)
    for weight in _PROTOTYPE_WEIGHTS:
        led = guided(_near("C"), SHIPPED, weights={"prototype_weight": float(weight)})
        name = f"near, C, prototype {weight} in the guide's features"
        yield Configuration(name, led_by_features(led, SHIPPED))


def configurations(guides: Sequence[str]) -> tuple[Configuration, ...]:
    """All configurations in the order of the tables.

    Args:
        guides: names of the guides at hand; each has its configurations, all together have one.

    Examples:
        >>> names = [one.name for one in configurations(["shipped", "seed 1"])]
        >>> names[6:13]  # doctest: +NORMALIZE_WHITESPACE
        ['quick', 'near', 'plausible', 'quick, seed 1', 'near, seed 1', 'plausible, seed 1',
         'near, all 2 guides']
    """
    with_guide = [
        Configuration(name if guide == SHIPPED else f"{name}, {guide}", guided(preset, guide))
        for guide in guides
        for name, preset in _GUIDED.items()
    ]
    if len(guides) > 1:
        together = guided(presets.near, *guides)
        with_guide.append(Configuration(f"near, all {len(guides)} guides", together))
    around = _around_the_shipped() if SHIPPED in guides else ()
    return *_ALONE, *with_guide, *around


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
