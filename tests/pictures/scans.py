"""Scans with a ball for a label, anywhere in the world, and where nibabel says that a point of them must appear."""

from __future__ import annotations

import nibabel
import numpy as np

from monai_mriprep.pictures.planes import Panel
from monai_mriprep.pictures.scan import Scan
from monai_mriprep.volume.geometry import Grid
from tests.oracles import rotation
from tests.phantoms import TOWARDS

MIDDLE = np.array([10.0, -20.0, 30.0])
RADIUS = 12.4


def grid_of(shape=(24, 40, 44), spacing=(3.0, 1.5, 1.4), axes="SAR", degrees=0.0, middle=MIDDLE) -> Grid:
    """A grid around `middle`, RAS+ mm, whose axes z, y, x run to the ends named, then turned."""
    direction = rotation(degrees) @ np.transpose([TOWARDS[axis] for axis in axes])
    affine = np.eye(4)
    affine[:3, :3] = direction * spacing
    affine[:3, 3] = middle - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


def centre_of_ball(grid: Grid) -> np.ndarray:
    """Centre of a voxel, so that all slices of a ball are centred there; in no plane through the middle of the grid."""
    return grid.affine[:3, :3] @ np.rint(np.multiply(grid.shape, (0.6, 0.4, 0.55))) + grid.origin


def places_of(grid: Grid) -> np.ndarray:
    """Of each voxel, shape (D, H, W, 3), RAS+ mm."""
    return np.moveaxis(np.indices(grid.shape), 0, -1) @ grid.affine[:3, :3].T + grid.origin


def ball(grid: Grid, centre, radius=RADIUS) -> np.ndarray:
    return (np.linalg.norm(places_of(grid) - centre, axis=-1) < radius).astype(np.int16)


def body(grid: Grid) -> np.ndarray:
    """Grey tissue in air, brighter to the left and to the head; the same in the world on any grid."""
    places = (places_of(grid) - MIDDLE) / 33
    inside = (places**2).sum(axis=-1) < 1
    return np.where(inside, 500 - 100 * places[..., 0] + 100 * places[..., 2], 0).astype(np.int16)


def scan_of(grid: Grid, centre=None) -> Scan:
    return Scan(body(grid), grid, ball(grid, centre_of_ball(grid) if centre is None else centre), title="a scan")


def expected_pixel(grid: Grid, panel: Panel, point) -> tuple[float, float]:
    """Column and row, if the panel shows all of a grid: by nibabel's closest canonical image and the panel's edges."""
    image = nibabel.Nifti1Image(np.zeros(grid.shape[::-1], np.uint8), grid.affine[:, [2, 1, 0, 3]])
    canonical = nibabel.as_closest_canonical(image)
    index = nibabel.affines.apply_affine(np.linalg.inv(canonical.affine), point)
    right, front, head = (index + 0.5) / canonical.shape
    across, down = {"axial": (right, front), "coronal": (right, head), "sagittal": (front, head)}[panel.plane]
    return panel.left + panel.width * (1 - across) - 0.5, panel.top + panel.height * (1 - down) - 0.5


def cut_out(picture: np.ndarray, panel: Panel) -> np.ndarray:
    return picture[panel.top : panel.top + panel.height, panel.left : panel.left + panel.width]


def outlined(picture: np.ndarray, panel: Panel) -> np.ndarray:
    """Column and row of each coloured pixel of a panel, in the picture; shape (n, 2)."""
    part = cut_out(picture, panel).astype(int)
    rows, columns = np.nonzero(part.max(axis=2) - part.min(axis=2) > 40)
    return np.stack([columns + panel.left, rows + panel.top], axis=1)
