"""Summaries of voxels against numpy and scipy, and what they warn of."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from monai_mriprep.dataset.voxel_summary import MANY_VALUES, combined, count_values, summarize_image, summarize_label
from monai_mriprep.formats.read import read_header
from monai_mriprep.formats.voxels import read_voxels
from monai_mriprep.types import IMAGE_MAX, LABEL_MAX

SHAPE = (3, 4, 5)


@pytest.fixture
def summary_of(tmp_path):
    def summarize(summary, array, suffix=".mha"):
        path = tmp_path / f"volume{suffix}"
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(path))
        return summary(read_voxels(read_header(path)))

    return summarize


@given(arrays(np.int16, array_shapes(min_dims=3, max_dims=3, max_side=5), elements=st.integers(-40, 300)))
def test_values_are_counted_as_numpy_counts_them(voxels):
    expected = dict(zip(*(array.tolist() for array in np.unique(voxels, return_counts=True)), strict=True))
    assert count_values(voxels) == expected
    noisy = voxels + np.float32(0.2)
    assert count_values(noisy) == expected


def test_an_image_is_summed_up_as_numpy_does(summary_of):
    array = np.random.default_rng(0).integers(-3, 9, SHAPE, np.int16)
    found = summary_of(summarize_image, array)
    assert (found.minimum, found.maximum) == (array.min(), array.max())
    assert found.foreground == np.count_nonzero(array)
    assert found.sha256 == hashlib.sha256(array.tobytes()).hexdigest()
    assert not found.is_constant
    assert [*found.problems(), *found.warnings()] == []


def test_equal_scans_have_one_hash_whatever_their_format(summary_of):
    array = np.random.default_rng(0).integers(-3, 9, SHAPE, np.int16)
    hashes = {summary_of(summarize_image, array, suffix).sha256 for suffix in (".mha", ".nrrd", ".nii.gz")}
    assert len(hashes) == 1
    array[0, 0, 0] += 1
    assert summary_of(summarize_image, array).sha256 not in hashes


@pytest.mark.parametrize(
    ("value", "warning"),
    [(0, "the image is 0 everywhere"), (7, "all 30 non-zero voxels of the image have one value")],
)
def test_an_image_without_contrast_is_warned_of(summary_of, value, warning):
    array = np.zeros(SHAPE, np.int16)
    array[:, :2] = value
    (found,) = summary_of(summarize_image, array).warnings()
    assert warning in found


@pytest.mark.parametrize("sign", [1, -1])
def test_an_image_beyond_the_largest_value_is_a_problem(summary_of, sign):
    array = np.zeros(SHAPE)
    array[0, 0, 0] = sign * IMAGE_MAX
    assert not list(summary_of(summarize_image, array).problems())
    array[0, 0, 0] *= 1.001
    (problem,) = summary_of(summarize_image, array).problems()
    assert problem.startswith("the image holds the value ")


def test_a_label_is_summed_up_as_numpy_and_scipy_do(summary_of):
    array = np.zeros(SHAPE, np.float32)
    array[1:3, 2, 1:4] = np.random.default_rng(0).integers(1, 4, (2, 3))
    array[0, 0, 0], array[0, 0, 1] = -2, 0.0004
    found = summary_of(summarize_label, array)
    values, counts = np.unique(np.rint(array).astype(int), return_counts=True)
    assert found.histogram == dict(zip(values.tolist(), counts.tolist(), strict=True))
    assert (found.minimum, found.maximum, found.negative, found.fractional) == (-2, array.max(), 1, 0)
    (box,) = ndimage.find_objects((array > 0.5).astype(int))
    assert found.box == (tuple(s.start for s in box), tuple(s.stop - 1 for s in box))
    assert [*found.problems()] == []
    assert [*found.warnings()] == ["1 negative label voxel (down to -2) will become 0"]
    assert [*found.warnings(-1)] == ["1 negative label voxel below -1 (down to -2) will become 0"]


def test_a_label_for_what_lies_outside_is_kept_by_a_recipe_that_has_one(summary_of):
    found = summary_of(summarize_label, np.full(SHAPE, -1, np.int16))
    assert [*found.warnings()] != [] == [*found.warnings(-1)]


def label_with(**values):
    array = np.zeros(SHAPE, values.pop("dtype", np.float32))
    array.flat[: len(values["first"])] = values["first"]
    return array


@pytest.mark.parametrize(
    ("array", "problems"),
    [
        (label_with(first=[1, 1.01, 2.5]), ["the label has 2 fractional voxels"]),
        (label_with(first=[LABEL_MAX]), []),
        (label_with(first=[LABEL_MAX + 1]), [f"the label's largest value is 32768, over {LABEL_MAX}"]),
        (label_with(first=[2**31 - 1], dtype=np.int32), ["the label's largest value is 2.14748e+09"]),
    ],
)
def test_a_label_that_cannot_be_stored_is_a_problem(summary_of, array, problems):
    found = list(summary_of(summarize_label, array).problems())
    assert len(found) == len(problems)
    assert all(start in text for start, text in zip(problems, found, strict=True))


def test_values_far_beyond_classes_are_not_counted(summary_of):
    """Counting takes 8 bytes for each value of the range."""
    assert summary_of(summarize_label, label_with(first=[2**31 - 1], dtype=np.int32)).histogram == {}


def test_a_label_that_looks_like_an_image_is_warned_of_and_an_empty_one_is_left_to_the_cohort(summary_of):
    many = np.arange(MANY_VALUES + 1, dtype=np.int16).reshape(1, 16, -1)
    (warning,) = summary_of(summarize_label, many).warnings()
    assert warning.startswith("the label has 256 different values")
    assert not list(summary_of(summarize_label, np.minimum(many, MANY_VALUES - 1)).warnings())
    empty = summary_of(summarize_label, np.zeros(SHAPE, np.int16))
    assert empty.box is None
    assert list(empty.warnings()) == []


def test_channels_are_combined():
    first, second = np.random.default_rng(0).integers(0, 3, (2, 4, 5, 6), np.int16)
    second[second != 0] = 2
    apart = [summarize_image(first), summarize_image(second)]
    assert combined(apart).is_constant
    assert combined(apart).maximum == 2
    assert combined(apart[:1]) == apart[0]
