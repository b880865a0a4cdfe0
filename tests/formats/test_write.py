"""Volumes that are written, as SimpleITK and nibabel read them."""

import nibabel
import numpy as np
import pytest
import SimpleITK

from monai_mriprep.errors import VolumeError
from monai_mriprep.formats.header import Frame
from monai_mriprep.formats.read import read_header
from monai_mriprep.formats.write import write_metaimage, write_volume
from monai_mriprep.volume.geometry import Grid
from tests.oracles import affine_of, itk_image
from tests.restore.files import assert_geometry, geometry

SUFFIXES = [".mha", ".nii", ".nii.gz", ".nrrd"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"])
def test_what_is_written_is_read_by_simpleitk(tmp_path, suffix, dtype):
    array = np.random.default_rng(0).integers(0, 100, (3, 4, 5)).astype(dtype)
    grid = Grid(array.shape, affine_of((2.0, 0.7, 0.8), 25.0, (1.0, -2.0, 3.0)))
    write_volume(tmp_path / f"v{suffix}", array, Frame.of_grid(grid))
    found = SimpleITK.ReadImage(str(tmp_path / f"v{suffix}"))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(found), array)
    expected = geometry(itk_image(array, grid.affine))
    assert_geometry(tmp_path / f"v{suffix}", expected, 1e-5 if ".nii" in suffix else 1e-12)


CHANNELS = np.random.default_rng(1).random((2, 3, 4, 5)).astype(np.float32)
FRAME = Frame.of_grid(Grid((3, 4, 5), affine_of((2.0, 0.7, 0.8), 25.0, (1.0, -2.0, 3.0))))


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_channels_are_the_components_of_a_voxel(tmp_path, suffix):
    write_volume(tmp_path / f"v{suffix}", CHANNELS, FRAME)
    image = SimpleITK.ReadImage(str(tmp_path / f"v{suffix}"))
    assert image.GetNumberOfComponentsPerPixel() == 2
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image), np.moveaxis(CHANNELS, 0, -1))


def test_channels_are_the_fourth_dimension_of_a_nifti(tmp_path):
    write_volume(tmp_path / "v.nii.gz", CHANNELS, FRAME)
    np.testing.assert_array_equal(np.asarray(nibabel.load(tmp_path / "v.nii.gz").dataobj), CHANNELS.T)


def test_nifti_states_its_affine_as_sform_and_as_qform(tmp_path):
    write_volume(tmp_path / "v.nii", CHANNELS[0], FRAME)
    header = nibabel.load(tmp_path / "v.nii").header
    np.testing.assert_allclose(header.get_sform(), header.get_qform(), atol=1e-5)
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 1)


@pytest.mark.parametrize("compressed", [True, False])
def test_a_metaimage_without_a_direction_has_itks_identity(tmp_path, compressed):
    write_metaimage(tmp_path / "v.mha", CHANNELS[0], (3.0, 2.0, 1.0), (7.0, 8.0, 9.0), compressed=compressed)
    image = SimpleITK.ReadImage(str(tmp_path / "v.mha"))
    assert image.GetDirection() == tuple(np.eye(3).ravel())
    assert image.GetSpacing() == (1.0, 2.0, 3.0)
    assert image.GetOrigin() == (-7.0, -8.0, 9.0)
    assert read_header(tmp_path / "v.mha").body.encoding == ("zlib" if compressed else "raw")


def test_a_metaimage_keeps_every_digit(tmp_path):
    spacing, origin = (1 / 3, 0.1 + 0.2, 2**-0.5), (1e-17, -1 / 7, 123456.789012345)
    write_metaimage(tmp_path / "v.mha", CHANNELS[0], spacing, origin)
    image = SimpleITK.ReadImage(str(tmp_path / "v.mha"))
    assert image.GetSpacing() == spacing[::-1]
    assert image.GetOrigin() == (-origin[0], -origin[1], origin[2])


@pytest.mark.parametrize(
    ("array", "name", "problem"),
    [
        (CHANNELS[0].astype(np.complex64), "v.mha", "complex64"),
        (CHANNELS[0].astype(np.int64), "v.nrrd", "int64"),
        (CHANNELS[0, 0], "v.nii", "2 axes"),
        (CHANNELS[0], "v.mhd", r"\.mha, \.nii, \.nii\.gz and \.nrrd can"),
    ],
)
def test_what_cannot_be_written_is_refused_before_a_file_is_made(tmp_path, array, name, problem):
    with pytest.raises(VolumeError, match=rf"{name}: .*{problem}"):
        write_volume(tmp_path / name, array, FRAME)
    assert list(tmp_path.iterdir()) == []
