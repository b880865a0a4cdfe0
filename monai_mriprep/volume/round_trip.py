"""What is left of a label that was resampled to another grid and back.

The label goes there as a run takes it, and comes back as `restore` takes a prediction that repeats it without an error:
one mask for each class, interpolated linearly, and the highest wins. The masks are never made. Voxels between voxels of
one class are of that class, and at the others the classes around them vote (`monai_mriprep.volume.vote`). Nothing but
the box around all classes is looked at, a few slices at a time: outside there is background, before and after.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_mriprep.errors import LabelError
from monai_mriprep.types import IMAGE, LABEL, LABEL_MAX, Shape
from monai_mriprep.volume.vote import Taps, voted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from monai_mriprep.volume.resample import ResamplingPlan
    from monai_mriprep.volume.spline import AxisPlan

__all__ = ["Kept", "Structures", "kept", "structures_of"]

SLAB_VOXELS = 1 << 20
"""Voxels that are resampled at once, there and back."""

MANY_CLASSES = 255
"""A label with more different values seems to hold intensities."""

TOUCHING = np.ones((3, 3, 3))
"""Voxels that share a face, an edge or a corner belong to one lesion."""

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Structures:
    """The classes of a label in the box around them, and their lesions: the parts of a class that do not touch.

    Parameters
    ----------
    numbers
        The classes, ascending, without the background.
    voxels
        Of each class.
    start
        Where the box begins in the volume, z y x.
    ranks
        The box with one voxel of background around it: 0, or which of the numbers, from 1.
    lesions
        The same: 0, or the number of the lesion, from 1.
    rank_of_lesion, voxels_of_lesion
        By the number of the lesion; of 0 they are 0.
    """

    numbers: tuple[int, ...]
    voxels: NDArray[np.int64]
    start: Shape
    ranks: NDArray[Any]
    lesions: NDArray[np.int32]
    rank_of_lesion: NDArray[np.int64]
    voxels_of_lesion: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Kept:
    """What is left: the Dice of each class with itself, and which lesions have a voxel on the other grid.

    Parameters
    ----------
    dice
        In the order of `Structures.numbers`; 0 of a class that is lost.
    lesions
        True of a lesion that has one; by its number, from 1, so the first entry says nothing.
    """

    dice: NDArray[np.float64]
    lesions: NDArray[np.bool_]


def structures_of(label: NDArray[Any], name: str = LABEL.name) -> Structures | None:
    """Find the classes of a label, and their lesions.

    Parameters
    ----------
    label
        ``(D, H, W)``, integers from 0, the background, to `LABEL_MAX`.
    name
        What to call it in an error, such as its file.

    Returns
    -------
    Structures
        None where there is background alone.

    Raises
    ------
    LabelError
        If it has more than `MANY_CLASSES`: each is looked at for itself.
    """
    box = _box_of(label)
    if box is None:
        return None
    inside = label[box]
    present = np.zeros(LABEL_MAX + 1, np.bool_)
    for plane in inside:
        present[plane] = True
    present[0] = False
    numbers = np.flatnonzero(present)
    if len(numbers) > MANY_CLASSES:
        raise LabelError(
            name, f"holds {len(numbers)} classes, as an {IMAGE.name} does; at most {MANY_CLASSES} are compared"
        )
    rank_of = np.zeros(LABEL_MAX + 1, np.min_scalar_type(len(numbers)))
    rank_of[numbers] = np.arange(1, len(numbers) + 1)
    ranks = np.pad(rank_of[inside], 1)
    lesions, rank_of_lesion = _lesions(ranks, len(numbers))
    voxels_of_lesion = _counted(lesions, len(rank_of_lesion))
    voxels_of_lesion[0] = 0
    voxels = np.bincount(rank_of_lesion, voxels_of_lesion, len(numbers) + 1)[1:].astype(np.int64)
    z, y, x = (part.start for part in box)
    return Structures(tuple(numbers.tolist()), voxels, (z, y, x), ranks, lesions, rank_of_lesion, voxels_of_lesion)


def _box_of(label: NDArray[Any]) -> Box | None:
    plane = label.max(axis=0)
    y, x = _extent(plane.max(axis=1)), _extent(plane.max(axis=0))
    z = _extent(label[:, y, x].max(axis=(1, 2), initial=0))
    return None if z.start == z.stop else (z, y, x)


def _extent(hits: NDArray[Any]) -> slice:
    """From the first that is not 0 to the last one; empty where there is none."""
    found = np.flatnonzero(hits)
    return slice(int(found[0]), int(found[-1]) + 1) if found.size else slice(0, 0)


def _lesions(ranks: NDArray[Any], classes: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The number of the lesion of each voxel, and the rank of each lesion; each class is looked at in its own box."""
    from scipy import ndimage

    lesions, ranks_of = np.zeros(ranks.shape, np.int32), [0]
    for rank, box in enumerate(ndimage.find_objects(ranks, classes), start=1):
        parts, count = ndimage.label(ranks[box] == rank, TOUCHING)
        lesions[box] += np.where(parts > 0, parts + np.int32(len(ranks_of) - 1), 0)
        ranks_of += [rank] * count
    return lesions, np.array(ranks_of)


def kept(structures: Structures, there: ResamplingPlan, back: ResamplingPlan) -> Kept:
    """What is left of a label on its own grid, and on the other one.

    Parameters
    ----------
    structures
        Of the label.
    there
        From the grid of the label to the other, of order 0; or 1, where the neighbours vote.
    back
        From there to the grid of the label, of order 1, or of order 0 along some axes.
    """
    left = np.zeros(len(structures.rank_of_lesion), np.bool_)
    restored, common = (np.zeros(len(structures.numbers) + 1, np.int64) for _ in range(2))
    axes = _axes(structures, there, back)
    if axes is not None:
        _find_lesions(structures, axes, there.is_nearest, left)
        for part, begin in _restored(structures, axes):
            restored += _counted(part, len(restored))
            now, before = _in_box(part, begin, structures)
            common += _counted(now[now == before], len(common))
    return Kept(2 * common[1:] / (structures.voxels + restored[1:]), left)


