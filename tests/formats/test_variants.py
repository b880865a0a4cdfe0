"""Every variant of a file that three libraries write: our readers give what ITK or nibabel give.

Voxels bit for bit; affines to 1e-9 mm against ITK where the file holds all digits, and exactly against nibabel. The
differences that are meant stand at the end, and in docs/formats.md.
"""

import itertools
import zlib
from functools import partial

import nibabel
import nrrd
import numpy as np
import pytest
import SimpleITK

from monai_mriprep.errors import VoxelError
from monai_mriprep.formats.read import read_header
from monai_mriprep.formats.voxels import read_voxels
from monai_mriprep.volume.geometry import reverse_axes
from tests.formats.volumes import DTYPES, ROTATION, itk_affine

SHAPE = (4, 3, 2)
SPACING = (0.7, 0.8, 3.3)
ORIGIN = (-12.5, 30.25, 7.125)
DIRECTIONS = {"straight": np.eye(3), "oblique": ROTATION, "turned": np.array([[0.0, 0, -1], [1, 0, 0], [0, -1, 0]])}


def voxels(dtype):
    """(z, y, x) over the whole range of the type."""
    rng = np.random.default_rng(7)
    if np.dtype(dtype).kind == "f":
        return rng.normal(scale=1e3, size=SHAPE).astype(dtype)
    limits = np.iinfo(dtype)
    array = rng.integers(limits.min, limits.max, SHAPE, dtype=dtype, endpoint=True)
    array.flat[:2] = limits.min, limits.max
    return array


def differences(path, expected, affine, tolerance):
    """Sentences; none where our reader gives the same."""
    header = read_header(path)
    values = read_voxels(header)
    if values.dtype != expected.dtype or values.dtype != header.value_dtype:
        yield f"{values.dtype} is not {expected.dtype}"
    if values.shape != expected.shape or not np.array_equal(values, expected):
        yield "other voxels"
    if (off := np.abs(header.grid.affine - affine).max()) > tolerance:
        yield f"the affine is off by {off:.3g}"


def against_itk(path, tolerance=1e-9):
    image = SimpleITK.ReadImage(str(path))
    return list(differences(path, SimpleITK.GetArrayFromImage(image), itk_affine(image), tolerance))


def against_nibabel(path):
    image = nibabel.load(path)
    values = np.asarray(image.dataobj).T
    scaled = (image.dataobj.slope, image.dataobj.inter) != (1.0, 0.0)
    dtype = np.float32 if scaled else values.dtype.newbyteorder("=")  # nibabel scales in float64; ours is rounded once
    return list(differences(path, values.astype(dtype), reverse_axes(image.affine), 0))


# --- Writers ----------------------------------------------------------------------------------------------------------


def simpleitk(path, dtype, direction, compressed):
    image = SimpleITK.GetImageFromArray(voxels(dtype))
    image.SetSpacing(SPACING)
    image.SetOrigin(ORIGIN)
    image.SetDirection(DIRECTIONS[direction].ravel().tolist())
    SimpleITK.WriteImage(image, str(path), useCompression=compressed)


def metaimage(path, dtype, direction, compressed):
    """Big-endian, which no library writes."""
    body = voxels(dtype).astype(np.dtype(dtype).newbyteorder(">")).tobytes()
    body = zlib.compress(body) if compressed else body
    element = {"int64": "LONG_LONG", "uint64": "ULONG_LONG", "float32": "FLOAT", "float64": "DOUBLE"}.get(
        dtype, dtype.upper().replace("INT8", "CHAR").replace("INT16", "SHORT").replace("INT32", "INT")
    )
    fields = {
        "NDims": 3,
        "BinaryDataByteOrderMSB": True,
        "CompressedData": compressed,
        **({"CompressedDataSize": len(body)} if compressed else {}),
        "DimSize": "2 3 4",
        "TransformMatrix": " ".join(map(repr, DIRECTIONS[direction].T.ravel().tolist())),
        "Offset": " ".join(map(repr, ORIGIN)),
        "ElementSpacing": " ".join(map(repr, SPACING)),
        "ElementType": f"MET_{element}",
        "ElementDataFile": "LOCAL",
    }
    text = "".join(f"{key} = {value}\n" for key, value in fields.items())
    path.write_bytes(text.encode() + body)


