"""What is left of a label there and back: against scipy's masks, against `restore`'s own way, and lesions by hand."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from monai_mriprep.errors import LabelError
from monai_mriprep.steps.base import Volumes
from monai_mriprep.steps.half_pixel_resampling import HalfPixelResampling
from monai_mriprep.steps.resampling import Resampling
from monai_mriprep.types import LABEL, LABEL_MAX, PREDICTION
from monai_mriprep.volume import round_trip
from monai_mriprep.volume.geometry import Grid, target_grid
from monai_mriprep.volume.resample import plan_half_pixel, plan_resampling
from monai_mriprep.volume.round_trip import MANY_CLASSES, kept, structures_of

TOUCHING = np.ones((3, 3, 3))


def blobs(seed: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Ellipsoids of classes 0, 7, 14 and 21, and single voxels of them."""
    rng = np.random.default_rng(seed)
    label = np.where(rng.random(shape) < 0.004, rng.integers(0, 4, shape), 0)
    places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    for number in (1, 2, 3, 1):
        distance = (places - rng.uniform(0, shape)) / rng.uniform(1.5, 6, 3)
        label[(distance**2).sum(axis=-1) < 1] = number
    return (label * 7).astype(np.int16)


def grid_of(label: np.ndarray, spacing=(2.0, 1.0, 0.7)) -> Grid:
    return Grid(label.shape, np.diag([*spacing, 1.0]))


def dice(one: np.ndarray, other: np.ndarray, number: int) -> float:
    both = np.count_nonzero((one == number) & (other == number))
    return 2 * both / (np.count_nonzero(one == number) + np.count_nonzero(other == number))


def taken(volume: np.ndarray, before: Grid, after: Grid, order: int, output: type) -> np.ndarray:
    """By scipy, from the places that the affines tell."""
    to_before = np.linalg.inv(before.affine) @ after.affine
    steps, start = np.diag(to_before)[:3], to_before[:3, 3]
    return ndimage.affine_transform(volume, steps, start, after.shape, output, order=order, mode="nearest")


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("slab", [64, 1 << 20])
def test_equals_a_mask_for_each_class_by_scipy(seed, slab, monkeypatch):
    monkeypatch.setattr(round_trip, "SLAB_VOXELS", slab)
    label = blobs(seed, (17, 23, 26))
    grid = grid_of(label)
    other = target_grid(grid, (2.3, 1.37, 0.55 if seed % 2 else 1.21))
    there = taken(label, grid, other, 0, np.int16)
    numbers = np.unique(label)
    masks = [taken((there == number).astype(float), other, grid, 1, np.float32) for number in numbers]
    restored = numbers[np.argmax(masks, axis=0)]
    structures = structures_of(label)
    found = kept(structures, plan_resampling(grid, other, 0), plan_resampling(other, grid, 1))
    assert structures.numbers == tuple(numbers[1:].tolist())
    assert found.dice == pytest.approx([dice(label, restored, number) for number in numbers[1:]], abs=1e-9)


STEPS = {
    "monai": Resampling(target=(3.1, 0.9, 1.3)),
    "nnunet": Resampling(target=(1.3, 1.7, 0.6), rule="nnunet"),
    "itk": Resampling(target=(3.1, 1.7, 1.3), rule="itk", boundary="mirror"),
    "separate": HalfPixelResampling(target=(6.5, 1.7, 0.6), separate="auto"),
    "vote": HalfPixelResampling(target=(3.1, 1.7, 1.3), label="linear"),
    "nothing": Resampling(target=(2.0, 1.0, 0.7)),
}


@pytest.mark.parametrize("name", STEPS)
def test_is_the_way_of_the_steps(name):
    """`Step.apply`, and `restore`'s way of scores, on whole volumes."""
    step, label = STEPS[name], blobs(3, (15, 22, 25))
    grid, volume = grid_of(label), torch.from_numpy(label)[None]
    params = step.plan(Volumes({LABEL: volume}), grid)
    there = step.apply(volume, LABEL, grid, params)
    numbers = np.unique(label)
    scores = torch.cat([(there == number).float() for number in numbers])
    restored = numbers[step.invert_to_classes(scores, grid, params)[0].numpy()]
    found = kept(
        structures_of(label),
        step.plan_there(LABEL, grid, params),
        step.plan_back(PREDICTION, grid, params, linear=True),
    )
    assert found.dice == pytest.approx([dice(label, restored, number) for number in numbers[1:]], abs=1e-9)
    assert name != "nothing" or found.dice.tolist() == [1, 1, 1]


