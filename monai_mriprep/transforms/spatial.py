"""One grid for image, label and mask, and the way back."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from monai.config import KeysCollection
from monai.data.meta_tensor import MetaTensor
from monai.transforms.inverse import InvertibleTransform
from monai.transforms.transform import MapTransform, Transform
from monai.utils.enums import TraceKeys

from monai_mriprep.dataset.preflight import check_grids
from monai_mriprep.dataset.statistics import AxisOrder, SpacingStatistics
from monai_mriprep.dataset.target_rules import derive_target
from monai_mriprep.errors import MriprepWarning, ResamplingError
from monai_mriprep.transforms.volumes import file_of, grid_of, on_grid
from monai_mriprep.volume.geometry import Grid, same_grid_problem, target_grid
from monai_mriprep.volume.resample import apply_plan, plan_resampling, resample_label_onto

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from monai_mriprep.types import Boundary, GeometryPolicy, GridRule, Spacing

__all__ = ["AnisotropyAwareSpacingd", "MatchGeometryd"]

# MONAI does this for its other names in a MetaTensor; without it no tensor with a history can be read from a
# PersistentDataset's cache.
torch.serialization.add_safe_globals([TraceKeys])


class MatchGeometryd(Transform):
    """See to it that image and label lie on one grid.

    Parameters
    ----------
    image_key, label_key
        The two volumes.
    geometry
        ``strict``: an error where they do not. ``resample_label``: the label is put on the image's grid, nearest
        neighbour; what lies outside it is background.

    Raises
    ------
    GeometryError
        Under ``strict``, with both geometries in the message.
    ResamplingError
        If `geometry` is neither of the two.
    """

    def __init__(self, image_key: str = "image", label_key: str = "label", geometry: GeometryPolicy = "strict") -> None:
        if geometry not in ("strict", "resample_label"):
            msg = f"geometry must be strict or resample_label, not {geometry!r}"
            raise ResamplingError(msg)
        self.image_key = image_key
        self.label_key = label_key
        self.geometry = geometry

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of `data`, the label on the image's grid."""
        image, label = data[self.image_key], data[self.label_key]
        grid, label_grid = grid_of(image), grid_of(label)
        if self.geometry == "strict":
            check_grids(file_of(image, self.image_key), grid, file_of(label, self.label_key), label_grid)
        if same_grid_problem(grid, label_grid) is None:
            return dict(data)
        moved = resample_label_onto(label.as_tensor(), label_grid, grid)
        return {**data, self.label_key: on_grid(moved, grid, label)}


