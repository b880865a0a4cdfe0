"""What all steps share that turn the axes of every case."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from monai_mriprep.steps.base import Box, Params, Step, moves_voxels
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

    def needed(self, box: Box, role: Role, grid: Grid, params: Params) -> Box:
        """The same voxels, by the axes and in the directions that they had."""
        return self.turn(grid).box_before(box, grid.shape)

    def apply_part(
        self, part: torch.Tensor, given: Box, wanted: Box, role: Role, grid: Grid, params: Params
    ) -> torch.Tensor:
        """Permute the axes: what is flipped was given in the other direction."""
        return part.permute(0, *(axis + 1 for axis in self.turn(grid).order))

    @moves_voxels
    def invert(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> torch.Tensor:
        """Turn them back."""
        return self.turn(grid).back.array(volume).contiguous()
