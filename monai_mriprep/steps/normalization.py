"""Make z-scores of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monai_mriprep import volume as compute
from monai_mriprep.recipe.values import Amount
from monai_mriprep.steps.base import Params, Volumes
from monai_mriprep.steps.intensities import Intensities, of_each_channel
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    import torch

    from monai_mriprep.volume.intensity import Moments

__all__ = ["Normalization"]


class Normalization(Intensities):
    """``(image - mean) / (std + epsilon)`` on the whole image, each channel by its own foreground.

    Mean and population standard deviation are found in `plan`, so they stand in the trace. The way back undoes them
    for an image alone.

    Parameters
    ----------
    over
        As in `Intensities`.
    epsilon
        Added to the standard deviation; in units of the image.
    """

    name = "normalization"
    epsilon: Amount = 0.0

    def plan(self, volumes: Volumes, grid: Grid) -> Params:
        """Find the moments.

        Warns
        -----
        MriprepWarning
            If the foreground is empty (the image stays as it is) or constant (only its mean is subtracted).

        Raises
        ------
        ResamplingError
            As `Intensities.plan`.
        VoxelError
            If float32 cannot hold the image, or its z-scores.
        """
        params = super().plan(volumes, grid)
        if params:
            role, image = volumes.image
            moments = _moments_of(params, len(image))
            compute.intensity.require_scores(image, moments, self.epsilon, volumes.name(role))
            for problem in compute.intensity.moment_problems(moments):
                volumes.warn(role, problem)
        return params

    def scaled(self, image: torch.Tensor, params: Params) -> torch.Tensor:
        """The z-scores."""
        return compute.intensity.standardize(image, _moments_of(params, len(image)), self.epsilon)

    def unscaled(self, image: torch.Tensor, params: Params) -> torch.Tensor:
        """The units of the image."""
        return compute.intensity.unstandardize(image, _moments_of(params, len(image)), self.epsilon)


def _moments_of(params: Params, channels: int) -> tuple[Moments, ...]:
    found = of_each_channel(params, channels, "voxels", "mean", "std")
    return tuple(compute.intensity.Moments(int(count), mean, std) for count, mean, std in found)
