"""Where the patient is, and where air: the phantoms know it voxel by voxel."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from monai_mriprep.measures.body import find_body
from tests.measures.bodies import ellipsoid, grid_of, patient, turned

IMAGE, LABEL = patient(0)
GRID = grid_of(degrees=15)


def points(mask, grid):
    return np.argwhere(mask) @ grid.affine[:3, :3].T + grid.origin


def noise(voxels, seed=3):
    return np.abs(voxels + np.random.default_rng(seed).normal(0, 8, voxels.shape))


UNITS = {
    "as scanned": lambda v: v,
    "noise in the air": noise,
    "from 0 to 1": lambda v: v / 900,
    "air below 0": lambda v: noise(v) - 47,
    "z-scores": lambda v: (v - v.mean()) / v.std(),
    "z-scores, air 0": lambda v: np.where(v > 0, (v - v[v > 0].mean()) / v[v > 0].std(), 0),
    "uint8": lambda v: (v / 4).astype(np.uint8),
}


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("codes", ["RAS", "PIR"])
def test_tissue_is_inside_and_far_air_is_outside(units, codes):
    image, grid = turned(UNITS[units](IMAGE), GRID, codes)
    tissue, _ = turned(IMAGE > 0, GRID, codes)
    body = find_body(image, grid)
    far = ~ndimage.binary_dilation(tissue, np.ones((3, 3, 3)), iterations=4)
    assert body.holds(points(tissue, grid)).all()
    assert not body.holds(points(far, grid)).any()


def test_a_dark_organ_in_the_body_is_inside():
    lung = ellipsoid(IMAGE.shape, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    assert find_body(np.where(lung, 0, IMAGE), GRID).holds(points(lung, GRID)).all()


def test_a_scan_without_air_is_all_body():
    image = np.random.default_rng(0).gamma(4, 50, (9, 30, 30))
    assert find_body(image, grid_of(image.shape)).blocks.all()


def test_beyond_the_scan_is_outside():
    body = find_body(np.ones((2, 2, 2)), grid_of((2, 2, 2), (1, 1, 1)))
    corner = body.grid.origin
    assert body.holds(np.array([corner - 0.4, corner + 1.4])).all()
    assert not body.holds(np.array([corner - 0.6, corner + 1.6])).any()
