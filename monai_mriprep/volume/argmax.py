"""Class numbers of resampled scores, without the resampled scores.

A network's scores, resampled to the grid of a scan, are far larger than all else: one volume of floats for each class.
So the output is cut into tiles of a few slices and rows, which stay in cache. In a tile one channel after the other is
resampled, and the number of the highest so far is kept. The products are those of `monai_mriprep.volume.products` with
fewer rows at a time. The threads share the tiles, so the result has the same bits for every number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from monai_mriprep.errors import ResamplingError
from monai_mriprep.volume.products import (
    BLOCK_ROWS,
    AxisBlocks,
    exact_products,
    multiply_slices,
    order_of_axes,
    product_of_columns,
)
from monai_mriprep.volume.resample import ResamplingPlan, apply_plan, with_zeros_outside
from monai_mriprep.volume.spline import FEW_ROWS, AxisPlan, Block, banded_blocks
from monai_mriprep.volume.threads import share_out

__all__ = ["HALF_CHANCE", "highest_channel", "resample_argmax"]

HALF_CHANCE = 3 * 2.0**-25
"""The highest score whose sigmoid, in float32, is not more than 0.5: ``thresholds`` of regions."""

MOST_THREADS = 4
"""Each takes some megabytes, and between products it waits for the interpreter's lock."""

Scores = torch.Tensor | NDArray[Any]


def resample_argmax(
    logits: Scores,
    plan: ResamplingPlan,
    slab: int = 8,
    round_to: torch.dtype | None = None,
    thresholds: Sequence[float] | None = None,
) -> torch.Tensor:
    """The class of each voxel of resampled scores.

    Memory is taken for the result and, in each of up to four threads, for some tiles of ``slab * 48`` rows: in all some
    30 MiB.

    Parameters
    ----------
    logits
        Scores, ``(C, D, H, W)``, finite floats of any strides; not written to.
    plan
        From `plan_resampling` or `plan_half_pixel`. Axes of order 0 only pick voxels, so they pick class numbers.
    slab
        Output slices of a tile, at least; fewer than twice as many.
    round_to
        Round each resampled value to this type before it is compared: ``torch.float16`` does as nnU-Net with scores in
        half precision, so that what is equal to it is equal here.
    thresholds
        For regions, which may lie within each other: one for each channel. A voxel takes the number, counted from 1, of
        the last channel that exceeds its threshold, and 0 where none does. nnU-Net's are `HALF_CHANCE`.

    Returns
    -------
    torch.Tensor
        ``plan.shape_out``, uint8, or int16 where the numbers need it. Without `thresholds` the number, counted from 0,
        of the highest channel, of equals the first. Where the plan sets voxels outside to zero, it is 0 there.

    Raises
    ------
    ResamplingError
        If the shape of `logits` is not the plan's, or the thresholds are not as many as the channels.

    Notes
    -----
    Interpolated linearly, values have the bits that `apply_plan` gives them. The last digit may differ in volumes of a
    few voxels along an axis, and, of a cubic spline, in the last columns where they are few beyond a multiple of 48.
    There the class may be another one where two channels are equal but for that digit.
    """
    _require_fit(logits, plan, thresholds)
    device = logits.device if isinstance(logits, torch.Tensor) else torch.device("cpu")
    within, picks = _apart(plan)
    tiles = list(_tiles(plan, within, slab, device))
    labels = torch.empty(within.shape_out, dtype=_type_of(len(logits) + (thresholds is not None)), device=device)

    def work(indices: Iterable[int]) -> None:
        for tile in (tiles[index] for index in indices):
            channels = tile.channels(logits)
            if round_to is not None:
                channels = (values.copy_(values.to(round_to)) for values in channels)
            count = len(logits)
            labels[tile.made] = (
                highest_channel(channels, count) if thresholds is None else _last_over(thresholds, channels)
            )

    with exact_products(device):
        share_out(len(tiles), work, device, MOST_THREADS)
    picked = apply_plan(labels[None], picks)
    return (with_zeros_outside(picked, plan) if plan.zero_outside else picked)[0]


def _require_fit(logits: Scores, plan: ResamplingPlan, thresholds: Sequence[float] | None) -> None:
    if tuple(logits.shape[1:]) != plan.shape_in or not len(logits):
        msg = f"expected scores of shape (C, {', '.join(map(str, plan.shape_in))}), not {tuple(logits.shape)}"
        raise ResamplingError(msg)
    if thresholds is not None and len(thresholds) != len(logits):
        msg = f"{len(thresholds)} thresholds for {len(logits)} channels; each channel has one"
        raise ResamplingError(msg)


def _apart(plan: ResamplingPlan) -> tuple[ResamplingPlan, ResamplingPlan]:
    """Two plans: the first computes values along some axes, the second picks them along the others."""
    within, picks = (
        [axis if (axis.order == 0) is picking else AxisPlan.kept(n) for axis, n in zip(plan.axes, shape, strict=True)]
        for picking, shape in ((False, plan.shape_in), (True, plan.shape_out))
    )
    return ResamplingPlan((within[0], within[1], within[2])), ResamplingPlan((picks[0], picks[1], picks[2]))


