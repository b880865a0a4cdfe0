"""Files with a fourth dimension: channels where they are asked for, refused where they are not."""

import gzip

import nibabel
import numpy as np
import pytest
import SimpleITK

from monai_mriprep.errors import HeaderError, VoxelError
from monai_mriprep.formats.read import outline_or_problem, read_header
from monai_mriprep.formats.voxels import read_voxels
from monai_mriprep.volume.geometry import reverse_axes
from tests.formats.dicom_series import write_series
from tests.formats.volumes import DTYPES, ROTATION, itk_affine, nrrd

CHANNELS, SHAPE = 3, (3, 4, 5, 6)
ITK_TYPES = [dtype for dtype in DTYPES if "64" not in dtype or dtype == "float64"]

FOUR = {
    "NDims": 4,
    "DimSize": "4 3 2 2",
    "ElementSpacing": "1 1 1 1",
    "TransformMatrix": "1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1",
    "Offset": "0 0 0 0",
}


def values(dtype):
    rng = np.random.default_rng(0)
    if np.dtype(dtype).kind == "f":
        return rng.normal(size=SHAPE).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, SHAPE, dtype=dtype, endpoint=True)


def placed():
    affine = np.eye(4)
    affine[:3] = np.c_[ROTATION * (0.7, 0.8, 3.3), (4, 5, 6)]
    return affine


def nifti_file(path, dtype="int16", kind=nibabel.Nifti1Image, slope=(None, None)):
    image = kind(values(dtype).T, placed(), dtype=dtype)
    image.header.set_slope_inter(*slope)
    nibabel.save(image, path)
    return path


def itk_file(path, dtype="int16", compressed=False):
    image = SimpleITK.JoinSeries([SimpleITK.GetImageFromArray(volume) for volume in values(dtype)])
    image.SetSpacing((0.7, 0.8, 3.3, 1))
    image.SetOrigin((-12.5, 30.25, 7.125, 0))
    direction = np.eye(4)
    direction[:3, :3] = ROTATION
    image.SetDirection(direction.ravel().tolist())
    SimpleITK.WriteImage(image, str(path), useCompression=compressed)
    return path


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_nifti_channels_are_what_nibabel_reads(tmp_path, dtype, suffix, kind):
    path = nifti_file(tmp_path / f"four{suffix}", dtype, kind)
    stored = nibabel.load(path)

    header = read_header(path, channels=CHANNELS)
    voxels = read_voxels(header)

    np.testing.assert_array_equal(header.grid.affine, reverse_axes(stored.affine))
    assert voxels.dtype == np.dtype(dtype)
    assert voxels.flags.c_contiguous
    np.testing.assert_array_equal(voxels, np.asarray(stored.dataobj).T)
    np.testing.assert_array_equal(voxels, values(dtype))


def test_scaled_channels_are_rounded_once(tmp_path):
    path = nifti_file(tmp_path / "scaled.nii.gz", slope=(0.37, -12.5))
    expected = nibabel.load(path).get_fdata().T.astype(np.float32)
    np.testing.assert_array_equal(read_voxels(read_header(path, CHANNELS)), expected)


@pytest.mark.parametrize("suffix", [".mgz", ".mgh"])
def test_freesurfer_channels_are_what_nibabel_reads(tmp_path, suffix):
    nibabel.save(nibabel.MGHImage(values("float32").T, placed()), tmp_path / f"four{suffix}")
    voxels = read_voxels(read_header(tmp_path / f"four{suffix}", CHANNELS))
    np.testing.assert_array_equal(voxels, values("float32"))
    assert voxels.flags.c_contiguous


