"""Resampling to a part of a grid, from those voxels alone that it is made of.

A spline is local: its prefilter forgets, so an output is made of some 30 voxels along each axis. The rows of an axis'
matrix that belong to the part are cut out, with the columns that count in them; the rest is as for a whole volume.
Rows in another order flip the part, rows at other positions scale it: at no cost.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from monai_mriprep.volume.buffers import empty_float32
from monai_mriprep.volume.products import BLOCK_ROWS, AxisBlocks, exact_products, resample_volume
from monai_mriprep.volume.resample import ResamplingPlan
from monai_mriprep.volume.spline import AxisPlan, blocks_of_part, columns_of_part, nearest_indices
from monai_mriprep.volume.threads import Threads, on_threads

__all__ = ["needed_box", "resample_part"]

Box = Sequence[range]
"""Indices along z, y, x; a range may run backward."""

CHUNK_VOXELS = 1 << 19
"""Voxels that are float32 at once, of those that are given in another type: two megabytes."""


def needed_box(plan: ResamplingPlan, wanted: Box) -> tuple[range, range, range]:
    """Which voxels before the resampling those of a box after it are made of, z y x.

    Along an axis that stays as it is they are those of `wanted`, in their order; along others they run forward.
    """
    z, y, x = (columns_of_part(axis, rows) for axis, rows in zip(plan.axes, wanted, strict=True))
    return z, y, x


def resample_part(part: torch.Tensor, plan: ResamplingPlan, given: Box, wanted: Box) -> torch.Tensor:
    """What `monai_mriprep.volume.resample.apply_plan` puts into a box, but for the rounding of float32 sums.

    Parameters
    ----------
    part
        ``(C, *lengths of given)``, any real type, on the CPU; not written to. It may be a view of a larger array.
    plan
        Of the whole volume.
    given
        From `needed_box`, for `wanted`.
    wanted
        Indices of outputs, z y x; a range that runs backward flips the axis.

    Returns
    -------
    torch.Tensor
        ``(C, *lengths of wanted)``, contiguous, no view of `part`. float32; of the type of `part` where all orders
        are 0.
    """
    result = _picked(part, plan, given, wanted) if plan.is_nearest else _interpolated(part, plan, wanted)
    if plan.zero_outside:
        for dim, (axis, rows) in enumerate(zip(plan.axes, wanted, strict=True), start=1):
            result.index_fill_(dim, torch.from_numpy(np.flatnonzero(axis.outside[list(rows)])), 0)
    return result


def _picked(part: torch.Tensor, plan: ResamplingPlan, given: Box, wanted: Box) -> torch.Tensor:
    """Nearest neighbour; the axis that shrinks most goes first."""
    array = part.numpy()
    for axis in sorted((2, 1, 0), key=lambda a: len(wanted[a]) / len(given[a])):
        if not plan.axes[axis].is_identity:
            array = array.take(_picks(plan.axes[axis], given[axis], wanted[axis]), axis=axis + 1)
    return torch.from_numpy(array.copy() if np.shares_memory(array, part.numpy()) else np.ascontiguousarray(array))


def _picks(axis: AxisPlan, given: range, rows: range) -> NDArray[np.int64]:
    return nearest_indices(axis)[list(rows)] - given.start


def _interpolated(part: torch.Tensor, plan: ResamplingPlan, wanted: Box) -> torch.Tensor:
    out = empty_float32((len(part), *map(len, wanted)), part.device)
    axes = [_blocks_of(axis, rows, n_in) for axis, rows, n_in in zip(plan.axes, wanted, part.shape[1:], strict=True)]

    def work(threads: Threads) -> None:
        for source, result in zip(part, out, strict=True):
            _resample(source, axes, result, threads)

    with exact_products(part.device):
        on_threads(part.device, work, most=1)
    return out


def _blocks_of(axis: AxisPlan, rows: range, n_in: int) -> AxisBlocks:
    return AxisBlocks(n_in, len(rows), () if axis.is_identity else blocks_of_part(axis, rows, BLOCK_ROWS))


def _resample(source: torch.Tensor, axes: Sequence[AxisBlocks], out: torch.Tensor, threads: Threads) -> None:
    """Resample ``(D, H, W)`` into `out`: first within slices or through them, whatever leaves the smaller array."""
    through, rows, columns = axes
    voxels_within = through.n_in * rows.n_out * columns.n_out
    voxels_across = through.n_out * rows.n_in * columns.n_in
    stages = [(0, [_kept(through.n_in), rows, columns]), (1, [through, _kept(rows.n_in), _kept(columns.n_in)])]
    if voxels_within <= voxels_across:
        first, second = stages[0], [through, _kept(rows.n_out), _kept(columns.n_out)]
    else:
        first, second = stages[1], [_kept(through.n_out), rows, columns]
    if not any(axis.blocks for axis in second):
        _by_chunks(source, *first, out, threads)
        return
    between = empty_float32([axis.n_in for axis in second], source.device)
    _by_chunks(source, *first, between, threads)
    resample_volume(between, second, out, threads)


def _kept(n: int) -> AxisBlocks:
    return AxisBlocks(n, n, ())


def _by_chunks(source: torch.Tensor, dim: int, axes: Sequence[AxisBlocks], out: torch.Tensor, threads: Threads) -> None:
    """Resample ``(D, H, W)`` of any type along axes other than `dim`, which is cut into chunks that become float32."""
    n = source.shape[dim]
    length = min(n, max(1, CHUNK_VOXELS * n // source.numel()))
    is_copy = not any(axis.blocks for axis in axes)
    for begin in range(0, n, length):
        chunk, result = (array.narrow(dim, begin, min(length, n - begin)) for array in (source, out))
        if is_copy:
            result.copy_(chunk)
            continue
        own = [AxisBlocks(chunk.shape[dim], chunk.shape[dim], ()) if a == dim else axis for a, axis in enumerate(axes)]
        resample_volume(empty_float32(chunk.shape, chunk.device).copy_(chunk), own, result, threads)
