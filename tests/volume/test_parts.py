"""A part of a resampled volume, beside scipy's answer for the whole one and our own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from monai_mriprep.volume.geometry import Grid, target_grid
from monai_mriprep.volume.parts import needed_box, resample_part
from monai_mriprep.volume.resample import ResamplingPlan, apply_plan, plan_resampling

SOURCE = Grid((33, 64, 58), np.diag([2.0, 1.1, 0.9, 1.0]))
IMAGE = np.random.default_rng(0).integers(0, 2000, SOURCE.shape).astype(np.int16)
RANGE = 2000
WANTED = {
    "inside": (range(5, 12), range(20, 45), range(11, 40)),
    "the first corner": (range(3), range(9), range(1)),
    "the last corner, turned": (range(9, 13)[::-1], range(30, 51), range(27, 39)[::-1]),
}


def cut(array: np.ndarray, box) -> np.ndarray:
    return array[np.ix_(*box)]


def part_of(plan: ResamplingPlan, wanted) -> np.ndarray:
    given = needed_box(plan, wanted)
    return resample_part(torch.from_numpy(cut(IMAGE, given))[None], plan, given, wanted)[0].numpy()


def by_scipy(plan: ResamplingPlan, boundary: str) -> np.ndarray:
    steps, starts = ([getattr(axis, name) for axis in plan.axes] for name in ("step", "start"))
    image, order = IMAGE.astype(np.float64), plan.orders[0]
    return ndimage.affine_transform(
        image, steps, offset=starts, output_shape=plan.shape_out, order=order, mode=boundary
    )


@pytest.fixture(params=WANTED)
def wanted(request):
    return WANTED[request.param]


@pytest.mark.parametrize("rule", ["monai", "nnunet"])
@pytest.mark.parametrize(("order", "boundary"), [(3, "nearest"), (3, "mirror"), (2, "mirror"), (1, "nearest")])
def test_it_is_what_scipy_makes_of_the_whole_volume(wanted, rule, order, boundary):
    plan = plan_resampling(SOURCE, target_grid(SOURCE, (4.9, 1.3, 1.2), rule), order, boundary)
    found, expected = part_of(plan, wanted), cut(by_scipy(plan, boundary), wanted)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-6 * RANGE


@pytest.mark.parametrize("target", [(2.0, 1.1, 0.9), (2.0, 1.2, 0.4), (0.9, 1.1, 0.9), (7.0, 0.5, 0.4)])
def test_it_is_our_own_whole_volume_where_an_axis_stays_or_grows(wanted, target):
    plan = plan_resampling(SOURCE, target_grid(SOURCE, target))
    wanted = tuple(
        range(along.start % n, along.start % n + 1) if max(along) >= n else along
        for along, n in zip(wanted, plan.shape_out, strict=True)
    )
    whole = apply_plan(torch.from_numpy(IMAGE)[None], plan)[0].numpy()
    assert np.abs(part_of(plan, wanted) - cut(whole, wanted)).max() < 1e-6 * RANGE


@pytest.mark.parametrize("rule", ["monai", "itk"])
def test_nearest_picks_the_same_voxels_in_their_type(wanted, rule):
    plan = plan_resampling(SOURCE, target_grid(SOURCE, (4.9, 1.3, 1.2), rule), 0, zero_outside=rule == "itk")
    found = part_of(plan, wanted)
    assert found.dtype == np.int16
    assert np.array_equal(found, cut(apply_plan(torch.from_numpy(IMAGE)[None], plan)[0].numpy(), wanted))


def test_orders_may_differ_by_axis_and_zeros_lie_outside():
    plan = plan_resampling(SOURCE, target_grid(SOURCE, (0.85, 1.3, 0.5), "itk"), (0, 1, 3), "mirror", zero_outside=True)
    assert plan.axes[0].outside.any()
    wanted = tuple(range(max(0, n - 9), n) for n in plan.shape_out)
    whole = apply_plan(torch.from_numpy(IMAGE)[None], plan)[0].numpy()
    assert np.abs(part_of(plan, wanted) - cut(whole, wanted)).max() < 1e-6 * RANGE


def test_no_more_is_read_than_counts():
    plan = plan_resampling(SOURCE, target_grid(SOURCE, (2.0, 1.0, 1.0)))
    kept, rows, columns = needed_box(plan, (range(8, 4, -1), range(30, 40), range(20, 24)))
    assert kept == range(8, 4, -1)
    assert (rows.start, rows.stop, len(columns)) == (10, 54, 39)
    nearest = plan_resampling(SOURCE, target_grid(SOURCE, (2.0, 1.0, 1.0)), 0)
    assert needed_box(nearest, (range(1), range(30, 40), range(20, 24)))[1] == range(27, 36)


def test_the_given_part_is_neither_written_to_nor_handed_out():
    plan = plan_resampling(SOURCE, SOURCE)
    wanted = tuple(map(range, SOURCE.shape))
    part = torch.from_numpy(IMAGE)[None]
    for order, dtype in ((0, torch.int16), (3, torch.float32)):
        plan = plan_resampling(SOURCE, SOURCE, order)
        found = resample_part(part, plan, wanted, wanted)
        assert found.dtype == dtype
        assert found.data_ptr() != part.data_ptr()
        assert torch.equal(found, part.to(dtype))


@pytest.mark.parametrize("target", [(0.9, 0.9, 0.9), (1.5, 1.5, 1.5), (3.0, 0.7, 0.8)])
def test_large_parts_whose_matrices_have_several_blocks(target):
    """Axes that are alike share their blocks, some of which are cut; a turned axis has them the other way round."""
    source = Grid((110, 110, 110), np.eye(4))
    image = torch.from_numpy(np.random.default_rng(1).integers(0, RANGE, (2, *source.shape)).astype(np.int16))
    plan = plan_resampling(source, target_grid(source, target))
    wanted = tuple(range(n // 9, n - n // 9) for n in plan.shape_out)
    for box in (wanted, (wanted[0][::-1], *wanted[1:])):
        given = needed_box(plan, box)
        part = image[:, given[0].start : given[0].stop, given[1].start : given[1].stop, given[2].start : given[2].stop]
        found = resample_part(part, plan, given, box).numpy()
        expected = apply_plan(image, plan).numpy()[np.ix_(range(2), *box)]
        assert np.abs(found - expected).max() < 1e-6 * RANGE
