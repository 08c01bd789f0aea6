"""Guides: robust classifiers that must agree with the explained one on a counterfactual's class.

What moves an image over a robust classifier's boundary are features that people see, so with one
beside it a search no longer finds what is adversarial to the explained classifier alone.
"""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, ArrayLike, Float, Int

from jaxcf.data.dataset import Dataset
from jaxcf.data.splitting import stratified_split
from jaxcf.models.adversary import Adversary, robust_accuracy, usual_radius
from jaxcf.models.augmentation import is_photograph, usual_augmentation
from jaxcf.models.functions import ModelFunction, call
from jaxcf.models.network_files import format_of, open_networks, restore, write_networks
from jaxcf.models.networks.registry import RobustNetwork
from jaxcf.models.recipes import described, residual_widths
from jaxcf.models.training import OnProgress, train_classifier
from jaxcf.models.training_loop import apply_in_batches
from jaxcf.models.weights import load_shipped, shipped
from jaxcf.utils.validation import check_labels

CONFIDENCE_QUANTILES = {"strokes": 0.5, "photographs": 0.75}
"""Which quantile of the probabilities of held-out images a counterfactual must reach.

A guide's `confidence` is the quantile, over held-out training images that the guide reads rightly,
of the probability that it gives to their class: so much as is usual for real images. How sure a
robust classifier is depends on its radius and training, which this takes out. Of photographs, which
it reads less well, the usual is not enough for judges: chosen on CIFAR-10's test images 0-499.
"""

_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
# So that log-odds are finite.
_LEAST_CONFIDENT, _MOST_CONFIDENT = 1e-6, 1 - 1e-6

_RANGES = {
    "confidence": (_LEAST_CONFIDENT, _MOST_CONFIDENT),
    "radius": (np.finfo(np.float32).tiny, np.finfo(np.float32).max),
    "accuracy": (0, 1),
    "robust_accuracy": (0, 1),
}
"""The numbers that are known of every guide."""

_CONTENT = "guide"
GUIDE_FORMAT = format_of(_CONTENT)
"""What a file of a guide says that it is."""
_NETWORK = "guide"

_BATCH_SIZE = 128
_LEARNING_RATE = 4e-3
# Few images that are seen more often than this are learnt by heart, and their guide convinces less.
_MOST_PASSES = 30
# Held out of the training rows: a tenth, and no more than tell a quantile well.
_HELD_OUT_SHARE, _MOST_HELD_OUT = 0.1, 5000
# Images that robust accuracy is measured on: it is known to two points, in a few seconds.
_ROBUST_ROWS = 1000


@dataclass(frozen=True, eq=False)
class GuideNetwork:
    """A robust classifier and how sure of a class it is of real images.

    Args:
        name: What to call it.
        network: A classifier with `features` and `head`.
        confidence: The probability of the new class that a counterfactual must reach, in (0, 1).
        radius: How far images were moved against it at most, as an L2 distance.
        accuracy: Share of test rows that it reads rightly.
        robust_accuracy: That share once ten steps have moved each by up to `radius`.
        metadata: JSON-able: the data, the training settings, what the numbers were measured on.

    Examples:
        >>> from flax import nnx
        >>> from jaxcf.models.networks.blocks import BlockClassifier
        >>> network = BlockClassifier((8, 8, 1), 10, rngs=nnx.Rngs(0))
        >>> guide = GuideNetwork("digits", network, 0.9, 0.6, 0.98, 0.7)
        >>> sorted(guide.functions())
        ['confidence', 'name', 'output', 'params', 'predict']
    """

    name: str
    network: RobustNetwork
    confidence: float
    radius: float
    accuracy: float
    robust_accuracy: float
    metadata: dict[str, Any] = field(default_factory=dict)

    def functions(self) -> dict[str, Any]:
        """The guide as a pure function with its weights, to splat into a `Guide`.

        Returns:
            `predict`, called `f(params, x)`; `params`, which holds the weights by name; `output`,
            which says that `predict` returns logits; `confidence` and `name`.
        """
        return {
            "predict": ModelFunction.of(self.network, _NETWORK),
            "params": {_NETWORK: nnx.state(self.network)},
            "output": "logits",
            "confidence": self.confidence,
            "name": self.name,
        }

    def predict(self, x: Float[ArrayLike, "n *shape"]) -> Float[Array, "n classes"]:
        """Logits of a batch, compiled."""
        return call(self.network, x)

    def features(self, x: Float[ArrayLike, "n *shape"]) -> Float[Array, "n features"]:
        """The last layer but one for a batch, compiled."""
        return call(self.network, x, "features")


