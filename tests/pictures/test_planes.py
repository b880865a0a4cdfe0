"""Axes, corners and panels, against nibabel and by hand."""

from __future__ import annotations

from itertools import permutations, product

import nibabel
import numpy as np
import pytest

from monai_mriprep.pictures.planes import PLANES, View, corners_of, panel_of, patient_axes
from monai_mriprep.volume.geometry import Grid
from tests.pictures.scans import grid_of

CODES = ["".join(code) for ends in product("RL", "AP", "SI") for code in permutations(ends)]


@pytest.mark.parametrize("degrees", [0, 20])
def test_the_axes_nearest_to_the_patients_are_those_of_nibabels_canonical_image(degrees):
    assert len(CODES) == 48
    for code in CODES:
        grid = grid_of((2, 3, 4), axes=code, degrees=degrees)
        image = nibabel.Nifti1Image(np.zeros((4, 3, 2), np.uint8), grid.affine[:, [2, 1, 0, 3]])
        affine = nibabel.as_closest_canonical(image).affine[:3, :3]
        np.testing.assert_allclose(patient_axes(grid), (affine / np.linalg.norm(affine, axis=0))[:, ::-1], atol=1e-12)


def test_the_axes_of_a_sheared_grid_are_made_orthogonal():
    affine = np.diag([3.0, 1.0, 1.0, 1.0])[[2, 1, 0, 3]]
    affine[1, 0] = 0.5
    axes = patient_axes(Grid((2, 3, 4), affine))
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(axes, np.eye(3)[:, ::-1], atol=0.2)


def test_corners_are_outer_faces_of_voxels():
    grid = grid_of((2, 3, 4), (5.0, 2.0, 1.0), "SAR", middle=(0, 0, 0))
    corners = corners_of(grid)
    assert corners[0, 0, 0].tolist() == [-2, -3, -5]
    assert corners[1, 0, 0].tolist() == [-2, -3, 5], "the first axis runs to the head"
    assert corners[1, 1, 1].tolist() == [2, 3, 5]
    assert corners_of(grid, (1, 1, 1), (2, 2, 3))[0, 0, 0].tolist() == [-1, -1, 0]
    assert corners_of(grid, (1, 1, 1), (2, 2, 3))[1, 1, 1].tolist() == [1, 1, 5]


VIEW = View(np.eye(3)[:, ::-1], np.array([1.0, 2.0, 3.0]), np.array([-30.0, -20, -10]), np.array([30.0, 20, 10]))
"""Along the axes of the world: 20 mm to the side, 40 mm deep, 60 mm high."""


@pytest.mark.parametrize("plane", PLANES)
def test_a_point_of_the_world_is_where_its_coordinates_say(plane):
    """The high ends are at the left and on top; a pixel is half a millimetre."""
    right, front, head = -4.0, 7.0, 21.0
    across, down = {"axial": (right, front), "coronal": (right, head), "sagittal": (front, head)}[plane]
    high = {"axial": (10, 20), "coronal": (10, 30), "sagittal": (20, 30)}[plane]
    panel = panel_of(VIEW, 0.5, 0, plane, (100, 50), (1, 1))
    expected = 100 + (high[0] - across) * 2 - 0.5, 50 + (high[1] - down) * 2 - 0.5
    assert panel.pixel((right, front, head)) == pytest.approx(expected, abs=0.51)
    assert panel.pixel(VIEW.point) == pytest.approx(np.rint(panel.pixel(VIEW.point))), "the centre of a pixel"
    assert panel.corner @ np.cross(panel.down, panel.right) == pytest.approx(
        VIEW.point @ np.cross(panel.down, panel.right)
    )


def test_finer_pixels_share_the_area_of_the_coarse_ones():
    panel = panel_of(VIEW, 0.5, 0, "coronal", (0, 0), (4, 6))
    finer = panel.finer(3, 2)
    assert (finer.height, finer.width) == (12, 12)
    three_by_two = finer.corner + [[row * finer.down + column * finer.right for row in range(3)] for column in range(2)]
    np.testing.assert_allclose(three_by_two.mean(axis=(0, 1)), panel.corner)
    np.testing.assert_allclose(
        finer.corner - finer.down / 2 - finer.right / 2, panel.corner - panel.down / 2 - panel.right / 2
    )


@pytest.mark.parametrize("plane", PLANES)
def test_the_first_pixel_is_within_half_a_pixel_of_the_high_ends(plane):
    for mm in (0.5, 0.7, 1.3):
        panel = panel_of(VIEW, mm, 0, plane, (0, 0), (1, 1))
        outer = panel.corner - panel.down / 2 - panel.right / 2  # the corner of the picture in the world
        for axis in PLANES[plane]:
            assert abs(outer @ VIEW.axes[:, axis] - VIEW.high[axis]) <= mm / 2 + 1e-9
