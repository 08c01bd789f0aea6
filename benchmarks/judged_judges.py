"""Fresh judges of images: five networks, and three classifiers that are no networks.

None of them has a part in any search. Each is trained once and kept in a file of its own as soon as
it is there, together with what it decides for every test image.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxcf import models
from jaxcf.data import Dataset
from jaxcf.models.augmentation import Augmentation
from jaxcf.models.functions import call
from jaxcf.models.network_files import open_networks, restore, write_networks
from jaxcf.models.networks.registry import Classifier
from jaxcf.models.training import OnProgress
from jaxcf.utils.array_files import read_arrays, write_arrays
from jaxcf.utils.batching import map_batches

NETWORKS, OTHERS = "networks", "others"
"""The two kinds of judges."""

_CONTENT = "judges"
_FEW_ROWS = 10_000

# Of the SVMs: rows that they are trained on, and centres of the kernel, where there are so many.
_SVM_ROWS, _CENTRES = 20_000, 1_000
_NEIGHBOURS = 5

# The share of one bin that a block of gradient histograms may hold (Dalal and Triggs 2005).
_MOST_OF_A_BLOCK = 0.2


@dataclass(frozen=True, eq=False)
class FreshJudge:
    """A classifier that had no part in a search.

    Attributes:
        name: what to call it.
        kind: `NETWORKS` or `OTHERS`.
        predict: `[n, h, w, c]` to a score per class.
        accuracy: on all test images.
        decided: `[test images]`, the class that it reads in each.
        training: what it learnt from, JSON-able.
    """

    name: str
    kind: str
    predict: Callable[[Any], Any]
    accuracy: float
    decided: np.ndarray
    training: dict[str, Any]


def kept_judges(
    dataset: Dataset,
    folder: Path,
    *,
    seed: int,
    updates: int | None = None,
    on_progress: OnProgress | None = None,
) -> tuple[FreshJudge, ...]:
    """The judges of a folder; those that it lacks are trained, and kept there.

    Args:
        dataset: images.
        folder: with one file per judge.
        seed: of their training; judges of another one are to have another folder.
        updates: of each network, likewise; None takes what makes good ones in a few minutes.
        on_progress: told how far a network is.

    Returns:
        The judges, networks first.

    Raises:
        ValueError: if a file is damaged, or was made for other test images.
    """
    train = _Training(dataset, seed, updates, on_progress)
    if not all(_file(folder, name).exists() for name in _THREE):
        for judge in train.three():
            _write_network(folder, judge.name, judge.network, judge.training, dataset)
    for name, make in _FURTHER.items():
        if not _file(folder, name).exists():
            _write_network(folder, name, *make(train), dataset)
    for name, (make, of_arrays) in _OTHER.items():
        if not _file(folder, name).exists():
            arrays, training = make(train)
            decided = _decided(of_arrays(dataset, arrays), dataset.x_test)
            description = {"training": training}
            write_arrays(_file(folder, name), arrays | {"decided": decided}, description)
    networks = [_read_network(_file(folder, name), name, dataset) for name in (*_THREE, *_FURTHER)]
    return *networks, *(_read_other(_file(folder, name), name, dataset) for name in _OTHER)


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.npz"


def _decided(predict: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
    return map_batches(predict, x).argmax(axis=1)


def _judge(
    path: Path,
    name: str,
    kind: str,
    predict: Callable[[Any], Any],
    decided: Any,
    training: dict[str, Any],
    dataset: Dataset,
) -> FreshJudge:
    decided = np.asarray(decided)
    if decided.shape != dataset.y_test.shape or training.get("data") != dataset.name:
        raise ValueError(
            f"{path} was made for {len(decided)} test images of {training.get('data')!r}, there "
            f"are {len(dataset.y_test)} of {dataset.name!r}; remove it, or choose another folder"
        )
    accuracy = float((decided == dataset.y_test).mean())
    return FreshJudge(name, kind, predict, accuracy, decided, training)


# ---- networks ----


def _write_network(
    folder: Path, name: str, network: Classifier, training: dict[str, Any], dataset: Dataset
) -> None:
    decided = _decided(_of_images(network), dataset.x_test)
    accuracy = float((decided == dataset.y_test).mean())
    known = {"accuracy": accuracy, "training": training, "decided": decided.tolist()}
    write_networks(_file(folder, name), _CONTENT, {name: network}, {name: known})


def _read_network(path: Path, name: str, dataset: Dataset) -> FreshJudge:
    with open_networks(path, _CONTENT) as file:
        known = file.metadata[name]
        (network,) = restore(file, [name], lambda _: Classifier)
    predict = _of_images(network)
    return _judge(path, name, NETWORKS, predict, known["decided"], known["training"], dataset)


def _of_images(network: Classifier) -> Callable[[Any], Any]:
    """A network's logits of images, also of one that takes the pixels in a row."""
    if isinstance(network, models.DenseClassifier):
        return lambda x: call(network, jnp.reshape(x, (len(x), -1)))
    return partial(call, network)


