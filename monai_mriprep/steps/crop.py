"""Cut away the empty border of a scan."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from monai_mriprep.steps.base import Params, Step, Volumes, warn_of
from monai_mriprep.types import Role
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    import torch

__all__ = ["NonZeroCrop"]

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

    name: ClassVar[str] = "crop"
    depends_on_voxels: ClassVar[bool] = True
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False, strict=False)] = 0.0

    def grid(self, grid: Grid, params: Params | None = None) -> Grid:
        """The box; before a voxel has been read, all of it."""
        return grid if params is None else grid.part(params["begin"], params["end"])

    def plan(self, volumes: Volumes, grid: Grid) -> Params:
        """Find the box: ``begin``, and ``end``, which is one voxel past the last, z y x."""
        role, image = next(iter(volumes.of_kind("image").items()))
        occupied = (image != 0).any(dim=0)
        begin, end = [], []
        for axis, (size, spacing) in enumerate(zip(grid.shape, grid.spacing, strict=True)):
            others = [other for other in range(3) if other != axis]
            hits = np.flatnonzero(occupied.any(dim=others[1]).any(dim=others[0]).cpu().numpy())
            if not len(hits):
                warn_of(volumes, role, "the image is 0 everywhere; it is not cropped")
                return {"begin": [0, 0, 0], "end": list(grid.shape)}
            margin = math.ceil(self.margin / spacing - WHOLE_VOXEL)
            begin.append(max(0, int(hits[0]) - margin))
            end.append(min(size, int(hits[-1]) + 1 + margin))
        return {"begin": begin, "end": end}

    def apply(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> torch.Tensor:
        """Keep the box."""
        z, y, x = (slice(begin, end) for begin, end in zip(params["begin"], params["end"], strict=True))
        return volume[:, z, y, x].contiguous()

    def invert(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> torch.Tensor:
        """Put zeros around it."""
        whole = volume.new_zeros((len(volume), *grid.shape))
        z, y, x = (slice(begin, end) for begin, end in zip(params["begin"], params["end"], strict=True))
        whole[:, z, y, x] = volume
        return whole
