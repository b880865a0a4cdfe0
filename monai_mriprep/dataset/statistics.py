"""Statistics of the spacings of a dataset, and the table that holds them.

Spacings are in mm and z, y, x. The file has the columns ``median_spacing`` and ``10th_percentile_spacing``
with three numbers in each cell, for example ``[3.3 0.6 0.6]``.
"""

from __future__ import annotations

import math
import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from monai_mriprep.dataset.pairing import Pairing
from monai_mriprep.dataset.statistics_table import choose_row, numbers_in, read_rows, table_text
from monai_mriprep.errors import OutputError, StatisticsError
from monai_mriprep.formats.read import read_header
from monai_mriprep.types import Spacing

__all__ = [
    "RATIO_TOLERANCE",
    "AxisOrder",
    "SpacingStatistics",
    "SpacingTable",
    "check_axis_order",
    "shown_spacing",
    "statistics_of",
    "table_of_others",
]

AxisOrder = Literal["zyx", "xyz"]

MEDIAN_COLUMN = "median_spacing"
P10_COLUMN = "10th_percentile_spacing"
SIZE_COLUMN = "median_size"

MILLIMETRES = "in mm, such as [3.3 0.6 0.6]"
VOXELS = "of voxels, such as [25 320 320]"

RATIO_TOLERANCE = 1e-6
"""Tolerance for rounding errors of a ratio: 3.3 / 1.1 is 2.9999999999999996, and counts as 3."""

SPACING_DECIMALS = 9
"""Statistics are rounded to this many decimals of a mm: an oblique scan of 6.5 mm has 6.499999999999998 mm."""

CONTRADICTION = 0.2
"""A |log ratio| between table and headers of up to this (22 %) is taken for a difference of samples."""
REVERSED_FITS = 1 / 3
"""The reversed table must have less than this share of the misfit for the axis order to be blamed."""


