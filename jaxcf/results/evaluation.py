"""Counterfactuals measured by everything `jaxcf.metrics` has, beside three controls.

A number about counterfactuals means something only beside the same number for images whose worth
is known: the unchanged original (the best of adversarial noise), the original with noise as long as
the counterfactual's change, and a real test image of the new class (the most that can be hoped
for). All four are scored against the same original and new class.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int, Num

from jaxcf import metrics
from jaxcf.data.splitting import halves
from jaxcf.metrics import Interval
from jaxcf.metrics.decided import Batched
from jaxcf.results.explanations import Explanations
from jaxcf.utils.batching import map_batches

COUNTERFACTUAL, UNCHANGED, NOISE, REAL = "counterfactual", "unchanged", "noise", "real target"
SUBJECTS = (COUNTERFACTUAL, UNCHANGED, NOISE, REAL)
"""What is scored: the counterfactuals, then the three controls."""

# How often an unchanged image scores above a real one when the metric says nothing.
_CHANCE = 0.5
_LEAST_SEPARATION = 0.1


@runtime_checkable
class JudgeLike(Protocol):
    """A model that never guided the search; `jaxcf.models.Judge` is one."""

    @property
    def name(self) -> str:
        """What to call it."""
        ...

    def predict(self, x: Any) -> Any:
        """Logits or probabilities `[n, classes]`."""
        ...

    def features(self, x: Any) -> Any:
        """What it sees in an image, `[n, d]`."""
        ...


class Autoencoders(NamedTuple):
    """One autoencoder for all classes and one for each, for IM1 and IM2."""

    reconstruct: Batched
    class_reconstruct: Sequence[Batched]


@dataclass(frozen=True)
class RealImages:
    """Images with their true classes: what counterfactuals are compared with.

    Attributes:
        x_train: `[m, *shape]`, what the explained model was trained on.
        train_class: `[m]`.
        x_test: `[k, *shape]`, which no model was trained on: one half serves as control, the other
            as reference of the Fréchet distance.
        test_class: `[k]`.
    """

    x_train: Float[np.ndarray, "m *shape"]
    train_class: Int[np.ndarray, " m"]
    x_test: Float[np.ndarray, "k *shape"]
    test_class: Int[np.ndarray, " k"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One value per FOUND row for every metric and subject, and what concerns whole sets.

    Attributes:
        found: `[n]`, which of the rows attempted have a counterfactual.
        values: subject to metric to `[found]`; NaN where a metric isn't defined.
        frechet: subject to the Fréchet distance to real images of the new class.
    """

    found: Bool[np.ndarray, " n"]
    values: Mapping[str, Mapping[str, Num[np.ndarray, " found"] | Bool[np.ndarray, " found"]]]
    frechet: Mapping[str, Interval]

    def summary(self, subject: str = COUNTERFACTUAL) -> dict[str, Interval]:
        """Means over the found rows with their 95 % intervals.

        Args:
            subject: one of `SUBJECTS`.

        Returns:
            By metric; `n` of each says how many rows have a value.
        """
        intervals = metrics.mean_intervals(self.values[subject])
        return intervals | {"frechet": self.frechet[subject]}

    def separation(self, metric: str) -> float:
        """How well a metric tells unchanged images from real images of the new class.

        Args:
            metric: a key of `values`.

        Returns:
            The probability that an unchanged image scores higher than a real one: 0.5 says that
            the metric carries no information; NaN where either has no value.
        """
        unchanged, real = (
            np.asarray(self.values[subject][metric], np.float64) for subject in (UNCHANGED, REAL)
        )
        unchanged, real = unchanged[~np.isnan(unchanged)], real[~np.isnan(real)]
        if not (len(unchanged) and len(real)):
            return float("nan")
        from scipy.stats import mannwhitneyu

        statistic = mannwhitneyu(unchanged, real).statistic
        return float(statistic / (len(unchanged) * len(real)))

    def is_informative(self, metric: str) -> bool:
        """Whether unchanged and real images differ in a metric in more than 6 of 10 cases."""
        return abs(self.separation(metric) - _CHANCE) >= _LEAST_SEPARATION


