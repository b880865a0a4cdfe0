"""What is measured in a label."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from monai_mriprep.measures.body import Body
from monai_mriprep.measures.model import LabelMeasures, Side
from monai_mriprep.measures.sample import lattice
from monai_mriprep.types import LABEL_MAX
from monai_mriprep.volume.axes import turn_to_codes
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["box_of", "measure_label"]

POINTS = 2_000
"""Voxels of a label that are looked up in the body."""

DENSE = 2**15
"""Voxels of the box around a label in which every one counts for its components, such as 32 x 32 x 32."""

MANY_CLASSES = 255
"""A label with more different values seems to hold intensities."""

TOUCHING = np.ones((3, 3, 3))
"""Voxels that share a face, an edge or a corner belong together."""

ENDS = (("I", "S"), ("P", "A"), ("L", "R"))
"""Of axes that run to S, A and R: the side of the first voxel, and that of the last."""

Box = tuple[slice, slice, slice]
"""A part of an array, z y x."""


def measure_label(label: NDArray[Any], grid: Grid, bodies: Sequence[Body] = ()) -> LabelMeasures:
    """Components, sides that are touched, the share that lies outside of the body, and the centre.

    Nothing but the box around all classes is looked at. Where that holds more than `DENSE` voxels, components are
    counted in every second or third of them, in which parts that are smaller may be left out, and classes, too. Voxels
    that share a face, an edge or a corner belong together. Centre and share are those of at most `POINTS` voxels.

    Parameters
    ----------
    label
        ``(D, H, W)``, of any type; what is rounded to 0 or less is background.
    grid
        Where it lies.
    bodies
        One a channel; a voxel that lies in none of them is outside. Without any, none is.
    """
    box, voxel = box_of(label), math.prod(grid.spacing)
    if box is None:
        return LabelMeasures(components={}, touches=(), outside=0.0, centre=None, voxel=voxel)
    points = _points(label[box] > 0.5, box, grid)
    outside = ~np.any([body.holds(points) for body in bodies], axis=0) if bodies else np.zeros(1)
    right, anterior, superior = points.mean(axis=0).tolist()
    return LabelMeasures(
        components=_components(label[box]),
        touches=_touches(box, grid),
        outside=float(outside.mean()),
        centre=(right, anterior, superior),
        voxel=voxel,
    )


def box_of(label: NDArray[Any]) -> Box | None:
    """The smallest box, z y x, around all classes; None where there are none."""
    plane = label.max(axis=0)  # maxima take no copy of the volume, and a third of the time of a mask
    y, x = _extent(plane.max(axis=1)), _extent(plane.max(axis=0))
    z = _extent(label[:, y, x].max(axis=(1, 2), initial=0))
    return None if z.start == z.stop else (z, y, x)


def _extent(along: NDArray[Any]) -> slice:
    """From the first place to the last one that holds a class; empty where none does."""
    hits = np.flatnonzero(along > 0.5)
    return slice(int(hits[0]), int(hits[-1]) + 1) if hits.size else slice(0, 0)


def _points(mask: NDArray[np.bool_], box: Box, grid: Grid) -> NDArray[np.float64]:
    """Voxels of a label in RAS+ mm, ``(N, 3)``."""
    hits = np.flatnonzero(mask)
    step = -(-hits.size // POINTS)
    index = np.stack(np.unravel_index(hits[::step], mask.shape), axis=1) + [part.start for part in box]
    points: NDArray[np.float64] = index @ grid.affine[:3, :3].T + grid.origin
    return points


def _touches(box: Box, grid: Grid) -> tuple[Side, ...]:
    """The sides of the volume that a box of it reaches."""
    turn = turn_to_codes(grid, "RAS")
    found = set()
    for ends, axis, is_reversed in zip(ENDS, turn.order, turn.reverse, strict=True):
        at_first, at_last = box[axis].start == 0, box[axis].stop == grid.shape[axis]
        reached = (at_last, at_first) if is_reversed else (at_first, at_last)
        found |= {end for end, is_reached in zip(ends, reached, strict=True) if is_reached}
    return tuple(side for side in get_args(Side) if side in found)


def _components(label: NDArray[Any]) -> dict[int, int]:
    """Of each class, counted in its own box; none where there are more values than a label has classes."""
    from scipy import ndimage

    values = _class_numbers(lattice(label, DENSE))
    boxes = {value: box for value, box in enumerate(ndimage.find_objects(values), start=1) if box is not None}
    if len(boxes) > MANY_CLASSES:
        return {}
    return {value: ndimage.label(values[box] == value, TOUCHING)[1] for value, box in boxes.items()}


def _class_numbers(label: NDArray[Any]) -> NDArray[np.int16]:
    """Whole numbers; 0 for what no class can be."""
    rounded = np.rint(label) if label.dtype.kind == "f" else label
    return np.where((rounded > 0) & (rounded <= LABEL_MAX), rounded, 0).astype(np.int16)
