"""Volumes that are written, as SimpleITK and nibabel read them."""

import zlib
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from monai_mriprep.errors import VolumeError
from monai_mriprep.formats.header import Frame
from monai_mriprep.formats.write import write_metaimage, write_volume
from monai_mriprep.volume.geometry import Grid
from tests.formats.volumes import itk_affine
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


# --- MetaImage --------------------------------------------------------------------------------------------------------

OBLIQUE = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]


def read(path: Path) -> tuple[np.ndarray, Grid]:
    """Read with ITK."""
    image = SimpleITK.ReadImage(str(path))
    array = SimpleITK.GetArrayFromImage(image)
    return array, Grid(array.shape, itk_affine(image))


def fields(path: Path) -> dict[str, str]:
    text = path.read_bytes().partition(b"ElementDataFile")[0].decode("ascii")
    return dict(line.split(" = ") for line in text.splitlines())


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"])
def test_itk_reads_the_same_voxels(tmp_path, dtype, compressed):
    array = (np.random.default_rng(0).normal(size=(3, 4, 5)) * 50).astype("int8").astype(dtype)
    write_metaimage(tmp_path / "a.mha", array, compressed=compressed)
    read_back, _ = read(tmp_path / "a.mha")
    assert read_back.dtype == dtype
    np.testing.assert_array_equal(read_back, array)


@pytest.mark.parametrize(
    "layout", [lambda a: np.asfortranarray(a), lambda a: a[::-1, :, ::2], lambda a: a.astype(">i2")]
)
def test_memory_layout_does_not_matter(tmp_path, layout):
    array = layout(np.arange(120, dtype=np.int16).reshape(4, 5, 6))
    write_metaimage(tmp_path / "a.mha", array)
    np.testing.assert_array_equal(read(tmp_path / "a.mha")[0], array)


def test_itk_reads_exactly_the_geometry(tmp_path):
    spacing, origin = (1 / 3, 0.1, 2.9999999941936877), (-57.685436736032997, 1e-17, 1 / 7)
    write_metaimage(tmp_path / "a.mha", np.zeros((2, 3, 4), np.int16), spacing, origin, OBLIQUE)
    image = SimpleITK.ReadImage(str(tmp_path / "a.mha"))
    assert image.GetSpacing() == spacing[::-1]
    assert image.GetOrigin() == (-origin[0], -origin[1], origin[2])
    expected = np.diag([-1, -1, 1]) @ OBLIQUE[:, ::-1]
    np.testing.assert_array_equal(np.reshape(image.GetDirection(), (3, 3)), expected)


@pytest.mark.parametrize("direction", [np.eye(3), np.eye(3)[:, [1, 2, 0]], OBLIQUE])
def test_grid_round_trip(tmp_path, direction):
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = direction * (3.0, 0.5, 0.75), (1, -2, 3)
    grid = Grid((2, 3, 4), affine)
    write_metaimage(tmp_path / "a.mha", np.zeros(grid.shape, np.uint8), grid.spacing, grid.origin, grid.direction)
    _, read_back = read(tmp_path / "a.mha")
    np.testing.assert_allclose(read_back.affine, affine, rtol=0, atol=1e-15)


def test_default_direction_is_itks_identity(tmp_path):
    write_metaimage(tmp_path / "a.mha", np.zeros((2, 3, 4), np.int16))
    assert SimpleITK.ReadImage(str(tmp_path / "a.mha")).GetDirection() == tuple(np.eye(3).ravel())
    assert "-0.0" not in (tmp_path / "a.mha").read_bytes().partition(b"ElementDataFile")[0].decode()


def test_int8_is_characters_of_the_format(tmp_path):
    array = np.arange(-12, 12, dtype=np.int8).reshape(2, 3, 4)
    write_metaimage(tmp_path / "a.mha", array, compressed=False)
    assert fields(tmp_path / "a.mha")["ElementType"] == "MET_CHAR"
    assert (tmp_path / "a.mha").read_bytes().endswith(b"LOCAL\n" + array.tobytes())


def test_compressed_size_is_declared(tmp_path):
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    write_metaimage(tmp_path / "a.mha", array)
    stream = (tmp_path / "a.mha").read_bytes().partition(b"LOCAL\n")[2]
    assert fields(tmp_path / "a.mha")["CompressedDataSize"] == str(len(stream))
    assert zlib.decompress(stream) == array.tobytes()


@pytest.mark.parametrize("array", [np.zeros((2, 3)), np.zeros((1, 1, 2, 3, 4)), np.zeros((2, 3, 4), complex)])
def test_unsupported_arrays_are_refused(tmp_path, array):
    with pytest.raises(VolumeError, match="cannot write"):
        write_metaimage(tmp_path / "a.mha", array)
    assert list(tmp_path.iterdir()) == []
