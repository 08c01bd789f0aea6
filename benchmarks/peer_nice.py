"""A worker of `benchmarks.tables`: NICE, for an interpreter with NICEx (and scipy, which it uses).

Needs numpy and nice, nothing of jaxcf. NICE is called as its page on the package index does, with
"justified" neighbours: training rows that the model decides rightly. But for the reward "sparsity"
it fails where several classes will do, so it is asked for the one that the model finds second
likeliest.
"""

from collections.abc import Callable
from importlib.metadata import version

import numpy as np
from nice import NICE  # pyright: ignore[reportMissingImports]
from peer_asking import Asked, Explain, work


def prepare(asked: Asked) -> tuple[str, Explain]:
    """NICE with one of its rewards."""
    optimization = asked.settings["optimization"]
    explainer = NICE(
        predict_fn=asked.predict,
        X_train=asked.x_train.copy(),
        y_train=asked.y_train,
        cat_feat=asked.categorical,
        num_feat="auto",
        optimization=optimization,
        auto_encoder=reconstruction_error(asked) if optimization == "plausibility" else None,
    )

    def explain(values: np.ndarray) -> np.ndarray:
        if optimization == "sparsity":
            return explainer.explain(values[None])[0]
        likely = np.argsort(-asked.predict(values[None])[0])
        return explainer.explain(values[None], target_class=[int(likely[1])])[0]

    return f"NICEx {version('NICEx')}", explain


def reconstruction_error(asked: Asked) -> Callable[[np.ndarray], np.ndarray]:
    """What an autoencoder loses of rows: a linear one, the principal components of 90 %.

    NICE leaves the autoencoder to the caller; this needs no further library, and numbers count in
    deviations, categories as one-hot entries.
    """
    categorical = set(asked.categorical)
    spread = asked.x_train.std(axis=0)
    spread[spread == 0] = 1

    def encoded(rows: np.ndarray) -> np.ndarray:
        blocks = [
            np.eye(column["categories"])[rows[:, place].astype(int)]
            if place in categorical
            else rows[:, place : place + 1] / spread[place]
            for place, column in enumerate(asked.columns)
        ]
        return np.concatenate(blocks, axis=1)

    known = encoded(asked.x_train)
    centre = known.mean(axis=0)
    _, sizes, directions = np.linalg.svd(known - centre, full_matrices=False)
    share = np.cumsum(sizes**2) / np.sum(sizes**2)
    kept = directions[: int(np.searchsorted(share, 0.9)) + 1]

    def error(rows: np.ndarray) -> np.ndarray:
        apart = encoded(rows) - centre
        return np.square(apart - apart @ kept.T @ kept).mean(axis=1)

    return error


if __name__ == "__main__":
    work(prepare)
