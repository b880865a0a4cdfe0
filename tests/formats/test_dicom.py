"""DICOM series as SimpleITK reads them, and series that are no volume."""

import locale

import numpy as np
import pytest
import SimpleITK

from monai_mriprep.errors import HeaderError
from monai_mriprep.formats.read import read_header
from monai_mriprep.formats.voxels import read_voxels
from tests.formats.dicom_series import write_series
from tests.formats.volumes import itk_affine

STACK = np.arange(5 * 4 * 3, dtype="i2").reshape(5, 4, 3)


@pytest.mark.parametrize("dtype", ["int16", "uint16", "uint8"])
def test_a_dicom_series_is_what_itk_says(tmp_path, dtype):
    folder = write_series(tmp_path / "10000_0001", STACK.astype(dtype))
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()

    header = read_header(folder)
    values = read_voxels(header)

    assert header.reader == "itk"
    assert header.files[0] == folder
    assert len(header.files) == 6
    np.testing.assert_allclose(header.grid.affine, itk_affine(image), rtol=0, atol=1e-9)
    np.testing.assert_array_equal(values, SimpleITK.GetArrayFromImage(image))
    np.testing.assert_array_equal(values, STACK)
    assert values.dtype == np.dtype(dtype)
    np.testing.assert_allclose(header.frame.spacing, (3.3, 0.8, 0.7), rtol=1e-12)


def test_writing_a_series_leaves_the_locale_to_the_tests_after_it(tmp_path):
    before = locale.setlocale(locale.LC_CTYPE, "")  # as Python sets it at its start
    write_series(tmp_path / "scan", STACK)
    assert locale.setlocale(locale.LC_CTYPE) == before


def test_a_series_scaled_slice_by_slice(tmp_path):
    """As PET and some MR scanners store it; ITK takes the type of the first slice for all."""
    folder = write_series(tmp_path / "scan", STACK, slopes=[1, 1, 0.5, 1, 2])

    values = read_voxels(read_header(folder))

    assert values.dtype == np.float64
    np.testing.assert_allclose(values, STACK * np.reshape([1, 1, 0.5, 1, 2], (5, 1, 1)))


SPOILED = {
    "a slice is missing": ({"skip": (2,)}, r"6\.6 mm apart, others 3\.3 mm"),
    "two series": ({"uids": ["1.2.3"] * 3 + ["1.2.4"] * 2}, r"it holds 2: 1\.2\.3 \(3 files\), 1\.2\.4 \(2 files\)"),
    "two at one place": ({"depths": [0, 1, 1, 2, 3]}, "0 mm apart, others 3.3 mm"),
    "all at one place": ({"depths": [0] * 5}, "0 mm apart"),
    "a tilted stack": ({"shift": 0.5}, "within its plane"),
    "one slice": ({"skip": (1, 2, 3, 4)}, "a file for each slice"),
}


@pytest.mark.parametrize(("changes", "problem"), SPOILED.values(), ids=SPOILED)
def test_a_series_that_is_no_volume_is_refused(tmp_path, changes, problem):
    folder = write_series(tmp_path / "scan", STACK, **changes)

    with pytest.raises(HeaderError, match=problem) as caught:
        read_header(folder)

    assert str(folder) in str(caught.value)


def test_a_slice_that_cannot_be_read_is_named(tmp_path):
    folder = write_series(tmp_path / "scan", STACK)
    first = sorted(folder.iterdir())[0]
    first.write_bytes(first.read_bytes()[:200])

    with pytest.raises(HeaderError, match=rf"no slices that ITK can read \('{first.name}'\)"):
        read_header(folder)


def test_a_folder_without_dicom_is_refused(tmp_path):
    (tmp_path / "scan").mkdir()

    with pytest.raises(HeaderError, match="it holds 0: none"):
        read_header(tmp_path / "scan")
