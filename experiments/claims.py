"""The report's claims about its objectives, tested one by one on paired differences.

Every claim is that one objective has more of something than another, over the same instances. The
difference is taken per instance, and its 95 % interval decides: confirmed where it lies on the
claimed side, refuted where it lies on the other, undecided where it holds both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxcf.metrics import Interval, mean_intervals

CONFIRMED, REFUTED, UNDECIDED = "confirmed", "refuted", "undecided"


@dataclass(frozen=True)
class Claim:
    """`first` has more of a metric than `second`, for each of some pairs of objectives.

    Args:
        text: the claim in words.
        metric: a column of the instances.
        pairs: `(first, second)`.
        margin: by how much `first` may fall short and the claim still hold: above 0 for claims
            that something costs nothing.
    """

    text: str
    metric: str
    pairs: tuple[tuple[str, str], ...]
    margin: float = 0.0


def _across(firsts: str, seconds: str) -> tuple[tuple[str, str], ...]:
    return tuple((first, second) for first in firsts for second in seconds)


_WITHOUT_AND_WITH_PROTOTYPE = (("A", "C"), ("B", "D"))
_WITHOUT_AND_WITH_PREDICTION = (("E", "C"), ("F", "D"))

CLAIMS = (
    Claim("prototype terms cut updates", "steps", _WITHOUT_AND_WITH_PROTOTYPE),
    Claim(
        "prototype terms cut updates, where both find one",
        "steps (found)",
        _WITHOUT_AND_WITH_PROTOTYPE,
    ),
    Claim("D is fastest", "seconds", _across("ABCE", "D")),
    Claim("F is fastest", "seconds", _across("ABCE", "F")),
    Claim("D is fastest, processor time", "processor", _across("ABCE", "D")),
    Claim("F is fastest, processor time", "processor", _across("ABCE", "F")),
    Claim(
        "dropping L_pred costs no validity (2 points)",
        "found",
        _WITHOUT_AND_WITH_PREDICTION,
        margin=0.02,
    ),
    Claim(
        "dropping L_pred costs no updates (10)",
        "steps",
        tuple((second, first) for first, second in _WITHOUT_AND_WITH_PREDICTION),
        margin=10.0,
    ),
    Claim("C to F lower IM1", "im1 stock", _across("AB", "CDEF")),
    Claim("C to F lower IM2", "im2 stock", _across("AB", "CDEF")),
    Claim("C to F lower IM1, wide autoencoders", "im1 wide", _across("AB", "CDEF")),
    Claim("C to F lower IM2, wide autoencoders", "im2 wide", _across("AB", "CDEF")),
)
"""What the report says of its Table 2, as differences whose sign can be tested."""


def check_claims(
    instances: Mapping[str, Mapping[str, np.ndarray]], claims: Sequence[Claim] = CLAIMS
) -> list[dict[str, Any]]:
    """Every claim for every pair.

    Args:
        instances: objective to column to one value per instance, the same instances for all.
        claims: what to test.

    Returns:
        One line per claim and pair: `difference` (first - second, over the rows where both have a
        value) and `verdict`.

    Examples:
        >>> import numpy as np
        >>> instances = {"A": {"steps": np.array([5.0, 6.0])}, "C": {"steps": np.array([1.0, 1.0])}}
        >>> check_claims(instances, [Claim("fewer", "steps", (("A", "C"),))])[0]["verdict"]
        'confirmed'
    """
    tested = [
        (claim, first, second)
        for claim in claims
        for first, second in claim.pairs
        if all(claim.metric in instances.get(one, {}) for one in (first, second))
    ]
    # All from the same resamples of the instances, which are the same for all objectives.
    differences = mean_intervals(
        {
            str(number): np.asarray(instances[first][claim.metric], np.float64)
            - instances[second][claim.metric]
            for number, (claim, first, second) in enumerate(tested)
        }
    )
    return [
        {
            "claim": claim.text,
            "pair": f"{first} - {second}",
            "difference": difference,
            "verdict": _verdict(difference, claim.margin),
        }
        for (claim, first, second), difference in zip(tested, differences.values(), strict=True)
    ]


def verdicts(lines: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """One verdict per claim: that of all its pairs, or how many say what.

    Args:
        lines: by `check_claims`.

    Returns:
        Claim to verdict.

    Examples:
        >>> verdicts([{"claim": "x", "verdict": CONFIRMED}, {"claim": "x", "verdict": REFUTED}])
        {'x': '1 of 2 pairs confirmed, 1 refuted'}
    """
    by_claim: dict[str, list[str]] = {}
    for line in lines:
        by_claim.setdefault(line["claim"], []).append(line["verdict"])
    return {claim: _together(said) for claim, said in by_claim.items()}


def _verdict(difference: Interval, margin: float) -> str:
    if difference.n < 2:
        return UNDECIDED
    if difference.lower > -margin:
        return CONFIRMED
    return REFUTED if difference.upper < -margin else UNDECIDED


def _together(said: Sequence[str]) -> str:
    if len(set(said)) == 1:
        return said[0]
    counts = [f"{said.count(one)} {one}" for one in (REFUTED, UNDECIDED) if one in said]
    return f"{said.count(CONFIRMED)} of {len(said)} pairs confirmed, {', '.join(counts)}"
