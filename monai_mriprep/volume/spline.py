"""Interpolation along one axis, as a small banded matrix.

Row ``r`` of the matrix says how the output at position ``start + r * step`` (in input voxels) is made from the
input voxels. For orders 2 and 3 it includes the prefilter that turns samples into B-spline coefficients
(Unser, Splines: a perfect fit for signal and image processing, 1999). The matrix equals what
``scipy.ndimage.affine_transform`` makes of the identity, boundary included; the tests compare the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from scipy import ndimage

from monai_mriprep.types import TIE_TOLERANCE, Boundary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["AxisPlan", "Block", "HalfPixelAxis", "axis_matrix", "banded_blocks", "nearest_indices"]

NEGLIGIBLE = 1e-8
"""Weights below this are dropped. They sum to 1, so this is far below the resolution of float32."""

EDGE_PADDING = 12
"""Copies of the edge voxel that scipy adds on both sides before it prefilters for ``nearest``."""

CACHED_PLANS = 256


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
    padding = EDGE_PADDING if plan.boundary == "nearest" else 0
    coefficients = np.pad(np.eye(plan.n_in), ((padding, padding), (0, 0)), mode="edge")
    if plan.order > 1:
        coefficients = ndimage.spline_filter1d(coefficients, plan.order, axis=0, mode=plan.boundary)  # type: ignore[call-overload]
    n = len(coefficients)
    positions = _into_range(plan.positions + padding, n, plan.boundary)
    first = np.floor(positions + 0.5 * (plan.order % 2 == 0)).astype(np.int64) - plan.order // 2
    matrix = np.zeros((plan.n_out, plan.n_in))
    for tap in range(plan.order + 1):
        weight = _basis(np.abs(positions - first - tap), plan.order)
        matrix += weight[:, None] * coefficients[_into_range(first + tap, n, "mirror")]
    return matrix


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
    return tuple(
        _block(matrix, top, min(top + block_rows, len(matrix)), device) for top in range(0, len(matrix), block_rows)
    )


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