def nifti(path, dtype, kind, order, form, scaling=None):
    image = kind(voxels(dtype).T, None, kind.header_class(endianness=order))
    image.header.set_data_dtype(np.dtype(dtype).newbyteorder(order))
    image.header.set_zooms(SPACING)
    affine = np.eye(4)
    affine[:3] = np.c_[ROTATION * SPACING, ORIGIN]
    moved = affine.copy()
    moved[:3, 3] += 1
    image.set_sform(moved if "s" in form else None, int("s" in form))
    image.set_qform(affine if "q" in form else None, int("q" in form))
    nibabel.save(image, path)
    if scaling is not None:
        data = bytearray(path.read_bytes())
        data[112:120] = np.array(scaling, f"{order}f4").tobytes()
        path.write_bytes(data)


def teem(path, dtype, space, encoding, order):
    """By pynrrd; a data file of its own with ``.nhdr``."""
    header = {
        "space": space,
        "space directions": (DIRECTIONS["oblique"] * SPACING).T,
        "space origin": np.array(ORIGIN),
        "encoding": encoding,
        "endian": order,
    }
    array = voxels(dtype).astype(np.dtype(dtype).newbyteorder("<" if order == "little" else ">"))
    nrrd.write(str(path), array.T, header, detached_header=path.suffix == ".nhdr", index_order="F")


# --- Variants: what writes them, and what reads them to compare -------------------------------------------------------

NIFTI = (nibabel.Nifti1Image, nibabel.Nifti2Image)
PLAIN_ITK = [(".mha", False), (".mha", True), (".mhd", False), (".mhd", True), (".nrrd", False), (".nrrd", True)]
SPACES = ["left-posterior-superior", "right-anterior-superior", "left-anterior-superior", "scanner-xyz"]
SCALINGS = [(0.37, -12.5), (2.0, 0.0), (1.0, 3.0), (1.0, 0.0), (0.0, 5.0), (np.nan, 5.0)]

GROUPS = {
    "SimpleITK": [
        (suffix, partial(simpleitk, dtype=dtype, direction=direction, compressed=compressed), against_itk)
        for (suffix, compressed), dtype, direction in itertools.product(
            [*PLAIN_ITK, (".nhdr", False), (".nhdr", True)], DTYPES, DIRECTIONS
        )
    ],
    "SimpleITK NIfTI": [
        (suffix, partial(simpleitk, dtype=dtype, direction=direction, compressed=False), oracle)
        for suffix, dtype, direction in itertools.product([".nii", ".nii.gz", ".hdr"], DTYPES, DIRECTIONS)
        for oracle in (partial(against_itk, tolerance=1e-5), against_nibabel)
    ],
    "big-endian MetaImage": [
        (".mha", partial(metaimage, dtype=dtype, direction=direction, compressed=compressed), against_itk)
        for dtype, direction, compressed in itertools.product(DTYPES, DIRECTIONS, [False, True])
    ],
    "nibabel": [
        (suffix, partial(nifti, dtype=dtype, kind=kind, order=order, form=form), against_nibabel)
        for suffix, dtype, kind, order, form in itertools.product(
            [".nii", ".nii.gz"], DTYPES, NIFTI, "<>", ["s", "q", "sq", "none of them"]
        )
    ],
    "nibabel pairs": [
        (".hdr", partial(nifti, dtype=dtype, kind=kind, order=order, form=form), against_nibabel)
        for dtype, kind, order, form in itertools.product(
            DTYPES, (nibabel.Nifti1Pair, nibabel.Nifti2Pair), "<>", ["s", "q"]
        )
    ],
    "nibabel, scaled": [
        (".nii", partial(nifti, dtype=dtype, kind=NIFTI[0], order=order, form="s", scaling=scaling), against_nibabel)
        for dtype, order, scaling in itertools.product(DTYPES, "<>", SCALINGS)
    ],
    "pynrrd": [
        (suffix, partial(teem, dtype=dtype, space=space, encoding=encoding, order=order), against_itk)
        for suffix, dtype, space, encoding, order in itertools.product(
            [".nrrd", ".nhdr"], DTYPES, SPACES, ["raw", "gzip"], ["little", "big"]
        )
    ],
    "pynrrd, text": [
        (".nrrd", partial(teem, dtype=dtype, space=SPACES[0], encoding="ascii", order="little"), against_itk)
        for dtype in DTYPES
        if "int64" not in dtype  # pynrrd writes 64-bit numbers as 9.2e+18, of which ITK reads the 9
    ],
}