class AnisotropyAwareSpacingd(MapTransform, InvertibleTransform):
    """Resample to one spacing; the first key fixes the grid for all.

    Images by cubic B-spline, the rest by nearest neighbour in its own number type. The affine is tracked, so a later
    MONAI transform sees the true spacing; ``meta["target_spacing"]`` holds the target (z y x), which differs from it
    by less than 1e-3 mm, and less than 1e-3 of it, on an axis that was left as it is.

    Parameters
    ----------
    keys
        The first is the image; label and masks follow, on the same grid.
    target
        Spacing in mm, z y x.
    statistics
        In place of `target`: the path of a table of spacing statistics, from which the anisotropy rule of nnU-Net
        (Isensee et al., 2021) makes the target.
    order
        Spline order 0 to 3, one for all keys or one each; an entry may be a triple for z, y, x. By default 3 for the
        first key and 0 for the rest.
    grid
        ``monai``, ``nnunet`` or ``itk``: see `monai_mriprep.volume.geometry.target_grid`. Under ``itk``, voxels whose
        centre lies outside the volume become 0, under all keys.
    boundary
        ``nearest`` or ``mirror``.
    clip
        Limit a spline's result to the range of its input, as nnU-Net does.
    statistics_row, axis_order
        Which row of the table, from 0, where there are several; and ``xyz`` where its numbers are in that order.

    Raises
    ------
    ResamplingError
        If not exactly one of `target` and `statistics` is given, or `order` does not fit the keys.
    GeometryError
        If a further key does not lie on the grid of the first.

    Warns
    -----
    MriprepWarning
        If the table's target is finer along z than in-plane: its numbers may be in x y z order, which nothing here can
        tell for certain.
    """

    def __init__(
        self,
        keys: KeysCollection,
        target: Sequence[float] | None = None,
        statistics: str | Path | None = None,
        order: int | Sequence[int | Sequence[int]] | None = None,
        grid: GridRule = "monai",
        boundary: Boundary = "nearest",
        clip: bool = False,
        statistics_row: int | None = None,
        axis_order: AxisOrder | None = None,
    ) -> None:
        super().__init__(keys)
        self.target = _target(target, statistics, statistics_row, axis_order)
        self.orders = _orders(order, len(self.keys))
        self.grid = grid
        self.boundary = boundary
        self.clip = clip

    def get_transform_info(self) -> dict[str, Any]:
        """As MONAI's, without the identity of this object: a copy in another process must be able to invert."""
        return {**super().get_transform_info(), TraceKeys.ID: TraceKeys.NONE}

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of `data` on the target grid."""
        result = dict(data)
        first = result[self.keys[0]]
        source, name = grid_of(first), file_of(first, str(self.keys[0]))
        target = target_grid(source, self.target, self.grid)
        for key, order in self.key_iterator(result, self.orders):
            volume = result[key]
            check_grids(name, source, file_of(volume, str(key)), grid_of(volume))
            result[key] = self._resampled(volume, source, target, order)
        return result

    def _resampled(self, volume: MetaTensor, source: Grid, target: Grid, order: int | Sequence[int]) -> MetaTensor:
        plan = plan_resampling(source, target, order, self.boundary, zero_outside=self.grid == "itk")
        tensor = apply_plan(volume.as_tensor(), plan, clip=self.clip)
        result = on_grid(tensor, target, volume, target_spacing=torch.tensor(self.target, dtype=torch.float64))
        extra = {
            "mode": "nearest" if plan.is_nearest else "bicubic",  # a name that Invertd's nearest_interp replaces
            "order": list(plan.orders),
            "own_affine": volume.affine.clone(),
            "source_affine": torch.from_numpy(source.affine.copy()),  # of the first key; the own may differ by noise
            "target_affine": result.affine.clone(),
            "target_shape": list(target.shape),
        }
        self.push_transform(result, orig_size=source.shape, extra_info=extra)
        return result

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of `data` on the original grids: exactly their shape and affine.

        Integer tensors, and those that were resampled by nearest neighbour, go back by nearest neighbour, others by
        the spline order they came with. Keys that are no longer there, such as a mask that was deleted, are passed
        over.
        """
        result = dict(data)
        for key in (key for key in self.keys if key in result):
            result[key] = self._restored(result[key])
        return result

    def _restored(self, volume: MetaTensor) -> MetaTensor:
        volume = volume.clone()
        info = self.pop_transform(volume)
        volume.meta.pop("target_spacing", None)  # true no longer
        extra = info[TraceKeys.EXTRA_INFO]
        source = _recorded_grid(info[TraceKeys.ORIG_SIZE], extra["source_affine"])
        target = _recorded_grid(extra["target_shape"], extra["target_affine"])
        is_label = extra["mode"] == "nearest" or not volume.is_floating_point()
        order = 0 if is_label else [int(n) for n in extra["order"]]
        plan = plan_resampling(target, source, order, self.boundary)
        own = _recorded_grid(source.shape, extra["own_affine"])
        return on_grid(apply_plan(volume.as_tensor(), plan), own, volume)


def _recorded_grid(shape: Sequence[int], affine: torch.Tensor) -> Grid:
    z, y, x = (int(n) for n in shape)
    return Grid((z, y, x), torch.as_tensor(affine).cpu().numpy().reshape(4, 4))


def _target(
    target: Sequence[float] | None, statistics: str | Path | None, row: int | None, axis_order: AxisOrder | None
) -> Spacing:
    if target is None and statistics is not None:
        derived = derive_target(SpacingStatistics.from_csv(statistics, row, axis_order))
        for message in derived.warnings:
            warnings.warn(f"{statistics}: {message}", MriprepWarning, 3)
        return derived.spacing
    if target is None or statistics is not None:
        msg = "give either target (z y x, mm) or statistics (the path of a table), not both and not neither"
        raise ResamplingError(msg)
    values = tuple(float(value) for value in target)
    if len(values) != 3 or not all(0 < value < float("inf") for value in values):
        msg = f"target must be three positive spacings in mm, z y x, not {target!r}"
        raise ResamplingError(msg)
    return values[0], values[1], values[2]


def _orders(order: int | Sequence[int | Sequence[int]] | None, n_keys: int) -> tuple[int | Sequence[int], ...]:
    if order is None:
        return (3, *(0,) * (n_keys - 1))
    if isinstance(order, int):
        return (order,) * n_keys
    if len(order) != n_keys:
        msg = f"order must be one number, or one entry for each of the {n_keys} keys, not {order!r}"
        raise ResamplingError(msg)
    return tuple(order)
