"""Put every volume of a case on one grid of the target spacing, and predictions back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monai_mriprep import volume as compute
from monai_mriprep.errors import ResamplingError
from monai_mriprep.recipe.values import SpacingTriple, SplineOrders
from monai_mriprep.steps.base import Box, Params, Step, Volumes
from monai_mriprep.types import FOREGROUND, IMAGE, PREDICTION, Boundary, Clip, GridRule, Role
from monai_mriprep.volume.geometry import Grid, target_grid

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from monai_mriprep.volume.resample import ResamplingPlan

__all__ = ["ItkResampling", "Resampling"]

SAME_DIRECTION = 1e-9
"""Direction cosines this near are those of the file, but for the last digits."""


class Resampling(Step):
    """Resample to one spacing: images by spline, labels and masks by nearest neighbour in their own number type.

    The way back: integers, labels and masks by nearest neighbour; predictions in floats linearly, each channel by
    itself; beyond the outermost voxel centres the edge is repeated. Only an image goes back by its own order and
    boundary.

    Parameters
    ----------
    target
        Spacing in mm, z y x.
    rule
        One of `monai_mriprep.volume.geometry.target_grid`. Under ``itk``, voxels whose centre lies outside the volume
        become 0.
    order
        Spline order of the image, 0 to 3; one for all axes or one each for z, y, x.
    boundary
        ``nearest`` or ``mirror``.
    clip
        Limit each channel of the image to the range it had; ``slice``: each slice across an axis of order 0.
    """

    name = "resampling"
    target: SpacingTriple
    rule: GridRule = "monai"
    order: SplineOrders = 3
    boundary: Boundary = "nearest"
    clip: Clip = False

    def grid(self, grid: Grid, params: Params | None = None) -> Grid:
        """The target grid; in the parameters it is recorded, bit for bit."""
        return target_grid(grid, self.target, self.rule) if params is None else Grid.from_json(params["grid"])

    def plan(self, volumes: Volumes, grid: Grid) -> Params:
        """Fix the target grid; refuse an image of magnitudes that float32 cannot compute with."""
        for role, image in volumes.of_kind(IMAGE.kind).items():
            if image.is_floating_point() and np.any(self.order):
                compute.intensity.require_magnitudes(image, volumes.name(role))
        return {"grid": self.grid(grid).to_json()}

    def apply(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> torch.Tensor:
        """Resample one volume."""
        return compute.resample.apply_plan(volume, self.plan_there(role, grid, params), clip=self.clip)

    def plan_there(self, role: Role, grid: Grid, params: Params) -> ResamplingPlan:
        """How `apply` resamples a volume on `grid`."""
        order = self.order if role.kind == IMAGE.kind else 0
        target = self.grid(grid, params)
        return compute.resample.plan_resampling(grid, target, order, self.boundary, zero_outside=self.rule == "itk")

    @property
    def needs_whole(self) -> bool:
        """Whether the range of the whole image limits it."""
        return bool(self.clip)

    def needed(self, box: Box, role: Role, grid: Grid, params: Params) -> Box:
        """The voxels that have a weight that counts."""
        return compute.parts.needed_box(self.plan_there(role, grid, params), box)

    def apply_part(
        self, part: torch.Tensor, given: Box, wanted: Box, role: Role, grid: Grid, params: Params
    ) -> torch.Tensor:
        """Resample to a part of the target grid."""
        return compute.parts.resample_part(part, self.plan_there(role, grid, params), given, wanted)

    def invert(self, volume: torch.Tensor, role: Role, grid: Grid, params: Params) -> torch.Tensor:
        """Resample onto the source grid.

        Raises
        ------
        ResamplingError
            If values that are to be interpolated are not finite: one of them would spoil a whole block of voxels.
        """
        plan = self.plan_back(role, grid, params, linear=role.is_continuous and volume.is_floating_point())
        _require_finite(volume, role, plan)
        return compute.resample.apply_plan(volume, plan)

    def invert_to_classes(self, scores: torch.Tensor, grid: Grid, params: Params) -> torch.Tensor:
        """The class numbers, ``(1, D, H, W)``, that `invert` and an argmax over the channels would make of scores.

        Raises
        ------
        ResamplingError
            As `invert`.
        """
        plan = self.plan_back(PREDICTION, grid, params, linear=True)
        _require_finite(scores, PREDICTION, plan)
        return compute.argmax.resample_argmax(scores, plan)[None]

    def plan_back(self, role: Role, grid: Grid, params: Params, linear: bool) -> ResamplingPlan:
        """How `invert` resamples a volume onto `grid`; `linear` for floats that are no labels, which interpolates."""
        order, boundary = (self.order, self.boundary) if role.kind == IMAGE.kind else (int(linear), "nearest")
        return compute.resample.plan_resampling(self.grid(grid, params), grid, order, boundary)


class ItkResampling(Resampling):
    """The same on the grid ``itk``, cubic and mirrored; and the mask of what ITK finds greater than zero.

    Where only rounding errors tell, the mask has ITK's answer: see `monai_mriprep.volume.itk_spline`.
    """

    name = "itk_resampling"
    rule: GridRule = "itk"
    boundary: Boundary = "mirror"

    apply_part = Resampling.apply_part

    def carry_out(self, volumes: Volumes, grid: Grid, params: Params) -> Volumes:
        """Resample all volumes, and add the mask of the image."""
        resampled = super().carry_out(volumes, grid, params)
        if not volumes.of_kind(IMAGE.kind):
            return resampled
        role, image = volumes.image
        direction = _stated_direction(volumes.direction, grid)
        channels = zip(_array(image), _array(resampled.by_role[role]), strict=True)
        positive = compute.itk_spline.positive_as_itk
        masks = [positive(channel, grid, direction, self.target, found) for channel, found in channels]
        mask = image.new_tensor(np.stack(masks)) != 0
        return resampled.replaced({**resampled.by_role, FOREGROUND: mask})

    def working_bytes(self, grid: Grid) -> int:
        """The spline of the input, in float64."""
        return 8 * int(np.prod(grid.shape))


def _require_finite(volume: torch.Tensor, role: Role, plan: ResamplingPlan) -> None:
    """Refuse nan and infinities to interpolate, which the zeros of a product turn into nan far around them."""
    if plan.is_nearest or plan.is_identity or not volume.is_floating_point():
        return
    if not compute.resample.is_finite(volume):
        msg = (
            f"the {role.name} holds values that are not finite (nan or infinite), so it cannot be interpolated: put "
            "numbers in their place, or ask for nearest neighbour"
        )
        raise ResamplingError(msg)


def _array(volume: torch.Tensor) -> NDArray[np.generic]:
    array: NDArray[np.generic] = volume.detach().cpu().numpy()
    return array


def _stated_direction(stated: NDArray[np.float64] | None, grid: Grid) -> NDArray[np.float64]:
    """The columns of the grid's direction, with every digit of the file's where an axis is one of the file's."""
    direction = grid.direction.copy()
    for axis in range(3):
        for column in () if stated is None else (*stated.T, *-stated.T):
            if np.abs(column - direction[:, axis]).max() < SAME_DIRECTION:
                direction[:, axis] = column
    return direction
