"""Resampling between two grids that share their axes.

The work is planned here, per axis; the products of matrices are those of `monai_mriprep.volume.products`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from monai_mriprep.errors import ResamplingError
from monai_mriprep.types import Boundary, Clip, Shape
from monai_mriprep.volume.buffers import as_float32, empty_float32
from monai_mriprep.volume.geometry import Grid
from monai_mriprep.volume.products import AxisBlocks, exact_products, resample_volume
from monai_mriprep.volume.spline import AxisPlan, HalfPixelAxis, nearest_indices
from monai_mriprep.volume.threads import Threads, on_threads

__all__ = ["ResamplingPlan", "apply_plan", "is_finite", "plan_half_pixel", "plan_resampling", "with_zeros_outside"]

ROUNDING = 1e-10
"""A step this close to 1 is 1, and a start this close to 0 is 0: the difference is the rounding of affines."""

CACHED_PLANS = 64
"""Patches are small, and their volumes the same again and again: to plan anew took a tenth of their time (measured)."""

SHARED_AXES_TOLERANCE = 1e-6
"""Largest difference of direction cosines between two grids that share their axes."""


@dataclass(frozen=True)
class ResamplingPlan:
    """One `AxisPlan` for each of z, y, x; and whether voxels whose centre lies outside the volume become 0."""

    axes: tuple[AxisPlan, AxisPlan, AxisPlan]
    zero_outside: bool = False

    @property
    def shape_in(self) -> Shape:
        """Voxels before, z y x."""
        z, y, x = (axis.n_in for axis in self.axes)
        return z, y, x

    @property
    def shape_out(self) -> Shape:
        """Voxels after, z y x."""
        z, y, x = (axis.n_out for axis in self.axes)
        return z, y, x

    @property
    def orders(self) -> tuple[int, int, int]:
        """Spline order along z, y, x."""
        z, y, x = (axis.order for axis in self.axes)
        return z, y, x

    @property
    def is_nearest(self) -> bool:
        """Whether every axis only picks voxels, so that their type is kept."""
        return self.orders == (0, 0, 0)

    @property
    def is_identity(self) -> bool:
        """Nothing to do on any axis."""
        return all(axis.is_identity for axis in self.axes)

    @property
    def separate(self) -> int | None:
        """The one axis of order 0 among others, from 0, along which slices are picked; None where there is none."""
        picking = [axis for axis, order in enumerate(self.orders) if order == 0]
        return picking[0] if len(picking) == 1 else None


def plan_resampling(
    source: Grid,
    target: Grid,
    order: int | Sequence[int] = 3,
    boundary: Boundary = "nearest",
    zero_outside: bool = False,
) -> ResamplingPlan:
    """Plan the resampling from one grid to another with the same axes.

    Parameters
    ----------
    source, target
        The grids; exchange them for the inverse.
    order
        Spline order, 0 to 3, one for all or one each for z, y, x.
    boundary
        ``nearest`` repeats the edge voxel, ``mirror`` reflects about its centre.
    zero_outside
        Set voxels to 0 whose centre lies beyond the outer faces of the volume, as ITK does, whatever the boundary. A
        centre on the upper face, or within `TIE_TOLERANCE` of it, is outside.

    Raises
    ------
    ResamplingError
        If the grids do not share their axes, or an order or the boundary is not known.
    """
    orders = (order,) * 3 if isinstance(order, int) else tuple(order)
    if len(orders) != 3 or not set(orders) <= {0, 1, 2, 3} or boundary not in ("nearest", "mirror"):
        msg = f"order must be 0 to 3, once or for z y x, and boundary nearest or mirror, not {order!r} and {boundary!r}"
        raise ResamplingError(msg)
    return _planned(source, target, (orders[0], orders[1], orders[2]), boundary, zero_outside)


@lru_cache(maxsize=CACHED_PLANS)
def _planned(
    source: Grid, target: Grid, orders: tuple[int, int, int], boundary: Boundary, zero_outside: bool
) -> ResamplingPlan:
    if np.abs(source.direction - target.direction).max() > SHARED_AXES_TOLERANCE:
        msg = f"the grids do not share their axes:\n  source {source}\n  target {target}"
        raise ResamplingError(msg)
    steps = np.divide(target.spacing, source.spacing)
    starts = np.linalg.solve(source.affine[:3, :3], target.origin - source.origin)
    steps[np.abs(steps - 1) < ROUNDING], starts[np.abs(starts) < ROUNDING] = 1.0, 0.0
    z, y, x = (
        AxisPlan(n_in, n_out, float(step), float(start), axis_order, boundary)
        for n_in, n_out, step, start, axis_order in zip(source.shape, target.shape, steps, starts, orders, strict=True)
    )
    return ResamplingPlan((z, y, x), zero_outside)


def plan_half_pixel(
    shape_in: Sequence[int], shape_out: Sequence[int], order: int = 3, separate: int | None = None
) -> ResamplingPlan:
    """Plan the resampling to another number of voxels of the same extent; beyond the ends the edge is repeated.

    Ties are broken as in nnU-Net, without the tolerance that `plan_resampling` has.

    Parameters
    ----------
    shape_in, shape_out
        Voxels before and after, z y x.
    order
        Spline order, 0 to 3.
    separate
        An axis with order 0, from 0, such as `monai_mriprep.volume.half_pixel.separate_axis` finds; None for the same
        order along all.
    """
    z, y, x = (
        HalfPixelAxis.of(n_in, n_out, 0 if axis == separate else order)
        for axis, (n_in, n_out) in enumerate(zip(shape_in, shape_out, strict=True))
    )
    return ResamplingPlan((z, y, x))


def apply_plan(volume: torch.Tensor, plan: ResamplingPlan, clip: Clip = False) -> torch.Tensor:
    """Resample a volume.

    Parameters
    ----------
    volume
        ``(C, D, H, W)``, any real type, on any device; not written to.
    plan
        From `plan_resampling`.
    clip
        Limit each channel to the range it had; a cubic spline overshoots at edges. ``slice``: where one axis has order
        0, limit each slice across it to the range of the slice that it comes from; nnU-Net does.

    Returns
    -------
    torch.Tensor
        ``(C, *plan.shape_out)``. float32 and differentiable; of the type of `volume` where all orders are 0. If there
        is nothing to do and the type is right, it is `volume` itself.

    Raises
    ------
    ResamplingError
        If the shape of `volume` is not the plan's.
    """
    if volume.ndim != 4 or tuple(volume.shape[1:]) != plan.shape_in:
        msg = f"expected a volume of shape (C, {', '.join(map(str, plan.shape_in))}), not {tuple(volume.shape)}"
        raise ResamplingError(msg)
    result = _resampled(volume, plan, clip)
    return with_zeros_outside(result, plan) if plan.zero_outside else result


def is_finite(volume: torch.Tensor) -> bool:
    """Whether all values of ``(C, D, H, W)`` are finite; the zeros of a product make nan of others, far around them."""
    ends = (end for channel in volume.detach() for end in torch.aminmax(channel))
    return all(bool(torch.isfinite(end)) for end in ends)


def _resampled(volume: torch.Tensor, plan: ResamplingPlan, clip: Clip) -> torch.Tensor:
    """The resampled volume, extrapolated by the boundary rule."""
    if plan.is_nearest:
        return _pick(volume, plan)
    if plan.is_identity:
        return as_float32(volume)
    if clip == "slice" and plan.separate is not None:
        return _clipped_by_slice(volume, plan, plan.separate)
    floats = as_float32(volume)
    result: torch.Tensor = _Separable.apply(floats, plan, False)  # type: ignore[no-untyped-call]
    return _clipped(result, floats) if clip else result


def _clipped(result: torch.Tensor, volume: torch.Tensor, axis: int | None = None) -> torch.Tensor:
    """Limit each channel of `result`, or each slice across an axis, to the range of the same part of `volume`."""
    others = [dim for dim in range(1, 4) if axis is None or dim != axis + 1]
    low, high = (end(volume, dim=others, keepdim=True) for end in (torch.amin, torch.amax))
    return torch.clamp(result, low, high)


def _clipped_by_slice(volume: torch.Tensor, plan: ResamplingPlan, axis: int) -> torch.Tensor:
    """Resample within the slices that are picked, each once; limit each to its range; then pick."""
    picks, places = np.unique(nearest_indices(plan.axes[axis]), return_inverse=True)
    slices = as_float32(volume if len(picks) == volume.shape[axis + 1] else _take(volume, picks, axis + 1))
    kept = AxisPlan.kept(len(picks))
    z, y, x = (kept if a == axis else one for a, one in enumerate(plan.axes))
    within = replace(plan, axes=(z, y, x))
    result = slices
    if not within.is_identity:
        result = _clipped(_Separable.apply(slices, within, False), slices, axis)  # type: ignore[no-untyped-call]
    return result if np.array_equal(places, np.arange(len(picks))) else _take(result, places, axis + 1)


def with_zeros_outside(result: torch.Tensor, plan: ResamplingPlan) -> torch.Tensor:
    """Set what lies outside to 0, in place. The result is the input itself only if nothing lies outside."""
    for dim, axis in enumerate(plan.axes, start=1):
        outside = np.flatnonzero(axis.outside)
        if len(outside):
            result.index_fill_(dim, torch.from_numpy(outside).to(result.device), 0)
    return result


def _pick(volume: torch.Tensor, plan: ResamplingPlan) -> torch.Tensor:
    """Nearest neighbour, an index per axis. The axis that shrinks most goes first; of equals x, then y, then z."""
    for dim in sorted((2, 1, 0), key=lambda a: plan.axes[a].n_out / plan.axes[a].n_in):
        if not plan.axes[dim].is_identity:
            volume = _take(volume, nearest_indices(plan.axes[dim]), dim + 1)
    return volume


def _take(volume: torch.Tensor, indices: NDArray[np.int64], dim: int) -> torch.Tensor:
    """``index_select``, by numpy where possible, which is five times as fast on a CPU (measured)."""
    if volume.device.type == "cpu" and not volume.requires_grad and volume.dtype != torch.bfloat16:
        return torch.from_numpy(volume.numpy().take(indices, axis=dim))
    return volume.index_select(dim, torch.from_numpy(indices).to(volume.device))


class _Separable(torch.autograd.Function):
    """The spline is a linear map, so its gradient is the transposed map."""

    @staticmethod
    def forward(ctx: Any, volume: torch.Tensor, plan: ResamplingPlan, transposed: bool) -> torch.Tensor:
        ctx.plan, ctx.transposed = plan, transposed
        axes = [AxisBlocks.of(axis, transposed, volume.device) for axis in plan.axes]
        out = empty_float32((len(volume), *(axis.n_out for axis in axes)), volume.device)

        def work(threads: Threads) -> None:
            for source, result in zip(volume.detach().contiguous(), out, strict=True):
                resample_volume(source, axes, result, threads)

        with exact_products(volume.device):
            on_threads(volume.device, work)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return _Separable.apply(gradients[0], ctx.plan, not ctx.transposed), None, None  # type: ignore[no-untyped-call]
