"""Where a case begins to be a suspect. docs/suspects.md has a table of these numbers, which a test compares."""

__all__ = [
    "ALIKE",
    "DEVIATIONS",
    "EDGE",
    "FEWEST",
    "FLOOR",
    "GROUP",
    "INTENSITY_FACTOR",
    "OFFSET",
    "OUTSIDE",
    "PAIR",
    "PARTS_FACTOR",
    "RESOLVED",
    "SAME",
    "SAME_SHAPE",
    "SHRUNK",
    "SIZE_FACTOR",
    "SPACING_FACTOR",
    "USUAL",
    "VOLUME_FACTOR",
]

FEWEST = 5
"""Cases that a cohort needs; in a smaller one nothing is compared."""

DEVIATIONS = 5.0
"""Robust standard deviations from the median, beyond which a value is unlike the others."""

FLOOR = 0.05
"""Share of the median that a robust standard deviation is at least."""

SPACING_FACTOR = 1.5
"""How many times the median, or what part of it, a spacing must be besides."""

SIZE_FACTOR = 1.5
"""The same for the length of a scan in mm."""

INTENSITY_FACTOR = 10.0
"""The same for the span of intensities, which scanners choose as they like."""

VOLUME_FACTOR = 3.0
"""The same for the volume of a class."""

PARTS_FACTOR = 5.0
"""The same for the number of its parts."""

OFFSET = 3.0
"""How far the median intensity of a scan must be from that of the others, both in units of the span from the 5th to the
95th percentile."""

GROUP = 0.1
"""Where more than this share of the cases, and more than `PAIR`, are unlike the others, they are a group of their own,
and no suspects."""

PAIR = 2
"""So many cases are never a group."""

USUAL = 0.9
"""Share of the others that must have an orientation, or a class, for a case to be a suspect without it."""

OUTSIDE = 0.25
"""Share of a label outside of the body, over the cohort's median of it."""

EDGE = 0.1
"""A side of the volume that a smaller share of the labels touches is unusual."""

SHRUNK = 0.5
"""A class that keeps less than this share of its volume has shrunk by resampling."""

RESOLVED = 8.0
"""Voxels of the target grid that a class must fill before it can shrink; a smaller one can only vanish."""

ALIKE = 0.999
"""Correlation of two thumbnails, from which two scans may be one."""

SAME_SHAPE = 0.05
"""How far the percentiles of two scans may lie apart, in units of the span from the 5th to the 95th, to be those of
one."""

SAME = 0.9999
"""Correlation of two thumbnails, from which two scans are one, whatever their percentiles say."""
