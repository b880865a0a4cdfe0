"""Resampling beside scipy, and its way back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from monai_mriprep.errors import ResamplingError, VoxelError
from monai_mriprep.steps import Volumes, backward, forward
from monai_mriprep.steps.resampling import ItkResampling, Resampling, _stated_direction
from monai_mriprep.types import FOREGROUND, IMAGE, LABEL, PREDICTION
from monai_mriprep.volume.geometry import Grid, reverse_axes
from tests import oracles
from tests.oracles import relative_error
from tests.steps.cases import FLOATS, GRIDS, role_of, volumes_on

TARGETS = {"finer": (1.7, 0.7, 0.6), "coarser": (4.3, 1.9, 2.2), "mixed": (2.0, 1.3, 2.5)}


def axes_of(grid: Grid, target: tuple[float, ...], rule: str) -> list[oracles.Axis]:
    return oracles.plan(grid.shape, grid.affine, target, rule)


def axes_back(grid: Grid, target: tuple[float, ...], rule: str) -> list[oracles.Axis]:
    return [oracles.Axis(a.n_out, a.n_in, 1 / a.step, -a.start / a.step) for a in axes_of(grid, target, rule)]


@pytest.mark.parametrize("order", [0, 1, 2, 3, (0, 3, 3), (1, 2, 3)], ids=str)
@pytest.mark.parametrize("boundary", ["nearest", "mirror"])
@pytest.mark.parametrize("rule", ["monai", "nnunet"])
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_image_label_and_mask_as_scipy_does(target, rule, boundary, order):
    grid = GRIDS["oblique"]
    volumes, axes = volumes_on(grid), axes_of(grid, target, rule)
    step = Resampling(target=target, rule=rule, boundary=boundary, order=order)
    done, trace = forward([step], volumes, grid)
    expected = oracles.spline(volumes.by_role[IMAGE][0].numpy(), axes, order, boundary)
    assert relative_error(done.by_role[IMAGE][0].numpy(), expected) < 1e-6
    for role in (LABEL, FOREGROUND):
        before, after = volumes.by_role[role][0].numpy(), done.by_role[role][0].numpy()
        assert after.dtype == before.dtype
        assert np.array_equal(after, oracles.nearest(before, axes, boundary))
    np.testing.assert_allclose(trace.target.affine, oracles.new_affine(grid.affine, axes), atol=1e-9)


@pytest.mark.parametrize("name", GRIDS)
def test_shape_and_affine_on_every_kind_of_grid(name):
    grid = GRIDS[name]
    for rule in ("monai", "nnunet", "itk"):
        axes = axes_of(grid, (2.2, 1.0, 0.7), rule)
        found = Resampling(target=(2.2, 1.0, 0.7), rule=rule).grid(grid)
        assert found.shape == tuple(axis.n_out for axis in axes)
        np.testing.assert_allclose(found.affine, oracles.new_affine(grid.affine, axes), atol=1e-9)


def test_under_itk_what_lies_outside_the_scan_is_0():
    grid = Grid((4, 5, 7), np.diag([2.0, 1.0, 1.0, 1.0]))
    done, trace = forward(
        [Resampling(target=(0.3, 1.0, 1.0), rule="itk")], Volumes({IMAGE: torch.ones(1, 4, 5, 7)}), grid
    )
    outside = np.arange(trace.target.shape[0]) * 0.3 / 2 > 3.5
    assert outside.sum() == 3
    np.testing.assert_allclose(done.by_role[IMAGE][0, :, 2, 3].numpy(), ~outside, atol=1e-6)


def test_clip_limits_each_channel_to_the_range_that_it_had():
    image = torch.zeros(2, 6, 6, 6)
    image[0, 2:4], image[1, :, 2:4] = 100, -5
    grid = Grid((6, 6, 6), np.eye(4))
    over, clipped = (
        forward([Resampling(target=(0.4, 0.4, 0.4), clip=clip)], Volumes({IMAGE: image}), grid)[0].by_role[IMAGE]
        for clip in (False, True)
    )
    assert float(over[0].max()) > 105
    assert float(over[1].min()) < -5.2
    assert torch.equal(clipped[0], over[0].clamp(0, 100))
    assert torch.equal(clipped[1], over[1].clamp(-5, 0))


# --- Back -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["monai", "nnunet", "itk"])
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_a_prediction_goes_back_linearly_and_class_numbers_by_nearest(target, rule):
    grid, way = GRIDS["permuted"], axes_back(GRIDS["permuted"], target, rule)
    _, trace = forward([Resampling(target=target, rule=rule, boundary="mirror")], volumes_on(grid), grid)
    rng = np.random.default_rng(0)
    probabilities = rng.random((3, *trace.target.shape), np.float32)
    classes = rng.integers(0, 5, (1, *trace.target.shape)).astype(np.uint8)
    back, _ = backward(trace, torch.from_numpy(probabilities), FLOATS)
    for found, channel in zip(back.numpy(), probabilities, strict=True):
        np.testing.assert_allclose(found, oracles.spline(channel, way, 1), atol=2e-6)
    back, _ = backward(trace, torch.from_numpy(classes), PREDICTION)
    assert np.array_equal(back[0].numpy(), oracles.nearest(classes[0], way))
    assert back.dtype == torch.uint8


@pytest.mark.parametrize("kind", ["label", "mask"])
def test_labels_in_floats_go_back_by_nearest(kind):
    grid = GRIDS["straight"]
    _, trace = forward([Resampling(target=TARGETS["mixed"])], volumes_on(grid), grid)
    classes = torch.randint(0, 9, (1, *trace.target.shape)).float()
    back, _ = backward(trace, classes, role_of(kind))
    assert np.array_equal(
        back[0].numpy(), oracles.nearest(classes[0].numpy(), axes_back(grid, TARGETS["mixed"], "monai"))
    )


@pytest.mark.parametrize(("order", "boundary"), [(3, "nearest"), (3, "mirror"), ((0, 1, 2), "nearest")])
def test_an_image_goes_back_by_its_own_spline(order, boundary):
    grid = GRIDS["straight"]
    _, trace = forward([Resampling(target=TARGETS["finer"], order=order, boundary=boundary)], volumes_on(grid), grid)
    image = torch.rand(1, *trace.target.shape)
    back, _ = backward(trace, image, IMAGE)
    expected = oracles.spline(image[0].numpy(), axes_back(grid, TARGETS["finer"], "monai"), order, boundary)
    assert relative_error(back[0].numpy(), expected) < 2e-6


def test_what_is_constant_comes_back_constant_even_beyond_the_last_centres():
    grid = GRIDS["oblique"]
    for rule in ("monai", "nnunet", "itk"):
        _, trace = forward([Resampling(target=TARGETS["coarser"], rule=rule)], volumes_on(grid), grid)
        back, _ = backward(trace, torch.full((1, *trace.target.shape), 0.25))
        assert float((back - 0.25).abs().max()) < 1e-6


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), float("inf")])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_what_is_not_finite_is_refused_where_it_would_spread(value, dtype):
    """Such as a class that was masked out of the logits by -inf."""
    grid = GRIDS["straight"]
    _, trace = forward([Resampling(target=TARGETS["finer"])], volumes_on(grid), grid)
    volume = torch.zeros((2, *trace.target.shape), dtype=dtype)
    volume[1, :, :, 4:] = value
    for role in (PREDICTION, IMAGE):
        with pytest.raises(ResamplingError, match=f"the {role.name} holds values that are not finite .* nearest"):
            backward(trace, volume, role)
    back, _ = backward(trace, volume, LABEL)
    assert set(map(str, back[1].unique().tolist())) >= {"0.0", str(value)}
    assert not back[0].any()


def test_what_is_not_finite_stays_where_it_is_if_nothing_is_interpolated():
    grid = GRIDS["straight"]
    _, trace = forward([Resampling(target=grid.spacing)], volumes_on(grid), grid)
    volume = torch.full((1, *grid.shape), float("-inf"))
    assert torch.equal(backward(trace, volume)[0], volume)


def test_the_recorded_grid_counts_not_the_rule():
    """A record holds the grid bit for bit, so that a later version of the rule undoes what was done."""
    step, grid = Resampling(target=(2.0, 1.0, 1.0)), GRIDS["straight"]
    other = Grid((5, 5, 5), grid.affine)
    assert step.grid(grid, {"grid": other.to_json()}) == other != step.grid(grid)


# --- Settings ---------------------------------------------------------------------------------------------------------


def test_a_list_is_a_triple_and_an_integer_a_spacing():
    step = Resampling(target=[3, 1, 0.5], order=[0, 3, 3])
    assert step == Resampling(target=(3.0, 1.0, 0.5), order=(0, 3, 3))
    assert all(isinstance(spacing, float) for spacing in step.target)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"target": (0.0, 1.0, 1.0)},
        {"target": (-1.0, 1.0, 1.0)},
        {"target": (float("inf"), 1.0, 1.0)},
        {"target": (1.0, 1.0)},
        {"target": ("1", 1.0, 1.0)},
        {"target": (1.0, 1.0, 1.0), "order": 4},
        {"target": (1.0, 1.0, 1.0), "order": -1},
        {"target": (1.0, 1.0, 1.0), "order": True},
        {"target": (1.0, 1.0, 1.0), "order": (3, 3)},
        {"target": (1.0, 1.0, 1.0), "rule": "ants"},
        {"target": (1.0, 1.0, 1.0), "boundary": "wrap"},
        {"target": (1.0, 1.0, 1.0), "clip": 1},
    ],
    ids=str,
)
def test_what_is_no_setting_is_refused(settings):
    with pytest.raises(ValidationError):
        Resampling(**settings)


def test_magnitudes_that_float32_cannot_hold_name_the_file():
    grid = GRIDS["straight"]
    image = torch.full((1, *grid.shape), -1e39, dtype=torch.float64)
    volumes = Volumes({IMAGE: image}, {IMAGE: "scan.mha"})
    with pytest.raises(VoxelError, match=r"scan\.mha: holds the value -1e\+39"):
        forward([Resampling(target=TARGETS["finer"])], volumes, grid)


# --- ITK's mask -------------------------------------------------------------------------------------------------------


def test_the_mask_of_itk_is_that_of_simpleitk():
    import SimpleITK

    array, _ = oracles.phantom((9, 21, 23), 1)
    affine = oracles.affine_of((3.0, 1.1, 1.2), 0, (4, -9, 2))
    grid = Grid(array.shape, affine)
    image = oracles.itk_image(array.astype(np.float64), affine)
    expected = oracles.itk_resample(image, (2.0, 1.0, 0.9), SimpleITK.sitkBSpline)
    done, trace = forward(
        [ItkResampling(target=(2.0, 1.0, 0.9))],
        Volumes({IMAGE: torch.from_numpy(array.astype(np.float32))[None]}),
        grid,
    )
    values = SimpleITK.GetArrayFromImage(expected)
    assert list(done.by_role) == [IMAGE, FOREGROUND]
    assert relative_error(done.by_role[IMAGE][0].numpy(), values) < 1e-6
    mask = done.by_role[FOREGROUND]
    assert (mask.dtype, mask.shape) == (torch.bool, done.by_role[IMAGE].shape)
    assert np.array_equal(mask[0].numpy(), values > 0)
    np.testing.assert_allclose(
        reverse_axes(trace.target.affine), reverse_axes(oracles.affine_of_itk(expected)), atol=1e-9
    )


def test_what_is_only_picked_may_be_of_any_magnitude():
    grid = GRIDS["straight"]
    image = torch.full((1, *grid.shape), 3e38)
    done, _ = forward([Resampling(target=(1.0, 1.0, 1.0), order=0)], Volumes({IMAGE: image}), grid)
    assert done.by_role[IMAGE].unique().tolist() == image.unique().tolist()


@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, 1), (1, -1, -1)])
def test_every_digit_of_the_files_directions_counts_whatever_the_order_and_sense_of_the_axes(signs):
    stated = GRIDS["oblique"].direction
    noisy = (stated + 1e-12)[:, [2, 0, 1]] * signs
    grid = Grid((4, 5, 6), np.block([[noisy * (3.0, 1.0, 2.0), np.ones((3, 1))], [np.eye(4)[3:]]]))
    assert np.array_equal(_stated_direction(stated, grid), stated[:, [2, 0, 1]] * signs)
    assert np.array_equal(_stated_direction(None, grid), grid.direction)
