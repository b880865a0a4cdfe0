"""Suspects by their grid and their intensities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from monai_mriprep.cohort.case import CohortCase
from monai_mriprep.cohort.scans import (
    unlike_in_intensity,
    unlike_in_orientation,
    unlike_in_size,
    unlike_in_spacing,
)
from monai_mriprep.measures.case import measure_case
from monai_mriprep.measures.model import CaseMeasures
from tests.measures.bodies import SHAPE, grid_of, patient, turned

IMAGE, _ = patient(0)
GRID = grid_of()


def with_grids(*grids):
    return [CohortCase(f"{i}", grid) for i, grid in enumerate(grids)]


def with_images(*images):
    return [CohortCase(f"{i}", GRID, measure_case(channels, GRID)) for i, channels in enumerate(images)]


def test_a_spacing_unlike_the_others():
    cases = with_grids(*[GRID] * 11, grid_of(spacing=(7.5, 1.2, 0.6)))
    assert list(unlike_in_spacing(cases)) == [
        (11, "the spacing along z is 7.5 mm; the median of all cases is 3.3 mm"),
        (11, "the spacing along x is 0.6 mm; the median of all cases is 1.2 mm"),
    ]


def test_a_size_unlike_the_others_is_in_mm():
    finer = grid_of((24, 96, 40), (3.3, 0.6, 1.2))
    cases = with_grids(*[GRID] * 10, finer, grid_of((5, *SHAPE[1:])))
    assert list(unlike_in_size(cases)) == [(11, "the scan is 16.5 mm long in z; the median of all cases is 79.2 mm")]


def test_an_orientation_unlike_the_others():
    _, other = turned(IMAGE, GRID, "PIR")
    assert list(unlike_in_orientation(with_grids(*[GRID] * 11, other))) == [
        (11, "the axes x y z run to PIR; 11 of 12 cases have RAS")
    ]


@pytest.mark.parametrize("codes", [["RAS"] * 4 + ["PIR"], ["RAS"] * 9 + ["PIR", "LPS"]])
def test_a_few_cases_have_a_usual_orientation_only_if_nearly_all_have_it(codes):
    cases = with_grids(*(turned(IMAGE, GRID, code)[1] for code in codes))
    assert [i for i, _ in unlike_in_orientation(cases)] == ([4] if len(codes) == 5 else [9, 10])


def test_orientations_of_a_mixed_dataset():
    cases = with_grids(*(turned(IMAGE, GRID, code)[1] for code in ["RAS", "RAS", "LPS", "LAS", "PIR", "PSR"]))
    assert list(unlike_in_orientation(cases)) == []


@pytest.mark.parametrize("channel", [0, 1])
def test_intensities_unlike_the_others(channel):
    images = [[patient(n)[0], 5 * patient(n)[0]] for n in range(8)]
    images[3][channel] = images[3][channel].astype(np.float32) * 30
    ((place, reason),) = unlike_in_intensity(with_images(*images))
    assert place == 3
    assert reason.startswith(f"the intensities of channel {channel} span ")


def test_intensities_far_from_0():
    images = [[patient(n)[0]] for n in range(8)]
    images[5] = [images[5][0].astype(np.int32) + 32768]
    ((place, reason),) = unlike_in_intensity(with_images(*images))
    assert place == 5
    assert reason.startswith("the median intensity is ")


def test_a_constant_scan_is_unlike_the_others():
    images = [[patient(n)[0]] for n in range(8)]
    images[2] = [np.where(images[2][0], 7, 0)]
    assert [place for place, _ in unlike_in_intensity(with_images(*images))] == [2]


def test_a_cohort_of_masks_is_none_of_constants():
    assert list(unlike_in_intensity(with_images(*[[np.where(patient(n)[0], 1, 0)] for n in range(6)]))) == []


def test_cases_without_a_foreground_or_a_grid_are_not_compared():
    cases = with_images(*[[patient(n)[0]] for n in range(6)], [np.zeros_like(IMAGE)])
    cases[0] = replace(cases[0], grid=None)
    for find in (unlike_in_intensity, unlike_in_orientation, unlike_in_size, unlike_in_spacing):
        assert list(find(cases)) == []


def test_a_few_bright_voxels_make_no_suspect():
    usual, bright = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0), (-900.0, 1.0, 2.0, 3.0, 4.0, 5.0, 900.0)
    (image,) = measure_case([IMAGE], GRID).image
    images = [image.model_copy(update={"percentiles": one}) for one in (*[usual] * 8, bright)]
    cases = [CohortCase(f"{i}", GRID, CaseMeasures(image=(one,))) for i, one in enumerate(images)]
    assert list(unlike_in_intensity(cases)) == []


@pytest.mark.parametrize(("shift", "reasons"), [(11.5, 0), (12.5, 1)])
def test_an_offset_of_three_spans_is_far_from_the_others(shift, reasons):
    (image,) = measure_case([IMAGE], GRID).image
    shifted = [tuple(value + by for value in (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)) for by in (*[0.0] * 8, shift)]
    images = [image.model_copy(update={"percentiles": one}) for one in shifted]
    cases = [CohortCase(f"{i}", GRID, CaseMeasures(image=(one,))) for i, one in enumerate(images)]
    found = list(unlike_in_intensity(cases))
    what = "the median intensity is 3.88 times the span from the 5th to the 95th percentile"
    assert found == [(8, f"{what}; the median of all cases is 0.75")] * reasons
