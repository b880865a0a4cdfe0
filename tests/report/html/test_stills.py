"""Pictures of a folder that anybody may have written to: what is no picture of ours is not shown."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from monai_mriprep.report.html.stills import picture_from


def webp(width: int, height: int) -> bytes:
    """A small flat picture, with the header of one of this size."""
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "WEBP", lossless=True)
    content = bytearray(buffer.getvalue())
    assert content[12:16] == b"VP8L"
    content[21:25] = ((width - 1) | (height - 1) << 14).to_bytes(4, "little")
    return bytes(content)


def test_a_picture_has_its_size():
    picture = picture_from(webp(16, 16), "as scanned")
    assert picture is not None
    assert (picture.width, picture.height, picture.is_whole) == (16, 16, True)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<svg onload=alert(1)>",
        b"RIFF\x04\0\0\0WEBP",
        webp(16, 16)[:20],
        webp(5000, 5000),
        webp(12000, 10000),
        webp(16384, 16384),
    ],
    ids=["empty", "svg", "header", "cut", "large", "larger", "largest"],
)
def test_what_is_no_picture_or_would_fill_the_memory_is_none(content):
    assert picture_from(content, "as scanned") is None
