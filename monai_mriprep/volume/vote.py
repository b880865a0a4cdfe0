"""Resample class numbers by a vote of the neighbours, weighted by linear interpolation.

Each class is interpolated by itself, as a mask of zeros and ones, and the highest value wins. That is what nnU-Net does
with labels. Most voxels lie between eight voxels of one class, and nothing needs computing there; for the others the
sums are formed term by term in the order of scipy's `zoom`, so that ties of rounded numbers end as they do there.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from monai_mriprep.errors import ResamplingError
from monai_mriprep.volume.half_pixel import VOXELS_AT_ONCE
from monai_mriprep.volume.spline import AxisPlan, nearest_indices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from monai_mriprep.volume.resample import ResamplingPlan

__all__ = ["Taps", "resample_by_vote", "voted"]


def resample_by_vote(label: torch.Tensor, plan: ResamplingPlan) -> torch.Tensor:
    """Resample class numbers: the class with the largest sum of linear weights around a voxel.

    Where several have the largest sum, to the last bit, it is that of the nearest voxel, or the smallest if the
    nearest is not among them. So does batchgenerators 0.25.5, and nnU-Net through it.

    Parameters
    ----------
    label
        ``(C, D, H, W)`` in the memory of the CPU, any real type; not written to. Any numbers, negative ones too.
    plan
        Of order 1, or of order 0 along some axes.

    Returns
    -------
    torch.Tensor
        ``(C, *plan.shape_out)``, of the type of `label`; `label` itself if there is nothing to do.

    Raises
    ------
    ResamplingError
        If the shape of `label` is not the plan's, or the plan has another order.
    """
    if tuple(label.shape[1:]) != plan.shape_in or not set(plan.orders) <= {0, 1}:
        msg = (
            f"a vote needs a label of shape (C, {', '.join(map(str, plan.shape_in))}) and orders 0 or 1, not "
            f"{tuple(label.shape)} and orders {plan.orders}"
        )
        raise ResamplingError(msg)
    if plan.is_identity:
        return label
    axes = [Taps.of(axis) for axis in plan.axes]
    return torch.from_numpy(np.stack([voted(channel, axes) for channel in label.numpy()]))


@dataclass(frozen=True)
class Taps:
    """Of each output along one axis, the inputs that have a say, and their weights.

    Parameters
    ----------
    indices, weights
        One entry for each tap: an array with one number for each output.
    nearest
        The nearest input of each output.
    """

    indices: Sequence[NDArray[np.int64]]
    weights: Sequence[NDArray[np.float64]]
    nearest: NDArray[np.int64]

    @classmethod
    def of(cls, axis: AxisPlan) -> Taps:
        """Those of an axis of order 0 or 1; one tap each where nothing is interpolated."""
        nearest = nearest_indices(axis)
        if axis.order == 0 or axis.is_identity:
            return cls([nearest], [np.ones(axis.n_out)], nearest)
        below = np.floor(axis.positions).astype(np.int64)
        weight = 1 - (axis.positions - below)
        # beyond an edge both are the voxel at the edge, whose two weights then add up to nearly 1, as in scipy
        return cls([below.clip(0, axis.n_in - 1), (below + 1).clip(0, axis.n_in - 1)], [weight, 1 - weight], nearest)

    @property
    def ends(self) -> tuple[int, int]:
        """The first and the last of the inputs."""
        return int(min(one.min() for one in self.indices)), int(max(one.max() for one in self.indices))

    def rows(self, rows: slice) -> Taps:
        """Those of some outputs."""
        return Taps([one[rows] for one in self.indices], [one[rows] for one in self.weights], self.nearest[rows])

    def clipped(self, first: int, last: int) -> Taps:
        """The same where only the inputs from `first` to `last` are there; what lies beyond is the outermost one."""
        indices = [one.clip(first, last) - first for one in self.indices]
        return Taps(indices, self.weights, self.nearest.clip(first, last) - first)


def voted(label: NDArray[Any], axes: Sequence[Taps], lowest: bool = False) -> NDArray[Any]:
    """The vote of one channel.

    Parameters
    ----------
    label
        ``(D, H, W)``, any numbers; not written to.
    axes
        Along z, y, x. Where an output has two taps, the second is the voxel after the first, or both are one voxel.
    lowest
        How ties end: sums are compared in float32, and of equals the lowest number wins, as the first of the highest
        channels does in `monai_mriprep.volume.argmax`. By default as in `resample_by_vote`.
    """
    if all(len(taps.indices) == 1 for taps in axes):
        return _taken(label, [taps.nearest for taps in axes])
    disputed = np.flatnonzero(_taken(_mixed_cells(label, axes), [taps.indices[0] for taps in axes]))
    result = _taken(label, [taps.nearest for taps in axes])
    flat, shape = result.reshape(-1), result.shape
    for first in range(0, len(disputed), VOXELS_AT_ONCE):
        voxels = disputed[first : first + VOXELS_AT_ONCE]
        flat[voxels] = _winners(label, axes, np.unravel_index(voxels, shape), flat[voxels], lowest)
    return result


def _taken(array: NDArray[Any], indices: Sequence[NDArray[np.int64]]) -> NDArray[Any]:
    """The voxels at these indices along each axis; the axis that shrinks most goes first."""
    for axis in sorted(range(3), key=lambda a: len(indices[a]) / array.shape[a]):
        array = array.take(indices[axis], axis=axis)
    return array


def _mixed_cells(label: NDArray[Any], axes: Sequence[Taps]) -> NDArray[np.bool_]:
    """Whether a voxel and those after it, along the axes with two taps, are of more than one class."""
    low = high = label
    for axis, taps in enumerate(axes):
        if len(taps.indices) == 2:
            low, high = _with_next(low, axis, np.minimum), _with_next(high, axis, np.maximum)
    mixed: NDArray[np.bool_] = low != high
    return mixed


def _with_next(array: NDArray[Any], axis: int, ufunc: np.ufunc) -> NDArray[Any]:
    moved = np.moveaxis(array, axis, 0)
    result = array.copy()
    ufunc(moved[:-1], moved[1:], out=np.moveaxis(result, axis, 0)[:-1])
    return result


def _winners(
    label: NDArray[Any],
    axes: Sequence[Taps],
    places: Sequence[NDArray[np.int64]],
    nearest: NDArray[Any],
    lowest: bool,
) -> NDArray[Any]:
    """The class that wins at each of these outputs; `nearest` holds that of the nearest voxel."""
    votes: list[NDArray[Any]] = []
    weights: list[NDArray[np.float64]] = []
    for taps in product(*(range(len(one.indices)) for one in axes)):
        votes.append(label[tuple(one.indices[tap][place] for one, tap, place in zip(axes, taps, places, strict=True))])
        z, y, x = (one.weights[tap][place] for one, tap, place in zip(axes, taps, places, strict=True))
        weights.append(z * y * x)
    exact = np.float32 if lowest else np.float64
    sums = np.array([_sum_for(votes[tap], votes, weights) for tap in range(len(votes))]).astype(exact)
    best = sums.max(axis=0)
    is_best, candidates = sums == best, np.array(votes)
    smallest: NDArray[Any] = np.where(is_best, candidates, candidates.max(axis=0)).min(axis=0)
    if lowest:
        return smallest
    return np.where(_sum_for(nearest, votes, weights) == best, nearest, smallest)


def _sum_for(
    candidate: NDArray[Any], votes: Sequence[NDArray[Any]], weights: Sequence[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """The sum of the weights of those that vote for the candidate, in the order of the taps."""
    total = np.zeros(len(candidate))
    for vote, weight in zip(votes, weights, strict=True):
        total += np.where(vote == candidate, weight, 0.0)
    return total
