"""Measures of an image against numpy's own percentiles and histogram."""

from __future__ import annotations

import numpy as np
import pytest

from monai_mriprep.measures.image import SAMPLE, measure_image
from monai_mriprep.measures.model import BINS, PERCENTILES
from monai_mriprep.measures.thumbnail import read_thumbnail
from tests.measures.bodies import grid_of, patient

DTYPES = ["int8", "uint8", "int16", "uint16", "int32", "float32", "float64"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_small_image_is_measured_in_every_voxel_of_its_foreground(dtype):
    image = patient(0)[0].astype(dtype)
    found, foreground = measure_image(image, grid_of()), image[image != 0].astype(float)
    expected = np.percentile(foreground, PERCENTILES)
    np.testing.assert_allclose(found.percentiles, expected, rtol=1e-6)
    inside = foreground[(foreground >= expected[0]) & (foreground <= expected[-1])]
    assert sum(found.histogram) == len(inside)
    if expected[0] < expected[-1]:
        bins = np.histogram(foreground, BINS, (found.percentiles[0], found.percentiles[-1]))[0]
        np.testing.assert_array_equal(found.histogram, bins)


def test_a_large_image_is_measured_in_a_sample():
    rng = np.random.default_rng(0)
    image = rng.gamma(3, 100, (80, 120, 130)).astype(np.float32)
    assert image.size > 4 * SAMPLE
    found = measure_image(image, grid_of(image.shape))
    assert SAMPLE / 2 < sum(found.histogram) <= SAMPLE
    np.testing.assert_allclose(found.percentiles, np.percentile(image, PERCENTILES), rtol=0.03)


def test_a_foreground_that_the_sample_misses_is_found():
    image = np.zeros((80, 120, 130), np.int16)
    image[7, 8, 8] = 5
    assert measure_image(image, grid_of(image.shape)).percentiles == (5.0,) * len(PERCENTILES)


def test_an_image_without_foreground_has_no_measures():
    assert measure_image(np.zeros((3, 4, 5)), grid_of((3, 4, 5))) is None


def test_one_value_lies_in_one_bin():
    found = measure_image(np.full((3, 4, 5), -2.5), grid_of((3, 4, 5)))
    assert found.histogram[-1] == 60
    assert set(found.percentiles) == {-2.5}


def test_the_largest_values_that_a_case_may_have():
    image = np.linspace(-(2.0**125), 2.0**125, 60).reshape(3, 4, 5)
    assert measure_image(image, grid_of((3, 4, 5))).percentiles[-1] > 2.0**124


def test_z_scores_in_a_background_of_0_look_like_the_scan():
    image = patient(0)[0].astype(np.float64)
    tissue = image[image != 0]
    scored = np.where(image != 0, (image - tissue.mean()) / tissue.std(), 0)
    ours, theirs = (read_thumbnail(measure_image(v, grid_of()).thumbnail).astype(int) for v in (image, scored))
    np.testing.assert_allclose(ours, theirs, atol=1)
