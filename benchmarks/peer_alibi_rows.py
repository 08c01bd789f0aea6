"""A worker of `benchmarks.tables`: alibi's CounterfactualProto, for an interpreter that has alibi.

Needs numpy, tensorflow and alibi, nothing of jaxcf. alibi is called as its documentation's Adult
example does: numbers scaled to [0, 1] in front, categories as one-hot entries, a k-d tree. Of a
network it gets the weights, and so its gradient; of other models the predictions, and then
estimates one, for which numbers aren't rounded before the model is asked.
"""

from typing import Any

import alibi  # pyright: ignore[reportMissingImports]
import numpy as np
import tensorflow as tf  # pyright: ignore[reportMissingImports, reportMissingModuleSource]
from alibi.explainers import CounterfactualProto  # pyright: ignore[reportMissingImports]
from peer_alibi_table import classifier
from peer_asking import Asked, Explain, work

# Its distances between categories take minutes on all of Adult.
_TRAIN_ROWS = 5000
_ROUNDING = 1e-6


class Encoding:
    """Values as alibi takes them, and back."""

    def __init__(self, asked: Asked) -> None:
        self.categorical = asked.categorical
        every = range(len(asked.columns))
        self.numeric = [place for place in every if place not in self.categorical]
        self.counts = [asked.columns[place]["categories"] for place in self.categorical]
        known = asked.x_train[:, self.numeric]
        self.lower = known.min(axis=0)
        span = known.max(axis=0) - self.lower
        self.scale = np.where(span > 0, span, 1.0)
        starts = np.cumsum([len(self.numeric), *self.counts])
        self.width = int(starts[-1])
        self.blocks = dict(zip(starts[:-1].tolist(), self.counts, strict=True))

    def encode(self, values: np.ndarray) -> np.ndarray:
        """`[n, width]` of values `[n, columns]`."""
        numbers = (values[:, self.numeric] - self.lower) / self.scale
        places = zip(self.categorical, self.counts, strict=True)
        blocks = [np.eye(count)[values[:, place].astype(int)] for place, count in places]
        return np.concatenate([numbers, *blocks], axis=1).astype(np.float32)

    def decode(self, rows: np.ndarray) -> np.ndarray:
        """The values `[n, columns]` of rows `[n, width]`."""
        values = np.zeros((len(rows), len(self.numeric) + len(self.categorical)))
        values[:, self.numeric] = rows[:, : len(self.numeric)] * self.scale + self.lower
        for place, (start, count) in zip(self.categorical, self.blocks.items(), strict=True):
            values[:, place] = rows[:, start : start + count].argmax(axis=1)
        return values

    def order(self, asked: Asked) -> np.ndarray:
        """For each entry here its place in the model's own encoding, column after column."""
        widths = [max(column["categories"], 1) for column in asked.columns]
        starts = np.cumsum([0, *widths[:-1]])
        columns = [*self.numeric, *self.categorical]
        return np.concatenate([np.arange(widths[c]) + starts[c] for c in columns])


def prepare(asked: Asked) -> tuple[str, Explain]:
    """CounterfactualProto with the settings of alibi's example."""
    # alibi's explainer is made of placeholders and sessions.
    tf.compat.v1.disable_v2_behavior()
    encoding = Encoding(asked)
    known = encoding.encode(asked.x_train[:_TRAIN_ROWS])
    weights = {name: array for name, array in asked.further.items() if name.startswith("dense")}
    predict: Any = lambda rows: asked.predict_between(encoding.decode(rows))  # noqa: E731
    if weights:
        weights["dense0/kernel"] = weights["dense0/kernel"][encoding.order(asked)]
        predict = classifier(weights, encoding.width)
        check(predict, asked, encoding)
    columns = len(asked.columns)
    ends = np.zeros((1, columns), np.float32), np.ones((1, columns), np.float32)
    options = {"cat_vars": encoding.blocks, "ohe": True} if encoding.blocks else {}
    explainer = CounterfactualProto(
        predict,
        shape=(1, encoding.width),
        use_kdtree=True,
        feature_range=ends,
        **options,
        **asked.settings["options"],
    )
    explainer.fit(known, **({"d_type": "abdm"} if encoding.blocks else {}))

    def explain(values: np.ndarray) -> np.ndarray | None:
        found = explainer.explain(encoding.encode(values[None])).cf
        if found is None:
            return None
        row = found["X"][:1]
        answer = encoding.decode(row)[0]
        # Scaled and back again, what stayed is another number in the last digits.
        numbers = slice(len(encoding.numeric))
        stayed = np.abs(row - encoding.encode(values[None]))[0, numbers] <= _ROUNDING
        kept = np.array(encoding.numeric, int)[stayed]
        answer[kept] = values[kept]
        for place, (start, count) in zip(
            encoding.categorical, encoding.blocks.items(), strict=True
        ):
            if sorted(row[0, start : start + count]) != [0.0] * (count - 1) + [1.0]:
                answer[place] = np.nan
        return answer

    return f"alibi {alibi.__version__}, tensorflow {tf.__version__}", explain


def check(network: Any, asked: Asked, encoding: Encoding) -> None:
    """Stop where the rebuilt network isn't the explained one."""
    some = asked.x_train[:20]
    difference = np.abs(network.predict(encoding.encode(some)) - asked.predict(some)).max()
    if difference > asked.settings["tolerance"]:
        raise ValueError(f"tensorflow's network differs from jaxcf's by up to {difference}")


if __name__ == "__main__":
    work(prepare)
