"""A worker of `benchmarks.alibi_tables`: alibi on rows of a table, for its own interpreter.

    python peer_alibi_table.py INPUT.npz OUTPUT.npz

The input holds encoded rows, training rows, the weights of dense layers and settings; the output
counterfactuals and seconds. Needs numpy, tensorflow and alibi, nothing of jaxcf. alibi is called
as its documentation's Adult example does.
"""

import json
import sys
import time

import alibi  # pyright: ignore[reportMissingImports]
import numpy as np
import tensorflow as tf  # pyright: ignore[reportMissingImports, reportMissingModuleSource]
from alibi.explainers import CounterfactualProto  # pyright: ignore[reportMissingImports]


def classifier(arrays: dict[str, np.ndarray], width: int) -> tf.keras.Model:
    """Dense layers with rectifiers in between, probabilities."""
    model = tf.keras.Sequential([tf.keras.layers.InputLayer((width,))])
    count = sum(name.endswith("/kernel") for name in arrays)
    for place in range(count):
        kernel, bias = arrays[f"dense{place}/kernel"], arrays[f"dense{place}/bias"]
        activation = "softmax" if place == count - 1 else "relu"
        layer = tf.keras.layers.Dense(len(bias), activation=activation)
        model.add(layer)
        layer.set_weights([kernel, bias])
    return model


def main(source: str, target: str) -> None:
    """Read, check, search under the clock, write."""
    # alibi's explainer is made of placeholders and sessions.
    tf.compat.v1.disable_v2_behavior()
    with np.load(source) as file:
        arrays = dict(file)
    settings = json.loads(arrays["settings"].tobytes())
    x, x_train = arrays["x"], arrays["x_train"]
    predict = classifier(arrays, x.shape[1])
    difference = float(np.abs(predict.predict(x) - arrays["expected/probabilities"]).max())
    if difference > settings["tolerance"]:
        raise ValueError(f"tensorflow's network differs from jaxcf's by up to {difference}")

    began = time.perf_counter()
    categories = {int(first): count for first, count in settings["categories"].items()}
    columns = x.shape[1] - sum(categories.values()) + len(categories)
    ends = np.zeros((1, columns), np.float32), np.ones((1, columns), np.float32)
    options = {"cat_vars": categories, "ohe": True} if categories else {}
    explainer = CounterfactualProto(
        predict,
        shape=(1, x.shape[1]),
        beta=settings["beta"],
        theta=settings["theta"],
        use_kdtree=True,
        feature_range=ends,
        c_init=settings["c"],
        c_steps=settings["c_steps"],
        max_iterations=settings["max_steps"],
        learning_rate_init=settings["learning_rate"],
        **options,
    )
    explainer.fit(x_train, **({"d_type": "abdm"} if categories else {}))
    setup = time.perf_counter() - began

    counterfactual, found, seconds = x.copy(), np.zeros(len(x), bool), []
    for row in range(len(x)):
        began = time.perf_counter()
        answer = explainer.explain(x[row : row + 1]).cf
        seconds.append(time.perf_counter() - began)
        if answer is not None:
            counterfactual[row], found[row] = answer["X"][0], True
    info = {
        "system": f"alibi {alibi.__version__}, tensorflow {tf.__version__}",
        "setup_seconds": setup,
        "largest_difference": difference,
    }
    np.savez(
        target,
        counterfactual=counterfactual,
        steps=np.full(len(x), settings["c_steps"] * settings["max_steps"]),
        seconds=np.array(seconds),
        info=np.frombuffer(json.dumps(info).encode(), np.uint8),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
