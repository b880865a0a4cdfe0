"""The inverse of a matrix, with the bits that ITK holds."""

from __future__ import annotations

import platform
from itertools import permutations

import numpy as np
import pytest
import SimpleITK
from scipy.spatial.transform import Rotation

from monai_mriprep.volume.itk_inverse import inverse_as_itk

pytestmark = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="SimpleITK for this processor rounds otherwise"
)


def world_to_index(spacing: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """The matrix that ITK holds, a column at a time."""
    image = SimpleITK.Image(2, 2, 2, SimpleITK.sitkUInt8)
    image.SetSpacing(spacing.tolist())
    image.SetDirection(direction.ravel().tolist())
    return np.array([image.TransformPhysicalPointToContinuousIndex(column) for column in np.eye(3).tolist()]).T


def directions() -> list[np.ndarray]:
    turned = [rotation.as_matrix() for rotation in Rotation.random(60, random_state=3)]
    from_float32 = [matrix.astype(np.float32).astype(np.float64) for matrix in turned[:20]]
    along_the_world = [np.eye(3)[list(order)] * sign for order in permutations(range(3)) for sign in (-1, 1)]
    nearly = [Rotation.from_rotvec([size, -size / 3, 0]).as_matrix() for size in (1e-3, 1e-8, 1e-15)]
    return [*turned, *from_float32, *along_the_world, *nearly]


def test_the_inverse_has_itks_bits():
    spacings = np.random.default_rng(0).uniform(0.3, 7, (100, 3))
    for direction, spacing in zip(directions(), spacings, strict=False):
        expected = world_to_index(spacing, direction)
        assert np.array_equal(inverse_as_itk(direction * spacing), expected), (direction, spacing)