@dataclass(frozen=True)
class Affine(Augmentation):
    """Images turned, stretched, slanted and moved at random; all of it is static.

    Args:
        image_shape: `(height, width, channels)`; the rows may be flat.
        degrees: by how much an image is turned at most, either way.
        stretch: by which share of its height or width, each for itself.
        slant: by how many columns per row.
        move: by which share of the sides.

    Examples:
        >>> import jax
        >>> vary = Affine(image_shape=(8, 8, 1))
        >>> vary(jax.random.key(0), jnp.ones((5, 64))).shape
        (5, 64)
    """

    image_shape: tuple[int, ...] = ()
    degrees: float = 15.0
    stretch: float = 0.15
    slant: float = 0.15
    move: float = 0.08

    def __call__(self, key: Array, x: Float[Array, "n *shape"]) -> Float[Array, "n *shape"]:
        """Vary a batch."""
        *sides, channels = self.image_shape
        sides = jnp.asarray(sides, jnp.float32)
        images = x.reshape(-1, *self.image_shape)
        random = jax.random.uniform(key, (len(images), 6), minval=-1.0)
        middle = (sides - 1).reshape(1, 1, 2) / 2
        pixels = jnp.moveaxis(jnp.indices(self.image_shape[:2]), 0, -1) - middle

        def vary(image: Array, by: Array) -> Array:
            angle = by[0] * jnp.deg2rad(self.degrees)
            turn = jnp.array([[jnp.cos(angle), -jnp.sin(angle)], [jnp.sin(angle), jnp.cos(angle)]])
            slanted = jnp.array([[1.0, 0.0], [by[1] * self.slant, 1.0]])
            scaled = jnp.diag(1 + self.stretch * by[2:4])
            moved = middle + (self.move * sides * by[4:]).reshape(1, 1, 2)
            rows, columns = jnp.moveaxis(pixels @ (turn @ slanted @ scaled) + moved, -1, 0)
            return jnp.stack(
                [
                    jax.scipy.ndimage.map_coordinates(image[..., channel], [rows, columns], order=1)
                    for channel in range(channels)
                ],
                axis=-1,
            )

        return jax.vmap(vary)(images, random).reshape(x.shape)


