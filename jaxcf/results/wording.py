"""What each number of a row is called where it is shown, and what is said about it."""

from typing import NamedTuple


class Words(NamedTuple):
    """How a number is named and explained to someone who has never met it.

    Attributes:
        label: its name.
        help: one or two sentences.
    """

    label: str
    help: str


MEASURES = {
    "steps": Words(
        "steps",
        "Updates of the search until it ended. More steps mean that the row was harder to turn, "
        "not that its counterfactual is better.",
    ),
    "confidence": Words(
        "probability after",
        "What the model gives the class that it decides for after the change. Only just above "
        "the others means that the counterfactual lies on the border.",
    ),
    "confidence_before": Words(
        "probability before",
        "What the model gave the class that it decided for before the change.",
    ),
    "changed": Words(
        "changed features", "How many features, or pixels, differ from the original at all."
    ),
    "l1": Words(
        "L1 distance", "The sum of all changes, each without its sign: small where little changed."
    ),
    "l2": Words(
        "L2 distance",
        "The straight-line length of the change: one large change weighs more than many small "
        "ones.",
    ),
    "elastic_net": Words(
        "elastic net", "What the search made small: beta times L1 plus the square of L2."
    ),
    "prediction_weight": Words(
        "weight c", "How much the search wanted another decision when it found this."
    ),
    "im1": Words(
        "IM1",
        "How much better an autoencoder of the new class explains the counterfactual than one of "
        "the old class; lower is better. It says little: its useful range is small, and noise can "
        "have a good IM1.",
    ),
    "im2": Words(
        "IM2",
        "How far the autoencoder of the new class and that of all classes disagree about the "
        "counterfactual; lower is better. It says as little as IM1.",
    ),
    "oracle": Words(
        "judges",
        "The share of judges that read the counterfactual as its new class. Judges are other "
        "models that never guided the search; they can be wrong too.",
    ),
    "stays_original": Words(
        "judges: still original", "The share of judges that still read the original class."
    ),
    "guide_probability": Words(
        "guide: probability after",
        "What a guide, a robust model that has to agree, gives the new class: of several guides "
        "the least.",
    ),
    "guides_convinced": Words(
        "guides convinced",
        "The share of guides that decide for the new class, each as surely as asked of it.",
    ),
    "trust": Words(
        "trust score",
        "How much nearer the counterfactual lies to its new class than to its old one, among the "
        "training rows: above 1 it is nearer to the new one.",
    ),
    "line_search": Words(
        "by line search",
        "1 where only the line search towards the prototype found this counterfactual.",
    ),
    "reset_features": Words(
        "put back",
        "How many features were put back after the search, because the decision didn't need them.",
    ),
    "reset_l1": Words("L1 put back", "By how much the L1 distance fell when they were put back."),
    "predictions": Words(
        "predictions", "How many rows the model, which lives outside JAX, was asked about."
    ),
    "diversity": Words(
        "diversity", "How far the counterfactuals of one row lie from each other; higher is better."
    ),
}
"""By key: what a column of rows, or one of their scores, is."""

STATUS_LABELS = {
    "found": "found",
    "not_found": "not found: out of steps",
    "never_moved": "not found: never moved",
    "already_in_target": "already in the class asked for",
    "invalid_input": "invalid: not finite",
    "out_of_range": "invalid: out of range",
    "no_prototype": "no prototype for the class asked for",
    "model_not_finite": "the model's answer was not finite",
    "not_confirmed": "not confirmed when predicted again",
    "interrupted": "interrupted",
    "unknown_target": "unknown class asked for",
    "nothing_may_change": "nothing may change",
    "guide_not_convinced": "not found: a guide wasn't convinced",
    "no_other": "no other counterfactual than those before it",
}
"""Name of a status to a few words; its message says the rest."""


def measure_words(key: str) -> Words:
    """The words for a number of a row, or its bare name where it is one of the caller's own.

    Args:
        key: of `MEASURES`, or any name.

    Returns:
        Its label and explanation.

    Examples:
        >>> measure_words("im1").label, measure_words("judge mixer").label
        ('IM1', 'judge mixer')
    """
    if key in MEASURES:
        return MEASURES[key]
    if key.startswith("judge"):
        return Words(
            key, "1 where this judge reads the counterfactual as its new class, 0 where it doesn't."
        )
    return Words(key, "A score that was stored with the run.")
