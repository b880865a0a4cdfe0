"""An image in 8 x 8 x 8 bytes: enough to see that two files show the same scan."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_mriprep.measures.sample import block_means
from monai_mriprep.volume.axes import turn_to_codes
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["EDGE", "read_thumbnail", "thumbnail_of"]

EDGE = 8
"""Blocks along each axis."""


def thumbnail_of(voxels: NDArray[Any], grid: Grid) -> str:
    """The thumbnail of an image, or of a sample of its voxels, as base64.

    It holds the means of `EDGE` blocks along each axis, in the order S, A, R of the patient, whatever that of the file.
    Their range becomes 0 to 255, so that other units of the same scan give the same bytes.

    Parameters
    ----------
    voxels
        ``(D, H, W)``, finite.
    grid
        Where the image lies; only its directions matter.
    """
    turn = turn_to_codes(grid, "RAS")
    above = voxels.astype(np.float64) - float(voxels.min())
    means = block_means(above, (EDGE, EDGE, EDGE)).transpose(turn.order)
    means = np.flip(means, tuple(axis for axis in range(3) if turn.reverse[axis]))
    low, span = means.min(), np.ptp(means)
    scaled = (means - low) * (255 / span) if span > 0 else np.zeros_like(means)
    return base64.b64encode(np.rint(scaled).astype(np.uint8).tobytes()).decode("ascii")


def read_thumbnail(text: str) -> NDArray[np.uint8] | None:
    """The ``(EDGE, EDGE, EDGE)`` blocks, along S, A, R; None if the text holds something else."""
    try:
        values = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    except ValueError:
        return None
    return values.reshape(EDGE, EDGE, EDGE) if values.size == EDGE**3 else None
