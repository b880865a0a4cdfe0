"""Sizes on a grid of the same extent, exactly as nnU-Net plans them, and the axis that it does not interpolate.

`monai_mriprep.volume.resample.plan_half_pixel` plans the resampling to them.
"""

from __future__ import annotations

from collections.abc import Sequence

from monai_mriprep.types import SEPARATE_THRESHOLD, Shape, Spacing

__all__ = ["VOXELS_AT_ONCE", "exact_shape", "separate_axis"]

VOXELS_AT_ONCE = 1 << 18
"""Voxels that vote at once: what that takes beside the label is the same for a label of any size. It stands here, since
plans of memory are made without torch: see `monai_mriprep.volume.vote`.
"""


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
