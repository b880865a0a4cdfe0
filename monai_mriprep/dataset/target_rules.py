"""The target spacing that follows from the statistics of a dataset."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from monai_mriprep.dataset.statistics import RATIO_TOLERANCE, SpacingStatistics, shown_spacing
from monai_mriprep.errors import StatisticsError
from monai_mriprep.types import Spacing, TargetRule

__all__ = ["TargetDerivation", "derive_target", "target_spacing"]

ANISOTROPY_RATIO = 3.0
"""If median z / median x is at least this, z is the 10th percentile. From nnU-Net, whose rule has more conditions."""

NNUNET_FLOOR_MM = 1e-5
"""nnU-Net adds this to the coarser of the other axes, if the 10th percentile is finer than that."""

COSTLY = 2.0
"""Warn if a target makes more than this many times the voxels of the median spacing."""


@dataclass(frozen=True)
class TargetDerivation:
    """The target spacing, the reason for it, and what needs review.

    Parameters
    ----------
    spacing
        In mm, z y x.
    text
        The reason, in one line.
    warnings
        A sentence if z is finer than in-plane, or the target makes more than twice the voxels of the median.
    """

    spacing: Spacing
    text: str
    warnings: tuple[str, ...] = ()


def target_spacing(
    statistics: SpacingStatistics, rule: TargetRule = "published", median_size: Sequence[float] | None = None
) -> Spacing:
    """Choose the spacing (z y x, mm) that a dataset is resampled to.

    Parameters
    ----------
    statistics
        Of the spacings of the dataset.
    rule
        ``published``
            The median; but where ``median_z / median_x >= 3`` (within float noise), z is the 10th percentile.
        ``nnunet``
            The median; but where the coarsest axis is more than 3 times as coarse as the coarser of the other two,
            and 3 times its voxels are fewer than either of them has, that axis is the 10th percentile. If that is
            finer than the coarser of the other two, it is theirs plus 1e-5 mm instead.
    median_size
        Median number of voxels, z y x; the rule ``nnunet`` needs it.

    Raises
    ------
    StatisticsError
        If the rule needs sizes and has none.

    References
    ----------
    Isensee et al., nnU-Net, Nature Methods 18 (2021), 203-211, and the experiment planner of its code, version 2.
    """
    return _choose(statistics, rule, median_size)[0]


def derive_target(
    statistics: SpacingStatistics, rule: TargetRule = "published", median_size: Sequence[float] | None = None
) -> TargetDerivation:
    """Derive the target spacing, with the reason in words; parameters and errors as in `target_spacing`."""
    target, reason = _choose(statistics, rule, median_size)
    text = f"target spacing {shown_spacing(target)} mm (z y x): median {shown_spacing(statistics.median)}, {reason}"
    return TargetDerivation(target, text, tuple(_warnings(target, statistics.median, rule)))


def _choose(
    statistics: SpacingStatistics, rule: TargetRule, median_size: Sequence[float] | None
) -> tuple[Spacing, str]:
    if rule == "published":
        return _published(statistics)
    if median_size is None:
        msg = "the target rule nnunet needs the median size of the images in voxels, z y x, and none is given"
        raise StatisticsError(msg)
    return _nnunet(statistics, median_size)


def _published(statistics: SpacingStatistics) -> tuple[Spacing, str]:
    z, y, x = statistics.median
    if z / x >= ANISOTROPY_RATIO * (1 - RATIO_TOLERANCE):
        reason = f"z/x = {z / x:.4g} >= {ANISOTROPY_RATIO:g}, anisotropic: z from the 10th percentile"
        return (statistics.p10[0], y, x), reason
    return (z, y, x), f"z/x = {z / x:.4g} < {ANISOTROPY_RATIO:g}: the median as it is"


def _nnunet(statistics: SpacingStatistics, median_size: Sequence[float]) -> tuple[Spacing, str]:
    median = list(statistics.median)
    worst = median.index(max(median))
    coarser = max(median[:worst] + median[worst + 1 :])
    fewest = min(n for axis, n in enumerate(median_size) if axis != worst)
    facts = (
        f"nnU-Net's rule: {'zyx'[worst]} is {median[worst] / coarser:.4g} times the coarser of the others "
        f"(limit {ANISOTROPY_RATIO:g}) and has {median_size[worst]:g} voxels (limit {fewest / ANISOTROPY_RATIO:.4g})"
    )
    if median[worst] <= ANISOTROPY_RATIO * coarser or ANISOTROPY_RATIO * median_size[worst] >= fewest:
        return statistics.median, f"{facts}: the median as it is"
    finest = statistics.p10[worst]
    median[worst], source = finest, "from the 10th percentile"
    if finest < coarser:
        bound = f"a little over the coarser of the others, for its 10th percentile is {finest:.6g}"
        median[worst], source = coarser + NNUNET_FLOOR_MM, bound
    z, y, x = median
    return (z, y, x), f"{facts}, anisotropic: {'zyx'[worst]} {source}"


def _warnings(target: Spacing, median: Spacing, rule: TargetRule) -> Iterator[str]:
    """Warn of a target that the rule is not meant to give, or that makes many voxels."""
    times = math.prod(median) / math.prod(target)
    cost = f"takes {times:.1f} times the voxels that the median {shown_spacing(median)} mm would"
    if target[0] < max(target[1:]) * (1 - RATIO_TOLERANCE):  # nnU-Net's bound; a reversed table falls below it
        finer = "is finer along z than in-plane" + (f", and {cost}" if times > 1 else "")
        remedy = "`target_spacing`" if rule == "nnunet" else "`target_spacing` or `target_rule: nnunet`"
        yield (
            f"the target spacing {shown_spacing(target)} mm (z y x) {finer}; "
            f"check that the statistics are in z y x order, or set {remedy}"
        )
    elif times > COSTLY * (1 + RATIO_TOLERANCE):
        yield f"the target spacing {shown_spacing(target)} mm (z y x) {cost}; `target_spacing` sets another"
