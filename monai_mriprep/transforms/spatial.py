"""One grid for image, label and mask, and the way back."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data.meta_tensor import MetaTensor
from monai.transforms.inverse import InvertibleTransform
from monai.transforms.transform import MapTransform
from monai.utils.enums import TraceKeys, TransformBackends

from monai_mriprep.dataset.checks import check_grids
from monai_mriprep.dataset.statistics import AxisOrder, SpacingStatistics
from monai_mriprep.dataset.target_rules import derive_target
from monai_mriprep.errors import GeometryError, MriprepWarning, ResamplingError
from monai_mriprep.transforms.axes import CACHES, FileAxes, check_array_axes, file_axes
from monai_mriprep.transforms.interpolation import Mode, Order, orders_of
from monai_mriprep.transforms.tensors import (
    as_tracked,
    file_of,
    grid_of,
    has_place,
    on_grid,
    require_magnitudes,
    spacing_marks,
    tensor_of,
    volume_of,
)
from monai_mriprep.volume.axes import Turn, turn_onto
from monai_mriprep.volume.geometry import Grid, same_grid_problem, target_grid
from monai_mriprep.volume.inverse import resample_back
from monai_mriprep.volume.resample import apply_plan, plan_resampling, resample_label_onto

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from monai_mriprep.types import ArrayAxes, Boundary, GeometryPolicy, GridRule, Spacing

__all__ = ["AnisotropyAwareSpacing", "AnisotropyAwareSpacingd", "MatchGeometryd"]

# MONAI does this for its other names in a MetaTensor; without it no tensor with a history can be read from a
# PersistentDataset's cache.
torch.serialization.add_safe_globals([TraceKeys])

VOLUME = "volume"
ONE_VOXEL = Grid((1, 1, 1), np.eye(4))


class MatchGeometryd(MapTransform):
    """See to it that image and label lie on one grid.

    Parameters
    ----------
    image_key, label_key
        The two volumes.
    geometry
        ``strict``: an error where they do not. ``resample_label``: the label is put on the image's grid, nearest
        neighbour; what lies outside it is background.
    allow_missing_keys
        Pass over a case that lacks one of the two, in place of an error.

    Raises
    ------
    GeometryError
        Under ``strict``, with both geometries in the message.
    ResamplingError
        If `geometry` is neither of the two; under ``resample_label``, if one of two volumes that differ is a plain
        tensor, which has no affine.
    """

    backend = (TransformBackends.TORCH,)

    def __init__(
        self,
        image_key: str = "image",
        label_key: str = "label",
        geometry: GeometryPolicy = "strict",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__([image_key, label_key], allow_missing_keys)
        if geometry not in ("strict", "resample_label"):
            msg = f"geometry must be strict or resample_label, not {geometry!r}"
            raise ResamplingError(msg)
        self.image_key = image_key
        self.label_key = label_key
        self.geometry = geometry

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
            check_grids(file_of(image, self.image_key), grid, file_of(label, self.label_key), label_grid)
        except GeometryError as error:
            if isinstance(image, MetaTensor) and image.meta.get("array_axes") == "zyx":
                raise
            msg = (
                f"{error}\n  the array is not marked as z y x, so these three stand for its axes in the order they have"
            )
            raise GeometryError(msg) from None


@dataclass(frozen=True)
class Course:
    """From where to where a case is resampled, and what the first key is called."""

    name: str
    axes: FileAxes
    turn: Turn
    """From the axes of the arrays to those of the file, z y x, in which all is computed."""
    source: Grid
    """Of the arrays, as they are."""
    target: Grid
    """In z y x."""


class AnisotropyAwareSpacingd(MapTransform, InvertibleTransform):
    """Resample to one spacing; the first key fixes the grid for all.

    Images by cubic B-spline, labels by nearest neighbour in their own number type. The affine is tracked, so a later
    MONAI transform sees the true spacing; ``meta["target_spacing"]`` holds the target (z y x), which differs from it
    by less than 1e-3 mm, and less than 1e-3 of it, on an axis that was left as it is; ``meta["grid_spacing"]`` holds
    what the affine says. `SaveNpzd` stores the target only where the two still belong to the tensor.

    The axes of the file are called z y x, whatever the order of the array: `LoadVolumed` hands out z y x and marks its
    tensors (``meta["array_axes"]``), MONAI's `LoadImaged` hands out x y z and does not. Permutations and flips since
    the loading, such as those of `Orientationd`, are followed through the affine. The same voxels of the world are
    computed in each of these cases, with the same bits.

    Parameters
    ----------
    keys
        The first fixes the grid; all lie on it. A plain tensor among the further ones is taken to lie on it, too, if
        it has its shape.
    target
        Spacing in mm, z y x.
    statistics
        In place of `target`: the path of a table of spacing statistics, from which the anisotropy rule of nnU-Net
        (Isensee et al., 2021) makes the target. It needs `axis_order`.
    order
        Spline order 0 to 3, one for all keys or one each; an entry may be a triple for z, y, x.
    grid
        ``monai``, ``nnunet`` or ``itk``: see `monai_mriprep.volume.geometry.target_grid`. Under ``itk``, voxels whose
        centre lies outside the volume become 0, under all keys.
    boundary
        ``nearest`` or ``mirror``.
    clip
        Limit each channel of a spline's result to the range of its input, as nnU-Net does.
    statistics_row, axis_order
        Which row of the table, from 0, where there are several; and the order of its numbers, ``zyx`` or ``xyz``.
    array_axes
        The order of axes in which the loader handed the arrays out, ``xyz`` or ``zyx``, where they are not marked:
        ``xyz`` after MONAI's `LoadImaged`.
    mode
        In place of `order`: ``bicubic``, ``bilinear``, ``nearest``, or an order; one for all keys or one each.
        Without either the first key is an image and the rest are labels, which is only taken for granted where the
        rest are called ``label`` and ``foreground``, and the first does not sound like a label.
    allow_missing_keys
        Pass over keys that are not there, in place of an error; the first that is there fixes the grid.

    Raises
    ------
    ResamplingError
        When it is made: if not exactly one of `target` and `statistics` is given, a table comes without `axis_order`,
        or an option is not known or does not fit the keys. When it is called: if the axes of the array are not known.
    GeometryError
        If a further key does not lie on the grid of the first.

    Warns
    -----
    MriprepWarning
        If the table's target is finer along z than in-plane; and if the first key is a plain tensor, without affine,
        whose voxels are taken for 1 mm, as MONAI's `Spacingd` does.
    """

    backend = (TransformBackends.TORCH,)

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
        array_axes: ArrayAxes | None = None,
        mode: Mode | Sequence[Mode] | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.orders = orders_of(_unique(self.keys), mode, order)
        self.target = _target(target, statistics, statistics_row, axis_order)
        self.grid = grid
        self.boundary = boundary
        self.clip = clip
        self.array_axes = check_array_axes(array_axes)
        for key_order in self.orders:  # a trial, so that what is wrong is said here and not in a worker
            plan_resampling(ONE_VOXEL, target_grid(ONE_VOXEL, self.target, grid), key_order, boundary)

    def get_transform_info(self) -> dict[str, Any]:
        """As MONAI's, without the identity of this object: a copy in another process must be able to invert."""
        return {**super().get_transform_info(), TraceKeys.ID: TraceKeys.NONE}

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of `data` on the target grid."""
        result = dict(data)
        volumes = {key: volume_of(result[key], str(key)) for key in self.key_iterator(result)}
        if not volumes:
            return result
        course = self._course(*next(iter(volumes.items())))
        for key, order in self.key_iterator(result, self.orders):
            volume = self._checked(volumes[key], str(key), course)
            result[key] = as_tracked(self._resampled(volume, course, order))
        return result

    def _course(self, key: Hashable, first: torch.Tensor) -> Course:
        name, source = file_of(first, str(key)), grid_of(first)
        axes = file_axes(first, name, self.array_axes)
        turn = axes.turn(first)
        return Course(name, axes, turn, source, target_grid(turn.grid(source), self.target, self.grid))

    def _checked(self, volume: torch.Tensor, key: str, course: Course) -> MetaTensor:
        """With its place and the mark of its axes; an error where it does not lie on the grid of the first key."""
        name = file_of(volume, key)
        is_plain = not has_place(volume) and volume.shape[1:] == course.source.shape
        grid = course.source if is_plain else grid_of(volume)
        check_grids(course.name, course.turn.grid(course.source), name, course.turn.grid(grid))  # messages speak z y x
        axes = course.axes if is_plain else file_axes(volume, name, self.array_axes)
        if has_place(volume) and axes.mark.keys() <= volume.meta.keys():
            return volume
        return on_grid(tensor_of(volume), grid, volume, **axes.mark)

    def _resampled(self, volume: MetaTensor, course: Course, order: Order) -> torch.Tensor:
        source = course.turn.grid(course.source)
        plan = plan_resampling(source, course.target, order, self.boundary, zero_outside=self.grid == "itk")
        if volume.is_floating_point() and not plan.is_nearest:
            require_magnitudes(volume, file_of(volume, course.name))
        tensor = apply_plan(course.turn.array(volume.as_tensor()), plan, clip=self.clip)
        back = course.turn.back
        turned = back.array(tensor).contiguous()
        result: torch.Tensor = on_grid(
            turned, back.grid(course.target), volume, **spacing_marks(self.target, course.target)
        )
        extra = {
            "mode": _mode_of(plan.orders),  # a name that Invertd's nearest_interp replaces
            "order": list(plan.orders),
            "own_affine": volume.affine.clone(),
            "source_affine": torch.from_numpy(course.source.affine.copy()),  # the own may differ by noise
            "target_affine": torch.from_numpy(course.target.affine.copy()),
            "target_shape": list(course.target.shape),
        }
        self.push_transform(result, orig_size=course.source.shape, extra_info=extra)
        return result

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of `data` on the original grids: exactly their shape and affine.

        Integer tensors, and those that were resampled by nearest neighbour, go back by nearest neighbour, others by
        the spline order they came with. It starts from where the tensor lies now, so what was padded or cropped since
        goes back, too: padding is left out, and where nothing is left there are zeros. Keys that are no longer there,
        such as a mask that was deleted, are passed over.

        Raises
        ------
        ResamplingError
            If a tensor has no record of this transform.
        """
        result = dict(data)
        for key in (key for key in self.keys if key in result):
            result[key] = as_tracked(self._restored(volume_of(result[key], str(key)), str(key)))
        return result

    def _restored(self, volume: torch.Tensor, key: str) -> MetaTensor:
        info, earlier = self._record(volume, key)
        extra = info[TraceKeys.EXTRA_INFO]
        source = _recorded_grid(info[TraceKeys.ORIG_SIZE], extra["source_affine"])
        target = _recorded_grid(extra["target_shape"], extra["target_affine"])
        grid = grid_of(volume)
        turn, home = (turn_onto(place.affine, target.affine) for place in (grid, source))
        is_label = extra["mode"] == "nearest" or not volume.is_floating_point()
        order = 0 if is_label else [int(n) for n in extra["order"]]
        turned = turn.array(tensor_of(volume))
        tensor = resample_back(turned, turn.grid(grid), target, home.grid(source), order, self.boundary)
        own = _recorded_grid(source.shape, extra["own_affine"])
        result = on_grid(home.back.array(tensor).contiguous(), own, volume)
        for mark in ("target_spacing", "grid_spacing"):  # true no longer
            result.meta.pop(mark, None)
        result.applied_operations = earlier
        return result

    def _record(self, volume: torch.Tensor, key: str) -> tuple[dict[Any, Any], list[dict[Any, Any]]]:
        """What the last call wrote into the history, and the history before that.

        What stands after it, such as the padding of a batch, has no place on the original grid.
        """
        operations = volume.applied_operations if isinstance(volume, MetaTensor) else []
        for index in reversed(range(len(operations))):
            if operations[index].get(TraceKeys.CLASS_NAME) == type(self).__name__:
                return operations[index], list(operations[:index])
        msg = (
            f"{key}: no record of {type(self).__name__} in the history of the tensor; a plain tensor has none. {CACHES}"
        )
        raise ResamplingError(msg)


