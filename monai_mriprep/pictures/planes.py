"""The planes that a picture shows, and where a point in the world appears in it. No voxel is read here.

Words: a *view* is the part of the world that a picture shows, along the patient's axes; a *panel* is one plane of one
scan in the picture. All panels of a picture have one scale and one view, so a point lies at the same place in each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from monai_mriprep.volume.axes import turn_to_codes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from monai_mriprep.volume.geometry import Grid

__all__ = ["PLANES", "Panel", "View", "corners_of", "panel_of", "patient_axes"]

PLANES = {"axial": (1, 2), "coronal": (0, 2), "sagittal": (0, 1)}
"""Of each plane, which of the patient's axes S, A, R (0 to 2) runs up in its picture, and which runs to the left."""


@dataclass(frozen=True, eq=False)
class View:
    """The part of the world that is shown.

    Parameters
    ----------
    axes
        3 x 3: unit vectors in RAS+, one a column, at right angles; the ones that run nearest to S, A and R.
    point
        Where the planes cross, RAS+ mm.
    low, high
        What is shown along these axes, mm.
    """

    axes: NDArray[np.float64]
    point: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Panel:
    """One plane of one scan, and where it is in the picture.

    Parameters
    ----------
    scan, plane
        Which.
    left, top
        Of its first pixel in the picture.
    height, width
        Pixels.
    corner
        Centre of its first pixel in the world, RAS+ mm.
    down, right
        Steps to the next row and column, RAS+ mm; at right angles.
    """

    scan: int
    plane: str
    left: int
    top: int
    height: int
    width: int
    corner: NDArray[np.float64]
    down: NDArray[np.float64]
    right: NDArray[np.float64]

    def pixel(self, point: ArrayLike) -> tuple[float, float]:
        """Column and row in the picture at which a point in the world appears; pixel centres have whole numbers.

        Parameters
        ----------
        point
            RAS+ mm; of one off the plane, its foot is meant.
        """
        away = np.asarray(point, dtype=np.float64) - self.corner
        column, row = (float(away @ step / (step @ step)) for step in (self.right, self.down))
        return self.left + column, self.top + row

    def finer(self, down: int, right: int) -> Panel:
        """The same part of the plane, each pixel divided into so many rows and columns."""
        return replace(
            self,
            height=self.height * down,
            width=self.width * right,
            corner=self.corner - self.down * (1 - 1 / down) / 2 - self.right * (1 - 1 / right) / 2,
            down=self.down / down,
            right=self.right / right,
        )


def patient_axes(grid: Grid) -> NDArray[np.float64]:
    """The directions of a grid's axes that run nearest to the patient's S, A and R.

    Returns
    -------
    3 x 3 array
        Unit vectors in RAS+, one a column. Those of a sheared grid are made orthogonal, by a polar decomposition.
    """
    left, _, right = np.linalg.svd(turn_to_codes(grid, "RAS").grid(grid).direction)
    axes: NDArray[np.float64] = left @ right
    return axes


def corners_of(
    grid: Grid, begin: Sequence[float] = (0, 0, 0), end: Sequence[float] | None = None
) -> NDArray[np.float64]:
    """The outer corners of the voxels from `begin` to before `end`, z y x, by default of all.

    Returns
    -------
    array of shape (2, 2, 2, 3)
        RAS+ mm; low and high along z, y, x.
    """
    ends = zip(begin, grid.shape if end is None else end, strict=True)
    index = np.stack(np.meshgrid(*([low - 0.5, high - 0.5] for low, high in ends), indexing="ij"), axis=-1)
    corners: NDArray[np.float64] = index @ grid.affine[:3, :3].T + grid.origin
    return corners


def panel_of(view: View, mm: float, scan: int, plane: str, place: tuple[int, int], size: tuple[int, int]) -> Panel:
    """The plane through the point of a view.

    The point is the centre of a pixel, so that the voxel in which it lies is seen, however small. The first pixel is at
    the high ends of the two axes that the plane shows, within half a pixel.

    Parameters
    ----------
    view
        What is shown.
    mm
        Edge of a pixel.
    scan, plane
        Which.
    place, size
        Left and top; height and width; in pixels.
    """
    up, left = PLANES[plane]
    before = np.rint((view.high - view.point @ view.axes) / mm - 0.5)
    down, right = -view.axes[:, up] * mm, -view.axes[:, left] * mm
    corner = view.point - before[up] * down - before[left] * right
    return Panel(scan, plane, *place, *size, corner, down, right)
