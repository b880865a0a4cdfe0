"""The output format: what we write, any reader reads; what is damaged, we refuse."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_mriprep.errors import NpzError
from monai_mriprep.formats.npz import NpzVolume, encode_npz, read_npz
from tests.oracles import affine_of

AFFINE = affine_of((3, 0.7, 1 / 3), 17, (1e-12, -123.456789012345, 1e5 / 7))
SPACING = np.array([3, 0.7, 1 / 3])


def volume_of(dtype: str = "float32", shape: tuple[int, ...] = (1, 5, 6, 7), affine=AFFINE) -> NpzVolume:
    values = np.random.default_rng(0).normal(0, 40, shape)
    return NpzVolume(values.astype(dtype), SPACING, affine)


def write(folder: Path, volume: NpzVolume, name: str = "case.npz") -> Path:
    (folder / name).write_bytes(b"".join(encode_npz(volume)))
    return folder / name


@pytest.fixture
def good(tmp_path) -> bytes:
    return write(tmp_path, volume_of()).read_bytes()


@pytest.fixture
def damaged(tmp_path):
    """Write bytes and expect `read_npz` to refuse them, naming the file."""

    def damaged(content: bytes, match: str = "preprocess the case again|expected") -> None:
        path = tmp_path / "damaged.npz"
        path.write_bytes(content)
        with pytest.raises(NpzError, match=match) as caught:
            read_npz(path)
        assert str(path) in str(caught.value)

    return damaged


# --- Writing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 5, 6, 7), (1, 1, 1, 1), (2, 3, 4, 5), (1, 40, 90, 80)])
@pytest.mark.parametrize("dtype", ["float32", "int8", "int16"])
def test_any_reader_reads_it(tmp_path, dtype, shape):
    volume = volume_of(dtype, shape)
    path = write(tmp_path, volume)
    with np.load(path, allow_pickle=False) as found:
        assert found.files == ["arr_0", "spacing"]
        assert np.array_equal(found["arr_0"], volume.array)
        assert (found["arr_0"].dtype, found["spacing"].dtype) == (dtype, np.float64)
        assert np.array_equal(found["spacing"], SPACING)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_DEFLATED}
    ours = read_npz(path)
    assert np.array_equal(ours.array, volume.array)
    assert ours.array.dtype == dtype
    assert np.array_equal(ours.affine, AFFINE)
    assert np.array_equal(ours.spacing, SPACING)


@pytest.mark.parametrize("order", [(3, 2, 1, 0), (0, 2, 3, 1)])
def test_arrays_of_any_layout(tmp_path, order):
    """Torch's ``permute`` makes them; the first is contiguous in Fortran's order."""
    array = volume_of().array.transpose(order)
    path = write(tmp_path, NpzVolume(array, SPACING, AFFINE))
    with np.load(path, allow_pickle=False) as found:
        assert np.array_equal(found["arr_0"], array)
    assert np.array_equal(read_npz(path).array, array)


def test_equal_input_gives_equal_bytes():
    assert encode_npz(volume_of()) == encode_npz(volume_of())


@given(st.lists(st.floats(-1e6, 1e6), min_size=12, max_size=12))
def test_the_affine_returns_exactly(tmp_path_factory, values):
    affine = np.vstack([np.reshape(values, (3, 4)), [0, 0, 0, 1]])
    path = write(tmp_path_factory.mktemp("affine"), volume_of("int8", (1, 1, 1, 1), affine))
    assert read_npz(path).affine.tobytes() == affine.astype(np.float64).tobytes()


def test_without_an_affine(tmp_path):
    path = write(tmp_path, volume_of(affine=None))
    assert read_npz(path).affine is None
    assert zipfile.ZipFile(path).comment == b""


@pytest.mark.parametrize("writer", [np.savez, np.savez_compressed])
def test_files_of_numpy_are_read(tmp_path, writer):
    volume = volume_of("int16")
    writer(tmp_path / "a.npz", volume.array, spacing=SPACING)
    found = read_npz(tmp_path / "a.npz")
    assert np.array_equal(found.array, volume.array)
    assert found.affine is None


def test_what_is_read_can_be_written_to(tmp_path):
    array = read_npz(write(tmp_path, volume_of())).array
    array += 1
    assert array.flags.c_contiguous


# --- Damage -----------------------------------------------------------------------------------------------------------


def test_every_truncation_is_refused(good, damaged):
    for size in [*range(0, len(good) - 1, 13), *range(len(good) - 250, len(good))]:
        damaged(good[:size])


def test_no_flipped_bit_goes_unnoticed_or_raises_another_error(good, tmp_path):
    """Names, dates and the like may change unnoticed; the numbers may not."""
    path = tmp_path / "flipped.npz"
    expected = volume_of()
    start = good.index(b"affine") - 20
    rng = np.random.default_rng(0)
    positions = [*rng.integers(0, start, 250).tolist(), *range(good.index(b"PK\x01\x02"), start)]
    for position in positions:
        changed = bytearray(good)
        changed[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        try:
            found = read_npz(path)
        except NpzError:
            continue
        assert np.array_equal(found.array, expected.array)
        assert np.array_equal(found.spacing, SPACING)


def test_appended_bytes_are_refused(good, damaged):
    damaged(good + b"\0")


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip archive at all" * 10, b"\x93NUMPY" + bytes(200)])
def test_other_files_are_refused(damaged, content):
    damaged(content)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(NpzError, match=r"nothing\.npz.*No such file"):
        read_npz(tmp_path / "nothing.npz")


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"spacing": SPACING}, r"no entry .*arr_0"),
        ({"arr_0": np.zeros((1, 2, 2, 2))}, r"no entry .*spacing"),
        ({"arr_0": np.zeros((2, 2, 2)), "spacing": SPACING}, "expected arr_0 of shape"),
        ({"arr_0": np.zeros((1, 2, 2, 2)), "spacing": np.ones(2)}, "three float64"),
        ({"arr_0": np.zeros((1, 2, 2, 2)), "spacing": np.ones(3, np.float32)}, "three float64"),
        ({"arr_0": np.zeros((1, 2, 2, 2), complex), "spacing": SPACING}, "plain array of numbers"),
        ({"arr_0": np.zeros((1, 2, 2, 2), ">f4"), "spacing": SPACING}, "plain array of numbers"),
        ({"arr_0": np.zeros((1, 2, 2, 2), np.longdouble), "spacing": SPACING}, "plain array of numbers"),
        ({"arr_0": np.asfortranarray(np.zeros((1, 2, 3, 4))), "spacing": SPACING}, "C order"),
    ],
)
def test_other_contents_are_refused(damaged, arrays, match):
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    damaged(stream.getvalue(), match)


class Trap:
    """Would leave a trace if it were ever unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


