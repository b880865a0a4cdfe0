"""Grids: where the voxels of a volume are in the world.

Words: a *grid* is a shape with an affine. Both are in array axis order (z, y, x): the affine takes a voxel
index ``(k, j, i)`` to millimetres in RAS+, as in MONAI. Column ``a`` of its 3 x 3 part is the step along
array axis ``a``; the column's length is the spacing, its direction the direction cosines.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from operator import index
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray  # at run time, for pydantic below 2.13: it looks into a Grid

from monai_mriprep.errors import GeometryError, ResamplingError
from monai_mriprep.types import (
    DIRECTION_TOLERANCE,
    FLOAT_HALF_TOLERANCE,
    HALF_TOLERANCE,
    ORIGIN_TOLERANCE,
    SAME_SPACING_TOLERANCE,
    SPACING_TOLERANCE,
    GridRule,
    Shape,
    Spacing,
)
from monai_mriprep.volume.half_pixel import exact_shape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["LPS_TO_RAS", "Grid", "reverse_axes", "round_size", "same_grid_problem", "target_grid"]

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""ITK's world (left, posterior, superior) to MONAI's and NIfTI's (right, anterior, superior); its own inverse."""


DIRECTION_ERROR = 1e-5
"""How far, as a share of it, the spacing that a header states may be from the length of an axis of the affine."""
STATED_DIGITS = 12
"""Of a spacing in a header, if it is a decimal."""
ROUNDING_ERROR = 4e-15
"""How far, as a share of it, the length of an axis of the affine may be from the spacing that was multiplied in."""


@dataclass(frozen=True, eq=False)
class Grid:
    """A shape and its affine.

    Parameters
    ----------
    shape
        Voxels along z, y, x; each at least 1.
    affine
        4 x 4, float64: voxel index in array axis order to RAS+ millimetres.
    stated
        The spacing that a file's header states beside, in mm, z y x. No part of the value: see `stated_spacing`.

    Raises
    ------
    GeometryError
        If the shape is empty, or the affine is not finite or not invertible.
    """

    shape: Shape
    affine: NDArray[np.float64]
    stated: Spacing | None = None

    def __post_init__(self) -> None:
        try:
            affine = np.array(self.affine, dtype=np.float64)
        except OverflowError as error:  # an integer, which JSON can hold with any number of digits
            msg = "the affine holds a number that float64 cannot"
            raise GeometryError(msg) from error
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        if len(self.shape) != 3 or min(self.shape) < 1:
            msg = f"a grid needs three sizes of at least 1 voxel, not {self.shape}"
            raise GeometryError(msg)
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or _is_flat(affine[:3, :3]):
            msg = f"the affine must be a finite, invertible 4 x 4 matrix, not {affine.tolist()}"
            raise GeometryError(msg)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Grid) and self.shape == other.shape and np.array_equal(self.affine, other.affine)

    def __hash__(self) -> int:
        return hash((self.shape, self.affine.tobytes()))

    def __getstate__(self) -> dict[str, Any]:
        return {"shape": self.shape, "affine": self.affine, "stated": self.stated}

    @cached_property
    def spacing(self) -> Spacing:
        """Length of each step, in mm, along z, y, x."""
        z, y, x = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(z), float(y), float(x)

    @cached_property
    def stated_spacing(self) -> Spacing:
        """The spacing as a header states it, without the rounding errors of the directions that it is multiplied by.

        They may be those of float32. Where a header's own is not known, or not that of the affine, a length that is a
        decimal of few digits or a float32 but for the last digits is that number. An axis that is parallel to one of
        the world has no such errors.
        """
        if self.stated is not None and np.allclose(self.stated, self.spacing, rtol=DIRECTION_ERROR, atol=0):
            return self.stated
        is_straight = np.count_nonzero(self.affine[:3, :3], axis=0) == 1
        z, y, x = (
            length if straight else _as_stated(length)
            for length, straight in zip(self.spacing, is_straight, strict=True)
        )
        return z, y, x

    @cached_property
    def direction(self) -> NDArray[np.float64]:
        """Unit vectors of the array axes, one a column, in RAS+."""
        with np.errstate(invalid="ignore", divide="ignore"):
            cosines: NDArray[np.float64] = self.affine[:3, :3] / np.linalg.norm(self.affine[:3, :3], axis=0)
        return np.nan_to_num(cosines, nan=0.0)

    @property
    def origin(self) -> NDArray[np.float64]:
        """Centre of voxel (0, 0, 0), in RAS+ mm."""
        return self.affine[:3, 3]

    def to_json(self) -> dict[str, Any]:
        """Plain values, from which `from_json` makes the same grid, bit for bit. The spacing is only informative."""
        return {"shape": list(self.shape), "affine": self.affine.tolist(), "spacing": list(self.spacing)}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Grid:
        """The grid that `to_json` wrote.

        Raises
        ------
        GeometryError, KeyError, TypeError, ValueError
            If a value is missing or not valid.
        """
        z, y, x = map(index, facts["shape"])
        return cls((z, y, x), facts["affine"])

    def part(self, begin: Sequence[int] | NDArray[np.int64], end: Sequence[int] | NDArray[np.int64]) -> Grid:
        """The voxels from `begin` to before `end`, along z, y, x.

        Raises
        ------
        GeometryError
            If the box is empty or reaches beyond the grid.
        """
        if not all(0 <= first < last <= n for first, last, n in zip(begin, end, self.shape, strict=True)):
            msg = f"the box from {begin} to {end} (z y x) is no part of a grid of {self.shape} voxels"
            raise GeometryError(msg)
        z, y, x = (index(last) - index(first) for first, last in zip(begin, end, strict=True))
        affine = self.affine.copy()
        affine[:3, 3] = self.affine[:3, :3] @ np.asarray(begin) + self.origin
        return self if (z, y, x) == self.shape and not np.any(begin) else Grid((z, y, x), affine, self.stated)

    def __str__(self) -> str:
        def triple(values: ArrayLike) -> str:
            return "(" + ", ".join(f"{v:.6g}" for v in np.asarray(values)) + ")"

        rows = " ".join(triple(row) for row in self.direction)
        return (
            f"size {self.shape}, spacing {triple(self.spacing)} mm, origin {triple(self.origin)} mm, "
            f"direction {rows} (z y x, RAS+)"
        )


