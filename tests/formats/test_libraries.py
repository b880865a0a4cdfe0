"""Volumes that ITK or nibabel decode for us: as SimpleITK and nibabel read them, or refused by name."""

import binascii
import gzip
import subprocess
import sys

import nibabel
import numpy as np
import pytest
import SimpleITK

from monai_mriprep.errors import HeaderError, VolumeError, VoxelError
from monai_mriprep.formats.read import read_header
from monai_mriprep.formats.voxels import read_voxels
from monai_mriprep.volume.geometry import reverse_axes
from tests.formats.dicom_series import write_series
from tests.formats.test_read import DTYPES, ROTATION, assert_same_as_itk, itk_affine

VALUES = np.arange(-3, 21).astype("<i2")


def slices(folder, array, name="slice%02d.raw"):
    """One raw file for each slice."""
    for number, plane in enumerate(array):
        (folder / (name % number)).write_bytes(plane.tobytes())
    return [name % number for number in range(len(array))]


def values_of(dtype):
    return np.arange(-3 if np.dtype(dtype).kind != "u" else 0, 24)[:24].astype(dtype).reshape(2, 3, 4)


ELEMENTS = {
    "int8": "CHAR",
    "uint8": "UCHAR",
    "int16": "SHORT",
    "uint16": "USHORT",
    "int32": "INT",
    "uint32": "UINT",
    "int64": "LONG_LONG",
    "uint64": "ULONG_LONG",
    "float32": "FLOAT",
    "float64": "DOUBLE",
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("storage", ["list", "pattern", "text"])
def test_metaimages_of_many_files_and_of_text(write_mha, tmp_path, dtype, storage):
    array = values_of(dtype)
    names = slices(tmp_path, array)
    body = " ".join(map(str, array.ravel().tolist())).encode() + b"\n"
    fields = {"ElementType": f"MET_{ELEMENTS[dtype]}", "TransformMatrix": " ".join(map(str, ROTATION.ravel()))}
    path = write_mha(
        tmp_path / "volume.mhd",
        body=body if storage == "text" else b"",
        data_file={"list": "\n".join(["LIST", *names]), "pattern": "slice%02d.raw 0 1 1", "text": "LOCAL"}[storage],
        BinaryData=str(storage != "text"),
        **fields,
    )

    assert read_header(path).reader == "itk"
    np.testing.assert_array_equal(read_voxels(read_header(path)), array)
    if (dtype, storage) != ("int8", "text"):  # SimpleITK itself reads characters there
        assert_same_as_itk(path, 1e-9)


def nrrd(path, body, **changes):
    fields = {
        "type": "short",
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": "4 3 2",
        "space directions": "(0,0.5,0) (0,0,-2) (-3,0,0)",
        "endian": "little",
        "encoding": "raw",
        "space origin": "(7,8,9)",
    }
    fields = {key: value for key, value in (fields | changes).items() if value is not None}
    text = "".join(["NRRD0004\n", *(f"{key}: {value}\n" for key, value in fields.items())])
    path.write_bytes(text.encode() + (b"" if "LIST" in fields.get("data file", "") else b"\n" + body))
    return path


TEXT = " ".join(map(str, VALUES.tolist())).encode()
ODD = {
    "ascii": (TEXT, {"encoding": "ascii"}),
    "text": (TEXT, {"encoding": "text"}),
    "hex": (binascii.hexlify(VALUES.tobytes()), {"encoding": "hex"}),
    "skipped bytes": (b"12345" + VALUES.tobytes(), {"byte skip": "5"}),
    "skipped lines": (b"1\n2\n" + VALUES.tobytes(), {"line skip": "2"}),
    "scanner-xyz": (VALUES.tobytes(), {"space": "scanner-xyz"}),
    "right-handed": (VALUES.tobytes(), {"space": "3D-right-handed"}),
    "a space of three dimensions": (VALUES.tobytes(), {"space": None, "dimension": "3\nspace dimension: 3"}),
    "spacings": (
        VALUES.tobytes(),
        {"space": None, "space directions": None, "space origin": None, "spacings": "0.5 2 3"},
    ),
    "files": (b"", {"data file": "LIST\nslice00.raw\nslice01.raw"}),
    "pattern": (b"", {"data file": "slice%02d.raw 0 1 1"}),
}


@pytest.mark.parametrize(("body", "changes"), ODD.values(), ids=ODD)
def test_odd_nrrd(tmp_path, body, changes):
    slices(tmp_path, VALUES.reshape(2, 3, 4))
    suffix = "nhdr" if "data file" in changes else "nrrd"
    path = nrrd(tmp_path / f"volume.{suffix}", body, **changes)

    assert read_header(path).reader == "itk"
    assert_same_as_itk(path, 1e-9)


@pytest.mark.parametrize("compressed", [False, True])
def test_detached_nrrd_needs_no_library(tmp_path, compressed):
    image = SimpleITK.GetImageFromArray(VALUES.reshape(2, 3, 4))
    image.SetDirection(ROTATION.ravel().tolist())
    path = tmp_path / "volume.nhdr"
    SimpleITK.WriteImage(image, str(path), useCompression=compressed)

    header = read_header(path)

    assert header.reader == "built-in"
    assert header.files[0] == path
    assert len(header.files) == 2
    assert_same_as_itk(path, 1e-9)


SHORT = {
    "a slice is missing": ("LIST\nslice00.raw", "1 data files for 2 slices"),
    "a slice too many": ("LIST\nslice00.raw\nslice01.raw\nslice00.raw", "3 data files for 2 slices"),
    "a slice is truncated": ("LIST\nslice00.raw\nshort.raw", "24 bytes, but 'short.raw' has 23"),
    "a slice is gone": ("slice%02d.raw 1 2 1", "cannot be found"),
}


@pytest.mark.parametrize(("data_file", "problem"), SHORT.values(), ids=SHORT)
def test_itk_is_not_asked_where_it_would_make_voxels_up(tmp_path, write_mha, data_file, problem):
    slices(tmp_path, VALUES.reshape(2, 3, 4))
    (tmp_path / "short.raw").write_bytes(bytes(23))

    with pytest.raises(HeaderError, match=problem):
        read_header(write_mha(tmp_path / "volume.mhd", data_file=data_file, body=b""))


@pytest.mark.parametrize("changes", [{"space": "scanner-xyz"}, {"byte skip": "5"}, {"byte skip": "-1"}], ids=str)
def test_an_odd_nrrd_that_is_cut_short_is_refused(tmp_path, changes):
    """Of the last bytes, which ``byte skip: -1`` asks for, ITK would take some from the header."""
    path = nrrd(tmp_path / "volume.nrrd", VALUES.tobytes()[:-6], **changes)

    with pytest.raises(HeaderError, match="48 bytes, which the 42 bytes that are stored in"):
        read_header(path)


def test_what_itk_refuses_is_a_voxel_error(tmp_path):
    path = nrrd(tmp_path / "volume.nrrd", TEXT.replace(b"5", b"x"), encoding="ascii")

    with pytest.raises(VoxelError, match=r"volume\.nrrd: ITK cannot read it: .*parse element"):
        read_voxels(read_header(path))


def test_what_itk_reads_otherwise_than_the_header_states_is_an_error(tmp_path):
    path = nrrd(tmp_path / "volume.nrrd", TEXT, encoding="ascii")
    header = read_header(path)
    nrrd(path, TEXT, encoding="ascii", **{"space origin": "(7,8,10)"})

    with pytest.raises(VoxelError, match="ITK reads another origin"):
        read_voxels(header)


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"40000 " * 24, "40000 is written, ITK reads -25536"),
        (TEXT + b" 7 \n", "25 numbers"),
        (TEXT + b" end\n", "no number"),
        (b"0x10 " + b"7 " * 23, "no number"),
    ],
)
def test_text_that_itk_would_wrap_or_cut_off_is_an_error(tmp_path, write_mha, suffix, text, problem):
    path = tmp_path / f"volume{suffix}"
    if suffix == ".mha":
        write_mha(path, BinaryData="False", body=text)
    else:
        nrrd(path, text, encoding="ascii")

    with pytest.raises(VoxelError, match=problem):
        read_voxels(read_header(path))


