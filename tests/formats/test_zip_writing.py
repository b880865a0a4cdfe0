"""The zip archive: its fields where sizes are large, and arrays that are deflated chunk by chunk."""

from __future__ import annotations

import json
import struct
import zipfile

import numpy as np
import pytest

from monai_mriprep.formats import zip_writing
from monai_mriprep.formats.npz import NpzVolume, read_npz
from tests.formats.test_npz import AFFINE, SPACING, volume_of, write


@pytest.mark.parametrize("kind", ["zeros", "noise"])
def test_volumes_larger_than_a_chunk(tmp_path, kind):
    shape = (1, 33, 100, 101)
    values = np.zeros(shape) if kind == "zeros" else np.random.default_rng(1).integers(0, 2**31, shape)
    volume = NpzVolume(values.astype(np.float32), SPACING, AFFINE)
    assert volume.array.nbytes > 5 * zip_writing.CHUNK
    path = write(tmp_path, volume)
    assert np.array_equal(read_npz(path).array, volume.array)
    with np.load(path, allow_pickle=False) as found:
        assert np.array_equal(found["arr_0"], volume.array)


@pytest.mark.parametrize("large", [0, 300, 900], ids=["all", "spacing and up", "array only"])
def test_zip64(tmp_path, monkeypatch, large):
    """As if a few hundred bytes were 4 GiB: the fields are written, and readers find their way by them."""
    monkeypatch.setattr(zip_writing, "LARGE", large)
    volume = volume_of()
    path = write(tmp_path, volume)
    raw = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert json.loads(archive.comment)["affine"] == AFFINE.tolist()
        wide = [struct.unpack("<HH", info.extra[:4])[0] for info in archive.infolist() if info.extra]
    assert wide
    assert set(wide) == {1}
    (offset,) = struct.unpack("<I", raw[raw.rindex(b"PK\x05\x06") + 16 :][:4])
    assert (offset == 0xFFFF_FFFF) == (b"PK\x06\x06" in raw) == (b"PK\x06\x07" in raw)
    with np.load(path, allow_pickle=False) as found:
        assert np.array_equal(found["arr_0"], volume.array)
        assert np.array_equal(found["spacing"], SPACING)
    assert np.array_equal(read_npz(path).array, volume.array)
