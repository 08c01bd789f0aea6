"""Settings under a name: thin recipes over the options, each ready for `Explainer(**preset)`."""

from typing import Any

from jaxcf import solvers
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


NAMED_PRESETS = {"report": report, "report-text": report_text, "paper": paper, "alibi": alibi}


def named(name: str | None, objective: str = "D") -> dict[str, Any]:
    """A preset by its name; None is jaxcf's own default settings.

    Raises:
        ValueError: if there is no preset of that name.
    """
    if name is None:
        return {"objective": Objective.named(objective), "search": SearchOptions()}
    if name not in NAMED_PRESETS:
        raise ValueError(f"unknown preset {name!r}; there are {', '.join(NAMED_PRESETS)}")
    return NAMED_PRESETS[name](objective)
