"""Images of counterfactuals: along a search's path, and side by side under several objectives."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from jaxcf.plots.style import axes_or_new, show_image
from jaxcf.utils.images import Channels, is_image, with_channels_last

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Between two images, as a share of their width.
_GAP = 0.06


def place_image(
    ax: "Axes",
    image: Float[np.ndarray, "*shape"],
    line: int,
    column: int,
    limits: tuple[float, float],
    *,
    colours: str = "gray",
    framed: bool = False,
) -> tuple[float, float]:
    """Draw one of many images on the same axes, each one wide and with a gap between them.

    Args:
        ax: to draw on.
        image: `[h, w]` or `[h, w, 1 or 3]`, all of one shape.
        line: counted from above.
        column: counted from the left.
        limits: the values drawn darkest and brightest.
        colours: matplotlib's colour map for one channel.
        framed: whether it has a thin black edge.

    Returns:
        The image's lower right corner.

    Examples:
        >>> from jaxcf.plots.style import new_figure
        >>> place_image(new_figure(1, 1).subplots(), np.zeros((8, 4)), 0, 1, (0, 1))
        (2.06, 2.0)
    """
    from matplotlib.patches import Rectangle

    height = image.shape[0] / image.shape[1]
    left, top = column * (1 + _GAP), line * (height + _GAP)
    show_image(ax, image, *limits, colours)
    ax.images[-1].set_extent((left, left + 1, top + height, top))
    if framed:
        edge = Rectangle((left, top), 1, height, fill=False, linewidth=0.8, clip_on=False)
        ax.add_patch(edge)
    return left + 1, top + height


def frame_mosaic(ax: "Axes", right: float, bottom: float) -> None:
    """Show all of the placed images, undistorted and with nothing around them.

    Args:
        ax: that they were placed on.
        right: of the last image.
        bottom: likewise.
    """
    ax.set_xlim(0, right)
    ax.set_ylim(bottom, 0)
    ax.set_aspect("equal")
    ax.tick_params(length=0, labelsize=8)
    ax.spines[:].set_visible(False)


def path_strip(
    images: Float[np.ndarray, "k *shape"],
    labels: Sequence[str],
    ax: "Axes | None" = None,
    *,
    value_range: tuple[float, float] = (0.0, 1.0),
    channels: Channels | None = None,
) -> "Axes":
    """The images of a search side by side on one axis, each with a word beneath.

    Args:
        images: `[k, h, w]`, `[k, h, w, 1 or 3]` or `[k, 1 or 3, h, w]`, in the order of the search.
        labels: `k` of them, such as the number of the update.
        ax: to draw on; None for a new figure.
        value_range: the values drawn darkest and brightest.
        channels: "first" for images `[channels, h, w]`, "last" for `[h, w, channels]`; None tells
            by their shape, see `jaxcf.utils.images.is_image`.

    Returns:
        The axes.

    Raises:
        ValueError: if there is no image, not one label for each, or the rows aren't images.

    Examples:
        >>> import numpy as np
        >>> axes = path_strip(np.zeros((3, 8, 8, 1)), ["0", "5", "9"])
        >>> len(axes.images)
        3
    """
    if not len(images) or len(images) != len(labels):
        raise ValueError(
            f"{len(images)} images and {len(labels)} labels; pass at least one image, and one "
            "label for each"
        )
    if not is_image(images.shape[1:], channels):
        raise ValueError(
            f"rows of shape {images.shape[1:]} are no images [h, w], [h, w, 1 or 3] or "
            "[1 or 3, h, w]"
        )
    images = with_channels_last(images, channels)
    height = images.shape[1] / images.shape[2]
    ax = axes_or_new(ax, 1.15 * len(images), 1.1 * height + 0.45)
    for column, image in enumerate(images):
        right, bottom = place_image(ax, image, 0, column, value_range)
    frame_mosaic(ax, right, bottom)
    ax.set_xticks(column_places(len(images)), labels)
    return ax


def reading(probabilities: Float[np.ndarray, " classes"], class_names: Sequence[str]) -> str:
    """What a model reads and how surely, to stand beneath an image.

    Args:
        probabilities: of each class.
        class_names: one per class.

    Examples:
        >>> reading(np.array([0.03, 0.97]), ["3", "8"])
        '8, 97 %'
    """
    label = int(probabilities.argmax())
    return f"{class_names[label]}, {100 * probabilities[label]:.0f} %"


def column_places(count: int) -> np.ndarray:
    """The middles of the columns of placed images, for their labels."""
    return np.arange(count) * (1 + _GAP) + 0.5


def line_places(count: int, height: float) -> np.ndarray:
    """The middles of the lines of placed images, for their labels; the height is a width's."""
    return np.arange(count) * (height + _GAP) + height / 2
