"""What all steps share that scale the image by its foreground."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from monai_mriprep import volume as compute
from monai_mriprep.errors import RecordError, ResamplingError
from monai_mriprep.steps.base import Box, Params, Step, Volumes, moves_voxels
from monai_mriprep.types import FOREGROUND, IMAGE, Role
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    import torch

    from monai_mriprep.volume.intensity import Moments

__all__ = ["Intensities", "Over", "of_each_channel"]


Over = Literal["foreground", "nonzero", "positive", "all"]


class Intensities(Step):
    """A change of the values of an image alone, each channel by its own foreground; a subclass says which.

    The moments of the foreground, as it was before the change, are in the trace whatever the subclass does.

    Parameters
    ----------
    over
        ``foreground``: the mask that a step before has added, which is dropped afterwards. ``nonzero``, ``positive``:
        the image's own voxels at this stage. ``all``: every voxel.
    """

    over: Over = "nonzero"

    def plan(self, volumes: Volumes, grid: Grid) -> Params:
        """Find ``mean``, ``std`` and ``voxels``, a list of one number a channel; nothing where a label came alone.

        Raises
        ------
        ResamplingError
            If the mask of the foreground is asked for, and no step before has added it; or if there are two images:
            the foreground of one would scale the other.
        VoxelError
            If float32 cannot hold the image, or the sums of which its moments are made.
        """
        images = volumes.of_kind(IMAGE.kind)
        if not images:
            return {}
        if len(images) > 1:
            names = ", ".join(map(volumes.name, images))
            msg = f"the foreground is that of one image, not of {names}: stack them as channels, or scale each alone"
            raise ResamplingError(msg)
        role, image = volumes.image
        if image.dtype.itemsize == 8 and image.is_floating_point():
            compute.intensity.require_magnitudes(image, volumes.name(role))
        moments = self.moments_of(image, self.mask_of(volumes))
        compute.intensity.require_finite_moments(moments, volumes.name(role))
        return {
            "mean": [one.mean for one in moments],
            "std": [one.std for one in moments],
            "voxels": [one.count for one in moments],
        }

    def moments_of(self, image: torch.Tensor, mask: torch.Tensor | None) -> tuple[Moments, ...]:
        """Those of each channel, of the values where the mask is; without one where they are not zero."""
        return compute.intensity.foreground_moments(image, mask)

    def mask_of(self, volumes: Volumes) -> torch.Tensor | None:
        """Where the foreground is, of the shape of the image or of one channel; None for its non-zero voxels.

        Raises
        ------
        ResamplingError
            If no step before has added the mask that is asked for.
        """
        if self.over == "all":
            _, image = volumes.image
            return (image.new_ones(()) != 0).expand(1, *image.shape[1:])
        if self.over != "foreground":
            return volumes.image[1] > 0 if self.over == "positive" else None
        if FOREGROUND not in volumes.by_role:
            msg = "intensities over the foreground need its mask: put the step 'foreground' before the normalization"
            raise ResamplingError(msg)
        return volumes.by_role[FOREGROUND]

    def carry_out(self, volumes: Volumes, grid: Grid, params: Params) -> Volumes:
        """Scale the image, and drop the mask."""
        scaled = super().carry_out(volumes, grid, params)
        return scaled.replaced({role: volume for role, volume in scaled.by_role.items() if role != FOREGROUND})

    def apply(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> torch.Tensor:
        """Scale an image, as float32; leave anything else as it is."""
        return self.scaled(volume, params) if role.kind == IMAGE.kind else volume

    def apply_part(
        self, part: torch.Tensor, given: Box, wanted: Box, role: Role, grid: Grid, params: Params
    ) -> torch.Tensor:
        """Each voxel goes by itself."""
        return self.apply(part, role, grid, params)

    @moves_voxels
    def invert(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> torch.Tensor:
        """Give an image its own units back."""
        return self.unscaled(volume, params) if role.kind == IMAGE.kind else volume

    def scaled(self, image: torch.Tensor, params: Params) -> torch.Tensor:
        """The image, ``(C, D, H, W)``, as float32, by what `plan` has found."""
        return image.float()

    def unscaled(self, image: torch.Tensor, params: Params) -> torch.Tensor:
        """The inverse of `scaled`."""
        return image.float()


def of_each_channel(params: Params, channels: int, *names: str) -> list[tuple[float, ...]]:
    """For each channel the numbers of these names that a plan has found.

    Raises
    ------
    RecordError
        If they are not those of so many channels, as where somebody has edited a record.
    """
    try:
        columns = zip(range(channels), *(params[name] for name in names), strict=True)
        found = [tuple(map(_finite, numbers)) for _, *numbers in columns]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        msg = f"the values of {channels} channels cannot be undone by {dict(params)!r}: preprocess the case again"
        raise RecordError(msg) from error
    return found


def _finite(number: object) -> float:
    value = float(number)  # type: ignore[arg-type]
    if not math.isfinite(value):
        msg = f"{value} is not finite"
        raise ValueError(msg)
    return value
