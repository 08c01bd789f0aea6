"""Does a counterfactual look like its new class: near real rows, and without noise."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxcf.metrics.bootstrap import Interval
from jaxcf.metrics.distances import flat
from jaxcf.utils.images import with_channels_last
from jaxcf.utils.neighbours import Neighbours
from jaxcf.utils.numbers import check_whole
from jaxcf.utils.validation import check_finite

# Share of the highest frequency along each axis from which a change counts as high.
_HIGH = 0.5


class _Moments(NamedTuple):
    mean: np.ndarray
    covariance: np.ndarray


def _moments(features: np.ndarray) -> _Moments:
    features = np.asarray(features, np.float64)
    return _Moments(features.mean(axis=0), np.atleast_2d(np.cov(features, rowvar=False)))


def _frechet_distance(one: _Moments, other: _Moments) -> float:
    # The product of the covariances isn't symmetric; root @ other @ root is, with the same
    # eigenvalues, and rounding can make those of a singular one a little negative.
    values, vectors = np.linalg.eigh(one.covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    product = np.linalg.eigvalsh(root @ other.covariance @ root)
    trace = np.trace(one.covariance) + np.trace(other.covariance)
    distance = np.square(one.mean - other.mean).sum() + trace
    return float(max(0.0, distance - 2 * np.sqrt(np.maximum(product, 0)).sum()))


def frechet_to_class(
    features: Float[np.ndarray, "n d"],
    classes: Int[np.ndarray, " n"],
    reference: Float[np.ndarray, "m d"],
    reference_classes: Int[np.ndarray, " m"],
    *,
    level: float = 0.95,
    resamples: int = 100,
    seed: int = 0,
) -> Interval:
    r"""The Fréchet distance to real rows of the same class, averaged over the rows' classes.

    $$\|\mu_1 - \mu_2\|_2^2 + \text{tr}(\Sigma_1 + \Sigma_2 - 2 (\Sigma_1 \Sigma_2)^{1/2})$$

    of the means and covariances of both sets of features, for each class. Stricter than the usual
    distance to all real rows, which says nothing about the class. Biased upwards in small sets:
    compare sets of equal size only.

    Args:
        features: `[n, d]`, of the rows judged.
        classes: `[n]`, the class each is meant to be.
        reference: `[m, d]`, of real rows that are not among the rows judged.
        reference_classes: `[m]`, what they are.
        level: of the interval, between 0 and 1.
        resamples: bootstrap samples of the rows judged; the reference stays as it is.
        seed: of the resampling.

    Returns:
        The mean over the classes, weighted by their rows; classes with fewer than d + 2 rows (whose
        covariance says nothing) are left out, and `n` counts the rows that are in. The interval
        is the basic bootstrap's, which takes off the bias that resampling adds.

    Examples:
        >>> import numpy as np
        >>> generator = np.random.default_rng(0)
        >>> real, near, far = (generator.normal(m, 1, size=(60, 2)) for m in (0, 0, 3))
        >>> zeros = np.zeros(60, int)
        >>> near, far = (frechet_to_class(x, zeros, real, zeros) for x in (near, far))
        >>> near.upper < far.lower
        True

    Source: Heusel et al., arXiv 1706.08500, eq. 6, with a judge's features for Inception's.
    """
    enough = features.shape[1] + 2
    groups = []
    for label in np.unique(classes):
        real = reference[reference_classes == label]
        mine = features[classes == label]
        if len(mine) >= enough and len(real) >= enough:
            groups.append((mine, _moments(real)))
    n = sum(len(mine) for mine, _ in groups)
    if not n:
        return Interval(np.nan, np.nan, np.nan, 0)

    def mean(draw: np.random.Generator | None) -> float:
        total = 0.0
        for mine, real in groups:
            rows = mine if draw is None else mine[draw.integers(len(mine), size=len(mine))]
            total += len(mine) * _frechet_distance(_moments(rows), real)
        return total / n

    value = mean(None)
    generator = np.random.default_rng(seed)
    samples = [mean(generator) for _ in range(resamples)]
    low, high = np.percentile(samples, [50 * (1 - level), 100 - 50 * (1 - level)])
    return Interval(value, max(0.0, 2 * value - float(high)), 2 * value - float(low), n)


def distance_to_class(
    x: Float[np.ndarray, "n *shape"],
    classes: Int[np.ndarray, " n"],
    x_train: Float[np.ndarray, "m *shape"],
    train_classes: Int[np.ndarray, " m"],
    *,
    k: int = 5,
) -> Float[np.ndarray, " n"]:
    """The mean Euclidean distance to the k nearest training rows of each row's new class.

    Args:
        x: `[n, *shape]`.
        classes: `[n]`; -1 for none.
        x_train: `[m, *shape]`.
        train_classes: `[m]`.
        k: neighbours, fewer where a class has fewer rows.

    Returns:
        `[n]`; NaN for a row whose class has no training rows, or that isn't finite itself.

    Raises:
        TypeError: if k is no whole number.
        ValueError: if it is below 1, or training rows aren't finite.

    Examples:
        >>> import numpy as np
        >>> x_train = np.array([[0.0], [1.0], [5.0]])
        >>> distance_to_class(np.array([[0.0]]), np.array([1]), x_train, np.array([0, 1, 1]), k=2)
        array([3.])
    """
    check_whole("k", k)
    points, training = flat(x), flat(x_train)
    check_finite("training rows", training)
    result = np.full(len(points), np.nan)
    known = (classes >= 0) & np.isfinite(points).all(axis=1)
    for label in np.unique(classes[known]):
        rows, train = known & (classes == label), training[train_classes == label]
        if len(train):
            distances, _ = Neighbours(train).query(points[rows], min(k, len(train)))
            result[rows] = distances.mean(axis=1)
    return result


def high_frequency_share(
    perturbation: Float[np.ndarray, "n *image"],
) -> Float[np.ndarray, " n"]:
    r"""How much of a change's energy lies in high frequencies.

    $$\frac{\sum\limits_{(u/h)^2 + (v/w)^2 > 1/4} D_{uv}^2}{\sum\limits_{uv} D_{uv}^2}$$

    with D the orthonormal cosine transform of the change of each channel, which keeps the energy:
    the disc of the lower half of all frequencies against the rest.

    Args:
        perturbation: `[n, h, w]` or `[n, h, w, channels]`; also `[n, 1 or 3, h, w]` where w is
            neither 1 nor 3.

    Returns:
        `[n]`, 0 to 1; white noise has about 0.8; NaN where nothing changed.

    Raises:
        ValueError: if the rows aren't images.

    Examples:
        >>> import numpy as np
        >>> checkerboard = (-1.0) ** np.add.outer(np.arange(8), np.arange(8))
        >>> high_frequency_share(np.stack([np.ones((8, 8)), checkerboard])).round(2)
        array([0., 1.])
    """
    from scipy.fft import dctn

    perturbation = np.asarray(perturbation, np.float64)
    if perturbation.ndim not in (3, 4):
        raise ValueError(
            f"frequencies are those of images [n, h, w] or [n, h, w, channels], got shape "
            f"{perturbation.shape}"
        )
    perturbation = with_channels_last(perturbation)
    height, width = perturbation.shape[1:3]
    energy = np.square(np.asarray(dctn(perturbation, axes=(1, 2), norm="ortho")))
    if energy.ndim == 4:
        energy = energy.sum(axis=-1)
    rows, columns = np.arange(height) / height, np.arange(width) / width
    high = np.add.outer(rows**2, columns**2) > _HIGH**2
    total = energy.sum(axis=(1, 2))
    share = np.full(len(energy), np.nan)
    changed = total > 0
    share[changed] = energy[changed][:, high].sum(axis=1) / total[changed]
    return share
