"""A worker of `benchmarks.peers`: alibi's CounterfactualProto, for its own interpreter.

    python peer_alibi.py INPUT.npz OUTPUT.npz

The input holds images, training images, weights, jaxcf's outputs and settings (see
`peer_files.py`); the output counterfactuals, updates and seconds. Needs numpy, tensorflow and
alibi, nothing of jaxcf. alibi is called as its documentation's MNIST example does.
"""

import json
import sys
import time

import alibi  # pyright: ignore[reportMissingImports]
import numpy as np
import tensorflow as tf  # pyright: ignore[reportMissingImports, reportMissingModuleSource]
from alibi.explainers import CounterfactualProto  # pyright: ignore[reportMissingImports]

layers, Sequential = tf.keras.layers, tf.keras.Sequential


def classifier(arrays: dict[str, np.ndarray], shape: tuple[int, ...]) -> tf.keras.Model:
    """Two convolutions with pooling, one dense layer, probabilities."""
    model = Sequential([layers.InputLayer(shape)])
    for name in ("classifier/conv1", "classifier/conv2"):
        add_convolution(model, arrays, name)
        model.add(layers.MaxPooling2D(2))
        model.add(layers.ReLU())
    model.add(layers.Flatten())
    kernel, bias = weights(arrays, "classifier/dense")
    dense = layers.Dense(len(bias), activation="softmax")
    model.add(dense)
    dense.set_weights([kernel, bias])
    return model


def encoder(arrays: dict[str, np.ndarray], shape: tuple[int, ...]) -> tf.keras.Model:
    """Three convolutions down to the code."""
    model = Sequential([layers.InputLayer(shape)])
    if any(size % 4 for size in shape[:2]):
        model.add(layers.ZeroPadding2D(((0, -shape[0] % 4), (0, -shape[1] % 4))))
    for name in ("autoencoder/encoder_conv1", "autoencoder/encoder_conv2"):
        add_convolution(model, arrays, name)
        model.add(layers.MaxPooling2D(2))
        model.add(layers.ReLU())
    add_convolution(model, arrays, "autoencoder/encoder_conv3")
    return model


def decoder(arrays: dict[str, np.ndarray], shape: tuple[int, ...], code: tuple) -> tf.keras.Model:
    """Two transposed convolutions and a third back up to the image."""
    model = Sequential([layers.InputLayer(code)])
    for name in ("autoencoder/decoder_up1", "autoencoder/decoder_up2"):
        kernel, bias = weights(arrays, name)
        layer = layers.Conv2DTranspose(len(bias), 2, strides=2, activation="relu")
        model.add(layer)
        # Keras has the outputs of a transposed kernel before its inputs.
        layer.set_weights([kernel.transpose(0, 1, 3, 2), bias])
    add_convolution(model, arrays, "autoencoder/decoder_conv")
    model.add(layers.Activation("sigmoid"))
    surplus = (0, 4 * code[0] - shape[0]), (0, 4 * code[1] - shape[1])
    if any(end for _, end in surplus):
        model.add(layers.Cropping2D(surplus))
    return model


def add_convolution(model: tf.keras.Model, arrays: dict[str, np.ndarray], name: str) -> None:
    """Add a 3x3 convolution with zero padding and its weights."""
    kernel, bias = weights(arrays, name)
    layer = layers.Conv2D(len(bias), 3, padding="same")
    model.add(layer)
    layer.set_weights([kernel, bias])


def weights(arrays: dict[str, np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias of a layer."""
    return arrays[f"{name}/kernel"], arrays[f"{name}/bias"]


def check(outputs: dict[str, np.ndarray], arrays: dict[str, np.ndarray], tolerance: float) -> float:
    """The largest difference from jaxcf's own outputs.

    Raises:
        ValueError: if it is more than rounding.
    """
    differences = {
        name: float(np.abs(value - arrays[f"expected/{name}"]).max())
        for name, value in outputs.items()
    }
    if max(differences.values()) > tolerance:
        raise ValueError(f"tensorflow's networks differ from jaxcf's by up to {differences}")
    return max(differences.values())


def main(source: str, target: str) -> None:
    """Read, check, search under the clock, write."""
    # alibi's explainer is made of placeholders and sessions.
    tf.compat.v1.disable_v2_behavior()
    with np.load(source) as file:
        arrays = dict(file)
    settings = json.loads(arrays["settings"].tobytes())
    x, shape = arrays["x"], arrays["x"].shape[1:]

    predict = classifier(arrays, shape)
    encode = encoder(arrays, shape)
    decode = decoder(arrays, shape, encode.output_shape[1:])
    reconstruct = tf.keras.Model(encode.input, decode(encode.output))
    outputs = {
        "probabilities": predict.predict(x),
        "encoding": encode.predict(x),
        "reconstruction": reconstruct.predict(x),
    }
    difference = check(outputs, arrays, settings["tolerance"])

    began = time.perf_counter()
    explainer = CounterfactualProto(
        predict,
        shape=(1, *shape),
        kappa=settings["kappa"],
        beta=settings["beta"],
        gamma=settings["gamma"],
        theta=settings["theta"],
        ae_model=reconstruct,
        enc_model=encode,
        feature_range=(0.0, 1.0),
        c_init=settings["c"],
        c_steps=settings["c_steps"],
        max_iterations=settings["max_steps"],
        learning_rate_init=settings["learning_rate"],
    )
    explainer.fit(arrays["x_train"])
    setup = time.perf_counter() - began

    counterfactual, seconds = x.copy(), []
    processor = time.process_time()
    for row in range(len(x)):
        began = time.perf_counter()
        found = explainer.explain(x[row : row + 1], k=settings["k"]).cf
        seconds.append(time.perf_counter() - began)
        # alibi gives none where it found none: the original stays, which doesn't count as found.
        if found is not None:
            counterfactual[row] = found["X"][0]
    info = {
        "processor_seconds": time.process_time() - processor,
        "system": f"alibi {alibi.__version__}, tensorflow {tf.__version__}",
        "threads": None,
        "setup_seconds": setup,
        "largest_difference": difference,
    }
    np.savez(
        target,
        counterfactual=counterfactual,
        # It has no early end: every round takes all its updates.
        steps=np.full(len(x), settings["c_steps"] * settings["max_steps"]),
        seconds=np.array(seconds),
        info=np.frombuffer(json.dumps(info).encode(), np.uint8),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
