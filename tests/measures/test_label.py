"""Measures of a label against scipy's, and against where the phantom was put."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from monai_mriprep.measures.body import find_body
from monai_mriprep.measures.label import DENSE, box_of, measure_label
from tests.measures.bodies import grid_of, patient, turned

IMAGE, LABEL = patient(0)
GRID = grid_of()


@given(arrays(np.int16, array_shapes(min_dims=3, max_dims=3, max_side=6), elements=st.integers(-1, 3)))
def test_parts_and_centre_as_scipy_finds_them(label):
    found = measure_label(label, grid_of(label.shape, degrees=20))
    touching = np.ones((3, 3, 3))
    assert found.components == {c: ndimage.label(label == c, touching)[1] for c in (1, 2, 3) if (label == c).any()}
    if (label > 0).any():
        affine = grid_of(label.shape, degrees=20).affine
        expected = affine[:3, :3] @ ndimage.center_of_mass(label > 0) + affine[:3, 3]
        np.testing.assert_allclose(found.centre, expected, atol=1e-9)
        assert box_of(label) == ndimage.find_objects((label > 0).astype(int))[0]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "uint16", "int64", "float32", "float64"])
def test_the_type_does_not_matter(dtype):
    noise = 4e-4 if dtype.startswith("float") else 0
    assert measure_label((LABEL + noise).astype(dtype), GRID) == measure_label(LABEL, GRID)
    assert measure_label(LABEL > 0, GRID).components == {1: 2}


def test_an_empty_label():
    found = measure_label(np.zeros(GRID.shape, np.int16), GRID, [find_body(IMAGE, GRID)])
    assert (found.components, found.touches, found.outside, found.centre) == ({}, (), 0.0, None)
    assert found.voxel == pytest.approx(3.3 * 1.2 * 1.2)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PIR", "SLA"])
@pytest.mark.parametrize(
    ("place", "sides"),
    [
        (np.s_[10:12, 10:12, 10:12], ()),
        (np.s_[:2, 10:12, 10:12], ("I",)),
        (np.s_[-2:, :2, 10:12], ("P", "S")),
        (np.s_[10:12, -2:, :], ("L", "R", "A")),
    ],
    ids=["none", "below", "above and behind", "across"],
)
def test_sides_are_those_of_the_patient(place, sides, codes):
    label = np.zeros(GRID.shape, np.int16)
    label[place] = 1
    assert measure_label(*turned(label, GRID, codes)).touches == sides


def test_what_lies_in_air_is_outside():
    bodies = [find_body(IMAGE, GRID)]
    assert measure_label(LABEL, GRID, bodies).outside == 0
    air = np.zeros_like(LABEL)
    air[:3, :4, :4] = 1
    assert measure_label(air, GRID, bodies).outside == 1
    assert measure_label(air, GRID).outside == 0
    assert measure_label(air, GRID, [*bodies, find_body(np.ones_like(IMAGE), GRID)]).outside == 0


def test_a_label_of_another_grid_is_looked_up_where_it_lies():
    finer = grid_of(tuple(2 * n for n in GRID.shape), tuple(mm / 2 for mm in GRID.spacing))
    label = LABEL.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    found = measure_label(label, finer, [find_body(IMAGE, GRID)])
    assert found.outside == 0
    assert found.components == measure_label(LABEL, GRID).components
    away = type(GRID)(finer.shape, finer.affine + np.eye(4)[:, [1, 2, 3, 0]] * [0, 0, 0, 1000])
    assert measure_label(label, away, [find_body(IMAGE, GRID)]).outside == 1


def test_large_labels_are_counted_in_a_sample():
    label = np.zeros((60, 150, 150), np.uint8)
    label[:20], label[40:] = 3, 3
    label[30, 70:80, 70:80] = 9
    assert label.size > 2 * DENSE
    assert measure_label(label, grid_of(label.shape)).components == {3: 2, 9: 1}


def test_many_classes():
    label = np.zeros((10, 49, 12), np.uint8)
    label[2:8, :, 3:9] = np.arange(1, 50)[None, :, None]
    assert measure_label(label, grid_of(label.shape)).components == dict.fromkeys(range(1, 50), 1)


@pytest.mark.parametrize("label", [np.arange(1000.0), np.arange(27) * 1e9, np.arange(27) - 1e30], ids=str)
def test_what_is_no_label_has_no_components(label):
    label = np.resize(label, (3, 18, 19)).astype(np.float64)
    assert measure_label(label, grid_of(label.shape)).components == {}
