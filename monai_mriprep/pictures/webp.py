"""Pixels as a WebP file of a bounded size."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from monai_mriprep.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Image

__all__ = ["MAX_BYTES", "encode_webp"]

MAX_BYTES = 40 * 1024
"""Of a picture: a thousand cases make a report that still can be sent."""
QUALITIES = (45, 20, 6, 2)
"""Of WebP, from 0 to 100, tried one after the other. The first is enough but for noise, and 0 is not legible."""
EFFORT = 0
"""WebP's method, 0 to 6: from 2 on, files are a fifth smaller and take twice the time (measured)."""


def encode_webp(picture: Image) -> bytes:
    """The file of a picture in RGB: of lower quality, then of half the size, until it has at most `MAX_BYTES`.

    Raises
    ------
    OutputError
        If this Pillow was built without WebP.
    """
    from PIL import features

    if not features.check("webp"):
        msg = "this Pillow was built without WebP; `pip install --force-reinstall pillow` gets one with it"
        raise OutputError(msg)
    return next(encoded for encoded in _encodings(picture) if len(encoded) <= MAX_BYTES)


def _encodings(picture: Image) -> Iterator[bytes]:
    while True:
        for quality in QUALITIES:
            file = io.BytesIO()
            picture.save(file, "WEBP", quality=quality, method=EFFORT)
            yield file.getvalue()
        picture = picture.reduce(2)
