"""Streams of zlib and gzip, inflated chunk by chunk, against Python's own modules."""

import gzip
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_mriprep.formats.deflate import CHUNK, DeflateError, inflate, inflate_first
from monai_mriprep.formats.header import Body

NOISE = np.random.default_rng(0).integers(0, 9, 2 * CHUNK + 7, np.uint8).tobytes()
COMPRESS = {"zlib": zlib.compress, "gzip": gzip.compress}


@pytest.fixture(scope="module")
def inflated(tmp_path_factory):
    """The chunks of a stream that lies between other bytes in a file."""
    path = tmp_path_factory.mktemp("deflate") / "file"

    def chunks_of(stream, encoding, before=b"before", after=b"\x1f\x8bafter"):
        path.write_bytes(before + stream + after)
        with path.open("rb", buffering=0) as file:
            file.seek(len(before))
            yield from inflate(Body(path, len(before), len(stream), encoding), file)

    return chunks_of


@given(data=st.binary(max_size=2000), encoding=st.sampled_from(list(COMPRESS)), level=st.integers(0, 9))
def test_the_bytes_come_back(inflated, data, encoding, level):
    assert b"".join(inflated(COMPRESS[encoding](data, level), encoding)) == data


@pytest.mark.parametrize("encoding", COMPRESS)
@pytest.mark.parametrize("data", [NOISE, bytes(50 * CHUNK)], ids=["noise", "bomb"])
def test_no_chunk_is_larger_than_the_limit(inflated, encoding, data):
    chunks = list(inflated(COMPRESS[encoding](data), encoding))
    assert max(map(len, chunks)) <= CHUNK
    assert b"".join(chunks) == data


@given(parts=st.lists(st.binary(max_size=300), min_size=2, max_size=5))
def test_members_of_gzip_are_one_stream(inflated, parts):
    stream = b"".join(map(gzip.compress, parts))
    assert b"".join(inflated(stream, "gzip")) == gzip.decompress(stream)


def test_zlib_ends_with_its_stream_and_gzip_with_its_last_member(inflated):
    assert b"".join(inflated(zlib.compress(b"voxels") + zlib.compress(b"more"), "zlib")) == b"voxels"
    assert b"".join(inflated(gzip.compress(b"voxels") + bytes(500), "gzip")) == b"voxels"


@pytest.mark.parametrize("encoding", COMPRESS)
def test_every_cut_and_every_flipped_bit_of_the_data_or_checksum_is_an_error(inflated, encoding):
    stream = COMPRESS[encoding](NOISE[:300])
    for length in range(1, len(stream)):
        with pytest.raises((DeflateError, EOFError)):
            list(inflated(stream[:length], encoding))
    for place in range(10 if encoding == "gzip" else 2, len(stream)):
        damaged = bytearray(stream)
        damaged[place] ^= 16
        with pytest.raises((DeflateError, EOFError)):
            list(inflated(bytes(damaged), encoding))


@pytest.mark.parametrize("count", [0, 1, 348, 5000])
def test_the_first_bytes_need_the_first_bytes_only(count):
    stream = gzip.compress(NOISE)
    assert inflate_first(stream[: len(stream) // 2], count) == NOISE[:count]


def test_the_first_bytes_of_something_else_are_an_error():
    with pytest.raises(DeflateError):
        inflate_first(b"no gzip stream", 8)