def test_pickles_are_never_loaded(damaged):
    stream = io.BytesIO()
    np.savez(stream, np.array([[[[Trap()]]]], dtype=object), spacing=SPACING)
    damaged(stream.getvalue(), "plain array of numbers")


@pytest.mark.parametrize("claimed", [2**20, 2**32 - 2])
def test_a_false_size_is_refused_before_memory_is_taken(good, damaged, claimed):
    directory = good.index(b"PK\x01\x02")
    changed = good[: directory + 24] + struct.pack("<I", claimed) + good[directory + 28 :]
    damaged(changed, "more than deflate can hold|truncated")


def test_a_header_that_declares_more_than_there_is_is_refused(damaged):
    stream, entry = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(entry, {"descr": "<f4", "fortran_order": False, "shape": (1, 9999, 9999, 99)})
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("arr_0.npy", entry.getvalue() + bytes(64))
        archive.writestr("spacing.npy", b"")
    damaged(stream.getvalue(), "not what it holds")


@pytest.mark.parametrize("text", ["{'descr': '<f4', 'shape': (1, ", "{\n  a\n b", "[" * 9000, "{1L: 2", ""])
def test_a_header_that_is_no_python_is_refused(damaged, text):
    """numpy lets the errors of its tokenizer through; the checksum is right, as a stranger can make it."""
    stream, content = io.BytesIO(), text.encode() + b"\n"
    entry = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(content)) + content
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("arr_0.npy", entry)
        archive.writestr("spacing.npy", b"")
    damaged(stream.getvalue())


@pytest.mark.parametrize(
    "comment",
    [
        *(b"hello", b"\xff\xfe", b"[]", b"3", b"{}", b"[" * 60000),
        *(b'{"affine": null}', b'{"affine": {"a": 1}}', b'{"affine": [[1]]}', b'{"affine": [[1, 2], [3]]}'),
        json.dumps({"affine": [[float("nan")] * 4] * 4}).encode(),
        b'{"affine": [[1' + b"0" * 400 + b"]]}",
    ],
    ids=lambda comment: ascii(comment[:24]),
)
def test_a_comment_that_is_not_an_affine_is_refused(good, damaged, tmp_path, comment):
    path = tmp_path / "comment.npz"
    path.write_bytes(good)
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = comment
    damaged(path.read_bytes())


@pytest.mark.parametrize("spacing", [[0.0, 1.0, 1.0], [-1.0, 1.0, 1.0], [np.nan, 1.0, 1.0], [np.inf, 1.0, 1.0]])
def test_an_impossible_spacing_is_named(tmp_path, spacing):
    np.savez_compressed(tmp_path / "odd.npz", np.zeros((1, 2, 3, 4), np.float32), spacing=np.array(spacing))
    with pytest.raises(NpzError, match="spacing"):
        read_npz(tmp_path / "odd.npz")
