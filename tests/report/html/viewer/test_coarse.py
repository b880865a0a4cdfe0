"""Coarse volumes: means and classes on a grid of the same extent, beside an oracle and by what must hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from monai_mriprep.report.html.viewer.coarse import coarse_grid, coarse_image, coarse_label
from monai_mriprep.volume.geometry import Grid
from tests.phantoms import MIXED

OBLIQUE = MIXED["20001_0002_t2w"]


def test_the_coarse_grid_has_the_same_extent_and_no_finer_voxels():
    grid = Grid(OBLIQUE.shape, OBLIQUE.affine)
    coarse = coarse_grid(grid, 2.0)
    assert coarse.shape == (22, 180, 180)
    np.testing.assert_allclose(coarse.spacing, (3.3, 2.0, 2.0), rtol=1e-6)
    for corner in (np.full(3, -0.5), np.array(grid.shape) - 0.5):
        of_coarse = (corner + 0.5) / grid.shape * coarse.shape - 0.5
        there = [one.affine[:3, :3] @ at + one.origin for one, at in ((grid, corner), (coarse, of_coarse))]
        np.testing.assert_allclose(*there, atol=1e-9)


def test_the_image_is_the_mean_of_blocks():
    image = np.random.default_rng(0).normal(100, 20, (6, 8, 10)).astype(np.float32)
    blocks = image.reshape(3, 2, 4, 2, 5, 2).mean(axis=(1, 3, 5))
    low, high = np.percentile(blocks, (1, 99))
    expected = 63 * np.clip((blocks - low) / (high - low), 0, 1)
    np.testing.assert_allclose(coarse_image(image, (3, 4, 5)), expected, atol=0.51)


def test_voxels_that_are_shared_count_with_their_parts():
    image = np.array([0, 90, 240], np.float32)[:, None, None]
    assert coarse_image(image, (2, 1, 1))[:, 0, 0].tolist() == [0, 63]  # means 30 and 190, then from black to white
    flat = coarse_image(np.full((3, 3, 3), 7.0), (2, 2, 2))
    assert not flat.any()


def test_values_that_are_not_finite_count_as_0():
    image = np.zeros((2, 2, 2), np.float32)
    image[0, 0, 0], image[1, 1, 1] = np.nan, np.inf
    assert not coarse_image(image, (1, 1, 1)).any()


def ball(shape, centre, radius) -> np.ndarray:
    distance = np.linalg.norm(np.moveaxis(np.indices(shape), 0, -1) - centre, axis=-1)
    return distance <= radius


@pytest.fixture
def organs() -> np.ndarray:
    """A large class, one beside it, and a lesion of one voxel within."""
    label = np.zeros((40, 44, 48), np.int16)
    label[ball(label.shape, (20, 20, 20), 15)] = 300
    label[ball(label.shape, (20, 36, 40), 5)] = 7
    label[21, 21, 21] = 2
    return label


def test_classes_keep_their_volumes_and_their_places(organs):
    coarse, classes = coarse_label(organs, (20, 22, 24))
    assert classes == (300, 7, 2)
    for number, value in enumerate(classes, start=1):
        before, after = organs == value, coarse == number
        assert after.sum() * 8 == pytest.approx(before.sum(), rel=0.03, abs=64)
        centres = [np.add(ndimage.center_of_mass(mask), 0.5) / mask.shape for mask in (before, after)]
        np.testing.assert_allclose(*centres, atol=0.03)


def test_a_lesion_of_one_voxel_stays(organs):
    coarse, classes = coarse_label(organs, (10, 11, 12))
    assert np.argwhere(coarse == 1 + classes.index(2)).tolist() == [[5, 5, 5]]


def test_a_thin_structure_has_no_holes():
    cord = np.zeros((30, 21, 21), np.int8)
    cord[:, 9:12, 9:11] = 1  # shares of a half, and of a whole
    coarse, _ = coarse_label(cord, (15, 10, 10))
    assert len(np.unique(coarse.sum(axis=(1, 2)))) == 1
    assert ndimage.label(coarse)[1] == 1


def test_one_voxel_of_a_fine_grid_stays_on_a_very_coarse_one():
    label = np.zeros((60, 60, 60), np.int8)
    label[30, 31, 32] = 5
    assert coarse_label(label, (1, 1, 1))[0].tolist() == [[[1]]]


def test_a_label_that_is_already_coarse_stays_as_it_is(organs):
    coarse, classes = coarse_label(organs, organs.shape)
    assert np.array_equal(np.array([0, *classes])[coarse], organs)


def test_an_empty_label_has_no_classes():
    coarse, classes = coarse_label(np.zeros((4, 5, 6), np.int8), (2, 2, 3))
    assert not coarse.any()
    assert classes == ()


def test_of_more_classes_than_8_bits_hold_the_smallest_are_left_out():
    label = np.arange(1, 301, dtype=np.int16).reshape(3, 10, 10).repeat(2, axis=2)
    label[0, 0, 0] = 299
    coarse, classes = coarse_label(label, label.shape)
    assert len(classes) == 255
    assert classes[0] == 299
    assert (coarse > 0).sum() == 2 * 255 + 1


@given(st.integers(0, 99), st.tuples(*3 * [st.integers(1, 9)]))
def test_every_class_has_a_voxel_where_there_are_enough(seed, shape):
    label = np.random.default_rng(seed).integers(0, 4, (9, 9, 9)).astype(np.int8)
    coarse, classes = coarse_label(label, shape)
    assert set(classes) == {1, 2, 3}
    assert classes.index(3) in range(3)
    assert coarse.max() == 3  # the smallest is painted last
