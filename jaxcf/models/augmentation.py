"""Random variations of a batch of images while a network learns."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxcf.utils.images import blurred

_SMALLEST_PHOTOGRAPH = 16


@dataclass(frozen=True)
class Augmentation:
    """What is varied at random, for each image on its own; all of it is static.

    `out_n = blur_n(shift_n(flip_n(x_n))) + noise * normal`

    Args:
        flip: Whether half of the images are mirrored left to right.
        shift: By how many pixels an image may move along each axis; what comes in repeats the
            pixels at the edge, mirrored.
        noise: Standard deviation of Gaussian noise.
        blur: Which share of the images is seen after a 3x3 blur, in [0, 1].

    Raises:
        ValueError: If `shift` or `noise` is negative, or `blur` no share.

    Examples:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> vary = Augmentation(flip=True, shift=2)
        >>> vary(jax.random.key(0), jnp.zeros((5, 8, 8, 3))).shape
        (5, 8, 8, 3)
    """

    flip: bool = False
    shift: int = 0
    noise: float = 0.0
    blur: float = 0.0

    def __post_init__(self):
        for name in ("shift", "noise"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}: expected zero or more")
        if not 0 <= self.blur <= 1:
            raise ValueError(f"blur is {self.blur}: expected 0 to 1")

    def __call__(self, key: Array, x: Float[Array, "n *shape"]) -> Float[Array, "n *shape"]:
        """Vary a batch."""
        flip_key, shift_key, noise_key = jax.random.split(key, 3)
        if self.flip:
            flipped = jax.random.bernoulli(flip_key, shape=(x.shape[0], 1, 1, 1))
            x = jnp.where(flipped, x[:, :, ::-1], x)
        if self.shift:
            edge = (self.shift, self.shift)
            padded = jnp.pad(x, ((0, 0), edge, edge, (0, 0)), mode="symmetric")
            corners = jax.random.randint(shift_key, (x.shape[0], 2), 0, 2 * self.shift + 1)

            def crop(image: Array, corner: Array) -> Array:
                return lax.dynamic_slice(image, (*corner, 0), x.shape[1:])

            x = jax.vmap(crop)(padded, corners)
        if self.blur:
            # A key of its own, so that the other variations are the same ones with it and without.
            blur_key = jax.random.fold_in(key, 3)
            chosen = jax.random.bernoulli(blur_key, self.blur, (x.shape[0], 1, 1, 1))
            x = jnp.where(chosen, blurred(x), x)
        return x + self.noise * jax.random.normal(noise_key, x.shape) if self.noise else x


def is_photograph(shape: Sequence[int]) -> bool:
    """Whether rows of a shape are taken for photographs: colour images of 16 pixels a side or more.

    Args:
        shape: Of one row, `(height, width, channels)` for images.

    Returns:
        Whether they are.

    Examples:
        >>> is_photograph((32, 32, 3)), is_photograph((28, 28, 1))
        (True, False)
    """
    return len(shape) == 3 and shape[2] == 3 and min(shape[:2]) >= _SMALLEST_PHOTOGRAPH


def usual_augmentation(shape: Sequence[int], *, noise: float = 0.0) -> Augmentation | None:
    """How rows of a shape are varied by default: only photographs are moved and mirrored.

    A digit that is mirrored is none any more.

    Args:
        shape: Of one row, `(height, width, channels)` for images.
        noise: Standard deviation of Gaussian noise, for all rows.

    Returns:
        Flips and shifts by a sixteenth of the shorter side for photographs, and the noise; None
        where there is nothing to vary.

    Examples:
        >>> usual_augmentation((32, 32, 3))
        Augmentation(flip=True, shift=2, noise=0.0, blur=0.0)
        >>> usual_augmentation((28, 28, 1)) is None
        True
    """
    if is_photograph(shape):
        return Augmentation(flip=True, shift=min(shape[:2]) // 16, noise=noise)
    return Augmentation(noise=noise) if noise else None
