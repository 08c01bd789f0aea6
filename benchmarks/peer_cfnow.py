"""A worker of `benchmarks.tables`: cfnow, for an interpreter that has it.

Needs numpy, pandas and cfnow, nothing of jaxcf. cfnow takes categories as one-hot columns, whose
common beginning ends at an underscore, and is called as its documentation does.
"""

from importlib.metadata import version

import numpy as np
import pandas as pd
from cfnow import find_tabular  # pyright: ignore[reportMissingImports]
from peer_asking import Asked, Explain, work


def prepare(asked: Asked) -> tuple[str, Explain]:
    """One of cfnow's strategies, with its defaults."""
    counts = [column["categories"] for column in asked.columns]
    ends = np.cumsum([max(count, 1) for count in counts])
    blocks = [slice(end - max(count, 1), end) for count, end in zip(counts, ends, strict=True)]
    types = {}
    for place, count in enumerate(counts):
        if count:
            types |= {f"c{place}_{code}": "cat" for code in range(count)}
        else:
            types[f"n{place}"] = "num"

    def encode(values: np.ndarray) -> np.ndarray:
        row = np.zeros(len(types))
        for place, (count, block) in enumerate(zip(counts, blocks, strict=True)):
            row[block] = np.eye(count)[int(values[place])] if count else values[place]
        return row

    def decode(rows: np.ndarray) -> np.ndarray:
        columns = [
            rows[:, block].argmax(axis=1) if count else rows[:, block.start]
            for count, block in zip(counts, blocks, strict=True)
        ]
        return np.stack(columns, axis=1).astype(np.float64)

    def predict(rows: object) -> np.ndarray:
        return asked.predict(decode(np.atleast_2d(np.asarray(rows, np.float64))))

    def explain(values: np.ndarray) -> np.ndarray | None:
        found = find_tabular(
            factual=pd.Series(encode(values), index=list(types)),
            model_predict_proba=predict,
            feat_types=types,
            has_ohe=any(counts),
            cf_strategy=asked.settings["strategy"],
        )
        if not len(found.cfs):
            return None
        row = np.asarray(found.cfs[0], np.float64)
        answer = decode(row[None])[0]
        # A block that isn't exactly one-hot stands for no category.
        for place, (count, block) in enumerate(zip(counts, blocks, strict=True)):
            if count and sorted(row[block]) != [0.0] * (count - 1) + [1.0]:
                answer[place] = np.nan
        return answer

    return f"cfnow {version('cfnow')}", explain


if __name__ == "__main__":
    work(prepare)
