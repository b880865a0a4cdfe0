"""Parts of a volume: the same voxels as of the whole, no more bytes than they need, and no index that is believed."""

from __future__ import annotations

import base64
import io
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_mriprep.errors import NpzError, ResamplingError
from monai_mriprep.formats import blocks, stored_array
from monai_mriprep.formats.npz import NpzVolume, encode_npz, read_npz, read_npz_head, read_npz_part, stored_crc
from monai_mriprep.formats.sealed import seal, unseal
from monai_mriprep.formats.zip_writing import Entry, Piece, archive
from tests.oracles import affine_of

AFFINE = affine_of((3, 0.7, 1 / 3), 17, (1e-12, -123.456789012345, 1e5 / 7))
SPACING = np.array([3, 0.7, 1 / 3])
EVERYTHING = (slice(None), slice(None), slice(None))


@pytest.fixture
def small_blocks(monkeypatch) -> None:
    """A few rows a block, so that small arrays have many."""
    monkeypatch.setattr(blocks, "WHOLE", 0)
    monkeypatch.setattr(blocks, "BLOCK", 1 << 10)


def volume_of(shape=(2, 9, 11, 13), dtype="float32", affine=AFFINE) -> NpzVolume:
    return NpzVolume(np.random.default_rng(0).normal(0, 40, shape).astype(dtype), SPACING, affine)


def write(folder: Path, raw: list[bytes] | bytes) -> Path:
    path = folder / "case.npz"
    path.write_bytes(raw if isinstance(raw, bytes) else b"".join(raw))
    return path


bound = st.none() | st.integers(-15, 15)
axis = st.builds(slice, bound, bound) | st.builds(slice, bound, bound, st.just(1))


@given(roi=st.tuples(axis, axis, axis), rows=st.integers(0, 12), kind=st.sampled_from(["float32", "int8", "int16"]))
def test_a_part_is_what_numpy_cuts_out(tmp_path_factory, roi, rows, kind):
    volume = volume_of(dtype=kind)
    expected, folder = volume.array[(slice(None), *roi)], tmp_path_factory.mktemp("part")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "WHOLE", 0)
        patch.setattr(blocks, "BLOCK", rows * 13 * volume.array.itemsize**2)
        patch.setattr(stored_array, "AT_ONCE", 3)
        path = write(folder, encode_npz(volume))
        part = read_npz_part(path, roi) if expected.size else None
    if part is None:
        with pytest.raises(NpzError, match=r"case\.npz: it has \(9, 11, 13\) voxels \(z y x\), and none in the roi"):
            read_npz_part(path, roi)
        return
    assert read_npz_head(path).blocks.rows == max(1, rows)
    assert np.array_equal(part.array, expected)
    assert part.array.dtype == kind
    assert part.array.flags.c_contiguous
    assert part.array.flags.writeable
    assert part.whole == volume.grid
    corner = AFFINE @ [*part.start, 1]
    np.testing.assert_allclose(part.affine[:, 3], corner, rtol=1e-12)
    assert np.array_equal(part.affine[:, :3], AFFINE[:, :3])
    assert np.array_equal(part.grid.affine, part.affine)
    assert part.grid.shape == part.array.shape[1:]


@pytest.mark.parametrize("writer", [np.savez, np.savez_compressed])
def test_a_file_without_an_index_is_cut(tmp_path, writer):
    volume = volume_of()
    writer(tmp_path / "case.npz", volume.array, spacing=SPACING)
    part = read_npz_part(tmp_path / "case.npz", (slice(2, 5), slice(None, -3), slice(4, None)))
    assert np.array_equal(part.array, volume.array[:, 2:5, :-3, 4:])
    assert part.array.flags.c_contiguous
    assert part.array.flags.writeable
    assert (part.affine, part.affine_source, part.start) == (None, "spacing", (2, 0, 4))
    np.testing.assert_allclose(part.grid.origin, [6, 0, 4 / 3])
    head = read_npz_head(tmp_path / "case.npz")
    assert (head.shape, head.dtype, head.blocks, head.facts) == (volume.array.shape, "float32", None, {})
    assert head.grid == part.whole


class Counted(io.FileIO):
    """Counts the bytes that are read."""

    n_read = 0

    def readinto(self, buffer):
        count = super().readinto(buffer)
        Counted.n_read += count
        return count