Product = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class _Tile:
    """A part of the output.

    Parameters
    ----------
    made
        Its slices and rows in the output.
    needed
        Those of the input that they are made of.
    products
        In their order; what makes one of the other.
    """

    made: tuple[slice, slice]
    needed: tuple[slice, slice]
    products: tuple[Product, ...]

    def channels(self, logits: Scores) -> Iterator[torch.Tensor]:
        """The resampled values of each channel, one after the other."""
        for channel in logits:
            values = _floats(channel[self.needed])
            for product in self.products:
                values = product(values)
            yield values


def _floats(part: Scores) -> torch.Tensor:
    """A copy in float32, contiguous; of an array in any byte order, which may be read-only or run backwards."""
    tensor = part if isinstance(part, torch.Tensor) else torch.from_numpy(np.array(part, part.dtype.newbyteorder("=")))
    return tensor.detach().to(torch.float32, copy=True, memory_format=torch.contiguous_format)


def _tiles(plan: ResamplingPlan, within: ResamplingPlan, slab: int, device: torch.device) -> Iterator[_Tile]:
    """All parts of the output of `within`, with products in the order that `apply_plan` has for `plan`."""
    order = order_of_axes([AxisBlocks.of(axis, False, device) for axis in plan.axes])
    z, y, x = within.axes
    across = () if x.is_identity else (partial(_along_columns, banded_blocks(x, BLOCK_ROWS, device=device)),)
    for slices in _parts(z, max(slab, FEW_ROWS + 1), device):
        for rows in _parts(y, BLOCK_ROWS, device):
            products = (slices.products(_along_slices), rows.products(_along_rows), across)
            ordered = tuple(product for axis in order for product in products[axis])
            yield _Tile((slices.made, rows.made), (slices.needed, rows.needed), ordered)


@dataclass(frozen=True)
class _Part:
    """Some of the outputs along an axis, and what they are made of; no weights where they are the inputs themselves."""

    made: slice
    needed: slice
    weights: torch.Tensor | None = None

    def products(self, multiply: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> tuple[Product, ...]:
        """One product, or none."""
        return () if self.weights is None else (partial(multiply, self.weights),)


def _parts(axis: AxisPlan, size: int, device: torch.device) -> list[_Part]:
    """The outputs along an axis, cut within each block of `apply_plan` into parts of `size` or a little more."""
    if axis.is_identity:
        return [_Part(rows, rows) for rows in _cut(slice(0, axis.n_out), size)]
    blocks = banded_blocks(axis, BLOCK_ROWS, device=device)
    return [_part(block, rows) for block in blocks for rows in _cut(block.rows, size)]


def _cut(whole: slice, size: int) -> Iterator[slice]:
    """Equal parts of at least `size`; the whole where it is smaller."""
    count = max(1, (whole.stop - whole.start) // size)
    edges = np.linspace(whole.start, whole.stop, count + 1).astype(int).tolist()
    return map(slice, edges[:-1], edges[1:])


def _part(block: Block, rows: slice) -> _Part:
    """Some rows of a block, without the columns that they do not use."""
    weights = block.weights[rows.start - block.rows.start : rows.stop - block.rows.start]
    used = weights.any(dim=0).nonzero().flatten().tolist()
    first, last = used[0], used[-1] + 1
    needed = slice(block.columns.start + first, block.columns.start + last)
    return _Part(rows, needed, weights[:, first:last].contiguous())


def _along_slices(weights: torch.Tensor, volume: torch.Tensor) -> torch.Tensor:
    return torch.mm(weights, volume.flatten(1)).view(len(weights), *volume.shape[1:])


def _along_rows(weights: torch.Tensor, volume: torch.Tensor) -> torch.Tensor:
    out = volume.new_empty((len(volume), len(weights), volume.shape[2]))
    multiply_slices(weights, volume, out)
    return out


def _along_columns(blocks: Sequence[Block], volume: torch.Tensor) -> torch.Tensor:
    out = volume.new_empty((*volume.shape[:2], blocks[-1].rows.stop))
    product_of_columns(blocks, volume, out)
    return out


def highest_channel(channels: Iterable[torch.Tensor], count: int) -> torch.Tensor:
    """The number of the highest channel, of equals the first.

    Parameters
    ----------
    channels
        One after the other, of one shape and type; not written to.
    count
        Their number.

    Returns
    -------
    torch.Tensor
        Of their shape; uint8, or int16 of more than 256 channels.
    """
    others = iter(channels)
    highest = next(others).clone()
    labels = torch.zeros_like(highest, dtype=_type_of(count))
    for number, values in enumerate(others, 1):
        _put(number, values > highest, labels)
        torch.maximum(highest, values, out=highest)
    return labels


def _last_over(thresholds: Sequence[float], channels: Iterator[torch.Tensor]) -> torch.Tensor:
    """The number, from 1, of the last channel that exceeds its threshold."""
    over = (values > threshold for values, threshold in zip(channels, thresholds, strict=True))
    first = next(over)
    labels = first.to(_type_of(len(thresholds) + 1))
    for number, where in enumerate(over, 2):
        _put(number, where, labels)
    return labels


def _put(number: int, where: torch.Tensor, labels: torch.Tensor) -> None:
    """Write a number that is greater than all before it: so fifty times as fast as by a mask (measured)."""
    torch.maximum(labels, where.to(labels.dtype).mul_(number), out=labels)


def _type_of(count: int) -> torch.dtype:
    """Of the numbers from 0 to one less than `count`."""
    return torch.uint8 if count <= 256 else torch.int16
