"""Which target spacing a dataset gets, and where it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from monai_mriprep.dataset.nnunet_plans import CONFIGURATION, read_plans
from monai_mriprep.dataset.statistics import (
    AxisOrder,
    SpacingStatistics,
    SpacingTable,
    check_axis_order,
    statistics_of,
    table_of_others,
)
from monai_mriprep.dataset.target_rules import derive_target
from monai_mriprep.dataset.training import Training
from monai_mriprep.errors import DatasetError, counted
from monai_mriprep.formats.header import SPACING_RANGE_MM
from monai_mriprep.recipe import Recipe
from monai_mriprep.types import Spacing, TargetRule

__all__ = ["STATISTICS_NAME", "TargetChoice", "choose_target", "read_table"]

STATISTICS_NAME = "mri_statistics.csv"


@dataclass(frozen=True)
class TargetChoice:
    """The target spacing of a dataset, and where it comes from.

    Parameters
    ----------
    spacing
        In mm, z y x.
    text
        The derivation, in words.
    computed
        The statistics of the headers, where there is no table.
    notes
        What is said although nothing is wrong.
    warnings
        What needs review.
    misfit
        A warning of a table that is not that of these scans. That may be meant, as with the table of the training
        data; under an orientation it is likelier to be of the axes as stored.
    """

    spacing: Spacing
    text: str
    computed: SpacingStatistics | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    misfit: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        low, high = SPACING_RANGE_MM
        if min(self.spacing) < low or max(self.spacing) > high:
            msg = f"{self.text}; the spacing of a scan is from {low:g} to {high:g} mm"
            raise DatasetError(msg)


class Scans(Protocol):
    """What a target is chosen by; `monai_mriprep.dataset.survey.Survey` has it."""

    @property
    def root(self) -> Path:
        """The dataset."""

    @property
    def recipe(self) -> Recipe:
        """What is to be done with it."""

    @property
    def training(self) -> Training | None:
        """Of a test set."""

    @property
    def measures(self) -> Sequence[object]:
        """One for each image."""

    @property
    def statistics(self) -> SpacingStatistics:
        """Of the images' spacings."""

    @property
    def median_size(self) -> tuple[float, float, float]:
        """Of the images, in voxels, z y x."""


def choose_target(scans: Scans) -> TargetChoice:
    """Choose the training set's target, else the recipe's own, else the plans', the table's, or that of the headers.

    Raises
    ------
    DatasetError
        If the target is not one of a scan.
    StatisticsError
        If plans or table are malformed, contradict the recipe or the scans, or there are none and not one header can
        be read.
    """
    recipe = scans.recipe
    if scans.training is not None:
        return _given(scans.training.target, f"that of {scans.training.root}")
    if recipe.target_spacing is not None:
        return _given(recipe.target_spacing, "set by the recipe")
    if (rule := recipe.named_rule) is None:
        return _planned(recipe)
    path = scans.root / STATISTICS_NAME if recipe.statistics is None else Path(recipe.statistics)
    if recipe.statistics is None and not path.exists():
        return _computed_target(scans, rule)
    table = SpacingTable.read(path, recipe.statistics_row, recipe.axis_order)
    misfit: tuple[str, ...] = ()
    if recipe.axis_order is None:
        check_axis_order(table.statistics, scans.statistics.median, str(path))
        misfit = table_of_others(table.statistics, scans.statistics.median)
    size = None if rule == "published" else table.median_size or scans.median_size
    derived = derive_target(table.statistics, rule, size)
    return TargetChoice(derived.spacing, f"{derived.text} (from {path})", warnings=derived.warnings, misfit=misfit)


def _given(target: Spacing, by: str) -> TargetChoice:
    shown = ", ".join(f"{value:g}" for value in target)
    return TargetChoice(target, f"target spacing ({shown}) mm (z y x): {by}")


def _planned(recipe: Recipe) -> TargetChoice:
    """That of nnU-Net's plans; errors as of `read_plans` and `NnunetPlans.require_agreement`."""
    plans = read_plans(recipe.target_rule)
    plans.require_agreement(recipe)
    return _given(plans.spacing, f"that of {CONFIGURATION} in {plans.path}")


def _computed_target(scans: Scans, rule: TargetRule) -> TargetChoice:
    computed = scans.statistics
    derived = derive_target(computed, rule, scans.median_size)
    images = counted(len(scans.measures), "paired image")
    note = f"{scans.root}: no {STATISTICS_NAME}; computed from the headers of {images}"
    return TargetChoice(derived.spacing, f"{derived.text} (computed from headers)", computed, (note,), derived.warnings)


def read_table(
    path: str | Path, images: Iterable[Path], row: int | None = None, axis_order: AxisOrder | None = None
) -> SpacingStatistics:
    """Read a table of spacings and, unless its axis order is given, compare it with the headers of images.

    For those who have scans and a table, but no dataset of pairs: the bundle in ``configs/bundle`` calls it.

    Parameters
    ----------
    path
        The table, as `SpacingStatistics.from_csv` reads it.
    images
        Scans to compare with, of the dataset that the table is of, or like it.
    row, axis_order
        As in `SpacingStatistics.from_csv`.

    Raises
    ------
    StatisticsError
        If the table is malformed, or contradicts the scans as it is and fits them in x y z order.
    HeaderError
        If the header of an image is not valid.
    """
    table = SpacingStatistics.from_csv(path, row, axis_order)
    if axis_order is None:
        check_axis_order(table, statistics_of(images).median, str(path))
    return table
