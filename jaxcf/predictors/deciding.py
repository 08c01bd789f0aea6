"""Classifiers whose `predict` doesn't go by the largest of their probabilities."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

# Scikit-learn says of these that both may differ: a threshold, or probabilities fitted afterwards.
_BY_THEMSELVES = ("FixedThresholdClassifier", "NuSVC", "SVC", "TunedThresholdClassifierCV")

# Probabilities nearer to each other than this are a tie, which either may break.
_TIE = 1e-6


@dataclass(frozen=True, eq=False)
class ByDecision:
    """The probabilities of a classifier, brought to agree with what it decides.

    Where it decides for another class than the likeliest, both share what they have, the one that
    it decides for a millionth more.

    Args:
        classifier: with `predict`, `predict_proba` and `classes_`.

    Examples:
        >>> class Careful:
        ...     classes_ = np.array(["no", "yes"])
        ...     def predict_proba(self, x):
        ...         return np.stack([1 - x, x], axis=1)
        ...     def predict(self, x):
        ...         return self.classes_[(x > 0.9).astype(int)]
        >>> ByDecision(Careful())(np.array([0.2, 0.8, 0.95])).round(3).tolist()
        [[0.8, 0.2], [0.5, 0.5], [0.05, 0.95]]
        >>> ByDecision(Careful())(np.array([0.2, 0.8, 0.95])).argmax(axis=1).tolist()
        [0, 0, 1]
    """

    classifier: Any

    @property
    def __wrapped__(self) -> Callable[[Any], Any]:
        """The classifier's own function: what is called, and by one thread at a time."""
        return self.classifier.predict_proba

    def __call__(self, rows: Any) -> Float[np.ndarray, "n classes"]:
        """The probabilities of rows."""
        said = np.array(self.classifier.predict_proba(rows))
        decided, likeliest = _decided(self.classifier, rows), said.argmax(axis=1)
        line = np.flatnonzero((decided != likeliest) & np.isfinite(said).all(axis=1))
        first, second = decided[line], likeliest[line]
        shared = (said[line, first] + said[line, second]) / 2
        said[line, first], said[line, second] = shared + _TIE, shared - _TIE
        return said


def decides_by_itself(classifier: Any, rows: Any) -> bool:
    """Whether a classifier decides otherwise than its probabilities say, as far as can be seen.

    Args:
        classifier: with `predict_proba`.
        rows: that it is asked about, as it takes them.
    """
    if getattr(classifier, "classes_", None) is None:
        return False  # nobody knows which class is which
    if type(_last(classifier)).__name__ in _BY_THEMSELVES:
        return True
    try:
        decided, said = _decided(classifier, rows), np.asarray(classifier.predict_proba(rows))
    except Exception:  # whatever its library raises: what isn't asked needn't work
        return False
    ahead = said.max(axis=1) - said[np.arange(len(said)), decided]
    return bool((ahead > _TIE).any())


def _last(classifier: Any) -> Any:
    """What decides at the end of pipelines, searches and wrappers."""
    steps = getattr(classifier, "steps", None)
    if steps:
        return _last(steps[-1][1])
    within = getattr(classifier, "best_estimator_", None)
    if within is None and type(classifier).__name__ == "FrozenEstimator":
        within = classifier.estimator
    return classifier if within is None else _last(within)


def _decided(classifier: Any, rows: Any) -> Int[np.ndarray, " n"]:
    """The numbers of the classes that it decides for."""
    places = {one: place for place, one in enumerate(np.asarray(classifier.classes_).tolist())}
    decided = np.asarray(classifier.predict(rows)).tolist()
    return np.array([places[one] for one in decided], np.intp)
