"""A worker of `benchmarks.tables`: treecf, for an interpreter that has it.

    python peer_treecf.py demo      writes the rows and trees of treecf's own demonstration instead

Needs numpy and treecf, nothing of jaxcf. treecf reads trees instead of asking a model: it gets
those of the model, over the columns of the table.
"""

import sys
import warnings
from typing import Any

import numpy as np
import treecf  # pyright: ignore[reportMissingImports]
from peer_asking import Asked, Explain, packed, work
from treecf.datasets import (  # pyright: ignore[reportMissingImports]
    OCCUPATIONS,
    credit_demo,
)
from treecf.ir.evaluate import raw_score_batch  # pyright: ignore[reportMissingImports]
from treecf.ir.flatten import flatten_ir  # pyright: ignore[reportMissingImports]
from treecf.ir.model import (  # pyright: ignore[reportMissingImports]
    CategoricalFeature,
    EnsembleIR,
    Link,
    Node,
    SplitOp,
    Tree,
)
from treecf.ir.parsers._float32 import (  # pyright: ignore[reportMissingImports]
    effective_le_threshold,
)

_DEMO_ROWS = 1000
_CHECKED_ROWS = 200
# Sums of leaves in another order differ by as much.
_CLEARLY = 1e-9


def prepare(asked: Asked) -> tuple[str, Explain]:
    """The genetic search of treecf, or its exact one with some seconds per row."""
    trees = {
        name.removeprefix("trees/"): array
        for name, array in asked.further.items()
        if name.startswith("trees/")
    }
    names = tuple(f"x{place}" for place in range(len(asked.columns)))
    model = EnsembleIR(
        trees=tuple(ensemble(trees)),
        base_score=float(trees["base"]),
        link=Link.IDENTITY,
        n_features=len(names),
        feature_names=names,
        meta={},
        categorical={
            place: CategoricalFeature(asked.columns[place]["categories"])
            for place in asked.categorical
        },
    )
    check(model, float(trees["boundary"]), asked)
    limits = {
        "frozen": treecf.Freeze,
        "increase": lambda name: treecf.Monotone(name, "increase"),
    }
    explainer = treecf.Explainer(
        model,
        background=asked.x_train,
        constraints=[
            limits[word](name) for name, word in zip(names, asked.rules, strict=True) if word
        ],
        value_policy={
            name: treecf.Grid(column["step"])
            for name, column in zip(names, asked.columns, strict=True)
            if column["step"]
        },
    )
    boundary = float(trees["boundary"])
    above = treecf.Target.raw(op=">=", value=boundary + _CLEARLY)
    below = treecf.Target.raw(op="<=", value=boundary - _CLEARLY)
    given = asked.settings["options"]

    def explain(values: np.ndarray) -> np.ndarray | None:
        second = asked.predict(values[None])[0].argmax() == 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", treecf.TreecfWarning)  # a proof that took too long
            found = explainer.explain(values, target=below if second else above, seed=0, **given)
        return found.x_cf if isinstance(found, treecf.Counterfactual) else None

    return f"treecf {treecf.__version__}", explain


def check(model: EnsembleIR, boundary: float, asked: Asked) -> None:
    """Stop where the trees don't decide as the explained model does."""
    some = asked.x_train[:_CHECKED_ROWS]
    decided = raw_score_batch(model, some) > boundary
    differ = int((decided != asked.predict(some).argmax(axis=1)).sum())
    if differ:
        raise ValueError(f"treecf's trees decide otherwise than the model for {differ} rows")


def ensemble(trees: dict[str, np.ndarray]) -> list[Tree]:
    """Trees as treecf has them: numbers are compared as float32, as the model's own are."""
    ends = [*trees["roots"][1:], len(trees["column"])]
    lists = {name: trees[name].tolist() for name in ("column", "threshold", "left_codes", "left")}
    lists |= {name: trees[name].tolist() for name in ("right", "value")}
    return [
        Tree(tuple(_node(lists, int(root), at) for at in range(int(root), int(end))))
        for root, end in zip(trees["roots"], ends, strict=True)
    ]


def _node(trees: dict[str, list[Any]], root: int, at: int) -> Node:
    column, codes = trees["column"][at], trees["left_codes"][at]
    if column < 0:
        return Node(at - root, None, None, None, None, None, None, trees["value"][at])
    return Node(
        node_id=at - root,
        feature=column,
        threshold=None if codes else effective_le_threshold(trees["threshold"][at]),
        op=None if codes else SplitOp.LE,
        missing_left=False,
        left=trees["left"][at] - root,
        right=trees["right"][at] - root,
        value=None,
        categories=frozenset(k for k in range(codes.bit_length()) if codes >> k & 1)
        if codes
        else None,
    )


def demonstration() -> bytes:
    """The rows of `credit_demo`, and its trees as those of `tables_trees.py`."""
    model, rows, _ = credit_demo(n=_DEMO_ROWS)
    flat = flatten_ir(model)
    split = flat["feature"] >= 0
    sets = flat["node_set"] >= 0
    words = flat["set_words"]
    first = flat["set_offsets"][np.where(sets, flat["node_set"], 0)]
    trees = {
        "column": flat["feature"].astype(np.int64),
        "threshold": flat["threshold"],
        "left_codes": np.where(sets, words[np.minimum(first, len(words) - 1)], np.uint64(0)),
        "left": np.where(split, flat["left"], 0).astype(np.int64),
        "right": np.where(split, flat["right"], 0).astype(np.int64),
        "value": flat["value"],
        "roots": flat["tree_roots"].astype(np.int64),
        "base": np.array(flat["base_score"]),
    }
    description = {"names": list(model.feature_names), "occupations": list(OCCUPATIONS)}
    return packed(description, rows=rows, **trees)


if __name__ == "__main__":
    if sys.argv[1:] == ["demo"]:
        sys.stdout.buffer.write(demonstration())
    else:
        work(prepare)
