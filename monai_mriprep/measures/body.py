"""Where in a scan the patient is, coarsely, and where is air."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_mriprep.measures.image import SAMPLE
from monai_mriprep.measures.sample import block_means, lattice
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Body", "find_body"]

BLOCKS = 32
"""Into so many the body is divided along each axis, or into its voxels where these are fewer."""

BRIGHT = 90
"""The percentile of the blocks that counts as bright tissue."""

AIR = 0.1
"""Blocks under this share of bright tissue seem to be air."""

MANY_ZEROS = 0.01
"""Where this share of the voxels is 0, air is 0. Elsewhere values below 0 shift it to the lowest of them."""


@dataclass(frozen=True)
class Body:
    """What is not air.

    Parameters
    ----------
    grid
        Of the scan.
    blocks
        ``(z, y, x)``, true where the body is; they divide each axis of the grid into equal parts.
    """

    grid: Grid
    blocks: NDArray[np.bool_]

    def holds(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether points lie in the body; those beyond the scan do not.

        Parameters
        ----------
        points
            ``(N, 3)``, RAS+ mm.
        """
        to_index = np.linalg.inv(self.grid.affine)
        inside = points @ to_index[:3, :3].T + to_index[:3, 3] + 0.5  # from the outer face of the first voxel
        block = np.floor(inside * self.blocks.shape / self.grid.shape).astype(np.int64)
        within = ((block >= 0) & (block < self.blocks.shape)).all(axis=1)
        z, y, x = np.where(within[:, None], block, 0).T
        found: NDArray[np.bool_] = within & self.blocks[z, y, x]
        return found


def find_body(voxels: NDArray[Any], grid: Grid) -> Body:
    """The blocks that are brighter than air, those that lie between two of them on an axis, and their neighbours.

    So dark organs belong to the body, and whoever touches it does. It is found in at most `SAMPLE` voxels.

    Parameters
    ----------
    voxels
        ``(D, H, W)``, finite.
    grid
        Where they lie.
    """
    sample = lattice(voxels, SAMPLE)
    z, y, x = (min(n, BLOCKS) for n in voxels.shape)
    air_is_0 = np.count_nonzero(sample) <= (1 - MANY_ZEROS) * sample.size
    air = 0.0 if air_is_0 else min(0.0, float(sample.min()))
    signal = np.abs(block_means(sample, (z, y, x)) - np.float32(air))
    return Body(grid, _with_neighbours(_filled(signal > AIR * np.percentile(signal, BRIGHT))))


def _filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """With all that lies between two hits on a line along any of the axes."""
    filled = mask
    for axis in range(3):
        lines = np.moveaxis(mask, axis, -1)
        place, n = np.arange(lines.shape[-1]), lines.shape[-1]
        first, last = lines.argmax(axis=-1), n - 1 - lines[..., ::-1].argmax(axis=-1)  # 0 and n - 1 where there is none
        between = (place >= first[..., None]) & (place <= last[..., None]) & lines.any(axis=-1, keepdims=True)
        filled = filled | np.moveaxis(between, -1, axis)
    return filled


def _with_neighbours(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """With the blocks that share a face, an edge or a corner with them."""
    for axis in range(3):
        lines = np.moveaxis(np.pad(mask, [(int(a == axis),) * 2 for a in range(3)]), axis, 0)
        mask = np.moveaxis(lines[:-2] | lines[1:-1] | lines[2:], 0, axis)
    return mask
