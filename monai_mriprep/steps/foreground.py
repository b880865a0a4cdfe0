"""Take the mask of the foreground before anything blurs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monai_mriprep.steps.base import Box, Params, Step, Volumes
from monai_mriprep.types import FOREGROUND, IMAGE, Role
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    import torch

__all__ = ["ForegroundMask"]


class ForegroundMask(Step):
    """Add the mask of the image's non-zero voxels, which later steps carry along by nearest neighbour.

    A cubic spline smears exact zeros until hardly any is left, so a mask taken after it would be nearly everything.
    """

    name = "foreground"

    def carry_out(self, volumes: Volumes, grid: Grid, params: Params) -> Volumes:
        """Add the mask, bool, with the channels of the image; where a label came alone, nothing."""
        if not volumes.of_kind(IMAGE.kind):
            return volumes
        _, image = volumes.image
        return volumes.replaced({**volumes.by_role, FOREGROUND: image != 0})

    def apply_part(
        self, part: torch.Tensor, given: Box, wanted: Box, role: Role, grid: Grid, params: Params
    ) -> torch.Tensor:
        """Image and label stay as they are."""
        return part
