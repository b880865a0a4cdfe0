"""NIfTI headers, single files and pairs, as nibabel reads them, and lies that are refused."""

import gzip

import nibabel
import numpy as np
import pytest
import SimpleITK

from monai_mriprep.errors import HeaderError
from monai_mriprep.formats.read import read_header
from monai_mriprep.formats.voxels import read_voxels
from monai_mriprep.volume.geometry import reverse_axes
from tests.formats.volumes import ROTATION, assert_same_as_itk


def test_real_nifti_geometry_is_nibabels(scans):
    for path in scans.glob("traps/*/*.nii.gz"):
        if path.parent.name != "four_d":
            affine = reverse_axes(nibabel.load(path).affine)
            np.testing.assert_array_equal(read_header(path).grid.affine, affine)


@pytest.mark.parametrize("endianness", ["<", ">"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("form", ["sform", "qform", "none"])
def test_nifti_geometry_is_nibabels(tmp_path, endianness, kind, suffix, form):
    affine = np.eye(4)
    affine[:3] = np.c_[ROTATION * (0.7, 0.8, 3.3), (4, 5, 6)]
    image = kind(np.arange(60, dtype="i2").reshape(3, 4, 5), None, kind.header_class(endianness=endianness))
    image.header.set_data_dtype("i2")
    image.header.set_zooms((0.7, 0.8, 3.3))
    image.set_sform(affine if form == "sform" else None, int(form == "sform"))
    image.set_qform(affine if form == "qform" else None, int(form == "qform"))
    path = tmp_path / f"volume{suffix}"
    nibabel.save(image, path)
    stored = nibabel.load(path)

    header = read_header(path)

    np.testing.assert_array_equal(header.grid.affine, reverse_axes(stored.affine))
    np.testing.assert_array_equal(read_voxels(header), np.asarray(stored.dataobj).T)
    assert read_voxels(header).dtype == np.int16


@pytest.mark.parametrize(("slope", "intercept"), [(0.37, -12.5), (2, 0), (1, 3)])
def test_nifti_scaling_gives_float32_as_nibabel_and_itk(tmp_path, slope, intercept):
    image = nibabel.Nifti1Image(np.arange(60, dtype="i2").reshape(3, 4, 5), np.eye(4))
    image.header.set_slope_inter(slope, intercept)
    path = tmp_path / "scaled.nii.gz"
    nibabel.save(image, path)

    values = read_voxels(read_header(path))

    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, nibabel.load(path).get_fdata().T.astype(np.float32))
    np.testing.assert_array_equal(
        values, SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))).astype(np.float32)
    )


@pytest.mark.parametrize(("unit", "mm"), [("meter", 1e3), ("mm", 1), ("micron", 1e-3), ("unknown", 1)])
def test_nifti_units_become_millimetres_as_in_itk(tmp_path, unit, mm):
    image = nibabel.Nifti1Image(np.zeros((3, 4, 5), "i2"), np.diag([1.0, 2, 3, 1]))
    image.header.set_xyzt_units(unit)
    path = tmp_path / "units.nii"
    nibabel.save(image, path)

    assert_same_as_itk(path, 1e-5)
    assert read_header(path).grid.spacing == pytest.approx((3 * mm, 2 * mm, 1 * mm))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_a_qfac_of_zero_counts_as_one(tmp_path, suffix, kind):
    """The standard's own rule (nifti1.h, method 2), and what nibabel and ITK do."""
    affine = np.eye(4)
    affine[:3] = np.c_[ROTATION * (0.7, 0.8, 3.3), (4, 5, 6)]
    image = kind(np.arange(60, dtype="i2").reshape(3, 4, 5), None)
    image.set_qform(affine, 1)
    data = bytearray(image.to_bytes())
    header = image.header_class(bytes(data[: image.header_class.sizeof_hdr]), check=False)
    header["pixdim"][0] = 0
    data[: header.sizeof_hdr] = header.binaryblock
    path = tmp_path / f"volume{suffix}"
    path.write_bytes(gzip.compress(bytes(data)) if suffix == ".nii.gz" else bytes(data))

    np.testing.assert_array_equal(read_header(path).grid.affine, reverse_axes(nibabel.load(path).affine))
    if kind is nibabel.Nifti1Image:  # ITK does not read NIfTI-2
        assert_same_as_itk(path, 1e-5)


