"""Put the axes of every case into another order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monai_mriprep.recipe.values import AxisOrder
from monai_mriprep.steps.base import Params
from monai_mriprep.steps.turned import Turned
from monai_mriprep.types import Role
from monai_mriprep.volume.axes import Turn
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    import torch

__all__ = ["Transposition"]


class Transposition(Turned):
    """Permute the axes; no value is computed, and none is copied: the result is a view.

    So numpy adds up the voxels of the turned image in the order in which it is stored, as in nnU-Net.

    Parameters
    ----------
    order
        For each axis afterwards, the one that becomes it, from 0.
    """

    name = "transposition"
    order: AxisOrder

    def turn(self, grid: Grid) -> Turn:
        """The same for all cases."""
        return Turn(self.order)

    def apply(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> torch.Tensor:
        """A view with its axes in the other order."""
        return volume.permute(0, *(axis + 1 for axis in self.order))

    apply_part = Turned.apply_part
