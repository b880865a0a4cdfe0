"""Volumes made small enough to travel in a page: fewer and larger voxels on the same extent, in 8 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage, sparse

from monai_mriprep.volume.geometry import Grid, target_grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["MOST_CLASSES", "coarse_grid", "coarse_image", "coarse_label"]

MOST_CLASSES = 255
"""What 8 bits tell apart, beside the background."""
SHADES = 64
"""From black to white: 256 take half as many bytes again, and look the same."""
WINDOW = (1.0, 99.0)
"""Percentiles of the voxels that become black and white."""


def coarse_grid(grid: Grid, mm: float) -> Grid:
    """The grid of the same extent whose voxels have edges of about `mm`; an edge that is longer stays as it is."""
    z, y, x = (max(mm, step) for step in grid.spacing)
    return target_grid(grid, (z, y, x), "nnunet")


def coarse_image(image: NDArray[Any], shape: Sequence[int]) -> NDArray[np.uint8]:
    """The mean of the image within each voxel of a grid of the same extent, in `SHADES`.

    Parameters
    ----------
    image
        ``(D, H, W)``, numbers; what is not finite counts as 0.
    shape
        Of the grid, z, y, x.
    """
    finite = np.nan_to_num(np.asarray(image, np.float32), nan=0, posinf=0, neginf=0)
    means = _means(finite, _shares(image.shape, shape))
    low, high = np.percentile(means, WINDOW)
    bright = np.clip((means - low) / max(high - low, 1e-30), 0, 1)
    shades: NDArray[np.uint8] = np.round(bright * (SHADES - 1)).astype(np.uint8)
    return shades


def coarse_label(label: NDArray[Any], shape: Sequence[int]) -> tuple[NDArray[np.uint8], tuple[int, ...]]:
    """A label on a grid of the same extent: each class keeps its volume there, and has at least one voxel.

    A class takes the voxels of which it fills most, as many as its volume needs; of equally full ones all or none, so
    that no holes are made. Small classes take theirs last, so that none is lost to a large one beside it. A nearest
    neighbour would lose small lesions, a maximum would inflate all.

    Parameters
    ----------
    label
        ``(D, H, W)``, class numbers; 0 is the background.
    shape
        Of the grid, z, y, x.

    Returns
    -------
    tuple
        The numbers 0 to 255, and the class that each of them from 1 on stands for, largest class first. Beyond 255
        classes the smallest are left out.
    """
    boxes = {value: box for value, box in enumerate(ndimage.find_objects(label), start=1) if box is not None}
    counts = {value: int(np.count_nonzero(label[box] == value)) for value, box in boxes.items()}
    classes = sorted(boxes, key=lambda value: -counts[value])[:MOST_CLASSES]
    shares = _shares(label.shape, shape)
    coarse = np.zeros(shape, np.uint8)
    for number, value in enumerate(classes, start=1):
        parts = [share[:, part] for share, part in zip(shares, boxes[value], strict=True)]
        filled = _means((label[boxes[value]] == value).astype(np.float32), parts).round(6)
        coarse[filled >= _least_share(filled)] = number
    return coarse, tuple(classes)


def _least_share(filled: NDArray[np.float32]) -> float:
    """How full a voxel must be to belong to a class, so that as many do as its volume needs, as nearly as can be."""
    shares, counts = np.unique(filled[filled > 0], return_counts=True)
    off = np.abs(np.cumsum(counts[::-1])[::-1] - filled.sum())
    return float(shares[np.argmin(off)])


def _shares(shape: Sequence[int], coarse: Sequence[int]) -> list[sparse.csr_array]:
    """Of each axis, how much each voxel adds to the mean of each coarse one: ``(coarse, fine)``, rows sum to 1."""
    shares = []
    for fine, few in zip(shape, coarse, strict=True):
        edges = np.arange(few + 1) * (fine / few)
        places = np.arange(fine)
        overlap = np.minimum(edges[1:, None], places + 1) - np.maximum(edges[:-1, None], places)
        shares.append(sparse.csr_array((np.clip(overlap, 0, None) * (few / fine)).astype(np.float32)))
    return shares


def _means(array: NDArray[np.float32], shares: Sequence[sparse.csr_array]) -> NDArray[np.float32]:
    """Each axis in turn is the first one, and then the last: after three they stand as before."""
    for share in shares:
        n, *others = array.shape
        array = (share @ array.reshape(n, -1)).reshape(-1, *others).transpose(1, 2, 0)
    return array
