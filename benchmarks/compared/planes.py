"""Planes of volumes side by side, wherever their voxels lie: small WebP files for docs/compared.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from monai_mriprep.pictures.palette import PALETTE
from monai_mriprep.volume.geometry import Grid

__all__ = ["Panel", "View", "draw_row"]

TITLE, GAP, BACKGROUND, WORDS = 18, 4, 34, (225, 225, 225)
COLOURS = np.array([list(bytes.fromhex(colour[1:])) for colour in PALETTE], np.uint8)


@dataclass(frozen=True)
class View:
    """Part of a plane of the world: its middle, a step down and a step right in mm, and its size in pixels."""

    middle: NDArray[np.float64]
    down: NDArray[np.float64]
    right: NDArray[np.float64]
    height: int
    width: int

    @property
    def places(self) -> NDArray[np.float64]:
        """Of each pixel's centre, ``(height, width, 3)``, RAS+ mm."""
        rows, columns = (np.arange(n) - (n - 1) / 2 for n in (self.height, self.width))
        return self.middle + rows[:, None, None] * self.down + columns[None, :, None] * self.right


@dataclass(frozen=True, eq=False)
class Panel:
    """A volume ``(z, y, x)``, the values that become black and white, and a label whose outlines are drawn."""

    title: str
    image: NDArray[Any]
    grid: Grid
    window: tuple[float, float]
    label: NDArray[Any] | None = None


def draw_row(path: Path, view: View, panels: Sequence[Panel], columns: int) -> None:
    """Write one view of all panels, row by row, as WebP."""
    rows = -(-len(panels) // columns)
    cell = np.array([view.height + TITLE + GAP, view.width + GAP])
    canvas = np.full((*(cell * [rows, columns] + GAP), 3), BACKGROUND, np.uint8)
    picture = Image.fromarray(canvas)
    for number, panel in enumerate(panels):
        top, left = (cell * divmod(number, columns) + GAP).tolist()
        ImageDraw.Draw(picture).text((left + 1, top + 2), panel.title, fill=WORDS, font=ImageFont.load_default(12))
        picture.paste(Image.fromarray(_drawn(view, panel)), (left, top + TITLE))
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, "WEBP", quality=80, method=6)


def _drawn(view: View, panel: Panel) -> NDArray[np.uint8]:
    """The voxel nearest to each pixel, as it is, so that its size shows."""
    index = (view.places - panel.grid.origin) @ np.linalg.inv(panel.grid.affine[:3, :3]).T
    nearest = np.floor(index + 0.5).astype(int)
    inside = ((nearest >= 0) & (nearest < panel.grid.shape)).all(axis=-1)
    at = tuple(np.moveaxis(nearest.clip(0, np.array(panel.grid.shape) - 1), -1, 0))
    low, high = panel.window
    grey = np.where(inside, ((panel.image[at] - low) / (high - low)).clip(0, 1) * 255, BACKGROUND)
    pixels = np.repeat(grey[..., None], 3, axis=-1).astype(np.uint8)
    return pixels if panel.label is None else _outlined(pixels, np.where(inside, panel.label[at], 0).astype(int))


def _outlined(pixels: NDArray[np.uint8], label: NDArray[np.int_]) -> NDArray[np.uint8]:
    """Pixels of a class beside another one, in its colour."""
    padded = np.pad(label, 1, mode="edge")
    around = [padded[1:-1, :-2], padded[1:-1, 2:], padded[:-2, 1:-1], padded[2:, 1:-1]]
    edge = (label > 0) & np.any([label != other for other in around], axis=0)
    return np.where(edge[..., None], COLOURS[(label - 1) % len(COLOURS)], pixels)
