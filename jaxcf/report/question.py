"""What a run asked, in one sentence for somebody who wasn't there."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from jaxcf.results.comparison import Results
from jaxcf.results.convinced import percent
from jaxcf.tabular.explanations import TableExplanations
from jaxcf.tabular.relations import Relation
from jaxcf.tabular.rules import Rule, Rules

# More rules than these would make the sentence hard to read.
_MOST_RULES = 3

_KEPT = Rule(frozen=True).in_words()


def question(
    explanations: Results,
    class_names: Sequence[str],
    *,
    model: str | None = None,
    true_classes: Int[np.ndarray, " n"] | None = None,
    rules: Rules | None = None,
    relations: Sequence[Relation] | None = None,
) -> dict[str, Any]:
    """What was asked, of which model, how accurate that is if it is known, and under which rules.

    Args:
        explanations: of n rows.
        class_names: one per class.
        model: which one, and how good, in words; None says it with the true classes alone.
        true_classes: see `jaxcf.results.true_classes`.
        rules: as `explain` took them; None says no more than which columns they spoke about.
        relations: likewise.

    Returns:
        "sentence", and "rules": each of them in words.

    Raises:
        ValueError: if the rules speak about other columns than those of the run.

    Examples:
        >>> import numpy as np
        >>> from jaxcf import Explanations
        >>> rows = np.zeros((2, 3), np.float32)
        >>> none, ones, chances = np.zeros(2, int), np.ones(2, int), np.ones((2, 2))
        >>> explanations = Explanations(rows, rows + 0.5, none, np.arange(2), none, chances, ones,
        ...     chances, ones, rows, ones, np.ones(2))
        >>> asked = question(explanations, ["no", "yes"], true_classes=np.array([0, 1]))
        >>> asked["sentence"].removeprefix("What would have to be different for the ")
        'model (right for 50 % of these 2 rows) to decide “yes”?'
    """
    said = _rules_in_words(explanations, rules, relations)
    about = model if model is not None else _accuracy(explanations, true_classes)
    which = f" ({about})" if about else ""
    sentence = f"What would have to be different for the model{which} to decide "
    sentence += _goal(explanations, class_names)
    if said:
        shown = said if len(said) <= _MOST_RULES else [
            *said[: _MOST_RULES - 1], f"{len(said) - _MOST_RULES + 1} more rules hold"
        ]  # fmt: skip
        sentence += f", where {_listed(shown)}"
    elif isinstance(explanations, TableExplanations) and explanations.ruled:
        sentence += f", under rules for {_listed(list(explanations.ruled))}"
    return {"sentence": f"{sentence}?", "rules": said}


def _goal(explanations: Results, class_names: Sequence[str]) -> str:
    # Where none was asked for they are those of the prototypes, and answers may be of others.
    core = explanations.core
    classes = np.unique([*core.target_class, *core.counterfactual_class[core.found]])
    classes = classes[classes >= 0]
    return f"“{class_names[classes[0]]}”" if len(classes) == 1 else "otherwise"


def _accuracy(explanations: Results, true_classes: np.ndarray | None) -> str:
    if true_classes is None:
        return ""
    core = explanations.core
    # One row may have several counterfactuals.
    _, first = np.unique(core.source_row, return_index=True)
    first = first[(true_classes[first] >= 0) & (core.original_class[first] >= 0)]
    if not len(first):
        return ""
    right = float((true_classes == core.original_class)[first].mean())
    rows = f"these {len(first):,} rows" if len(first) > 1 else "one row"
    return f"right for {percent(right)} of {rows}"


def _rules_in_words(
    explanations: Results, rules: Rules | None, relations: Sequence[Relation] | None
) -> list[str]:
    ruled = explanations.ruled if isinstance(explanations, TableExplanations) else None
    if rules is not None and ruled is not None and set(rules) != set(ruled):
        raise ValueError(
            f"the rules are for {', '.join(rules) or 'no column'}, those of the run for "
            f"{', '.join(ruled) or 'none'}; pass what `explain` was given"
        )
    said = {name: rule.in_words() for name, rule in (rules or {}).items()}
    kept = [name for name, words in said.items() if words == _KEPT]
    lines = [f"{name} {words}" for name, words in said.items() if words and words != _KEPT]
    if kept:
        lines.append(f"{_listed(kept)} {'stay as they are' if len(kept) > 1 else _KEPT}")
    return lines + [relation.text for relation in relations or ()]


def _listed(texts: list[str]) -> str:
    return f"{', '.join(texts[:-1])} and {texts[-1]}" if len(texts) > 1 else texts[0]
