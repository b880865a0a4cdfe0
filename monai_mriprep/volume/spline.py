"""Interpolation along one axis, as a small banded matrix.

Row ``r`` of the matrix says how the output at position ``start + r * step`` (in input voxels) is made from the
input voxels. For orders 2 and 3 it includes the prefilter that turns samples into B-spline coefficients
(Unser, Splines: a perfect fit for signal and image processing, 1999). The matrix equals what
``scipy.ndimage.affine_transform`` makes of the identity, boundary included; the tests compare the two.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from scipy import ndimage

from monai_mriprep.types import TIE_TOLERANCE, Boundary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = [
    "FEW_ROWS",
    "AxisPlan",
    "Block",
    "HalfPixelAxis",
    "axis_matrix",
    "banded_blocks",
    "blocks_of_part",
    "columns_of_part",
    "nearest_indices",
]

NEGLIGIBLE = 1e-8
"""Weights below this are dropped. They sum to 1, so this is far below the resolution of float32."""

EDGE_PADDING = 12
"""Copies of the edge voxel that scipy adds on both sides before it prefilters for ``nearest``."""

REACH = 16
"""So many voxels beyond the taps of a spline its weights are negligible: each is 0.27 times the one before."""

CACHED_PLANS = 256
CACHED_PARTS = 12
"""Of a patch as large as its volume, always the same; of 128 voxels, they take some two megabytes."""

FEW_ROWS = 3
"""With so few rows, or with one column, BLAS multiplies vectors, and the bits depend on their number and place."""

ONE_SUM = 128
"""Up to so many columns BLAS adds one product after the other, so zeros may be left out. It cuts longer sums into
parts, of 192 products on an AMD EPYC (measured)."""


@dataclass(frozen=True)
class AxisPlan:
    """How one axis is resampled: output ``r`` lies at ``start + r * step`` input voxels.

    Parameters
    ----------
    n_in, n_out
        Voxels before and after.
    step, start
        In input voxels.
    order
        0 (nearest) to 3 (cubic B-spline).
    boundary
        Beyond the ends: ``nearest`` repeats the edge voxel, ``mirror`` reflects about its centre.
    """

    n_in: int
    n_out: int
    step: float
    start: float
    order: int
    boundary: Boundary = "nearest"

    tie_tolerance: ClassVar[float] = TIE_TOLERANCE
    """A nearest position this close below a tie rounds up, too, in input voxels."""

    @classmethod
    def kept(cls, n: int) -> AxisPlan:
        """An axis of `n` voxels that stays as it is."""
        return AxisPlan(n, n, 1.0, 0.0, 0)

    @property
    def is_identity(self) -> bool:
        """Nothing to do on this axis."""
        return self.n_in == self.n_out and self.step == 1.0 and self.start == 0.0

    @property
    def positions(self) -> NDArray[np.float64]:
        """Where the outputs lie, in input voxels."""
        return self.start + self.step * np.arange(self.n_out, dtype=np.float64)

    @property
    def outside(self) -> NDArray[np.bool_]:
        """Which outputs lie beyond the outer faces of the axis; the upper face belongs to what lies outside."""
        nearest = _rounded(self)
        beyond: NDArray[np.bool_] = (nearest < 0) | (nearest >= self.n_in)
        return beyond


@dataclass(frozen=True)
class HalfPixelAxis(AxisPlan):
    """The same extent in other voxels, with the rounding of scipy's `zoom` and of nnU-Net, so that ties are theirs.

    Its `step` is ``n_in / n_out`` and its `start` ``0.5 * step - 0.5``.
    """

    tie_tolerance: ClassVar[float] = 0.0

    @classmethod
    def of(cls, n_in: int, n_out: int, order: int) -> HalfPixelAxis:
        """From `n_in` voxels to `n_out`; beyond the ends the edge is repeated."""
        step = n_in / n_out
        return cls(n_in, n_out, step, 0.5 * step - 0.5, order)

    @property
    def positions(self) -> NDArray[np.float64]:
        """Where the outputs lie, in input voxels."""
        return self.step * (np.arange(self.n_out, dtype=np.float64) + 0.5) - 0.5


@dataclass(frozen=True)
class Block:
    """Some rows of a banded matrix, which are zero outside the columns `columns`.

    The weights are kept in both layouts: a product from the right is 1.5 times as fast with the transposed one.
    """

    rows: slice
    columns: slice
    weights: torch.Tensor
    transposed: torch.Tensor
    cuts: dict[int, tuple[Block, ...]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def at_top(self) -> Block:
        """The same rows where they are all that is made."""
        return replace(self, rows=slice(0, len(self.weights)), cuts={})

    def cut(self, step: int = 1) -> tuple[Block, ...]:
        """The block in two, for products from the left, each without the columns that it does not use.

        The first has a multiple of `step` rows. It is one, itself, where a part would have few rows, or a sum is long.
        """
        if step not in self.cuts:
            n_rows, n_columns = self.weights.shape
            first = round(n_rows / 2 / step) * step
            is_whole = min(first, n_rows - first) <= FEW_ROWS or n_columns > ONE_SUM
            self.cuts[step] = (self,) if is_whole else (self._trimmed(0, first), self._trimmed(first, n_rows))
        return self.cuts[step]

    def _trimmed(self, top: int, bottom: int) -> Block:
        used = np.flatnonzero(self.weights[top:bottom].numpy().any(axis=0))
        columns = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 1)
        weights = self.weights[top:bottom, columns].contiguous()
        rows, shift = slice(self.rows.start + top, self.rows.start + bottom), self.columns.start
        return Block(rows, slice(shift + columns.start, shift + columns.stop), weights, weights.T)

    def parts(self, n_rows: int) -> Iterator[Block]:
        """Cut the block into blocks of at most `n_rows` rows."""
        for top in range(self.rows.start, self.rows.stop, n_rows):
            rows = slice(top, min(top + n_rows, self.rows.stop))
            own = slice(rows.start - self.rows.start, rows.stop - self.rows.start)
            yield Block(rows, self.columns, self.weights[own], self.transposed[:, own])


def nearest_indices(plan: AxisPlan) -> NDArray[np.int64]:
    """Input index for each output; a position within the axis's tolerance of a tie rounds up."""
    return _into_range(_rounded(plan), plan.n_in, plan.boundary)