@pytest.mark.parametrize("endianness", ["<", ">"])
@pytest.mark.parametrize("kind", [nibabel.AnalyzeImage, nibabel.Spm99AnalyzeImage])
def test_analyze_is_what_itk_says(tmp_path, endianness, kind):
    array = np.arange(60, dtype="i2").reshape(3, 4, 5)
    image = kind(array, None, kind.header_class(endianness=endianness))
    image.header.set_data_dtype("i2")
    image.header.set_zooms((0.7, 0.8, 3.3))
    path = tmp_path / "volume.hdr"
    nibabel.save(image, path)

    header = read_header(path)

    assert header.reader == "itk"
    assert header.files == (path, tmp_path / "volume.img")
    assert_same_as_itk(path, 1e-6)


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


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32"])
@pytest.mark.parametrize("suffix", [".mgz", ".mgh"])
def test_freesurfer_is_what_nibabel_says(tmp_path, dtype, suffix):
    affine = np.eye(4)
    affine[:3] = np.c_[ROTATION * (0.7, 0.8, 3.3), (4, 5, 6)]
    path = tmp_path / f"volume{suffix}"
    nibabel.save(nibabel.MGHImage(np.arange(60).astype(dtype).reshape(3, 4, 5), affine), path)
    stored = path.read_bytes() if suffix == ".mgh" else gzip.decompress(path.read_bytes())
    expected = nibabel.MGHImage.from_bytes(stored)

    header = read_header(path)
    values = read_voxels(header)

    assert header.reader == "nibabel"
    np.testing.assert_array_equal(header.grid.affine, reverse_axes(expected.affine))
    np.testing.assert_array_equal(values, np.asarray(expected.dataobj).T)
    assert values.dtype == header.value_dtype == np.dtype(dtype)
    assert values.flags.c_contiguous


