"""Resampling to another number of voxels of the same extent, exactly as nnU-Net plans it.

Sizes are rounded and ties broken as in nnU-Net, without the tolerances that the other grids have. Where voxels are much
longer than wide, one axis is separate: it takes the nearest slice, and the spline runs within slices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from monai_mriprep.types import Shape, Spacing

if TYPE_CHECKING:
    from monai_mriprep.volume.resample import ResamplingPlan

__all__ = ["SEPARATE_THRESHOLD", "exact_shape", "plan_half_pixel", "separate_axis"]

SEPARATE_THRESHOLD = 3.0
"""Where the longest edge of a voxel is more than this many times the shortest, nnU-Net interpolates within slices."""


def exact_shape(shape: Sequence[int], spacing: Sequence[float], target: Sequence[float]) -> Shape:
    """``round(s / t * n)`` voxels along each axis, half to even, at least one.

    Parameters
    ----------
    shape
        Voxels before.
    spacing, target
        In mm, before and after, in the order of `shape`. The quotient is formed first: its rounding decides at halves.
    """
    first, second, third = (max(1, round(s / t * n)) for n, s, t in zip(shape, spacing, target, strict=True))
    return first, second, third


def separate_axis(spacing: Spacing, target: Spacing, threshold: float = SEPARATE_THRESHOLD) -> int | None:
    """The axis along which slices are picked, not interpolated.

    The spacing before decides where its longest edge is more than `threshold` times its shortest, else the spacing
    after where it is. The axis is that of the longest edge; where two share it, there is none.

    Parameters
    ----------
    spacing, target
        In mm, before and after, z y x.
    threshold
        Of the quotient of edges.
    """
    for edges in (spacing, target):
        longest = max(edges)
        if longest / min(edges) > threshold:
            axes = [axis for axis, edge in enumerate(edges) if longest / edge == 1]
            return axes[0] if len(axes) == 1 else None
    return None


def plan_half_pixel(
    shape_in: Sequence[int], shape_out: Sequence[int], order: int = 3, separate: int | None = None
) -> ResamplingPlan:
    """Plan the resampling to another number of voxels of the same extent; beyond the ends the edge is repeated.

    Parameters
    ----------
    shape_in, shape_out
        Voxels before and after, z y x.
    order
        Spline order, 0 to 3.
    separate
        An axis with order 0, from 0; None for the same order along all.
    """
    from monai_mriprep.volume.resample import ResamplingPlan
    from monai_mriprep.volume.spline import HalfPixelAxis

    z, y, x = (
        HalfPixelAxis.of(n_in, n_out, 0 if axis == separate else order)
        for axis, (n_in, n_out) in enumerate(zip(shape_in, shape_out, strict=True))
    )
    return ResamplingPlan((z, y, x))
