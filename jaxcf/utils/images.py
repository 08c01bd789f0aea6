"""Which rows are images, and what is drawn darkest and brightest: for pictures and pages alike."""

import numpy as np
from jaxtyping import Shaped


def is_image(shape: tuple[int, ...]) -> bool:
    """Whether rows of this shape can be shown as images.

    Examples:
        >>> is_image((8, 8, 1)), is_image((30,)), is_image((5, 5, 7)), is_image((0, 8))
        (True, False, False, False)
    """
    drawable = len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3))
    return drawable and min(shape) > 0


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