def test_there_are_hundreds_of_variants():
    distinct = {
        (suffix, writer.func.__name__, *sorted((key, str(value)) for key, value in writer.keywords.items()))
        for group in GROUPS.values()
        for suffix, writer, _ in group
    }

    assert len(distinct) >= 450
    assert len(distinct) == 1238
    assert {dict(variant[2:])["dtype"] for variant in distinct} == set(DTYPES)


@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_our_readers_give_what_itk_or_nibabel_give(tmp_path, group):
    found = []
    for number, (suffix, write, oracle) in enumerate(group):
        path = tmp_path / f"{number}{suffix}"
        write(path)
        found += [f"{suffix} {write.func.__name__} {write.keywords}: {problem}" for problem in oracle(path)]

    assert not found, "\n".join([f"{len(found)} differences in {len(group)} files", *found[:20]])


# --- Differences that are meant ---------------------------------------------------------------------------------------


def affine_difference(path):
    return np.abs(read_header(path).grid.affine - itk_affine(SimpleITK.ReadImage(str(path)))).max()


NIFTI_PLACES = {
    "no form: nibabel centres the grid, ITK starts at 0": {"form": ""},
    "sform is not the scanner's, qform is: nibabel takes the sform, ITK the qform": {"form": "sq", "sform_code": 2},
}


@pytest.mark.parametrize("changes", NIFTI_PLACES.values(), ids=NIFTI_PLACES)
def test_nifti_lies_where_nibabel_says_and_itk_does_not(tmp_path, changes):
    path = tmp_path / "volume.nii"
    nifti(path, "int16", NIFTI[0], "<", changes["form"])
    if "sform_code" in changes:
        data = bytearray(path.read_bytes())
        data[254:256] = np.array(changes["sform_code"], "<i2").tobytes()
        path.write_bytes(data)

    assert against_nibabel(path) == []
    assert affine_difference(path) >= 0.99


def test_lengths_come_from_the_sform_as_in_nibabel_while_itk_takes_pixdim(tmp_path):
    path = tmp_path / "volume.nii"
    nifti(path, "int16", NIFTI[0], "<", "s")
    data = bytearray(path.read_bytes())
    data[80:92] = np.array([1, 1, 1], "<f4").tobytes()
    path.write_bytes(data)

    assert against_nibabel(path) == []
    assert read_header(path).grid.spacing == pytest.approx(SPACING[::-1])
    assert SimpleITK.ReadImage(str(path)).GetSpacing() == (1, 1, 1)


def test_a_sheared_sform_is_kept_as_in_nibabel_while_itk_refuses_it(tmp_path):
    affine = np.eye(4)
    affine[0, 1] = 0.2
    path = tmp_path / "volume.nii"
    nibabel.save(nibabel.Nifti1Image(voxels("int16").T, affine), path)

    assert against_nibabel(path) == []
    with pytest.raises(RuntimeError, match="orthonormal"):
        SimpleITK.ReadImage(str(path))


def test_a_length_of_compressed_data_may_be_missing_which_itk_does_not_survive(tmp_path):
    path = tmp_path / "volume.mha"
    metaimage(path, "int16", "oblique", True)
    lines = path.read_bytes().split(b"\n", 12)
    path.write_bytes(b"\n".join(line for line in lines if not line.startswith(b"CompressedDataSize")))

    np.testing.assert_array_equal(read_voxels(read_header(path)), voxels("int16"))


def test_a_data_file_may_be_called_list_something_which_itk_takes_for_a_list(tmp_path):
    path = tmp_path / "volume.mhd"
    simpleitk(path, "int16", "oblique", False)
    (tmp_path / "volume.raw").rename(tmp_path / "LISTING.raw")
    path.write_text(path.read_text().replace("volume.raw", "LISTING.raw"))

    np.testing.assert_array_equal(read_voxels(read_header(path)), voxels("int16"))


def test_whole_numbers_with_an_exponent_are_refused_of_which_itk_reads_the_first_digit(tmp_path):
    path = tmp_path / "volume.nrrd"
    teem(path, "int64", SPACES[0], "ascii", "little")

    assert SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))).flat[0] == -9
    with pytest.raises(VoxelError, match=r"-9\.22337e\+18 is written, ITK reads -9 as int64"):
        read_voxels(read_header(path))
