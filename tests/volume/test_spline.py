"""The matrix of an axis equals scipy's own spline applied to the identity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_mriprep.volume.spline import AxisPlan, axis_matrix, banded_blocks, nearest_indices
from tests.oracles import Axis, nearest_index, spline_matrix

AXES = {
    "finer": (10, 27, 0.35, 0.0),
    "coarser": (30, 12, 2.6, 0.0),
    "long": (120, 70, 1.7, 0.0),
    "half-pixel": (22, 75, 22 / 75, 0.5 * 22 / 75 - 0.5),
    "outside": (9, 40, 0.5, -5.25),
    "far outside": (6, 12, 7.3, -40.0),
    "one voxel": (1, 5, 0.4, -0.7),
    "two voxels": (2, 9, 0.3, -0.6),
    "three voxels": (3, 11, 0.41, -1.1),
    "one output": (17, 1, 1.0, 8.3),
    "same grid": (13, 13, 1.0, 0.0),
    "same grid, moved": (13, 13, 1.0, 0.25),
}


def dense(plan: AxisPlan, rows: int, transposed: bool = False) -> np.ndarray:
    """Put the blocks together again."""
    shape = (plan.n_in, plan.n_out) if transposed else (plan.n_out, plan.n_in)
    matrix = np.full(shape, np.nan, dtype=np.float32)
    for block in banded_blocks(plan, rows, transposed):
        matrix[block.rows] = 0
        matrix[block.rows, block.columns] = block.weights.numpy()
        assert np.array_equal(block.weights.T, block.transposed)
    return matrix


@pytest.mark.parametrize("boundary", ["nearest", "mirror"])
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("name", AXES)
def test_equals_scipy(name, order, boundary):
    difference = axis_matrix(AxisPlan(*AXES[name], order, boundary)) - spline_matrix(Axis(*AXES[name]), order, boundary)
    assert np.abs(difference).max() < (2e-7 if name == "far outside" else 1e-12)  # scipy pads the edge by 12 voxels


@pytest.mark.parametrize("boundary", ["nearest", "mirror"])
@pytest.mark.parametrize("name", AXES)
def test_nearest_equals_scipy_away_from_ties(name, boundary):
    plan = AxisPlan(*AXES[name], 0, boundary)
    clear = np.abs(np.abs(plan.positions % 1) - 0.5) > 1e-3
    expected = spline_matrix(Axis(*AXES[name]), 0, boundary)
    assert clear.any()
    assert np.array_equal(axis_matrix(plan)[clear], expected[clear])
    assert np.array_equal(axis_matrix(plan)[clear].argmax(axis=1), nearest_indices(plan)[clear])


@pytest.mark.parametrize(
    ("start", "expected"),
    [(0.5, 1), (1.5, 2), (2.5, 3), (0.5 - 9e-5, 1), (0.5 - 1.1e-4, 0), (0.5 + 9e-5, 1), (-0.5, 0), (3.5, 3)],
)
def test_ties_round_up(start, expected):
    assert nearest_indices(AxisPlan(4, 1, 1.0, start, 0)).tolist() == [expected]


@given(
    n_in=st.integers(1, 60),
    n_out=st.integers(1, 60),
    step=st.floats(0.05, 8),
    start=st.floats(-12, 12),
    order=st.integers(1, 3),
    boundary=st.sampled_from(["nearest", "mirror"]),
)
def test_any_axis_equals_scipy_and_keeps_constants(n_in, n_out, step, start, order, boundary):
    matrix = axis_matrix(AxisPlan(n_in, n_out, step, start, order, boundary))
    positions = start + step * np.arange(n_out)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-12)
    expected = spline_matrix(Axis(n_in, n_out, step, start), order, boundary)
    near = np.abs(positions - (n_in - 1) / 2) < (n_in - 1) / 2 + 11
    np.testing.assert_allclose(matrix[near], expected[near], atol=1e-11)
    np.testing.assert_allclose(matrix, expected, atol=2e-7)


@given(n_in=st.integers(1, 40), n_out=st.integers(1, 40), step=st.floats(0.05, 8), start=st.floats(-9, 9))
def test_any_nearest_index_equals_the_oracle(n_in, n_out, step, start):
    for boundary in ("nearest",) if start < 1 - n_in or start + step * n_out > 2 * n_in - 2 else ("nearest", "mirror"):
        found = nearest_indices(AxisPlan(n_in, n_out, step, start, 0, boundary))
        assert np.array_equal(found, nearest_index(Axis(n_in, n_out, step, start), boundary))


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("rows", [1, 7, 48, 1000])
@pytest.mark.parametrize("name", ["long", "half-pixel", "far outside", "one voxel"])
def test_blocks_hold_the_whole_matrix(name, rows, transposed):
    plan = AxisPlan(*AXES[name], 3)
    matrix = axis_matrix(plan).T if transposed else axis_matrix(plan)
    np.testing.assert_allclose(dense(plan, rows, transposed), matrix, atol=6e-8)


def test_blocks_are_narrow_however_long_the_axis():
    blocks = banded_blocks(AxisPlan(2000, 2000, 1.0, 0.3, 3), 48)
    assert max(block.weights.shape[1] for block in blocks) < 48 + 40


@given(n_in=st.integers(1, 60), n_out=st.integers(1, 60), step=st.floats(0.05, 8), order=st.integers(1, 3))
def test_rounded_weights_keep_the_sum_of_a_row(n_in, n_out, step, order):
    """To half a step of the largest weight: what rounding loses elsewhere would grow with the mean of a volume."""
    matrix = dense(AxisPlan(n_in, n_out, step, 0.0, order), 48)
    half_a_step = np.spacing(np.abs(matrix).max(axis=1)) / 2
    assert (np.abs(matrix.sum(axis=1, dtype=np.float64) - 1) <= half_a_step + 1e-12).all()
