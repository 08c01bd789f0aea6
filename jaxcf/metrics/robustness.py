"""Is a counterfactual still one after a small accident: noise, blur, rounding, JPEG."""

import io
from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxcf.metrics.decided import Batched, agree, decisions
from jaxcf.utils.batching import map_batches
from jaxcf.utils.images import blurred, has_channels_first, with_channels_last

Accident = Callable[[np.ndarray], np.ndarray]
"""From images `[n, h, w, channels]` in [0, 1] to the same."""


def gaussian_noise(
    images: Float[np.ndarray, "n *shape"], *, sigma: float = 0.05, seed: int = 0
) -> Float[np.ndarray, "n *shape"]:
    """Add normal noise to every value, and keep to [0, 1].

    Examples:
        >>> import numpy as np
        >>> gaussian_noise(np.zeros((2, 4, 4, 1), np.float32)).max() < 0.3
        np.True_
    """
    noise = np.random.default_rng(seed).normal(0, sigma, np.shape(images))
    return np.clip(images + noise, 0, 1).astype(np.float32)


def blur(images: Float[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n h w c"]:
    """Replace each pixel by the mean of the 3x3 around it; the border is repeated outwards.

    Examples:
        >>> import numpy as np
        >>> round(float(blur(np.eye(3, dtype=np.float32).reshape(1, 3, 3, 1))[0, 1, 1, 0]), 3)
        0.333
    """
    return np.array(blurred(np.asarray(images, np.float32)))


def eight_bit(images: Float[np.ndarray, "n *shape"]) -> Float[np.ndarray, "n *shape"]:
    """Round every value to one of 256, as a PNG file does.

    Examples:
        >>> import numpy as np
        >>> (eight_bit(np.array([0.5004], np.float32)) * 255).tolist()
        [128.0]
    """
    return (np.round(np.clip(images, 0, 1) * 255) / 255).astype(np.float32)


def jpeg(
    images: Float[np.ndarray, "n h w c"], *, quality: int = 75
) -> Float[np.ndarray, "n h w c"]:
    """Write every image as a JPEG file and read it again.

    Args:
        images: `[n, h, w, 1 or 3]` in [0, 1].
        quality: of the file, 1 to 95.

    Raises:
        ValueError: if images have neither 1 nor 3 channels.

    Examples:
        >>> import numpy as np
        >>> float(np.abs(jpeg(np.full((1, 8, 8, 3), 0.5, np.float32)) - 0.5).max()) < 0.01
        True
    """
    from PIL import Image

    if images.ndim != 4 or images.shape[3] not in (1, 3):
        raise ValueError(f"JPEG takes images [n, h, w, 1 or 3], got shape {images.shape}")
    result = np.empty(images.shape, np.float32)
    for row, image in enumerate(np.round(np.clip(images, 0, 1) * 255).astype(np.uint8)):
        file = io.BytesIO()
        Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(
            file, format="JPEG", quality=quality
        )
        result[row] = np.asarray(Image.open(file), np.float32).reshape(image.shape) / 255
    return result


ACCIDENTS: dict[str, Accident] = {
    "noise": gaussian_noise,
    "blur": blur,
    "8 bit": eight_bit,
    "jpeg": jpeg,
}
"""By name: noise of sigma 0.05, a 3x3 blur, 8 bits, JPEG at quality 75."""


def survival(
    predict: Batched,
    counterfactual: Float[np.ndarray, "n *image"],
    counterfactual_class: Int[np.ndarray, " n"],
    *,
    reconstruct: Batched | None = None,
    accidents: Mapping[str, Accident] = ACCIDENTS,
) -> dict[str, Bool[np.ndarray, " n"]]:
    """Whether each counterfactual is still decided as its class after each accident.

    Args:
        predict: the explained model, `[batch, *shape]` to probabilities or logits.
        counterfactual: `[n, h, w, 1 or 3]` or `[n, 1 or 3, h, w]`, images in [0, 1].
        counterfactual_class: `[n]`.
        reconstruct: an autoencoder; one pass through it is one more accident, "autoencoder".
        accidents: by name.

    Returns:
        By the name of the accident, `[n]`; what the model says NaN of hasn't survived.

    Raises:
        ValueError: if the model returns anything but a batch of two classes at least.

    Examples:
        >>> import jax.numpy as jnp, numpy as np
        >>> images = np.zeros((1, 4, 4, 1), np.float32)
        >>> images[0, 0, 0] = 1.0
        >>> def is_any_pixel_white(x):
        ...     white = jnp.max(x, axis=(1, 2))
        ...     return jnp.concatenate([0.9 - white, white - 0.9], axis=1)
        >>> {name: kept.tolist() for name, kept in
        ...  survival(is_any_pixel_white, images, np.array([1])).items() if name != "jpeg"}
        {'noise': [True], 'blur': [False], '8 bit': [True]}
    """
    every = {name: _with_channels_last(after) for name, after in accidents.items()}
    if reconstruct is not None:
        every["autoencoder"] = lambda images: map_batches(reconstruct, images)
    if not len(counterfactual):
        return {name: np.zeros(0, bool) for name in every}
    return {
        name: agree(decisions(predict, after(counterfactual)), counterfactual_class)
        for name, after in every.items()
    }


def _with_channels_last(accident: Accident) -> Accident:
    """The same accident for images that may have their channels first."""

    def happens(images: np.ndarray) -> np.ndarray:
        first = has_channels_first(images.shape[1:])
        after = accident(with_channels_last(images))
        return np.moveaxis(after, -1, 1) if first else after

    return happens
