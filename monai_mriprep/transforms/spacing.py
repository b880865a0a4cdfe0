"""Resampling to one spacing, alone or with z-scores: the pair that is easily done wrong."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms.inverse import InvertibleTransform
from monai.utils.misc import ensure_tuple

from monai_mriprep.dataset.statistics import AxisOrder, SpacingStatistics
from monai_mriprep.dataset.target_rules import derive_target
from monai_mriprep.errors import MriprepWarning, ResamplingError
from monai_mriprep.steps import Step, Trace, forward
from monai_mriprep.steps.foreground import ForegroundMask
from monai_mriprep.steps.normalization import Normalization
from monai_mriprep.steps.resampling import Resampling
from monai_mriprep.transforms.apply_steps import CaseOnGrid, StepShelld
from monai_mriprep.transforms.interpolation import Mode, Order, orders_of
from monai_mriprep.transforms.tensors import ANYWHERE, VOLUME
from monai_mriprep.types import IMAGE, LABEL, Kind, Role
from monai_mriprep.volume.geometry import target_grid
from monai_mriprep.volume.resample import plan_resampling

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from monai_mriprep.types import ArrayAxes, Boundary, GridRule, Spacing

__all__ = [
    "AnisotropyAwareSpacing",
    "AnisotropyAwareSpacingd",
    "ResampleNormalize",
    "ResampleNormalized",
    "checked_target",
]


class AnisotropyAwareSpacingd(StepShelld):
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
        One of `monai_mriprep.volume.geometry.target_grid`, such as ``monai``. Under ``itk``, voxels whose
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
        Skip keys that are not there instead of raising; the first that is there fixes the grid.

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
        orders = orders_of(_unique(ensure_tuple(keys)), mode, order)
        self.target = _target(target, statistics, statistics_row, axis_order)
        self.grid = grid
        self.boundary = boundary
        self.clip = bool(clip)
        for key_order in orders:  # a trial, so that what is wrong is said here and not in a worker
            plan_resampling(ANYWHERE, target_grid(ANYWHERE, self.target, grid), key_order, boundary)
        kinds: list[Kind] = [IMAGE.kind if np.any(order) else LABEL.kind for order in orders]
        roles = {key: Role(str(key), "", kind) for key, kind in zip(ensure_tuple(keys), kinds, strict=True)}
        super().__init__(roles, array_axes, allow_missing_keys)
        self.steps_of_role = {role: self._steps(order) for role, order in zip(roles.values(), orders, strict=True)}

    def _steps(self, order: Order) -> tuple[Step, ...]:
        """What is done to one key."""
        settings = {"target": self.target, "rule": self.grid, "order": order, "boundary": self.boundary}
        return (Resampling.model_validate({**settings, "clip": self.clip}),)

    def _forward(
        self, case: CaseOnGrid, volumes: dict[Hashable, torch.Tensor]
    ) -> dict[Role, tuple[torch.Tensor, Trace]]:
        """Each key has an order of its own, so each has its own steps; the grid is one."""
        taken, done = case.take(volumes, self.roles), {}
        for role, volume in taken.by_role.items():
            alone, trace = forward(self.steps_of_role[role], taken.replaced({role: volume}), case.grid)
            done[role] = alone.by_role[role], trace
        return done


class ResampleNormalized(AnisotropyAwareSpacingd):
    """Resample all keys to one spacing, and make z-scores of the images over their native foreground.

    The mask of the non-zero voxels of each image is taken on its own grid and carried to the target grid by nearest
    neighbour, because a spline leaves hardly any voxel at 0; mean and deviation are those of the image inside it. It
    equals `NonZeroMaskd`, `AnisotropyAwareSpacingd` and `NormalizeNonZerod` with that mask, bit for bit. What goes by
    nearest neighbour is a label, and only resampled. The inverse is that of `AnisotropyAwareSpacingd`: it returns the
    grid, and leaves the z-scores.

    Parameters
    ----------
    keys, target, **options
        As for `AnisotropyAwareSpacingd`.

    Examples
    --------
    >>> pair = ResampleNormalized(["image", "label"], target=(3.0, 1.0, 1.0))
    """

    def _steps(self, order: Order) -> tuple[Step, ...]:
        resampling = super()._steps(order)
        return (ForegroundMask(), *resampling, Normalization(over="foreground")) if np.any(order) else resampling


def _unique(keys: Sequence[Hashable]) -> Sequence[Hashable]:
    if len(set(map(str, keys))) < len(keys):
        msg = f"each key must be named once, not {list(keys)}"
        raise ResamplingError(msg)
    return keys


def _target(
    target: Sequence[float] | None, statistics: str | Path | None, row: int | None, axis_order: AxisOrder | None
) -> Spacing:
    if target is not None and statistics is None:
        return checked_target(target)
    if target is not None or statistics is None:
        msg = "give either target (z y x, mm) or statistics (the path of a table), one of the two"
        raise ResamplingError(msg)
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


def checked_target(target: Sequence[float]) -> Spacing:
    """Three positive spacings in mm, z y x.

    Raises
    ------
    ResamplingError
        If they are something else.
    """
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


class ResampleNormalize(AnisotropyAwareSpacing):
    """The same for one array or tensor: see `ResampleNormalized`.

    Parameters
    ----------
    target, mode, **options
        As for `AnisotropyAwareSpacing`.
    """

    of_keys = ResampleNormalized
