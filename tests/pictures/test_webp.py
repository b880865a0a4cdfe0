"""Whatever the picture, its file fits."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from monai_mriprep.pictures.webp import MAX_BYTES, encode_webp


def noise(height: int, width: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def decoded(encoded: bytes) -> Image.Image:
    with Image.open(io.BytesIO(encoded)) as picture:
        assert picture.format == "WEBP"
        return picture.convert("RGB")


def test_noise_of_the_size_of_a_picture_fits_as_it_is():
    encoded = encode_webp(noise(480, 640))
    assert len(encoded) <= MAX_BYTES == 40960
    assert decoded(encoded).size == (640, 480)


def test_what_fits_at_no_quality_becomes_smaller():
    encoded = encode_webp(noise(900, 1200))
    assert len(encoded) <= MAX_BYTES
    assert decoded(encoded).size == (600, 450)


def test_a_plain_picture_keeps_its_greys():
    ramp = np.tile(np.arange(256, dtype=np.uint8)[:, None, None], (1, 300, 3))
    found = np.asarray(decoded(encode_webp(Image.fromarray(ramp)))).astype(int)
    assert np.abs(found - ramp).max() <= 6
