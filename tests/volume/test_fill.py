"""The fill of holes, against scipy's."""

import numpy as np
import pytest
from scipy import ndimage

from monai_mriprep.volume.fill import box_around, filled


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("shape", [(9, 11, 13), (1, 8, 8), (2, 2, 30), (1, 1, 1)])
def test_equals_scipy(shape, share):
    mask = np.random.default_rng(int(100 * share)).random(shape) < share
    before = mask.copy()
    assert np.array_equal(filled(mask), ndimage.binary_fill_holes(mask))
    assert np.array_equal(mask, before)


def test_a_shell_is_filled_and_a_cup_is_not():
    shell = np.ones((5, 5, 5), bool)
    shell[1:4, 1:4, 1:4] = False
    assert filled(shell).all()
    shell[0, 2, 2] = False
    assert not filled(shell)[2, 2, 2]


@pytest.mark.parametrize("value", [False, True])
def test_uniform_mask_stays(value):
    mask = np.full((3, 4, 5), value)
    assert np.array_equal(filled(mask), mask)
    assert not np.shares_memory(filled(mask), mask)


def test_box_around():
    mask = np.zeros((6, 7, 8), bool)
    assert box_around(mask) is None
    mask[2, 3, 0] = mask[4, 3, 7] = True
    assert box_around(mask) == [(2, 5), (3, 4), (0, 8)]
