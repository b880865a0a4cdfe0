"""Scans that occur twice, in whatever guise; and scans that only look alike."""

from __future__ import annotations

import base64
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from monai_mriprep.cohort import copies
from monai_mriprep.cohort.case import CohortCase
from monai_mriprep.cohort.thresholds import ALIKE, SAME
from monai_mriprep.measures.case import measure_case
from monai_mriprep.measures.model import BINS, CaseMeasures, ImageMeasures
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


@pytest.mark.parametrize("block", [3, 16, 1024])
def test_what_is_found_is_what_a_comparison_of_all_with_all_finds(block, monkeypatch):
    """Thumbnails in groups of 1 to 5 that differ by noise of some amount, so that some correlate by more than ALIKE."""
    monkeypatch.setattr(copies, "BLOCK", block)
    rng = np.random.default_rng(5)
    first = [rng.uniform(10, 245, 512) for _ in range(30)]
    kinds = rng.integers(0, 30, 90)
    blocks = [first[kind] + rng.normal(0, rng.choice([1, 3, 6]), 512) for kind in kinds]
    cases = [made(f"case {n}", one, SHAPE_A) for n, one in enumerate(blocks)]
    alike = np.corrcoef([np.rint(one).clip(0, 255) for one in blocks]) >= ALIKE
    np.fill_diagonal(alike, False)
    wanted = {
        i: ", ".join(f"case {j}" for j in np.flatnonzero(row)[:3]) for i, row in enumerate(alike) if 0 < row.sum() < 4
    }
    found = {i: reason.split("that of ")[1].split(";")[0] for i, reason in copies.near_duplicates(cases)}
    assert {i: names for i, names in found.items() if " more" not in names} == wanted
    assert sorted(found) == np.flatnonzero(alike.any(axis=1)).tolist()
    assert len(wanted) > 20


def made(name, blocks, percentiles):
    thumbnail = base64.b64encode(np.rint(blocks).clip(0, 255).astype(np.uint8).tobytes()).decode()
    image = ImageMeasures(percentiles=percentiles, histogram=(1,) * BINS, thumbnail=thumbnail)
    return CohortCase(name, measures=CaseMeasures(image=(image,)))


SHAPE_A, SHAPE_B = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0), (0.0, 1.0, 2.5, 3.0, 4.0, 5.0, 6.0)
PAIRS = {
    "alike, in other units": (2.0, tuple(10 * value + 7 for value in SHAPE_A), True),
    "alike, with other tails": (2.0, (-0.16, *SHAPE_A[1:6], 6.16), True),
    "alike, of another shape": (2.0, SHAPE_B, False),
    "one, of another shape": (0.2, SHAPE_B, True),
    "unlike, of one shape": (5.0, SHAPE_A, False),
}


@pytest.mark.parametrize(("noise", "percentiles", "is_found"), PAIRS.values(), ids=PAIRS)
def test_what_is_alike_is_confirmed_by_its_percentiles(noise, percentiles, is_found, monkeypatch):
    monkeypatch.setattr(copies, "BLOCK", 2)  # the pair is not in the first one
    rng = np.random.default_rng(0)
    others = [made(f"other {n}", rng.uniform(0, 255, 512), (*SHAPE_B[:5], 9.0, 9.5)) for n in range(3)]
    blocks = rng.uniform(10, 245, 512)
    copy = blocks + rng.normal(0, noise, 512)
    correlation = np.corrcoef(np.rint(blocks), np.rint(copy))[0, 1]
    assert (correlation >= ALIKE, correlation >= SAME) == (noise < 5, noise < 2)
    cases = [*others, made("scan", blocks, SHAPE_A), made("copy", copy, percentiles)]
    assert [i for i, _ in copies.near_duplicates(cases)] == ([3, 4] if is_found else [])


def test_the_same_bytes_in_another_shape_are_another_image(others):
    one, other = (replace(case, exact="same") for case in others[:2])
    assert [i for i, _ in copies.duplicates([one, other])] == [0, 1]
    assert list(copies.duplicates([one, replace(other, grid=grid_of(SHAPE[::-1]))])) == []
