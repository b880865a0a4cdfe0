"""A thumbnail is that of the patient, not of the file."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from monai_mriprep.measures.thumbnail import read_thumbnail, thumbnail_of
from tests.measures.bodies import grid_of, patient, turned

IMAGE, _ = patient(0)
GRID = grid_of()
OURS = read_thumbnail(thumbnail_of(IMAGE, GRID))


def test_it_holds_the_means_of_blocks_in_the_order_s_a_r():
    means = IMAGE.reshape(8, 3, 8, 6, 8, 5).mean(axis=(1, 3, 5))
    expected = (means - means.min()) / np.ptp(means) * 255
    np.testing.assert_allclose(OURS, expected, atol=0.5001)


@pytest.mark.parametrize("codes", ["LPS", "PIR", "SAL", "RAS", "ASR"])
def test_the_order_of_a_file_does_not_matter(codes):
    np.testing.assert_array_equal(read_thumbnail(thumbnail_of(*turned(IMAGE, GRID, codes))), OURS)


def test_neither_do_its_units():
    other = read_thumbnail(thumbnail_of(IMAGE * np.float64(-1e-7) + 4, GRID)).astype(int)
    np.testing.assert_allclose(255 - other, OURS, atol=1)


def test_a_constant_image_is_black():
    assert not read_thumbnail(thumbnail_of(np.full((3, 4, 5), 7), grid_of((3, 4, 5)))).any()


@pytest.mark.parametrize("text", ["", "AAAA", "no base64 !", base64.b64encode(bytes(513)).decode()])
def test_what_is_no_thumbnail(text):
    assert read_thumbnail(text) is None
