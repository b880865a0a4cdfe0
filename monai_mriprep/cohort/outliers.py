"""Values that are unlike the others of a cohort."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from monai_mriprep.cohort.thresholds import DEVIATIONS, FEWEST, FLOOR, GROUP, PAIR

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["by_difference", "by_factor", "few"]

MAD_OF_NORMAL = 1.4826
"""Standard deviations in the median absolute deviation of a normal distribution."""

Values = Sequence[float | None]


def by_factor(values: Values, least: float) -> tuple[list[int], float]:
    """The places of positive values that differ from the median by more than a factor, and that median.

    They are compared by their logarithms: twice as much is as far as half as much.

    Parameters
    ----------
    values
        None or 0 where one is not known.
    least
        The factor; besides, they must be `DEVIATIONS` robust deviations away.
    """
    logs = np.array([math.log(value) if value else math.nan for value in values])
    found, median = _unlike(logs, math.log(least), math.log1p(FLOOR))
    return found, math.exp(median)


def by_difference(values: Values, least: float) -> tuple[list[int], float]:
    """The places of values that differ from the median by more than so much, and that median."""
    numbers = np.array([math.nan if value is None else value for value in values])
    return _unlike(numbers, least, FLOOR * abs(_median(numbers)))


def _unlike(values: NDArray[np.float64], least: float, floor: float) -> tuple[list[int], float]:
    median = _median(values)
    distances = np.abs(values - median)
    deviation = max(MAD_OF_NORMAL * _median(distances), floor)
    known = int(np.count_nonzero(np.isfinite(values)))
    far = np.flatnonzero((distances > least) & (distances > DEVIATIONS * deviation))
    return few(far.tolist(), known), median


def _median(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else 0.0


def few(found: list[int], known: int) -> list[int]:
    """Those that were found among so many; none where they are a group, or the cohort is too small to tell."""
    return found if known >= FEWEST and len(found) <= max(PAIR, GROUP * known) else []
