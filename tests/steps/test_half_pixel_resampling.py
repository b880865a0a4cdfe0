"""Resampling as nnU-Net does it, against the functions of scikit-image that nnU-Net calls."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from skimage.transform import resize

from monai_mriprep.errors import LabelError
from monai_mriprep.steps import Volumes, backward, forward, half_pixel_resampling
from monai_mriprep.steps.half_pixel_resampling import HalfPixelResampling
from monai_mriprep.types import FOREGROUND, IMAGE, LABEL
from monai_mriprep.volume import vote
from monai_mriprep.volume.geometry import Grid
from tests.oracles import affine_of, relative_error

CASES = {
    "no axis": ((9, 14, 11), (2.0, 1.5, 1.0), (1.5, 1.0, 1.3), None),
    "z, of the scan": ((6, 14, 11), (5.0, 1.0, 1.2), (2.5, 0.8, 0.8), 0),
    "y, of the target": ((6, 14, 11), (1.0, 2.0, 1.2), (0.7, 3.5, 0.9), 1),
    "x, whose slices stay": ((6, 14, 11), (1.0, 1.0, 4.0), (0.7, 1.2, 4.0), 2),
    "two are as coarse": ((6, 14, 11), (4.0, 1.0, 4.0), (3.0, 0.8, 3.0), None),
    "exactly three times": ((6, 14, 11), (3.0, 1.0, 1.0), (1.5, 0.8, 0.8), None),
}


def resized(channel: np.ndarray, shape: tuple[int, ...], axis: int | None, order: int) -> np.ndarray:
    """Slice by slice across a separate axis, each clipped to its own range; then the nearest slice."""
    if axis is None:
        return resize(channel, shape, order, mode="edge", anti_aliasing=False)
    in_plane = tuple(n for other, n in enumerate(shape) if other != axis)
    slices = [resize(one, in_plane, order, mode="edge", anti_aliasing=False) for one in np.moveaxis(channel, axis, 0)]
    nearest = [int((r + 0.5) * len(slices) / shape[axis]) for r in range(shape[axis])]
    return np.stack([slices[index] for index in nearest], axis)


@pytest.fixture(params=CASES)
def case(request):
    shape, spacing, target, axis = CASES[request.param]
    rng = np.random.default_rng(2)
    grid = Grid(shape, affine_of(spacing, 17))
    volumes = {IMAGE: rng.normal(size=(2, *shape)).astype(np.float32), LABEL: rng.choice([-1, 0, 3, 7], (1, *shape))}
    step = HalfPixelResampling(target=target, separate="auto", clip="slice", label="linear")
    done, trace = forward([step], Volumes({role: torch.from_numpy(one) for role, one in volumes.items()}), grid)
    return volumes, done, trace, axis


def test_images_are_those_of_scikit_image(case):
    volumes, done, trace, axis = case
    for found, channel in zip(done.by_role[IMAGE].numpy(), volumes[IMAGE], strict=True):
        assert relative_error(found, resized(channel.astype(float), trace.target.shape, axis, 3)) < 2e-6


def test_each_voxel_has_the_class_that_is_highest_there(case):
    volumes, done, trace, axis = case
    label = volumes[LABEL][0]
    shares = np.stack([resized((label == value) * 1.0, trace.target.shape, axis, 1) for value in (-1, 0, 3, 7)])
    chosen = np.searchsorted([-1, 0, 3, 7], done.by_role[LABEL][0].numpy())
    np.testing.assert_allclose(np.take_along_axis(shares, chosen[None], 0)[0], shares.max(axis=0), atol=1e-12)


def test_predictions_go_back_linearly_and_by_the_nearest_slice(case):
    _, _, trace, axis = case
    there = np.random.default_rng(1).random((2, *trace.target.shape)).astype(np.float32)
    back, _ = backward(trace, torch.from_numpy(there))
    for found, channel in zip(back.numpy(), there, strict=True):
        assert relative_error(found, resized(channel.astype(float), trace.source.shape, axis, 1)) < 2e-6


def test_an_image_goes_back_by_its_own_order():
    grid = Grid((6, 8, 8), affine_of((2.0, 1.0, 1.0)))
    _, trace = forward([HalfPixelResampling(target=(1.5, 0.8, 1.3))], Volumes({IMAGE: torch.ones(1, 6, 8, 8)}), grid)
    there = np.random.default_rng(1).random(trace.target.shape).astype(np.float32)
    back, _ = backward(trace, torch.from_numpy(there)[None], IMAGE)
    expected = resize(there.astype(float), grid.shape, 3, mode="edge", clip=False, anti_aliasing=False)
    assert relative_error(back[0].numpy(), expected) < 2e-6


def test_which_axis_is_separate_on_the_way_back_is_decided_by_the_target_first():
    grid = Grid((6, 8, 8), affine_of((4.0, 1.0, 1.0)))
    step = HalfPixelResampling(target=(1.0, 4.0, 1.0), separate="auto")
    image = np.random.default_rng(1).random(grid.shape).astype(np.float32)
    done, trace = forward([step], Volumes({IMAGE: torch.from_numpy(image)[None]}), grid)
    params = trace.params("half_pixel_resampling")
    assert params["separate"] == [0, 1]
    expected = resize(image[0].astype(float), (2, 8), 3, mode="edge", clip=False, anti_aliasing=False)
    assert relative_error(done.by_role[IMAGE][0, 0].numpy(), expected) < 2e-6
    assert step.plan_back(LABEL, grid, params, linear=True).orders == (1, 0, 1)


def test_the_ratio_from_which_an_axis_is_separate_can_be_set():
    grid = Grid((6, 8, 8), affine_of((2.5, 1.0, 1.0)))
    step = HalfPixelResampling(target=(1.0, 1.0, 1.0), separate="auto", threshold=2.0)
    assert step.plan(Volumes({}), grid)["separate"] == [0, 0]


def test_sizes_are_rounded_without_a_tolerance():
    step = HalfPixelResampling(target=(2.0, 1.0, 1.0))
    assert step.grid(Grid((11, 4, 4), affine_of((0.999999, 1.0, 1.0)))).shape == (5, 4, 4)


def test_without_the_key_all_axes_have_one_order():
    grid = Grid((6, 8, 8), affine_of((9.0, 1.0, 1.0)))
    image = torch.rand(1, *grid.shape)
    step = HalfPixelResampling(target=(3.0, 2.0, 2.0), order=1)
    done, trace = forward([step], Volumes({IMAGE: image}), grid)
    expected = resize(image[0].double().numpy(), trace.target.shape, 1, mode="edge", anti_aliasing=False)
    assert relative_error(done.by_role[IMAGE][0].numpy(), expected) < 2e-6


def test_a_label_goes_by_the_nearest_voxel_unless_a_vote_is_asked_for():
    grid = Grid((2, 2, 2), affine_of((1.0, 1.0, 1.0)))
    label = torch.arange(8).reshape(1, 2, 2, 2) + 0.5
    done, _ = forward([HalfPixelResampling(target=(0.5, 1.0, 1.0))], Volumes({LABEL: label}), grid)
    assert torch.equal(done.by_role[LABEL], label.repeat_interleave(2, dim=1))


def test_a_mask_goes_by_the_nearest_voxel_where_labels_vote():
    grid = Grid((2, 2, 2), affine_of((1.0, 1.0, 1.0)))
    mask = torch.tensor([True, False]).reshape(1, 2, 1, 1).expand(1, 2, 2, 2)
    step = HalfPixelResampling(target=(0.5, 1.0, 1.0), label="linear")
    done, _ = forward([step], Volumes({FOREGROUND: mask}), grid)
    assert torch.equal(done.by_role[FOREGROUND], mask.repeat_interleave(2, dim=1))


def test_floats_that_are_no_classes_are_refused_and_those_that_nearly_are_become_them():
    grid = Grid((2, 2, 2), affine_of((1.0, 1.0, 1.0)))
    step, label = HalfPixelResampling(target=(0.5, 1.0, 1.0), label="linear"), torch.zeros(1, 2, 2, 2)
    label[0, 0, 0] = torch.tensor([2.0004, 1.9996])
    done, _ = forward([step], Volumes({LABEL: label}), grid)
    assert done.by_role[LABEL].unique().tolist() == [0, 2]
    with pytest.raises(LabelError, match=r"seg\.mha: label value 2\.(5005|4995) is not an integer"):
        forward([step], Volumes({LABEL: label * 1.25}, {LABEL: "seg.mha"}), grid)


def test_a_vote_decides_as_many_voxels_at_once_as_its_memory_is_told_for():
    assert half_pixel_resampling.VOXELS_AT_ONCE == vote.VOXELS_AT_ONCE


def test_the_memory_of_a_vote_is_told(monkeypatch):
    for module in (half_pixel_resampling, vote):
        monkeypatch.setattr(module, "VOXELS_AT_ONCE", 1 << 10)
    grid = Grid((27, 27, 27), affine_of((1.0, 1.0, 1.0)))
    label = torch.from_numpy(np.random.default_rng(1).integers(0, 9, (1, *grid.shape), np.int8))
    step = HalfPixelResampling(target=(0.9, 0.9, 0.9), label="linear")
    params = step.plan(Volumes({LABEL: label}), grid)
    step.apply(label, LABEL, grid, params)  # what is loaded at first does not count
    tracemalloc.start()
    step.apply(label, LABEL, grid, params)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.5 * step.working_bytes(grid) < taken < 1.2 * step.working_bytes(grid)
    assert HalfPixelResampling(target=(0.9, 0.9, 0.9)).working_bytes(grid) == 0
