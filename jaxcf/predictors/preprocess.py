"""What lies between pixels, which are searched, and what a model of images wants instead."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Shaped
from numpy.typing import ArrayLike

from jaxcf.predictors.blackbox import BlackBox
from jaxcf.predictors.functions import Model, is_pure
from jaxcf.predictors.jacobians import ExactJacobian
from jaxcf.utils.images import has_channels_first, is_image
from jaxcf.utils.numbers import check_number
from jaxcf.utils.validation import as_rows

# What images of 8 bits are multiplied by.
_OF_BYTES = 1 / 255

_TO_FIRST, _TO_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


@dataclass(frozen=True)
class Preprocess:
    """How images become what the model takes, to be passed as `Explainer(preprocess=...)`.

    The rows are images in the layout that the caller has. Times the scale they are the pixels, in
    which the search moves and which come back; `feature_range` and `Constraints` speak of them. The
    model is given pixels less the mean, over the deviation, in its own layout. Functions beside
    `predict` (`encode`, `reconstruct`, `decode`, the guides) take pixels.

    Args:
        mean: of the pixels, which the model wants at 0: a number, or one per channel.
        std: their deviation, > 0, which it wants at 1; likewise.
        channels_first: whether the model takes `[channels, h, w]`, as PyTorch's do, or
            `[h, w, channels]`; None gives it the layout of the rows. These may have either, told by
            their shape as pictures are (`is_image`), or no channel, `[h, w]`.
        scale: what makes pixels of the values of the rows, > 0; None takes 1/255 for integers of 8
            bits, and 1 for all others.

    Raises:
        TypeError: if one is no number, or `channels_first` is no bool.
        ValueError: if a number is out of its range, or there is none.

    Examples:
        >>> preprocess = Preprocess(mean=(0.5, 0.4, 0.4), std=0.25, channels_first=True)
        >>> pixels = preprocess.pixels(np.full((2, 8, 9, 3), 255, np.uint8))
        >>> pixels.shape, float(pixels.max())
        ((2, 8, 9, 3), 1.0)
        >>> preprocess.model_input(pixels)[0, :, 0, 0].round(2)
        array([2. , 2.4, 2.4], dtype=float32)
    """

    mean: float | Sequence[float] | np.ndarray = 0.0
    std: float | Sequence[float] | np.ndarray = 1.0
    channels_first: bool | None = None
    scale: float | None = None

    def __post_init__(self) -> None:
        for name, above in (("mean", None), ("std", 0)):
            object.__setattr__(self, name, _numbers(name, getattr(self, name), above))
        if not (self.channels_first is None or isinstance(self.channels_first, bool)):
            raise TypeError(
                f"channels_first must be True, False or None, got {self.channels_first!r}"
            )
        if self.scale is not None:
            check_number("scale", self.scale, above=0, least=None)

    def check(self, shape: tuple[int, ...]) -> None:
        """Check that rows of a shape can be prepared.

        Args:
            shape: of one row, as the caller has it.

        Raises:
            ValueError: if they are no images where they must be, or have another number of
                channels than there are means or deviations.
        """
        counts = {len(one) for one in (self.mean, self.std) if isinstance(one, tuple)}
        if self.channels_first is None and not counts:
            return
        if not is_image(shape):
            raise ValueError(
                f"preprocess is for images [h, w], [h, w, 1 or 3] or [1 or 3, h, w], but rows have "
                f"shape {shape}; leave channels_first out, and give one mean and deviation for all"
            )
        channels = 1 if len(shape) == 2 else shape[0 if has_channels_first(shape) else 2]
        if counts - {channels}:
            raise ValueError(
                f"preprocess has {max(counts - {channels})} means or deviations, but images of "
                f"shape {shape} have {channels} channels; give one for each, or one for all"
            )

    def pixels(self, x: ArrayLike) -> Float32[np.ndarray, "n *shape"]:
        """Rows as they are searched, in their own layout.

        Args:
            x: `[n, *shape]`, as the caller has them.

        Raises:
            TypeError: if they aren't numbers.
        """
        kind = np.asarray(x).dtype
        scale = self.scale
        if scale is None:
            scale = _OF_BYTES if kind in (np.uint8, np.int8) else 1.0
        rows = as_rows("x", x)
        return rows if scale == 1 else rows * np.float32(scale)

    def model_input(self, pixels: Shaped[Any, "n *shape"]) -> Shaped[Any, "n *input"]:
        """What the model is given of pixels, which may be numpy's or JAX's.

        Args:
            pixels: `[n, *shape]`, in the layout of the rows.

        Returns:
            `[n, *input]`, in the model's layout.
        """
        shape = pixels.shape[1:]
        moved = pixels
        if self.mean != 0:
            moved = moved - _along_channels(self.mean, shape)
        if self.std != 1:
            moved = moved / _along_channels(self.std, shape)
        return self._in_the_models_layout(moved)

    def _in_the_models_layout(self, images: Any) -> Any:
        if self.channels_first is None:
            return images
        if len(images.shape) == 3:
            return images[:, None] if self.channels_first else images[..., None]
        if has_channels_first(images.shape[1:]) == self.channels_first:
            return images
        return images.transpose(_TO_FIRST if self.channels_first else _TO_LAST)

    def derivatives_by_pixels(
        self, derivatives: Shaped[np.ndarray, "n classes *input"], shape: tuple[int, ...]
    ) -> Shaped[np.ndarray, "n classes *shape"]:
        """The derivatives by pixels of what has these by the model's input.

        Args:
            derivatives: `[n, classes, *input]`.
            shape: of one row, as the caller has it.
        """
        # Each class of each row is as an image: what was moved there is moved back.
        flat = derivatives.reshape(-1, *derivatives.shape[2:])
        if len(shape) == 3 and self.channels_first is not None:
            first = has_channels_first(shape)
            if first != self.channels_first:
                flat = flat.transpose(_TO_FIRST if first else _TO_LAST)
        back = flat.reshape(*derivatives.shape[:2], *shape)
        return back if self.std == 1 else back / _along_channels(self.std, shape)[:, None]

    def before(self, predict: Model | BlackBox) -> Model | BlackBox:
        """A model of what it wants as one of pixels.

        Args:
            predict: a function in JAX, or a black box; its derivatives, where it gives them, and
                its `epsilon` are then those of pixels.
        """
        if not isinstance(predict, BlackBox):
            return OfPixels(predict, self)
        gradient = predict.gradient
        if isinstance(gradient, ExactJacobian):
            gradient = replace(gradient, function=JacobianOfPixels(gradient.function, self))
        return replace(predict, predict=OfPixels(predict.predict, self), gradient=gradient)


def as_pixels(name: str, x: Any, preprocess: Preprocess | None) -> np.ndarray:
    """Rows as they are searched: the caller's as float32, or their pixels.

    Args:
        name: of the rows, for errors.
        x: `[n, *shape]`, as the caller has them.
        preprocess: how they become pixels; None takes them as they are.

    Raises:
        TypeError: if they aren't numbers.
    """
    return as_rows(name, x) if preprocess is None else preprocess.pixels(x)


def _numbers(name: str, given: Any, above: float | None) -> float | tuple[float, ...]:
    """One number, or a tuple of one per channel, which can be hashed."""
    numbers = np.asarray(given)
    if numbers.dtype.kind not in "iuf" or numbers.ndim > 1 or not numbers.size:
        raise TypeError(f"{name} must be a number, or one per channel, got {given!r}")
    for one in np.atleast_1d(numbers).tolist():
        check_number(name, one, above=above, least=None)
    return float(numbers) if numbers.ndim == 0 else tuple(numbers.astype(float).tolist())


def _along_channels(values: Any, shape: tuple[int, ...]) -> Float32[np.ndarray, "..."]:
    """Numbers, one or one per channel, of as many axes as a batch of rows has."""
    array = np.atleast_1d(np.asarray(values, np.float32))
    ends = [1] * (len(shape) + 1)
    ends[1 if len(shape) == 3 and has_channels_first(shape) else -1] = len(array)
    return array.reshape(ends)


@dataclass(frozen=True)
class OfPixels:
    """A model of what it wants, asked about pixels. Static, compared by its parts."""

    predict: Callable[..., Any]
    preprocess: Preprocess

    @property
    def pure(self) -> bool:
        """Whether the model promises to hold nothing that changes."""
        return is_pure(self.predict)

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        """The model: what is called, and by one thread at a time."""
        return self.predict

    def __call__(self, *arguments: Any) -> Any:
        """The model's answer for pixels, or for params and pixels."""
        *params, pixels = arguments
        return self.predict(*params, self.preprocess.model_input(pixels))


@dataclass(frozen=True)
class JacobianOfPixels:
    """The derivatives of a model of what it wants, by pixels."""

    function: Callable[[Any], tuple[Any, Any]]
    preprocess: Preprocess

    def __call__(
        self, pixels: Float[np.ndarray, "n *shape"]
    ) -> tuple[Any, Shaped[np.ndarray, "n classes *shape"]]:
        """Probabilities, and their derivatives by pixels."""
        probabilities, derivatives = self.function(self.preprocess.model_input(pixels))
        derivatives = np.asarray(derivatives)
        return probabilities, self.preprocess.derivatives_by_pixels(derivatives, pixels.shape[1:])
