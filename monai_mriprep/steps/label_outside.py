"""Tell the background inside of the body from what lies outside of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monai_mriprep.errors import ResamplingError
from monai_mriprep.steps.base import Params, Step, Volumes, moves_voxels
from monai_mriprep.types import FOREGROUND, IMAGE, LABEL, OUTSIDE, Role
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    import torch

__all__ = ["LabelOutside"]


class LabelOutside(Step):
    """Label 0 outside the mask of the foreground becomes -1; then the mask is where the label is not negative.

    So a voxel with a label counts as inside wherever it lies, as in nnU-Net. The way back makes 0 of what is negative
    among class numbers.
    """

    name = "label_outside"

    def carry_out(self, volumes: Volumes, grid: Grid, params: Params) -> Volumes:
        """Mark labels, and take the mask from them; where an image came alone, keep its mask.

        Raises
        ------
        ResamplingError
            If no step before has added the mask.
        """
        if FOREGROUND not in volumes.by_role:
            msg = "the label outside the foreground needs its mask: put the step 'filled_crop' before 'label_outside'"
            raise ResamplingError(msg)
        mask = volumes.by_role[FOREGROUND]
        labels = {role: _marked(label, mask) for role, label in volumes.of_kind(LABEL.kind).items()}
        inside = next((label >= 0 for label in labels.values()), mask)
        return volumes.replaced({**volumes.by_role, **labels, FOREGROUND: inside})

    @moves_voxels
    def invert(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> torch.Tensor:
        """Make 0 of the negative class numbers; leave anything else as it is."""
        is_class_numbers = role.kind == LABEL.kind or (role.kind != IMAGE.kind and not volume.is_floating_point())
        return volume.clamp(min=0) if is_class_numbers and volume.dtype.is_signed else volume


def _marked(label: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    import torch  # the label is torch's, so this costs nothing

    label = label.to(torch.promote_types(label.dtype, torch.int8))  # a type that has a sign
    return label.masked_fill((label == 0) & ~mask, OUTSIDE)
