"""Which planes of which volumes are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.compared.planes import Panel, View, draw_row
from benchmarks.compared.scans import NAMES, Scan, Volume

__all__ = ["draw_pictures"]

PIXELS = 176
"""Of a picture of one volume, down and across."""
NECK_WINDOW, ABDOMEN_WINDOW = (-1.2, 4.0), (-1.5, 3.0)
"""What becomes black and white, in standard deviations."""


def draw_pictures(folder: Path, scans: Mapping[str, Scan], made: Mapping[str, Mapping[str, Volume]]) -> None:
    """The neck from the side, its uppermost slices, and organs of the abdomen by several ways to resample a label."""
    neck, abdomen = scans["neck"], scans["abdomen"]
    panels = [Panel("as stored", neck.standardised, neck.stored.grid, NECK_WINDOW)]
    panels += [Panel(_plain(tool), made[tool]["neck"].image, made[tool]["neck"].grid, NECK_WINDOW) for tool in made]
    middle = np.argwhere(neck.stored.label > 0).mean(axis=0)
    top = np.array([neck.stored.grid.shape[0] - 2, *middle[1:]])
    from_the_side = (0, -1), (1, -1)
    draw_row(folder / "compared-neck.webp", _view(neck.stored, middle, from_the_side, 72.0), panels, 4)
    draw_row(folder / "compared-ends.webp", _view(neck.stored, top, from_the_side, 40.0), panels, 4)
    middle = np.argwhere(abdomen.stored.label > 0).mean(axis=0)
    draw_row(
        folder / "compared-labels.webp",
        _view(abdomen.stored, middle, ((1, 1), (2, 1)), 90.0),
        _interpolations(abdomen, made["nnunet"]["abdomen"]),
        4,
    )


def _interpolations(scan: Scan, theirs: Volume) -> list[Panel]:
    default, stored = scan.default, Volume(scan.standardised, scan.stored.label, scan.stored.grid)
    labels = {
        "as stored": (stored, stored.label),
        "nearest voxel (ours)": (default, default.label),
        "linear voting (nnU-Net)": (theirs, theirs.label),
        "class numbers, linear": (default, scan.numbers_interpolated(default.grid)),
    }
    return [Panel(title, of.image, of.grid, ABDOMEN_WINDOW, label) for title, (of, label) in labels.items()]


def _plain(tool: str) -> str:
    return NAMES[tool].strip("`")


def _view(volume: Volume, middle: NDArray[Any], axes: tuple[tuple[int, int], tuple[int, int]], size: float) -> View:
    """A square of so many mm around an index, down and right along two axes of a volume, each with a sign."""
    steps = [sign * size / PIXELS * volume.grid.direction[:, axis] for axis, sign in axes]
    return View(volume.grid.affine[:3, :3] @ middle + volume.grid.origin, *steps, PIXELS, PIXELS)
