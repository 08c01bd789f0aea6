"""Images of counterfactuals: along a search's path, and side by side under several objectives."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from jaxcf.plots.style import DIFFERENCE, is_image, show_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

# Between two images of a strip, as a share of their width.
_GAP = 0.06


def path_strip(
    axis: "Axes",
    images: Float[np.ndarray, "k *shape"],
    labels: Sequence[str],
    *,
    value_range: tuple[float, float] = (0.0, 1.0),
) -> None:
    """The images of a search side by side on one axis, each with a word beneath.

    Args:
        axis: to draw on.
        images: `[k, h, w]` or `[k, h, w, 1 or 3]`, in the order of the search.
        labels: `k` of them, such as the number of the update.
        value_range: the values drawn darkest and brightest.

    Raises:
        ValueError: if there is no image, not one label for each, or the rows aren't images.

    Examples:
        >>> import numpy as np
        >>> from jaxcf.plots import new_figure
        >>> axis = new_figure(3, 1).subplots()
        >>> path_strip(axis, np.zeros((3, 8, 8, 1)), ["0", "5", "9"])
        >>> len(axis.images)
        3
    """
    if not len(images) or len(images) != len(labels):
        raise ValueError(
            f"{len(images)} images and {len(labels)} labels; pass at least one image, and one "
            "label for each"
        )
    if not is_image(images.shape[1:]):
        raise ValueError(f"rows of shape {images.shape[1:]} are no images [h, w], [h, w, 1 or 3]")
    height, width = images.shape[1:3]
    stride = width * (1 + _GAP)
    for place, image in enumerate(images):
        show_image(axis, image, *value_range)
        axis.images[-1].set_extent((place * stride, place * stride + width, height, 0))
    axis.set_xlim(-0.5, len(images) * stride - width * _GAP + 0.5)
    axis.set_ylim(height + 0.5, -0.5)
    axis.set_aspect("equal")
    axis.set_xticks(np.arange(len(images)) * stride + width / 2, labels)
    axis.tick_params(length=0, labelsize=8)
    axis.spines[:].set_visible(False)


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
        change = changes[name]
        change = change.mean(axis=-1) if change.ndim == 3 else change
        show_image(column[2], change, -reach, reach, DIFFERENCE)
        if name in reconstructions:
            show_image(column[3], reconstructions[name], *value_range)
        elif reconstructions:
            column[3].set_axis_off()
        column[0].set_title(name, fontsize=11, weight="bold")
        column[-1].set_xlabel((captions or {}).get(name, ""), fontsize=8)
    for axis, line in zip(axes[:, 0], lines, strict=True):
        axis.set_ylabel(line, fontsize=8)
