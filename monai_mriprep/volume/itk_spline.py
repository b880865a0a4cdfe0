"""Which voxels are greater than zero after ITK's cubic B-spline, where only rounding errors decide.

Where a scan holds exact zeros, a spline gives values near zero, and their signs are those of rounding errors. A
foreground of voxels greater than zero depends on these signs. So the same errors must be made here: the same
operations in the same order, in float64. The order is that of ITK 5.4, in `BSplineDecompositionImageFilter`,
`ResampleImageFilter` and `BSplineInterpolateImageFunction`, on processors without fused multiply-add. ITK computes
positions through world coordinates, and so does this module.
"""

from __future__ import annotations

import math
from itertools import pairwise, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_mriprep.types import Spacing
from monai_mriprep.volume.geometry import Grid, reverse_axes
from monai_mriprep.volume.itk_inverse import inverse_as_itk

__all__ = ["positive_as_itk"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

DOUBT = 1e-6
"""Share of the range of the volume. A float32 value of smaller magnitude may have the wrong sign."""

POLE = math.sqrt(3.0) - 2.0
HORIZON = math.ceil(math.log(1e-10) / math.log(-POLE))
"""Voxels that the first coefficient of a line is computed from; the others would add less than 1e-10."""

CHUNK = 1 << 13
"""Voxels evaluated at a time, so that their data stay in cache."""


def positive_as_itk(
    volume: NDArray[Any], source: Grid, direction: Floats, spacing: Spacing, resampled: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Say which voxels of a resampled volume are greater than zero.

    Parameters
    ----------
    volume
        ``(D, H, W)``, as stored.
    source
        Its grid.
    direction
        Unit vectors of its axes, one a column, in RAS+, as the file states them. The affine may lose the last digit.
    spacing
        Of the grid that it was resampled to (by the rule ``itk``), in mm, z y x.
    resampled
        ``(D, H, W)`` on that grid: by cubic B-spline with mirrored boundary, 0 outside the scan.
    """
    positive = resampled > 0
    least = DOUBT * (float(volume.max()) - float(volume.min()))
    doubtful = np.flatnonzero(np.abs(resampled) < least)
    if not len(doubtful):
        return positive
    coefficients = _coefficients(volume)
    to_source = _SourcePositions(source, direction, spacing, resampled.shape[2])
    for start in range(0, len(doubtful), CHUNK):
        part = doubtful[start : start + CHUNK]
        x = to_source.positions(*np.unravel_index(part, resampled.shape))
        inside = np.all([(at >= -0.5) & (at < n - 0.5) for at, n in zip(x, source.shape[::-1], strict=True)], axis=0)
        positive.reshape(-1)[part] = inside & (_evaluate(coefficients, x) > 0)
    return positive


class _SourcePositions:
    """Maps voxels of the new grid, through world coordinates, to positions in the source."""

    def __init__(self, source: Grid, direction: Floats, spacing: Spacing, width: int) -> None:
        self.origin = source.origin
        self.steps = (direction * spacing)[:, ::-1]
        self.from_world = inverse_as_itk(reverse_axes(source.affine)[:3, :3])
        self.width = width

    def positions(self, k: Indices, j: Indices, i: Indices) -> list[Floats]:
        """Indices x, y, z in the old grid, found between the two ends of each row."""
        begin, end = self._indices(0.0, j, k), self._indices(float(self.width), j, k)
        share = i / self.width
        return [first + share * (last - first) for first, last in zip(begin, end, strict=True)]

    def _indices(self, i: float, j: Indices, k: Indices) -> list[Floats]:
        x, y, z = (o + a * i + b * j + c * k - o for o, (a, b, c) in zip(self.origin, self.steps, strict=True))
        return [a * x + b * y + c * z for a, b, c in self.from_world]


def _coefficients(volume: NDArray[Any]) -> Floats:
    """Coefficients of the spline through the voxels: a recursive filter forward and backward along x, y, z."""
    result: Floats = volume.astype(np.float64)
    for axis in (2, 1, 0):
        if volume.shape[axis] > 1:
            _filter(np.moveaxis(result, axis, 0))
    return result


def _filter(lines: Floats) -> None:
    """Filter along the first axis, in place."""
    lines *= (1.0 - POLE) * (1.0 - 1.0 / POLE)
    lines[0] = _first_coefficient(lines)
    for before, at in pairwise(lines):
        at += POLE * before
    lines[-1] = (POLE / (POLE * POLE - 1.0)) * (POLE * lines[-2] + lines[-1])
    for after, at in zip(lines[:0:-1], lines[-2::-1], strict=True):
        np.multiply(POLE, after - at, out=at)


def _first_coefficient(lines: Floats) -> Floats:
    """The start of the forward filter, for lines that are mirrored at both ends without end."""
    last = len(lines) - 1
    total: Floats = lines[0].copy()
    power = POLE
    if last >= HORIZON:
        for at in lines[1:HORIZON]:
            total += power * at
            power *= POLE
        return total
    inverse, mirrored = 1.0 / POLE, math.pow(POLE, last)
    total += mirrored * lines[last]
    mirrored *= mirrored * inverse
    for at in lines[1:last]:
        total += (power + mirrored) * at
        power, mirrored = power * POLE, mirrored * inverse
    total /= 1.0 - power * power
    return total


def _evaluate(coefficients: Floats, positions: list[Floats]) -> Floats:
    """Values of the spline at positions: sums over 4 x 4 x 4 coefficients, x first."""
    (x, wx), (y, wy), (z, wz) = (_neighbours(at, n) for at, n in zip(positions, coefficients.shape[::-1], strict=True))
    flat, (_, height, width) = coefficients.reshape(-1), coefficients.shape
    rows = {(c, b): (z[c] * height + y[b]) * width for c, b in product(range(4), repeat=2)}
    faces = {(b, a): wx[a] * wy[b] for b, a in product(range(4), repeat=2)}
    total: Floats = np.zeros(len(positions[0]))
    for c, b, a in product(range(4), repeat=3):
        total += faces[b, a] * wz[c] * flat.take(rows[c, b] + x[a])
    return total


def _neighbours(at: Floats, n: int) -> tuple[list[Indices], list[Floats]]:
    """Indices and weights of the four coefficients around each position; ITK finds the indices in float32."""
    below = np.floor(at.astype(np.float32)).astype(np.intp)
    w = at - below
    last = (1.0 / 6.0) * w * w * w
    first = (1.0 / 6.0) + 0.5 * w * (w - 1.0) - last
    third = w + first - 2.0 * last
    period = max(2 * (n - 1), 1)
    folded = (np.abs(below + k) % period for k in (-1, 0, 1, 2))
    return [np.minimum(i, period - i) for i in folded], [first, 1.0 - first - third - last, third, last]
