"""What the headers of several formats have in common, as ITK takes it."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from monai_mriprep.errors import HeaderError
from monai_mriprep.formats.fields import compose_affine, slice_file_names


@pytest.mark.parametrize("seed", range(5))
def test_an_affine_places_voxels_where_itk_does(seed):
    rng = np.random.default_rng(seed)
    direction = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    image = SimpleITK.Image(5, 6, 7, SimpleITK.sitkUInt8)
    image.SetDirection(direction.ravel())
    image.SetSpacing(rng.uniform(0.3, 5, 3))
    image.SetOrigin(rng.uniform(-100, 100, 3))
    index = [4, 5, 6]
    affine = compose_affine(Path("x"), direction.T, image.GetSpacing(), image.GetOrigin())
    np.testing.assert_allclose((affine @ [*index, 1])[:3], image.TransformIndexToPhysicalPoint(index), rtol=1e-12)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("s%d.raw 1 3 1", ["s1.raw", "s2.raw", "s3.raw"]),
        ("s%03d.raw 8 12 2", ["s008.raw", "s010.raw", "s012.raw"]),
        ("%2d.z 9 10 1 2", [" 9.z", "10.z"]),
        ("s%d.raw 4 4 7", ["s4.raw"]),
    ],
)
def test_a_pattern_becomes_the_names_that_printf_gives(pattern, names):
    assert slice_file_names(Path("x.mhd"), "ElementDataFile", pattern) == names


@pytest.mark.parametrize("pattern", ["s%d.raw 3 1 1", "s%d.raw 1 3 0", "s%d.raw 1 3", "s%x.raw 1 3 1", "s.raw 1 3 1"])
def test_another_pattern_is_refused(pattern):
    with pytest.raises(HeaderError, match="first last step"):
        slice_file_names(Path("x.mhd"), "ElementDataFile", pattern)
