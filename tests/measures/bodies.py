"""Small patients: a body of noisy tissue in air, no two alike, with two organs; as arrays and grids."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from monai_mriprep.volume.axes import turn_to_codes
from monai_mriprep.volume.geometry import Grid
from tests.oracles import rotation

SHAPE = (24, 48, 40)
SPACING = (3.3, 1.2, 1.2)


def grid_of(shape=SHAPE, spacing=SPACING, degrees=0):
    """A grid whose arrays run to S, A and R, turned by some degrees."""
    affine = np.eye(4)
    affine[:3, :3] = rotation(degrees) @ np.eye(3)[::-1] * spacing
    affine[:3, 3] = -20.0, 30.0, 10.0
    return Grid(shape, affine)


def ellipsoid(shape, centre, radii):
    """True within; centre and radii as shares of the array's edges."""
    axes = np.ogrid[tuple(slice(n) for n in shape)]
    places = [(axis + 0.5) / n for axis, n in zip(axes, shape, strict=True)]
    return sum(((p - c) / r) ** 2 for p, c, r in zip(places, centre, radii, strict=True)) < 1


def patient(seed, shape=SHAPE):
    """Image and label, int16: tissue of about 300 in air of exactly 0, an organ of class 1 beside one of class 2."""
    rng = np.random.default_rng(seed)
    body = ellipsoid(shape, rng.uniform(0.47, 0.53, 3), rng.uniform(0.36, 0.44, 3))
    texture = ndimage.zoom(rng.normal(size=(4, 6, 6)), np.divide(shape, (4, 6, 6)), order=1)
    image = np.where(body, 300 + 90 * texture + rng.normal(0, 20, shape), 0).clip(0)
    label = np.zeros(shape, np.int16)
    for value, side in ((2, 0.35), (1, 0.62)):
        centre = (*rng.uniform(0.45, 0.55, 2), side)
        organ = ellipsoid(shape, centre, rng.uniform(0.11, 0.14, 3))
        label[organ], image[organ] = value, 350 + 100 * value
    return image.astype(np.int16), label


def turned(voxels, grid, codes):
    """The same patient as a file whose axes x, y, z run to these ends would hold it."""
    turn = turn_to_codes(grid, codes)
    flips = tuple(axis for axis in range(3) if turn.reverse[axis])
    return np.flip(voxels.transpose(turn.order), flips), turn.grid(grid)
