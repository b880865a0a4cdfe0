"""Image and label of a scan."""

from __future__ import annotations

import numpy as np

from monai_mriprep.pictures import Scan
from tests.pictures.scans import grid_of


def test_a_label_lies_on_the_grid_of_its_image_unless_another_is_named():
    image, other = grid_of(), grid_of(spacing=(3.0, 1.5, 1.5))
    voxels = np.zeros(image.shape)
    assert Scan(voxels, image, voxels).grid_of_label is image
    assert Scan(voxels, image, voxels, other).grid_of_label is other
    assert not Scan(voxels, image, voxels).is_mismatched
    assert not Scan(voxels, image, voxels, grid_of()).is_mismatched
    assert Scan(voxels, image, voxels, other).is_mismatched
    assert not Scan(voxels, image, None, other).is_mismatched
