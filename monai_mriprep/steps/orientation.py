"""Turn the axes of every case alike, such as to RAS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monai_mriprep.recipe.values import Codes
from monai_mriprep.steps.base import Params, Step
from monai_mriprep.types import Role
from monai_mriprep.volume.axes import Turn, turn_to_codes
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    import torch

__all__ = ["Orientation"]


class Orientation(Step):
    """Permute and flip the axes until they run nearest to those that the codes name; no value is computed.

    Parameters
    ----------
    codes
        Where the file's axes x, y, z run to: ``RAS`` gives arrays whose axes run to superior, anterior, right. As
        MONAI's `Orientationd` and nibabel; see `monai_mriprep.volume.axes.turn_to_codes`.
    """

    name = "orientation"
    codes: Codes

    def _turn(self, grid: Grid) -> Turn:
        return turn_to_codes(grid, self.codes)

    def grid(self, grid: Grid, params: Params | None = None) -> Grid:
        """Every voxel stays where it was in the world."""
        return self._turn(grid).grid(grid)

    def apply(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> torch.Tensor:
        """Turn the axes."""
        return self._turn(grid).array(volume).contiguous()

    def invert(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> torch.Tensor:
        """Turn them back."""
        return self._turn(grid).back.array(volume).contiguous()
