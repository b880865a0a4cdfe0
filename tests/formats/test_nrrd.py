"""NRRD headers: spaces, encodings and attached files as ITK reads them, and lies that are refused."""

import binascii
import gzip

import numpy as np
import pytest
import SimpleITK

from monai_mriprep.errors import HeaderError
from monai_mriprep.formats.read import read_header
from tests.formats.volumes import BODY, ROTATION, TEXT, VALUES, assert_same_as_itk, nrrd, slices
from tests.oracles import affine_of, itk_image

TEMPLATE = """NRRD0004
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
    head = TEMPLATE.format(type="short", space=space, endian=endian, encoding=encoding).encode()
    path = tmp_path / "volume.nrrd"
    path.write_bytes(head + (gzip.compress(body) if encoding == "gzip" else body))

    assert_same_as_itk(path, 1e-9)


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


@pytest.mark.parametrize("changes", [{"space": "scanner-xyz"}, {"byte skip": "5"}, {"byte skip": "-1"}], ids=str)
def test_an_odd_nrrd_that_is_cut_short_is_refused(tmp_path, changes):
    """Of the last bytes, which ``byte skip: -1`` asks for, ITK would take some from the header."""
    path = nrrd(tmp_path / "volume.nrrd", VALUES.tobytes()[:-6], **changes)

    with pytest.raises(HeaderError, match="48 bytes, which the 42 bytes that are stored in"):
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


@pytest.mark.parametrize("degrees", [0, 17.3, 61.2, 100])
@pytest.mark.parametrize("spacing", [(3.0, 1.25, 0.5), (1.1, 0.9, 2.7)])
def test_the_spacing_of_an_oblique_scan_is_itks_to_the_last_digit(tmp_path, spacing, degrees):
    """It decides where a size lies at a half."""
    path = tmp_path / "volume.nrrd"
    image = itk_image(np.zeros((2, 3, 4), np.int16), affine_of(spacing, degrees, (1.5, -20.25, 3.0)))
    image.SetSpacing(spacing[::-1])
    SimpleITK.WriteImage(image, str(path))
    assert read_header(path).grid.stated_spacing == SimpleITK.ReadImage(str(path)).GetSpacing()[::-1]
