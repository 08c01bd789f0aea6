"""Which pixels a decision rests on, and what becomes of it without them.

Every attribution has one value per pixel: `[n, h, w]` for images `[n, h, w, channels]` or
`[n, channels, h, w]`, and the shape of the rows for all others (gray images `[n, h, w]`, tables
`[n, features]`), where each feature counts as a pixel. `channels` says where images have theirs,
"first" or "last"; None takes them to be first where only the first of the three is 1 or 3. All
are of the score that `predict` returns for a class, be it a logit or a probability; logits say
more, since a sure probability hardly has a gradient.

The models are called on batches of rows and the gradient is taken of the sum of their scores, so a
model must treat each row by itself: batch normalisation has to be in its evaluation mode.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num, PyTree, Shaped

from jaxcf.predictors.blackbox import BlackBox
from jaxcf.predictors.captured import tracing_context
from jaxcf.predictors.functions import (
    Captured,
    Model,
    ModelFunctions,
    abstract_call,
    check_models,
)
from jaxcf.utils import batching
from jaxcf.utils.images import Channels, check_channels, has_channels_first
from jaxcf.utils.numbers import check_whole
from jaxcf.utils.validation import as_rows

Classes = int | np.integer | Int[np.ndarray, " n"] | Int[Array, " n"]
# Rows per batch at most on a CPU, whose caches hold that many: it takes half the time of hundreds.
_ON_CPU = 64

Rows = Num[np.ndarray, "n *shape"] | Num[Array, "n *shape"]


def saliency(
    predict: Model,
    x: Rows,
    classes: Classes,
    *,
    params: PyTree = None,
    batch_size: int | None = None,
    channels: Channels | None = None,
) -> Float[np.ndarray, "n *pixels"]:
    r"""How steeply the class score changes with each pixel.

    $$a_p = \max\limits_{\text{channels } k}
      \left| \frac{\partial S_c(x)}{\partial x_{pk}} \right|$$

    Args:
        predict: `[n, *shape]` to scores `[n, classes]`, in JAX; with `params` called
            `f(params, x)`. Compiled once for every function object and shape.
        x: `[n, *shape]`, any n.
        classes: whose score, one for all rows or `[n]`.
        params: a pytree passed through, traced.
        batch_size: rows per call of the model, at least 1; None chooses 64 on a CPU, else 512, or
            fewer.
        channels: where images have theirs, "first" or "last"; None tells by their shape.

    Returns:
        `[n, *pixels]`, at least 0.

    Raises:
        TypeError: if `predict` can't be called on the rows, an array isn't of numbers, or a number
            that counts something isn't whole.
        ValueError: if a shape, a class or `batch_size` is wrong.

    Examples:
        >>> import jax.numpy as jnp, numpy as np
        >>> weights = jnp.array([[1.0, -2.0], [0.0, 3.0]])
        >>> saliency(lambda x: x @ weights, np.zeros((1, 2)), 1).tolist()
        [[2.0, 3.0]]

    Source: Simonyan et al. 2013, arXiv 1312.6034, section 3.
    """
    models, x, classes = _checked(predict, x, classes, params)

    def of_batch(x: np.ndarray, classes: np.ndarray) -> np.ndarray:
        gradient = np.abs(_score_gradient(models, params, x, classes))
        return _over_channels(np.max, gradient, channels)

    return _in_batches(of_batch, batch_size, channels, x, classes)


def integrated_gradients(
    predict: Model,
    x: Rows,
    classes: Classes,
    *,
    baseline: float | Num[np.ndarray, "..."] = 0.0,
    steps: int = 32,
    params: PyTree = None,
    batch_size: int | None = None,
    channels: Channels | None = None,
) -> Float[np.ndarray, "n *pixels"]:
    r"""What each pixel adds to the class score on the way from a baseline to the row.

    $$a_p = \sum_{\text{channels } k} (x_{pk} - b_{pk}) \int_0^1
      \frac{\partial S_c(b + t (x - b))}{\partial x_{pk}}\,dt$$

    by the midpoint rule. Complete: the values of a row add up to $S_c(x) - S_c(b)$, exactly for a
    linear model and the better the more steps for others. Below 0 where a pixel speaks against
    the class, exactly 0 where it equals the baseline.

    Args:
        predict: `[n, *shape]` to scores `[n, classes]`, in JAX; with `params` called
            `f(params, x)`. Compiled once for every function object and shape.
        x: `[n, *shape]`, any n.
        classes: whose score, one for all rows or `[n]`.
        baseline: where the way begins: a number, or an array `[*shape]` or `[n, *shape]`.
        steps: gradients along the way, at least 1. Compiles nothing anew.
        params: a pytree passed through, traced.
        batch_size: rows per call of the model, at least 1; None chooses 64 on a CPU, else 512, or
            fewer.
        channels: where images have theirs, "first" or "last"; None tells by their shape.

    Returns:
        `[n, *pixels]`.

    Raises:
        TypeError: if `predict` can't be called on the rows, an array isn't of numbers, or a number
            that counts something isn't whole.
        ValueError: if a shape, a class, `steps` or `batch_size` is wrong.

    Examples:
        >>> import jax.numpy as jnp, numpy as np
        >>> def predict(x):
        ...     return jnp.stack([x[:, 0] ** 2, x[:, 1]], axis=1)
        >>> integrated_gradients(predict, np.array([[3.0, 5.0]]), 0).tolist()
        [[9.0, 0.0]]

    Source: Sundararajan et al. 2017, arXiv 1703.01365, equations 1 and 3.
    """
    models, x, classes = _checked(predict, x, classes, params)
    check_whole("steps", steps)
    start = as_rows("baseline", np.atleast_1d(baseline))
    if start.shape not in ((1,), x.shape[1:], x.shape):
        raise ValueError(
            f"baseline has shape {start.shape}; expected a number, or an array {x.shape[1:]} or "
            f"{x.shape} like the rows"
        )

    def of_batch(x: np.ndarray, start: np.ndarray, classes: np.ndarray) -> np.ndarray:
        way = x - start
        total = np.zeros_like(x)
        # Not in one program: XLA's convolutions are many times slower inside a compiled loop.
        for fraction in (np.arange(steps, dtype=np.float32) + np.float32(0.5)) / np.float32(steps):
            total += np.asarray(_score_gradient(models, params, start + fraction * way, classes))
        return _over_channels(np.sum, way * total / np.float32(steps), channels)

    return _in_batches(of_batch, batch_size, channels, x, np.broadcast_to(start, x.shape), classes)


def grad_cam(
    feature_map: Model,
    head: Model,
    x: Rows,
    classes: Classes,
    *,
    params: PyTree = None,
    batch_size: int | None = None,
    channels: Channels | None = None,
) -> Float[np.ndarray, "n h w"]:
    r"""Where a network sees what speaks for the class, as coarse as its feature map.

    $$a = \text{resize}\Big(\max\Big(0, \sum_k \alpha_k A_k\Big)\Big),\quad
      \alpha_k = \frac{1}{h'\,w'} \sum_{ij} \frac{\partial S_c}{\partial A_{ijk}}$$

    with A the feature map, resized to the image bilinearly.

    Args:
        feature_map: images `[n, h, w, channels]` or `[n, h, w]` to features `[n, h', w', k]`, in
            JAX; with `params` called `f(params, x)`. Of images `[n, channels, h, w]` the features
            are `[n, k, h', w']`.
        head: those features to scores `[n, classes]`: `head(feature_map(x))` is the model.
        x: images, any n.
        classes: whose score, one for all rows or `[n]`.
        params: a pytree passed through to both, traced.
        batch_size: rows per call of the model, at least 1; None chooses 64 on a CPU, else 512, or
            fewer.
        channels: where images have theirs, "first" or "last"; None tells by their shape.

    Returns:
        `[n, h, w]`, at least 0; all 0 for a row where nothing speaks for the class.

    Raises:
        TypeError: if a function can't be called on its batch, an array isn't of numbers, or
            `batch_size` isn't whole.
        ValueError: if a shape, a class or `batch_size` is wrong.

    Examples:
        >>> import jax.numpy as jnp, numpy as np
        >>> def head(features):
        ...     score = features.sum(axis=(1, 2, 3))
        ...     return jnp.stack([score, -score], axis=1)
        >>> x = np.eye(2)[None, :, :, None]
        >>> grad_cam(lambda x: x, head, x, 0)[0].tolist(), grad_cam(lambda x: x, head, x, 1).max()
        ([[1.0, 0.0], [0.0, 1.0]], np.float32(0.0))

    Source: Selvaraju et al. 2016, arXiv 1610.02391, equations 1 and 2.
    """
    x = as_rows("x", x)
    if x.ndim not in (3, 4):
        raise ValueError(
            f"x has shape {x.shape}; Grad-CAM needs images [n, h, w, channels], "
            "[n, channels, h, w] or [n, h, w]"
        )
    _check_functions(feature_map=feature_map, head=head)
    models = ModelFunctions(head, encode=feature_map, takes_params=params is not None)
    image = jax.ShapeDtypeStruct((2, *x.shape[1:]), jnp.float32)
    features, of_features = abstract_call("feature_map", models.encoding, params, image)
    if len(features.shape) != 4 or features.shape[0] != 2:
        raise ValueError(
            f"feature_map returned shape {features.shape} for a batch of shape {image.shape}; "
            "expected (2, h, w, channels), or (2, channels, h, w) of such images, the last layer "
            "that is still laid out as an image"
        )
    scores, of_head = abstract_call("head", models.probabilities, params, features)
    if len(scores.shape) != 2 or scores.shape[0] != 2:
        raise ValueError(
            f"head returned shape {scores.shape} for a batch of features {features.shape}; "
            "expected (2, classes)"
        )
    classes = _class_rows(classes, len(x), scores.shape[1])
    digests = (("feature_map", of_features), ("head", of_head))
    models = replace(models, captured=Captured(digests, tracing_context()))

    axis = _channel_axis(x.shape, channels)

    def of_batch(x: np.ndarray, classes: np.ndarray) -> Array:
        return _rectified_weighted_sum(models, params, x, classes, axis == 1)

    return _in_batches(of_batch, batch_size, channels, x, classes)


def mask_pixels(
    x: Shaped[np.ndarray, "n *shape"],
    attribution: Num[np.ndarray, "n *pixels"],
    k: int,
    *,
    fill: float = 0.0,
    most_important: bool = True,
    channels: Channels | None = None,
) -> Shaped[np.ndarray, "n *shape"]:
    """Set the k most important pixels of each row to one value, in all their channels.

    Args:
        x: `[n, *shape]`, left as it is.
        attribution: `[n, *pixels]`, one value per pixel. The highest are the most important; of
            equal ones the first in reading order goes first, and NaN goes last.
        k: how many pixels, 0 to all; 0 gives back a copy.
        fill: what they become, in the type of `x`.
        most_important: whether the highest are masked, or the lowest. Signed attributions have
            what speaks against the class at their lower end.
        channels: where images have theirs, "first" or "last"; None tells by their shape.

    Returns:
        `[n, *shape]` of the type of `x`; what isn't masked is bit-identical.

    Raises:
        TypeError: if k is no whole number.
        ValueError: if the attribution doesn't fit the rows or k the number of pixels.

    Examples:
        >>> import numpy as np
        >>> mask_pixels(np.array([[5, 6, 7]]), np.array([[0.1, 0.9, 0.3]]), 2).tolist()
        [[5, 0, 0]]
    """
    x, attribution = np.asarray(x), np.asarray(attribution)
    axis = _channel_axis(x.shape, channels)
    pixels = _without(x.shape, axis)
    if attribution.shape != pixels:
        raise ValueError(
            f"attribution has shape {attribution.shape}; expected {pixels}, one value per pixel of "
            f"the rows {x.shape}"
        )
    num_pixels = int(np.prod(pixels[1:]))
    check_whole("k", k, least=0)
    if k > num_pixels:
        raise ValueError(f"k must lie between 0 and the {num_pixels} pixels of a row, got {k}")
    masked = x.copy()
    if k:
        importance = attribution.reshape(len(x), num_pixels).astype(np.float64)
        importance = np.nan_to_num(importance if most_important else -importance, nan=-np.inf)
        chosen = _k_highest(importance, k).reshape(pixels)
        chosen = chosen if axis is None else np.expand_dims(chosen, axis)
        masked[np.broadcast_to(chosen, x.shape)] = fill
    return masked


def _k_highest(values: np.ndarray, k: int) -> np.ndarray:
    # Finding the k-th highest is several times faster than sorting; of what equals it, the first.
    lowest = np.partition(values, -k, axis=1)[:, [-k]]
    above, equal = values > lowest, values == lowest
    wanted = k - above.sum(axis=1, keepdims=True)
    return above | (equal & (np.cumsum(equal, axis=1) <= wanted))


def _channel_axis(shape: tuple[int, ...], channels: Channels | None) -> int | None:
    """Which axis of a batch holds the channels, however many; None where there is none."""
    check_channels(channels)
    if len(shape) != 4:
        return None
    first = has_channels_first(shape[1:]) if channels is None else channels == "first"
    return 1 if first else 3


def _without(shape: tuple[int, ...], axis: int | None) -> tuple[int, ...]:
    return shape if axis is None else (*shape[:axis], *shape[axis + 1 :])


def _over_channels(
    reduce: Callable[..., np.ndarray], values: np.ndarray, channels: Channels | None
) -> np.ndarray:
    axis = _channel_axis(values.shape, channels)
    return values if axis is None else reduce(values, axis=axis)


def _check_functions(**named: Model) -> None:
    for name, function in named.items():
        if isinstance(function, BlackBox):
            raise TypeError(
                f"{name} must be a function in JAX, got a BlackBox, which has no derivatives to "
                "attribute a decision by"
            )
        if not callable(function):
            raise TypeError(f"{name} must be a function, got {type(function).__name__}")


def _checked(
    predict: Model, x: Rows, classes: Classes, params: PyTree
) -> tuple[ModelFunctions, np.ndarray, np.ndarray]:
    x = as_rows("x", x)
    if x.ndim < 2:
        raise ValueError(f"x has shape {x.shape}; expected rows [n, *shape]")
    _check_functions(predict=predict)
    # What it returns counts as it is: "probabilities" here and below stands for any score.
    models = ModelFunctions(predict, takes_params=params is not None)
    models, num_classes, _ = check_models(models, params, x.shape[1:])
    return models, x, _class_rows(classes, len(x), num_classes)


def _class_rows(classes: Classes, num_rows: int, num_classes: int) -> np.ndarray:
    given = np.asarray(classes)
    if given.shape not in ((), (num_rows,)) or not np.issubdtype(given.dtype, np.integer):
        raise ValueError(
            f"classes must be one class number or {num_rows} of them, one per row, got shape "
            f"{given.shape} and dtype {given.dtype}"
        )
    if given.size and not 0 <= given.min() <= given.max() < num_classes:
        raise ValueError(
            f"classes must lie in 0 to {num_classes - 1}, got {given.min()} to {given.max()}"
        )
    return np.broadcast_to(given, num_rows).astype(np.int32)


def _in_batches(
    function: Callable[..., np.ndarray | Array],
    batch_size: int | None,
    channels: Channels | None,
    x: np.ndarray,
    *others: np.ndarray,
) -> np.ndarray:
    if batch_size is not None:
        check_whole("batch_size", batch_size)
    if not len(x):
        return np.zeros(_without(x.shape, _channel_axis(x.shape, channels)), np.float32)
    size = batching.batch_size(len(x), x.shape[1:])
    if jax.default_backend() == "cpu":
        size = min(size, _ON_CPU)
    return batching.map_batches(function, x, *others, size=batch_size or size)


# The two programs stand at module level and take the models as static arguments: a jax.jit made
# within a call would compile anew in every call.


def _total_score(
    models: ModelFunctions, params: PyTree, classes: Array, x: Float[Array, "n *shape"]
) -> Array:
    scores = models.probabilities(params, x)
    return jnp.take_along_axis(scores, classes[:, None], axis=1).sum()


@partial(jax.jit, static_argnames="models")
def _score_gradient(models: ModelFunctions, params: PyTree, x: Array, classes: Array) -> Array:
    # Each row's score depends on that row alone, so the gradient of their sum is each row's own.
    return jax.grad(partial(_total_score, models, params, classes))(x)


@partial(jax.jit, static_argnames=("models", "channels_first"))
def _rectified_weighted_sum(
    models: ModelFunctions, params: PyTree, x: Array, classes: Array, channels_first: bool
) -> Array:
    features = models.encoding(params, x)
    gradient = jax.grad(partial(_total_score, models, params, classes))(features)
    pixels = (2, 3) if channels_first else (1, 2)
    weights = gradient.mean(axis=pixels, keepdims=True)
    seen = jax.nn.relu((weights * features).sum(axis=1 if channels_first else 3))
    size = x.shape[2:] if channels_first else x.shape[1:3]
    return jax.image.resize(seen, (len(x), *size), "bilinear")
