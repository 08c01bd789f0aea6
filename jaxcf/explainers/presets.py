"""Settings under a name: thin recipes over the options, each ready for `Explainer(**preset)`."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from jaxcf import solvers
from jaxcf.explainers.refinement import Refinement
from jaxcf.objective import PREDICTION, Objective
from jaxcf.prototypes.kinds import NearestMean
from jaxcf.search.options import SearchOptions


def report(objective: str = "D") -> dict[str, Any]:
    """The settings behind the report's numbers.

    beta 0.1, kappa 0, gamma 100, theta 200 (C, E) or 100 (D, F), mean of K = 15 encodings,
    subgradient Adam at 1e-2, at most 500 updates, c = 1, stop at the first flip.

    Args:
        objective: "A" to "F".

    Returns:
        Keyword arguments of `Explainer`.

    Examples:
        >>> report("C")["search"].stop
        'first_flip'
    """
    return {
        "objective": Objective.named(objective),
        "prototypes": NearestMean(k=15),
        "search": SearchOptions(
            solver=solvers.subgradient_adam(1e-2),
            stop="first_flip",
            max_steps=500,
            weight_growth=1.0,
        ),
    }


def report_text(objective: str = "D") -> dict[str, Any]:
    """The settings that the report's text states, which differ from those of its numbers.

    kappa 0.01, theta 200 throughout, mean of K = 10 encodings, at most 5,000 updates; the rest as
    in `report`.
    """
    return {
        "objective": Objective.named(objective, margin=0.01, prototype_weight=200.0),
        "prototypes": NearestMean(k=10),
        "search": SearchOptions(
            solver=solvers.subgradient_adam(1e-2),
            stop="first_flip",
            max_steps=5000,
            weight_growth=1.0,
        ),
    }


def paper(objective: str = "D") -> dict[str, Any]:
    """The paper's way: FISTA, a search for c, the best of all counterfactuals seen.

    c starts at 1, grows tenfold until a counterfactual is found and is bisected from then on,
    10 rounds of 500 updates; SGD rate 1e-2 with square-root decay; best by elastic net.
    """
    return {
        "objective": Objective.named(objective),
        "prototypes": NearestMean(k=15),
        "search": SearchOptions(
            solver=solvers.fista(1e-2),
            stop="budget",
            max_steps=500,
            weight_growth=1.0,
            weight_rounds=10,
        ),
    }


def alibi(objective: str = "D") -> dict[str, Any]:
    """The way and the defaults of alibi's CounterfactualProto 0.9.

    beta 0.1, kappa 0, theta and gamma 100 (its examples' values; its defaults are 0, which drops
    both terms), class means as prototypes, FISTA at 1e-2 that shrinks by beta each step, c from 10
    in 10 rounds of 1,000 updates (one round where c has nothing to weigh), the best of all
    counterfactuals seen. `docs/alibi.md` lists what else it does, and what of that is kept.

    Args:
        objective: "A" to "F".

    Returns:
        Keyword arguments of `Explainer`. Without an encoder pass `prototypes="kdtree"` beside it.
    """
    named = Objective.named(objective, prototype_weight=100.0)
    return {
        "objective": named,
        "prototypes": NearestMean(k=None),
        "search": SearchOptions(
            solver=solvers.reference_fista(1e-2),
            stop="budget",
            max_steps=1000,
            prediction_weight=10.0,
            weight_growth=1.0,
            weight_rounds=10 if PREDICTION in named.terms else 1,
        ),
    }


def near(objective: str = "D", x_train: ArrayLike | None = None) -> dict[str, Any]:
    """The nearest counterfactuals that guides believe, for images; made to go with a `Guide`.

    Decisions are measured by log-odds, and the search goes on for 30 updates to get nearer, with
    steps that grow shorter and shorter; rows that have convinced nobody by then may take 350 more,
    and end with the first that does. Then changes that aren't needed are taken back. Prototypes and
    autoencoder have a small say, which makes the whole image typical. All of it was chosen on
    MNIST's test images 0-999; for photographs (see `distance_weights`) it goes on for 100 updates
    of short steps, chosen on CIFAR-10's test images 0-499. See benchmarks/README.md.

    Args:
        objective: "A" to "F".
        x_train: `[n, *shape]`, training rows, by which distance is measured as `distance_weights`
            says; None for strokes.

    Returns:
        Keyword arguments of `Explainer`.

    Examples:
        >>> near()["objective"].prediction
        'log_odds'
    """
    weights = _weights(x_train)
    steps, first_c = (30, 4.0) if weights == _STROKES else (100, _FIRST_C)
    return _guided(objective, weights, 0.6) | {
        "search": _all_steps(weights, steps, first_c),
        "refinement": Refinement(tighten=True),
    }


def quick(objective: str = "A", x_train: ArrayLike | None = None) -> dict[str, Any]:
    """Guided counterfactuals soon: the first that all models believe, and a way back from it.

    It takes about three quarters of the updates of `near`, and six tenths of its time.

    Args:
        objective: "A" to "F".
        x_train: as for `near`.

    Returns:
        Keyword arguments of `Explainer`.
    """
    weights = _weights(x_train)
    return _guided(objective, weights, 0.6) | {
        "search": SearchOptions(
            solver=solvers.adam(_PHOTOGRAPHS_RATE if weights == _PHOTOGRAPHS else _RATE),
            prediction_weight=_FIRST_C,
            weight_growth=_GROWTH,
        ),
        "refinement": Refinement(tighten=True),
    }


def plausible(objective: str = "D", x_train: ArrayLike | None = None) -> dict[str, Any]:
    """With more weight on prototypes and autoencoder than `near`: farther, and typical throughout.

    The search goes on for 75 updates (150 for photographs), and nothing is taken back: what the
    decision doesn't need is what makes the whole image typical.

    Args:
        objective: "A" to "F".
        x_train: as for `near`.

    Returns:
        Keyword arguments of `Explainer`.
    """
    weights = _weights(x_train)
    return _guided(objective, weights, 4.0) | {
        "search": _all_steps(weights, 75 if weights == _STROKES else 150)
    }


def _all_steps(weights: dict[str, float], max_steps: int, first_c: float = 1.0) -> SearchOptions:
    """A search that uses all of its steps, and takes more for rows that have found nothing."""
    strokes = weights == _STROKES
    return SearchOptions(
        solver=solvers.fading_adam() if strokes else solvers.adam(_PHOTOGRAPHS_RATE),
        stop="budget",
        max_steps=max_steps,
        extra_steps=350,
        prediction_weight=first_c,
        weight_growth=1.2 if strokes else _GROWTH,
    )


def _guided(objective: str, weights: dict[str, float], typical: float) -> dict[str, Any]:
    return {
        "objective": Objective.named(
            objective,
            prediction="log_odds",
            confidence=_CONFIDENCE,
            reconstruction_weight=typical,
            prototype_weight=typical,
            **weights,
        )
    }


# Of the explained model. From 0.9 to 0.998 it made no difference on MNIST, where the guide is the
# harder to convince; a model that was trained with smoothed labels is never surer.
_CONFIDENCE = 0.5

# Far steps get near in few: what they overshoot is taken back. With a first c of 1 a third of the
# updates is spent on reaching 3; from 10 on the prototype and the autoencoder are hardly heard. The
# slower c grows, the nearer guides are reached.
_RATE = 0.15
_GROWTH = 1.1
# Photographs change in all pixels a little: 0.003 to 0.03 come equally near on CIFAR-10's test
# images 0-499, in 100 updates.
_PHOTOGRAPHS_RATE = 0.03
_FIRST_C = 3.0

_STROKES = {"l1_weight": 1.0, "l2_weight": 0.1}
_PHOTOGRAPHS = {"l1_weight": 0.0, "l2_weight": 1.0}

# The share of values that are one and the same: 0.81 in MNIST, 0.49 in digits, 0.01 in CIFAR-10.
_BACKGROUND = 0.2

_SHADES = 256


def _weights(x_train: ArrayLike | None) -> dict[str, float]:
    return _STROKES if x_train is None else distance_weights(x_train)


def distance_weights(x_train: ArrayLike) -> dict[str, float]:
    """How far apart images are, by what they are made of: the weights of L1 and squared L2.

    Strokes on a background differ in which pixels are drawn: L1 changes few of them. Photographs
    have no background, and L1 would leave confetti: squared L2 changes all of them a little. There
    is a background where one value in five is the same, out of 256 shades.

    Args:
        x_train: `[n, *shape]`, training images.

    Returns:
        `l1_weight` and `l2_weight` of an `Objective`.

    Examples:
        >>> distance_weights([[0.0, 0.0, 0.0, 1.0], [0.0, 0.3, 0.9, 0.0]])
        {'l1_weight': 1.0, 'l2_weight': 0.1}
        >>> distance_weights([[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]])
        {'l1_weight': 0.0, 'l2_weight': 1.0}
    """
    x = np.asarray(x_train, np.float32)
    lowest, span = x.min(), float(np.ptp(x)) or 1.0
    shades = np.round((x.ravel() - lowest) * ((_SHADES - 1) / span)).astype(np.uint8)
    share = np.bincount(shades, minlength=_SHADES).max() / len(shades)
    return dict(_STROKES if share > _BACKGROUND else _PHOTOGRAPHS)


GUIDED_PRESETS = {"near": near, "quick": quick, "plausible": plausible}
"""Those that are made to go with a guide, and ask for the training rows."""

NAMED_PRESETS = {
    "report": report,
    "report-text": report_text,
    "paper": paper,
    "alibi": alibi,
    **GUIDED_PRESETS,
}


def usual_objective(name: str | None) -> str:
    """The objective that a preset has where nobody asks for another.

    Examples:
        >>> usual_objective("near"), usual_objective("quick")
        ('D', 'A')
    """
    return "A" if name == "quick" else "D"


def named(
    name: str | None, objective: str | None = None, x_train: ArrayLike | None = None
) -> dict[str, Any]:
    """A preset by its name; None is jaxcf's own settings for a model without guides.

    Args:
        name: of the preset.
        objective: "A" to "F"; None for the preset's usual one.
        x_train: `[n, *shape]`, training rows, of which those for guides make use.

    Raises:
        ValueError: if there is no preset of that name.
    """
    objective = objective or usual_objective(name)
    if name is None:
        return {"objective": Objective.named(objective), "search": SearchOptions()}
    if name not in NAMED_PRESETS:
        raise ValueError(f"unknown preset {name!r}; there are {', '.join(NAMED_PRESETS)}")
    if name in GUIDED_PRESETS:
        return GUIDED_PRESETS[name](objective, x_train)
    return NAMED_PRESETS[name](objective)