@pytest.mark.parametrize("compressed", [False, True], ids=["raw", "compressed"])
@pytest.mark.parametrize("suffix", [".mha", ".mhd"])
@pytest.mark.parametrize("dtype", ITK_TYPES)
def test_metaimage_channels_are_what_itk_reads(tmp_path, dtype, suffix, compressed):
    path = itk_file(tmp_path / f"four{suffix}", dtype, compressed)
    image = SimpleITK.ReadImage(str(path))

    header = read_header(path, channels=CHANNELS)
    voxels = read_voxels(header)

    np.testing.assert_allclose(header.grid.affine, itk_affine(image[:, :, :, 0]), rtol=0, atol=1e-9)
    assert voxels.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(voxels, SimpleITK.GetArrayFromImage(image))
    np.testing.assert_array_equal(voxels, values(dtype))


def test_channels_of_a_metaimage_may_stand_at_the_end_of_their_file(tmp_path, write_mha):
    stored = values("int16")
    sizes = FOUR | {"DimSize": "6 5 4 3", "HeaderSize": -1}
    (tmp_path / "voxels.raw").write_bytes(b"something before" + stored.tobytes())
    path = write_mha(tmp_path / "four.mhd", data_file="voxels.raw", body=b"", **sizes)
    np.testing.assert_array_equal(read_voxels(read_header(path, CHANNELS)), stored)


def test_nrrd_channels_are_the_last_axis(tmp_path):
    fields = {"dimension": "4", "sizes": "6 5 4 3", "space directions": "(0,0.5,0) (0,0,-2) (-3,0,0) none"}
    path = nrrd(tmp_path / "four.nrrd", values("<i2").tobytes(), kinds="domain domain domain list", **fields)
    np.testing.assert_array_equal(read_voxels(read_header(path, CHANNELS)), values("int16"))


@pytest.mark.parametrize(
    ("kinds", "directions", "sizes"),
    [
        ("list domain domain domain", "none (0,0.5,0) (0,0,-2) (-3,0,0)", "3 6 5 4"),
        ("domain domain domain domain", "none (0,0.5,0) (0,0,-2) (-3,0,0)", "6 5 4 3"),
        ("domain domain domain list", "(0,0.5,0) none (0,0,-2) (-3,0,0)", "6 5 4 3"),
        ("domain domain domain list", "(0,0.5,0) (0,0,-2) (-3,0,0)", "6 5 4 3"),
        ("domain domain domain list", None, "6 5 4 3"),
    ],
)
def test_channels_of_an_nrrd_along_another_axis_are_refused(tmp_path, kinds, directions, sizes):
    fields = {"dimension": "4", "sizes": sizes, "space directions": directions, "kinds": kinds}
    path = nrrd(tmp_path / "four.nrrd", values("<i2").tobytes(), **fields)
    with pytest.raises(HeaderError, match="store each channel as a file"):
        read_header(path, CHANNELS)


@pytest.mark.parametrize("make", [nifti_file, itk_file], ids=["nifti", "itk"])
def test_without_asking_channels_are_refused_with_the_remedy(tmp_path, make):
    path = make(tmp_path / ("four.nii" if make is nifti_file else "four.mha"))
    with pytest.raises(HeaderError) as caught:
        read_header(path)
    for fact in (path, "4 dimensions (6 x 5 x 4 x 3 voxels)", "one 3-D volume", "3 volumes", "--channels NAME,NAME"):
        assert str(fact) in str(caught.value)


@pytest.mark.parametrize("asked", [2, 4])
def test_another_number_than_asked_for_is_refused(tmp_path, asked):
    path = nifti_file(tmp_path / "four.nii")
    with pytest.raises(HeaderError, match=rf"6 x 5 x 4 x 3 voxels\); {asked} 3-D volumes, .* names so many"):
        read_header(path, asked)
    assert isinstance(outline_or_problem(path, asked), HeaderError)


def test_one_volume_is_no_channels_and_one_of_a_fourth_dimension_is_a_volume(tmp_path, write_mha):
    with pytest.raises(HeaderError, match=r"3 dimensions \(4 x 3 x 2 voxels\); 2 3-D volumes"):
        read_header(write_mha(), 2)
    nibabel.save(nibabel.Nifti1Image(values("int16").T[..., :1], np.eye(4)), tmp_path / "one.nii")
    assert read_voxels(read_header(tmp_path / "one.nii")).shape == SHAPE[1:]


