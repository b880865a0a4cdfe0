"""Resample as nnU-Net does, voxel for voxel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from monai_mriprep import volume as compute
from monai_mriprep.recipe.values import Amount
from monai_mriprep.steps.base import Params, Volumes
from monai_mriprep.steps.resampling import Resampling
from monai_mriprep.types import IMAGE, LABEL, SEPARATE_THRESHOLD, GridRule, LabelRule, Role, SeparateAxis, Spacing
from monai_mriprep.volume.geometry import Grid
from monai_mriprep.volume.half_pixel import VOXELS_AT_ONCE, separate_axis

if TYPE_CHECKING:
    import torch

    from monai_mriprep.volume.resample import ResamplingPlan

__all__ = ["HalfPixelResampling"]


INDEX_BYTES = 8
VOTE_BYTES = 350
"""Memory for an output voxel of a vote: to keep its place, and while it is one of `VOXELS_AT_ONCE` that are decided."""


class HalfPixelResampling(Resampling):
    """The same on the grid ``nnunet_exact``: whether an axis is separate is decided case by case.

    The way back is that of `Resampling`; a separate axis goes by nearest neighbour there, too, as in nnU-Net's export.

    Parameters
    ----------
    separate
        ``auto``: the coarsest axis goes by order 0, where the spacings of the scan, else of the target, differ by more
        than `threshold` times. See `monai_mriprep.volume.half_pixel.separate_axis`.
    threshold
        A ratio of spacings.
    label
        ``nearest``; or ``linear``: see `monai_mriprep.volume.vote.resample_by_vote`.
    """

    name = "half_pixel_resampling"
    rule: GridRule = "nnunet_exact"
    separate: SeparateAxis = "none"
    threshold: Amount = SEPARATE_THRESHOLD
    label: LabelRule = "nearest"

    def plan(self, volumes: Volumes, grid: Grid) -> Params:
        """Fix the target grid and ``separate``, the axis that is separate on the way there and on that back, or none.

        Raises
        ------
        LabelError
            If the classes of a label are to vote, and its values are no integers.
        VoxelError
            As `Resampling.plan`.
        """
        for role, label in volumes.of_kind(LABEL.kind).items():
            if self.label == "linear":
                compute.labels.plan_cast(label, volumes.name(role))
        there, back = (grid.stated_spacing, self.target), (self.target, grid.stated_spacing)
        separate = [self._separate(*there), self._separate(*back)]
        return {**super().plan(volumes, grid), "separate": separate}

    def apply(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> torch.Tensor:
        """Resample one volume; a label by a vote, if that is asked for."""
        if role.kind == LABEL.kind and self.label == "linear":
            whole = volume.round() if volume.is_floating_point() else volume
            plan = self.plan_there(role, grid, params)
            return compute.vote.resample_by_vote(whole.cpu(), plan).to(volume.device)
        return super().apply(volume, role, grid, params)

    def plan_there(self, role: Role, grid: Grid, params: Params) -> ResamplingPlan:
        """How `apply` resamples a volume on `grid`."""
        order = self._order if role.kind == IMAGE.kind else int(role.kind == LABEL.kind and self.label == "linear")
        separate, _ = params["separate"]
        return compute.resample.plan_half_pixel(grid.shape, self.grid(grid, params).shape, order, separate)

    def plan_back(self, role: Role, grid: Grid, params: Params, linear: bool) -> ResamplingPlan:
        """How `invert` resamples a volume onto `grid`; `linear` for floats that are no labels, which interpolates."""
        order = self._order if role.kind == IMAGE.kind else int(linear)
        _, separate = params["separate"]
        return compute.resample.plan_half_pixel(self.grid(grid, params).shape, grid.shape, order, separate)

    def working_bytes(self, grid: Grid) -> int:
        """What a vote takes, where every voxel lies between two classes."""
        voxels = math.prod(self.grid(grid).shape)
        return voxels * INDEX_BYTES + min(voxels, VOXELS_AT_ONCE) * VOTE_BYTES if self.label == "linear" else 0

    @property
    def _order(self) -> int:
        return self.order if isinstance(self.order, int) else max(self.order)

    def _separate(self, before: Spacing, after: Spacing) -> int | None:
        return separate_axis(before, after, self.threshold) if self.separate == "auto" else None