@dataclass(frozen=True)
class SpacingStatistics:
    """Median and 10th percentile of the spacings of a dataset, per axis, in mm; z y x.

    Raises
    ------
    StatisticsError
        If a value is not a positive finite number, or a 10th percentile is above its median.
    """

    median: Spacing
    p10: Spacing

    def __post_init__(self) -> None:
        for name in ("median", "p10"):
            object.__setattr__(self, name, _spacing(getattr(self, name), f"the {name} spacing"))
        if any(low > middle * (1 + RATIO_TOLERANCE) for low, middle in zip(self.p10, self.median, strict=True)):
            msg = (
                f"the 10th percentile {shown_spacing(self.p10)} is above the median {shown_spacing(self.median)}, "
                "which cannot be; are the columns exchanged?"
            )
            raise StatisticsError(msg)

    @classmethod
    def from_csv(
        cls, path: str | Path, row: int | None = None, axis_order: AxisOrder | None = None
    ) -> SpacingStatistics:
        """Read a table.

        Parameters
        ----------
        path
            File with the columns ``median_spacing`` and ``10th_percentile_spacing``; others are ignored.
        row
            Which row, from 0; needed if there are several.
        axis_order
            Order of the numbers in the file, ``zyx`` or ``xyz``. By default z y x.

        Raises
        ------
        StatisticsError
            If the file, a column or the row is missing, a cell is not three positive finite numbers, a 10th percentile
            is above its median, or the axis order is another.
        """
        return SpacingTable.read(path, row, axis_order).statistics

    @classmethod
    def from_spacings(cls, spacings: Iterable[Sequence[float]]) -> SpacingStatistics:
        """Statistics of spacings (z y x) by numpy's linear percentile, rounded to a picometre.

        Raises
        ------
        StatisticsError
            If there are none, or one is not three positive finite numbers.
        """
        table = np.array([_spacing(spacing, "a spacing") for spacing in spacings], dtype=np.float64)
        if table.size == 0:
            msg = "no spacings to compute statistics from; the dataset has no usable pair of image and label"
            raise StatisticsError(msg)
        p10, median = np.percentile(table, [10, 50], axis=0).round(SPACING_DECIMALS)
        return cls(_triple(median.tolist()), _triple(p10.tolist()))

    def as_csv(self) -> str:
        """The table as text. Reading it gives exactly these numbers."""
        return table_text({MEDIAN_COLUMN: [_cell(self.median)], P10_COLUMN: [_cell(self.p10)]})

    def to_csv(self, path: str | Path) -> None:
        """Write the table of `as_csv`; the file appears whole or not at all.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        path = Path(path)
        partial = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex}")
        try:
            partial.write_text(self.as_csv(), encoding="utf-8")
            partial.replace(path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            msg = f"cannot write {path}: {error.strerror or error}"
            raise OutputError(msg) from error


@dataclass(frozen=True)
class SpacingTable:
    """One row of a table of spacings; what a cell says is judged where it is asked for.

    Parameters
    ----------
    path
        The file.
    cells
        The row, by the names of the columns.
    axis_order
        Order of the numbers in a cell; z y x if it is not given.
    """

    path: Path
    cells: Mapping[str, str]
    axis_order: AxisOrder | None = None

    @classmethod
    def read(cls, path: str | Path, row: int | None = None, axis_order: AxisOrder | None = None) -> SpacingTable:
        """Read a table; parameters as in `SpacingStatistics.from_csv`.

        Raises
        ------
        StatisticsError
            If the file, a column or the row is missing, or the order is not known.
        """
        if axis_order not in (None, "zyx", "xyz"):
            msg = f"the axis order of a table must be zyx or xyz, not {axis_order!r}"
            raise StatisticsError(msg)
        path = Path(path)
        rows = read_rows(path, (MEDIAN_COLUMN, P10_COLUMN), (SIZE_COLUMN,))
        return cls(path, choose_row(path, rows, row), axis_order)

    @cached_property
    def statistics(self) -> SpacingStatistics:
        """Its median and 10th percentile, z y x.

        Raises
        ------
        StatisticsError
            If a cell is not three positive finite numbers, or a 10th percentile is above its median.
        """
        median, p10 = self._numbers(MEDIAN_COLUMN), self._numbers(P10_COLUMN)
        try:
            return SpacingStatistics(median, p10)
        except StatisticsError as error:
            msg = f"{self.path}: {error}"
            raise StatisticsError(msg) from error

    @property
    def median_size(self) -> tuple[float, float, float] | None:
        """Median number of voxels, z y x, of its column ``median_size``; None if it has none.

        Raises
        ------
        StatisticsError
            If the cell is not three positive finite numbers.
        """
        return self._numbers(SIZE_COLUMN, VOXELS) if SIZE_COLUMN in self.cells else None

    def _numbers(self, column: str, unit: str = MILLIMETRES) -> tuple[float, float, float]:
        cell = self.cells[column]
        values = _spacing(numbers_in(cell), f"{self.path}: column {column!r} holds {cell[:200]!r}; it", unit)
        return _triple(values[::-1]) if self.axis_order == "xyz" else values


def statistics_of(images: Pairing | Iterable[str | Path]) -> SpacingStatistics:
    """Statistics of the images' headers; no voxel is read.

    Parameters
    ----------
    images
        A pairing, of which the images count, or paths.

    Raises
    ------
    HeaderError
        If a header is not valid.
    StatisticsError
        If there are no images.
    """
    paths = [pair.image for pair in images] if isinstance(images, Pairing) else images
    return SpacingStatistics.from_spacings(read_header(path).grid.spacing for path in paths)


def check_axis_order(table: SpacingStatistics, header_median: Sequence[float], source: str) -> None:
    """Refuse a table that contradicts the scans as given, but fits them when reversed.

    Parameters
    ----------
    table
        As read in z y x order.
    header_median
        Median spacing of the images' headers, z y x.
    source
        What to call the table in the message, such as its path.

    Raises
    ------
    StatisticsError
        If max |log ratio| is over 0.2 as given and under a third of that when reversed.
    """
    given = _misfit(table.median, header_median)
    if given > CONTRADICTION and _misfit(table.median[::-1], header_median) < REVERSED_FITS * given:
        msg = (
            f"{source}: its median spacing {shown_spacing(table.median)} contradicts the images' headers, "
            f"{shown_spacing(header_median)} mm (z y x), but fits them in reverse; the table is in x y z order. "
            "Set `axis_order: xyz` if so, or `axis_order: zyx` to take it as it is"
        )
        raise StatisticsError(msg)


def table_of_others(table: SpacingStatistics, header_median: Sequence[float]) -> tuple[str, ...]:
    """A warning of a table that is not that of these scans, or none; `check_axis_order` refuses a reversed one."""
    if _misfit(table.median, header_median) <= CONTRADICTION:
        return ()
    tables, scans = (", ".join(f"{value:.4g}" for value in median) for median in (table.median, header_median))
    return (
        f"the table's median spacing ({tables}) mm is not that of the paired images, ({scans}) mm (z y x): is it the "
        "table of this dataset, and of the recipe's orientation? `stats` with the same recipe prints that of these "
        "images",
    )


def _misfit(one: Sequence[float], other: Sequence[float]) -> float:
    return max(abs(math.log(a) - math.log(b)) for a, b in zip(one, other, strict=True))


def _spacing(values: Sequence[float], name: str, unit: str = MILLIMETRES) -> tuple[float, float, float]:
    if len(values) != 3 or not all(math.isfinite(value) and value > 0 for value in values):
        msg = f"{name} must be three positive finite numbers {unit}; found {tuple(values)}"
        raise StatisticsError(msg)
    return _triple(values)


def _triple(values: Sequence[float]) -> Spacing:
    z, y, x = values
    return float(z), float(y), float(x)


def _cell(spacing: Spacing) -> str:
    return f"[{' '.join(map(repr, spacing))}]"


def shown_spacing(spacing: Sequence[float]) -> str:
    """Write a spacing for a message: three numbers in parentheses."""
    return "(" + ", ".join(f"{value:.6g}" for value in spacing) + ")"
