"""Cut away the empty border of a scan."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from monai_mriprep import volume as compute
from monai_mriprep.errors import counted
from monai_mriprep.recipe.values import Amount
from monai_mriprep.steps.base import Box, Params, Step, Volumes, moves_voxels
from monai_mriprep.types import FOREGROUND, IMAGE, LABEL, Role
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

__all__ = ["FilledCrop", "NonZeroCrop"]

WHOLE_VOXEL = 1e-6
"""A margin this little beyond a whole number of voxels is that number."""


class NonZeroCrop(Step):
    """Keep the smallest box that holds every non-zero voxel of the image, in any channel, and a margin around it.

    The way back puts 0 outside the box.

    Parameters
    ----------
    margin
        In mm on each side, rounded up to whole voxels; it ends where the scan does.
    """

    name = "crop"
    depends_on_voxels = True
    margin: Amount = 0.0

    def grid(self, grid: Grid, params: Params | None = None) -> Grid:
        """The box; before a voxel has been read, all of `grid`."""
        return grid if params is None else grid.part(params["begin"], params["end"])

    def plan(self, volumes: Volumes, grid: Grid) -> Params:
        """Find the box: ``begin``, and ``end``, which is one voxel past the last, z y x.

        Warns
        -----
        MriprepWarning
            If every voxel is 0, so that nothing is cut away; and if a label marks voxels outside the box.
        """
        role, image = volumes.image
        box = compute.fill.box_around((image != 0).any(dim=0).cpu().numpy())
        if box is None:
            volumes.warn(role, "the image is 0 everywhere; it is not cropped")
            return {"begin": [0, 0, 0], "end": list(grid.shape)}
        params = self._with_margin(box, grid)
        for label_role, label in volumes.of_kind(LABEL.kind).items():
            if lost := int(label.count_nonzero()) - int(label[_box(params)].count_nonzero()):
                problem = f"the crop loses {counted(lost, 'labelled voxel')}; a larger crop_margin keeps more"
                volumes.warn(label_role, problem)
        return params

    def _with_margin(self, box: Sequence[tuple[int, int]], grid: Grid) -> Params:
        """The box and the margin, as far as there are voxels."""
        margins = [
            math.ceil(min(self.margin / spacing - WHOLE_VOXEL, n))
            for n, spacing in zip(grid.shape, grid.spacing, strict=True)
        ]
        begin = [max(0, first - margin) for (first, _), margin in zip(box, margins, strict=True)]
        past = [last + margin for (_, last), margin in zip(box, margins, strict=True)]
        return {"begin": begin, "end": list(map(min, past, grid.shape))}

    def apply(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> torch.Tensor:
        """Keep the box."""
        return volume[_box(params)].contiguous()

    def needed(self, box: Box, role: Role, grid: Grid, params: Params) -> Box:
        """The same voxels, counted from where the scan begins."""
        z, y, x = (
            range(along.start + first, along.stop + first, along.step)
            for along, first in zip(box, params["begin"], strict=True)
        )
        return z, y, x

    def apply_part(
        self, part: torch.Tensor, given: Box, wanted: Box, role: Role, grid: Grid, params: Params
    ) -> torch.Tensor:
        """The voxels stay as they are."""
        return part

    @moves_voxels
    def invert(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> torch.Tensor:
        """Put zeros around it."""
        whole = volume.new_zeros((len(volume), *grid.shape))
        whole[_box(params)] = volume
        return whole


class FilledCrop(NonZeroCrop):
    """The same box; and the mask of the voxels that are not zero in some channel, its holes filled, goes along.

    The image is a view of all of it, as float32, for moments that depend on how it lies in memory: see
    `monai_mriprep.volume.intensity.float32_moments`.
    """

    name = "filled_crop"

    def apply(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> torch.Tensor:
        """Keep the box."""
        return volume.float()[_box(params)] if role.kind == IMAGE.kind else super().apply(volume, role, grid, params)

    def carry_out(self, volumes: Volumes, grid: Grid, params: Params) -> Volumes:
        """Crop all volumes, and add the mask, bool, of one channel."""
        cropped = super().carry_out(volumes, grid, params)
        _, image = cropped.image
        mask = compute.fill.filled((image != 0).any(dim=0).cpu().numpy())
        return cropped.replaced({**cropped.by_role, FOREGROUND: image.new_tensor(mask[None]) != 0})


def _box(params: Params) -> tuple[slice, ...]:
    """The box in every channel."""
    return slice(None), *map(slice, params["begin"], params["end"])
