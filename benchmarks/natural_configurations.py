"""How photographs are searched in `benchmarks.natural`, and by which rule one way is chosen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from benchmarks.judged_configurations import (
    ORDINARY,
    Configuration,
    Given,
    alone,
    guided,
    led_by_features,
)
from benchmarks.natural_networks import RADII, SEEDS, guide_name
from jaxcf import Objective, SearchOptions, presets, solvers

LEAST_ORACLE, LEAST_ROBUST = 0.95, 0.85
"""What is asked of the ordinary judges and of the robust one."""

_LADDER = (0.5, 0.8, 0.9, 0.95)

ALIKE = {"cat": "dog", "automobile": "truck", "deer": "horse"}
"""Classes that a small change could turn into each other, either way."""

_USUAL = 0.5


class Way(NamedTuple):
    """What is to be chosen of a guided search of photographs.

    Attributes:
        radius: of the guides.
        confidence: that each must reach; None for its own.
        count: of guides, from as many seeds.
        explained: the confidence that the explained model must reach.
        letter: of the objective.
        rate: of Adam.
    """

    radius: float = _USUAL
    confidence: float | None = None
    count: int = 1
    explained: float = 0.5
    letter: str = "A"
    rate: float = 0.01

    @property
    def name(self) -> str:
        """In tables."""
        sure = "its own" if self.confidence is None else f"{self.confidence:g}"
        guides = f"{self.count} guide{'s' * (self.count > 1)}"
        return (
            f"{self.letter}, {guides} of radius {self.radius:g}, confidence {sure}, "
            f"explained {self.explained:g}, rate {self.rate:g}"
        )


CANDIDATES = (
    *(Way(confidence=confidence) for confidence in (0.9, 0.95, 0.98, 0.99)),
    *(Way(radius, confidence) for radius in (0.25, 1.0) for confidence in (0.8, 0.9)),
    *(Way(confidence=confidence, count=2) for confidence in (0.8, 0.9, 0.95)),
    *(Way(confidence=confidence, count=3) for confidence in (0.9, 0.93, 0.95)),
    *(Way(confidence=0.95, explained=explained) for explained in (0.9, 0.99)),
    *(Way(confidence=0.95, letter=letter) for letter in "CD"),
    *(Way(confidence=0.95, rate=rate) for rate in (0.003, 0.03)),
    Way(),
)
"""The ways that are tried on the images kept for choosing."""


@dataclass(frozen=True)
class Aimed(Configuration):
    """A configuration that asks for a class of each image, and leaves out images without one.

    Attributes:
        targets: from the name of a class to the one that is asked for.
    """

    targets: Mapping[str, str]


def candidates(ways: Sequence[Way] = CANDIDATES) -> dict[str, Configuration]:
    """The ways to choose from, by name."""
    return {way.name: Configuration(way.name, _guided(way)) for way in ways}


def choose(
    means: Mapping[Way, Mapping[str, float]], real: Mapping[Way, Mapping[str, float]]
) -> Way:
    """The way that changes images least among those that convince; else the most convincing one.

    A way convinces that reaches `LEAST_ORACLE` and `LEAST_ROBUST`, and after a blur what real
    images of the new class reach; how much one falls short is the largest of its three gaps.

    Args:
        means: of each way, on the images kept for choosing: "oracle", "robust", "oracle, blurred"
            and "l2".
        real: the third of them, of real images of the same classes.

    Returns:
        The way.

    Examples:
        >>> poor = {"oracle": 0.5, "robust": 0.5, "oracle, blurred": 0.5, "l2": 1.0}
        >>> good = {"oracle": 0.99, "robust": 0.9, "oracle, blurred": 0.8, "l2": 2.0}
        >>> real = {Way(0.5): {"oracle, blurred": 0.6}, Way(1.0): {"oracle, blurred": 0.6}}
        >>> choose({Way(0.5): poor, Way(1.0): good}, real).radius
        1.0
    """

    def order(way: Way) -> tuple[float, float]:
        known, blurred = means[way], real[way].get("oracle, blurred", 1.0)
        least = {"oracle": LEAST_ORACLE, "robust": LEAST_ROBUST, "oracle, blurred": blurred}
        gap = max(0.0, *(asked - known.get(metric, 0.0) for metric, asked in least.items()))
        return gap, known.get("l2", np.inf)

    return min(means, key=order)


def finals(way: Way, guides: Sequence[str]) -> dict[str, Configuration]:
    """What is measured once on images that took no part in any choice, by name.

    Args:
        way: the chosen one.
        guides: the names of those at hand.

    Returns:
        The chosen way led from each seed that its radius has, what surrounds it, and controls.
    """
    chosen = _guided(way)
    seeds = [seed for seed in SEEDS if guide_name(way.radius, seed) in guides]
    every = [
        *(
            Configuration(f"chosen, seed {seed}", _guided(way, seeds=seeds[n:] + seeds[:n]))
            for n, seed in enumerate(seeds)
        ),
        Aimed("chosen, cat-dog, car-truck, deer-horse", chosen, _both_ways(ALIKE)),
        Configuration(
            "chosen, prototypes in the guide's features",
            led_by_features(
                _guided(way._replace(letter="C"), prototype_weight=1.0),
                guide_name(way.radius, seeds[0]),
            ),
        ),
        Configuration("no guide", _guided(way, names=[])),
        Configuration(
            "no guide, adversarial as far as it goes",
            _guided(way, names=[], confidence=1 - 1e-6),
        ),
        Configuration("ordinary guide", _guided(way, names=[ORDINARY])),
        *(
            Configuration(
                f"radius {radius:g}, confidence {sure:g}",
                _guided(Way(radius, sure)),
            )
            for radius in RADII
            for sure in _LADDER
            if Way(radius, sure) != way
        ),
        *(
            Configuration(f"objective {letter}", _guided(way._replace(letter=letter)))
            for letter in "AD"
            if letter != way.letter
        ),
        Configuration("by probabilities", _guided(way, prediction="probability")),
        Configuration("L1 in place of L2", _guided(way, l1_weight=1.0, l2_weight=0.0)),
        Configuration("jaxcf's default, D", alone(objective=Objective.named("D"))),
        Configuration("jaxcf's default, A", alone(objective=Objective.named("A"))),
    ]
    return {one.name: one for one in every}


def targets_of(
    configuration: Configuration, original_class: np.ndarray, class_names: Sequence[str]
) -> np.ndarray | None:
    """The class that each image is to be turned into, -1 where none is asked for; None for any.

    Args:
        configuration: of any kind.
        original_class: `[n]`, as the explained model reads them.
        class_names: of all classes.
    """
    if not isinstance(configuration, Aimed):
        return None
    numbers = {name: number for number, name in enumerate(class_names)}
    asked = np.full(len(class_names), -1)
    for name, target in configuration.targets.items():
        if name in numbers and target in numbers:
            asked[numbers[name]] = numbers[target]
    return asked[original_class]


def _guided(
    way: Way,
    *,
    seeds: Sequence[int] = SEEDS,
    names: Sequence[str] | None = None,
    **weights: Any,
) -> Callable[[Given], dict[str, Any]]:
    """The function of a configuration; `names` are those of other guides than the way's."""
    if names is None:
        names = [guide_name(way.radius, seed) for seed in seeds[: way.count]]
    search = SearchOptions(
        solver=solvers.adam(way.rate),
        stop="budget",
        max_steps=100,
        extra_steps=350,
        prediction_weight=3.0,
        weight_growth=1.1,
    )
    return guided(
        partial(presets.near, way.letter),
        *names,
        confidence=way.confidence,
        weights={"confidence": way.explained} | weights,
        search=search,
    )


def _both_ways(pairs: Mapping[str, str]) -> dict[str, str]:
    return dict(pairs) | {second: first for first, second in pairs.items()}
