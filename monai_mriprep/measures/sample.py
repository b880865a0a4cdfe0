"""A part of the voxels that speaks for all of them, and their means block by block."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["block_means", "lattice"]


def lattice(voxels: NDArray[Any], most: int) -> NDArray[Any]:
    """At most so many voxels, spread evenly: those of the reversed array are the same ones.

    Parameters
    ----------
    voxels
        ``(D, H, W)``.
    most
        An array of no more than these is returned as it is. Of another, the longest axes are thinned to one number of
        voxels, and shorter ones are kept whole.
    """
    # Even numbers have no middle, which might be none of the voxels.
    edges = range(2, max(voxels.shape) + 2, 2)
    edge = edges[max(0, bisect_right(edges, most, key=lambda edge: math.prod(min(n, edge) for n in voxels.shape)) - 1)]
    if edge >= max(voxels.shape):
        return voxels
    return voxels[np.ix_(*(_places(n, min(n, edge)) for n in voxels.shape))]


def _places(n: int, kept: int) -> NDArray[np.int64]:
    """So many of the indices below n, as far from the first as from the last."""
    first = np.arange((kept + 1) // 2) * 2 + 1  # in halves of a step
    lower = first * n // (2 * kept)
    return np.concatenate([lower, n - 1 - lower[: kept // 2][::-1]])


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