def test_only_the_blocks_of_a_part_are_read(tmp_path, monkeypatch):
    path = write(tmp_path, encode_npz(volume_of((1, 40, 200, 200))))
    size = path.stat().st_size
    monkeypatch.setattr(Path, "open", lambda self, mode: io.BufferedReader(Counted(self, "r")))
    for read, share in ((read_npz_head, 0.03), (lambda p: read_npz_part(p, (slice(0, 4), *EVERYTHING[1:])), 0.14)):
        Counted.n_read = 0
        read(path)
        assert 0 < Counted.n_read < share * size


def test_no_block_is_read_for_each_plane_that_it_holds(tmp_path, monkeypatch):
    """A block of a label has several planes."""
    path = write(tmp_path, encode_npz(volume_of((1, 320, 80, 90), "int8")))
    assert read_npz_head(path).blocks.rows > 20 * 80
    monkeypatch.setattr(Path, "open", lambda self, mode: io.BufferedReader(Counted(self, "r")))
    Counted.n_read = 0
    part = read_npz_part(path, (slice(100, 140), slice(20, 40), slice(None)))
    assert np.array_equal(part.array, volume_of((1, 320, 80, 90), "int8").array[:, 100:140, 20:40])
    assert Counted.n_read < 0.35 * path.stat().st_size


@pytest.mark.parametrize("shape", [(2**21, 1, 1, 1), (1, 2**21, 1, 1), (2**20, 2, 1, 1), (2, 2**19, 2, 1)])
def test_odd_shapes_take_no_longer(tmp_path, shape):
    """Planes of one voxel: not one of them is read by itself."""
    path = write(tmp_path, encode_npz(NpzVolume(np.zeros(shape, np.int8), SPACING, AFFINE)))
    assert read_npz_head(path).blocks
    start = time.process_time()
    assert read_npz(path).array.shape == shape
    part = read_npz_part(path, (slice(0, 1), slice(0, 1), slice(0, 1)))
    assert part.array.shape == (shape[0], 1, 1, 1)
    assert time.process_time() - start < 2


def inflations(monkeypatch) -> list[int]:
    """How many bytes each call inflates from now on."""
    found, inflate = [], stored_array._inflate
    monkeypatch.setattr(
        stored_array, "_inflate", lambda raw, n, is_last: [found.append(n), inflate(raw, n, is_last=is_last)][1]
    )
    return found


def test_a_block_that_several_planes_share_is_inflated_once(tmp_path, small_blocks, monkeypatch):
    """And a few at most in one call, all of the bytes that are wanted in between."""
    path = write(tmp_path, encode_npz(volume_of((1, 9, 11, 13), "int16")))
    rows = read_npz_head(path).blocks.rows
    assert rows == 19
    monkeypatch.setattr(stored_array, "AT_ONCE", 2)
    inflated = inflations(monkeypatch)
    read_npz_part(path, (slice(1, 6), slice(1, 10), slice(3)))
    assert inflated[1:] == [2 * rows * 26, 2 * rows * 26]  # blocks 0 to 3, after the header


def test_no_block_in_between_is_inflated(tmp_path, small_blocks, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 4 * 26 * 2)
    path = write(tmp_path, encode_npz(volume_of((1, 9, 11, 13), "int16")))
    inflated = inflations(monkeypatch)
    read_npz_part(path, (slice(0, 3), slice(0, 1), slice(3)))
    assert inflated[1:] == [4 * 26] * 3  # blocks 0, 2 and 5: of rows 0, 11 and 22


@pytest.mark.parametrize(
    "roi",
    [
        (slice(0, 1),) * 2,
        (slice(0, 1),) * 4,
        (*[slice(0, 1)] * 3, 5),
        (slice(0, 4, 2),) * 3,
        (slice(4, 0, -1),) * 3,
        (slice(0.5),) * 3,
        (1, 2, 3),
        (),
    ],
)
def test_a_roi_that_is_none_is_refused(tmp_path, roi):
    path = write(tmp_path, encode_npz(volume_of()))
    with pytest.raises(ResamplingError, match="roi must be three slices, of z, y and x"):
        read_npz_part(path, roi)


# --- An index that is wrong -------------------------------------------------------------------------------------------


def with_index(volume: NpzVolume, change) -> bytes:
    """The file with another index, under a seal that is right, as a stranger can make it."""
    raw = b"".join(encode_npz(volume))
    with zipfile.ZipFile(io.BytesIO(raw)) as content:
        comment = content.comment
    _, facts = unseal(comment.decode())
    index = facts["blocks"]
    numbers = np.frombuffer(base64.b64decode(index["index"]), "<u4").reshape(-1, 2).copy()
    found = change(index["rows"], numbers)
    if isinstance(found, tuple):
        text = base64.b64encode(np.asarray(found[1], "<u4").tobytes()).decode()
        found = {"rows": found[0], "index": text}
    changed = seal({**facts, "blocks": found}).encode()
    return raw[: -len(comment) - 2] + len(changed).to_bytes(2, "little") + changed


