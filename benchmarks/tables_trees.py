"""Ensembles of decision trees as arrays over the columns of a table, for several libraries.

A peer that reads trees instead of asking a model gets these, with splits of one-hot entries written
as splits of the column that they stand for.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from jaxcf.tabular import Numeric, Schema

_MOST_CODES = 64


@dataclass(frozen=True)
class Trees:
    """A sum of trees over the values of a table's columns; arrays have one entry per node.

    A number goes left where it is at most the threshold, a category where its bit is set.

    Attributes:
        column: place of the column that is split; -1 for a leaf.
        threshold: of a number.
        left_codes: uint64, bit k for the category k; 0 for a number.
        left: the node that follows.
        right: likewise.
        value: of a leaf.
        roots: one node per tree.
        base: what the values of the leaves are added to.
        boundary: above this score the model decides for the second class.
    """

    column: np.ndarray
    threshold: np.ndarray
    left_codes: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    roots: np.ndarray
    base: np.ndarray
    boundary: np.ndarray

    def score(self, values: np.ndarray) -> np.ndarray:
        """The sum of the leaves `[n]` that rows `[n, columns]` of values end in."""
        rows = np.arange(len(values))[:, None]
        node = np.broadcast_to(self.roots, (len(values), len(self.roots)))
        while True:
            column = self.column[node]
            inner = column >= 0
            if not inner.any():
                return self.base + self.value[node].sum(axis=1)
            here = values[rows, np.maximum(column, 0)]
            codes = self.left_codes[node]
            known = (codes >> here.astype(np.int64).clip(0, _MOST_CODES - 1).astype(np.uint64)) & 1
            goes_left = np.where(codes > 0, known > 0, here <= self.threshold[node])
            node = np.where(inner, np.where(goes_left, self.left[node], self.right[node]), node)


def trees_of(model: Any, schema: Schema) -> Trees | None:
    """The trees of a fitted scikit-learn model of two classes, of the encoded table in its units.

    Args:
        model: of the encoded table; its score is the second class's share of the trees' votes
            (forests) or its log-odds (boosting).
        schema: of the table, with scaling "original".

    Returns:
        The trees; None for other models, more classes, or more categories than there are bits.
    """
    most = max(len(getattr(column, "categories", ())) for column in schema.columns)
    if len(getattr(model, "classes_", ())) != 2 or most > _MOST_CODES:
        return None
    if isinstance(model, RandomForestClassifier):
        share = 1.0 / len(model.estimators_)
        parts = [_of_forest(one.tree_, share) for one in model.estimators_]
        return _joined(parts, schema, base=0.0, boundary=0.5)
    if isinstance(model, HistGradientBoostingClassifier):
        # scikit-learn keeps the trees of a boosting behind underscores only.
        inside: Any = model
        parts = [_of_boosting(one[0].nodes) for one in inside._predictors]
        base = float(np.ravel(inside._baseline_prediction)[0])
        return _joined(parts, schema, base=base, boundary=0.0)
    return None


def _of_forest(tree: Any, share: float) -> dict[str, np.ndarray]:
    counts = tree.value[:, 0]
    leaf = tree.children_left < 0
    return {
        "entry": np.where(leaf, -1, tree.feature),
        "threshold": tree.threshold,
        "left": tree.children_left,
        "right": tree.children_right,
        "value": np.where(leaf, share * counts[:, 1] / counts.sum(axis=1), 0.0),
    }


def _of_boosting(nodes: np.ndarray) -> dict[str, np.ndarray]:
    leaf = nodes["is_leaf"].astype(bool)
    return {
        "entry": np.where(leaf, -1, nodes["feature_idx"].astype(np.int64)),
        "threshold": nodes["num_threshold"],
        "left": nodes["left"].astype(np.int64),
        "right": nodes["right"].astype(np.int64),
        "value": np.where(leaf, nodes["value"], 0.0),
    }


def _joined(
    parts: list[dict[str, np.ndarray]], schema: Schema, *, base: float, boundary: float
) -> Trees:
    sizes = [len(part["entry"]) for part in parts]
    starts = np.cumsum([0, *sizes[:-1]])
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    offset = np.repeat(starts, sizes)
    entry = whole["entry"]
    column_of, code_of = _entries(schema)
    column = np.where(entry < 0, -1, column_of[entry])
    code = np.where(entry < 0, -1, code_of[entry])
    # An entry of a block is 0 or 1: what isn't above the threshold are all other categories.
    counts = [len(getattr(one, "categories", ())) for one in schema.columns]
    every = np.array([(1 << count) - 1 for count in counts], np.uint64)[column]
    bit = np.uint64(1) << np.maximum(code, 0).astype(np.uint64)
    return Trees(
        column=column,
        threshold=whole["threshold"],
        left_codes=np.where(code < 0, np.uint64(0), every & ~bit),
        left=whole["left"] + offset,
        right=whole["right"] + offset,
        value=whole["value"],
        roots=starts,
        base=np.array(base),
        boundary=np.array(boundary),
    )


def _entries(schema: Schema) -> tuple[np.ndarray, np.ndarray]:
    """For each entry of the encoded table its column, and its category, -1 for a number."""
    column, code = np.zeros(schema.width, np.int64), np.full(schema.width, -1)
    for place, (one, positions) in enumerate(zip(schema.columns, schema.positions, strict=True)):
        column[list(positions)] = place
        if not isinstance(one, Numeric):
            code[list(positions)] = np.arange(len(positions))
    return column, code