class _Recipe(NamedTuple):
    """How a guide is trained.

    Attributes:
        architecture: What to build.
        attack_steps: Of the adversary.
        updates: On MNIST half as many more make it more accurate and more robust, but what is found
            with it at a like distance convinces judges no better.
        quick_updates: Likewise, for those who can't wait.
        weight_decay: Of the kernels.
    """

    architecture: dict[str, Any]
    attack_steps: int
    updates: int
    quick_updates: int
    weight_decay: float = 0.0


def train_guide(
    dataset: Dataset,
    *,
    seed: int = 0,
    radius: float | None = None,
    quick: bool = False,
    on_progress: OnProgress | None = None,
) -> GuideNetwork:
    """Train a robust classifier on images that are moved against it as it learns.

    `minimise mean_n max_{|d|_2 <= radius} cross_entropy(network(x_n + d), y_n)`, the maximum by a
    few steps (Madry et al. 2018), the radius growing during the first 30 % of the updates.

    Images of three channels and 16 pixels a side or more are taken for photographs: they get a
    `SmoothResidualClassifier`, which sees them shifted and mirrored at random, then moved by one
    step; others get a `BlockClassifier`, which sees them moved by three steps.

    A tenth of the training rows, 5,000 at most, is held out to choose the `confidence`: the median
    (of photographs the upper quartile) of the probability of their class over those that the guide
    reads rightly (see `CONFIDENCE_QUANTILES`). Its weights are rounded to half precision, which
    halves the file.

    Args:
        dataset: Images.
        seed: Seed of the held-out rows, the initial weights, and the order of the rows.
        radius: How far images are moved at most, as an L2 distance; None takes `usual_radius` of
            the training rows: 2.0 for MNIST, 0.63 for digits, 0.61 for CIFAR-10.
        quick: Whether to train in a tenth of the time, or less: less robust, and less sure.
        on_progress: Called after each epoch with the stage, the epoch (from 1), the number of
            epochs, and the loss.

    Returns:
        The guide; its metadata state the data, the settings, the accuracy on test rows (on
        held-out rows where there are none) before and after ten steps against it, and quantiles of
        the probabilities of held-out rows.

    Raises:
        ValueError: If the data set holds no images, the radius isn't positive or can't be told,
            rows and labels don't fit each other, or the guide reads no held-out row rightly.

    Examples:
        >>> from jaxcf.data import load
        >>> guide = train_guide(load("digits").first(train=300, test=100), quick=True)
        >>> 0.1 < guide.confidence < 1
        True
    """
    if dataset.kind != "image" or len(dataset.shape) != 3:
        raise ValueError(
            f"the data set is of kind {dataset.kind!r} with rows of shape {dataset.shape}: "
            "expected 'image' with (height, width, channels)"
        )
    began = perf_counter()
    check_labels(dataset.y_train, len(dataset.x_train), dataset.num_classes)
    check_labels(dataset.y_test, len(dataset.x_test), dataset.num_classes)
    given = radius is not None
    radius = float(radius) if given else usual_radius(dataset.x_train, dataset.y_train)
    recipe = _recipe(dataset.shape, dataset.num_classes)
    adversary = Adversary(radius, steps=recipe.attack_steps)
    share = min(_HELD_OUT_SHARE, _MOST_HELD_OUT / len(dataset.x_train))
    rows, held_out = stratified_split(dataset.y_train, test_fraction=share, seed=seed)
    updates = recipe.updates
    if quick:
        updates = recipe.quick_updates
        rows = rows[: updates * _BATCH_SIZE]

    def report(_: str, epoch: int, epochs: int, loss: float) -> None:
        if on_progress is not None:
            on_progress("guide", epoch, epochs, loss)

    trained, info = train_classifier(
        dataset.x_train[rows],
        dataset.y_train[rows],
        recipe.architecture,
        seed=seed,
        epochs=min(max(1, round(updates / -(-len(rows) // _BATCH_SIZE))), _MOST_PASSES),
        batch_size=_BATCH_SIZE,
        learning_rate=_LEARNING_RATE,
        weight_decay=recipe.weight_decay,
        augmentation=usual_augmentation(dataset.shape),
        adversary=adversary,
        on_progress=report,
    )
    network = _in_half_precision(cast(RobustNetwork, trained))
    probability, right = _probabilities(
        network, dataset.x_train[held_out], dataset.y_train[held_out]
    )
    if not right.any():
        raise ValueError(
            f"the guide reads none of {len(held_out)} held-out rows rightly: expected rows that "
            f"tell their class at radius {radius:g}; give a smaller radius, more rows, or more time"
        )
    x, y = dataset.x_test, dataset.y_test
    measured_on = "test rows"
    if not len(x):
        x, y = dataset.x_train[held_out], dataset.y_train[held_out]
        measured_on = "held-out rows"
    robust_rows = min(len(x), _ROBUST_ROWS)
    return GuideNetwork(
        f"{dataset.name} guide",
        network,
        confidence_of(probability[right], dataset.shape),
        radius,
        float(_probabilities(network, x, y)[1].mean()),
        robust_accuracy(network, x[:robust_rows], y[:robust_rows], radius=radius, seed=seed),
        {
            "data": described(dataset),
            "radius_given": given,
            "measured_on": measured_on,
            "rows": len(x),
            "robust_rows": robust_rows,
            "held_out_rows": len(held_out),
            "held_out_right": int(right.sum()),
            "confidence_quantile": _quantile(dataset.shape),
            "held_out_probabilities": {
                str(q): float(np.quantile(probability[right], q)) for q in _QUANTILES
            },
            "quick": quick,
            "training": asdict(info),
            "seconds": round(perf_counter() - began, 1),
        },
    )


def confidence_of(probability: Float[np.ndarray, " rows"], shape: Sequence[int]) -> float:
    """The confidence that a guide asks for, from what it gives to real images.

    `confidence = min(quantile_q(probability), 1 - 1e-6)` with q of `CONFIDENCE_QUANTILES`

    Args:
        probability: Of its class, of each held-out image that the guide reads rightly.
        shape: Of one image, `(height, width, channels)`.

    Returns:
        The confidence.

    Examples:
        >>> confidence_of(np.array([0.5, 0.9, 0.95]), (28, 28, 1))
        0.9
    """
    return min(float(np.quantile(probability, _quantile(shape))), _MOST_CONFIDENT)


def _quantile(shape: Sequence[int]) -> float:
    return CONFIDENCE_QUANTILES["photographs" if is_photograph(shape) else "strokes"]


def save_guide(path: str | os.PathLike[str], guide: GuideNetwork) -> None:
    """Write a guide to a file.

    `load_guide(path)` returns a guide with the same weights and confidence.

    Args:
        path: Where to; its folder is made if it is missing, an existing file is replaced at once.
        guide: What to write.

    Raises:
        TypeError: If the metadata can't be written as JSON.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_guide(f"{folder}/guide.npz", pretrained_guide("digits"))
        ...     load_guide(f"{folder}/guide.npz").name
        'digits guide'
    """
    numbers = {name: getattr(guide, name) for name in _RANGES}
    known = {"name": guide.name, **numbers, "known": guide.metadata}
    write_networks(path, _CONTENT, {_NETWORK: guide.network}, known)


def load_guide(path: str | os.PathLike[str]) -> GuideNetwork:
    """Read a guide that `save_guide` wrote.

    Args:
        path: The file.

    Returns:
        The guide.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is something else, damaged, of another schema version, if an array is
            missing, unknown, of the wrong shape or type, or not finite, or if its name or
            confidence is missing.

    Examples:
        >>> load_guide("missing.npz")
        Traceback (most recent call last):
        ...
        FileNotFoundError: [Errno 2] No such file or directory: 'missing.npz'
    """
    with open_networks(path, _CONTENT) as file:
        name, known = (file.metadata.get(key) for key in ("name", "known"))
        if not (isinstance(name, str) and name and isinstance(known, dict)):
            raise ValueError(
                f"{path} is damaged: it states the name {name!r} and the metadata {known!r} of a "
                "guide, expected a text and a JSON object"
            )
        for key, (least, most) in _RANGES.items():
            number = file.metadata.get(key)
            if not (isinstance(number, float) and least <= number <= most):
                raise ValueError(
                    f"{path} is damaged: it states the {key} {number!r} of a guide, expected a "
                    f"number from {least:g} to {most:g}"
                )
        if set(file.architectures) != {_NETWORK}:
            raise ValueError(
                f"{path} describes the networks {sorted(file.architectures)}: expected one, "
                f"{_NETWORK!r}"
            )
        (network,) = restore(file, (_NETWORK,), lambda _: RobustNetwork)
    numbers = {key: file.metadata[key] for key in _RANGES}
    return GuideNetwork(name=name, network=network, metadata=known, **numbers)


def pretrained_guide(name: str) -> GuideNetwork:
    """Load the guide that is shipped with the library.

    Args:
        name: The data set it was trained on, as in `jaxcf.data.load`.

    Returns:
        The guide; its metadata state the data, the training and the quality.

    Raises:
        ValueError: If there is none for that data set.

    Examples:
        >>> pretrained_guide("digits").metadata["data"]["name"]
        'digits'
    """
    return load_shipped(_CONTENT, name, load_guide, "train another with train_guide")


def pretrained_guide_names() -> tuple[str, ...]:
    """The data sets whose guides are shipped with the library.

    Returns:
        Names as in `jaxcf.data.load`, sorted.

    Examples:
        >>> "digits" in pretrained_guide_names()
        True
    """
    return tuple(sorted(shipped(_CONTENT)))


def _probabilities(
    network: RobustNetwork, x: Float[np.ndarray, "n *shape"], y: Int[np.ndarray, " labels"]
) -> tuple[Float[np.ndarray, " n"], np.ndarray]:
    """The probability of each image's class, and which images are read rightly."""
    # Here: it takes longer to import than a guide to load.
    from scipy.special import log_softmax

    logits = apply_in_batches(network, x).astype(np.float64)
    probability = np.exp(log_softmax(logits, axis=1)[np.arange(len(y)), y])
    return probability, logits.argmax(1) == y


def _in_half_precision(network: RobustNetwork) -> RobustNetwork:
    """The network with weights that half precision can write: of a float32, half the bits are 0."""
    graphdef, params = nnx.split(network)
    rounded = jax.tree.map(lambda weight: weight.astype(jnp.float16).astype(jnp.float32), params)
    return nnx.merge(graphdef, rounded)


def _recipe(shape: tuple[int, ...], num_classes: int) -> _Recipe:
    common = {"image_shape": list(shape), "num_classes": num_classes}
    if is_photograph(shape):
        network = {"kind": "SmoothResidualClassifier", "widths": residual_widths(shape)}
        return _Recipe(network | common, 1, 4700, 400, weight_decay=0.05)
    # Halved until 8 pixels or fewer are left of a side, and at least twice.
    halvings = max(2, (-(-min(shape[:2]) // 8) - 1).bit_length())
    widths = [min(16 << number, 128) for number in range(halvings)]
    return _Recipe({"kind": "BlockClassifier", "widths": widths} | common, 3, 1900, 100)