def longer(rows, numbers):
    numbers[3, 0] += 1
    return rows, numbers


def moved(rows, numbers):
    """The same sum."""
    numbers[3:5, 0] += np.array([1, -1], "i4").astype("u4")
    return rows, numbers


def other_crc(rows, numbers):
    numbers[4, 1] ^= 1
    return rows, numbers


def empty_block(rows, numbers):
    numbers[0, 0] += numbers[1, 0]
    numbers[1, 0] = 0
    return rows, numbers


WRONG = {
    "no object": lambda rows, numbers: 7,
    "a list": lambda rows, numbers: [rows, numbers.tolist()],
    "null": lambda rows, numbers: {},
    "no rows": lambda rows, numbers: (0, numbers),
    "rows below 0": lambda rows, numbers: (-rows, numbers),
    "true": lambda rows, numbers: {"rows": True, "index": base64.b64encode(numbers.tobytes()).decode()},
    "a fraction": lambda rows, numbers: {"rows": 1.5, "index": base64.b64encode(numbers.tobytes()).decode()},
    "no base64": lambda rows, numbers: {"rows": rows, "index": "*" * 16},
    "half a number": lambda rows, numbers: {"rows": rows, "index": "AAAAAAAA"},
    "no text": lambda rows, numbers: {"rows": rows, "index": 5},
    "no blocks": lambda rows, numbers: (rows, numbers[:0]),
    "fewer": lambda rows, numbers: (rows, numbers[:-1]),
    "more": lambda rows, numbers: (rows, [*numbers, [1, 1]]),
    "more rows": lambda rows, numbers: (rows + 1, numbers),
    "all rows": lambda rows, numbers: (10**300, numbers),
    "one": lambda rows, numbers: (10**300, [[numbers[:, 0].sum(), 0]]),
    "huge": lambda rows, numbers: (rows, np.full_like(numbers, 2**32 - 1)),
    "longer": longer,
    "moved": moved,
    "other checksum": other_crc,
    "empty block": empty_block,
    "in another order": lambda rows, numbers: (rows, numbers[::-1]),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_a_wrong_index_is_refused(tmp_path, small_blocks, change):
    path = write(tmp_path, with_index(volume_of(), change))
    with pytest.raises(NpzError, match=r"case\.npz: not a readable preprocessed volume .*preprocess the case again"):
        read_npz(path)
    try:
        part = read_npz_part(path, (slice(1, 8), slice(2, 11), slice(3)))
    except NpzError:
        return
    assert np.array_equal(part.array, volume_of().array[:, 1:8, 2:11, :3])  # it is wrong elsewhere


def test_a_right_index_is_taken(tmp_path, small_blocks):
    path = write(tmp_path, with_index(volume_of(), lambda rows, numbers: (rows, numbers)))
    assert np.array_equal(read_npz(path).array, volume_of().array)


def test_an_index_whose_checksums_are_those_of_other_voxels_is_refused(tmp_path, small_blocks):
    """Each block is as its index says, and all together are not what the directory says."""
    path = write(tmp_path, encode_npz(volume_of()))
    raw = bytearray(path.read_bytes())
    crc = stored_crc(path).to_bytes(4, "little")
    for _ in range(2):
        place = raw.index(crc)
        raw[place] ^= 1
    write(tmp_path, bytes(raw))
    with pytest.raises(NpzError, match=r"the index in the comment is not that of arr_0\.npy"):
        read_npz(path)


def test_an_index_for_an_array_that_is_stored_is_refused(tmp_path, small_blocks):
    volume, stream = volume_of(), io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(b"".join(encode_npz(volume)))) as content:
        comment = content.comment
    np.savez(stream, volume.array, spacing=SPACING)
    with zipfile.ZipFile(stream, "a") as content:
        content.comment = comment
    with pytest.raises(NpzError, match=r"the index in the comment is not that of arr_0\.npy"):
        read_npz(write(tmp_path, stream.getvalue()))


def test_an_array_without_voxels_has_no_index(tmp_path):
    header = io.BytesIO()
    np.save(header, np.zeros((1, 0, 11, 13), np.float32))
    lead = Piece.deflate([memoryview(header.getvalue())], is_last=False)
    comment = seal({"affine": AFFINE.tolist(), "blocks": {"rows": 1, "index": ""}}).encode()
    entries = [Entry(b"arr_0.npy", [lead]), Entry.deflate("spacing.npy", SPACING)]
    with pytest.raises(NpzError, match="the index in the comment is not that of"):
        read_npz(write(tmp_path, list(archive(entries, comment))))


