"""Labels without gaps, and the names that nnU-Net gives a case."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from monai_mriprep.errors import LabelError, VoxelError
from monai_mriprep.export.nnunet_case import RawCase, numbered
from tests.runs import done_line, record_of


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16, np.int64, np.float32, np.float64])
def test_numbered_as_by_a_dictionary(dtype):
    values = np.random.default_rng(0).choice([0, 2, 7, 49], (4, 5, 6)).astype(dtype)
    before = values.copy()
    found = numbered(values, (2, 7, 49), Path("a.mha"))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.vectorize({0: 0, 2: 1, 7: 2, 49: 3}.get)(values))
    np.testing.assert_array_equal(values, before)


def test_negative_values_are_background_and_fractions_are_rounded_as_in_a_run():
    label = np.array([[[-1.0, -0.0004, 1.9996, 7.0]]], np.float32)
    assert numbered(label, (2, 7), Path("a.mha")).ravel().tolist() == [0, 0, 1, 2]


def test_many_classes_need_a_wider_type():
    label = np.arange(300).reshape(1, 1, 300)
    found = numbered(label, range(1, 300), Path("a.mha"))
    assert (found.dtype, int(found.max())) == (np.uint16, 299)


@pytest.mark.parametrize(("classes", "value"), [((2, 7), 5), ((2, 7), 49), ((), 1)])
def test_a_class_that_the_record_does_not_name_is_refused(classes, value):
    with pytest.raises(LabelError, match=f"holds the class {value}, which its record does not name"):
        numbered(np.array([[[0, value]]]), classes, Path("a.mha"))


@pytest.mark.parametrize(("case", "name"), [("a_t2", "a_t2"), ("10_01_0000", "10_01"), ("_0000", "_0000")])
def test_a_channel_at_the_end_of_a_name_is_not_there_twice(case, name):
    assert RawCase(record_of(done_line(case))).files == (f"labelsTr/{name}.nii.gz", f"imagesTr/{name}_0000.nii.gz")


def test_a_rebuilt_record_does_not_know_its_sources():
    assert "was rebuilt" in RawCase(record_of(done_line(repaired=True))).problem()
    assert "/data/a_image.nii.gz cannot be found" in RawCase(record_of(done_line())).problem()


@pytest.mark.parametrize(
    ("low", "high", "dtype"), [(-5, 2**31 - 1, np.int32), (0, 2**32 - 1, np.uint32), (-1, 2**31, None)]
)
def test_whole_numbers_of_64_bits_go_into_32_where_they_fit(tmp_path, low, high, dtype):
    image = np.full((3, 4, 5), low, np.int64)
    image[1] = high
    path = tmp_path / "a.nii.gz"
    nibabel.save(nibabel.Nifti1Image(image.T, np.eye(4), dtype=np.int64), path)
    line = done_line("a", sources={role: {**file, "path": str(path)} for role, file in done_line()["sources"].items()})
    case = RawCase(record_of(line))
    if dtype is None:
        with pytest.raises(VoxelError, match="from -1 to 2147483648, which 32 bits do not hold"):
            list(case.volumes((high,)))
        return
    _, (voxels, _) = case.volumes([value for value in (low, high) if value > 0])
    assert voxels.dtype == dtype
    np.testing.assert_array_equal(voxels, image)
