"""Samples and block means against numpy's and scikit-image's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_mriprep.measures.sample import block_means, lattice

SHAPES = st.tuples(*[st.integers(1, 40)] * 3)


@given(SHAPES, st.integers(8, 3000))
def test_a_sample_is_spread_evenly_and_is_the_same_from_the_other_end(shape, most):
    voxels = np.arange(math.prod(shape)).reshape(shape)
    sample = lattice(voxels, most)
    assert 1 <= sample.size <= most
    np.testing.assert_array_equal(lattice(voxels[::-1, ::-1, ::-1], most), sample[::-1, ::-1, ::-1])
    for axis, places in enumerate(np.unravel_index(sample, shape)):
        steps = np.diff(np.take(places, 0, axis=(axis + 1) % 3), axis=axis if axis < 2 else 1)
        assert np.ptp(steps) <= 2 if steps.size else True


def test_few_voxels_are_all_taken():
    voxels = np.zeros((3, 4, 5))
    assert lattice(voxels, 60) is voxels


def test_the_longest_axes_are_thinned():
    assert lattice(np.zeros((20, 200, 200)), 64**3).shape == (20, 114, 114)
    assert lattice(np.zeros((72, 260, 320)), 64**3).shape == (64, 64, 64)


@given(SHAPES.filter(lambda shape: min(shape) > 1))
def test_means_of_blocks_that_hold_whole_voxels(shape):
    voxels = np.random.default_rng(0).normal(size=[2 * n for n in shape])
    expected = voxels.reshape([k for n in shape for k in (n, 2)]).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(block_means(voxels, shape), expected, atol=1e-5)


@pytest.mark.parametrize("n", [1, 3, 7, 8, 13, 100])
def test_each_voxel_counts_by_its_share(n):
    line = np.random.default_rng(1).normal(size=n)
    expected = np.repeat(line, 8).reshape(8, n).mean(axis=1)  # each voxel in 8 equal pieces, n of them a block
    np.testing.assert_allclose(block_means(line[:, None, None], (8, 1, 1))[:, 0, 0], expected, atol=1e-6)
    np.testing.assert_allclose(block_means(line[None, None], (1, 1, 8))[0, 0], expected, atol=1e-6)
