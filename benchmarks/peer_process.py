"""Peers of jaxcf, each run by its own interpreter: what they are given and what they give back.

The exchange is one npz file in each direction, so that no library has to stand beside another.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx, traverse_util

from jaxcf import Explanations
from jaxcf.models import ConvolutionalAutoencoder, ConvolutionalClassifier, ModelSet

TOLERANCE = 1e-4
"""How far a peer's networks may be from jaxcf's: rounding, but no wrong layout."""

_LAST_LINES = 15


@dataclass(frozen=True)
class Peer:
    """Another implementation, and how it is asked.

    Attributes:
        label: its name in tables.
        module: what its interpreter must be able to import.
        script: the worker's file beside this one.
        python: the interpreter, None where there is none.
        missing: what to say then.
        solver: its step rule, in words.
        stop: when it ends, in words.
        settings: what the worker is told.
    """

    label: str
    module: str
    script: str
    python: str | None
    missing: str
    solver: str
    stop: str
    settings: dict[str, Any]


@dataclass(frozen=True)
class PeerResult:
    """What a worker wrote.

    Attributes:
        counterfactual: `[n, *shape]`.
        steps: `[n]`, updates.
        seconds: one number per call: per row, or one for a whole batch.
        info: the worker's versions, threads and set-up time.
    """

    counterfactual: np.ndarray
    steps: np.ndarray
    seconds: np.ndarray
    info: dict[str, Any]


def torch_interpreter(given: str | None) -> str | None:
    """The interpreter asked for, or this one if it has torch, or none."""
    if given is None and importlib.util.find_spec("torch") is not None:
        return sys.executable
    return given


def exchanged(
    models: ModelSet, explanations: Explanations, x_train: np.ndarray
) -> dict[str, np.ndarray]:
    """Everything a worker may need: images, prototypes, weights, and jaxcf's own outputs.

    Args:
        models: convolutional networks.
        explanations: of the images; the prototypes are taken from them.
        x_train: `[n, *shape]`, for peers that make prototypes of their own.

    Returns:
        Arrays by name, weights in jaxcf's layouts as `network/layer/kernel` and `/bias`.

    Raises:
        ValueError: if the networks aren't convolutional.
    """
    classifier, autoencoder = models.classifier, models.autoencoder
    if not isinstance(classifier, ConvolutionalClassifier) or not isinstance(
        autoencoder, ConvolutionalAutoencoder
    ):
        raise ValueError(
            f"the networks are a {type(classifier).__name__} and a {type(autoencoder).__name__}, "
            "but the peers' workers know convolutional ones only; choose --data mnist or digits"
        )
    networks = {"classifier": classifier, "autoencoder": autoencoder}
    x = explanations.original
    logits = models.predict(x)
    encode = nnx.jit(ConvolutionalAutoencoder.encode)
    return {
        "x": x,
        "x_train": x_train,
        "prototypes": explanations.prototype,
        "original_class": explanations.original_class,
        "expected/logits": np.asarray(logits),
        "expected/probabilities": np.asarray(jax.nn.softmax(logits)),
        "expected/encoding": np.asarray(encode(autoencoder, jnp.asarray(x))),
        "expected/reconstruction": np.asarray(models.reconstruct(x)),
        **{
            f"{name}/{layer}": np.asarray(array)
            for name, network in networks.items()
            for layer, array in _flat_weights(network).items()
        },
    }


def _flat_weights(network: nnx.Module) -> dict[str, Any]:
    return traverse_util.flatten_dict(nnx.to_pure_dict(nnx.state(network)), sep="/")


def dense_layers(network: nnx.Module) -> dict[str, np.ndarray]:
    """The weights of a network of dense layers, as `dense0/kernel`, `dense0/bias`, `dense1/...`."""
    flat = _flat_weights(network)
    layers = sorted({name.rpartition("/")[0] for name in flat})
    return {
        f"dense{place}/{kind}": np.asarray(flat[f"{layer}/{kind}"])
        for place, layer in enumerate(layers)
        for kind in ("kernel", "bias")
    }


def check_interpreter(peer: Peer) -> None:
    """Find out before anything is measured whether a peer's interpreter can import it.

    Raises:
        RuntimeError: if it can't; the message ends with the interpreter's own.
    """
    _call(peer, [str(peer.python), "-c", f"import {peer.module}"])


def run(peer: Peer, arrays: dict[str, np.ndarray]) -> PeerResult:
    """Run a peer's worker and read what it wrote.

    Args:
        peer: one that has an interpreter.
        arrays: what `exchanged` made.

    Returns:
        Its result.

    Raises:
        RuntimeError: if the worker failed; the message ends with the worker's own.
    """
    worker = Path(__file__).parent / peer.script
    settings = json.dumps(peer.settings | {"tolerance": TOLERANCE}).encode()
    content: dict[str, Any] = arrays | {"settings": np.frombuffer(settings, np.uint8)}
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "input.npz", Path(folder) / "output.npz"
        np.savez(source, **content)
        command = [str(peer.python), str(worker), str(source), str(target)]
        _call(peer, command)
        with np.load(target, allow_pickle=False) as file:
            written = dict(file)
    return PeerResult(
        counterfactual=written["counterfactual"],
        steps=written["steps"],
        seconds=written["seconds"],
        info=json.loads(written["info"].tobytes()),
    )


def _call(peer: Peer, command: list[str]) -> None:
    # Tensorflow logs at length what hardware it doesn't find.
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        ended = subprocess.run(command, capture_output=True, text=True, env=environment)
    except OSError as error:
        raise RuntimeError(f"{peer.label}: can't start {command[0]}: {error}") from error
    if ended.returncode:
        said = "\n".join(ended.stderr.strip().splitlines()[-_LAST_LINES:])
        raise RuntimeError(f"{peer.label} failed ({' '.join(command[:2])}):\n{said}")
