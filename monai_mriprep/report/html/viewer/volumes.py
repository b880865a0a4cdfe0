"""What the viewer shows of a case: its preprocessed image and label, coarse, as NIfTI in text."""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np

from monai_mriprep.pictures.palette import colour_of
from monai_mriprep.report.html.viewer.coarse import coarse_grid, coarse_image, coarse_label
from monai_mriprep.volume.geometry import Grid, reverse_axes

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FINEST_MM", "ViewerVolume", "viewer_volume"]

FINEST_MM = 2.0
"""Edge of a voxel, where the budget has room for it."""
COARSEST_MM = 12.0
"""Nothing is to be seen with larger voxels."""


@dataclass(frozen=True)
class ViewerVolume:
    """A case as the viewer takes it.

    Parameters
    ----------
    image, label
        NIfTI, 8 bits, gzip, base64; the label is empty where there is none, or it holds no class.
    classes
        What the numbers 1, 2, ... of the label stand for: class and colour, ``#rrggbb``.
    centre
        Where the crosshair is at first, RAS+ mm: the centre of the label, or of the image.
    mm
        Edge of a voxel; along an axis of thicker slices they are as thick as before.
    """

    image: str
    label: str
    classes: tuple[tuple[int, str], ...]
    centre: tuple[float, float, float]
    mm: float

    @property
    def size(self) -> int:
        """Characters in the page."""
        return len(self.image) + len(self.label)

    def to_json(self) -> dict[str, Any]:
        """What ``viewer.js`` reads."""
        return vars(self)


def viewer_volume(image: NDArray[Any], grid: Grid, label: NDArray[Any] | None, budget: int) -> ViewerVolume:
    """Make the finest volume that the budget has room for.

    Parameters
    ----------
    image
        ``(D, H, W)``, numbers.
    grid
        On which it lies.
    label
        On the same grid, class numbers; None where there is none.
    budget
        In characters.

    Raises
    ------
    ValueError
        If it has room for none.
    """
    mm = FINEST_MM
    while mm <= COARSEST_MM:
        volume = _volume_of(image, grid, label, mm)
        if volume.size <= budget:
            return volume
        mm *= max(1.1, (volume.size / max(budget, 1)) ** (1 / 3))
    msg = f"it would take more than {budget} characters of the page"
    raise ValueError(msg)


def _volume_of(image: NDArray[Any], grid: Grid, label: NDArray[Any] | None, mm: float) -> ViewerVolume:
    coarse = coarse_grid(grid, mm)
    numbers, classes = (None, ()) if label is None else coarse_label(label, coarse.shape)
    return ViewerVolume(
        image=_nifti(coarse_image(image, coarse.shape), coarse),
        label="" if numbers is None or not classes else _nifti(numbers, coarse),
        classes=tuple((value, colour_of(value)) for value in classes),
        centre=_centre(numbers, coarse),
        mm=round(mm, 1),
    )


def _nifti(array: NDArray[np.uint8], grid: Grid) -> str:
    scan = nibabel.Nifti1Image(array.T, reverse_axes(grid.affine))
    scan.header.set_xyzt_units("mm")
    return base64.b64encode(gzip.compress(scan.to_bytes(), mtime=0)).decode()


def _centre(label: NDArray[np.uint8] | None, grid: Grid) -> tuple[float, float, float]:
    """Of all classes above 0, or of the grid where there are none."""
    labelled = np.argwhere(label) if label is not None and label.any() else np.array([np.subtract(grid.shape, 1)]) / 2
    x, y, z = grid.affine[:3, :3] @ labelled.mean(axis=0) + grid.origin
    return float(x), float(y), float(z)
