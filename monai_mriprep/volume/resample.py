"""Resampling between two grids that share their axes.

The tensor-product spline is three small banded matrices, ``out = Mz (My (Mx volume))``. They are applied block by
block: the through-plane product for a few output slices, then both in-plane products slice by slice. So a slice stays
in cache, and the intermediate array is a few slices, or smaller than the output. Each product is a single-threaded
matrix product of fixed shape; the slices are distributed over threads. So the result has the same bits for every number
of threads.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from threading import current_thread, main_thread
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from monai_mriprep.errors import ResamplingError
from monai_mriprep.types import Boundary, Clip, Shape
from monai_mriprep.volume.buffers import as_float32, cache_share, empty_float32
from monai_mriprep.volume.geometry import Grid
from monai_mriprep.volume.spline import AxisPlan, Block, banded_blocks, nearest_indices

__all__ = ["ResamplingPlan", "apply_plan", "plan_resampling"]

BLOCK_ROWS = 48
"""Output rows of a block. Measured on AVX-512: 48 is twice as fast as 24, and 64 is no faster."""

COLUMN_CHUNK = 8192
"""Voxels of a through-plane product: small enough for the second-level cache."""

TILE_VOXELS = 1 << 17
"""Voxels of a tile, some slices between the two in-plane products: half a megabyte."""

TILES_AT_ONCE = min(max(cache_share() >> 22, 1), 4)
"""Tiles of one product. Together they take an eighth of a processor's share of the largest cache, which also holds
their input and output. More tiles mean fewer calls, of 15 microseconds each. Measured with a share of 16 MB: four are 5
to 10 percent faster than one, and eight are no faster than four."""

FEW_ROWS = 3
"""With so few rows, or with one column, BLAS multiplies vectors, and the bits depend on their number and place."""

SLAB_VOXELS = 1 << 23
"""Voxels of the slices between the through-plane and the in-plane products, or as many as the output has."""

ROUNDING = 1e-10
"""A step this close to 1 is 1, and a start this close to 0 is 0: the difference is the rounding of affines."""

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
    return _with_zeros_outside(result, plan) if plan.zero_outside else result


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
    kept = AxisPlan(len(picks), len(picks), 1.0, 0.0, 0)
    z, y, x = (kept if a == axis else one for a, one in enumerate(plan.axes))
    within = replace(plan, axes=(z, y, x))
    result = slices
    if not within.is_identity:
        result = _clipped(_Separable.apply(slices, within, False), slices, axis)  # type: ignore[no-untyped-call]
    return result if np.array_equal(places, np.arange(len(picks))) else _take(result, places, axis + 1)


def _with_zeros_outside(result: torch.Tensor, plan: ResamplingPlan) -> torch.Tensor:
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
        axes = [_Axis.of(axis, transposed, volume.device) for axis in plan.axes]
        out = empty_float32((len(volume), *(axis.n_out for axis in axes)), volume.device)
        with _exact_products(volume.device), _threads(volume.device) as threads:
            for source, result in zip(volume.detach().contiguous(), out, strict=True):
                _resample_volume(source, axes, result, threads)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return _Separable.apply(gradients[0], ctx.plan, not ctx.transposed), None, None  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class _Axis:
    """One axis, prepared for products: its blocks; none if there is nothing to do."""

    n_in: int
    n_out: int
    blocks: Sequence[Block]

    @classmethod
    def of(cls, plan: AxisPlan, transposed: bool, device: torch.device) -> _Axis:
        sizes = (plan.n_out, plan.n_in) if transposed else (plan.n_in, plan.n_out)
        return cls(*sizes, () if plan.is_identity else banded_blocks(plan, BLOCK_ROWS, transposed, device))

    @property
    def taps(self) -> int:
        """Multiplications for one output voxel."""
        return max((block.columns.stop - block.columns.start for block in self.blocks), default=0)


@dataclass(frozen=True)
class _Threads:
    """Distributes a loop over threads. Without a pool everything runs in the calling thread."""

    count: int
    pool: Executor | None

    def share(self, n_items: int, work: Callable[[range], None]) -> None:
        """Call `work` with ranges that together cover ``range(n_items)``."""
        shares = [range(i, n_items, self.count) for i in range(self.count)]
        if self.pool is None:
            work(shares[0])
            return
        inference = torch.is_inference_mode_enabled()  # each thread has its own

        def work_alike(indices: range) -> None:
            with torch.inference_mode(inference):
                work(indices)

        list(self.pool.map(work_alike, shares))


@contextmanager
def _threads(device: torch.device) -> Iterator[_Threads]:
    """As many threads as torch would use here; inside each, torch itself uses one.

    A thread that ends gives memory back to MKL, under a lock, a moment after Python has joined it. A process that is
    forked in that moment inherits the lock, and its first product of matrices never returns. So only the main thread
    multiplies by itself; every other caller, such as a thread that fills a `CacheDataset`, may end before a fork.
    """
    count = torch.get_num_threads() if device.type == "cpu" else 1
    if device.type != "cpu" or (count == 1 and current_thread() is main_thread()):
        yield _Threads(1, None)
        return
    try:
        with _lent_pool(count) as pool:
            yield _Threads(count, pool)
    finally:
        torch.set_num_threads(count)  # the initializers have changed the default of later threads


_IDLE_POOLS: defaultdict[int, list[Executor]] = defaultdict(list)
"""By their number of threads, which never end: see `_threads`."""

os.register_at_fork(after_in_child=_IDLE_POOLS.clear)  # the threads of a parent do not exist in its child


@contextmanager
def _lent_pool(count: int) -> Iterator[Executor]:
    """Threads for one call; there are as many pools as calls have run at once."""
    idle = _IDLE_POOLS[count]
    try:
        pool = idle.pop()
    except IndexError:
        pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    finally:
        idle.append(pool)


@contextmanager
def _exact_products(device: torch.device) -> Iterator[None]:
    """Products in float32, without autocast, TF32 or bfloat16, whatever the training loop has switched on."""
    with torch.autocast(device.type, enabled=False):
        restore = _switch_to_full_precision()
        try:
            yield
        finally:
            restore()


def _switch_to_full_precision() -> Callable[[], None]:
    """Switch to full precision, and return a function that switches back.

    PyTorch has two sets of switches, and the older one raises where the newer (2.9 and later) has been used.
    """
    try:
        precision = torch.get_float32_matmul_precision()
    except RuntimeError:
        backends: Any = torch.backends
        switches = [backends.cuda.matmul, backends.mkldnn.matmul]
        before = [switch.fp32_precision for switch in switches]
        _set_precision(switches, ["ieee"] * len(switches))
        return partial(_set_precision, switches, before)
    torch.set_float32_matmul_precision("highest")
    return partial(torch.set_float32_matmul_precision, precision)


def _set_precision(switches: Sequence[Any], values: Sequence[str]) -> None:
    for switch, value in zip(switches, values, strict=True):
        switch.fp32_precision = value


def _resample_volume(volume: torch.Tensor, axes: Sequence[_Axis], out: torch.Tensor, threads: _Threads) -> None:
    """Resample ``(D, H, W)`` into `out`: through-plane first, or last where that is less work."""
    through, rows, columns = axes
    if not through.blocks:
        _in_plane(volume, rows, columns, out, threads)
    elif _through_plane_last(through, rows, columns):
        planes = volume
        if rows.blocks or columns.blocks:
            planes = empty_float32((through.n_in, rows.n_out, columns.n_out), volume.device)
            _in_plane(volume, rows, columns, planes, threads)
        for block in through.blocks:
            _through_plane(planes, block, out[block.rows], threads)
    else:
        depth = max(1, min(BLOCK_ROWS, max(out.numel(), SLAB_VOXELS) // volume[0].numel()))
        slab = empty_float32((depth, rows.n_in, columns.n_in), volume.device)
        for part in (part for block in through.blocks for part in block.parts(depth)):
            target = out[part.rows]
            _through_plane(volume, part, slab[: len(target)], threads)
            _in_plane(slab[: len(target)], rows, columns, target, threads)


def _through_plane_last(through: _Axis, rows: _Axis, columns: _Axis) -> bool:
    """Whether that saves multiplications. Never if the intermediate array would be larger than the output."""
    if not (rows.blocks or columns.blocks):
        return True
    plane_in, plane_out = rows.n_in * columns.n_in, rows.n_out * columns.n_out
    plane_cost = rows.n_in * columns.n_out * columns.taps + plane_out * rows.taps
    first = through.n_out * (plane_in * through.taps + plane_cost)
    last = through.n_in * plane_cost + through.n_out * plane_out * through.taps
    return through.n_in < through.n_out and last < first


def _through_plane(volume: torch.Tensor, block: Block, out: torch.Tensor, threads: _Threads) -> None:
    source, result = volume[block.columns].flatten(1), out.flatten(1)
    n_voxels = source.shape[1]
    chunk = COLUMN_CHUNK if volume.device.type == "cpu" else n_voxels

    def work(indices: range) -> None:
        for index in indices:
            part = slice(index * chunk, (index + 1) * chunk)
            torch.mm(block.weights, source[:, part], out=result[:, part])

    threads.share(-(-n_voxels // chunk), work)


def _in_plane(volume: torch.Tensor, rows: _Axis, columns: _Axis, out: torch.Tensor, threads: _Threads) -> None:
    """Both in-plane products, a tile of slices at a time; the axis that shrinks more goes first."""
    columns_first = columns.n_out * rows.n_in <= rows.n_out * columns.n_in
    height, width = (rows.n_in, columns.n_out) if columns_first else (rows.n_out, columns.n_in)
    products = [(_product_of_rows, rows), (_product_of_columns, columns)]
    ordered = reversed(products) if columns_first else products
    first, *second = [(product, axis.blocks) for product, axis in ordered if axis.blocks]
    depth = _slices_at_once(height, width, columns) if volume.device.type == "cpu" else len(volume)

    def work(indices: range) -> None:
        buffer = volume.new_empty((depth, height, width))
        for index in indices:
            source, result = (array[index * depth : (index + 1) * depth] for array in (volume, out))
            product, blocks = first
            between = buffer[: len(source)] if second else result
            product(blocks, source, between)
            for product, blocks in second:
                product(blocks, between, result)

    threads.share(-(-len(volume) // depth), work)


def _slices_at_once(height: int, width: int, columns: _Axis) -> int:
    """Slices of several tiles; of one where the number would change bits, which must not depend on the machine."""
    has_vectors = height <= FEW_ROWS or columns.n_out % BLOCK_ROWS == 1
    return max(1, TILE_VOXELS // (height * width)) * (1 if has_vectors else TILES_AT_ONCE)


def _product_of_rows(blocks: Sequence[Block], source: torch.Tensor, out: torch.Tensor) -> None:
    """Multiply each slice of ``(D, H, W)`` from the left."""
    for block in blocks:
        slices, results = source[:, block.columns], out[:, block.rows]
        if source.device.type != "cpu":
            torch.matmul(block.weights, slices, out=results)
            continue
        for slice_, result in zip(slices.unbind(), results.unbind(), strict=True):
            torch.mm(block.weights, slice_, out=result)


def _product_of_columns(blocks: Sequence[Block], source: torch.Tensor, out: torch.Tensor) -> None:
    """Multiply all rows of ``(D, H, W)`` from the right, at once."""
    source, out = source.flatten(0, 1), out.flatten(0, 1)
    for block in blocks:
        torch.mm(source[:, block.columns], block.transposed, out=out[:, block.rows])