def _mgh(tmp_path, **changes):
    image = nibabel.MGHImage(np.zeros((3, 4, 5), "i2"), np.eye(4))
    path = tmp_path / "volume.mgh"
    nibabel.save(image, path)
    data = bytearray(path.read_bytes())
    for offset, value in changes.values():
        data[offset : offset + len(value)] = value
    path.write_bytes(data)
    return path


MGH_LIES = {
    "a series": ((16, b"\0\0\0\2"), "4 dimensions"),
    "a huge size": ((4, b"\0\1\xff\xff"), "cannot hold"),
    "a negative size": ((4, b"\xff\xff\xff\xff"), "at least 1"),
    "an unknown type": ((20, b"\0\0\0\7"), "FreeSurfer"),
    "no geometry": ((28, b"\0\0"), "where it lies"),
    "another version": ((0, b"\0\0\0\2"), "version"),
    "no spacing": ((30, b"\0\0\0\0"), "spacing"),
    "nan": ((42, b"\x7f\xc0\0\0"), "not finite"),
}


@pytest.mark.parametrize(("change", "problem"), MGH_LIES.values(), ids=MGH_LIES)
def test_a_lying_mgh_is_refused(tmp_path, change, problem):
    with pytest.raises(HeaderError, match=problem):
        read_header(_mgh(tmp_path, change=change))


def test_a_truncated_mgh_is_a_voxel_error(tmp_path):
    path = _mgh(tmp_path)
    path.write_bytes(path.read_bytes()[:300])

    with pytest.raises(VolumeError, match=r"volume\.mgh"):
        read_voxels(read_header(path))


# --- Damage -----------------------------------------------------------------------------------------------------------

SCAN = np.random.default_rng(0).integers(0, 900, (10, 11, 12)).astype("<i2")


def compressed_mgz(folder):
    path = folder / "volume.mgz"
    nibabel.save(nibabel.MGHImage(SCAN.T, np.eye(4)), path)
    return path, path


def compressed_nrrd(folder, **changes):
    stream = gzip.compress(SCAN.tobytes())
    path = nrrd(folder / "volume.nrrd", stream, sizes="12 11 10", encoding="gzip", **{"space": "scanner-xyz"} | changes)
    return path, path


def compressed_slices(folder):
    for number, plane in enumerate(SCAN):
        (folder / f"slice{number}.gz").write_bytes(gzip.compress(plane.tobytes()))
    path, _ = compressed_nrrd(folder, **{"data file": "slice%d.gz 0 9 1"})
    return path, folder / "slice7.gz"


