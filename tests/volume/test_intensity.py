"""Mean, deviation and z-scores against numpy in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from monai_mriprep.errors import ResamplingError
from monai_mriprep.volume.intensity import Moments, float32_moments, foreground_moments, standardize

RNG = np.random.default_rng(5)
SHAPE = (1, 6, 20, 25)
MASK = torch.from_numpy(RNG.random(SHAPE) < 0.4)


def image_of(mean: float, std: float, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.from_numpy(RNG.normal(mean, std, SHAPE)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.float32, torch.float64])
@pytest.mark.parametrize("mask", [MASK, MASK.to(torch.uint8) * 3, None], ids=["bool", "uint8", "non-zero"])
def test_moments_equal_numpy(dtype, mask):
    image = image_of(90, 25, dtype) * torch.from_numpy(RNG.random(SHAPE) < 0.7)
    (found,) = foreground_moments(image, mask)
    values = image.double().numpy()[(image != 0).numpy() if mask is None else mask.numpy() != 0]
    assert found.count == len(values)
    assert (found.mean, found.std) == pytest.approx((values.mean(), values.std()), rel=1e-13)


@pytest.mark.parametrize(("mean", "std"), [(1e6, 0.5), (60000, 3), (-2e7, 8), (1e-6, 1e-7), (3e30, 1e29)])
def test_a_large_mean_costs_no_digits(mean, std):
    """The textbook formula, mean of squares minus square of mean, loses them all."""
    image = image_of(mean, std)
    values = image.double().numpy()[MASK.numpy()]
    (moments,) = foreground_moments(image, MASK)
    assert (moments.mean, moments.std) == pytest.approx((values.mean(), values.std()), rel=1e-12)
    scores = standardize(image, [moments]).double()[MASK]
    assert (float(scores.mean()), float(scores.std(correction=0))) == pytest.approx((0, 1), abs=1e-6)


@given(st.lists(st.integers(-5, 5), min_size=8, max_size=8), st.integers(1, 255))
def test_moments_of_any_small_volume(values, bits):
    image = torch.tensor(values).reshape(1, 2, 2, 2)
    mask = torch.tensor([bool(bits >> i & 1) for i in range(8)]).reshape(1, 2, 2, 2)
    chosen = image[mask].double().numpy()
    (found,) = foreground_moments(image, mask)
    assert (found.count, found.mean, found.std) == pytest.approx((len(chosen), chosen.mean(), chosen.std()), abs=1e-14)


def test_voxels_outside_the_foreground_count_for_nothing():
    image = image_of(90, 25)
    changed = torch.where(MASK, image, 1e30)
    assert foreground_moments(image, MASK) == foreground_moments(changed, MASK)


def test_the_whole_image_is_standardized():
    image = image_of(90, 25)
    (moments,) = foreground_moments(image, MASK)
    expected = (image.double().numpy() - moments.mean) / moments.std
    result = standardize(image, [moments])
    assert result.dtype == torch.float32
    np.testing.assert_allclose(result.numpy(), expected, atol=1e-6)


def test_without_foreground_nothing_changes():
    image = image_of(90, 25)
    moments = foreground_moments(image, torch.zeros_like(MASK))
    assert moments == (Moments(0, 0.0, 0.0),)
    assert torch.equal(standardize(image, moments), image)


@pytest.mark.parametrize("value", [0.1, 7, -1e7 / 3])
def test_a_constant_foreground_loses_its_mean_only(value):
    image = torch.where(MASK, value, 3.0).to(torch.float32)
    moments = foreground_moments(image, MASK)
    assert [(m.mean, m.std) for m in moments] == [(np.float32(value), 0)]
    assert torch.equal(standardize(image, moments), image - np.float32(value).item())


def test_threads_do_not_change_a_bit(threads):
    image = image_of(90, 25)
    found = []
    for count in (1, 2):
        threads(count)
        moments = foreground_moments(image, MASK)
        found.append((moments, standardize(image, moments)))
    assert found[0][0] == found[1][0]
    assert torch.equal(found[0][1], found[1][1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.int16])
def test_the_input_is_not_written_to(dtype):
    image = image_of(90, 25, dtype)
    before, mask = image.clone(), MASK.clone()
    standardize(image, foreground_moments(image, mask))
    assert torch.equal(image, before)
    assert torch.equal(mask, MASK)


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(ResamplingError, match="differ in shape"):
        foreground_moments(image_of(0, 1), MASK[:, :3])


def test_every_channel_has_its_own_moments():
    """A T2 of hundreds beside an ADC of thousands: joint moments would be of neither."""
    image = torch.cat([image_of(90, 25), image_of(1400, 300), image_of(0, 1)])
    masks = torch.cat([MASK, ~MASK, torch.zeros_like(MASK)])
    found = foreground_moments(image, masks)
    alone = [foreground_moments(image[c : c + 1], masks[c : c + 1])[0] for c in range(3)]
    assert list(found) == alone
    for channel, mask, moments in zip(image[:2], masks[:2], found[:2], strict=True):
        values = channel[mask].double().numpy()
        assert (moments.mean, moments.std) == pytest.approx((values.mean(), values.std()), rel=1e-12)
    scores = standardize(image, found)
    assert [float(s[m].mean().abs()) < 1e-6 for s, m in zip(scores, masks, strict=True)] == [True, True, False]
    assert torch.equal(scores[2], image[2])


def test_one_mask_may_count_for_all_channels():
    image = torch.cat([image_of(90, 25), image_of(1400, 300)])
    assert foreground_moments(image, MASK) == foreground_moments(image, torch.cat([MASK, MASK]))
    with pytest.raises(ResamplingError, match="differ in shape"):
        foreground_moments(torch.cat([image, image]), torch.cat([MASK, MASK]))


@pytest.mark.parametrize("seed", range(10))  # of some, a copy has another mean
@pytest.mark.parametrize("crop", [slice(None), slice(2, -3)])
def test_float32_moments_are_numpys_own_sums_over_the_view(crop, seed):
    values = np.random.default_rng(seed).normal(1000, 30, (9, 41, 37)).astype(np.float32)[:, crop, crop]
    mask = values > 990
    assert float32_moments(values) == (float(values.mean()), float(values.std()))
    assert float32_moments(values, mask) == (float(values[mask].mean()), float(values[mask].std()))
    np.testing.assert_allclose(
        float32_moments(values), (values.mean(dtype=np.float64), values.std(dtype=np.float64)), 1e-4
    )
