"""Resampling to a part of a grid, from those voxels alone that it is made of.

A spline is local: its prefilter forgets, so an output is made of some 30 voxels along each axis. The rows of an axis'
matrix that belong to the part are cut out, with the columns that count in them; the rest is as for a whole volume.
Rows in another order flip the part, rows at other positions scale it: at no cost.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from threading import local

import numpy as np
import torch
from numpy.typing import NDArray

from monai_mriprep.volume.buffers import empty_float32
from monai_mriprep.volume.products import AxisBlocks, exact_products, multiplications, resample_volume
from monai_mriprep.volume.resample import ResamplingPlan
from monai_mriprep.volume.spline import AxisPlan, blocks_of_part, columns_of_part, nearest_indices
from monai_mriprep.volume.threads import CPU, Threads, on_threads

__all__ = ["needed_box", "resample_part"]

Box = Sequence[range]
"""Indices along z, y, x; a range may run backward."""

PART_ROWS = 32
"""Output rows of a block: as fast as the 48 of whole volumes, and a window of fewer slices (measured)."""

CHUNK_VOXELS = 1 << 18
"""Voxels that are float32 at once, of those that are given: a megabyte."""

MOST_BETWEEN = 1.5
"""How much larger than the part the array between two products may be."""


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
    """Nearest neighbour, slice by slice: a slice stays in cache, and no array is larger than the result."""
    array = part.numpy()
    result = np.empty((len(array), *map(len, wanted)), array.dtype)
    z, y, x = (_picks(*one) for one in zip(plan.axes, given, wanted, strict=True))
    for source, target in zip(array, result, strict=True):
        for k, index in enumerate(z):
            if k and index == z[k - 1]:
                target[k] = target[k - 1]
            else:
                source[index].take(y, axis=0).take(x, axis=1, out=target[k], mode="clip")
    return torch.from_numpy(result)


def _picks(axis: AxisPlan, given: range, rows: range) -> NDArray[np.int64]:
    """Of what is given, which indices are taken."""
    return np.arange(len(rows)) if axis.is_identity else nearest_indices(axis)[list(rows)] - given.start


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
    return AxisBlocks(n_in, len(rows), () if axis.is_identity else blocks_of_part(axis, rows, PART_ROWS))


def _resample(source: torch.Tensor, axes: Sequence[AxisBlocks], out: torch.Tensor, threads: Threads) -> None:
    """Resample ``(D, H, W)`` of any type into `out`: first through the slices where that saves products, else last."""
    through, rows, columns = axes
    first, last = multiplications(through, rows, columns)
    plane_in, plane_out = rows.n_in * columns.n_in, rows.n_out * columns.n_out
    if through.blocks and first < last and plane_in < MOST_BETWEEN * plane_out:
        _through_first(source, axes, out, threads)
    elif through.blocks:
        _through_last(source, axes, out, threads)
    else:
        _planes(source, rows, columns, out, threads)


def _through_first(source: torch.Tensor, axes: Sequence[AxisBlocks], out: torch.Tensor, threads: Threads) -> None:
    """A few rows of all slices at a time become float32."""
    through, rows, columns = axes
    slices = _SCRATCH.between((through.n_out, rows.n_in, columns.n_in))
    for begin, end in _chunks(rows.n_in, through.n_in * columns.n_in):
        chunk = _SCRATCH.as_float32(source[:, begin:end])
        resample_volume(chunk, (through, _kept(end - begin), _kept(columns.n_in)), slices[:, begin:end], threads)
    resample_volume(slices, (_kept(through.n_out), rows, columns), out, threads)


def _through_last(source: torch.Tensor, axes: Sequence[AxisBlocks], out: torch.Tensor, threads: Threads) -> None:
    """Of the slices that are resampled within, only those are kept that the next outputs are made of."""
    through, rows, columns = axes
    most = max(_length(block.columns) for block in through.blocks)
    window, held = _SCRATCH.between((most, rows.n_out, columns.n_out)), range(0)
    for block in sorted(through.blocks, key=lambda block: block.columns.start):
        wanted = range(block.columns.start, block.columns.stop)
        offset = wanted.start - held.start
        kept = max(len(held) - offset, 0)
        window[:kept] = window[offset : offset + kept].clone()
        _planes(source[wanted.start + kept : wanted.stop], rows, columns, window[kept : len(wanted)], threads)
        own = replace(block.at_top, columns=slice(0, len(wanted)))
        along = AxisBlocks(len(wanted), _length(block.rows), [own])
        resample_volume(
            window[: len(wanted)], (along, _kept(rows.n_out), _kept(columns.n_out)), out[block.rows], threads
        )
        held = wanted


def _planes(source: torch.Tensor, rows: AxisBlocks, columns: AxisBlocks, out: torch.Tensor, threads: Threads) -> None:
    """Resample ``(D, H, W)`` of any type within its slices; a few at a time become float32."""
    if not (rows.blocks or columns.blocks):
        out.copy_(source)
        return
    for begin, end in _chunks(len(source), rows.n_in * columns.n_in):
        chunk = _SCRATCH.as_float32(source[begin:end])
        resample_volume(chunk, (_kept(end - begin), rows, columns), out[begin:end], threads)


def _chunks(n: int, voxels: int) -> Iterator[tuple[int, int]]:
    """Ends of parts of an axis, whose planes have so many voxels."""
    length = max(1, CHUNK_VOXELS // voxels)
    return ((begin, min(begin + length, n)) for begin in range(0, n, length))


def _length(part: slice) -> int:
    return int(part.stop - part.start)


def _kept(n: int) -> AxisBlocks:
    return AxisBlocks(n, n, ())


class _Scratch(local):
    """Memory of a thread that is used again for each part: to get it anew would cost more than the products do."""

    def __init__(self) -> None:
        self._arrays: dict[str, torch.Tensor] = {}

    def between(self, shape: Sequence[int]) -> torch.Tensor:
        """A float32 array of any values."""
        return self._array("between", shape)

    def as_float32(self, source: torch.Tensor) -> torch.Tensor:
        """A copy."""
        return self._array("chunk", source.shape).copy_(source)

    def _array(self, name: str, shape: Sequence[int]) -> torch.Tensor:
        size = math.prod(shape)
        if name not in self._arrays or len(self._arrays[name]) < size:
            self._arrays.pop(name, None)
            self._arrays[name] = empty_float32((size,), CPU)
        return self._arrays[name][:size].view(*shape)


_SCRATCH = _Scratch()
