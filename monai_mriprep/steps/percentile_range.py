"""Scale the image to 0 to 1 by percentiles of its foreground."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from monai_mriprep import volume as compute
from monai_mriprep.steps.base import Params, Volumes
from monai_mriprep.steps.intensities import Intensities, of_each_channel
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    import torch

    from monai_mriprep.volume.percentiles import Window

__all__ = ["PercentileRange"]


class PercentileRange(Intensities):
    """Clip the whole image to the 0.5 and 99.5 percentile of its foreground, and map these to 0 and 1.

    Both percentiles of each channel are found in `plan`, so they stand in the trace. The way back undoes the mapping
    for an image alone; what was clipped stays clipped.
    """

    name = "percentile_range"

    def plan(self, volumes: Volumes, grid: Grid) -> Params:
        """Find ``low`` and ``high`` beside the moments, a list of one number a channel.

        Warns
        -----
        MriprepWarning
            If the foreground is empty (the image stays as it is), or both percentiles are one number (which is
            subtracted; nothing is clipped).
        """
        params = super().plan(volumes, grid)
        if not params:
            return {}
        role, image = volumes.image
        windows = compute.percentiles.foreground_windows(image, self.mask_of(volumes))
        for problem in compute.percentiles.window_problems(windows):
            volumes.warn(role, problem)
        return {**params, "low": [one.low for one in windows], "high": [one.high for one in windows]}

    def scaled(self, image: torch.Tensor, params: Params) -> torch.Tensor:
        """From 0 to 1."""
        return compute.percentiles.to_unit_range(image, _windows_of(params, len(image)))

    def unscaled(self, image: torch.Tensor, params: Params) -> torch.Tensor:
        """The units of the image."""
        return compute.percentiles.to_window(image, _windows_of(params, len(image)))

    def working_bytes(self, grid: Grid) -> int:
        """A copy of the voxels of the foreground, in which the percentiles are sought."""
        return 4 * math.prod(grid.shape)


def _windows_of(params: Params, channels: int) -> tuple[Window, ...]:
    found = of_each_channel(params, channels, "voxels", "low", "high")
    return tuple(compute.percentiles.Window(int(count), low, high) for count, low, high in found)
