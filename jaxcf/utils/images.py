"""Which rows are images, what is drawn darkest and brightest, and how they look out of focus."""

from typing import Literal, get_args

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Shaped

Channels = Literal["first", "last"]
"""Where an image has its channels: `[channels, h, w]`, as in PyTorch, or `[h, w, channels]`."""

_COUNTS = (1, 3)


def is_image(shape: tuple[int, ...], channels: Channels | None = None) -> bool:
    """Whether rows of this shape can be shown as images.

    Args:
        shape: of one row.
        channels: "first" or "last"; None tells by which end of the shape is 1 or 3, and takes them
            to be last where both ends are.

    Examples:
        >>> is_image((8, 8, 1)), is_image((3, 8, 8)), is_image((30,)), is_image((5, 5, 7))
        (True, True, False, False)
        >>> is_image((8, 8, 1), "first"), is_image((0, 8))
        (False, False)
    """
    check_channels(channels)
    if not shape or min(shape) < 1:
        return False
    return len(shape) == 2 or _place_of_channels(shape, channels) is not None


def has_channels_first(shape: tuple[int, ...], channels: Channels | None = None) -> bool:
    """Whether rows of this shape are images `[channels, h, w]`; `channels` as for `is_image`.

    Examples:
        >>> has_channels_first((3, 8, 8)), has_channels_first((8, 8, 3))
        (True, False)
        >>> has_channels_first((1, 28, 1)), has_channels_first((1, 28, 1), "first")
        (False, True)
    """
    check_channels(channels)
    return _place_of_channels(shape, channels) == "first"


def with_channels_last(
    images: Shaped[np.ndarray, "n *shape"], channels: Channels | None = None
) -> Shaped[np.ndarray, "n *picture"]:
    """Images as they are drawn: `[n, h, w]` or `[n, h, w, channels]`; `channels` as for `is_image`.

    Examples:
        >>> with_channels_last(np.zeros((5, 3, 8, 9))).shape
        (5, 8, 9, 3)
    """
    first = has_channels_first(images.shape[1:], channels)
    return np.moveaxis(images, 1, -1) if first else images


def check_channels(channels: Channels | None) -> None:
    """Raise if it isn't said in one of the two words where the channels are.

    Raises:
        ValueError: if it is any other word.
    """
    if channels is not None and channels not in get_args(Channels):
        raise ValueError(
            f"channels is {channels!r}; expected 'first' for images [channels, h, w], 'last' for "
            "[h, w, channels], or None to tell by their shape"
        )


def _place_of_channels(shape: tuple[int, ...], channels: Channels | None) -> Channels | None:
    if len(shape) != 3:
        return None
    if channels != "first" and shape[2] in _COUNTS:
        return "last"
    return "first" if channels != "last" and shape[0] in _COUNTS else None


def value_range(*images: Shaped[np.ndarray, "..."]) -> tuple[float, float]:
    """What to draw darkest and brightest: 0 and 1, or what the images span where that is more.

    Args:
        images: any shapes; values that aren't finite don't count.

    Returns:
        Lowest and highest; they differ, whatever the images hold.

    Examples:
        >>> value_range(np.array([0.2, 0.7])), value_range(np.array([-1.0, 0.5, np.nan]))
        ((0.0, 1.0), (-1.0, 1.0))
        >>> value_range(np.array([7.0, 7.0])), value_range(np.empty(0))
        ((0.0, 7.0), (0.0, 1.0))
    """
    finite = [one[np.isfinite(one)] for one in images]
    low = min((float(one.min(initial=0.0)) for one in finite), default=0.0)
    high = max((float(one.max(initial=1.0)) for one in finite), default=1.0)
    return low, high


def blurred(images: Float[ArrayLike, "n h w c"]) -> Float[Array, "n h w c"]:
    """Replace each pixel by the mean of the 3x3 around it; the border is repeated outwards.

    Examples:
        >>> round(float(blurred(np.eye(3, dtype=np.float32).reshape(1, 3, 3, 1))[0, 1, 1, 0]), 3)
        0.333
    """
    images = jnp.asarray(images)
    for axis, size in ((1, images.shape[1]), (2, images.shape[2])):
        near = np.clip(np.arange(size)[:, None] + np.arange(-1, 2), 0, size - 1)
        images = jnp.take(images, near, axis=axis).mean(axis + 1)
    return images
