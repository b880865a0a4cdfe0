"""MetaImage headers: every spelling as ITK reads it, and lies that are refused."""

import numpy as np
import pytest

from monai_mriprep.errors import HeaderError
from monai_mriprep.formats.read import read_header
from monai_mriprep.formats.voxels import read_voxels
from tests.formats.volumes import DTYPES, ROTATION, VALUES, assert_same_as_itk, slices

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
