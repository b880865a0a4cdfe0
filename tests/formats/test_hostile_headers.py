"""Headers that lie, point elsewhere or describe what is not supported: one named error each, and no hang."""

import gzip
import os
import zlib

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monai_mriprep.errors import HeaderError, VolumeError
from monai_mriprep.formats.read import read_header
from monai_mriprep.formats.voxels import read_voxels

pytestmark = pytest.mark.timeout(60)

BODY = np.arange(24, dtype="<i2").tobytes()

LIES = {
    "negative size": ({"DimSize": "4 -3 2"}, "at least 1"),
    "zero size": ({"DimSize": "4 0 2"}, "at least 1"),
    "huge size": ({"DimSize": "100000 100000 100000"}, "cannot hold"),
    "absurd size": ({"DimSize": f"4 3 {10**30}"}, "cannot hold"),
    "one slice too many": ({"DimSize": "4 3 3"}, "72 bytes, which the 48 bytes"),
    "size is text": ({"DimSize": "a b c"}, "whole numbers"),
    "fractional size": ({"DimSize": "4.5 3 2"}, "whole numbers"),
    "too few sizes": ({"DimSize": "4 6"}, "3 whole numbers"),
    "two dimensions": (
        {"NDims": "2", "DimSize": "4 6", "TransformMatrix": "1 0 0 1", "Offset": "0 0", "ElementSpacing": "1 1"},
        "2 dimensions",
    ),
    "four dimensions": (
        {"NDims": "4", "DimSize": "2 3 2 2"},
        r"4 dimensions \(2 x 3 x 2 x 2 voxels\); one 3-D volume is expected",
    ),
    "absurd dimensions": ({"NDims": "99999999999"}, "3 is expected"),
    "zero spacing": ({"ElementSpacing": "1 0 1"}, "positive"),
    "negative spacing": ({"ElementSpacing": "1 -1 1"}, "positive"),
    "nan spacing": ({"ElementSpacing": "1 nan 1"}, "3 finite numbers"),
    "infinite spacing": ({"ElementSpacing": "1 inf 1"}, "3 finite numbers"),
    "overflowing spacing": ({"ElementSpacing": "1 1e300 1"}, "millimetres"),
    "vanishing spacing": ({"ElementSpacing": "1 1e-300 1"}, "spacing"),
    "singular direction": ({"TransformMatrix": "1 0 0 1 0 0 0 0 1"}, "invertible"),
    "zero direction": ({"TransformMatrix": "0 0 0 0 0 0 0 0 0"}, "length 1"),
    "overflowing direction": ({"TransformMatrix": "1e200 0 0 0 1 0 0 0 1"}, "length 1"),
    "infinite origin": ({"Offset": "inf 0 0"}, "3 finite numbers"),
    "short origin": ({"Offset": "0 0"}, "3 finite numbers"),
    "unknown type": ({"ElementType": "MET_COMPLEX"}, "MET_SHORT"),
    "colour": ({"ElementNumberOfChannels": "3"}, "3 numbers a voxel"),
    "too little text": ({"BinaryData": "False", "DimSize": "4 3 40"}, "cannot hold"),
    "flag is text": ({"CompressedData": "maybe"}, "True or False"),
    "header size beyond the file": ({"HeaderSize": "100000"}, "cannot hold"),
    "negative header size": ({"HeaderSize": "-7"}, "HeaderSize"),
    "key given twice": ({"ElementSpacing": "1 1 1\nElementSpacing = 2 2 2"}, "given once"),
    "compressed data beyond the file": ({"CompressedData": "True", "CompressedDataSize": "1000"}, "truncated"),
    "negative compressed size": ({"CompressedData": "True", "CompressedDataSize": "-1"}, "truncated"),
    "more than deflate can hold": ({"CompressedData": "True", "DimSize": "4000 4000 4000"}, "compressed bytes"),
}


