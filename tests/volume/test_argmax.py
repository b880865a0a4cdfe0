"""Class numbers of resampled scores, against scores that are resampled whole and against scikit-image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import skimage.transform
import torch
from hypothesis import given
from hypothesis import strategies as st

from monai_mriprep.errors import ResamplingError
from monai_mriprep.volume import argmax
from monai_mriprep.volume.argmax import HALF_CHANCE, resample_argmax
from monai_mriprep.volume.resample import ResamplingPlan, apply_plan
from monai_mriprep.volume.spline import AxisPlan

CPU = torch.device("cpu")


def half_pixel(before: Sequence[int], after: Sequence[int], orders: Sequence[int] = (1, 1, 1)) -> ResamplingPlan:
    """The same extent in other voxels."""
    z, y, x = (
        AxisPlan(n, m, n / m, 0.5 * n / m - 0.5, order) for n, m, order in zip(before, after, orders, strict=True)
    )
    return ResamplingPlan((z, y, x))


def scores(n_channels: int, plan: ResamplingPlan, seed: int = 0) -> torch.Tensor:
    values = np.random.default_rng(seed).normal(size=(n_channels, *plan.shape_in))
    return torch.from_numpy(values.astype(np.float32))


PLANS = {
    "finer": half_pixel((30, 31, 20), (51, 52, 33)),
    "coarser": half_pixel((51, 99, 33), (30, 47, 20)),
    "finer slices, coarser rows": half_pixel((11, 60, 50), (49, 20, 50)),
    "coarser slices, finer rows": half_pixel((49, 20, 17), (11, 60, 52)),
    "the same": half_pixel((12, 50, 10), (12, 50, 10)),
    "rows alone": half_pixel((9, 31, 7), (9, 98, 7)),
    "columns alone": half_pixel((9, 7, 31), (9, 7, 98)),
    "slices alone": half_pixel((31, 5, 7), (98, 5, 7)),
    "slices are picked": half_pixel((9, 31, 20), (31, 52, 33), (0, 1, 1)),
    "rows are picked": half_pixel((20, 9, 31), (33, 31, 52), (1, 0, 1)),
    "columns are picked": half_pixel((31, 20, 9), (52, 33, 31), (1, 1, 0)),
    "all are picked": half_pixel((9, 20, 11), (31, 13, 7), (0, 0, 0)),
    "cubic": half_pixel((30, 31, 20), (51, 52, 33), (3, 3, 3)),
    "cubic, slices are picked": half_pixel((9, 31, 20), (31, 52, 33), (0, 3, 3)),
}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_the_highest_channel_is_that_of_channels_resampled_whole(plan):
    logits = scores(4, plan)
    found = resample_argmax(logits, plan)
    assert found.dtype == torch.uint8
    np.testing.assert_array_equal(found, apply_plan(logits, plan).float().argmax(0))


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_values_have_the_bits_of_a_channel_resampled_whole(plan, threads):
    threads(1)
    logits = scores(1, plan)
    within, picks = argmax._apart(plan)
    values = torch.full((1, *within.shape_out), torch.nan)
    for tile in argmax._tiles(plan, within, 8, CPU):
        values[0][tile.made] = next(tile.channels(logits))
    assert torch.equal(apply_plan(values, picks), apply_plan(logits, plan))


@given(
    st.tuples(*[st.integers(4, 24)] * 3),
    st.tuples(*[st.integers(4, 60)] * 3),
    st.tuples(*[st.sampled_from([0, 1])] * 3),
    st.integers(1, 20),
)
def test_any_sizes_orders_and_slabs(before, after, orders, slab):
    plan = half_pixel(before, after, orders)
    logits = scores(3, plan)
    np.testing.assert_array_equal(resample_argmax(logits, plan, slab), apply_plan(logits, plan).argmax(0))


def test_of_equal_channels_the_first_wins():
    plan = half_pixel((4, 5, 6), (9, 5, 6))
    logits = torch.zeros(4, 4, 5, 6)
    logits[1:3, :, 1:] = 1
    logits[3, :, 2:] = 1
    found = resample_argmax(logits, plan)
    assert found[:, :, 0].tolist() == [[0, 1, 1, 1, 1]] * 9
    assert found.unique().tolist() == [0, 1]


@pytest.mark.parametrize(("count", "dtype"), [(256, torch.uint8), (257, torch.int16), (400, torch.int16)])
def test_the_type_holds_the_last_class(count, dtype):
    plan = half_pixel((2, 1, 1), (3, 1, 1))
    logits = torch.zeros(count, 2, 1, 1)
    logits[-1] = 1
    found = resample_argmax(logits, plan)
    assert found.dtype == dtype
    assert found.unique().tolist() == [count - 1]
    regions = resample_argmax(logits, plan, thresholds=[0.5] * count)
    assert regions.dtype == torch.int16
    assert regions.unique().tolist() == [count]


# --- As nnU-Net -------------------------------------------------------------------------------------------------------


def test_scores_in_half_precision_are_compared_as_nnunet_rounds_them():
    """It resamples by scikit-image in float64 and rounds to half; only what lies between two halves may differ."""
    plan = half_pixel((12, 20, 22), (20, 33, 31))
    logits = scores(5, plan).half()
    settings = {"order": 1, "mode": "edge", "anti_aliasing": False}
    whole = [skimage.transform.resize(channel.astype(float), plan.shape_out, **settings) for channel in logits.numpy()]
    expected = np.stack(whole).astype(np.float16).argmax(0)
    off = (resample_argmax(logits, plan, round_to=torch.float16).numpy() != expected).mean()
    assert off < 1e-4
    assert (resample_argmax(logits, plan).numpy() != expected).mean() > off, "rounding makes ties"


def test_rounding_makes_ties():
    logits = torch.tensor([1.0, 1.0001]).reshape(2, 1, 1, 1)
    plan = half_pixel((1, 1, 1), (1, 1, 1))
    assert resample_argmax(logits, plan).item() == 1
    assert resample_argmax(logits, plan, round_to=torch.float16).item() == 0


def test_a_voxel_takes_the_last_region_that_exceeds_its_threshold():
    plan = PLANS["finer"]
    logits, thresholds = scores(3, plan), [0.0, 0.3, -0.2]
    expected = torch.zeros(plan.shape_out)
    for number, (values, threshold) in enumerate(zip(apply_plan(logits, plan), thresholds, strict=True), 1):
        expected[values > threshold] = number
    np.testing.assert_array_equal(resample_argmax(logits, plan, thresholds=thresholds), expected)
    assert not resample_argmax(torch.ones_like(logits), plan, thresholds=[1.0] * 3).any(), "equal does not exceed"


def test_half_a_chance_is_where_the_sigmoid_is_one_half():
    """Of every float near it and of every half, as torch computes the sigmoid."""
    bits = np.float32(HALF_CHANCE).view(np.int32) + np.arange(-1000, 1001, dtype=np.int32)
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
    near = np.concatenate([bits.view(np.float32), halves[np.isfinite(halves)]])
    np.testing.assert_array_equal(torch.sigmoid(torch.from_numpy(near)) > 0.5, near > HALF_CHANCE)
    assert torch.sigmoid(torch.tensor(HALF_CHANCE)).item() == 0.5


# --- What is handed in ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", [PLANS["finer"], PLANS["the same"]], ids=["resampled", "nothing to do"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_scores_are_not_written_to(plan, dtype):
    logits = scores(3, plan).to(dtype)
    before = logits.clone()
    resample_argmax(logits, plan, round_to=torch.float16)
    found = resample_argmax(logits, plan)
    assert torch.equal(logits, before)
    np.testing.assert_array_equal(found, apply_plan(logits, plan).argmax(0))


def test_scores_may_lie_in_any_way():
    plan = PLANS["finer"]
    logits = scores(3, plan)
    expected = resample_argmax(logits, plan)
    array = logits.numpy()
    read_only = array.copy()
    read_only.setflags(write=False)
    last = np.ascontiguousarray(np.moveaxis(array, 0, -1))
    turned = np.ascontiguousarray(array[:, ::-1, :, ::-1])[:, ::-1, :, ::-1]
    permuted = logits.permute(3, 0, 2, 1).contiguous().permute(1, 3, 2, 0)
    swapped = array.astype(array.dtype.newbyteorder("S"))
    trained = logits.clone().requires_grad_()
    for form in (array, read_only, swapped, np.moveaxis(last, -1, 0), turned, permuted, trained):
        assert torch.equal(resample_argmax(form, plan), expected)


@pytest.mark.parametrize("name", ["finer", "coarser", "slices are picked"])
def test_threads_change_nothing(name, threads):
    logits = scores(3, PLANS[name])
    threads(1)
    alone = resample_argmax(logits, PLANS[name])
    threads(3)
    assert torch.equal(resample_argmax(logits, PLANS[name]), alone)


def test_mixed_precision_changes_nothing(threads):
    threads(1)  # it holds for the thread that asks
    logits, plan = scores(3, PLANS["finer"]), PLANS["finer"]
    expected = resample_argmax(logits, plan)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(resample_argmax(logits, plan), expected)


@pytest.mark.parametrize("zero_outside", [True, False])
def test_outside_of_the_volume_is_the_first_class_where_the_plan_says_so(zero_outside):
    axes = PLANS["finer"].axes
    moved = AxisPlan(axes[0].n_in, axes[0].n_out, 1.0, -5.0, 1)
    plan = ResamplingPlan((moved, *axes[1:]), zero_outside)
    logits = scores(3, plan) + torch.tensor([0, 1, 2])[:, None, None, None]
    found = resample_argmax(logits, plan)
    assert found[:5].any() != zero_outside
    np.testing.assert_array_equal(found, apply_plan(logits, plan).argmax(0))


@pytest.mark.parametrize(
    ("shape", "thresholds", "message"),
    [
        ((2, 4, 5, 5), None, r"expected scores of shape \(C, 4, 5, 6\), not \(2, 4, 5, 5\)"),
        ((4, 5, 6), None, r"not \(4, 5, 6\)"),
        ((0, 4, 5, 6), None, r"not \(0, 4, 5, 6\)"),
        ((2, 4, 5, 6), [0.5], "1 thresholds for 2 channels"),
    ],
)
def test_what_does_not_fit_is_refused(shape, thresholds, message):
    with pytest.raises(ResamplingError, match=message):
        resample_argmax(np.zeros(shape, np.float32), half_pixel((4, 5, 6), (8, 5, 6)), thresholds=thresholds)
