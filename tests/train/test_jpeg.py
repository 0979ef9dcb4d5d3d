from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from skimage import data

from octopix.errors import ConfigError, ImageError
from train.data.jpeg import jpeg_twin

COFFEE = data.coffee()[:101, :155]


@pytest.mark.parametrize("photo", [COFFEE, COFFEE[..., :1]], ids=["rgb", "grey"])
@pytest.mark.parametrize("quality", [20, 75])
def test_the_pixels_are_those_of_pillow(photo, quality):
    """The SRCNN document's own words: ``save(quality=20, optimize=True)``."""
    file = BytesIO()
    Image.fromarray(photo.squeeze()).save(file, "jpeg", quality=quality, optimize=True)
    pillow = np.asarray(Image.open(file)).reshape(photo.shape)
    difference = np.abs(pillow.astype(int) - jpeg_twin(photo, quality=quality))
    # Equal where both hold libjpeg-turbo; another libjpeg may round single values the other way.
    assert difference.max() <= 2


def test_the_photograph_stays_as_it_was():
    before = COFFEE.copy()
    twin = jpeg_twin(COFFEE)
    assert twin.shape == COFFEE.shape
    assert twin.dtype == np.uint8
    assert np.array_equal(COFFEE, before)
    assert not np.array_equal(twin, COFFEE)


@pytest.mark.parametrize("image", [COFFEE / 255, COFFEE[..., 0], COFFEE[:0], np.zeros((1, 70_000, 3), np.uint8)])
def test_what_jpeg_cannot_hold_is_refused(image):
    with pytest.raises(ImageError, match="as JPEG holds them"):
        jpeg_twin(image)


@pytest.mark.parametrize("quality", [0, 101])
def test_qualities_run_from_1_to_100(quality):
    with pytest.raises(ConfigError, match="1 to 100"):
        jpeg_twin(COFFEE, quality=quality)
