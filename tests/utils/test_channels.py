"""Where an image has its channels: by shape where that tells, by word where it doesn't."""

import numpy as np
import pytest

from jaxcf.utils.images import has_channels_first, is_image, with_channels_last


@pytest.mark.parametrize(
    ("shape", "channels", "image", "first"),
    [
        ((8, 9), None, True, False),
        ((8, 9, 3), None, True, False),
        ((3, 8, 9), None, True, True),
        ((1, 8, 9), None, True, True),
        ((3, 8, 1), None, True, False),  # either way: as most of JAX has it
        ((3, 8, 1), "first", True, True),
        ((3, 8, 9), "last", False, False),
        ((8, 9, 3), "first", False, False),
        ((5, 8, 9), None, False, False),
        ((3, 8, 0), None, False, True),
        ((3,), None, False, False),
        ((), None, False, False),
    ],
    ids=str,
)
def test_images_are_told_by_the_end_of_their_shape(shape, channels, image, first):
    assert is_image(shape, channels) == image
    assert has_channels_first(shape, channels) == first
    images = np.arange(2 * int(np.prod(shape))).reshape(2, *shape)
    shown = with_channels_last(images, channels)
    np.testing.assert_array_equal(shown, images.transpose(0, 2, 3, 1) if first else images)


@pytest.mark.usefixtures("without_type_checks")
def test_another_word_is_refused():
    wrong: str = "middle"
    with pytest.raises(ValueError, match=r"channels is 'middle'; expected 'first' .* 'last'"):
        is_image((3, 8, 8), wrong)  # pyright: ignore[reportArgumentType]
