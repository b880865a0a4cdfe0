"""Headers and voxels against SimpleITK (ITK itself) and nibabel, on real scans and on every type they write."""

import gzip
import pickle

import nibabel
import numpy as np
import pytest
import SimpleITK

from monai_mriprep.formats.read import read_header
from monai_mriprep.formats.voxels import read_voxels
from monai_mriprep.volume.geometry import LPS_TO_RAS, reverse_axes

INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
DTYPES = [*INTEGERS, "float32", "float64"]
SHAPE = (5, 4, 3)
ROTATION = np.array([[0.36, 0.48, -0.8], [-0.8, 0.6, 0.0], [0.48, 0.64, 0.6]])


def itk_affine(image):
    """Voxel index z, y, x to RAS+ mm, from what ITK says."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return reverse_axes(LPS_TO_RAS @ affine)


def assert_same_as_itk(path, tolerance):
    header, image = read_header(path), SimpleITK.ReadImage(str(path))
    values, expected = read_voxels(header), SimpleITK.GetArrayFromImage(image)
    assert header.grid.shape == expected.shape
    np.testing.assert_allclose(header.grid.affine, itk_affine(image), rtol=0, atol=tolerance)
    assert values.dtype == header.value_dtype == expected.dtype
    np.testing.assert_array_equal(values, expected)
    assert values.flags.c_contiguous
    assert values.flags.writeable


def oblique(dtype):
    """A small oblique volume over the whole range of its type."""
    rng = np.random.default_rng(0)
    if np.dtype(dtype).kind == "f":
        array = rng.normal(size=SHAPE).astype(dtype)
    else:
        limits = np.iinfo(dtype)
        array = rng.integers(limits.min, limits.max, SHAPE, dtype=dtype, endpoint=True)
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing((0.7, 0.8, 3.3))
    image.SetOrigin((-12.5, 30.25, 7.125))
    image.SetDirection(ROTATION.ravel().tolist())
    return image


@pytest.mark.parametrize("compressed", [False, True], ids=["raw", "compressed"])
@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".nrrd", ".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_itk_writes_is_read_as_itk_reads_it(tmp_path, dtype, suffix, compressed):
    path = tmp_path / f"volume{suffix}"
    SimpleITK.WriteImage(oblique(dtype), str(path), useCompression=compressed)

    assert_same_as_itk(path, 1e-5 if ".nii" in suffix else 1e-9)


REAL = ["mixed/*/*.mha", "anisotropic/*/*.mha", "traps/axis_codes/*", "traps/*/ProstateX*"]


@pytest.mark.parametrize("pattern", REAL)
def test_real_scans_are_read_as_itk_reads_them(scans, pattern):
    paths = sorted(scans.glob(pattern))

    assert paths
    for path in paths:
        assert_same_as_itk(path, 1e-4 if ".nii" in path.name else 1e-9)


def test_real_nifti_geometry_is_nibabels(scans):
    for path in scans.glob("traps/*/*.nii.gz"):
        if path.parent.name != "four_d":
            affine = reverse_axes(nibabel.load(path).affine)
            np.testing.assert_array_equal(read_header(path).grid.affine, affine)


ALIASES = {
    "position and orientation": {"Position": "7 8 9", "Orientation": "0 1 0 0 0 -1 -1 0 0", "ElementSpacing": "1 2 3"},
    "origin and rotation": {"Origin": "7 8 9", "Rotation": "0 1 0 0 0 -1 -1 0 0", "ElementSpacing": "1 2 3"},
    "element size": {"ElementSize": "1 2 3"},
    "header size": {"ElementSpacing": "1 2 3", "HeaderSize": "300"},
    "data at the end": {"ElementSpacing": "1 2 3", "HeaderSize": "-1"},
    "dicom tags": {"ElementSpacing": "1 2 3", "0008|103e": "t2_tse = a: b", "Comment": "ü \\ x"},
}


@pytest.mark.parametrize("fields", ALIASES.values(), ids=ALIASES)
@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_metaimage_keys_mean_what_they_mean_to_itk(tmp_path, fields, order, newline):
    start = {"NDims": "3", "DimSize": "2 3 4", "ElementType": "MET_INT", "BinaryDataByteOrderMSB": str(order == ">")}
    lines = [f"{key} = {value}" for key, value in (start | fields | {"ElementDataFile": "LOCAL"}).items()]
    padding = b"\x7f" * 400 if "HeaderSize" in fields else b""
    path = tmp_path / "volume.mha"
    path.write_bytes(newline.join([*lines, ""]).encode() + padding + np.arange(24, dtype=f"{order}i4").tobytes())

    assert_same_as_itk(path, 1e-9)


@pytest.mark.parametrize(("element", "dtype"), [("MET_LONG", "<i4"), ("MET_ULONG", "<u4"), ("MET_LONG_LONG", "<i8")])
def test_long_is_four_bytes_on_disk(write_mha, element, dtype):
    path = write_mha(ElementType=element, body=np.arange(24, dtype=dtype).tobytes())

    assert_same_as_itk(path, 1e-9)


def test_a_trailing_dimension_of_one_is_dropped(write_mha):
    identity = "1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1"
    sizes = {"NDims": "4", "DimSize": "4 3 2 1", "TransformMatrix": identity, "Offset": "1 2 3 4"}

    grid = read_header(write_mha()).grid
    header = read_header(write_mha(**sizes, ElementSpacing="0.5 0.75 3 1"))

    assert header.grid == grid
    assert read_voxels(header).shape == (2, 3, 4)


NRRD = """NRRD0004
# a comment
type: {type}
dimension: 3
space: {space}
sizes: 2 3 4
space directions: (0,0.5,0) (0,0,-2) (-3,0,0)
kinds: domain domain domain
endian: {endian}
encoding: {encoding}
space origin: (7,8,9)
key:=value: with a colon

