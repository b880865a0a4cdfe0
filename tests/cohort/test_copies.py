"""Scans that occur twice, in whatever guise; and scans that only look alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from monai_mriprep.cohort import copies
from monai_mriprep.cohort.case import CohortCase
from monai_mriprep.measures.case import measure_case
from tests.measures.bodies import grid_of, patient, turned

SHAPE = (40, 60, 50)
GRID = grid_of(SHAPE, (2, 1.5, 1.5))
SCAN = patient(50, SHAPE)[0]


def case_of(image, grid=GRID, **known):
    return CohortCase("copy", grid, measure_case([image], grid), **known)


def scored(image):
    tissue = image[image != 0]
    return np.where(image != 0, (image - tissue.mean()) / tissue.std(), 0)


COPIES = {
    "the same": SCAN,
    "other units": SCAN * np.float32(1e-3),
    "uint8": np.rint(SCAN / SCAN.max() * 255).astype(np.uint8),
    "z-scores in air of 0": scored(SCAN),
    "little noise": SCAN + np.random.default_rng(0).normal(0, 3, SHAPE) * (SCAN != 0),
    "clipped": np.minimum(SCAN, np.percentile(SCAN, 99.5)),
}


@pytest.fixture(scope="module")
def others():
    return [replace(case_of(patient(n, SHAPE)[0]), name=f"case {n}") for n in range(30)]


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_is_found(others, name):
    found = dict(copies.near_duplicates([case_of(SCAN), *others, case_of(COPIES[name])]))
    assert found == {
        0: "the image shows the same as that of copy; keep them out of different splits",
        31: "the image shows the same as that of copy; keep them out of different splits",
    }


@pytest.mark.parametrize("codes", ["LPS", "PIR", "SAL", "IRA"])
def test_a_turned_copy_is_found(others, codes):
    assert [i for i, _ in copies.near_duplicates([*others, case_of(SCAN), case_of(*turned(SCAN, GRID, codes))])] == [
        30,
        31,
    ]


def test_different_patients_are_none(others):
    assert list(copies.near_duplicates(others)) == []


def test_registered_patients_are_none():
    """One head, deformed by 2 mm and shaded, as heads are that were registered to one template."""
    rng = np.random.default_rng(1)

    def subject():
        shifts = [ndimage.zoom(rng.normal(0, 1.4, (5, 6, 6)), np.divide(SHAPE, (5, 6, 6)), order=1) for _ in range(3)]
        shading = ndimage.zoom(rng.normal(1, 0.05, (3, 3, 3)), np.divide(SHAPE, 3), order=1)
        places = [axis + shift for axis, shift in zip(np.indices(SHAPE), shifts, strict=True)]
        return ndimage.map_coordinates(SCAN, places, order=1) * shading

    assert list(copies.near_duplicates([case_of(subject()) for _ in range(12)])) == []


def test_exact_copies_are_named_once(others):
    exact = [replace(case, exact=f"{i}") for i, case in enumerate(others)]
    exact[7], exact[9] = replace(exact[3], name="case 7"), replace(exact[3], name="case 9")
    found = dict(copies.duplicates(exact))
    assert sorted(found) == [3, 7, 9]
    assert found[7] == "the image has the same voxels as that of case 3, case 9; keep them out of different splits"
    assert list(copies.near_duplicates(exact)) == []


def test_black_and_constant_images_are_no_copies():
    cases = [case_of(np.full(SHAPE, value), exact="same") for value in (0, 0, 3, 3)]
    assert [i for i, _ in copies.duplicates(cases)] == [2, 3]
    assert list(copies.near_duplicates(cases)) == []


def test_more_cases_than_a_block(others, monkeypatch):
    monkeypatch.setattr(copies, "BLOCK", 4)
    assert [i for i, _ in copies.near_duplicates([case_of(SCAN), *others, case_of(SCAN)])] == [0, 31]
