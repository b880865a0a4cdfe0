"""The products of matrices that resample a volume.

The tensor-product spline is three small banded matrices, ``out = Mz (My (Mx volume))``. They are applied block by
block: the through-plane product for a few output slices, then both in-plane products slice by slice. So a slice stays
in cache, and the intermediate array is a few slices, or smaller than the output. Each product is a single-threaded
matrix product; a thread makes a part of the output from the first product to the last. A matrix may be cut into smaller
parts, and several products may be one call, where neither changes a bit. So the result has the same bits for every
number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from monai_mriprep.volume.buffers import cache_share, empty_float32
from monai_mriprep.volume.spline import FEW_ROWS, AxisPlan, Block, banded_blocks
from monai_mriprep.volume.threads import ALONE, Threads

__all__ = [
    "BLOCK_ROWS",
    "AxisBlocks",
    "exact_products",
    "multiplications",
    "multiply_slices",
    "order_of_axes",
    "product_of_columns",
    "resample_volume",
]

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

ALIGNED = 12
"""Of a product with fewer columns the bits depend on where in memory it is written, and beside what (measured)."""

WIDE = 50
"""With so many columns a product has the same bits however its rows are cut into parts of more than `FEW_ROWS`, and
whether it is one of many in a call or alone: torch computes those of less than 400 multiplications itself."""

SLAB_VOXELS = 1 << 23
"""Voxels of the slices between the through-plane and the in-plane products, or as many as the output has."""


@dataclass(frozen=True)
class AxisBlocks:
    """One axis, prepared for products: its blocks; none if there is nothing to do."""

    n_in: int
    n_out: int
    blocks: Sequence[Block]

    @classmethod
    def of(cls, plan: AxisPlan, transposed: bool, device: torch.device) -> AxisBlocks:
        """The blocks of the axis's matrix, or of its transposed matrix."""
        sizes = (plan.n_out, plan.n_in) if transposed else (plan.n_in, plan.n_out)
        return cls(*sizes, () if plan.is_identity else banded_blocks(plan, BLOCK_ROWS, transposed, device))

    @property
    def taps(self) -> int:
        """Multiplications for one output voxel."""
        return max((block.columns.stop - block.columns.start for block in self.blocks), default=0)


@contextmanager
def exact_products(device: torch.device) -> Iterator[None]:
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


def resample_volume(volume: torch.Tensor, axes: Sequence[AxisBlocks], out: torch.Tensor, threads: Threads) -> None:
    """Resample ``(D, H, W)`` into `out`: through-plane first, or last where that is less work."""
    through, rows, columns = axes
    if not through.blocks:
        _in_plane(volume, rows, columns, out, threads)
    elif not _through_plane_last(through, rows, columns):
        _some_slices_at_a_time(volume, axes, out, threads)
    elif _rows_stand_alone(through, rows, columns) and volume.device.type == "cpu":
        _some_rows_at_a_time(volume, axes, out, threads)
    else:
        planes = volume
        if rows.blocks or columns.blocks:
            planes = empty_float32((through.n_in, rows.n_out, columns.n_out), volume.device)
            _in_plane(volume, rows, columns, planes, threads)
        _through_plane(planes, _cut(through.blocks, planes[0].numel(), threads), out, threads)


