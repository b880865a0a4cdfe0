"""What all steps share that turn the axes of every case."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from monai_mriprep.steps.base import Params, Step, moves_voxels
from monai_mriprep.types import Role
from monai_mriprep.volume.axes import Turn
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    import torch

__all__ = ["Turned"]


class Turned(Step):
    """Permute and flip the axes; no value is computed, and every voxel stays where it was in the world."""

    @abstractmethod
    def turn(self, grid: Grid) -> Turn:
        """Which way, for volumes on `grid`."""

    def grid(self, grid: Grid, params: Params | None = None) -> Grid:
        """Every voxel stays where it was in the world."""
        return self.turn(grid).grid(grid)

    def apply(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> torch.Tensor:
        """Turn the axes."""
        return self.turn(grid).array(volume).contiguous()

    @moves_voxels
    def invert(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> torch.Tensor:
        """Turn them back."""
        return self.turn(grid).back.array(volume).contiguous()