def _as_stated(length: float) -> float:
    candidates = (float(f"{length:.{STATED_DIGITS}g}"), float(np.float32(length)))
    return next((stated for stated in candidates if abs(stated - length) <= ROUNDING_ERROR * length), length)


def _is_flat(steps: NDArray[np.float64]) -> bool:
    """Whether the axes span hardly any volume, or one of them has no length."""
    lengths = np.linalg.norm(steps, axis=0)
    return bool(abs(np.linalg.det(steps)) <= 1e-3 * lengths.prod())


def reverse_axes(affine: ArrayLike) -> NDArray[np.float64]:
    """The same affine for indices in the reversed axis order (x y z instead of z y x, or back)."""
    affine = np.asarray(affine, dtype=np.float64)
    return affine[:, [2, 1, 0, 3]]


def round_size(size: float, tolerance: float = HALF_TOLERANCE) -> int:
    """Round half to even, to at least one voxel. A size within the tolerance of a half counts as the half."""
    floor = math.floor(size)
    if abs(size - floor - 0.5) < tolerance:
        size = floor + 0.5
    return max(1, round(size))


def target_grid(source: Grid, target: Spacing, rule: GridRule = "monai") -> Grid:
    """The grid that a volume on `source` is resampled to.

    An axis whose spacing is within `SAME_SPACING_TOLERANCE` of its target is left as it is, except under ``itk`` and
    ``nnunet_exact``. Otherwise:

    ``monai``
        First voxel centres coincide; ``round((N - 1) * s / t + 1)`` voxels; spacing exactly ``t``. So does MONAI's
        ``Spacing``, unless rounding errors mislead its test of the corners.
    ``nnunet``
        The extents coincide (half-pixel convention); ``round(N * s / t)`` voxels, as in nnU-Net. The spacing is
        therefore ``N * s / n``, near ``t`` but not equal to it.
    ``itk``
        First voxel centres coincide; ``round(N * s / t)`` voxels, rounded without the tolerance; spacing exactly ``t``,
        even if ``s`` is almost equal. Scripts around SimpleITK's ``Resample`` do this. The last voxels may be beyond
        the outer face of the volume, where ITK sets 0: see `zero_outside` of
        `monai_mriprep.volume.resample.plan_resampling`.
    ``nnunet_exact``
        As ``nnunet``, with nnU-Net's own sizes: ``round(s / t * N)`` of the spacings that the header states, rounded
        without the tolerance.

    Parameters
    ----------
    source
        The grid of the image as stored.
    target
        Spacing in mm, z y x.
    rule
        Which of the four.

    Raises
    ------
    ResamplingError
        If the rule is not known.
    """
    if rule not in get_args(GridRule):
        msg = f"the grid must be one of {', '.join(get_args(GridRule))}, not {rule!r}"
        raise ResamplingError(msg)
    axes = _exact_axes(source, target) if rule == "nnunet_exact" else _target_axes(source, target, rule)
    sizes, steps, starts = zip(*axes, strict=True)
    affine = source.affine.copy()
    affine[:3, :3] = affine[:3, :3] * steps
    affine[:3, 3] = source.affine[:3, :3] @ starts + source.origin
    return Grid(sizes, affine)


Axis = tuple[int, float, float]
"""Size, step and start; step and start in source voxels."""


def _target_axes(source: Grid, target: Spacing, rule: GridRule) -> list[Axis]:
    return [_target_axis(n, s, t, rule) for n, s, t in zip(source.shape, source.spacing, target, strict=True)]


def _exact_axes(source: Grid, target: Spacing) -> list[Axis]:
    sizes = exact_shape(source.shape, source.stated_spacing, target)
    return [_half_pixel(n, size) for n, size in zip(source.shape, sizes, strict=True)]


def _half_pixel(n: int, size: int) -> Axis:
    return size, n / size, 0.5 * n / size - 0.5


def _target_axis(n: int, spacing: float, target: float, rule: GridRule) -> Axis:
    if rule == "itk":
        return round_size(n * spacing / target, FLOAT_HALF_TOLERANCE), target / spacing, 0.0
    if abs(spacing - target) < SAME_SPACING_TOLERANCE.at(spacing):
        return n, 1.0, 0.0
    if rule == "monai":
        return round_size((n - 1) * spacing / target + 1), target / spacing, 0.0
    return _half_pixel(n, round_size(n * spacing / target))


def same_grid_problem(image: Grid, label: Grid) -> str | None:
    """The first thing in which two grids differ beyond the tolerances of `monai_mriprep.types`; None if they agree."""
    if image.shape != label.shape:
        return "size"
    if any(abs(s - t) > SPACING_TOLERANCE.at(s) for s, t in zip(image.spacing, label.spacing, strict=True)):
        return "spacing"
    if np.abs(image.direction - label.direction).max() > DIRECTION_TOLERANCE:
        return "direction"
    if np.linalg.norm(image.origin - label.origin) > ORIGIN_TOLERANCE.at(min(image.spacing)):
        return "origin"
    return None