def _rounded(plan: AxisPlan) -> NDArray[np.int64]:
    indices: NDArray[np.int64] = np.floor(plan.positions + 0.5 + plan.tie_tolerance).astype(np.int64)
    return indices


def axis_matrix(plan: AxisPlan) -> NDArray[np.float64]:
    """The dense matrix of shape ``(n_out, n_in)``, float64; each row sums to 1."""
    if plan.order == 0:
        return np.eye(plan.n_in)[nearest_indices(plan)]
    return _spline_rows(plan, range(plan.n_out), range(plan.n_in))


def _spline_rows(plan: AxisPlan, rows: range, columns: range) -> NDArray[np.float64]:
    """Some rows, by the coefficients of an axis that has no voxels but those of `columns`."""
    coefficients = _coefficients(len(columns), plan.order, plan.boundary)
    places = _padded_places(plan, rows) - columns.start
    first = _first_taps(places, plan.order)
    matrix = np.zeros((len(rows), len(columns)))
    for tap in range(plan.order + 1):
        weight = _basis(np.abs(places - first - tap), plan.order)
        matrix += weight[:, None] * coefficients[_into_range(first + tap, len(coefficients), "mirror")]
    return matrix


def _padding(boundary: Boundary) -> int:
    return EDGE_PADDING if boundary == "nearest" else 0


def _padded_places(plan: AxisPlan, rows: range) -> NDArray[np.float64]:
    """Where outputs lie in the padded axis, within its ends."""
    padding = _padding(plan.boundary)
    return _into_range(plan.positions[list(rows)] + padding, plan.n_in + 2 * padding, plan.boundary)


def _first_taps(places: NDArray[np.float64], order: int) -> NDArray[np.int64]:
    first: NDArray[np.int64] = np.floor(places + 0.5 * (order % 2 == 0)).astype(np.int64) - order // 2
    return first


def _coefficients(n: int, order: int, boundary: Boundary) -> NDArray[np.float64]:
    """Column ``j`` holds the coefficients of an axis that is 1 at voxel ``j`` alone, padded as scipy does."""
    padding = _padding(boundary)
    coefficients = np.pad(np.eye(n), ((padding, padding), (0, 0)), mode="edge")
    if order > 1:
        coefficients = ndimage.spline_filter1d(coefficients, order, axis=0, mode=boundary)  # type: ignore[call-overload]
    return coefficients


