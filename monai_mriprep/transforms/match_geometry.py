"""See to it that image and label lie on one grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import torch
from monai.data.meta_tensor import MetaTensor
from monai.transforms.transform import MapTransform
from monai.utils.enums import TransformBackends

from monai_mriprep.dataset.checks import check_grids
from monai_mriprep.errors import GeometryError, ResamplingError
from monai_mriprep.transforms.axes import CACHES
from monai_mriprep.transforms.tensors import as_tracked, file_of, grid_of, has_place, on_grid, tensor_of, volume_of
from monai_mriprep.types import IMAGE, LABEL, GeometryPolicy
from monai_mriprep.volume.geometry import Grid, same_grid_problem
from monai_mriprep.volume.onto import resample_label_onto

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

__all__ = ["MatchGeometryd", "check_policy"]


def check_policy(geometry: GeometryPolicy) -> GeometryPolicy:
    """Refuse what is not a policy.

    Raises
    ------
    ResamplingError
        If it is not one of the three.
    """
    if geometry not in get_args(GeometryPolicy):
        msg = f"geometry must be strict, resample_label or resample, not {geometry!r}"
        raise ResamplingError(msg)
    return geometry


class MatchGeometryd(MapTransform):
    """See to it that image and label lie on one grid.

    Parameters
    ----------
    image_key, label_key
        The two volumes.
    geometry
        ``strict``: an error where they do not. ``resample_label`` and ``resample``: the label is put on the image's
        grid, nearest neighbour; what lies outside it is background.
    allow_missing_keys
        Skip a case that lacks one of the two instead of raising.

    Raises
    ------
    GeometryError
        Under ``strict``, with both geometries in the message.
    ResamplingError
        If `geometry` is not known; where the label is to be moved, if one of two volumes that differ is a plain tensor,
        which has no affine.
    """

    backend = (TransformBackends.TORCH,)

    def __init__(
        self,
        image_key: str = IMAGE.name,
        label_key: str = LABEL.name,
        geometry: GeometryPolicy = "strict",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__([image_key, label_key], allow_missing_keys)
        self.image_key = image_key
        self.label_key = label_key
        self.geometry = check_policy(geometry)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of `data`, the label on the image's grid."""
        volumes = [volume_of(data[key], str(key)) for key in self.key_iterator(data)]
        if len(volumes) < 2:
            return dict(data)
        image, label = volumes
        grid, label_grid = grid_of(image), grid_of(label)
        if self.geometry == "strict":
            self._check(image, grid, label, label_grid)
        if same_grid_problem(grid, label_grid) is None:
            return dict(data)
        for key, volume in ((self.image_key, image), (self.label_key, label)):
            if not has_place(volume):
                msg = f"{key}: a plain tensor has no affine, so where the label belongs is not known. {CACHES}"
                raise ResamplingError(msg)
        moved = resample_label_onto(tensor_of(label), label_grid, grid)
        return {**data, self.label_key: as_tracked(on_grid(moved, grid, label))}

    def _check(self, image: torch.Tensor, grid: Grid, label: torch.Tensor, label_grid: Grid) -> None:
        try:
            keys = self.image_key, self.label_key
            check_grids(file_of(image, keys[0]), grid, file_of(label, keys[1]), label_grid, keys)
        except GeometryError as error:
            if isinstance(image, MetaTensor) and image.meta.get("array_axes") == "zyx":
                raise
            msg = (
                f"{error}\n  the array is not marked as z y x, so these three stand for its axes in the order they have"
            )
            raise GeometryError(msg) from None