@pytest.mark.parametrize("write", [compressed_mgz, compressed_nrrd, compressed_slices])
def test_no_flipped_bit_of_a_compressed_volume_goes_unseen(tmp_path, write):
    """Neither nibabel nor ITK looks at the checksum of a gzip stream."""
    path, stored = write(tmp_path)
    np.testing.assert_array_equal(read_voxels(read_header(path)), SCAN)
    whole = stored.read_bytes()
    for place in np.linspace(40, len(whole) - 9, 40).astype(int):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << (place % 8)
        stored.write_bytes(damaged)
        with pytest.raises(VolumeError, match="volume"):
            read_voxels(read_header(path))


# --- DICOM ------------------------------------------------------------------------------------------------------------

STACK = np.arange(5 * 4 * 3, dtype="i2").reshape(5, 4, 3)


@pytest.mark.parametrize("dtype", ["int16", "uint16", "uint8"])
def test_a_dicom_series_is_what_itk_says(tmp_path, dtype):
    folder = write_series(tmp_path / "10000_0001", STACK.astype(dtype))
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()

    header = read_header(folder)
    values = read_voxels(header)

    assert header.reader == "itk"
    assert header.files[0] == folder
    assert len(header.files) == 6
    np.testing.assert_allclose(header.grid.affine, itk_affine(image), rtol=0, atol=1e-9)
    np.testing.assert_array_equal(values, SimpleITK.GetArrayFromImage(image))
    np.testing.assert_array_equal(values, STACK)
    assert values.dtype == np.dtype(dtype)
    np.testing.assert_allclose(header.frame.spacing, (3.3, 0.8, 0.7), rtol=1e-12)


def test_a_series_scaled_slice_by_slice(tmp_path):
    """As PET and some MR scanners store it; ITK takes the type of the first slice for all."""
    folder = write_series(tmp_path / "scan", STACK, slopes=[1, 1, 0.5, 1, 2])

    values = read_voxels(read_header(folder))

    assert values.dtype == np.float64
    np.testing.assert_allclose(values, STACK * np.reshape([1, 1, 0.5, 1, 2], (5, 1, 1)))


SPOILED = {
    "a slice is missing": ({"skip": (2,)}, r"6\.6 mm apart, others 3\.3 mm"),
    "two series": ({"uids": ["1.2.3"] * 3 + ["1.2.4"] * 2}, r"it holds 2: 1\.2\.3 \(3 files\), 1\.2\.4 \(2 files\)"),
    "two at one place": ({"depths": [0, 1, 1, 2, 3]}, "0 mm apart, others 3.3 mm"),
    "all at one place": ({"depths": [0] * 5}, "0 mm apart"),
    "a tilted stack": ({"shift": 0.5}, "within its plane"),
    "one slice": ({"skip": (1, 2, 3, 4)}, "a file for each slice"),
}


@pytest.mark.parametrize(("changes", "problem"), SPOILED.values(), ids=SPOILED)
def test_a_series_that_is_no_volume_is_refused(tmp_path, changes, problem):
    folder = write_series(tmp_path / "scan", STACK, **changes)

    with pytest.raises(HeaderError, match=problem) as caught:
        read_header(folder)

    assert str(folder) in str(caught.value)


def test_a_slice_that_cannot_be_read_is_named(tmp_path):
    folder = write_series(tmp_path / "scan", STACK)
    first = sorted(folder.iterdir())[0]
    first.write_bytes(first.read_bytes()[:200])

    with pytest.raises(HeaderError, match=rf"no slices that ITK can read \('{first.name}'\)"):
        read_header(folder)


def test_a_folder_without_dicom_is_refused(tmp_path):
    (tmp_path / "scan").mkdir()

    with pytest.raises(HeaderError, match="it holds 0: none"):
        read_header(tmp_path / "scan")


def test_itk_is_loaded_for_no_file_that_we_read_ourselves(tmp_path, write_mha):
    own, foreign = write_mha(), write_mha(tmp_path / "t.mha", BinaryData="False", body=TEXT + b"\n")
    code = (
        "import sys; from monai_mriprep.formats.read import read_header as h;"
        "from monai_mriprep.formats.voxels import read_voxels as v;"
        f"v(h({str(own)!r})); h({str(foreign)!r}); assert 'itk' not in sys.modules;"
        f"v(h({str(foreign)!r})); assert 'itk' in sys.modules; print('quiet')"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert (done.stdout, done.stderr) == ("quiet\n", "")