@pytest.mark.parametrize(("changes", "problem"), LIES.values(), ids=LIES)
def test_a_lying_metaimage_is_refused(write_mha, changes, problem):
    path = write_mha(**changes)

    with pytest.raises(HeaderError, match=problem) as caught:
        read_header(path)

    assert str(path) in str(caught.value)


@pytest.mark.parametrize("key", ["NDims", "DimSize", "ElementSpacing", "ElementType"])
def test_a_missing_key_is_named(write_mha, key):
    with pytest.raises(HeaderError, match=f"{key}.* is missing"):
        read_header(write_mha(drop=[key]))


ELSEWHERE = [
    "/dev/zero",
    "../secret.raw",
    "sub/secret.raw",
    "sub\\x.raw",
    "..",
    "LIST",
    "LIST\n../secret.raw\nsecret.raw",
    "s%02d.raw 1 9 1",
    "s%d.raw",
    "s%d.raw 1 2",
    "s%s.raw 1 2 1",
    "../s%d.raw 1 2 1",
    "s%d.raw 1 999999 1",
    ".//secret.raw",
    "./../secret.raw",
    ".",
    "./",
    "",
    "x\0y",
]


@pytest.mark.parametrize("name", ELSEWHERE, ids=repr)
def test_a_header_steers_no_read_elsewhere(tmp_path, write_mha, name):
    (tmp_path / "secret.raw").write_bytes(BODY)
    (tmp_path / "dataset").mkdir()

    with pytest.raises(HeaderError, match=r"ElementDataFile|data files for 2 slices"):
        read_header(write_mha(tmp_path / "dataset" / "a.mhd", data_file=name, body=b""))


def test_a_link_out_of_the_folder_is_refused(tmp_path, write_mha):
    (tmp_path / "dataset").mkdir()
    (tmp_path / "secret.raw").write_bytes(BODY)
    (tmp_path / "dataset" / "a.raw").symlink_to(tmp_path / "secret.raw")

    with pytest.raises(HeaderError, match="link out of"):
        read_header(write_mha(tmp_path / "dataset" / "a.mhd", data_file="a.raw"))


def test_data_files_must_be_regular_and_exist(tmp_path, write_mha):
    os.mkfifo(tmp_path / "pipe.raw")
    (tmp_path / "loop.raw").symlink_to("loop.raw")

    with pytest.raises(HeaderError, match="not a regular file"):
        read_header(write_mha(data_file="pipe.raw"))
    with pytest.raises(HeaderError, match="cannot be f"):
        read_header(write_mha(data_file="loop.raw"))
    with pytest.raises(HeaderError, match=r"gone\.raw: the file cannot be found"):
        read_header(write_mha(data_file="gone.raw"))


@pytest.mark.parametrize("suffix", [".mha", ".nii", ".nii.gz", ".nrrd"])
def test_what_is_no_file_is_refused_without_opening_it(tmp_path, suffix):
    paths = {name: tmp_path / f"{name}{suffix}" for name in ("pipe", "device", "loop", "gone", "empty", "folder")}
    os.mkfifo(paths["pipe"])
    paths["device"].symlink_to("/dev/zero")
    paths["loop"].symlink_to(paths["loop"].name)
    paths["empty"].touch()
    paths["folder"].mkdir()
    problems = dict.fromkeys(("pipe", "device", "folder"), "not a regular file")
    problems |= {"loop": "cannot be found", "gone": "cannot be found", "empty": "empty"}

    for name, path in paths.items():
        with pytest.raises(HeaderError, match=problems[name]):
            read_header(path)


@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".nii", ".nii.gz", ".nrrd"])
@pytest.mark.parametrize("content", [b"x", b"\0" * 600, b"x" * (2 << 20), b"NRRD0004\n" + b"a: b\n" * 9, b"\x1f\x8b"])
def test_what_is_no_volume_is_refused(tmp_path, suffix, content):
    path = tmp_path / f"rubbish{suffix}"
    path.write_bytes(content)

    with pytest.raises(HeaderError, match="rubbish"):
        read_header(path)


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(HeaderError, match=r"\.nii\.gz"):
        read_header(tmp_path / "a.dcm")


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


