"""A part of the voxels that speaks for all of them, and their means block by block."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["block_means", "lattice", "strides"]


def lattice(voxels: NDArray[Any], most: int) -> NDArray[Any]:
    """Every n-th voxel along each axis (z, y, x), from near the first to near the last; a view.

    Parameters
    ----------
    voxels
        ``(D, H, W)``.
    most
        So many are enough: see `strides`. An array of no more than these is returned as it is.
    """
    steps = strides(voxels.shape, most)
    return voxels[tuple(slice((n - 1) % step // 2, None, step) for n, step in zip(voxels.shape, steps, strict=True))]


def strides(shape: Sequence[int], most: int) -> tuple[int, ...]:
    """The steps along each axis that leave at most so many voxels: the axis that keeps most of them is thinned next."""
    steps = [1] * len(shape)
    kept = [*shape]
    while math.prod(kept) > most:
        axis = kept.index(max(kept))
        steps[axis] += 1
        kept[axis] = -(-shape[axis] // steps[axis])
    return tuple(steps)


def block_means(voxels: NDArray[Any], blocks: Sequence[int]) -> NDArray[np.float32]:
    """Means of equal blocks, as float32; a voxel that lies in two of them counts for each with its share.

    Parameters
    ----------
    voxels
        ``(D, H, W)``.
    blocks
        How many, along z, y, x; where an axis has fewer voxels, they are repeated.
    """
    means: NDArray[np.float32] = voxels.astype(np.float32)
    for axis, (n, count) in enumerate(zip(voxels.shape, blocks, strict=True)):
        means = np.moveaxis(_shares(n, count) @ np.moveaxis(means, axis, 1), 1, axis)
    return means


def _shares(n: int, blocks: int) -> NDArray[np.float32]:
    """Of each voxel in the mean of each block: ``(blocks, n)``, rows that add up to 1."""
    edges = np.arange(blocks + 1)[:, None] * n / blocks
    begin, end = np.maximum(edges[:-1], np.arange(n)), np.minimum(edges[1:], np.arange(1, n + 1))
    shares: NDArray[np.float64] = np.maximum(end - begin, 0) * blocks / n
    return shares.astype(np.float32)
