"""Sizes, the separate axis and positions, against the rules as nnU-Net's documentation and scipy have them."""

import numpy as np
import pytest
from scipy import ndimage

from monai_mriprep.volume.half_pixel import exact_shape, separate_axis
from monai_mriprep.volume.resample import plan_half_pixel
from monai_mriprep.volume.spline import HalfPixelAxis, axis_matrix, nearest_indices


@pytest.mark.parametrize(
    ("n", "spacing", "target", "expected"),
    [
        (3, 3.0, 2.0, 4),  # 4.5: half to even
        (5, 3.0, 2.0, 8),  # 7.5
        (10, 1.00004, 2.0, 5),  # no tolerance: 5.0002
        (11, 0.99999, 2.0, 5),  # 5.49995 is below the half
        (1, 0.1, 5.0, 1),  # never none
        (3, 0.35, 0.3, 4),  # 3.5, where the quotient is formed first; else less
    ],
)
def test_exact_shape(n, spacing, target, expected):
    assert exact_shape((n, 7, 7), (spacing, 1.0, 1.0), (target, 1.0, 1.0)) == (expected, 7, 7)


@pytest.mark.parametrize(
    ("spacing", "target", "axis"),
    [
        ((5.0, 1.0, 1.0), (1.0, 1.0, 1.0), 0),
        ((1.0, 5.0, 1.0), (5.0, 1.0, 1.0), 1),  # the spacing before goes first
        ((1.0, 1.0, 1.0), (1.0, 1.0, 5.0), 2),
        ((3.1, 1.0, 1.0), (1.0, 1.0, 1.0), 0),
        ((3.0, 1.0, 1.0), (3.0, 1.0, 1.0), None),  # more than three times, not just three times
        ((5.0, 5.0, 1.0), (5.0, 1.0, 1.0), None),  # two longest: none, and the target is not asked
        ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), None),
    ],
)
def test_separate_axis(spacing, target, axis):
    assert separate_axis(spacing, target) == axis


def test_threshold_of_the_separate_axis_can_be_set():
    assert separate_axis((2.5, 1.0, 1.0), (1.0, 1.0, 1.0), 2.0) == 0


SIZES = [(7, 14), (14, 7), (5, 12), (12, 5), (9, 9), (3, 200), (200, 3), (1, 4), (4, 1), (64, 96), (96, 64)]


@pytest.mark.parametrize(("n_in", "n_out"), SIZES)
def test_nearest_equals_scipy_zoom_at_every_tie(n_in, n_out):
    picked = ndimage.zoom(np.arange(n_in, dtype=float), n_out / n_in, order=0, mode="nearest", grid_mode=True)
    assert np.array_equal(nearest_indices(HalfPixelAxis.of(n_in, n_out, 0)), picked)


@pytest.mark.parametrize(("n_in", "n_out"), [size for size in SIZES if 1 not in size])
@pytest.mark.parametrize("order", [1, 3])
def test_matrix_equals_scipy_zoom(n_in, n_out, order):
    matrix = ndimage.zoom(np.eye(n_in), (n_out / n_in, 1), order=order, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(axis_matrix(HalfPixelAxis.of(n_in, n_out, order)), matrix, atol=1e-12)


def test_plan_has_order_0_along_the_separate_axis_alone():
    plan = plan_half_pixel((4, 5, 6), (8, 5, 3), order=3, separate=1)
    assert (plan.orders, plan.shape_in, plan.shape_out, plan.separate) == ((3, 0, 3), (4, 5, 6), (8, 5, 3), 1)
    assert plan_half_pixel((4, 5, 6), (4, 5, 6)).is_identity
    assert plan_half_pixel((4, 5, 6), (8, 5, 3)).orders == (3, 3, 3)
