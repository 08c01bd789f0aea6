"""The thresholds of decision trees: between two of a feature a model doesn't tell values apart."""

import inspect
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jaxtyping import Float

Thresholds = tuple[Float[np.ndarray, " _"], ...]


def thresholds_of(predict: Callable[..., Any]) -> Thresholds | None:
    """The thresholds of the trees behind a function, of each of its features.

    Known are scikit-learn's trees and what is made of them (forests, bagging, both kinds of
    boosting), XGBoost and LightGBM by their estimators for scikit-learn.

    Args:
        predict: a method of a fitted estimator, such as `model.predict_proba`, or what wraps one.

    Returns:
        Ascending thresholds, an array for each feature; None where the function belongs to nothing
        that gives them.

    Examples:
        >>> from sklearn.tree import DecisionTreeClassifier
        >>> model = DecisionTreeClassifier().fit([[0.0, 5.0], [1.0, 5.0]], [0, 1])
        >>> [one.tolist() for one in thresholds_of(model.predict_proba)]
        [[0.5], []]
    """
    model = getattr(inspect.unwrap(predict), "__self__", None)
    num_features = getattr(model, "n_features_in_", None)
    if not isinstance(num_features, int):
        return None
    read = next((read for knows, read in _KINDS if knows(model)), None)
    if read is None:
        return None
    found: dict[int, list[float]] = defaultdict(list)
    for feature, threshold in read(model):
        found[feature].append(threshold)
    return tuple(np.unique(np.array(found[place], float)) for place in range(num_features))


Splits = Iterator[tuple[int, float]]


def _tree(model: Any) -> Splits:
    tree = model.tree_
    inner = tree.children_left >= 0
    yield from zip(tree.feature[inner].tolist(), tree.threshold[inner].tolist(), strict=True)


def _ensemble(model: Any) -> Splits:
    trees = np.asarray(model.estimators_, object).ravel()
    # Bagging may give each tree features of its own.
    chosen = getattr(model, "estimators_features_", None)
    for place, tree in enumerate(trees):
        for feature, threshold in _tree(tree):
            yield (feature if chosen is None else int(chosen[place][feature])), threshold


def _are_trees(model: Any) -> bool:
    estimators = getattr(model, "estimators_", None)
    if estimators is None:
        return False
    return all(hasattr(one, "tree_") for one in np.asarray(estimators, object).ravel())


def _histogram(model: Any) -> Splits:
    # scikit-learn has no public way to the nodes of its histogram boosting
    for trees in model._predictors:
        for tree in trees:
            nodes = tree.nodes
            inner = nodes[(nodes["is_leaf"] == 0) & (nodes["is_categorical"] == 0)]
            pairs = inner["feature_idx"].tolist(), inner["num_threshold"].tolist()
            yield from ((f, t) for f, t in zip(*pairs, strict=True) if np.isfinite(t))


def _xgboost(model: Any) -> Splits:
    booster = model.get_booster()
    names = {name: place for place, name in enumerate(booster.feature_names or ())}
    waiting = [json.loads(text) for text in booster.get_dump(dump_format="json")]
    while waiting:
        node = waiting.pop()
        waiting += node.get("children", ())
        if "split" in node and isinstance(node["split_condition"], (int, float)):
            name = node["split"]
            place = names[name] if name in names else int(name.removeprefix("f"))
            yield place, float(node["split_condition"])


def _lightgbm(model: Any) -> Splits:
    waiting = [tree["tree_structure"] for tree in model.booster_.dump_model()["tree_info"]]
    while waiting:
        node = waiting.pop()
        waiting += [node[side] for side in ("left_child", "right_child") if side in node]
        if node.get("decision_type") == "<=":
            yield node["split_feature"], float(node["threshold"])


_KINDS: tuple[tuple[Callable[[Any], bool], Callable[[Any], Splits]], ...] = (
    (lambda model: hasattr(model, "get_booster"), _xgboost),
    (lambda model: hasattr(model, "booster_"), _lightgbm),
    (lambda model: hasattr(model, "_predictors"), _histogram),
    (lambda model: hasattr(model, "tree_"), _tree),
    (_are_trees, _ensemble),
)
"""What tells models of a kind, and how their splits are read."""
