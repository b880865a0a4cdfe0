"""FreeSurfer's volumes as nibabel reads them, and lies that are refused."""

import gzip

import nibabel
import numpy as np
import pytest

from monai_mriprep.errors import HeaderError, VolumeError
from monai_mriprep.formats.read import read_header
from monai_mriprep.formats.voxels import read_voxels
from monai_mriprep.volume.geometry import reverse_axes
from tests.formats.volumes import ROTATION


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32"])
@pytest.mark.parametrize("suffix", [".mgz", ".mgh"])
def test_freesurfer_is_what_nibabel_says(tmp_path, dtype, suffix):
    affine = np.eye(4)
    affine[:3] = np.c_[ROTATION * (0.7, 0.8, 3.3), (4, 5, 6)]
    path = tmp_path / f"volume{suffix}"
    nibabel.save(nibabel.MGHImage(np.arange(60).astype(dtype).reshape(3, 4, 5), affine), path)
    stored = path.read_bytes() if suffix == ".mgh" else gzip.decompress(path.read_bytes())
    expected = nibabel.MGHImage.from_bytes(stored)

    header = read_header(path)
    values = read_voxels(header)

    assert header.reader == "nibabel"
    np.testing.assert_array_equal(header.grid.affine, reverse_axes(expected.affine))
    np.testing.assert_array_equal(values, np.asarray(expected.dataobj).T)
    assert values.dtype == header.value_dtype == np.dtype(dtype)
    assert values.flags.c_contiguous


def _mgh(tmp_path, **changes):
    image = nibabel.MGHImage(np.zeros((3, 4, 5), "i2"), np.eye(4))
    path = tmp_path / "volume.mgh"
    nibabel.save(image, path)
    data = bytearray(path.read_bytes())
    for offset, value in changes.values():
        data[offset : offset + len(value)] = value
    path.write_bytes(data)
    return path


MGH_LIES = {
    "a series": ((16, b"\0\0\0\2"), "4 dimensions"),
    "a huge size": ((4, b"\0\1\xff\xff"), "cannot hold"),
    "a negative size": ((4, b"\xff\xff\xff\xff"), "at least 1"),
    "an unknown type": ((20, b"\0\0\0\7"), "FreeSurfer"),
    "no geometry": ((28, b"\0\0"), "where it lies"),
    "another version": ((0, b"\0\0\0\2"), "version"),
    "no spacing": ((30, b"\0\0\0\0"), "spacing"),
    "nan": ((42, b"\x7f\xc0\0\0"), "not finite"),
}


@pytest.mark.parametrize(("change", "problem"), MGH_LIES.values(), ids=MGH_LIES)
def test_a_lying_mgh_is_refused(tmp_path, change, problem):
    with pytest.raises(HeaderError, match=problem):
        read_header(_mgh(tmp_path, change=change))


def test_a_truncated_mgh_is_a_voxel_error(tmp_path):
    path = _mgh(tmp_path)
    path.write_bytes(path.read_bytes()[:300])

    with pytest.raises(VolumeError, match=r"volume\.mgh"):
        read_voxels(read_header(path))
