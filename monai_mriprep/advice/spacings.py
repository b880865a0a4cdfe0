"""Which target spacings are compared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from monai_mriprep.formats.header import SPACING_RANGE_MM
from monai_mriprep.types import SAME_SPACING_TOLERANCE, Spacing

__all__ = ["COMPARED", "DEFAULT", "CandidateSpacing", "Spacings", "candidate_spacings", "finest_of"]

COMPARED = 20
"""Candidates, where no other number is asked for."""

DEFAULT = "default"
"""What the target is called that a run would choose."""

FACTORS = {0.5: "0.5", 2 / 3: "2/3", 1.0: "1", 1.5: "1.5", 1.9: "1.9", 2.5: "2.5"}
"""By which the default is multiplied, in-plane and through-plane, and how that is said. Not by 2: where scans have the
default's spacing, every other voxel of theirs would lie halfway between two voxels, and a tie decide on it."""

MOST_TIMES = 32.0
"""A candidate whose voxels are more than this many times smaller than the default's is not compared."""

DIGITS = 4
"""Of a spacing that is computed here, so that it is what is shown."""


class CandidateSpacing(NamedTuple):
    """A spacing in mm, z y x, and what it is: of equal ones the name of each."""

    spacing: Spacing
    names: tuple[str, ...]


@dataclass(frozen=True)
class Spacings:
    """What is known of the spacings of a dataset, in mm, z y x.

    Parameters
    ----------
    default
        The target that a run would choose.
    median, p10, finest
        Of each axis over the images, as they are to be resampled: median, 10th percentile and smallest spacing.
    """

    default: Spacing
    median: Spacing
    p10: Spacing
    finest: Spacing


def candidate_spacings(known: Spacings, count: int = COMPARED) -> tuple[CandidateSpacing, ...]:
    """The spacings to compare, the most important first.

    These are the default; the median; the 10th percentile; the finest of each axis; isotropic with the shortest edge of
    the default, and with as large a voxel. Then come the default's own axes multiplied by `FACTORS`: the coarsest one
    by one factor, z where there is none, and the two others by one. Pairs of factors that change least come first, and
    of these what is coarser.

    Parameters
    ----------
    known
        Of the dataset.
    count
        How many at most; at least 1. There are up to 41.

    Returns
    -------
    tuple
        The default first. One that lies within `SAME_SPACING_TOLERANCE` of another is that one, and lends it its name.
        None has voxels more than `MOST_TIMES` smaller than the default's, or edges that no scan has.
    """
    found: list[CandidateSpacing] = []
    for spacing, name in (*_named(known), *_multiplied(known.default)):
        same = next((n for n, other in enumerate(found) if _is_same(other.spacing, spacing)), None)
        if same is not None:
            names = dict.fromkeys((*found[same].names, name))
            found[same] = CandidateSpacing(found[same].spacing, tuple(names))
        elif len(found) < count and _is_affordable(spacing, known.default):
            found.append(CandidateSpacing(spacing, (name,)))
    return tuple(found)


def _named(known: Spacings) -> Iterator[tuple[Spacing, str]]:
    yield known.default, DEFAULT
    yield known.median, "median"
    yield known.p10, "10th percentile"
    yield known.finest, "finest of each axis"
    edge, same_volume = min(known.default), _rounded(math.prod(known.default) ** (1 / 3))
    yield (edge, edge, edge), "isotropic, shortest edge"
    yield (same_volume, same_volume, same_volume), "isotropic, same volume"


def _multiplied(default: Spacing) -> Iterator[tuple[Spacing, str]]:
    through = default.index(max(default))
    pairs = sorted(product(FACTORS, FACTORS), key=_distance)
    for along, within in pairs:
        z, y, x = (
            edge if factor == 1 else _rounded(edge * factor)
            for edge, factor in ((edge, along if axis == through else within) for axis, edge in enumerate(default))
        )
        yield (z, y, x), _name(along, within)


def _distance(pair: Sequence[float]) -> tuple[float, float]:
    logs = [math.log(factor) for factor in pair]
    return round(sum(map(abs, logs)), 6), -round(sum(logs), 6)


def _name(along: float, within: float) -> str:
    factors = {"through-plane": along, "in-plane": within}
    said = (f"{name} x{FACTORS[factor]}" for name, factor in factors.items() if factor != 1)
    return ", ".join(said) or DEFAULT


def _rounded(edge: float) -> float:
    return float(f"{edge:.{DIGITS}g}")


def _is_same(one: Spacing, other: Spacing) -> bool:
    return all(abs(a - b) < SAME_SPACING_TOLERANCE.at(a) for a, b in zip(one, other, strict=True))


def _is_affordable(spacing: Spacing, default: Spacing) -> bool:
    low, high = SPACING_RANGE_MM
    return low <= min(spacing) and max(spacing) <= high and math.prod(default) <= MOST_TIMES * math.prod(spacing)


def finest_of(spacings: Iterable[Spacing]) -> Spacing:
    """The smallest of each axis."""
    z, y, x = (min(axis) for axis in zip(*spacings, strict=True))
    return z, y, x
