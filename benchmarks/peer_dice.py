"""A worker of `benchmarks.tables`: DiCE, for an interpreter that has dice-ml.

Needs numpy, pandas and dice-ml, nothing of jaxcf. DiCE is called as its documentation does, for one
counterfactual per row. It takes no "any other class": with more than two it is asked for the one
that the model finds second likeliest. Numbers may have as many decimals as the training rows'.
"""

from importlib.metadata import version
from typing import Any

import dice_ml  # pyright: ignore[reportMissingImports]
import numpy as np
import pandas as pd
from peer_asking import Asked, Explain, work

_LABEL = "label"
_MOST_DECIMALS = 6


class Served:
    """The model as DiCE asks scikit-learn's."""

    def __init__(self, asked: Asked, names: list[str]) -> None:
        self._asked, self._names = asked, names

    def predict_proba(self, table: pd.DataFrame) -> np.ndarray:
        """Probabilities `[n, classes]`."""
        return self._asked.predict(table[self._names].astype(np.float64).to_numpy())

    def predict(self, table: pd.DataFrame) -> np.ndarray:
        """Classes `[n]`."""
        return self.predict_proba(table).argmax(axis=1)


def prepare(asked: Asked) -> tuple[str, Explain]:
    """One of DiCE's methods that need no gradient, with its defaults."""
    names = [f"x{place}" for place in range(len(asked.columns))]
    categorical = set(asked.categorical)
    whole = {
        place
        for place, column in enumerate(asked.columns)
        if place in categorical or column["step"] == 1
    }

    def frame(values: np.ndarray) -> pd.DataFrame:
        table = pd.DataFrame(values, columns=names)
        table = table.astype({names[place]: np.int64 for place in sorted(whole)})
        return table.astype({names[place]: str for place in sorted(categorical)})

    numbers = [name for place, name in enumerate(names) if place not in categorical]
    known = frame(asked.x_train)
    known[_LABEL] = asked.y_train
    data = dice_ml.Data(
        dataframe=known,
        continuous_features=numbers,
        outcome_name=_LABEL,
        continuous_features_precision={
            name: 0 if place in whole else _decimals(asked.x_train[:, place])
            for place, name in enumerate(names)
            if place not in categorical
        },
    )
    model = dice_ml.Model(model=Served(asked, names), backend="sklearn", model_type="classifier")
    method = asked.settings["method"]
    explainer = dice_ml.Dice(data, model, method=method)
    highest = asked.x_train.max(axis=0)
    bound = any(asked.rules)

    def explain(values: np.ndarray) -> np.ndarray | None:
        likely = np.argsort(-asked.predict(values[None])[0])
        given: dict[str, Any] = {
            "desired_class": "opposite" if len(likely) == 2 else int(likely[1])
        }
        if method == "random":
            given["random_seed"] = 0
        if bound:
            frozen = {names[p] for p, word in enumerate(asked.rules) if word == "frozen"}
            given["features_to_vary"] = [name for name in names if name not in frozen]
            given["permitted_range"] = {
                names[place]: [int(values[place]), int(max(values[place], highest[place]))]
                for place, word in enumerate(asked.rules)
                if word == "increase"
            }
        result = explainer.generate_counterfactuals(frame(values[None]), total_CFs=1, **given)
        found = result.cf_examples_list[0].final_cfs_df
        if found is None or not len(found):
            return None
        return found[names].astype(np.float64).to_numpy()[0]

    return f"dice-ml {version('dice-ml')}", explain


def _decimals(column: np.ndarray) -> int:
    """How many decimals the numbers of a column have, up to six."""
    for count in range(_MOST_DECIMALS):
        if np.allclose(np.round(column, count), column, rtol=0, atol=1e-9):
            return count
    return _MOST_DECIMALS


if __name__ == "__main__":
    work(prepare)
