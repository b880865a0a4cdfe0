"""The target spacing that follows from the statistics of a dataset."""

from __future__ import annotations

from dataclasses import dataclass

from monai_mriprep.dataset.statistics import RATIO_TOLERANCE, SpacingStatistics, shown_spacing
from monai_mriprep.types import Spacing

__all__ = ["TargetDerivation", "derive_target", "target_spacing"]

ANISOTROPY_RATIO = 3.0
"""From this ratio of median z to median x on, z is the 10th percentile; after nnU-Net, whose rule asks for more."""


@dataclass(frozen=True)
class TargetDerivation:
    """The target spacing, how it came about, and what a person should look at.

    Parameters
    ----------
    spacing
        In mm, z y x.
    text
        One line that explains it.
    warnings
        Not empty where z ends finer than in-plane.
    """

    spacing: Spacing
    text: str
    warnings: tuple[str, ...] = ()


def target_spacing(statistics: SpacingStatistics) -> Spacing:
    """Choose the spacing (z y x, mm) that a dataset is resampled to.

    The median; but where ``median_z / median_x >= 3`` (within float noise), z is the 10th percentile.
    """
    z, y, x = statistics.median
    return (statistics.p10[0], y, x) if _is_anisotropic(statistics) else (z, y, x)


def derive_target(statistics: SpacingStatistics) -> TargetDerivation:
    """Derive the target spacing, with the reason in words."""
    target = target_spacing(statistics)
    z, _, x = statistics.median
    if _is_anisotropic(statistics):
        rule = f"z/x = {z / x:.4g} >= {ANISOTROPY_RATIO:g}, anisotropic: z from the 10th percentile"
    else:
        rule = f"z/x = {z / x:.4g} < {ANISOTROPY_RATIO:g}: the median as it is"
    text = f"target spacing {shown_spacing(target)} mm (z y x): median {shown_spacing(statistics.median)}, {rule}"
    if target[0] >= max(target[1:]) * (1 - RATIO_TOLERANCE):  # nnU-Net's bound; a reversed table falls below it
        return TargetDerivation(target, text)
    warning = (
        f"the target spacing {shown_spacing(target)} mm (z y x) is finer along z than in-plane; "
        "check that the statistics are in z y x order, or set the target yourself"
    )
    return TargetDerivation(target, text, (warning,))


def _is_anisotropic(statistics: SpacingStatistics) -> bool:
    z, _, x = statistics.median
    return z / x >= ANISOTROPY_RATIO * (1 - RATIO_TOLERANCE)
