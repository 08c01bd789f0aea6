"""The networks of `benchmarks.natural`: what is explained, guides, and judges; each trained once.

Whoever judges shares no architecture with what takes part in the search, and no rows where halves
suffice: `plain` and `depthwise` learn from a half of the training rows each, `noisy` from all of
them under noise, and `robust`, like `plain` built, from images of the other half that were moved
against it. The first three see every second image out of focus: one that never did says little of
blurred ones, real or not. What is explained and the guides are residual networks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from benchmarks.judged import kept_ordinary
from benchmarks.judged_configurations import SHIPPED, Given
from jaxcf import data, models
from jaxcf.data import Dataset
from jaxcf.data.splitting import halves
from jaxcf.models.adversary import Adversary, robust_accuracy
from jaxcf.models.augmentation import Augmentation
from jaxcf.models.guides import GuideNetwork
from jaxcf.models.networks.registry import JudgeNetwork
from jaxcf.models.training import OnProgress
from jaxcf.models.training_loop import apply_in_batches

EXPLAINED = "explained"
ORDINARY = "ordinary guide"
ROBUST = "robust"
"""The judge that learnt from images moved against it."""

RADII = (0.25, 0.5, 1.0)
SEEDS = tuple(range(9))
_SEEDED_RADIUS = 0.5
"""The one whose guides are trained from several seeds."""
_RADII_SIDE = 32
"""Radii are for images of so many pixels a side; others are moved as far per pixel of a side."""

_BATCH_SIZE = 128
# Seeds of judges are far from those of guides.
_JUDGES_SEED = 100
_ROBUST_JUDGE_RADIUS = 0.5
# Share of the images that ordinary judges see out of focus.
_BLURRED = 0.5
# Test images that a robust judge is attacked on.
_ROBUST_ROWS = 1000

# A trial's networks are small, and see their few rows often enough to be of some use.
_QUICK_EPOCHS, _QUICK_BATCH_SIZE = 5, 32
_QUICK_GUIDE_ROWS = 320
_QUICK_SEEDS = 3
_QUICK_SIZES = {"widths": [8, 16], "width": 16, "depth": 1}


def guide_name(radius: float, seed: int) -> str:
    """What the guide of a radius and a seed is called.

    Examples:
        >>> guide_name(0.5, 0)
        'guide 0.5, seed 0'
    """
    return f"guide {radius:g}, seed {seed}"


_GUIDES = {
    guide_name(radius, seed): (radius, seed)
    for radius in RADII
    for seed in SEEDS
    if seed == 0 or radius == _SEEDED_RADIUS
}


class _Recipe(NamedTuple):
    """How a judge is trained.

    Attributes:
        architecture: what to build.
        half: of the training rows; None for all of them.
        epochs: passes over its rows.
        learning_rate: the largest.
        weight_decay: of the kernels.
        noise: of the images it sees.
        adversary: against it, where there is one, its radius for images of the usual size.
    """

    architecture: dict[str, Any]
    half: int | None
    epochs: int
    learning_rate: float
    weight_decay: float = 0.05
    noise: float = 0.0
    adversary: Adversary | None = None

    def augmentation(self, shape: Sequence[int]) -> Augmentation:
        """How its images are varied; the robust one sees none out of focus."""
        return _moved(shape, noise=self.noise, blur=0.0 if self.adversary else _BLURRED)


_PLAIN = {"kind": "PlainClassifier", "widths": [64, 128, 256, 256]}
_DEPTHWISE = {"kind": "DepthwiseClassifier", "patch": 2, "width": 192, "depth": 8}
_AVERAGING = {"kind": "AveragingClassifier", "widths": [64, 128, 256]}
_JUDGES = {
    "plain": _Recipe(_PLAIN, 0, 45, 3e-3),
    "depthwise": _Recipe(_DEPTHWISE, 1, 45, 2e-3, weight_decay=0.1),
    "noisy": _Recipe(_AVERAGING, None, 30, 1e-3, noise=0.1),
    ROBUST: _Recipe(_PLAIN, 1, 30, 3e-3, adversary=Adversary(_ROBUST_JUDGE_RADIUS, steps=2)),
}


@dataclass(frozen=True)
class Networks:
    """The networks of a folder; each is trained when it is first made, and kept.

    Attributes:
        dataset: photographs.
        folder: where they lie.
        quick: whether each is trained for a moment only.
        on_progress: told how far a network is.
    """

    dataset: Dataset
    folder: Path
    quick: bool
    on_progress: OnProgress | None = None

    def make(self, name: str) -> None:
        """Train the network of a name, unless it lies there."""
        if not self.path(name).exists():
            makers()[name](self)

    def path(self, name: str) -> Path:
        """The file of a network."""
        return self.folder / f"{name.replace(', ', '-').replace(' ', '-')}.npz"

    def wanted(self) -> list[str]:
        """The names of all networks, a trial's with guides of as few seeds as one way takes."""
        seeds = SEEDS[:_QUICK_SEEDS] if self.quick else SEEDS
        return [name for name in makers() if name not in _GUIDES or _GUIDES[name][1] in seeds]

    def guides(self) -> list[str]:
        """The names of the guides at hand, the shipped one last."""
        shipped = [SHIPPED] * (self.dataset.name in models.pretrained_guide_names())
        return [name for name in _GUIDES if self.path(name).exists()] + shipped

    def given(self) -> Given:
        """What takes part in searches, under the names that configurations use."""
        guides = {
            name: models.pretrained_guide(self.dataset.name)
            if name == SHIPPED
            else replace(models.load_guide(self.path(name)), name=name)
            for name in self.guides()
        }
        explained = models.load_models(self.path(EXPLAINED))
        return Given(explained, self.dataset, guides, lambda: self._ordinary(guides))

    def _ordinary(self, guides: Mapping[str, GuideNetwork]) -> GuideNetwork:
        """Built and trained like a guide, on images as they are."""
        like = guides[guide_name(_SEEDED_RADIUS, 0)]
        return kept_ordinary(self.dataset, like, self.path(ORDINARY))

    def judges(self) -> tuple[models.Judge, ...]:
        """Those at hand: they had no part in any search, and the robust one is the last."""
        files = (path for name in _JUDGES if (path := self.path(name)).exists())
        return tuple(judge for file in files for judge in models.load_judges(file))

    def settings(self, epochs: int) -> dict[str, Any]:
        """Passes over the rows, and rows per update."""
        if self.quick:
            return {"epochs": _QUICK_EPOCHS, "batch_size": _QUICK_BATCH_SIZE}
        return {"epochs": epochs, "batch_size": _BATCH_SIZE}

    def architecture(self, usual: Mapping[str, Any]) -> dict[str, Any]:
        """What to build for the images at hand."""
        sizes = {name: size for name, size in _QUICK_SIZES.items() if self.quick and name in usual}
        shape, classes = list(self.dataset.shape), self.dataset.num_classes
        return {**usual, **sizes, "image_shape": shape, "num_classes": classes}

    def radius(self, usual: float) -> float:
        """A radius for the images at hand."""
        return usual * max(self.dataset.shape[:2]) / _RADII_SIDE

    def rows_of_half(self, number: int | None) -> np.ndarray:
        """The training rows of a half, or all of them."""
        rows = len(self.dataset.x_train)
        return np.arange(rows) if number is None else halves(rows, _JUDGES_SEED)[number]


