"""Voxel data that are damaged, of the wrong length, or not finite."""

import gzip
import zlib

import nibabel
import numpy as np
import pytest

from monai_mriprep.errors import VolumeError, VoxelError
from monai_mriprep.formats.deflate import CHUNK
from monai_mriprep.formats.read import read_header
from monai_mriprep.formats.voxels import read_voxels
from tests.formats.volumes import nrrd

BODY = np.arange(24, dtype="<i2").tobytes()
NOISE = np.random.default_rng(0).integers(0, 999, 3 * CHUNK).astype("<i2")


@pytest.fixture
def write_compressed(write_mha):
    return lambda body, **fields: write_mha(body=body, CompressedData="True", **fields)


@pytest.fixture
def write_gzip(tmp_path):
    def write(array, change=lambda data: gzip.compress(data)):
        path = tmp_path / "volume.nii.gz"
        path.write_bytes(change(nibabel.Nifti1Image(array, np.eye(4)).to_bytes()))
        return path

    return write


DAMAGE = {
    "truncated stream": (zlib.compress(BODY)[:-9], "damaged"),
    "missing checksum": (zlib.compress(BODY)[:-2], r"after 48 of 48 bytes: the stream ends too early"),
    "wrong checksum": (zlib.compress(BODY)[:-1] + b"\xff", "damaged"),
    "no stream": (b"not deflate at all", "damaged"),
    "missing data": (zlib.compress(BODY[:-6]), "claims 48 bytes of voxels, only 42 were found"),
    "excess data": (zlib.compress(BODY * 2), "claims 48 bytes of voxels, more were found"),
    "bomb": (zlib.compress(bytes(50_000_000)), "more were found"),
}


@pytest.mark.parametrize(("body", "problem"), DAMAGE.values(), ids=DAMAGE)
def test_damaged_streams_are_refused(write_compressed, body, problem):
    header = read_header(write_compressed(body))

    with pytest.raises(VoxelError, match=problem):
        read_voxels(header)


def test_bytes_behind_the_stream_are_ignored(write_compressed):
    body = zlib.compress(BODY)
    path = write_compressed(body + b"rest", CompressedDataSize=str(len(body)))

    assert read_voxels(read_header(path)).ravel().tolist() == list(range(24))


@pytest.mark.parametrize("level", [0, 1, 9])
def test_streams_longer_than_a_chunk(write_compressed, level):
    body = zlib.compress(NOISE.tobytes(), level)
    path = write_compressed(body, DimSize=f"{CHUNK} 3 1")

    np.testing.assert_array_equal(read_voxels(read_header(path)).ravel(), NOISE)


def test_a_file_that_shrinks_after_its_header_was_read(write_mha):
    path = write_mha()
    header = read_header(path)
    path.write_bytes(path.read_bytes()[:-5])

    with pytest.raises(VoxelError, match="only 43"):
        read_voxels(header)


def test_a_file_that_vanishes_after_its_header_was_read(write_mha):
    header = read_header(path := write_mha())
    path.unlink()

    with pytest.raises(VoxelError, match="No such file"):
        read_voxels(header)


def test_gzip_members_are_one_stream(write_gzip):
    array = NOISE[: CHUNK * 2].reshape(512, 512, 2)

    def blocks(data):
        return b"".join(gzip.compress(data[i : i + 65280]) for i in range(0, len(data), 65280)) + gzip.compress(b"")

    np.testing.assert_array_equal(read_voxels(read_header(write_gzip(array, blocks))), array.T)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda data: gzip.compress(data)[:-30], "damaged"),
        (lambda data: gzip.compress(data)[:-4] + b"\0\0\0\1", "damaged"),
        (lambda data: gzip.compress(data[:-2]), "only 1198"),
        (lambda data: gzip.compress(data[:351]), "only 0"),
        (lambda data: gzip.compress(data + b"\0"), "more"),
    ],
    ids=["truncated", "wrong length", "missing data", "header only", "excess data"],
)
def test_damaged_nifti_is_refused(write_gzip, change, problem):
    header = read_header(write_gzip(NOISE[:600].reshape(30, 4, 5), change))

    with pytest.raises(VoxelError, match=problem):
        read_voxels(header)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["<f4", ">f8"])
def test_values_that_are_not_finite_are_counted_and_located(write_mha, value, dtype):
    array = np.zeros((2, 3, 4), dtype)
    array[0, 2, 1] = array[1, 0, 0] = value
    order = {
        "ElementType": "MET_FLOAT" if dtype == "<f4" else "MET_DOUBLE",
        "BinaryDataByteOrderMSB": str(dtype[0] == ">"),
    }
    header = read_header(write_mha(body=array.tobytes(), **order))

    with pytest.raises(VoxelError, match=r"2 of 24 voxels are not finite.*first at \(0, 2, 1\)"):
        read_voxels(header)


def test_a_scale_that_overflows_float32_is_refused(tmp_path):
    image = nibabel.Nifti1Image(np.full((3, 4, 5), 1000, "i2"), np.eye(4))
    image.header.set_slope_inter(1e38, 0)
    nibabel.save(image, tmp_path / "overflow.nii")

    with pytest.raises(VoxelError, match="60 of 60"):
        read_voxels(read_header(tmp_path / "overflow.nii"))


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
