"""Make z-scores of the image as nnU-Net does, digit for digit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monai_mriprep import volume as compute
from monai_mriprep.steps.base import Params, Volumes
from monai_mriprep.steps.intensities import Over, of_each_channel
from monai_mriprep.steps.normalization import Normalization
from monai_mriprep.types import FOREGROUND, IMAGE
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    import torch

    from monai_mriprep.volume.intensity import Moments

__all__ = ["ExactNormalization"]

LEAST_STD = 1e-8
"""In units of the image; a smaller deviation is not divided by."""


class ExactNormalization(Normalization):
    """``(image - mean) / max(std, 1e-8)`` in float32, with numpy's float32 sums; over all voxels, or over a mask.

    Over a mask only what is inside changes. On the way back of an image its outside cannot be told from its mean.

    Parameters
    ----------
    over
        ``all``, or ``foreground``: the mask that a step before has added.
    """

    name = "exact_normalization"
    over: Over = "all"

    def moments_of(self, image: torch.Tensor, mask: torch.Tensor | None) -> tuple[Moments, ...]:
        """In float32, over the image as it lies in memory."""
        inside = None if self.over == "all" or mask is None else mask[0].cpu().numpy()
        channels = image.detach().cpu().float().numpy()
        return tuple(compute.intensity.exact_moments(channel, inside) for channel in channels)

    def carry_out(self, volumes: Volumes, grid: Grid, params: Params) -> Volumes:
        """Scale the image, inside the mask if it is over one, and drop the mask."""
        done = super().carry_out(volumes, grid, params)
        if self.over == "all" or not volumes.of_kind(IMAGE.kind):
            return done
        role, image = volumes.image
        scores = done.by_role[role].where(volumes.by_role[FOREGROUND], image.float())
        return done.replaced({**done.by_role, role: scores})

    def scaled(self, image: torch.Tensor, params: Params) -> torch.Tensor:
        """The z-scores."""
        floats = image.float()
        mean, divisor = _columns(params, floats)
        return floats.sub(mean).div_(divisor)

    def unscaled(self, image: torch.Tensor, params: Params) -> torch.Tensor:
        """The units of the image."""
        doubles = image.double()
        mean, divisor = _columns(params, doubles)
        return (doubles * divisor + mean).float()


def _columns(params: Params, image: torch.Tensor) -> list[torch.Tensor]:
    """Mean and divisor of each channel, ``(C, 1, 1, 1)``, in the type of the image."""
    found = of_each_channel(params, len(image), "mean", "std")
    pairs = [(mean, max(std, LEAST_STD)) for mean, std in found]
    return [image.new_tensor(column)[:, None, None, None] for column in zip(*pairs, strict=True)]
