"""Make z-scores of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from monai_mriprep import volume as compute
from monai_mriprep.errors import RecordError, ResamplingError
from monai_mriprep.recipe.values import Amount
from monai_mriprep.steps.base import Params, Step, Volumes
from monai_mriprep.types import FOREGROUND, IMAGE, Role
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    import torch

    from monai_mriprep.volume.intensity import Moments

__all__ = ["Normalization", "Over"]


Over = Literal["foreground", "nonzero", "positive"]


class Normalization(Step):
    """``(image - mean) / (std + epsilon)`` on the whole image, each channel by its own foreground.

    Mean and population standard deviation are found in `plan`, so they stand in the trace. The way back undoes them
    for an image alone.

    Parameters
    ----------
    over
        ``foreground``: the mask that a step before has added, which is dropped afterwards. ``nonzero``, ``positive``:
        the image's own voxels at this stage.
    epsilon
        Added to the standard deviation; in units of the image.
    """

    name = "normalization"
    over: Over = "nonzero"
    epsilon: Amount = 0.0

    def plan(self, volumes: Volumes, grid: Grid) -> Params:
        """Find ``mean``, ``std`` and ``voxels``, a list of one number a channel; nothing where a label came alone.

        Warns
        -----
        MriprepWarning
            If the foreground is empty (the image stays as it is) or constant (only its mean is subtracted).

        Raises
        ------
        ResamplingError
            If the mask of the foreground is asked for, and no step before has added it; or if there are two images:
            the moments of one would make the scores of the other.
        VoxelError
            If float32 cannot hold the image, or its z-scores.
        """
        images = volumes.of_kind(IMAGE.kind)
        if not images:
            return {}
        if len(images) > 1:
            names = ", ".join(map(volumes.name, images))
            msg = f"z-scores are made of one image, not of {names}: stack them as channels, or normalise each by itself"
            raise ResamplingError(msg)
        role, image = volumes.image
        name = volumes.name(role)
        if image.dtype.itemsize == 8 and image.is_floating_point():
            compute.intensity.require_magnitudes(image, name)
        moments = compute.intensity.foreground_moments(image, self._mask(volumes, image))
        compute.intensity.require_scores(image, moments, self.epsilon, name)
        for problem in compute.intensity.moment_problems(moments):
            volumes.warn(role, problem)
        return {
            "mean": [one.mean for one in moments],
            "std": [one.std for one in moments],
            "voxels": [one.count for one in moments],
        }

    def _mask(self, volumes: Volumes, image: torch.Tensor) -> torch.Tensor | None:
        if self.over != "foreground":
            return image > 0 if self.over == "positive" else None
        if FOREGROUND not in volumes.by_role:
            msg = "z-scores over the foreground need its mask: put the step 'foreground' before the normalization"
            raise ResamplingError(msg)
        return volumes.by_role[FOREGROUND]

    def carry_out(self, volumes: Volumes, grid: Grid, params: Params) -> Volumes:
        """Normalise the image, and drop the mask."""
        normalised = super().carry_out(volumes, grid, params)
        return normalised.replaced({role: volume for role, volume in normalised.by_role.items() if role != FOREGROUND})

    def apply(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> torch.Tensor:
        """Make float32 z-scores of an image; leave anything else as it is."""
        if role.kind != IMAGE.kind:
            return volume
        return compute.intensity.standardize(volume, _moments_of(params, len(volume)), self.epsilon)

    def invert(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> torch.Tensor:
        """Give an image its own units back."""
        if role.kind != IMAGE.kind:
            return volume
        return compute.intensity.unstandardize(volume, _moments_of(params, len(volume)), self.epsilon)


def _moments_of(params: Params, channels: int) -> tuple[Moments, ...]:
    """The moments of each channel that `Normalization.plan` has found.

    Raises
    ------
    RecordError
        If they are not those of so many channels, as where somebody has edited a record.
    """
    try:
        found = zip(range(channels), params["voxels"], params["mean"], params["std"], strict=True)
        return tuple(compute.intensity.Moments(int(count), float(mean), float(std)) for _, count, mean, std in found)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        msg = f"the z-scores of {channels} channels cannot be undone by {dict(params)!r}: preprocess the case again"
        raise RecordError(msg) from error
