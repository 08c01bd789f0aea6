"""Images of counterfactuals: along a search's path, and side by side under several objectives."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from jaxcf.plots.style import DIFFERENCE, axes_or_new, is_image, show_image, signed_change

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

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
        >>> from jaxcf.plots import new_figure
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
) -> "Axes":
    """The images of a search side by side on one axis, each with a word beneath.

    Args:
        images: `[k, h, w]` or `[k, h, w, 1 or 3]`, in the order of the search.
        labels: `k` of them, such as the number of the update.
        ax: to draw on; None for a new figure.
        value_range: the values drawn darkest and brightest.

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
    if not is_image(images.shape[1:]):
        raise ValueError(f"rows of shape {images.shape[1:]} are no images [h, w], [h, w, 1 or 3]")
    height = images.shape[1] / images.shape[2]
    ax = axes_or_new(ax, 1.15 * len(images), 1.1 * height + 0.45)
    for column, image in enumerate(images):
        right, bottom = place_image(ax, image, 0, column, value_range)
    frame_mosaic(ax, right, bottom)
    ax.set_xticks(column_places(len(images)), labels)
    return ax


def column_places(count: int) -> np.ndarray:
    """The middles of the columns of placed images, for their labels."""
    return np.arange(count) * (1 + _GAP) + 0.5


def line_places(count: int, height: float) -> np.ndarray:
    """The middles of the lines of placed images, for their labels; the height is a width's."""
    return np.arange(count) * (height + _GAP) + height / 2


def objective_rows(
    figure: "FigureBase",
    original: Float[np.ndarray, "*shape"],
    counterfactuals: Mapping[str, Float[np.ndarray, "*shape"]],
    *,
    reconstructions: Mapping[str, Float[np.ndarray, "*shape"]] | None = None,
    captions: Mapping[str, str] | None = None,
    value_range: tuple[float, float] = (0.0, 1.0),
) -> None:
    """One instance under several objectives, a column for each.

    From above: the original, the counterfactual, their difference (one scale for all columns) and
    what the autoencoder makes of the counterfactual, with a caption beneath.

    Args:
        figure: a figure or a part of one (`Figure.subfigures`), still empty.
        original: `[h, w]` or `[h, w, 1 or 3]`.
        counterfactuals: name, such as "A", to an image of the original's shape.
        reconstructions: name to the autoencoder's image; the line is left out without any.
        captions: name to a few words or numbers; none where not given.
        value_range: the values drawn darkest and brightest.

    Raises:
        ValueError: if there is no counterfactual, a shape differs from the original's, or the
            original isn't an image.

    Examples:
        >>> import numpy as np
        >>> from jaxcf.plots import new_figure
        >>> figure = new_figure(3, 4)
        >>> objective_rows(figure, np.zeros((8, 8, 1)), {"A": np.ones((8, 8, 1))})
        >>> [axis.get_ylabel() for axis in figure.axes]
        ['original', 'counterfactual', 'difference']
    """
    if not counterfactuals:
        raise ValueError("there is no counterfactual to draw")
    if not is_image(original.shape):
        raise ValueError(f"the original, {original.shape}, is no image [h, w], [h, w, 1 or 3]")
    reconstructions = reconstructions or {}
    for name, image in [*counterfactuals.items(), *reconstructions.items()]:
        if image.shape != original.shape:
            raise ValueError(
                f"the image of {name!r} has shape {image.shape}, but the original {original.shape}"
            )
    lines = ["original", "counterfactual", "difference"]
    lines += ["reconstruction"] if reconstructions else []
    axes = figure.subplots(len(lines), len(counterfactuals), squeeze=False)
    changes = {name: image - original for name, image in counterfactuals.items()}
    reach = max(float(np.abs(change).max()) for change in changes.values()) or 1.0
    for column, (name, image) in zip(axes.T, counterfactuals.items(), strict=True):
        show_image(column[0], original, *value_range)
        show_image(column[1], image, *value_range)
        show_image(column[2], signed_change(changes[name]), -reach, reach, DIFFERENCE)
        if name in reconstructions:
            show_image(column[3], reconstructions[name], *value_range)
        elif reconstructions:
            column[3].set_axis_off()
        column[0].set_title(name, fontsize=11, weight="bold")
        column[-1].set_xlabel((captions or {}).get(name, ""), fontsize=8)
    for axis, line in zip(axes[:, 0], lines, strict=True):
        axis.set_ylabel(line, fontsize=8)
