"""Resampling as ITK does it, with the voxels that ITK finds greater than zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.config import KeysCollection

from monai_mriprep.transforms.spatial import AnisotropyAwareSpacingd
from monai_mriprep.transforms.tensors import grid_of, tensor_of, volume_of, with_values
from monai_mriprep.volume.itk_spline import positive_as_itk

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from numpy.typing import NDArray

    from monai_mriprep.volume.geometry import Grid

__all__ = ["ItkSpacingd"]

SAME_DIRECTION = 1e-9
"""Direction cosines this near are those of the file, but for the last digits."""


class ItkSpacingd(AnisotropyAwareSpacingd):
    """As `AnisotropyAwareSpacingd` on the grid ``itk``, cubic and mirrored; and a mask of what is greater than zero.

    The mask is that of the first key, with ITK's answer where only rounding errors tell: see
    `monai_mriprep.volume.itk_spline`. The arrays must have their axes in the order of the file, z y x.

    Parameters
    ----------
    keys, target
        As there; the first is an image, the others are labels.
    mask_key
        Where the mask is put.
    """

    def __init__(self, keys: KeysCollection, target: Sequence[float], mask_key: str = "foreground") -> None:
        super().__init__(keys, target, grid="itk", boundary="mirror")
        self.mask_key = mask_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of `data` on the target grid, with the mask."""
        result = super().__call__(data)
        key = self.keys[0]
        image, resampled = volume_of(data[key], str(key)), result[key]
        grid = grid_of(image)
        direction = _stated_direction(image, grid)
        channels = zip(_array(image), _array(resampled), strict=True)
        masks = [positive_as_itk(volume, grid, direction, self.target, found) for volume, found in channels]
        result[self.mask_key] = with_values(torch.from_numpy(np.stack(masks)), resampled)
        return result


def _array(volume: torch.Tensor) -> NDArray[Any]:
    array: NDArray[Any] = tensor_of(volume).detach().cpu().numpy()
    return array


def _stated_direction(image: torch.Tensor, grid: Grid) -> NDArray[np.float64]:
    """Every digit that the file states, where the axes are still the file's."""
    stated = np.asarray(getattr(image, "meta", {}).get("file_direction", grid.direction), dtype=np.float64)
    return stated if np.abs(stated - grid.direction).max() < SAME_DIRECTION else grid.direction
