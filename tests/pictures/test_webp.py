"""Whatever the picture, its file fits."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, features

from monai_mriprep.errors import OutputError
from monai_mriprep.pictures.webp import MAX_BYTES, encode_webp

RNG = np.random.default_rng(0)


def decoded(encoded: bytes) -> Image.Image:
    with Image.open(io.BytesIO(encoded)) as picture:
        assert picture.format == "WEBP"
        return picture.convert("RGB")


def test_a_noisy_picture_fits_at_a_lower_quality():
    encoded = encode_webp(Image.fromarray(RNG.normal(128, 25, (480, 640)).clip(0, 255).astype(np.uint8)).convert("RGB"))
    assert MAX_BYTES / 2 < len(encoded) <= MAX_BYTES == 40960
    assert decoded(encoded).size == (640, 480)


def test_a_pillow_without_webp_is_told_with_the_remedy(monkeypatch):
    monkeypatch.setattr(features, "check", lambda name: name != "webp")
    with pytest.raises(OutputError, match="built without WebP; `pip install --force-reinstall pillow`"):
        encode_webp(Image.new("RGB", (8, 8)))


def test_what_fits_at_no_quality_becomes_smaller():
    encoded = encode_webp(Image.fromarray(RNG.integers(0, 256, (480, 640, 3), dtype=np.uint8)))
    assert MAX_BYTES / 2 < len(encoded) <= MAX_BYTES
    assert decoded(encoded).size == (320, 240)


def test_a_plain_picture_keeps_its_greys():
    ramp = np.tile(np.arange(256, dtype=np.uint8)[:, None, None], (1, 300, 3))
    found = np.asarray(decoded(encode_webp(Image.fromarray(ramp)))).astype(int)
    assert np.abs(found - ramp).max() <= 6
