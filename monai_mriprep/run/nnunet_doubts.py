"""Where nnU-Net, which looks at all voxels before it decides, would have decided otherwise than a recipe.

The records of finished cases hold what the crop has left of each scan, so this can be told once a run has ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from monai_mriprep.dataset.nnunet_plans import MASK_SHARE, normalizes_inside
from monai_mriprep.dataset.statistics import SpacingStatistics, shown_spacing
from monai_mriprep.dataset.target_rules import target_spacing
from monai_mriprep.errors import RecordError
from monai_mriprep.recipe import Recipe
from monai_mriprep.recipe.agreement import OF_CROP
from monai_mriprep.steps.crop import FilledCrop
from monai_mriprep.store.description import StatisticsSource
from monai_mriprep.store.records import Done
from monai_mriprep.types import Shape, Spacing

__all__ = ["asks_nnunet", "nnunet_doubts"]

SAME_TARGET = 1e-6
"""Targets that differ by less than this share are the same."""


class _Crop(NamedTuple):
    """What the crop has left of a scan: its share of the voxels, and size and spacing, z y x."""

    share: float
    shape: Shape
    spacing: Spacing


def asks_nnunet(recipe: Recipe) -> bool:
    """Whether there is anything to compare: nnU-Net's crop, and z-scores over it."""
    return recipe.crop == "nonzero_filled" and recipe.normalization.foreground in OF_CROP


def nnunet_doubts(
    recipe: Recipe, target: Spacing, source: StatisticsSource, records: Iterable[Done | None]
) -> Iterator[str]:
    """A sentence for the mask and one for the target, where nnU-Net's own rules give another.

    Parameters
    ----------
    recipe, target
        Of the records; the target is in z y x.
    source
        Where the target comes from. It is compared where ``target_rule: nnunet`` has computed it from the headers,
        which do not tell sizes after the crop. Of a test set nothing is compared.
    records
        Of finished cases; None and those without a trace do not count.
    """
    if not asks_nnunet(recipe) or source == "training":
        return
    axes = recipe.transposition(target)
    crops = [crop for record in records if record is not None and (crop := _crop_of(record, axes)) is not None]
    if crops:
        yield from _of_mask(recipe, crops)
        if source == "computed" and recipe.named_rule == "nnunet":
            yield from _of_target(target, crops)


def _crop_of(record: Done, axes: Sequence[int]) -> _Crop | None:
    try:
        steps = record.trace.steps
    except RecordError:
        return None
    for step, params, grid in ((one.step, one.params, one.grid_in) for one in steps):
        if isinstance(step, FilledCrop):
            left = step.grid(grid, params)
            z, y, x = np.argsort(axes).tolist()
            shape, spacing = left.shape, left.spacing
            share = float(np.prod(shape) / np.prod(grid.shape))
            return _Crop(share, (shape[z], shape[y], shape[x]), (spacing[z], spacing[y], spacing[x]))
    return None


def _of_mask(recipe: Recipe, crops: Sequence[_Crop]) -> Iterator[str]:
    shares = [crop.share for crop in crops]
    wanted = "filled" if normalizes_inside(shares) else "crop"
    if recipe.normalization.foreground != wanted:
        relation, inside = ("less than", "inside the mask") if wanted == "filled" else ("at least", "over all of it")
        key = f"`normalization: {{foreground: {wanted}}}`"
        yield (
            f"the crop leaves {np.median(shares):.1%} of the median scan, {relation} {MASK_SHARE:.0%}, so nnU-Net "
            f"would normalise {inside}; to do so, set {key} and run again with --redo"
        )


def _of_target(target: Spacing, crops: Sequence[_Crop]) -> Iterator[str]:
    statistics = SpacingStatistics.from_spacings(crop.spacing for crop in crops)
    sizes = np.median([crop.shape for crop in crops], axis=0).tolist()
    wanted = target_spacing(statistics, "nnunet", sizes)
    if not np.allclose(wanted, target, rtol=SAME_TARGET, atol=0):
        yield (
            f"by the sizes after the crop, nnU-Net would take the target spacing {shown_spacing(wanted)} mm (z y x) "
            f"where this is {shown_spacing(target)}; to take it, set `target_spacing` and run again with --redo"
        )
