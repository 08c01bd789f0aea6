"""Judges: classifiers of other architectures that say what they take a counterfactual for.

They never guide a search, so what convinces them too is no weakness of the explained classifier
alone.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, cast

import numpy as np
from flax import nnx
from jaxtyping import Array, ArrayLike, Float

from jaxcf.data.dataset import Dataset
from jaxcf.data.splitting import halves
from jaxcf.models.augmentation import is_photograph, usual_augmentation
from jaxcf.models.functions import call
from jaxcf.models.network_files import open_networks, restore, write_networks
from jaxcf.models.networks.registry import JudgeNetwork, instance_shape
from jaxcf.models.training import OnProgress, train_classifier
from jaxcf.models.training_loop import apply_in_batches
from jaxcf.utils.fingerprints import fingerprint
from jaxcf.utils.numbers import check_whole
from jaxcf.utils.validation import check_labels

# Of the range of pixels: digits and photographs are still easy to tell apart for a human.
_NOISE = 0.25

_CONTENT = "judges"


@dataclass(frozen=True, eq=False)
class Judge:
    """A trained classifier that never guides a search.

    Args:
        name: What to call it: "strided", "mixer" or "noisy" as `train_judges` makes them.
        network: A classifier with `features` and `head`.
        accuracy: Share of the test rows that it classifies right.
        training: JSON-able: the rows it was trained on, the settings, the seconds.

    Examples:
        >>> from flax import nnx
        >>> from jaxcf.models.networks.judge_networks import StridedClassifier
        >>> network = StridedClassifier((8, 8, 1), 10, widths=(8,), rngs=nnx.Rngs(0))
        >>> judge = Judge("strided", network, 0.1, {"rows": 0})
        >>> judge.predict(np.zeros((3, 8, 8, 1), np.float32)).shape
        (3, 10)
    """

    name: str
    network: JudgeNetwork
    accuracy: float
    training: dict[str, Any]

    def predict(self, x: Float[ArrayLike, "n *shape"]) -> Float[Array, "n classes"]:
        """Logits of a batch, compiled."""
        return call(self.network, x)

    def features(self, x: Float[ArrayLike, "n *shape"]) -> Float[Array, "n features"]:
        """The last layer but one for a batch, compiled: at most 64 numbers a row."""
        return call(self.network, x, "features")

    @property
    def fingerprint(self) -> str:
        """Of the weights: `settings["guides"]["fingerprint"]` of explanations has those of guides.

        A judge that is among them has taken part in the search, and is none.
        """
        return fingerprint(nnx.state(self.network))


class _Recipe(NamedTuple):
    name: str
    architecture: dict[str, Any]
    half: str
    noise: float = 0.0
    learning_rate: float = 3e-3
    weight_decay: float = 0.0


def train_judges(
    dataset: Dataset,
    *,
    seed: int = 0,
    updates: int | None = None,
    on_progress: OnProgress | None = None,
) -> tuple[Judge, ...]:
    """Train three judges of three architectures on different rows.

    "strided" sees one half of the training rows, "mixer" the other half, and "noisy" all rows with
    Gaussian noise of a quarter of the pixels' range. Images of three channels are taken for
    photographs, which are shifted and mirrored at random; others, such as digits, never are.

    Args:
        dataset: Images.
        seed: Seed of the halves, the initial weights and the order of the rows.
        updates: How many each gets, about; None takes what makes good ones in a few minutes.
        on_progress: Called after each epoch with the stage, the epoch (from 1), the number of
            epochs, and the loss.

    Returns:
        The judges, with their accuracy on the test rows.

    Raises:
        ValueError: If the data set holds no images, `updates` is below 1, or rows and labels don't
            fit each other.

    Examples:
        >>> from jaxcf.data import load
        >>> [judge.name for judge in train_judges(
        ...     load("digits").first(train=200, test=100), updates=20)]
        ['strided', 'mixer', 'noisy']
    """
    if dataset.kind != "image" or len(dataset.shape) != 3:
        raise ValueError(
            f"the data set is of kind {dataset.kind!r} with rows of shape {dataset.shape}: "
            "expected 'image' with (height, width, channels)"
        )
    if updates is not None:  # else chosen by the data
        check_whole("updates", updates)
    check_labels(dataset.y_test, len(dataset.x_test), dataset.num_classes)
    first, second = halves(len(dataset.x_train), seed)
    rows = {"first": first, "second": second, "all": np.arange(len(dataset.x_train))}
    return tuple(
        _train(dataset, recipe, rows[recipe.half], seed + number, updates, on_progress)
        for number, recipe in enumerate(_recipes(dataset.shape, dataset.num_classes))
    )


def save_judges(path: str | os.PathLike[str], judges: tuple[Judge, ...]) -> None:
    """Write judges to one file.

    `load_judges(path)` returns judges with the same weights, in the same order.

    Args:
        path: Where to; its folder is made if it is missing, an existing file is replaced at once.
        judges: What to write.

    Raises:
        ValueError: If two judges have the same name.
        TypeError: If what is known of the training can't be written as JSON.

    Examples:
        >>> import tempfile
        >>> from flax import nnx
        >>> from jaxcf.models.networks.judge_networks import StridedClassifier
        >>> network = StridedClassifier((8, 8, 1), 10, widths=(8,), rngs=nnx.Rngs(0))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_judges(f"{folder}/judges.npz", (Judge("strided", network, 0.1, {}),))
        ...     [judge.name for judge in load_judges(f"{folder}/judges.npz")]
        ['strided']
    """
    networks = {judge.name: judge.network for judge in judges}
    if len(networks) < len(judges):
        raise ValueError(
            f"the judges are called {[judge.name for judge in judges]}: expected different names"
        )
    known = {j.name: {"accuracy": j.accuracy, "training": j.training} for j in judges}
    write_networks(path, _CONTENT, networks, known)


def load_judges(path: str | os.PathLike[str]) -> tuple[Judge, ...]:
    """Read judges that `save_judges` wrote.

    Args:
        path: The file.

    Returns:
        The judges.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is something else, damaged, of another schema version, if an array is
            missing, unknown, of the wrong shape or type, or not finite, or if a judge's accuracy or
            training is missing.

    Examples:
        >>> load_judges("missing.npz")
        Traceback (most recent call last):
        ...
        FileNotFoundError: [Errno 2] No such file or directory: 'missing.npz'
    """
    with open_networks(path, _CONTENT) as file:
        known = file.metadata
        for name in file.architectures:
            _check_known(path, name, known.get(name))
        networks = restore(file, file.architectures, lambda _: JudgeNetwork)
    alike = {(instance_shape(one), one.num_classes) for one in networks}
    if len(alike) > 1:
        raise ValueError(f"{path} holds judges of different instances or classes: {sorted(alike)}")
    return tuple(
        Judge(name, network, known[name]["accuracy"], known[name]["training"])
        for name, network in zip(file.architectures, networks, strict=True)
    )


def kept_judges(
    path: str | os.PathLike[str],
    load_dataset: Callable[[], Dataset],
    *,
    updates: int | None = None,
    on_progress: OnProgress | None = None,
) -> tuple[Judge, ...]:
    """The judges that a file keeps; where there is no file, they are trained, and kept there.

    Args:
        path: The file.
        load_dataset: Gives what to train them on; called only where there is no file.
        updates: Of the training, see `train_judges`.
        on_progress: Likewise.

    Returns:
        The judges.

    Raises:
        ValueError: If the data set holds no images, or the file is damaged or something else.
    """
    if not os.path.exists(path):
        judges = train_judges(load_dataset(), updates=updates, on_progress=on_progress)
        save_judges(path, judges)
    return load_judges(path)


def _check_known(path: str | os.PathLike[str], name: str, known: object) -> None:
    known = known if isinstance(known, Mapping) else {}
    accuracy, training = known.get("accuracy"), known.get("training")
    if not (isinstance(accuracy, float) and 0 <= accuracy <= 1 and isinstance(training, dict)):
        raise ValueError(
            f"{path} is damaged: it states the accuracy {accuracy!r} and the training {training!r} "
            f"of the judge {name!r}, expected a number from 0 to 1 and a JSON object"
        )


def _train(
    dataset: Dataset,
    recipe: _Recipe,
    rows: np.ndarray,
    seed: int,
    updates: int | None,
    on_progress: OnProgress | None,
) -> Judge:
    photographs = is_photograph(dataset.shape)
    batch_size = 128 if len(dataset.x_train) >= 10_000 else 32
    updates = updates or _num_updates(len(dataset.x_train), photographs)

    def report(_: str, epoch: int, epochs: int, loss: float) -> None:
        if on_progress is not None:
            on_progress(f"judge {recipe.name}", epoch, epochs, loss)

    network, info = train_classifier(
        dataset.x_train[rows],
        dataset.y_train[rows],
        recipe.architecture,
        seed=seed,
        epochs=max(1, round(updates / -(-len(rows) // batch_size))),
        batch_size=batch_size,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        label_smoothing=0.1 if photographs else 0.0,
        augmentation=usual_augmentation(dataset.shape, noise=recipe.noise),
        on_progress=report,
    )
    predicted = apply_in_batches(network, dataset.x_test).argmax(-1)
    accuracy = float((predicted == dataset.y_test).mean())
    training = {"data": dataset.name, "half": recipe.half, "noise": recipe.noise} | asdict(info)
    return Judge(recipe.name, cast(JudgeNetwork, network), accuracy, training)


def _num_updates(rows: int, photographs: bool) -> int:
    """How many updates a judge gets: enough to be a good one in a few minutes on two cores."""
    if photographs:
        return 1200 if rows >= 10_000 else 2400  # few rows stand for many classes
    return 1600 if rows >= 10_000 else 500


def _recipes(shape: tuple[int, ...], num_classes: int) -> tuple[_Recipe, ...]:
    height, width, channels = shape
    side, base = min(height, width), 32 if channels == 3 else 16
    # Halved until 4 pixels or fewer are left of a side, and at least twice.
    halvings = max(2, (-(-side // 4) - 1).bit_length())
    widths = [min(base << number, 128) for number in range(halvings)]
    mixer: dict[str, Any] = {
        "patch": 2 if side < 16 else -(-max(height, width) // 8),
        "width": 3 * base,
        "depth": 4 if channels == 3 else 3,
    }
    common = {"image_shape": list(shape), "num_classes": num_classes}
    strided = {"kind": "StridedClassifier", "widths": widths} | common
    averaging = {"kind": "AveragingClassifier", "widths": widths} | common
    mixer |= {"kind": "MixerClassifier"} | common
    return (
        _Recipe("strided", strided, "first"),
        # Of the three it learns rows by heart most easily.
        _Recipe("mixer", mixer, "second", learning_rate=4e-3, weight_decay=0.1),
        # Its last features saturate at larger steps where they see many pixels.
        _Recipe("noisy", averaging, "all", noise=_NOISE, learning_rate=5e-4 if side > 32 else 3e-3),
    )
