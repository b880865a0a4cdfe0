"""Where in the world to look: the point in which the planes cross, and how much around it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from monai_mriprep.pictures.planes import View, corners_of, patient_axes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from monai_mriprep.pictures.scan import Scan
    from monai_mriprep.volume.geometry import Grid

__all__ = ["box_of_label", "view_of"]


def view_of(scans: Sequence[Scan], centre: ArrayLike | None = None) -> View:
    """What a picture of these scans shows: all of the images, along the axes of the first one.

    The planes cross at the centre of the first label that is not empty. If one of them misses the label there, they
    cross in a voxel of it near by; without a label, in the middle of the first image. They always cut that image. A
    label on another grid than its image is in view, too, with at most the images' own size added at each side.

    Parameters
    ----------
    scans
        One at least.
    centre
        Centre of the first label, RAS+ mm, where it is known; else it is computed, for which the label is read.
    """
    axes = patient_axes(scans[0].grid)
    images = _along(axes, [corners_of(scan.grid) for scan in scans])
    boxes = _along(axes, [box for scan in scans if (box := box_of_label(scan)) is not None])
    low, high = images.min(axis=0), images.max(axis=0)
    lowest, highest = 2 * low - high, 2 * high - low
    seen = np.concatenate([images, boxes.clip(lowest, highest)])
    return View(axes, _within(scans[0].grid, _point_of(scans, centre)), seen.min(axis=0), seen.max(axis=0))


def _along(axes: NDArray[np.float64], corners: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """All corners in one list, in mm along the axes."""
    return np.reshape(corners, (-1, 3)) @ axes


def box_of_label(scan: Scan) -> NDArray[np.float64] | None:
    """The box a voxel away from a label on another grid than its image, as `planes.corners_of`; else None."""
    if scan.label is None or not scan.is_mismatched:
        return None
    sides = [np.flatnonzero(counts) for counts in _counts(scan.label)]
    if not len(sides[0]):
        return None
    return corners_of(scan.grid_of_label, [side[0] - 1 for side in sides], [side[-1] + 2 for side in sides])


def _counts(label: NDArray[Any]) -> tuple[NDArray[np.int64], ...]:
    """Labelled voxels in each slice along z, along y and along x."""
    z, y, x = (np.zeros(n, np.int64) for n in label.shape)
    for k, plane in enumerate(label):
        mask = plane > 0
        if mask.any():
            z[k] = np.count_nonzero(mask)
            y += np.count_nonzero(mask, axis=1)
            x += np.count_nonzero(mask, axis=0)
    return z, y, x


def _point_of(scans: Sequence[Scan], centre: ArrayLike | None) -> NDArray[np.float64]:
    """Where the planes are to cross, in the world; it may lie outside of the image."""
    for scan in scans:
        if scan.label is not None and (place := _place_in(scan.label, scan.grid_of_label, centre)) is not None:
            return _world(scan.grid_of_label, place)
    return _world(scans[0].grid, (np.array(scans[0].grid.shape) - 1) / 2)


def _place_in(label: NDArray[Any], grid: Grid, centre: ArrayLike | None) -> NDArray[np.float64] | None:
    """The centre of a label, or one of its voxels near by; in voxels, z y x. None of an empty label."""
    place = _centre(label) if centre is None else _voxels(grid, centre)
    if place is None:
        return None
    index = _nearest(grid, place)
    if all((np.moveaxis(label, axis, 0)[index[axis]] > 0).any() for axis in range(3)):
        return place
    return _labelled_near(label, grid, index)


def _centre(label: NDArray[Any]) -> NDArray[np.float64] | None:
    counts = _counts(label)
    if not counts[0].any():
        return None
    return np.array([np.average(np.arange(len(of_axis)), weights=of_axis) for of_axis in counts])


def _labelled_near(label: NDArray[Any], grid: Grid, index: NDArray[np.intp]) -> NDArray[np.float64] | None:
    """In the nearest slice along z that holds any, the labelled voxel next to an index."""
    for k in sorted(range(len(label)), key=lambda k: abs(k - int(index[0]))):
        if len(found := np.argwhere(label[k] > 0)):
            away = (found - index[1:]) * grid.spacing[1:]
            return np.array([k, *found[(away**2).sum(axis=1).argmin()]], dtype=np.float64)
    return None


def _within(grid: Grid, point: NDArray[np.float64]) -> NDArray[np.float64]:
    """The point, or of one outside of the image the place in it next to that."""
    place = _voxels(grid, point)
    inside = place.clip(0, np.array(grid.shape) - 1)
    return point if np.array_equal(inside, place) else _world(grid, inside)


def _nearest(grid: Grid, place: NDArray[np.float64]) -> NDArray[np.intp]:
    return np.rint(place).astype(np.intp).clip(0, np.array(grid.shape) - 1)


def _voxels(grid: Grid, point: ArrayLike) -> NDArray[np.float64]:
    place = np.linalg.solve(grid.affine[:3, :3], np.asarray(point, np.float64) - grid.origin)
    return np.asarray(place, np.float64)


def _world(grid: Grid, place: NDArray[np.float64]) -> NDArray[np.float64]:
    point: NDArray[np.float64] = grid.affine[:3, :3] @ place + grid.origin
    return point
