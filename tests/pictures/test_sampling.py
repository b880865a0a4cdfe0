"""Nearest voxels, against SimpleITK."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK

from monai_mriprep.pictures.layout import lay_out
from monai_mriprep.pictures.place import view_of
from monai_mriprep.pictures.sampling import nearest_voxels, voxels_per_pixel
from monai_mriprep.pictures.scan import Scan
from tests.oracles import itk_image
from tests.pictures.scans import MIDDLE, grid_of

FRAME = grid_of(middle=MIDDLE + np.array((0.1234, 0.2079, -0.3311)))
"""What the panels are of; apart from the volumes by a little, so that no pixel lies between two voxels."""


@pytest.mark.parametrize("axes", ["SAR", "PIL", "RSA"])
@pytest.mark.parametrize("degrees", [0, 31])
@pytest.mark.parametrize("contiguous", [True, False])
def test_values_are_those_of_itk(axes, degrees, contiguous):
    grid = grid_of((20, 31, 32), (2.1, 1.7, 1.3), axes, degrees)
    voxels = np.random.default_rng(0).integers(1, 30_000, grid.shape).astype(np.int16)
    resampler = SimpleITK.ResampleImageFilter()
    resampler.SetInterpolator(SimpleITK.sitkNearestNeighbor)
    for panel in lay_out(view_of([Scan(np.zeros(FRAME.shape), FRAME)]), 1).panels:
        normal = np.cross(panel.down, panel.right) / np.linalg.norm(panel.down)
        affine = np.eye(4)
        affine[:3] = np.stack([normal, panel.down, panel.right, panel.corner], axis=1)
        reference = itk_image(np.zeros((1, panel.height, panel.width), np.int16), affine)
        resampler.SetReferenceImage(reference)
        expected = SimpleITK.GetArrayFromImage(resampler.Execute(itk_image(voxels, grid.affine)))[0]
        given = voxels if contiguous else np.asfortranarray(voxels)
        values, inside = nearest_voxels(given, grid, panel)
        assert 0 < inside.sum() < inside.size
        assert np.mean(inside != (expected > 0)) < 1e-3
        assert np.mean(np.where(inside, values, 0) != expected) < 1e-3


def test_voxels_in_a_pixel_are_counted_down_and_across():
    panels = lay_out(view_of([Scan(np.zeros(FRAME.shape), FRAME)]), 1).panels
    mm = np.linalg.norm(panels[0].down)
    for panel, spacings in zip(panels, [(1.5, 1.4), (3.0, 1.4), (3.0, 1.5)], strict=True):
        assert voxels_per_pixel(FRAME, panel) == pytest.approx(np.divide(mm, spacings))
        turned = grid_of(axes="RIP", spacing=(1.4, 3.0, 1.5))
        assert voxels_per_pixel(turned, panel) == pytest.approx(np.divide(mm, spacings))


def test_a_panel_of_one_column_may_be_oblique_to_the_volume():
    grid = grid_of((1, 5, 40), (1e6, 1.0, 1.0), degrees=31)
    voxels = np.arange(200).reshape(grid.shape)
    needle = grid_of((40, 1, 1), (3.0, 0.01, 0.01))
    for panel in lay_out(view_of([Scan(np.zeros(needle.shape), needle)]), 1).panels:
        values, inside = nearest_voxels(voxels, grid, panel)
        assert values.shape == inside.shape == (panel.height, panel.width)
