"""A part of a volume, padded: the voxels that numpy pads, and the world that they lie in."""

from __future__ import annotations

import numpy as np
import pytest

from monai_mriprep.formats.npz import NpzVolume, encode_npz, read_npz_part
from tests.oracles import affine_of

AFFINE = affine_of((3, 0.7, 1 / 3), 17, (4.0, -123.4, 1e3))
ALL = slice(None)


@pytest.mark.parametrize("affine", [AFFINE, None], ids=["affine", "spacing alone"])
def test_a_padded_part_lies_where_its_voxels_lay(tmp_path, affine):
    array = np.arange(120, dtype=np.float32).reshape(2, 3, 4, 5)
    (tmp_path / "a.npz").write_bytes(b"".join(encode_npz(NpzVolume(array, np.array([3.0, 0.7, 0.5]), affine))))
    part = read_npz_part(tmp_path / "a.npz", (slice(1, 3), ALL, slice(0, 2)))
    padded = part.padded((1, -2, -1), (3, 7, 4))
    assert np.array_equal(padded.array, np.pad(array[:, 1:, :, :2], [(0, 0), (0, 1), (2, 1), (1, 1)]))
    assert padded.affine_source == part.affine_source
    assert (padded.start, padded.whole) == ((1, -2, -1), part.whole)
    voxel = part.grid.affine @ [1, 3, 1, 1]
    np.testing.assert_allclose(padded.grid.affine @ [1, 5, 2, 1], voxel, atol=1e-10)
    if affine is not None:
        assert np.array_equal(padded.affine, padded.grid.affine)


def test_a_part_that_has_the_size_is_not_copied(tmp_path):
    array = np.zeros((1, 3, 4, 5), np.int8)
    (tmp_path / "a.npz").write_bytes(b"".join(encode_npz(NpzVolume(array, np.ones(3), AFFINE))))
    part = read_npz_part(tmp_path / "a.npz", (ALL, ALL, ALL))
    assert part.padded((0, 0, 0), (3, 4, 5)) is part