def test_a_stream_that_ends_in_the_middle_is_refused(tmp_path, small_blocks):
    """Others would read no further than its end."""
    volume = volume_of()
    array = Entry.deflate("arr_0.npy", volume.array, 20 * 52)
    block = Piece.deflate([memoryview(volume.array).cast("B")[20 * 52 : 40 * 52]], is_last=True)
    pieces = [*array.pieces[:2], block, *array.pieces[3:]]
    index = blocks.Blocks(20, tuple(p.n_deflated for p in pieces[1:]), tuple(p.crc for p in pieces[1:]))
    comment = seal({"affine": AFFINE.tolist(), "blocks": index.to_json()}).encode()
    entries = [Entry(b"arr_0.npy", pieces), Entry.deflate("spacing.npy", SPACING)]
    path = write(tmp_path, list(archive(entries, comment)))
    with pytest.raises(NpzError, match="a block ends where the index does not say so"):
        read_npz(path)


def test_a_block_that_holds_more_than_its_rows_is_not_inflated_further(tmp_path, small_blocks):
    """A bomb in one block: it is given up one byte after what the index says."""
    volume = NpzVolume(np.zeros((1, 9, 11, 13), np.float32), SPACING, AFFINE)
    bomb = Entry.deflate("x", np.zeros(10**7, np.uint8), 10**7).pieces[1]
    array = Entry.deflate("arr_0.npy", volume.array, 20 * 52)
    bomb = replace(bomb, n_raw=20 * 52, crc=array.pieces[1].crc)
    pieces = [array.pieces[0], bomb, *array.pieces[2:]]
    index = blocks.Blocks(20, tuple(p.n_deflated for p in pieces[1:]), tuple(p.crc for p in pieces[1:]))
    comment = seal({"affine": AFFINE.tolist(), "blocks": index.to_json()}).encode()
    raw = b"".join(archive([Entry(b"arr_0.npy", pieces), Entry.deflate("spacing.npy", SPACING)], comment))
    with pytest.raises(NpzError, match=r"arr_0\.npy is damaged: a block, of 0 to 1, is not what"):
        read_npz_part(write(tmp_path, raw), (slice(0, 1),) * 3)


def test_a_damaged_header_is_refused_with_any_part(tmp_path, small_blocks):
    """One byte of it makes another number type, of the same size, of float32."""
    volume = volume_of()
    path = write(tmp_path, encode_npz(volume))
    with zipfile.ZipFile(path) as content:
        end = 30 + len("arr_0.npy") + content.getinfo("arr_0.npy").compress_size
    raw = path.read_bytes()
    for place in range(30 + len("arr_0.npy"), end - sum(read_npz_head(path).blocks.lengths)):
        damaged = bytearray(raw)
        damaged[place] ^= 15
        write(tmp_path, bytes(damaged))
        with pytest.raises(NpzError, match=r"case\.npz: not a readable preprocessed volume"):
            read_npz_part(path, (slice(0, 1),) * 3)


def test_damage_elsewhere_does_not_hinder_a_part(tmp_path, small_blocks):
    volume = volume_of()
    path = write(tmp_path, encode_npz(volume))
    raw = bytearray(path.read_bytes())
    lengths = read_npz_head(path).blocks.lengths
    raw[len(b"PK") + 200 + sum(lengths[:12])] ^= 255
    write(tmp_path, bytes(raw))
    part = read_npz_part(path, (slice(0, 2), *EVERYTHING[1:]))
    assert np.array_equal(part.array[0], volume.array[0, :2])
    with pytest.raises(NpzError):
        read_npz(path)


@pytest.mark.parametrize("size", [0, 10, 300, -1, -30, -400])
def test_truncated_files_are_refused(tmp_path, small_blocks, size):
    path = write(tmp_path, encode_npz(volume_of()))
    path.write_bytes(path.read_bytes()[:size])
    for read in (read_npz_head, lambda path: read_npz_part(path, EVERYTHING)):
        with pytest.raises(NpzError, match=r"case\.npz"):
            read(path)


def test_a_missing_file_is_named(tmp_path):
    for read in (read_npz_head, lambda path: read_npz_part(path, EVERYTHING)):
        with pytest.raises(NpzError, match=r"nothing\.npz.*No such file"):
            read(tmp_path / "nothing.npz")