NRRD = {
    "type": "short",
    "dimension": "3",
    "space": "left-posterior-superior",
    "sizes": "4 3 2",
    "space directions": "(1,0,0) (0,1,0) (0,0,1)",
    "endian": "little",
    "encoding": "raw",
    "space origin": "(0,0,0)",
}
NRRD_LIES = {
    "data elsewhere": ({"data file": "/etc/passwd"}, "same folder"),
    "data above": ({"data file": "../liar.nrrd"}, "same folder"),
    "list of data elsewhere": ({"data file": "LIST\n/etc/passwd\n/etc/passwd"}, "same folder"),
    "pattern of data elsewhere": ({"data file": "/etc/p%d 1 2 1"}, "same folder"),
    "a pattern of text": ({"data file": "p%s 1 2 1"}, "pattern"),
    "an encoding of nobody": ({"encoding": "bzip2"}, "raw, gzip, gz, ascii"),
    "centimetres": ({"space units": '"cm" "cm" "cm"'}, "millimetres"),
    "unknown type": ({"type": "block"}, "type"),
    "no directions": ({"space directions": None}, "space directions"),
    "axis mins": ({"space directions": None, "spacings": "1 1 1", "axis mins": "0 0 0"}, "space directions"),
    "spacings are no numbers": ({"space directions": None, "spacings": "1 1 nan"}, "3 finite numbers"),
    "two directions": ({"space directions": "none (1,0,0) (0,1,0)"}, "three vectors"),
    "zero direction": ({"space directions": "(0,0,0) (0,1,0) (0,0,1)"}, "spacing"),
    "overflowing direction": ({"space directions": "(1e300,1e300,0) (0,1,0) (0,0,1)"}, "millimetres"),
    "text direction": ({"space directions": "(a,b,c) (0,1,0) (0,0,1)"}, "3 finite numbers"),
    "huge size": ({"sizes": "4 3 2000000"}, "cannot hold"),
    "negative size": ({"sizes": "4 3 -2"}, "at least 1"),
    "text size": ({"sizes": "4 3 x"}, "whole numbers"),
    "dimension differs": ({"dimension": "4"}, "dimension"),
    "vectors": ({"dimension": "4", "sizes": "3 4 3 2", "kinds": "vector domain domain domain"}, "3 numbers a voxel"),
    "four dimensions of no kind": ({"dimension": "4", "sizes": "4 3 2 2", "kinds": ""}, "4 dimensions"),
    "series": ({"dimension": "4", "sizes": "4 3 2 5"}, "4 dimensions"),
    "no byte order": ({"endian": None}, "endian"),
    "unknown byte order": ({"endian": "middle"}, "little or big"),
    "given twice": ({"space origin": "(0,0,0)\nsizes: 1 1 1"}, "twice"),
}


@pytest.mark.parametrize(("changes", "problem"), NRRD_LIES.values(), ids=NRRD_LIES)
def test_a_lying_nrrd_is_refused(tmp_path, changes, problem):
    fields = {key: value for key, value in (NRRD | changes).items() if value is not None}
    path = tmp_path / "liar.nrrd"
    path.write_bytes("".join(["NRRD0004\n", *(f"{k}: {v}\n" for k, v in fields.items()), "\n"]).encode() + BODY)

    with pytest.raises(HeaderError, match=problem):
        read_header(path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_is_one_of_our_errors(write_mha, data):
    compressed = data.draw(st.booleans())
    path = write_mha(body=zlib.compress(BODY), CompressedData="True") if compressed else write_mha()
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content) - 1))
        content[start : start + data.draw(st.integers(0, 6))] = data.draw(
            st.binary(max_size=6) | st.sampled_from([b"-", b"9" * 9, b"\n"])
        )
        content = content or bytearray(b"x")
    path.write_bytes(content)

    try:
        header = read_header(path)
        values = read_voxels(header)
    except VolumeError:
        return
    assert values.shape == header.grid.shape