def makers() -> dict[str, Callable[[Networks], None]]:
    """How each network is trained and kept, by its name, those first that others are held up by."""
    guides = {name: partial(_guide, name=name) for name in _GUIDES}
    judges = {name: partial(_judge, name=name) for name in _JUDGES}
    return {EXPLAINED: _explained} | judges | guides


def _explained(networks: Networks) -> None:
    """A classifier as a user would have one, never trained on images moved against it."""
    dataset = networks.dataset
    classifier, info = models.train_classifier(
        dataset.x_train,
        dataset.y_train,
        networks.architecture({"kind": "ResidualClassifier", "widths": [96, 192, 384]}),
        **networks.settings(epochs=40),
        weight_decay=0.05,
        label_smoothing=0.1,
        augmentation=_moved(dataset.shape),
        on_progress=_told(networks, EXPLAINED),
    )
    autoencoder, autoencoder_info = models.train_autoencoder(
        dataset.x_train,
        {
            "kind": "ConvolutionalAutoencoder",
            "code_channels": 8,
            "image_shape": list(dataset.shape),
        },
        **networks.settings(epochs=9),
        on_progress=_told(networks, "autoencoder"),
    )
    decided = apply_in_batches(classifier, dataset.x_test).argmax(1)
    metadata = {
        "data": dataset.name,
        "test_accuracy": float((decided == dataset.y_test).mean()),
        "training": {"classifier": asdict(info), "autoencoder": asdict(autoencoder_info)},
    }
    made = models.ModelSet(classifier, autoencoder, (), metadata)
    models.save_models(networks.path(EXPLAINED), made)