"""


@pytest.mark.parametrize("space", ["left-posterior-superior", "right-anterior-superior", "left-anterior-superior"])
@pytest.mark.parametrize("endian", ["little", "big"])
@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_nrrd_spaces_and_byte_orders(tmp_path, space, endian, encoding):
    body = np.arange(24, dtype=">i2" if endian == "big" else "<i2").tobytes()
    head = NRRD.format(type="short", space=space, endian=endian, encoding=encoding).encode()
    path = tmp_path / "volume.nrrd"
    path.write_bytes(head + (gzip.compress(body) if encoding == "gzip" else body))

    assert_same_as_itk(path, 1e-9)


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


def test_a_header_travels_between_processes(write_mha):
    header = read_header(write_mha())

    copy = pickle.loads(pickle.dumps(header))

    assert copy == header
    assert (copy.voxels, copy.nbytes, copy.value_dtype) == (24, 48, np.dtype("int16"))


def test_a_suffix_in_capitals_is_read(write_mha):
    path = write_mha()

    assert read_header(path.rename(path.with_suffix(".MHA"))).voxels == 24


def test_links_to_header_and_data_are_followed(tmp_path, write_mha):
    store, dataset = tmp_path / "store", tmp_path / "dataset"
    store.mkdir()
    dataset.mkdir()
    header = write_mha(store / "a.mhd", body=b"", data_file="a.raw")
    (store / "a.raw").write_bytes(np.arange(24, dtype="<i2").tobytes())
    (dataset / "b.mhd").symlink_to(header)

    np.testing.assert_array_equal(read_voxels(read_header(dataset / "b.mhd")).ravel(), np.arange(24))

    (dataset / "a.raw").symlink_to(store / "a.raw")

    np.testing.assert_array_equal(read_voxels(read_header(dataset / "b.mhd")).ravel(), np.arange(24))


@pytest.mark.parametrize("name", ["my scan.raw", "./volume.raw", "a 1 2 b.raw", "./my scan.raw"])
def test_data_files_with_blanks_and_a_leading_dot_are_found_as_itk_finds_them(tmp_path, write_mha, name):
    (tmp_path / name).write_bytes(np.arange(24, dtype="<i2").tobytes())

    assert_same_as_itk(write_mha(tmp_path / "volume.mhd", body=b"", data_file=name), 1e-9)


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
