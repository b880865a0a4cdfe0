"""The planes cut the label, and what is shown holds all that matters."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from monai_mriprep.pictures.place import box_of_label, view_of
from monai_mriprep.pictures.scan import Scan
from tests.pictures.scans import MIDDLE, ball, centre_of_ball, grid_of, places_of

GRID = grid_of(axes="SPL", degrees=11)
EMPTY = np.zeros(GRID.shape, np.int16)


def scan_with(label, grid=None) -> Scan:
    return Scan(np.zeros(GRID.shape), GRID, label, grid)


def voxel_of(point, grid=GRID) -> np.ndarray:
    return np.linalg.inv(grid.affine)[:3] @ [*point, 1]


def test_planes_cross_at_the_centre_of_mass_of_all_classes():
    label = ball(GRID, centre_of_ball(GRID))
    label[2:5, 3:9, 4:6] = 7
    label[0, 0, 0] = -4
    expected = ndimage.center_of_mass(label > 0)
    np.testing.assert_allclose(voxel_of(view_of([scan_with(label)]).point), expected, atol=1e-9)


def test_a_centre_that_is_known_is_taken_and_the_label_not_read():
    centre = centre_of_ball(GRID) + np.array((1.3, -2.2, 0.4))
    np.testing.assert_allclose(view_of([scan_with(ball(GRID, centre_of_ball(GRID)))], centre).point, centre)


@pytest.mark.parametrize("known", [True, False])
def test_where_the_centre_lies_between_two_parts_the_planes_cross_in_one_of_them(known):
    label = EMPTY.copy()
    label[4:7, 5:9, 5:9] = label[18:21, 30:34, 35:39] = 1
    centre = GRID.affine[:3, :3] @ ndimage.center_of_mass(label) + GRID.origin if known else None
    place = voxel_of(view_of([scan_with(label)], centre).point)
    assert label[tuple(np.rint(place).astype(int))] == 1
    np.testing.assert_allclose(place, np.rint(place), atol=1e-9)


def test_the_first_label_that_is_not_empty_decides():
    second = scan_with(ball(GRID, centre_of_ball(GRID)))
    view = view_of([scan_with(EMPTY), second])
    np.testing.assert_allclose(view.point, centre_of_ball(GRID), atol=1e-9)


@pytest.mark.parametrize("label", [None, EMPTY, -1 - EMPTY], ids=["none", "empty", "negative"])
@pytest.mark.parametrize("centre", [None, (1e5, 0, 0)])
def test_without_a_label_the_planes_cross_in_the_middle(label, centre):
    np.testing.assert_allclose(view_of([scan_with(label)], centre).point, MIDDLE, atol=1e-9)


def test_all_of_every_image_is_in_view():
    longer = grid_of((40, 36, 44), axes="SPL", degrees=11)
    view = view_of([scan_with(None), Scan(np.zeros(longer.shape), longer)])
    np.testing.assert_allclose(view.high - view.low, (120, 60, 61.6), atol=1e-9)
    for grid in (GRID, longer):
        places = places_of(grid).reshape(-1, 3) @ view.axes
        assert (places > view.low).all()
        assert (places < view.high).all()


def test_planes_cut_the_image_where_the_label_lies_beside_it():
    other = grid_of(axes="SPL", degrees=11, middle=MIDDLE + np.array((50, 0, 0)))
    label = ball(other, centre_of_ball(other), radius=5)
    view = view_of([scan_with(label, other)])
    place = voxel_of(view.point)
    assert (place >= -1e-9).all()
    assert (place <= np.array(GRID.shape) - 1 + 1e-9).all()
    assert place == pytest.approx(voxel_of(centre_of_ball(other)).clip(0, np.array(GRID.shape) - 1))
    box = box_of_label(scan_with(label, other)).reshape(-1, 3) @ view.axes
    assert (box >= view.low - 1e-9).all()
    assert (box <= view.high + 1e-9).all()
    assert np.ptp(box, axis=0) == pytest.approx((9 + 6, 10.5 + 3, 9.8 + 2.8), abs=1e-9)


def test_a_label_far_away_makes_the_image_no_smaller_than_a_third():
    other = grid_of(axes="SPL", degrees=11, middle=MIDDLE + np.array((5000, 0, 0)))
    view = view_of([scan_with(ball(other, centre_of_ball(other)), other)])
    assert (view.high - view.low) / (72, 60, 61.6) == pytest.approx((2, 2, 2), abs=1.01)


def test_only_a_label_on_another_grid_that_is_not_empty_has_a_box():
    other = grid_of((20, 40, 44), axes="SPL")
    assert box_of_label(scan_with(ball(GRID, centre_of_ball(GRID)))) is None
    assert box_of_label(scan_with(None)) is None
    assert box_of_label(scan_with(np.zeros(other.shape), other)) is None