def test_a_series_and_an_analyze_file_are_one_channel(tmp_path):
    series = write_series(tmp_path / "series", values("int16")[0])
    nibabel.AnalyzeImage(values("int16")[0].T, None).to_filename(tmp_path / "old.hdr")
    for path in (series, tmp_path / "old.hdr"):
        assert read_header(path).channels == 1
        with pytest.raises(HeaderError, match="is 1 channel, and 3 are expected; store them as one NIfTI file"):
            read_header(path, CHANNELS)


def test_more_than_four_dimensions_are_refused(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 4, 5, 1, 2), "i2"), np.eye(4)), tmp_path / "vectors.nii")
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 4, 5, 2, 2), "i2"), np.eye(4)), tmp_path / "more.nii")
    for path in (tmp_path / "vectors.nii", tmp_path / "more.nii"):
        for asked in (1, 2, 4):
            with pytest.raises(HeaderError, match=r"5 dimensions .*split the series"):
                read_header(path, asked)


def test_header_and_outline_count_the_channels(tmp_path):
    header = read_header(nifti_file(tmp_path / "four.nii"), CHANNELS)
    assert header.shape == SHAPE
    assert (header.voxels, header.nbytes) == (header.outline.voxels, header.outline.nbytes) == (360, 720)
    assert header.outline.channels == header.channels == CHANNELS
    assert header.outline.grid == header.grid


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize(("size", "problem"), [(30000, "cannot hold"), (0, "at least 1"), (-3, "at least 1")])
def test_a_fourth_size_that_lies_is_refused(tmp_path, suffix, size, problem):
    path = nifti_file(tmp_path / "four.nii")
    data = bytearray(path.read_bytes())
    header = nibabel.Nifti1Header(bytes(data[:348]), check=False)
    header["dim"][4] = size
    data[:348] = header.binaryblock
    path = tmp_path / f"liar{suffix}"
    path.write_bytes(gzip.compress(bytes(data)) if suffix == ".nii.gz" else bytes(data))
    with pytest.raises(HeaderError, match=problem):
        read_header(path, max(size, 1))


@pytest.mark.parametrize("size", [2**40, -1, 0])
def test_a_fourth_size_that_lies_in_a_metaimage_is_refused(write_mha, size):
    path = write_mha(**(FOUR | {"DimSize": f"4 3 2 {size}"}))
    with pytest.raises(HeaderError, match="cannot hold" if size > 0 else "at least 1"):
        read_header(path, max(size, 1))


def test_a_short_file_is_named_and_a_voxel_that_is_not_finite_with_its_channel(tmp_path):
    array = values("float32")
    array[2, 1, 0, 3] = np.nan
    nibabel.save(nibabel.Nifti1Image(array.T, np.eye(4)), tmp_path / "nan.nii")
    with pytest.raises(VoxelError, match=r"\(2, 1, 0, 3\) \(channel, z, y, x\)"):
        read_voxels(read_header(tmp_path / "nan.nii", CHANNELS))
    path = nifti_file(tmp_path / "short.nii")
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(HeaderError, match="6 x 5 x 4 x 3 voxels of int16, 720 bytes"):
        read_header(path, CHANNELS)


def test_text_slices_and_colours_stay_refused(tmp_path, write_mha):
    text = " ".join(map(str, range(48))).encode() + b"\n"
    with pytest.raises(HeaderError, match="store each as a file"):
        read_header(write_mha(tmp_path / "text.mha", BinaryData="False", body=text, **FOUR), 2)
    with pytest.raises(HeaderError, match="numbers a voxel"):
        read_header(write_mha(tmp_path / "rgb.mha", ElementNumberOfChannels=2, **FOUR), 2)
