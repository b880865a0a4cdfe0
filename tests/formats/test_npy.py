"""The header of an ``.npy`` is what numpy reads, and threads may read it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_mriprep.formats.npy import NpyHeader, read_npy_header

TYPES = ["<f4", "<f2", ">f8", "|i1", "<i2", ">i4", "<i8", "|u1", "<u2", "|b1", "<c8", "|S3", "<U2", "<M8[s]"]


def written(array: np.ndarray, version: tuple[int, int] = (1, 0)) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version)
    return stream.getvalue()


def by_numpy(raw: bytes) -> NpyHeader:
    stream = io.BytesIO(raw)
    version = np.lib.format.read_magic(stream)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, fortran, dtype = read(stream)
    return NpyHeader(version, shape, dtype, fortran, stream.tell())


@given(
    shape=st.lists(st.integers(0, 3), max_size=6),
    dtype=st.sampled_from(TYPES),
    order=st.sampled_from("CF"),
    version=st.sampled_from([(1, 0), (2, 0)]),
)
def test_it_says_what_numpy_says(shape, dtype, order, version):
    raw = written(np.zeros(shape, dtype, order), version)
    assert read_npy_header(raw) == by_numpy(raw)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"(2, 3, 4), }", b"(2, 3, 4)}, "),
        (b"(2, 3, 4)", b"(2,3,  4)"),
        (b"'<f4'", b'"<f4"'),
        (b"v\x00", b"w\x00"),
        (b"(2, 3, 4)", b"(2, 3, x)"),
        (b"(2, 3, 4)", b"(2, -3,4)"),
        (b"\x01\x00v", b"\x03\x00v"),
        (b"'<f4'", b"'<f3'"),
        (b"fortran_order': False", b"fortran_order': 12345"),
    ],
    ids=[
        "no comma",
        "other blanks",
        "other quotes",
        "a longer header",
        "a name",
        "below 0",
        "version 3",
        "type",
        "order",
    ],
)
def test_what_numpy_does_not_write_is_as_numpy_has_it(old, new):
    raw = written(np.zeros((2, 3, 4), "<f4"))
    assert raw.count(old) == 1
    raw = raw.replace(old, new)
    try:
        expected = by_numpy(raw)
    except (ValueError, KeyError):
        with pytest.raises(ValueError):  # noqa: PT011, as numpy words it
            read_npy_header(raw)
    else:
        assert read_npy_header(raw) == expected


def test_what_numpy_writes_for_numbers_needs_no_parser_of_python(monkeypatch):
    """It fails in threads, where a garbage collection lets another one in."""
    monkeypatch.setattr("ast.literal_eval", None)
    for shape in ((), (5,), (1, 2, 3, 4)):
        found = read_npy_header(written(np.zeros(shape, "<f4")))
        assert (found.shape, found.dtype, found.start) == (shape, np.float32, 128)