def _some_slices_at_a_time(
    volume: torch.Tensor, axes: Sequence[AxisBlocks], out: torch.Tensor, threads: Threads
) -> None:
    """Each thread makes some slices of the output, from the first product to the last."""
    through, rows, columns = axes
    plane = volume[0].numel()
    depth = max(1, min(BLOCK_ROWS, max(out.numel(), SLAB_VOXELS) // plane))
    blocks = [part for block in through.blocks for part in block.parts(depth)]
    tile = _slices_at_once(rows, columns)
    parts = blocks if _has_vectors(rows, columns) else _cut(blocks, plane, threads, tile)

    def work(indices: Iterable[int]) -> None:
        slab = empty_float32((max(len(part.weights) for part in parts), rows.n_in, columns.n_in), volume.device)
        for part in (parts[index] for index in indices):
            slices = slab[: len(part.weights)]
            _through_plane(volume, [part.at_top], slices, ALONE)
            _in_plane(slices, rows, columns, out[part.rows], ALONE)

    threads.share(len(parts), work)


def _rows_stand_alone(through: AxisBlocks, rows: AxisBlocks, columns: AxisBlocks) -> bool:
    """Whether some rows of all slices can be made apart from the others, with the same bits."""
    wide = min(columns.n_in, columns.n_out) >= WIDE and _is_wide(rows.n_out * columns.n_out)
    few = min(through.n_in, rows.n_out, (through.n_out - 1) % BLOCK_ROWS + 1) <= FEW_ROWS
    is_aligned = not columns.blocks or (columns.n_out - 1) % BLOCK_ROWS + 1 >= ALIGNED
    return bool(rows.blocks) and wide and not few and is_aligned and not _columns_first(rows, columns)


def _some_rows_at_a_time(volume: torch.Tensor, axes: Sequence[AxisBlocks], out: torch.Tensor, threads: Threads) -> None:
    """Each thread makes some rows of all slices, from the first product to the last."""
    through, rows, columns = axes
    parts, z_parts = (_cut(axis.blocks, WIDE, threads) for axis in (rows, through))
    most = through.n_in * max(len(part.weights) for part in parts)

    def work(indices: Iterable[int]) -> None:
        buffers = [volume.new_empty((most, n)) for n in (columns.n_in, columns.n_out)]
        for part in (parts[index] for index in indices):
            n_rows = len(part.weights)
            first, second = (buffer[: through.n_in * n_rows].unflatten(0, (-1, n_rows)) for buffer in buffers)
            _product_of_rows([part.at_top], volume, first)
            if columns.blocks:
                product_of_columns(columns.blocks, first, second)
            source, result = (second if columns.blocks else first).flatten(1), out[:, part.rows].flatten(1)
            for z_part in z_parts:
                torch.mm(z_part.weights, source[z_part.columns], out=result[z_part.rows])

    threads.share(len(parts), work)


def order_of_axes(axes: Sequence[AxisBlocks]) -> tuple[int, int, int]:
    """In which order `resample_volume` multiplies along z, y, x, each axis by its number from 0."""
    through, rows, columns = axes
    in_plane = (2, 1) if _columns_first(rows, columns) else (1, 2)
    return (*in_plane, 0) if _through_plane_last(through, rows, columns) else (0, *in_plane)


def _columns_first(rows: AxisBlocks, columns: AxisBlocks) -> bool:
    return columns.n_out * rows.n_in <= rows.n_out * columns.n_in


def _through_plane_last(through: AxisBlocks, rows: AxisBlocks, columns: AxisBlocks) -> bool:
    """Whether that saves multiplications. Never if the intermediate array would be larger than the output."""
    if not (rows.blocks or columns.blocks):
        return True
    first, last = multiplications(through, rows, columns)
    return through.n_in < through.n_out and last < first


def multiplications(through: AxisBlocks, rows: AxisBlocks, columns: AxisBlocks) -> tuple[int, int]:
    """How many it takes through the slices first, and how many within the slices first."""
    plane_in, plane_out = rows.n_in * columns.n_in, rows.n_out * columns.n_out
    in_plane = rows.n_in * columns.n_out * columns.taps + plane_out * rows.taps
    first = through.n_out * (plane_in * through.taps + in_plane)
    last = through.n_in * in_plane + through.n_out * plane_out * through.taps
    return first, last


def _through_plane(volume: torch.Tensor, blocks: Sequence[Block], out: torch.Tensor, threads: Threads) -> None:
    source, result = volume.flatten(1), out.flatten(1)
    n_voxels = source.shape[1]
    chunk = COLUMN_CHUNK if volume.device.type == "cpu" else n_voxels

    def work(indices: Iterable[int]) -> None:
        for index in indices:
            part = slice(index * chunk, (index + 1) * chunk)
            for block in blocks:
                torch.mm(block.weights, source[block.columns, part], out=result[block.rows, part])

    threads.share(-(-n_voxels // chunk), work)


def _in_plane(volume: torch.Tensor, rows: AxisBlocks, columns: AxisBlocks, out: torch.Tensor, threads: Threads) -> None:
    """Both in-plane products, a tile of slices at a time; the axis that shrinks more goes first."""
    columns_first = _columns_first(rows, columns)
    height, width = (rows.n_in, columns.n_out) if columns_first else (rows.n_out, columns.n_in)
    products = [(_product_of_rows, _cut(rows.blocks, width, ALONE)), (product_of_columns, columns.blocks)]
    first, *second = [(product, blocks) for product, blocks in products[:: -1 if columns_first else 1] if blocks]
    depth = _slices_at_once(rows, columns) if volume.device.type == "cpu" else len(volume)

    def work(indices: Iterable[int]) -> None:
        buffer = volume.new_empty((depth, height, width))
        for index in indices:
            source, result = (array[index * depth : (index + 1) * depth] for array in (volume, out))
            product, blocks = first
            between = buffer[: len(source)] if second else result
            product(blocks, source, between)
            for product, blocks in second:
                product(blocks, between, result)

    threads.share(-(-len(volume) // depth), work)


def _slices_at_once(rows: AxisBlocks, columns: AxisBlocks) -> int:
    """Slices of several tiles; of one where the number would change bits, which must not depend on the machine."""
    between = rows.n_in * columns.n_out if _columns_first(rows, columns) else rows.n_out * columns.n_in
    return max(1, TILE_VOXELS // between) * (1 if _has_vectors(rows, columns) else TILES_AT_ONCE)


def _has_vectors(rows: AxisBlocks, columns: AxisBlocks) -> bool:
    """Whether the bits depend on the number of slices in a product."""
    height = rows.n_in if _columns_first(rows, columns) else rows.n_out
    return height <= FEW_ROWS or columns.n_out % BLOCK_ROWS == 1


def _cut(blocks: Sequence[Block], width: int, threads: Threads, step: int = 1) -> Sequence[Block]:
    """The blocks in halves, of fewer multiplications, or quarters if there are many threads; whole if bits change."""
    if not _is_wide(width) or any(block.weights.device.type != "cpu" for block in blocks):
        return blocks
    parts = [half for block in blocks for half in block.cut(step)]
    if len(parts) >= 2 * threads.count:
        return parts
    return [quarter for half in parts for quarter in half.cut(step)]


def _is_wide(width: int) -> bool:
    """Whether a product of so many columns, taken by chunks, has as many in each that its rows can be cut freely."""
    return (width - 1) % COLUMN_CHUNK + 1 >= WIDE


def _product_of_rows(blocks: Sequence[Block], source: torch.Tensor, out: torch.Tensor) -> None:
    """Multiply each slice of ``(D, H, W)`` from the left."""
    for block in blocks:
        multiply_slices(block.weights, source[:, block.columns], out[:, block.rows])


def multiply_slices(weights: torch.Tensor, slices: torch.Tensor, out: torch.Tensor) -> None:
    """The product of a matrix and each slice of ``(D, H, W)``, in one call where that changes no bit."""
    n_rows, n_columns = weights.shape
    if slices.device.type != "cpu" or (n_rows > FEW_ROWS and n_columns > 1 and out.shape[2] >= WIDE):
        torch.bmm(weights.expand(len(slices), -1, -1), slices, out=out)
        return
    for slice_, result in zip(slices.unbind(), out.unbind(), strict=True):
        torch.mm(weights, slice_, out=result)


def product_of_columns(blocks: Sequence[Block], source: torch.Tensor, out: torch.Tensor) -> None:
    """Multiply all rows of ``(D, H, W)`` from the right, at once."""
    source, out = source.flatten(0, 1), out.flatten(0, 1)
    for block in blocks:
        torch.mm(source[:, block.columns], block.transposed, out=out[:, block.rows])
