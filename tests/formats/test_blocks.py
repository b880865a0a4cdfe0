"""Blocks of rows: how an array is cut into them, and how their index is written."""

from __future__ import annotations

import base64
import io
import json
import zipfile
import zlib

import numpy as np
import pytest
from monai.data import NumpyReader

from monai_mriprep.formats import blocks
from monai_mriprep.formats.blocks import Blocks, rows_of_a_block
from monai_mriprep.formats.comment import LARGEST, write_comment
from monai_mriprep.formats.npz import NpzVolume, decode_npz, encode_npz, stored_crc
from monai_mriprep.formats.zip_writing import Entry

SPACING = np.array([3.0, 0.7, 1 / 3])


def volume_of(dtype: str, shape: tuple[int, ...], **facts: object) -> NpzVolume:
    values = np.random.default_rng(0).normal(0, 40, shape).astype(dtype)
    return NpzVolume(values, SPACING, np.diag([*SPACING, 1.0]), facts)


def opened(raw: bytes, has_comment: bool = True) -> tuple[dict, bytes]:
    """The comment, and the deflated array, by the standard library alone."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        info = archive.getinfo("arr_0.npy")
        start = info.header_offset + 30 + len(info.filename)
        return json.loads(archive.comment) if has_comment else {}, raw[start : start + info.compress_size]


@pytest.mark.parametrize(
    ("dtype", "shape", "rows"),
    [
        ("float32", (1, 12, 300, 300), 40),
        ("float32", (2, 40, 150, 100), 122),
        ("float32", (1, 2, 33, 20000), 1),
        ("int8", (1, 70, 250, 260), 756),
        ("int16", (1, 45, 200, 251), 195),
    ],
)
def test_each_block_inflates_alone_to_whole_rows(dtype, shape, rows):
    volume = volume_of(dtype, shape)
    raw = b"".join(encode_npz(volume))
    comment, stream = opened(raw)
    assert comment["blocks"]["rows"] == rows
    index = np.frombuffer(base64.b64decode(comment["blocks"]["index"]), "<u4").reshape(-1, 2)
    flat = volume.array.reshape(-1, shape[3])
    assert len(index) == -(-len(flat) // rows)
    end = len(stream)
    for number in reversed(range(len(index))):
        length, crc = index[number].tolist()
        inflater = zlib.decompressobj(-15)
        found = inflater.decompress(stream[end - length : end])
        assert found == flat[rows * number :][:rows].tobytes()
        assert inflater.eof == (number == len(index) - 1)
        assert zlib.crc32(found) == crc
        end -= length
    assert zlib.decompressobj(-15).decompress(stream[:end]).startswith(b"\x93NUMPY")
    assert decode_npz(raw, "a.npz").facts == {}
    assert np.array_equal(decode_npz(raw, "a.npz").array, volume.array)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 13, 200, 200), (1, 1, 1, 600_000)])
def test_a_single_block_needs_no_index_and_is_stored_as_ever(shape):
    volume = volume_of("float32", shape)
    comment, stream = opened(b"".join(encode_npz(volume)))
    assert list(comment) == ["version", "affine", "digest"]
    assert zlib.decompress(stream, -15).endswith(volume.array.tobytes())


def test_blocks_are_larger_where_the_comment_has_little_room():
    array = np.zeros((1, 64, 256, 256), np.float32)
    full = len(json.dumps({"blocks": Blocks(48, (0,) * 342, (0,) * 342).to_json()}))
    found = [rows_of_a_block(array, room) for room in (10**6, full, full - 1, 200, 100, 50, 0, -1)]
    assert found == [48, 48, 96, 1536, 6144, None, None, None]


def test_blocks_are_not_larger_than_their_lengths_can_tell(monkeypatch):
    monkeypatch.setattr(blocks, "LARGEST_BLOCK", 96 * 1024)
    array = np.zeros((1, 64, 256, 256), np.float32)
    assert [rows_of_a_block(array, room) for room in (10**6, 1000)] == [48, None]


def test_without_an_affine_there_is_no_comment_and_no_index():
    array = np.zeros((1, 64, 256, 256), np.float32)
    _, stream = opened(b"".join(encode_npz(NpzVolume(array, SPACING, None))), has_comment=False)
    assert stream == b"".join(Entry.deflate("arr_0.npy", array).parts)


@pytest.mark.parametrize(("room", "rows"), [(0, None), (100, 6144), (1000, 768)])
def test_what_else_is_in_the_comment_stays(room, rows):
    plain = NpzVolume(np.zeros((1, 64, 256, 256), np.int8), SPACING, np.diag([*SPACING, 1.0]))
    used = len(write_comment(plain.affine, {"trace": ""}))
    volume = plain.with_facts({"trace": "x" * (LARGEST - used - room)})
    comment, _ = opened(b"".join(encode_npz(volume)))
    assert comment["trace"] == volume.facts["trace"]
    assert comment.get("blocks", {}).get("rows") == rows


def test_the_checksum_of_the_entry_is_that_of_the_array_as_numpy_saves_it():
    volume, saved = volume_of("int16", (1, 45, 200, 251)), io.BytesIO()
    np.save(saved, volume.array)
    assert stored_crc(io.BytesIO(b"".join(encode_npz(volume)))) == zlib.crc32(saved.getvalue())


def test_numpy_and_monai_read_it(tmp_path):
    volume, path, reader = volume_of("float32", (2, 40, 150, 100)), tmp_path / "a.npz", NumpyReader("arr_0")
    path.write_bytes(b"".join(encode_npz(volume)))
    with np.load(path, allow_pickle=False) as found:
        assert np.array_equal(found["arr_0"], volume.array)
    assert np.array_equal(reader.get_data(reader.read(path))[0], volume.array)


def test_the_stream_is_the_same_bytes_each_time():
    volume = volume_of("int16", (1, 45, 200, 251))
    assert encode_npz(volume) == encode_npz(volume)


@pytest.mark.parametrize("threads", [2, 3, 16])
def test_any_number_of_threads_writes_the_same_bytes(threads):
    for volume in (volume_of("int16", (1, 45, 200, 251)), volume_of("int8", (1, 3, 4, 5))):
        assert encode_npz(volume, threads) == encode_npz(volume)