def _into_range(positions: NDArray[Any], n: int, boundary: Boundary) -> NDArray[Any]:
    """Map positions outside ``[0, n - 1]`` into it: clipped, or mirrored about the end voxels."""
    if boundary == "nearest" or n == 1:
        clipped: NDArray[Any] = np.clip(positions, 0, n - 1)
        return clipped
    period = 2 * (n - 1)
    remainder: NDArray[Any] = np.abs(positions) % period
    folded: NDArray[Any] = np.minimum(remainder, period - remainder)
    return folded


def _basis(distance: NDArray[np.float64], order: int) -> NDArray[np.float64]:
    """The centred B-spline of the order at a distance from its centre, within its support."""
    if order == 1:
        return 1.0 - distance
    if order == 2:
        return np.where(distance < 0.5, 0.75 - distance**2, 0.5 * (1.5 - distance) ** 2)
    return np.where(distance < 1, 2 / 3 - distance**2 * (2 - distance) / 2, (2 - distance) ** 3 / 6)


@lru_cache(maxsize=CACHED_PLANS)
def banded_blocks(
    plan: AxisPlan, block_rows: int, transposed: bool = False, device: torch.device | None = None
) -> tuple[Block, ...]:
    """Cut the matrix into blocks of `block_rows` rows, each with only the columns that it uses.

    So the cost per output voxel does not grow with the length of the axis.

    Parameters
    ----------
    plan
        The axis.
    block_rows
        Rows of a block; the last may have fewer.
    transposed
        Cut the transposed matrix instead: the adjoint, which gradients need.
    device
        The device of the weights.
    """
    matrix = _float32_with_same_sums(axis_matrix(plan))
    matrix = matrix.T if transposed else matrix
    return _cut(matrix, block_rows, device)


def columns_of_part(plan: AxisPlan, rows: range) -> range:
    """Which voxels the outputs `rows` are made of; of an axis that stays as it is, these themselves."""
    if plan.is_identity:
        return rows
    if plan.order == 0:
        picks = nearest_indices(plan)[list(rows)]
        return range(int(picks.min()), int(picks.max()) + 1)
    first = _first_taps(_padded_places(plan, rows), plan.order) - _padding(plan.boundary)
    reach = REACH if plan.order > 1 else 0
    begin = min(max(int(first.min()) - reach, 0), plan.n_in - 1)
    return range(begin, min(max(int(first.max()) + plan.order + reach, begin) + 1, plan.n_in))


@lru_cache(maxsize=CACHED_PARTS)
def blocks_of_part(plan: AxisPlan, rows: range, block_rows: int) -> tuple[Block, ...]:
    """As `banded_blocks`, of the outputs `rows` alone, in their order; `Block.columns` counts in `columns_of_part`.

    The weights are those of the whole axis but for the rounding of float64: further away the filter has forgotten
    what it began with.
    """
    columns = columns_of_part(plan, rows)
    if plan.order == 0:
        picks = nearest_indices(plan)[list(rows)]
        matrix = (picks[:, None] == np.array(columns)).astype(np.float32)
    else:
        around = range(max(columns.start - 2 * REACH, 0), min(columns.stop + 2 * REACH, plan.n_in))
        first = columns.start - around.start
        matrix = _float32_with_same_sums(_spline_rows(plan, rows, around))[:, first : first + len(columns)]
    return _cut(matrix, block_rows, None)


def _cut(matrix: NDArray[np.float32], block_rows: int, device: torch.device | None) -> tuple[Block, ...]:
    tops = range(0, len(matrix), block_rows)
    return tuple(_block(matrix, top, min(top + block_rows, len(matrix)), device) for top in tops)


def _block(matrix: NDArray[np.float32], top: int, bottom: int, device: torch.device | None) -> Block:
    used = np.flatnonzero(matrix[top:bottom].any(axis=0))
    columns = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 1)
    weights = torch.from_numpy(np.ascontiguousarray(matrix[top:bottom, columns])).to(device)
    return Block(slice(top, bottom), columns, weights, weights.T.contiguous())


def _float32_with_same_sums(matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """Round the weights to float32, and add what each row's sum loses to its largest weight.

    An error of a row's sum is multiplied by the mean of the volume, which may be large compared to its range. Dropping
    negligible weights also avoids denormal numbers, which make products ten times slower.
    """
    rounded = np.where(np.abs(matrix) < NEGLIGIBLE, 0.0, matrix).astype(np.float32)
    lost = matrix.sum(axis=1) - rounded.sum(axis=1, dtype=np.float64)
    every, largest = np.arange(len(matrix)), np.abs(matrix).argmax(axis=1)
    rounded[every, largest] = rounded[every, largest] + lost
    return rounded