def _counted(values: NDArray[Any], count: int) -> NDArray[np.int64]:
    """Voxels of each number below `count`, some at a time: numpy counts in a copy of 64 bits."""
    total, flat = np.zeros(count, np.int64), values.reshape(-1)
    for first in range(0, flat.size, SLAB_VOXELS):
        total += np.bincount(flat[first : first + SLAB_VOXELS], minlength=count)
    return total


@dataclass(frozen=True, eq=False)
class _Axis:
    """One axis of the way there and back.

    Parameters
    ----------
    there
        Of the places on the other grid that something of the label comes to, and of one more at each end.
    back
        From these, of the voxels that something comes back to.
    first
        Which voxel of the volume is the first of those.
    """

    there: Taps
    back: Taps
    first: int


def _axes(structures: Structures, there: ResamplingPlan, back: ResamplingPlan) -> tuple[_Axis, _Axis, _Axis] | None:
    """None where nothing of the label comes to the other grid."""
    z, y, x = (
        _axis(start, n - 2, one, other, there.zero_outside)
        for start, n, one, other in zip(structures.start, structures.ranks.shape, there.axes, back.axes, strict=True)
    )
    return None if z is None or y is None or x is None else (z, y, x)


def _axis(start: int, n: int, there: AxisPlan, back: AxisPlan, zero_outside: bool) -> _Axis | None:
    """The axis along which the box begins at `start`, and has `n` voxels without those of background around it."""
    onto = Taps.of(there).clipped(start - 1, start + n)
    if zero_outside:
        onto = _background(onto, there.outside, n)
    reached = _reached(onto, 1, n)
    if reached.start == reached.stop:
        return None
    first, last = max(reached.start - 1, 0), min(reached.stop, there.n_out - 1)
    home = Taps.of(back).clipped(first, last)
    made = _reached(home, reached.start - first, reached.stop - 1 - first)
    return _Axis(onto.rows(slice(first, last + 1)), home.rows(made), made.start)


def _background(taps: Taps, where: NDArray[np.bool_], n: int) -> Taps:
    """Where the outputs lie outside of the volume, the nearer of the two ends."""
    moved = [np.where(where, (n + 1) * (one > n // 2), one) for one in (*taps.indices, taps.nearest)]
    return Taps(moved[:-1], taps.weights, moved[-1])


def _reached(taps: Taps, first: int, last: int) -> slice:
    """The outputs that any of the inputs from `first` to `last` comes to, and those in between."""
    return _extent(np.any([(one >= first) & (one <= last) for one in taps.indices], axis=0))


def _find_lesions(structures: Structures, axes: Sequence[_Axis], is_nearest: bool, left: NDArray[np.bool_]) -> None:
    """Mark the lesions that hold the centre of a voxel of the other grid which is of their class there."""
    if is_nearest:  # then each voxel is of the class of what holds its centre
        z, y, x = (np.unique(axis.there.nearest) for axis in axes)
        for place in z:
            left[structures.lesions[place][np.ix_(y, x)]] = True
        return
    z_taps, y_taps, x_taps = (axis.there for axis in axes)
    for row, place in enumerate(z_taps.nearest):
        held = structures.lesions[place][np.ix_(y_taps.nearest, x_taps.nearest)]
        (classes,) = _part_of(structures.ranks, z_taps.rows(slice(row, row + 1)), y_taps, x_taps)
        left[held[structures.rank_of_lesion[held] == classes]] = True


def _restored(structures: Structures, axes: Sequence[_Axis]) -> Iterator[tuple[NDArray[Any], Shape]]:
    """What comes back, some slices at a time, and where in the volume they begin."""
    z, y, x = axes
    for rows in _slabs(axes):
        home = z.back.rows(rows)
        low, high = home.ends
        moved = _part_of(structures.ranks, z.there.rows(slice(low, high + 1)), y.there, x.there)
        part = voted(moved, (home.clipped(low, high), y.back, x.back), lowest=True)
        yield part, (z.first + rows.start, y.first, x.first)


def _slabs(axes: Sequence[_Axis]) -> Iterator[slice]:
    """Slices that come back, as many as take little memory, on the other grid, too."""
    depth = len(axes[0].back.nearest)
    there = math.prod(len(axis.there.nearest) for axis in axes)
    back = math.prod(len(axis.back.nearest) for axis in axes)
    at_once = max(1, SLAB_VOXELS * depth // max(there, back))
    yield from (slice(first, min(first + at_once, depth)) for first in range(0, depth, at_once))


def _part_of(ranks: NDArray[Any], z: Taps, y: Taps, x: Taps) -> NDArray[Any]:
    """Some slices on the other grid, from no more slices than they need."""
    low, high = z.ends
    return voted(ranks[low : high + 1], (z.clipped(low, high), y, x))


def _in_box(part: NDArray[Any], begin: Shape, structures: Structures) -> tuple[NDArray[Any], NDArray[Any]]:
    """Where a part of the volume and the box meet: what is there now, and what was."""
    now, before = [], []
    for first, n, start, padded in zip(begin, part.shape, structures.start, structures.ranks.shape, strict=True):
        low = max(first, start)
        high = max(low, min(first + n, start + padded - 2))
        now.append(slice(low - first, high - first))
        before.append(slice(low - start + 1, high - start + 1))
    return part[tuple(now)], structures.ranks[tuple(before)]
