"""Give labels other numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monai_mriprep import volume as compute
from monai_mriprep.recipe.values import LabelMap
from monai_mriprep.steps.base import Box, Params, Step, Volumes
from monai_mriprep.types import LABEL, Role
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    import torch

__all__ = ["LabelNumbers"]


class LabelNumbers(Step):
    """Give labels the numbers that a map says: two to one merges them, 0 drops one; the others stay.

    There is no way back: a network that was trained on the new numbers predicts them.

    Parameters
    ----------
    new
        By the numbers in the files.
    """

    name = "label_numbers"
    new: LabelMap

    def plan(self, volumes: Volumes, grid: Grid) -> Params:
        """Refuse a label in which a value that the map does not name is the new number of another one.

        Raises
        ------
        LabelError
            If there is such a value, or one that is not an integer.
        """
        for role, label in volumes.of_kind(LABEL.kind).items():
            compute.labels.require_clear_map(label, dict(self.new), volumes.name(role))
        return {}

    def apply(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> torch.Tensor:
        """Renumber a label; leave anything else as it is."""
        return compute.labels.renumbered(volume, dict(self.new)) if role.kind == LABEL.kind else volume

    def apply_part(
        self, part: torch.Tensor, given: Box, wanted: Box, role: Role, grid: Grid, params: Params
    ) -> torch.Tensor:
        """Each voxel goes by itself."""
        return self.apply(part, role, grid, params)