def _mode_of(orders: Sequence[int]) -> str:
    return {0: "nearest", 1: "bilinear"}.get(max(orders), "bicubic")


def _unique(keys: Sequence[Hashable]) -> Sequence[Hashable]:
    if len(set(keys)) < len(keys):
        msg = f"each key must be named once, not {list(keys)}"
        raise ResamplingError(msg)
    return keys


def _recorded_grid(shape: Sequence[int], affine: torch.Tensor) -> Grid:
    z, y, x = (int(n) for n in shape)
    return Grid((z, y, x), torch.as_tensor(affine).cpu().numpy().reshape(4, 4))


def _target(
    target: Sequence[float] | None, statistics: str | Path | None, row: int | None, axis_order: AxisOrder | None
) -> Spacing:
    if target is None and statistics is not None:
        if axis_order is None:
            msg = (
                f"{statistics}: whether its numbers are z y x or x y z cannot be checked without the scans; say "
                'axis_order="zyx" or "xyz", or use open_dataset, which checks it'
            )
            raise ResamplingError(msg)
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


class AnisotropyAwareSpacing(InvertibleTransform):
    """The same for one array or tensor: see `AnisotropyAwareSpacingd`.

    Parameters
    ----------
    target
        Spacing in mm, z y x.
    mode
        ``bicubic``, ``bilinear``, ``nearest``, or a spline order from 0 to 3.
    **options
        Those of `AnisotropyAwareSpacingd`.
    """

    backend = AnisotropyAwareSpacingd.backend
    of_keys = AnisotropyAwareSpacingd

    def __init__(self, target: Sequence[float] | None = None, mode: Mode = "bicubic", **options: Any) -> None:
        self.of_one = self.of_keys(VOLUME, target, mode=mode, **options)

    def __call__(self, volume: Any) -> torch.Tensor:
        """Return the volume on the target grid."""
        result: torch.Tensor = self.of_one({VOLUME: volume})[VOLUME]
        return result

    def inverse(self, volume: Any) -> torch.Tensor:
        """Return it on its original grid."""
        result: torch.Tensor = self.of_one.inverse({VOLUME: volume})[VOLUME]
        return result
