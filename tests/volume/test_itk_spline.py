"""The signs of ITK's rounding errors: every step has the bits of SimpleITK's, in float64."""

from __future__ import annotations

import platform
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from scipy.spatial.transform import Rotation

from monai_mriprep import LoadVolumed
from monai_mriprep.steps import Volumes, forward
from monai_mriprep.steps.resampling import ItkResampling
from monai_mriprep.transforms.tensors import grid_of
from monai_mriprep.types import FOREGROUND, IMAGE
from monai_mriprep.volume.geometry import Grid
from monai_mriprep.volume.itk_spline import CHUNK, positive_as_itk
from tests.oracles import itk_resample

pytestmark = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="SimpleITK for this processor rounds otherwise"
)


def resampled(path: Path, target: tuple[float, ...], turned: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Values and mask; `turned` mixes up the axes that the file is said to have."""
    scan = LoadVolumed("image")({"image": str(path)})["image"]
    direction = scan.meta["file_direction"].numpy()
    volumes = Volumes({IMAGE: scan.as_tensor()}, {}, direction[::-1] if turned else direction)
    found, _ = forward([ItkResampling(target=target)], volumes, grid_of(scan))
    return found.by_role[IMAGE][0].numpy(), found.by_role[FOREGROUND][0].numpy()


SCANS = {
    "oblique": ((12, 40, 37), (3.3, 1.1, 0.9), (21.0, -17.0, 8.0), (1.65, 0.55, 0.45)),
    "along the world": ((19, 30, 41), (3.0, 1.0, 0.8), (0.0, 0.0, 0.0), (1.5, 0.5, 0.8)),
    "one slice": ((1, 60, 70), (5.0, 1.0, 1.0), (3.0, 2.0, 1.0), (5.0, 0.5, 0.5)),
    "coarser": ((40, 60, 70), (1.0, 1.0, 1.0), (0.0, 0.0, 33.0), (2.0, 2.0, 1.0)),
}
"""Shape, spacing, degrees, target (z y x). New centres fall on old ones, where only rounding is left of zeros."""


@pytest.mark.parametrize("name", SCANS)
def test_it_finds_the_same_voxels_greater_than_zero(tmp_path, name):
    shape, spacing, degrees, target = SCANS[name]
    scan = np.zeros(shape)
    tissue = scan[:, shape[1] // 3 : 2 * shape[1] // 3, 9:25]
    tissue[:] = np.random.default_rng(2).uniform(5, 900, tissue.shape)
    image = SimpleITK.GetImageFromArray(scan)
    image.SetSpacing(spacing[::-1])
    image.SetOrigin((-113.7, 81.3, 12.9))
    image.SetDirection(Rotation.from_euler("zyx", degrees, degrees=True).as_matrix().ravel().tolist())
    SimpleITK.WriteImage(image, str(tmp_path / "scan.mha"))
    read = SimpleITK.ReadImage(str(tmp_path / "scan.mha"))
    expected = SimpleITK.GetArrayFromImage(itk_resample(read, target, SimpleITK.sitkBSpline)) > 0

    values, mask = resampled(tmp_path / "scan.mha", target)

    assert np.array_equal(mask, expected)
    assert ((values > 0) != expected).sum() > 20  # else this would be no test
    assert name == "one slice" or (np.abs(values) < 1e-6 * scan.max()).sum() > CHUNK


def test_axes_that_are_the_files_no_longer_are_not_taken_for_its(tmp_path):
    """A direction in the metadata is that of the file; one that does not fit the affine is not used."""
    scan = SimpleITK.GetImageFromArray(np.pad(np.ones((6, 8, 9)), 5))
    SimpleITK.WriteImage(scan, str(tmp_path / "scan.mha"))
    _, expected = resampled(tmp_path / "scan.mha", (0.5, 0.5, 0.5))
    _, found = resampled(tmp_path / "scan.mha", (0.5, 0.5, 0.5), turned=True)
    assert np.array_equal(found, expected)


def test_it_takes_the_memory_that_a_run_reckons_with():
    """Eight bytes a voxel of the input, beside what does not grow with it: some for each voxel evaluated at once."""
    volume = np.zeros((60, 200, 200), np.int16)
    volume[20:30, 50:90, 60:99] = 700
    resampled = np.zeros((30, 100, 100), np.float32)
    tracemalloc.start()
    positive_as_itk(volume, Grid(volume.shape, np.eye(4)), np.eye(3), (2.0, 2.0, 2.0), resampled)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * volume.size + 9 * resampled.size + 600 * CHUNK
