"""What MONAI hands to a transform, and what it expects back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import torch
from monai.data.meta_obj import get_track_meta
from monai.data.meta_tensor import MetaTensor
from monai.transforms.lazy.functional import apply_pending
from monai.utils.type_conversion import convert_to_tensor

from monai_mriprep.errors import ResamplingError
from monai_mriprep.volume.geometry import Grid

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from monai_mriprep.steps import Params

__all__ = [
    "ANYWHERE",
    "VOLUME",
    "as_tracked",
    "file_of",
    "from_file",
    "grid_of",
    "has_place",
    "on_grid",
    "require_channels",
    "score_marks",
    "spacing_marks",
    "tensor_of",
    "volume_of",
    "with_values",
]


ANYWHERE = Grid((1, 1, 1), np.eye(4))
"""For what changes values alone: where they lie plays no part."""

VOLUME = "volume"
"""The key of the only volume, where a transform of one is that of keys."""


def volume_of(value: Any, name: str) -> torch.Tensor:
    """The tensor of what stands in a dictionary: an array, a tensor, or a MetaTensor whose pending operations are done.

    Raises
    ------
    ResamplingError
        If it is something else, such as a path, or holds complex numbers.
    """
    if isinstance(value, MetaTensor) and value.has_pending_operations:
        value, _ = apply_pending(value.clone())  # it would clear the list of the original
    volume = convert_to_tensor(value) if isinstance(value, np.ndarray) else value
    if not isinstance(volume, torch.Tensor):
        msg = f"{name}: expected a tensor or array (C, D, H, W), not {type(value).__name__}; load it first"
        raise ResamplingError(msg)
    if volume.is_complex():
        msg = f"{name}: expected real values, not {volume.dtype}; take the magnitude first"
        raise ResamplingError(msg)
    return volume


def tensor_of(volume: torch.Tensor) -> torch.Tensor:
    """The values alone."""
    values: torch.Tensor = volume.as_tensor() if isinstance(volume, MetaTensor) else volume
    return values


def grid_of(volume: torch.Tensor) -> Grid:
    """Where a ``(C, D, H, W)`` tensor lies; one that does not know has voxels of 1 mm at the origin, as in MONAI.

    Raises
    ------
    ResamplingError
        If it is of another number of dimensions.
    """
    require_channels(volume)
    z, y, x = volume.shape[1:]
    affine = volume.affine if isinstance(volume, MetaTensor) else torch.eye(4)
    return Grid((z, y, x), affine.detach().cpu().numpy())


def require_channels(volume: torch.Tensor) -> None:
    """Refuse what is not ``(C, D, H, W)``: in a volume without channels each slice would be one.

    Raises
    ------
    ResamplingError
        If it is of another number of dimensions.
    """
    if volume.ndim != 4:
        msg = f"expected a tensor (C, D, H, W), not of shape {tuple(volume.shape)}; EnsureChannelFirstd adds a channel"
        raise ResamplingError(msg)


def has_place(volume: torch.Tensor) -> TypeGuard[MetaTensor]:
    """Whether it knows where it lies; a plain tensor does not, nor a MetaTensor that was made of one."""
    return isinstance(volume, MetaTensor) and volume.meta.get("affine_source") != "none"


def file_of(volume: torch.Tensor, name: str) -> str:
    """The file that a tensor came from, or else `name`."""
    meta = volume.meta if isinstance(volume, MetaTensor) else {}
    return str(meta.get("filename_or_obj", name))


def from_file(path: str | Path, array: NDArray[Any], affine: NDArray[np.float64], **meta: Any) -> MetaTensor:
    """What a file holds, ``(C, D, H, W)``: it knows the file, and is marked as z y x."""
    z, y, x = array.shape[1:]
    meta = {"filename_or_obj": str(path), "original_channel_dim": 0, "space": "RAS", **meta}
    return on_grid(torch.from_numpy(array), Grid((z, y, x), affine), None, **meta)


def on_grid(tensor: torch.Tensor, grid: Grid, like: torch.Tensor | None = None, **meta: Any) -> MetaTensor:
    """A MetaTensor on `grid`, with the history of `like` and what is new in `meta`.

    Without `like` it is marked as z y x, the axes of every `Grid` that was read from a file.
    ``spatial_shape`` stays that of the file, as ``original_affine`` does: MONAI's `SaveImage` resamples onto the two.
    """
    known = like if isinstance(like, MetaTensor) else None
    replaced = ("affine",) if known is None or has_place(known) else ("affine", "affine_source")
    inherited = {k: v for k, v in known.meta.items() if k not in replaced} if known is not None else {}
    operations = list(known.applied_operations) if known is not None else []
    affine = torch.from_numpy(grid.affine.copy())
    if like is None:
        inherited = {"array_axes": "zyx", "original_affine": affine.clone()}
    first_shape = grid.shape if like is None else like.shape[-3:]
    facts = {"spatial_shape": torch.tensor(first_shape), **inherited, **meta}
    return MetaTensor(tensor, affine=affine, meta=facts, applied_operations=operations)


def spacing_marks(target: Sequence[float] | NDArray[np.float64], grid: Grid) -> dict[str, torch.Tensor]:
    """For the metadata of what was resampled: the target that was asked for, and what the grid has (z y x, mm).

    The first is true of a tensor as long as its affine has the second.
    """
    spacings = {"target_spacing": target, "grid_spacing": grid.spacing}
    return {name: torch.tensor(spacing, dtype=torch.float64) for name, spacing in spacings.items()}


def score_marks(moments: Params) -> dict[str, float | torch.Tensor]:
    """For the metadata of what was normalised: the number of the only channel, or a tensor of one each.

    Both can be collated.
    """
    return {
        f"foreground_{name}": numbers[0] if len(numbers) == 1 else torch.tensor(numbers, dtype=torch.float64)
        for name, numbers in moments.items()
    }


def with_values(values: torch.Tensor, like: torch.Tensor, **meta: Any) -> torch.Tensor:
    """What a transform returns that changes values alone: the place and the history of `like`, and what is new.

    A MetaTensor made of a plain tensor says that its affine is no file's: ``meta["affine_source"]`` is ``"none"``.
    """
    if not get_track_meta():
        return values
    known = like if isinstance(like, MetaTensor) else MetaTensor(like, meta={"affine_source": "none"})
    facts = {**{k: v for k, v in known.meta.items() if k != "affine"}, **meta}
    operations = list(known.applied_operations)
    result: torch.Tensor = MetaTensor(values, affine=known.affine.clone(), meta=facts, applied_operations=operations)
    return result


def as_tracked(volume: torch.Tensor) -> torch.Tensor:
    """What a transform returns: the MetaTensor, or after ``set_track_meta(False)`` the plain tensor."""
    return volume if get_track_meta() else tensor_of(volume)