def evaluate(
    explanations: Explanations,
    *,
    predict: Batched,
    judges: Sequence[JudgeLike],
    autoencoders: Mapping[str, Autoencoders],
    real: RealImages,
    survival_autoencoder: Batched | None = None,
    seed: int = 0,
) -> Evaluation:
    """Score the found counterfactuals and their controls.

    Args:
        explanations: of images `[n, h, w, 1 or 3]` in [0, 1].
        predict: the explained model, `[n, *shape]` to logits or probabilities.
        judges: at least one; the first one's features serve the Fréchet distance.
        autoencoders: by name; IM1 and IM2 are computed with each, as "im1 NAME" and "im2 NAME".
        real: images to compare with.
        survival_autoencoder: one pass through it is one of the accidents to survive.
        seed: of the noise, of the choice of real images and of the resampling.

    Returns:
        For every found row and subject: "valid", "oracle" (the share of judges that read the new
        class), one "judge NAME" each, "stays original", "transfer gap" (valid - oracle), "l0",
        "l1", "l2", "elastic_net", "im1 NAME", "im2 NAME", "train distance" (to the 5 nearest
        training images of the new class), "high frequency" (share of the change's energy), and
        "survives NAME".

    Raises:
        ValueError: if a class has no autoencoder in a set.
    """
    found = explanations.found
    chosen = explanations[found]
    new = chosen.counterfactual_class
    control, reference = halves(len(real.x_test), seed)
    subjects = {
        COUNTERFACTUAL: chosen.counterfactual,
        UNCHANGED: chosen.original,
        NOISE: as_long_noise(chosen, seed),
        REAL: real_targets(chosen, real, control, seed),
    }
    values, frechet = {}, {}
    reference_features = map_batches(judges[0].features, real.x_test[reference])
    for subject, images in subjects.items():
        values[subject] = _distances(images - chosen.original, explanations.l1_weight) | _decisions(
            images, chosen, predict, judges
        )
        for name, networks in autoencoders.items():
            scores = metrics.interpretability(
                images, chosen.original_class, new, **networks._asdict()
            )
            values[subject] |= {f"im1 {name}": scores.im1, f"im2 {name}": scores.im2}
        values[subject]["train distance"] = metrics.distance_to_class(
            images, new, real.x_train, real.train_class
        )
        survived = metrics.survival(predict, images, new, reconstruct=survival_autoencoder)
        values[subject] |= {f"survives {name}": kept for name, kept in survived.items()}
        features = reference_features[:0]
        if len(images):
            features = map_batches(judges[0].features, images)
        frechet[subject] = metrics.frechet_to_class(
            features, new, reference_features, real.test_class[reference], seed=seed
        )
    return Evaluation(found, values, frechet)


def combine(parts: Sequence[Evaluation]) -> Evaluation:
    """The rows of several evaluations as one, such as those of several trained models.

    Args:
        parts: at least one, all with the same metrics.

    Returns:
        All their rows. Fréchet distances belong to whole sets: of several parts there is none.
    """
    if len(parts) == 1:
        return parts[0]
    values = {
        subject: {
            metric: np.concatenate([part.values[subject][metric] for part in parts])
            for metric in parts[0].values[subject]
        }
        for subject in SUBJECTS
    }
    nothing = {subject: Interval(np.nan, np.nan, np.nan, 0) for subject in SUBJECTS}
    return Evaluation(np.concatenate([part.found for part in parts]), values, nothing)


def _distances(perturbation: np.ndarray, beta: float) -> dict[str, np.ndarray]:
    return {
        "l0": metrics.l0(perturbation),
        "l1": metrics.l1(perturbation),
        "l2": metrics.l2(perturbation),
        "elastic_net": metrics.elastic_net(perturbation, beta),
        "high frequency": metrics.high_frequency_share(perturbation),
    }


def _decisions(
    images: np.ndarray, chosen: Explanations, predict: Batched, judges: Sequence[JudgeLike]
) -> dict[str, np.ndarray]:
    new = chosen.counterfactual_class
    classes = chosen.probabilities.shape[1]
    valid = metrics.validity(predict, images, np.eye(classes, dtype=bool)[new])
    said = metrics.verdicts(
        {judge.name: judge.predict for judge in judges}, images, chosen.original_class, new
    )
    return {
        "valid": valid,
        "oracle": said.oracle_score,
        "stays original": said.stays_original,
        "transfer gap": valid - said.oracle_score,
        **{f"judge {judge.name}": said.new[row] for row, judge in enumerate(judges)},
    }


def as_long_noise(chosen: Explanations, seed: int) -> np.ndarray:
    """The originals with normal noise of the length of each row's change, within [0, 1]."""
    noise = np.random.default_rng(seed).normal(size=chosen.original.shape)
    ones = (-1, *[1] * (noise.ndim - 1))
    noise *= (chosen.l2 / np.maximum(metrics.l2(noise), 1e-12)).reshape(ones)
    return np.clip(chosen.original + noise, 0, 1).astype(np.float32)


def real_targets(
    chosen: Explanations, real: RealImages, control: np.ndarray, seed: int
) -> np.ndarray:
    """A real row of each row's new class, see `real_target_rows`."""
    rows = real_target_rows(chosen.counterfactual_class, real.test_class, control, seed)
    return real.x_test[rows].astype(np.float32, copy=False)


def real_target_rows(
    new_class: Int[np.ndarray, " n"],
    test_class: Int[np.ndarray, " k"],
    control: Int[np.ndarray, " control"],
    seed: int,
) -> Int[np.ndarray, " n"]:
    """A test row of each row's new class; all of a class are used before one is used again.

    Of the control half, or of all test images for a class of so few that that half has none (the
    Fréchet distance, for which the halves are kept apart, needs more of them anyway).
    """
    generator = np.random.default_rng(seed)
    drawn = np.zeros(len(new_class), int)
    for label in np.unique(new_class):
        rows = np.flatnonzero(new_class == label)
        members = control[test_class[control] == label]
        if not len(members):
            members = np.flatnonzero(test_class == label)
        if not len(members):
            raise ValueError(
                f"class {label} has no test image to stand as control; pass more test rows"
            )
        turns = -(-len(rows) // len(members))
        order = np.concatenate([generator.permutation(members) for _ in range(turns)])
        drawn[rows] = order[: len(rows)]
    return drawn