@pytest.mark.parametrize("seed", range(3))
def test_a_lesion_is_lost_where_no_voxel_of_its_class_is_left_there(seed):
    label = blobs(seed, (17, 23, 26))
    grid = grid_of(label)
    other = target_grid(grid, (4.0, 2.6, 1.6))
    structures = structures_of(label)
    found = kept(structures, plan_resampling(grid, other, 0), plan_resampling(other, grid, 1))
    expected = []
    for number in structures.numbers:
        parts, count = ndimage.label(label == number, TOUCHING)
        there = taken(parts, grid, other, 0, np.int32)
        expected += [part in there for part in range(1, count + 1)]
        assert count == np.count_nonzero(np.array(structures.numbers)[structures.rank_of_lesion[1:] - 1] == number)
    assert found.lesions[1:].tolist() == expected
    assert 0 < sum(expected) < len(expected)
    assert structures.voxels_of_lesion.sum() == np.count_nonzero(label) == structures.voxels.sum()


def test_a_lesion_that_is_outvoted_is_lost():
    label = np.zeros((1, 1, 8), np.int8)
    label[0, 0, 2] = 1
    structures = structures_of(label)
    back = plan_half_pixel((1, 1, 4), (1, 1, 8), 1)
    by_vote = kept(structures, plan_half_pixel((1, 1, 8), (1, 1, 4), 1), back)
    assert not by_vote.lesions[1]  # it has half of a voxel there, and the other half is the nearest
    assert by_vote.dice.tolist() == [0]


@pytest.mark.parametrize("y", [0, 1])
@pytest.mark.parametrize("x", [2, 3])
def test_a_lesion_that_has_the_nearest_voxel_alone_is_outvoted(y, x):
    label = np.zeros((1, 2, 8), np.int8)
    label[0, y, x] = 1
    large, small = (1, 2, 8), (1, 1, 4)
    found = kept(structures_of(label), plan_half_pixel(large, small, 1), plan_half_pixel(small, large, 1))
    assert not found.lesions[1]


def test_slices_that_come_back_far_from_the_box_are_counted(monkeypatch):
    monkeypatch.setattr(round_trip, "SLAB_VOXELS", 1)
    label = np.zeros((17, 1, 1), np.int8)
    label[8:10] = 1
    grid = Grid(label.shape, np.eye(4))
    affine = np.diag([6.0, 1.0, 1.0, 1.0])
    affine[0, 3] = 2  # at 2 8 14, so 6 to 10 come back
    other = Grid((3, 1, 1), affine)
    found = kept(structures_of(label), plan_resampling(grid, other, 0), plan_resampling(other, grid, 1))
    assert found.dice == pytest.approx([4 / 7])


def test_outside_of_the_volume_there_is_background():
    label = np.ones((1, 1, 6), np.int8)
    label[..., 3:] = 2
    grid = Grid(label.shape, np.eye(4))
    other = Grid(
        (1, 1, 4), np.diag([1.0, 1.0, 3.0, 1.0])
    )  # at 0 3 6 9: of the last two 6 is within half a voxel of none
    there = plan_resampling(grid, other, 0, zero_outside=True)
    found = kept(structures_of(label), there, plan_resampling(other, grid, 1))
    restored = np.array([1, 1, 2, 2, 2, 0])  # 1 2 0 0 at 0 3 6 9
    assert found.dice.tolist() == [dice(label.ravel(), restored, number) for number in (1, 2)]


def test_what_never_comes_to_the_other_grid_is_lost():
    label = np.zeros((1, 1, 9), np.int16)
    label[0, 0, 1] = 300
    grid = Grid(label.shape, np.eye(4))
    other = Grid((1, 1, 3), np.diag([1.0, 1.0, 4.0, 1.0]))
    found = kept(structures_of(label), plan_resampling(grid, other, 0), plan_resampling(other, grid, 1))
    assert found.dice.tolist() == [0]
    assert not found.lesions[1]


def test_of_equals_the_lower_number_wins_as_in_restore():
    label = np.array([1, 1, 1, 0, 0, 2, 2, 2, 1], np.int8).reshape(1, 1, 9)
    grid = Grid(label.shape, np.eye(4))
    other = target_grid(grid, (1.0, 1.0, 2.0))  # picks 1 1 0 2 1 at 0 2 4 6 8
    found = kept(structures_of(label), plan_resampling(grid, other, 0), plan_resampling(other, grid, 1))
    restored = np.array([1, 1, 1, 0, 0, 0, 2, 1, 1])
    assert found.dice.tolist() == [dice(label.ravel(), restored, number) for number in (1, 2)]


def test_more_classes_than_are_looked_at_one_by_one_are_refused():
    assert len(structures_of(np.arange(MANY_CLASSES + 1).reshape(1, 1, -1)).numbers) == MANY_CLASSES
    with pytest.raises(LabelError, match="scan: holds 256 classes, as an image does"):
        structures_of(np.arange(MANY_CLASSES + 2).reshape(1, 1, -1), "scan")


def test_there_are_no_structures_in_background():
    assert structures_of(np.zeros((3, 4, 5), np.int16)) is None


def test_the_largest_number_is_a_class():
    assert structures_of(np.array([[[0, LABEL_MAX]]], np.int16)).numbers == (LABEL_MAX,)