@pytest.mark.parametrize("suffixes", [(".hdr", ".img"), (".HDR", ".IMG")])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Pair, nibabel.Nifti2Pair])
def test_nifti_pairs_are_what_nibabel_says(tmp_path, suffixes, kind):
    affine = np.eye(4)
    affine[:3] = np.c_[ROTATION * (0.7, 0.8, 3.3), (4, 5, 6)]
    nibabel.save(kind(np.arange(60, dtype="i2").reshape(3, 4, 5), affine), tmp_path / "volume.hdr")
    paths = [(tmp_path / f"volume{suffix.lower()}").rename(tmp_path / f"scan{suffix}") for suffix in suffixes]

    header = read_header(paths[0])

    assert header.reader == "built-in"
    assert header.files == tuple(paths)
    np.testing.assert_allclose(header.grid.affine, reverse_axes(affine), atol=1e-6)
    np.testing.assert_array_equal(read_voxels(header), np.arange(60).reshape(3, 4, 5).T)


def test_a_header_without_its_voxels_is_named(tmp_path):
    nibabel.save(nibabel.Nifti1Pair(np.zeros((3, 4, 5), "i2"), np.eye(4)), tmp_path / "volume.hdr")
    (tmp_path / "volume.img").unlink()

    with pytest.raises(HeaderError, match=r"volume\.img: the file cannot be found"):
        read_header(tmp_path / "volume.hdr")


NIFTI_LIES = {
    "four dimensions": ({"dim": [4, 3, 4, 5, 2, 1, 1, 1]}, "4 dimensions"),
    "negative size": ({"dim": [3, 3, -4, 5, 1, 1, 1, 1]}, "at least 1"),
    "huge size": ({"dim": [3, 30000, 30000, 30000, 1, 1, 1, 1]}, "cannot hold"),
    "no dimensions": ({"dim": [0, 3, 4, 5, 1, 1, 1, 1]}, "3 dimensions"),
    "too many dimensions": ({"dim": [9, 3, 4, 5, 1, 1, 1, 1]}, "3 dimensions"),
    "colour": ({"datatype": 128}, "RGB"),
    "complex": ({"datatype": 32}, "complex"),
    "unknown type": ({"datatype": 77}, "not supported"),
    "data inside the header": ({"vox_offset": 12}, "vox_offset"),
    "data beyond the file": ({"vox_offset": 1e9}, "cannot hold"),
    "nan offset": ({"vox_offset": np.nan}, "vox_offset"),
    "nan in the sform": ({"srow_x": np.nan}, "not finite"),
    "singular sform": ({"srow_x": 0}, "spacing"),
    "quaternion out of range": ({"sform_code": 0, "qform_code": 1, "quatern_b": 7}, "orientation"),
    "negative pixdim": ({"sform_code": 0, "qform_code": 1, "pixdim": -1}, "orientation"),
    "nan intercept": ({"scl_slope": 2, "scl_inter": np.nan}, "scl_inter"),
    "a pair of files": ({"magic": b"ni1\0"}, "single-file"),
}


@pytest.mark.parametrize(("changes", "problem"), NIFTI_LIES.values(), ids=NIFTI_LIES)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_lying_nifti_is_refused(tmp_path, suffix, changes, problem):
    image = nibabel.Nifti1Image(np.zeros((3, 4, 5), "i2"), np.eye(4))
    data = bytearray(image.to_bytes())
    header = nibabel.Nifti1Header(bytes(data[:348]), check=False)
    for key, value in changes.items():
        header[key] = value
    data[:348] = header.binaryblock
    path = tmp_path / f"liar{suffix}"
    path.write_bytes(gzip.compress(bytes(data)) if suffix == ".nii.gz" else bytes(data))

    with pytest.raises(HeaderError, match=problem):
        read_header(path)