def _guide(networks: Networks, name: str) -> None:
    radius, seed = _GUIDES[name]
    dataset = networks.dataset
    guide = models.train_guide(
        dataset.first(train=_QUICK_GUIDE_ROWS) if networks.quick else dataset,
        seed=seed,
        radius=networks.radius(radius),
        quick=networks.quick,
        on_progress=_told(networks, name),
    )
    models.save_guide(networks.path(name), guide)


def _judge(networks: Networks, name: str) -> None:
    recipe, dataset = _JUDGES[name], networks.dataset
    rows = networks.rows_of_half(recipe.half)
    number = list(_JUDGES).index(name)
    radius = networks.radius(_ROBUST_JUDGE_RADIUS)
    adversary = None if recipe.adversary is None else replace(recipe.adversary, radius=radius)
    network, info = models.train_classifier(
        dataset.x_train[rows],
        dataset.y_train[rows],
        networks.architecture(recipe.architecture),
        seed=_JUDGES_SEED + number,
        **networks.settings(recipe.epochs),
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        label_smoothing=0.0 if adversary else 0.1,
        augmentation=recipe.augmentation(dataset.shape),
        adversary=adversary,
        on_progress=_told(networks, name),
    )
    x, y = dataset.x_test, dataset.y_test
    accuracy = float((apply_in_batches(network, x).argmax(1) == y).mean())
    some = slice(_ROBUST_ROWS)
    known = {
        "data": dataset.name,
        "half": recipe.half,
        "noise": recipe.noise,
        "blur": recipe.augmentation(dataset.shape).blur,
        "robust accuracy": robust_accuracy(network, x[some], y[some], radius=radius),
    }
    judge = models.Judge(name, cast(JudgeNetwork, network), accuracy, known | asdict(info))
    models.save_judges(networks.path(name), (judge,))


def _moved(shape: Sequence[int], *, noise: float = 0.0, blur: float = 0.0) -> Augmentation:
    """Photographs shifted by an eighth of a side, mirrored, under noise and out of focus."""
    return Augmentation(flip=True, shift=min(shape[:2]) // 8, noise=noise, blur=blur)


def _told(networks: Networks, stage: str) -> OnProgress:
    def tell(_: str, epoch: int, epochs: int, loss: float) -> None:
        if networks.on_progress is not None:
            networks.on_progress(stage, epoch, epochs, loss)

    return tell


def coloured_digits() -> Dataset:
    """The embedded digits, twice as large and in colours of their own: photographs for a trial."""
    digits = data.load("digits")
    random = np.random.default_rng(0)

    def coloured(images: np.ndarray) -> np.ndarray:
        large = images.repeat(2, axis=1).repeat(2, axis=2)
        ink, paper = random.uniform(0.6, 1, (len(images), 3)), random.uniform(0, 0.4, len(images))
        paper = paper.reshape(-1, 1, 1, 1)
        return (paper + large * (ink[:, None, None] - paper)).astype(np.float32)

    return data.from_arrays(
        coloured(digits.x_train),
        digits.y_train,
        coloured(digits.x_test),
        digits.y_test,
        name="coloured digits",
        class_names=digits.class_names,
    )
