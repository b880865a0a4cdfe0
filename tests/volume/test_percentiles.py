"""Percentiles of the foreground beside numpy, the mapping beside MONAI's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.transforms.intensity.array import ScaleIntensityRangePercentiles

from monai_mriprep.errors import ResamplingError
from monai_mriprep.volume.percentiles import Window, foreground_windows, to_unit_range, to_window, window_problems


@pytest.mark.parametrize("count", [1, 2, 3, 199, 200, 201, 202, 4321])
@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64])
def test_as_numpys_linear_percentiles(count, dtype):
    values = (np.random.default_rng(count).normal(300, 90, 4500)).astype(dtype)
    values[values == 0] = 1
    values[count:] = 0
    image = torch.from_numpy(np.random.default_rng(1).permutation(values).reshape(1, 9, 20, 25))
    (window,) = foreground_windows(image)
    assert window.count == count
    expected = np.percentile(values[:count].astype(np.float64), [0.5, 99.5])
    np.testing.assert_allclose([window.low, window.high], expected, rtol=1e-13)


def test_each_channel_has_its_own_and_a_mask_replaces_the_zeros():
    image = torch.from_numpy(np.random.default_rng(2).normal(5, 3, (2, 4, 30, 20)).astype(np.float32))
    mask = image > 4
    before = image.clone()
    for channel, window in enumerate(foreground_windows(image, mask)):
        inside = image[channel].numpy()[mask[channel].numpy()].astype(np.float64)
        np.testing.assert_allclose([window.low, window.high], np.percentile(inside, [0.5, 99.5]), rtol=1e-13)
    assert torch.equal(image, before)
    with pytest.raises(ResamplingError, match="differ in shape"):
        foreground_windows(image, mask[:, 1:])


def test_a_scan_without_zeros_is_mapped_as_by_monai():
    image = torch.from_numpy(np.random.default_rng(4).gamma(2, 90, (2, 6, 31, 22)).astype(np.float32) + 1)
    theirs = ScaleIntensityRangePercentiles(0.5, 99.5, 0, 1, clip=True, channel_wise=True)(image)
    ours = to_unit_range(image, foreground_windows(image))
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-6)
    assert (float(ours.min()), float(ours.max())) == (0.0, 1.0)


@pytest.mark.parametrize("offset", [0.0, 1e6, -3e4])
def test_as_float64_and_back_but_for_what_was_clipped(offset):
    values = np.random.default_rng(5).normal(0, 20, (1, 7, 23, 21)) + offset
    image = torch.from_numpy(values.astype(np.float32))
    (window,) = windows = foreground_windows(image)
    scaled = to_unit_range(image, windows)
    exact = (image.numpy().astype(np.float64) - window.low) / (window.high - window.low)
    np.testing.assert_allclose(scaled, np.clip(exact, 0, 1), atol=2e-7)
    clipped = image.double().clamp(window.low, window.high)
    back = to_window(scaled, windows)
    assert back.dtype == torch.float32
    np.testing.assert_allclose(back, clipped, rtol=2e-7, atol=1e-5)


@pytest.mark.parametrize(
    ("inside", "problem"),
    [
        ([], "the foreground is empty; its values are kept"),
        ([7.0] * 30, "the 0.5 and the 99.5 percentile of the foreground are both 7; only that is subtracted"),
        ([7.0] * 999 + [8.0], "the 0.5 and the 99.5 percentile of the foreground are both 7; only that is subtracted"),
        ([7.0] * 99 + [8.0], None),
    ],
)
def test_a_foreground_without_a_range(inside, problem):
    image = torch.zeros(1, 1, 10, 200)
    image.view(-1)[: len(inside)] = torch.tensor(inside)
    windows = foreground_windows(image)
    assert list(window_problems(windows)) == [problem] * (problem is not None)
    if problem is not None:
        scaled = to_unit_range(image, windows)
        assert torch.equal(scaled, image - (7 if inside else 0))
        assert torch.equal(to_window(scaled, windows), image)


def test_percentiles_that_differ_by_noise_have_no_range():
    assert Window(9, 1000.0, 1000.0 + 3e-4).span == 0
    assert Window(9, 1000.0, 1000.0 + 5e-4).span == pytest.approx(5e-4)
    assert Window(9, 0.0, 1e-38).span == 0


def test_a_problem_names_the_channel_where_there_are_several():
    problems = window_problems([Window(5, 1.0, 2.0), Window(0, 0.0, 0.0)])
    assert list(problems) == ["the foreground of channel 1 is empty; its values are kept"]


@pytest.mark.parametrize("span", [1e-44, 1e-39, 1e-30])
def test_nothing_that_is_almost_constant_becomes_nan(span):
    image = torch.linspace(0, 1, 1000).reshape(1, 10, 10, 10) * span
    assert torch.isfinite(to_unit_range(image, foreground_windows(image))).all()


def test_the_largest_values_that_can_be_computed_with():
    image = torch.linspace(-(2.0**125), 2.0**125, 1000).reshape(1, 10, 10, 10)
    scaled = to_unit_range(image, foreground_windows(image))
    assert torch.isfinite(scaled).all()
    assert (float(scaled.min()), float(scaled.max())) == (0.0, 1.0)
