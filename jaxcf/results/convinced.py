"""Who was convinced of each counterfactual: the explained model, and each guide beside it."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxcf.results.counts import Counts
from jaxcf.search.status import Status
from jaxcf.utils.json_files import is_number

MODEL = "the model"

_CONVINCES_THE_MODEL = (Status.FOUND, Status.GUIDE_NOT_CONVINCED)


@runtime_checkable
class Answers(Protocol):
    """What is read of explanations, which know these functions."""

    @property
    def status(self) -> Int[np.ndarray, " n"]:
        """How each row ended."""
        ...

    @property
    def counterfactual_class(self) -> Int[np.ndarray, " n"]:
        """What the model decides for the counterfactual."""
        ...

    @property
    def target_class(self) -> Int[np.ndarray, " n"]:
        """The class that the search was led to."""
        ...

    @property
    def original_probabilities(self) -> Float[np.ndarray, "n classes"]:
        """What the model says of the original."""
        ...

    @property
    def probabilities(self) -> Float[np.ndarray, "n classes"]:
        """What it says of the counterfactual."""
        ...

    @property
    def guide_original_probabilities(self) -> Float[np.ndarray, "n guides classes"] | None:
        """What each guide says of the original; None without guides."""
        ...

    @property
    def guide_probabilities(self) -> Float[np.ndarray, "n guides classes"] | None:
        """What it says of the counterfactual."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """What was asked of whom."""
        ...


class Convinced(NamedTuple):
    """What one model says of the new classes.

    Attributes:
        name: of the guide, or "the model".
        confidence: the probability to be exceeded; 0 asks only that it be the decision.
        before: `[n]`, the probability of the new class for the original; NaN where there is none.
        after: `[n]`, the same for the counterfactual.
        reads_before: `[n]`, what it decides for the original; -1 where it says nothing.
        reads_after: `[n]`, the same for the counterfactual.
        convinced: `[n]`, whether it decides for the new class, as surely as asked for.
    """

    name: str
    confidence: float
    before: Float[np.ndarray, " n"]
    after: Float[np.ndarray, " n"]
    reads_before: Int[np.ndarray, " n"]
    reads_after: Int[np.ndarray, " n"]
    convinced: Bool[np.ndarray, " n"]

    @property
    def asked(self) -> str:
        """What was asked of it, in words."""
        return f"more than {percent(self.confidence)}" if self.confidence else "to decide for it"


def new_classes(explanations: Answers) -> Int[np.ndarray, " n"]:
    """The class that each row's counterfactual has, or that its best effort was led to.

    Args:
        explanations: of n rows.

    Returns:
        `[n]`, -1 where there is none.
    """
    decided = np.isin(explanations.status, _CONVINCES_THE_MODEL)
    return np.where(decided, explanations.counterfactual_class, explanations.target_class)


def who_was_convinced(explanations: Answers) -> tuple[Convinced, ...]:
    """The model and each guide, one after the other.

    Args:
        explanations: of n rows.

    Returns:
        Nothing where the model was explained alone.
    """
    original, new = explanations.guide_original_probabilities, explanations.guide_probabilities
    if original is None or new is None:
        return ()
    settings, asked = explanations.settings, explanations.settings.get("guides", {})
    numbered = {f"guide {number + 1}": 0.0 for number in range(new.shape[1])}
    classes = new_classes(explanations)
    model = _convinced(
        MODEL,
        float(settings.get("objective", {}).get("confidence", 0)),
        explanations.original_probabilities,
        explanations.probabilities,
        classes,
    )
    # As it was decided then, to the last bit.
    decided = np.isin(explanations.status, _CONVINCES_THE_MODEL)
    guides = (
        _convinced(name, float(confidence), original[:, number], new[:, number], classes)
        for number, (name, confidence) in enumerate(asked.get("confidence", numbered).items())
    )
    return (model._replace(convinced=model.convinced | decided), *guides)


def agreement(explanations: Answers) -> str | None:
    """Who agrees on counterfactuals that were found, in words; None without guides."""
    if explanations.guide_probabilities is None:
        return None
    count = explanations.guide_probabilities.shape[1]
    needed = int(explanations.settings.get("guides", {}).get("needed", count))
    if count == 1:
        return "the model and its guide agree"
    if needed < count:
        return f"the model and at least {needed} of {count} guides agree"
    return f"the model and {'both' if count == 2 else f'all {count}'} guides agree"


def found_and_agreed(explanations: Answers, what: str = "found") -> str:
    """How many rows were found, and who agrees on them where there are guides.

    Args:
        explanations: of n rows.
        what: stands behind the numbers, see `Counts.said`.
    """
    counts, agree = Counts.of(explanations.status), agreement(explanations)
    return f"{counts.said(what)}; {agree}" if agree and counts.found else counts.said(what)


def is_record_of(settings: Mapping[str, Any], num_guides: int) -> bool:
    """Whether settings say of so many guides what is read here, or nothing at all."""
    asked = settings.get("guides", {})
    if not isinstance(asked, dict):
        return False
    if not asked:
        return True
    confidence, needed = asked.get("confidence"), asked.get("needed")
    if not (isinstance(confidence, dict) and len(confidence) == num_guides):
        return False
    whole = isinstance(needed, int) and 1 <= needed <= num_guides
    return whole and all(map(is_number, confidence.values()))


def percent(share: float) -> str:
    """A share in per cent, with more digits where it is nearly all.

    Examples:
        >>> percent(2e-7), percent(0.9452), percent(0.99772), percent(0.999999)
        ('< 0.1 %', '94.5 %', '99.77 %', '99.9999 %')
    """
    if 0 < share < 1e-3:
        return "< 0.1 %"
    digits = 3 if share <= 0.99 else 4 if share <= 0.9995 else 6
    return f"{100 * share:.{digits}g} %"


def _convinced(
    name: str, confidence: float, before: np.ndarray, after: np.ndarray, classes: np.ndarray
) -> Convinced:
    given, convinced = how_convinced(after, classes, confidence)
    given_before, reads_before = _of_class(before, classes), _decisions(before)
    return Convinced(
        name, confidence, given_before, given, reads_before, _decisions(after), convinced
    )


def how_convinced(
    probabilities: Float[np.ndarray, "n classes"],
    classes: Int[np.ndarray, " n"],
    confidence: float,
) -> tuple[Float[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """What a model gives some classes, and whether it decides for them, as surely as asked for.

    Args:
        probabilities: `[n, classes]`, NaN where it says nothing.
        classes: `[n]`, -1 for none.
        confidence: the probability to be exceeded.
    """
    given = _of_class(probabilities, classes)
    decides = (_decisions(probabilities) == classes) & (classes >= 0)
    return given, decides & (given > confidence)


def _of_class(probabilities: np.ndarray, classes: np.ndarray) -> np.ndarray:
    given = np.take_along_axis(probabilities, np.maximum(classes, 0)[:, None], axis=1)[:, 0]
    return np.where(classes >= 0, given, np.nan)


def _decisions(probabilities: np.ndarray) -> np.ndarray:
    known = np.isfinite(probabilities).all(axis=1)
    return np.where(known, np.nan_to_num(probabilities, nan=-1.0).argmax(axis=1), -1)
