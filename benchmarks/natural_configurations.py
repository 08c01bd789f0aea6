"""How photographs are searched in `benchmarks.natural`, and by which rule one way is chosen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from jax import Array

from benchmarks.judged_configurations import (
    ORDINARY,
    SHIPPED,
    Configuration,
    Given,
    alone,
    guided,
    led_by_features,
)
from benchmarks.natural_networks import RADII, SEEDS, guide_name
from jaxcf import Objective, SearchOptions, presets, solvers
from jaxcf.utils.images import blurred

AIMS = {"oracle": 0.95, "oracle, blurred": 0.9, "robust": 0.85}
"""What is aimed at: how many judges believe it, how many after a blur, and the robust one."""

# Five hundred images tell a share to a point, and who is lifted over an aim by chance is chosen.
_MARGIN = 0.01

_MOST_SETS = 3

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
        blurred: whether each guide must say the same of the image out of focus.
    """

    radius: float = _USUAL
    confidence: float | None = None
    count: int = 1
    explained: float = 0.5
    letter: str = "A"
    rate: float = 0.01
    blurred: bool = False

    @property
    def name(self) -> str:
        """In tables."""
        sure = "its own" if self.confidence is None else f"{self.confidence:g}"
        guides = f"{self.count} guide{'s' * (self.count > 1)}"
        return (
            f"{self.letter}, {guides} of radius {self.radius:g}, confidence {sure}, "
            f"explained {self.explained:g}, rate {self.rate:g}{', blurred too' * self.blurred}"
        )


CANDIDATES = (
    *(Way(confidence=confidence, count=3) for confidence in (0.8, 0.9, 0.93, 0.95, 0.97)),
    *(Way(confidence=confidence, count=2) for confidence in (0.9, 0.95, 0.97)),
    *(Way(confidence=confidence) for confidence in (0.9, 0.95, 0.98, 0.99)),
    *(Way(confidence=confidence, count=3, blurred=True) for confidence in (0.7, 0.8, 0.9)),
    *(Way(confidence=confidence, blurred=True) for confidence in (0.8, 0.9)),
    *(Way(radius, confidence) for radius in (0.25, 1.0) for confidence in (0.8, 0.9)),
    Way(confidence=0.93, count=3, explained=0.9),
    *(Way(confidence=0.93, count=3, letter=letter) for letter in "CD"),
    *(Way(confidence=0.93, count=3, rate=rate) for rate in (0.003, 0.03)),
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


def choose(means: Mapping[Way, Mapping[str, float]]) -> Way:
    """The way that changes images least among those that convince; else the most convincing one.

    A way convinces that reaches all `AIMS` and a point more; how much one falls short is the
    largest of its gaps.

    Args:
        means: of each way, on the images kept for choosing: those of `AIMS`, and "l2".

    Returns:
        The way.

    Examples:
        >>> poor = {"oracle": 0.5, "robust": 0.5, "oracle, blurred": 0.5, "l2": 1.0}
        >>> good = {"oracle": 0.99, "robust": 0.9, "oracle, blurred": 0.95, "l2": 2.0}
        >>> choose({Way(0.5): poor, Way(1.0): good}).radius
        1.0
    """

    def order(way: Way) -> tuple[float, float]:
        known = means[way]
        gaps = (asked + _MARGIN - known.get(metric, 0.0) for metric, asked in AIMS.items())
        return max(0.0, *gaps), known.get("l2", np.inf)

    return min(means, key=order)


def finals(way: Way, guides: Sequence[str], class_names: Sequence[str]) -> dict[str, Configuration]:
    """What is measured once on images that took no part in any choice, by name.

    Args:
        way: the chosen one.
        guides: the names of those at hand.
        class_names: of all classes.

    Returns:
        The chosen way led by up to three sets of guides that share none, what surrounds it, and
        controls.
    """
    chosen, pairs = _guided(way), _both_ways(ALIKE)
    alike = Aimed("chosen, cat-dog, car-truck, deer-horse", chosen, pairs)
    every = [
        *(
            Configuration(f"chosen, {_seeds_text(seeds)}", _guided(way, seeds=seeds))
            for seeds in _sets_of_seeds(way, guides)
        ),
        *([alike] if set(pairs) <= set(class_names) else []),
        Configuration(
            "chosen, prototypes in the guide's features",
            led_by_features(
                _guided(way._replace(letter="C"), prototype_weight=1.0),
                guide_name(way.radius, SEEDS[0]),
            ),
        ),
        Configuration("no guide", _guided(way, names=[])),
        Configuration(
            "no guide, adversarial as far as it goes",
            _guided(way, names=[], confidence=1 - 1e-6),
        ),
        Configuration("ordinary guide", _guided(way, names=[ORDINARY])),
        *(
            Configuration(f"one guide of radius {radius:g}", _guided(one))
            for radius in RADII
            if (one := way._replace(radius=radius, count=1)) != way
            and guide_name(radius, SEEDS[0]) in guides
        ),
        *(
            Configuration(f"objective {letter}", _guided(way._replace(letter=letter)))
            for letter in "AD"
            if letter != way.letter
        ),
        *(
            Configuration(
                f"near, {letter}, shipped guide", guided(partial(presets.near, letter), SHIPPED)
            )
            for letter in "AD"
            if SHIPPED in guides
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
    found = guided(
        partial(presets.near, way.letter),
        *names,
        confidence=way.confidence,
        weights={"confidence": way.explained} | weights,
        search=search,
    )
    return _with_blurred_guides(found) if way.blurred else found


@dataclass(frozen=True)
class _OutOfFocus:
    """What a model says of images that are blurred first.

    Attributes:
        predict: called `f(params, x)`.
    """

    predict: Callable[..., Array]

    def __call__(self, params: Any, x: Array) -> Array:
        return self.predict(params, blurred(x))


def _with_blurred_guides(
    of: Callable[[Given], dict[str, Any]],
) -> Callable[[Given], dict[str, Any]]:
    """The same search, with guides that have to agree twice: in focus and out of it."""

    def twice(given: Given) -> dict[str, Any]:
        options = of(given)
        again = [
            replace(guide, predict=_OutOfFocus(guide.predict), name=f"{guide.name}, blurred")
            for guide in options["guides"]
        ]
        return options | {"guides": [*options["guides"], *again]}

    return twice


def _sets_of_seeds(way: Way, guides: Sequence[str]) -> list[tuple[int, ...]]:
    """As many seeds as a way takes guides, from one set to three, of which no two share a seed."""
    seeds = [seed for seed in SEEDS if guide_name(way.radius, seed) in guides]
    starts = range(0, len(seeds) - way.count + 1, way.count)
    return [tuple(seeds[start : start + way.count]) for start in starts][:_MOST_SETS]


def _seeds_text(seeds: Sequence[int]) -> str:
    """Of neighbouring seeds.

    Examples:
        >>> _seeds_text((4,)), _seeds_text((3, 4, 5))
        ('seed 4', 'seeds 3 to 5')
    """
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}"


def _both_ways(pairs: Mapping[str, str]) -> dict[str, str]:
    return dict(pairs) | {second: first for first, second in pairs.items()}
