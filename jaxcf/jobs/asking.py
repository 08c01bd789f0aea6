"""What a job asks, in fingerprints and plain values: by these the same job is known."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import jax
import numpy as np

from jaxcf.explainers.fitted import FittedExplainer
from jaxcf.explainers.state import FittedState
from jaxcf.jobs.sources import RowSource
from jaxcf.predictors.functions import ModelFunctions
from jaxcf.predictors.guides import EXPLAINED
from jaxcf.search.trial import TracedTerm
from jaxcf.tabular.explainer import FittedTableExplainer
from jaxcf.utils.fingerprints import described_array, fingerprint
from jaxcf.utils.json_files import json_text, plain
from jaxcf.version import __version__

AnyExplainer = FittedExplainer | FittedTableExplainer

# The same model on another machine answers within this. The numbers themselves are kept, since a
# digest of rounded ones would be another wherever one lies at the edge of its rounding.
_ANSWERS, _DECIMALS, _TOLERANCE = "answers", 6, 1e-4

# A message names no more differences than these, and no values longer than these.
_MOST_NAMED = 4
_LONGEST = 40


def asked_of(
    explainer: AnyExplainer,
    source: RowSource,
    question: Mapping[str, Any],
) -> dict[str, Any]:
    """What is asked of which model about which rows, JSON-able.

    Args:
        explainer: that will explain.
        source: of the rows.
        question: targets, rules and the like, by name.

    Returns:
        By name; two jobs of which all is equal are one.
    """
    state = explainer if isinstance(explainer, FittedExplainer) else explainer.of_coordinates
    table: dict[str, Any] = {}
    trained_on = state.trained_on
    if isinstance(explainer, FittedTableExplainer):
        trained_on = explainer.trained_on
        columns = explainer.coding.schema.columns
        classes = explainer.class_names
        table = {"columns": {one.name: plainly(one) for one in columns}, "classes": classes}
    guides = {}
    if state.guides is not None:
        held = enumerate(zip(state.guides.names, state.guides.functions, strict=True))
        guides = {name: _functions(one) | _answers(state, number) for number, (name, one) in held}
    asked = {
        "model": _functions(state.models) | _answers(state, EXPLAINED),
        "params": None if state.params is None else fingerprint(state.params),
        "guides": guides,
        "training rows": trained_on,
        # The prototypes follow from them, whether the model decided them or somebody gave labels.
        "training classes": described_array(state.training_class),
        "input": source.fingerprint(),
        "table": table,
        "options": _options(state),
        "question": {name: plainly(one) for name, one in question.items()},
        "versions": {"jaxcf": __version__, "jax": jax.__version__},
    }
    return plain(asked)


def _functions(models: ModelFunctions) -> dict[str, Any]:
    held = dict(models.captured.digests) if models.captured is not None else {}
    box = models.black_box
    return held if box is None else held | {"black box": plainly(box.settings())}


def _answers(state: FittedState, number: int) -> dict[str, Any]:
    """What is known of a model that can't be looked into: its answers to a few training rows."""
    if number not in state.answers:
        return {}
    rounded = np.round(state.answers[number].astype(np.float64), _DECIMALS)
    known = rounded.astype(object)
    known[np.isnan(rounded)] = None  # JSON has no NaN
    return {_ANSWERS: known.tolist()}


def _options(state: FittedState) -> dict[str, Any]:
    terms = {
        name: term.digest
        for name, term in state.objective.extra_terms
        if isinstance(term, TracedTerm)
    }
    lower, upper, strict = state.feature_range
    # Where nobody asked for a range, it follows from the training rows.
    asked_range = {"lower": lower, "upper": upper} if strict else None
    return plainly(
        {
            **state.method_settings,
            # Plain options tell those of jaxcf apart, but not two of optax's transformations.
            "solver": state.solver_digest,
            "terms": terms,
            "trust_threshold": state.trust_threshold,
            "refinement": vars(state.refinement),
            "feature_range": asked_range,
        }
    )


def plainly(value: Any) -> Any:
    """A value as JSON has it: arrays by their digest, what holds others by what it holds.

    Examples:
        >>> plainly({"target": np.array([1.0]), "seed": 3, "kind": len})
        {'target': 'float64(1,)1.0', 'seed': 3, 'kind': 'builtin_function_or_method'}
    """
    if isinstance(value, Mapping):
        return {str(name): plainly(one) for name, one in value.items()}
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else str(value)
    if is_dataclass(value) and not callable(value) and not isinstance(value, type):
        return {one.name: plainly(getattr(value, one.name)) for one in fields(value)}
    if hasattr(value, "__array__"):
        return _array(np.asarray(value))
    if isinstance(value, set | frozenset):
        value = sorted(value, key=str)
    if isinstance(value, Sequence):
        # As long as there are rows, perhaps.
        entries = [plainly(one) for one in value]
        return entries if len(entries) <= _LONGEST else _digest(json_text(entries))
    return type(value).__name__


def _array(array: np.ndarray) -> str:
    if array.dtype.hasobject:
        return _digest(json_text(plainly(array.tolist())))
    return described_array(array)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def differences(asked: Mapping[str, Any], job: Mapping[str, Any]) -> list[str]:
    """In what two jobs differ, in words; nothing where they are the same.

    Answers of models outside JAX are the same within 1e-4.

    Args:
        asked: what is asked now.
        job: what was asked when the job was begun.

    Examples:
        >>> differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}})
        ['a.c is 2, and was 3']
    """
    now, then = dict(_leaves(asked)), dict(_leaves(job))
    nothing = object()
    return [
        f"{name} {_said(now.get(name, nothing), then.get(name, nothing))}"
        for name in dict.fromkeys([*now, *then])
        if not _same(name, now.get(name, nothing), then.get(name, nothing))
    ]


def _same(name: str, now: Any, then: Any) -> bool:
    if name.split(".")[-1] != _ANSWERS or not (isinstance(now, list) and isinstance(then, list)):
        return now == then
    one, other = np.array(now, float), np.array(then, float)
    # A row without an answer says nothing: perhaps the model was out of reach.
    unequal = np.abs(one - other) > _TOLERANCE if one.shape == other.shape else True
    return not np.any(unequal)


def in_words(differing: Sequence[str]) -> str:
    """The first few differences."""
    more = f"; and {len(differing) - _MOST_NAMED} more" if len(differing) > _MOST_NAMED else ""
    return "; ".join(differing[:_MOST_NAMED]) + more


def _said(now: Any, then: Any) -> str:
    texts = [str(one) for one in (now, then)]
    if type(now) is object or type(then) is object or max(map(len, texts)) > _LONGEST:
        return "is another one"
    return f"is {texts[0]}, and was {texts[1]}"


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping) or not value:
        yield name, value
        return
    for key, one in value.items():
        yield from _leaves(one, f"{name}.{key}" if name else str(key))
