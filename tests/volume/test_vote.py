"""The vote of neighbours, against a mask for each class, resized by scikit-image, and the rule for ties in words."""

import numpy as np
import pytest
import skimage.transform
import torch

from monai_mriprep.errors import ResamplingError
from monai_mriprep.volume.geometry import Grid, target_grid
from monai_mriprep.volume.resample import plan_half_pixel, plan_resampling
from monai_mriprep.volume.vote import resample_by_vote


def resized(array: np.ndarray, shape: tuple[int, ...], order: int) -> np.ndarray:
    return skimage.transform.resize(array.astype(float), shape, order, mode="edge", clip=True, anti_aliasing=False)


def voted(label: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Largest mask; of equals the nearest voxel's class if it is among them, else the smallest."""
    classes = np.unique(label)
    scores = np.stack([resized(label == one, shape, 1) for one in classes])
    best = scores.max(axis=0)
    winners = classes[scores.argmax(axis=0)]
    nearest = resized(label, shape, 0)
    tied = (scores == best) & (classes[:, None, None, None][..., : scores.ndim] == nearest)
    return np.where(tied.any(axis=0), nearest, winners)


def random_label(seed: int, shape: tuple[int, ...], classes: int = 3) -> np.ndarray:
    """Half of them of scattered voxels, half of blobs."""
    rng = np.random.default_rng(seed)
    if seed % 2:
        return rng.integers(-1, classes, shape)
    coarse = rng.integers(-1, classes, [-(-n // 3) for n in shape])
    return coarse.repeat(3, 0).repeat(3, 1).repeat(3, 2)[: shape[0], : shape[1], : shape[2]]


SHAPES = [
    ((6, 7, 8), (12, 14, 16)),  # ties at every boundary
    ((8, 8, 8), (4, 4, 4)),
    ((5, 9, 7), (7, 5, 11)),
    ((6, 6, 6), (6, 9, 3)),
    ((5, 2, 9), (7, 15, 6)),  # far beyond an edge, where weights add up to nearly 1
    ((6, 4, 6), (15, 11, 12)),  # where the last bit of a weight decides
]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("before", "after"), SHAPES)
def test_equals_a_mask_for_each_class(before, after, seed):
    label = random_label(seed, before, 2 + seed)
    result = resample_by_vote(torch.from_numpy(label)[None], plan_half_pixel(before, after, 1))[0].numpy()
    assert result.dtype == label.dtype
    assert np.array_equal(result, voted(label, after))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(("before", "after"), SHAPES)
def test_slices_vote_alone_where_an_axis_is_separate(before, after, axis):
    label = random_label(axis, before)
    within = tuple(n for a, n in enumerate(after) if a != axis)
    slices = np.stack([voted(one[None], (1, *within))[0] for one in np.moveaxis(label, axis, 0)])
    step = before[axis] / after[axis]
    picks = np.floor((step * (np.arange(after[axis]) + 0.5) - 0.5).clip(0, before[axis] - 1) + 0.5).astype(int)
    expected = np.moveaxis(slices[picks], 0, axis)
    plan = plan_half_pixel(before, after, 1, separate=axis)
    assert np.array_equal(resample_by_vote(torch.from_numpy(label)[None], plan)[0].numpy(), expected)


def test_where_three_classes_meet_a_losing_nearest_voxel_does_not_decide():
    label = np.array([3, 1, 1, 1, 2, 2, 2, 3]).reshape(2, 2, 2)
    result = resample_by_vote(torch.from_numpy(label)[None], plan_half_pixel((2, 2, 2), (1, 1, 1), 1))
    assert result.item() == 1  # 1 and 2 have 3/8 each, 3 has 2/8


def test_numbers_that_float32_holds_stay_exact_and_nothing_is_written_to():
    label = torch.tensor([0, 16777216, 0, 16777216], dtype=torch.int32).reshape(1, 1, 1, 4)
    before = label.clone()
    result = resample_by_vote(label, plan_half_pixel((1, 1, 4), (1, 1, 8), 1))
    assert set(result.flatten().tolist()) == {0, 16777216}
    assert torch.equal(label, before)


def test_several_parts_are_joined(monkeypatch):
    label = torch.from_numpy(random_label(1, (5, 5, 5)))[None]
    plan = plan_half_pixel((5, 5, 5), (7, 7, 7), 1)
    whole = resample_by_vote(label, plan)
    monkeypatch.setattr("monai_mriprep.volume.vote.VOXELS_AT_ONCE", 7)
    assert torch.equal(resample_by_vote(label, plan), whole)


def test_other_grids_vote_too():
    """Not only half-pixel plans: the first voxel centres may coincide."""
    label = random_label(4, (6, 6, 6))
    source = Grid((6, 6, 6), np.eye(4))
    plan = plan_resampling(source, target_grid(source, (0.5, 0.5, 0.5)), 1)
    result = resample_by_vote(torch.from_numpy(label)[None], plan)[0].numpy()
    assert np.array_equal(result[::2, ::2, ::2], label)


def test_nothing_to_do_is_the_label_itself():
    label = torch.zeros(1, 2, 3, 4)
    assert resample_by_vote(label, plan_half_pixel((2, 3, 4), (2, 3, 4), 1)) is label


@pytest.mark.parametrize(("shape", "order"), [((2, 3, 5), 1), ((2, 3, 4), 3)])
def test_refuses_another_shape_or_order(shape, order):
    with pytest.raises(ResamplingError, match="a vote needs"):
        resample_by_vote(torch.zeros(1, *shape), plan_half_pixel((2, 3, 4), (4, 4, 4), order))
