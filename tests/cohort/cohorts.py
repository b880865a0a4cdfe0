"""Cohorts of small patients, measured as a run measures them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from monai_mriprep.cohort.case import CohortCase
from monai_mriprep.cohort.suspects import find_suspects
from monai_mriprep.measures.case import measure_case
from tests.measures.bodies import SHAPE, SPACING, grid_of, patient


def counts_of(label):
    """Voxels of each value."""
    return dict(zip(*(array.tolist() for array in np.unique(label, return_counts=True)), strict=True))


def case_of(name, image, label, grid, **changes):
    """A case, all that is known of it; its target grid is its own."""
    counts = counts_of(label)
    known = CohortCase(name, grid, measure_case([image], grid, label), counts, counts, None, grid)
    return replace(known, **changes)


def phantom(number, grid=None, image=lambda voxels: voxels, label=lambda voxels: voxels, **changes):
    """A patient, with changes to image or label."""
    rng = np.random.default_rng(number)
    grid = grid or grid_of(SHAPE, tuple(mm * rng.uniform(0.9, 1.1) for mm in SPACING))
    voxels, classes = patient(number, grid.shape)
    return case_of(f"case {number:02}", image(voxels), label(classes), grid, **changes)


def kinds_of(cases):
    """The kinds of suspicion by case."""
    found = find_suspects(cases)
    return {name: [one.kind for one in found if one.case == name] for name in dict.fromkeys(one.case for one in found)}