@dataclass(frozen=True, eq=False)
class _Training:
    """What every judge is trained on."""

    dataset: Dataset
    seed: int
    updates: int | None
    on_progress: OnProgress | None

    @property
    def few(self) -> bool:
        return len(self.dataset.x_train) < _FEW_ROWS

    def three(self) -> tuple[models.Judge, ...]:
        """Those of three architectures that the library trains."""
        return models.train_judges(
            self.dataset, seed=self.seed, updates=self.updates, on_progress=self.on_progress
        )

    def classifier(
        self,
        name: str,
        x: np.ndarray,
        architecture: dict[str, Any],
        augmentation: Augmentation,
        updates: int,
    ) -> tuple[Classifier, dict[str, Any]]:
        """A network and how it was trained; a quarter of the updates will do where rows are few."""
        told = self.on_progress or (lambda *_: None)
        batch_size = 32 if self.few else 128
        updates = self.updates or (updates // 4 if self.few else updates)
        network, info = models.train_classifier(
            x,
            self.dataset.y_train,
            architecture | {"num_classes": self.dataset.num_classes},
            seed=self.seed,
            epochs=max(1, round(updates / -(-len(x) // batch_size))),
            batch_size=batch_size,
            learning_rate=2e-3,
            augmentation=augmentation,
            on_progress=lambda _, *progress: told(f"judge {name}", *progress),
        )
        return network, {"data": self.dataset.name} | asdict(info)

    def some_rows(self) -> np.ndarray:
        """The rows that an SVM is trained on."""
        rows = np.random.default_rng(self.seed).permutation(len(self.dataset.x_train))
        return np.sort(rows[:_SVM_ROWS])


def _affine(train: _Training) -> tuple[Classifier, dict[str, Any]]:
    x, shape = train.dataset.x_train, train.dataset.shape
    architecture = {
        "kind": "DenseClassifier",
        "num_features": int(np.prod(shape)),
        "hidden": [512, 256],
    }
    flat = x.reshape(len(x), -1)
    return train.classifier("affine", flat, architecture, Affine(image_shape=shape), updates=3700)


def _deep(train: _Training) -> tuple[Classifier, dict[str, Any]]:
    shape = train.dataset.shape
    small = min(shape[:2]) < 16
    architecture = {
        "kind": "ResidualClassifier",
        "image_shape": list(shape),
        "widths": [16, 32] if small else [16, 32, 64],
    }
    shifts = Augmentation(shift=1 if small else 2)
    return train.classifier("deep", train.dataset.x_train, architecture, shifts, updates=1400)


_THREE = ("strided", "mixer", "noisy")
_FURTHER = {"affine": _affine, "deep": _deep}


# ---- no networks ----


def gradient_histograms(
    images: Float[np.ndarray, "n h w c"], *, cells: int = 7, bins: int = 9
) -> Float[np.ndarray, "n features"]:
    """Histograms of oriented gradients (Dalal and Triggs 2005).

    Args:
        images: in [0, 1].
        cells: along each axis; of at least two pixels a side.
        bins: of orientation, over half a turn.

    Returns:
        Of each block of 2x2 cells the histograms, normalised.

    Examples:
        >>> edge = np.zeros((1, 28, 28, 1), np.float32)
        >>> edge[:, :, 14:] = 1
        >>> gradient_histograms(edge).shape
        (1, 1296)
    """
    grey = np.asarray(images, np.float32).mean(axis=3)
    down, right = np.gradient(grey, axis=(1, 2))
    place = np.arctan2(down, right) % np.pi / np.pi * bins
    lower = np.floor(place)
    share = (place - lower) * (length := np.hypot(down, right))
    index = lower.astype(int) % bins
    # Each gradient is shared out between the two bins beside its orientation.
    histogram = np.zeros((*grey.shape, bins), np.float32)
    np.put_along_axis(histogram, index[..., None], (length - share)[..., None], axis=3)
    following = ((index + 1) % bins)[..., None]
    shared = np.take_along_axis(histogram, following, axis=3) + share[..., None]
    np.put_along_axis(histogram, following, shared, axis=3)
    side = max(2, min(grey.shape[1:]) // cells)
    rows, columns = grey.shape[1] // side, grey.shape[2] // side
    cut = histogram[:, : rows * side, : columns * side]
    sums = cut.reshape(len(grey), rows, side, columns, side, bins).sum(axis=(2, 4))
    quarters = [sums[:, a : rows - 1 + a, b : columns - 1 + b] for a in (0, 1) for b in (0, 1)]
    blocks = _unit_length(np.concatenate(quarters, axis=3))
    return _unit_length(np.minimum(blocks, _MOST_OF_A_BLOCK)).reshape(len(grey), -1)


def _unit_length(blocks: np.ndarray) -> np.ndarray:
    return blocks / (np.linalg.norm(blocks, axis=-1, keepdims=True) + 1e-3)


_Arrays = dict[str, np.ndarray]


def _neighbours(train: _Training) -> tuple[_Arrays, dict[str, Any]]:
    rows = len(train.dataset.x_train)
    return {}, {"data": train.dataset.name, "rows": rows, "neighbours": _NEIGHBOURS}


def _by_neighbours(dataset: Dataset, _: _Arrays) -> Callable[[Any], Any]:
    from sklearn.neighbors import KNeighborsClassifier

    judge = KNeighborsClassifier(_NEIGHBOURS, algorithm="brute", n_jobs=-1)
    judge.fit(_flat(dataset.x_train), dataset.y_train)
    return lambda x: judge.predict_proba(_flat(x))


def _pixels(train: _Training) -> tuple[_Arrays, dict[str, Any]]:
    from sklearn.kernel_approximation import Nystroem

    rows = train.some_rows()
    x = _flat(train.dataset.x_train[rows])
    # Half of the mean squared distance of two images is the sum of the pixels' variances.
    gamma = 1 / float(x.var(axis=0).sum())
    centres = min(_CENTRES, len(rows))
    kernel = Nystroem(gamma=gamma, n_components=centres, random_state=train.seed)
    machine = _linear_machine(kernel.fit_transform(x), train.dataset.y_train[rows], C=10.0)
    arrays = {
        "centres": np.asarray(kernel.components_, np.float32),
        "gamma": np.float32(gamma),
        "weights": (kernel.normalization_.T @ machine.coef_.T).astype(np.float32),
        "bias": machine.intercept_.astype(np.float32),
    }
    known = {"rows": len(rows), "centres": centres, "gamma": gamma}
    return arrays, {"data": train.dataset.name} | known


def _by_pixels(_: Dataset, arrays: _Arrays) -> Callable[[Any], Any]:
    from sklearn.metrics.pairwise import rbf_kernel

    centres, gamma, weights, bias = (
        arrays[name] for name in ("centres", "gamma", "weights", "bias")
    )
    return lambda x: rbf_kernel(_flat(x), centres, gamma=float(gamma)) @ weights + bias


def _gradients(train: _Training) -> tuple[_Arrays, dict[str, Any]]:
    rows = train.some_rows()
    histograms = map_batches(gradient_histograms, train.dataset.x_train[rows])
    machine = _linear_machine(histograms, train.dataset.y_train[rows], C=1.0)
    arrays = {
        "weights": machine.coef_.T.astype(np.float32),
        "bias": machine.intercept_.astype(np.float32),
    }
    return arrays, {"data": train.dataset.name, "rows": len(rows)}


def _by_gradients(_: Dataset, arrays: _Arrays) -> Callable[[Any], Any]:
    return lambda x: gradient_histograms(x) @ arrays["weights"] + arrays["bias"]


def _linear_machine(features: np.ndarray, labels: np.ndarray, C: float) -> Any:
    from sklearn.svm import LinearSVC

    machine: Any = LinearSVC  # its stubs know no truth values for `dual`
    return machine(C=C, dual=True, random_state=0).fit(features, labels)


def _flat(x: Any) -> np.ndarray:
    return np.asarray(x).reshape(len(x), -1)


_Maker = Callable[[_Training], tuple[_Arrays, dict[str, Any]]]
_OTHER: dict[str, tuple[_Maker, Callable[[Dataset, _Arrays], Callable[[Any], Any]]]] = {
    "k-NN": (_neighbours, _by_neighbours),
    "SVM": (_pixels, _by_pixels),
    "SVM on gradients": (_gradients, _by_gradients),
}


def _read_other(path: Path, name: str, dataset: Dataset) -> FreshJudge:
    arrays, description = read_arrays(path)
    predict = _OTHER[name][1](dataset, arrays)
    training = description["training"]
    return _judge(path, name, OTHERS, predict, arrays["decided"], training, dataset)
