"""Before and after, side by side and to scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from monai_mriprep.types import Spacing

__all__ = ["Scan", "save_comparison"]

PIXELS_PER_MM = 1.1
MARGIN, CAPTION = 12, 22
LABEL_COLOURS = np.array([[0, 0, 0], [64, 200, 255], [255, 120, 64], [160, 255, 96]], dtype=np.float64)
LABEL_OPACITY = 0.45
PLANES = ("axial", "coronal", "sagittal")


@dataclass(frozen=True)
class Scan:
    """A volume to draw.

    Parameters
    ----------
    caption
        One line above it.
    image, label
        ``(D, H, W)``; z points to the head, y to the back.
    spacing
        Mm, z y x.
    """

    caption: str
    image: NDArray[Any]
    label: NDArray[Any]
    spacing: Spacing


def save_comparison(path: Path, scans: Sequence[Scan]) -> None:
    """Draw each scan as a row of three planes through the middle of its label, in millimetres to one scale."""
    rows = [_row(scan) for scan in scans]
    canvas = Image.new("RGB", (max(row.width for row in rows), sum(row.height for row in rows)), "black")
    top = 0
    for row in rows:
        canvas.paste(row, (0, top))
        top += row.height
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.save(path)


def _row(scan: Scan) -> Image.Image:
    planes = [_plane(scan, axis) for axis in range(3)]
    width = sum(plane.width + MARGIN for plane in planes) + MARGIN
    row = Image.new("RGB", (width, max(plane.height for plane in planes) + CAPTION + 2 * MARGIN), "black")
    draw = ImageDraw.Draw(row)
    draw.text((MARGIN, 4), scan.caption, fill="white", font=ImageFont.load_default(13))
    left = MARGIN
    for name, plane in zip(PLANES, planes, strict=True):
        row.paste(plane, (left, CAPTION + MARGIN))
        draw.text((left, CAPTION - 2), name, fill="#999999", font=ImageFont.load_default(10))
        left += plane.width + MARGIN
    return row


def _plane(scan: Scan, axis: int) -> Image.Image:
    """One slice, its pixels blown up to their true size; z up."""
    index = _middle(scan.label, axis)
    grey, label = scan.image.take(index, axis), scan.label.take(index, axis)
    low, high = np.percentile(scan.image, [1, 99.5])
    shade = np.clip((grey - low) / max(high - low, 1e-6), 0, 1)[..., None] * 255
    opacity = np.where(label > 0, LABEL_OPACITY, 0.0)[..., None]
    colour = LABEL_COLOURS[np.clip(label, 0, len(LABEL_COLOURS) - 1)]
    pixels = (shade * (1 - opacity) + colour * opacity).astype(np.uint8)
    if axis != 0:
        pixels = pixels[::-1]
    vertical, horizontal = (s for a, s in enumerate(scan.spacing) if a != axis)
    size = (pixels.shape[1] * horizontal * PIXELS_PER_MM, pixels.shape[0] * vertical * PIXELS_PER_MM)
    return Image.fromarray(pixels).resize((round(size[0]), round(size[1])), Image.Resampling.NEAREST)


def _middle(label: NDArray[Any], axis: int) -> int:
    """Where the label lies along an axis: the median of its voxels, else the middle of the volume."""
    places = np.nonzero(label > 0)[axis]
    return int(np.median(places)) if len(places) else label.shape[axis] // 2
