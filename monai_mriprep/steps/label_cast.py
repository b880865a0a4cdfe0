"""Store class numbers in the smallest safe integer type."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from monai_mriprep import volume as compute
from monai_mriprep.errors import counted
from monai_mriprep.steps.base import Box, Params, Step, Volumes
from monai_mriprep.types import LABEL, OUTSIDE, Role
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    import torch

__all__ = ["LabelCast", "OutsideLabelCast"]


class LabelCast(Step):
    """Cast labels to int8, or to int16 where the maximum is over 127; negative values become 0.

    There is no way back: the values are the same.
    """

    name = "label_cast"
    lowest: ClassVar[int] = 0

    def plan(self, volumes: Volumes, grid: Grid) -> Params:
        """Find ``dtype`` and ``negative``, the number of negative voxels, of each label.

        Warns
        -----
        MriprepWarning
            If voxels are negative.
        """
        found = {}
        for role, label in volumes.of_kind(LABEL.kind).items():
            dtype, n_negative = compute.labels.plan_cast(label, volumes.name(role), self.lowest)
            if n_negative:
                below = f" below {self.lowest}" if self.lowest else ""
                volumes.warn(role, f"{counted(n_negative, 'negative label voxel')}{below} became 0")
            found[role.name] = {"dtype": dtype, "negative": n_negative}
        return found

    def apply(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> torch.Tensor:
        """Cast a label; leave anything else as it is."""
        if role.kind != LABEL.kind:
            return volume
        facts = params[role.name]
        return compute.labels.apply_cast(volume, facts["dtype"], facts["negative"], self.lowest)

    def apply_part(
        self, part: torch.Tensor, given: Box, wanted: Box, role: Role, grid: Grid, params: Params
    ) -> torch.Tensor:
        """Each voxel goes by itself."""
        return self.apply(part, role, grid, params)


class OutsideLabelCast(LabelCast):
    """The same, but -1, which marks what lies outside of the body, is kept."""

    name = "outside_label_cast"
    lowest: ClassVar[int] = OUTSIDE
