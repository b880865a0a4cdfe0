"""Headers and voxels of every format as SimpleITK (ITK itself) reads them; what is no volume is refused."""

import zlib

import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monai_mriprep.errors import HeaderError, VolumeError
from monai_mriprep.formats.read import read_header
from monai_mriprep.formats.voxels import read_voxels
from tests.formats.volumes import BODY, DTYPES, ROTATION, SHAPE, assert_same_as_itk


def oblique(dtype):
    """A small oblique volume over the whole range of its type."""
    rng = np.random.default_rng(0)
    if np.dtype(dtype).kind == "f":
        array = rng.normal(size=SHAPE).astype(dtype)
    else:
        limits = np.iinfo(dtype)
        array = rng.integers(limits.min, limits.max, SHAPE, dtype=dtype, endpoint=True)
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing((0.7, 0.8, 3.3))
    image.SetOrigin((-12.5, 30.25, 7.125))
    image.SetDirection(ROTATION.ravel().tolist())
    return image


@pytest.mark.parametrize("compressed", [False, True], ids=["raw", "compressed"])
@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".nrrd", ".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_itk_writes_is_read_as_itk_reads_it(tmp_path, dtype, suffix, compressed):
    path = tmp_path / f"volume{suffix}"
    SimpleITK.WriteImage(oblique(dtype), str(path), useCompression=compressed)

    assert_same_as_itk(path, 1e-5 if ".nii" in suffix else 1e-9)


REAL = ["mixed/*/*.mha", "anisotropic/*/*.mha", "traps/axis_codes/*", "traps/*/ProstateX*"]


@pytest.mark.parametrize("pattern", REAL)
def test_real_scans_are_read_as_itk_reads_them(scans, pattern):
    paths = sorted(scans.glob(pattern))

    assert paths
    for path in paths:
        assert_same_as_itk(path, 1e-4 if ".nii" in path.name else 1e-9)


def test_a_suffix_in_capitals_is_read(write_mha):
    path = write_mha()

    assert read_header(path.rename(path.with_suffix(".MHA"))).voxels == 24


@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".nii", ".nii.gz", ".nrrd"])
@pytest.mark.parametrize("content", [b"x", b"\0" * 600, b"x" * (2 << 20), b"NRRD0004\n" + b"a: b\n" * 9, b"\x1f\x8b"])
def test_what_is_no_volume_is_refused(tmp_path, suffix, content):
    path = tmp_path / f"rubbish{suffix}"
    path.write_bytes(content)

    with pytest.raises(HeaderError, match="rubbish"):
        read_header(path)


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(HeaderError, match=r"\.nii\.gz"):
        read_header(tmp_path / "a.dcm")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_is_one_of_our_errors(write_mha, data):
    compressed = data.draw(st.booleans())
    path = write_mha(body=zlib.compress(BODY), CompressedData="True") if compressed else write_mha()
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content) - 1))
        content[start : start + data.draw(st.integers(0, 6))] = data.draw(
            st.binary(max_size=6) | st.sampled_from([b"-", b"9" * 9, b"\n"])
        )
        content = content or bytearray(b"x")
    path.write_bytes(content)

    try:
        header = read_header(path)
        values = read_voxels(header)
    except VolumeError:
        return
    assert values.shape == header.grid.shape
