"""What candidates keep of the labels of a dataset, against masks resampled by scipy; and datasets that are strange."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from monai_mriprep.advice import advise as advise_module
from monai_mriprep.advice.advise import advise
from monai_mriprep.advice.case import BYTES_PER_VOXEL
from monai_mriprep.advice.model import Advice
from monai_mriprep.errors import DatasetError
from monai_mriprep.recipe import Recipe
from monai_mriprep.run.check import check_dataset
from monai_mriprep.run.plan import plan_run
from monai_mriprep.steps import Step, register_step
from monai_mriprep.volume.axes import Turn
from tests.advice.datasets import SPACING, blobs, labels_of, plain_dice, write_blobs, write_pair


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return write_blobs(tmp_path_factory.mktemp("advice") / "dataset")


@pytest.fixture(scope="module")
def advice(dataset) -> Advice:
    return advise(dataset, workers=2)


def mean_dice(root: Path, target) -> dict[int, float]:
    """Of each class over the cases that have it, by scipy."""
    found = defaultdict(list)
    for label, spacing in labels_of(root):
        for number, value in plain_dice(label, spacing, target).items():
            found[number].append(value)
    return {number: float(np.mean(values)) for number, values in sorted(found.items())}


def test_dice_is_that_of_masks_by_scipy(dataset, advice):
    assert len(advice.candidates) == 20
    for candidate in advice.candidates:
        assert candidate.dice == pytest.approx(mean_dice(dataset, candidate.spacing), abs=1e-9), candidate.spacing
        assert candidate.mean_dice == pytest.approx(np.mean([*candidate.dice.values()]))
    assert {number: one.cases for number, one in advice.labels.items()} == {1: 3, 2: 2}


@pytest.mark.stress
@pytest.mark.parametrize("name", ["mixed", "anisotropic"])
def test_dice_of_real_scans_is_that_of_masks_by_scipy(shared_data, name):
    candidates = sorted(advise(shared_data / name).candidates, key=lambda one: not one.default)
    for candidate in candidates[:4]:
        assert candidate.dice == pytest.approx(mean_dice(shared_data / name, candidate.spacing), abs=1e-3)


def test_the_default_is_the_target_of_a_run_and_voxels_are_its(dataset, advice, tmp_path):
    plan = plan_run(dataset, tmp_path / "out")
    assert advice.default.spacing == advice.target_spacing == plan.job.target
    assert advice.default.cost.voxels == sum(case.output_voxels for case in plan.cases)
    needs, cost = check_dataset(dataset, workers=2).needs, advice.default.cost
    assert (cost.output_bytes, cost.memory_bytes) == (needs.output_bytes, needs.memory_bytes)
    assert cost.seconds == pytest.approx(needs.seconds, abs=0.05)
    assert advice.default.voxels == 1
    finest, coarsest = advice.candidates[0], advice.candidates[-1]
    assert finest.voxels > 2 > 0.3 > coarsest.voxels
    assert finest.cost.output_bytes > coarsest.cost.output_bytes
    assert finest.mean_dice > coarsest.mean_dice


def test_lost_lesions_are_counted_with_their_volumes(advice):
    voxel = math.prod(SPACING)
    assert advice.labels[1].smallest_mm3 == pytest.approx(voxel)
    coarsest = advice.candidates[-1]
    assert 0 < coarsest.lost[1].lesions <= advice.labels[1].lesions
    assert coarsest.lost[1].smallest_mm3 == pytest.approx(voxel)
    assert coarsest.lost[1].largest_mm3 >= coarsest.lost[1].smallest_mm3
    assert coarsest.lost[2].lesions == 0
    assert coarsest.lost[2].smallest_mm3 is None
    assert coarsest.worst[1].dice <= coarsest.dice[1]
    assert coarsest.worst[1].case in ("case_0", "case_1", "case_2")


def test_the_number_of_threads_changes_nothing(dataset):
    one, several = (advise(dataset, spacings=3, workers=count) for count in (0, 3))
    assert [(c.dice, c.lost, c.worst) for c in one.candidates] == [
        (c.dice, c.lost, c.worst) for c in several.candidates
    ]


def test_a_case_under_way_gives_up_where_nobody_waits_for_it(dataset, monkeypatch):
    given_up = []

    def stopped(work, pairs, threads, ended):
        ended.set()
        given_up.extend(map(work, pairs))
        raise KeyboardInterrupt

    monkeypatch.setattr(advise_module, "mapped_in_window", stopped)
    with pytest.raises(KeyboardInterrupt):
        advise(dataset)
    assert [one.left for one in given_up] == [()] * 3


def test_each_case_is_told(dataset):
    told = []
    advise(dataset, spacings=1, observe=lambda *event: told.append((event[0].case, event[0].error, *event[1:])))
    assert told == [("case_0", None, 1, 3), ("case_1", None, 2, 3), ("case_2", None, 3, 3)]


def test_numbers_with_gaps_and_a_label_map(tmp_path):
    label = blobs(1, numbers=(7, 300, 21))
    write_pair(tmp_path / "gaps", "a", label)
    write_pair(tmp_path / "merged", "a", np.isin(label, (7, 300)).astype(np.int16))
    assert list(advise(tmp_path / "gaps", spacings=2).labels) == [7, 21, 300]
    mapped = advise(tmp_path / "gaps", Recipe(label_map={7: 1, 300: 1, 21: 0}), spacings=2)
    assert list(mapped.labels) == [1]
    assert [one.dice for one in mapped.candidates] == [
        one.dice for one in advise(tmp_path / "merged", spacings=2).candidates
    ]


def test_a_label_map_makes_small_numbers_of_large_ones(tmp_path):
    write_pair(tmp_path, "a", blobs(1, numbers=(1,)).astype(np.uint16) * np.uint16(65_535))
    assert list(advise(tmp_path, Recipe(label_map={65_535: 1}), spacings=1).labels) == [1]


def test_an_orientation_turns_labels_and_spacings(tmp_path):
    """A scan whose file has y as its slowest axis: under RAS it is the scan that was stored as z y x."""
    label = blobs(2)
    write_pair(tmp_path / "straight", "a", label, Direction=(-1, 0, 0, 0, -1, 0, 0, 0, 1))
    turned = np.ascontiguousarray(label.transpose(1, 0, 2))
    spacing = tuple(SPACING[axis] for axis in (1, 0, 2))
    write_pair(tmp_path / "turned", "a", turned, spacing, Direction=(-1, 0, 0, 0, 0, -1, 0, 1, 0))
    recipe = Recipe(orientation="RAS", target_spacing=(4.0, 1.3, 1.3))
    one, other = (advise(tmp_path / name, recipe, spacings=6) for name in ("straight", "turned"))
    assert [(c.spacing, c.dice, c.shape) for c in one.candidates] == [
        (c.spacing, c.dice, c.shape) for c in other.candidates
    ]


@pytest.mark.parametrize("preset", ["nnunet", "panther2025"])
def test_presets_are_compared_by_their_own_grids(dataset, tmp_path, preset):
    recipe = Recipe(preset=preset)
    advice = advise(dataset, recipe, spacings=7)
    assert advice.target_spacing == plan_run(dataset, tmp_path / "out", recipe).job.target
    assert all(0 < one.mean_dice <= 1 for one in advice.candidates)
    assert len({one.mean_dice for one in advice.candidates}) > 4


def test_sizes_are_in_z_y_x_whatever_the_order_of_the_axes_in_a_run(tmp_path):
    label = np.ascontiguousarray(blobs(1).transpose(1, 2, 0))
    write_pair(tmp_path, "a", label, (0.9, 1.0, 3.0))  # nnU-Net's own order begins with the coarsest axis
    recipe = Recipe(preset="nnunet", target_spacing=(0.9, 1.0, 3.0))
    assert advise(tmp_path, recipe, spacings=1).default.shape == label.shape


def test_a_case_that_cannot_be_read_is_named_and_the_others_are_compared(tmp_path):
    root = write_blobs(tmp_path)
    broken = root / "LabelsTr" / "case_1.nii.gz"
    broken.write_bytes(broken.read_bytes()[:-30])
    told = []
    advice = advise(root, spacings=3, observe=lambda result, *_: told.append(result.status))
    assert told == ["done", "failed", "done"]
    (failed,) = advice.failed
    assert (failed.case, advice.cases) == ("case_1", 2)
    assert str(broken) in failed.problem
    broken.write_bytes(b"no volume")
    assert "case_1.nii.gz" in advise(root, spacings=3).failed[0].problem


def test_labels_that_a_run_would_refuse_are_refused(tmp_path):
    root = write_blobs(tmp_path, 2)
    write_pair(root, "halves", np.full((4, 5, 6), 0.5, np.float32))
    write_pair(root, "large", np.full((4, 5, 6), 40_000, np.uint16))
    write_pair(root, "larger", np.full((4, 5, 6), 2**63 + 2**62, np.uint64))
    write_pair(root, "intensities", np.random.default_rng(0).integers(0, 30_000, (4, 30, 30)).astype(np.int16))
    problems = {one.case: one.problem for one in advise(root, spacings=1).failed}
    assert "label value 0.5 is not an integer" in problems["halves"]
    assert "label value 40000 is over 32767" in problems["large"]
    assert "the value 13835058055282163712 is over that of a 64-bit signed integer" in problems["larger"]
    assert "classes, as an image does; at most 255 are compared" in problems["intensities"]


def test_a_label_on_another_grid_is_refused_or_put_onto_that_of_its_image(tmp_path):
    root = write_blobs(tmp_path / "dataset", 2)
    write_pair(tmp_path / "other", "case_0", blobs(0), (3.0, 1.2, 0.9))
    (tmp_path / "other" / "LabelsTr" / "case_0.nii.gz").replace(root / "LabelsTr" / "case_0.nii.gz")
    (failed,) = advise(root, spacings=2).failed
    assert "image and label differ in spacing" in failed.problem
    assert advise(root, Recipe(geometry="resample_label"), spacings=2).cases == 2


def test_channels_on_other_grids_are_refused_as_in_a_run(tmp_path):
    write_pair(tmp_path, "a", blobs(0))
    write_pair(tmp_path / "other", "a", blobs(0), (3.0, 1.2, 0.9))
    images = tmp_path / "ImagesTr"
    (images / "a.nii.gz").rename(images / "a_t1.nii.gz")
    (tmp_path / "other/ImagesTr/a.nii.gz").rename(images / "a_t2.nii.gz")
    with pytest.raises(DatasetError, match="channel 0 and channel 1 differ in spacing"):
        advise(tmp_path, Recipe(channels=["t1", "t2"]), spacings=2)
    assert advise(tmp_path, Recipe(channels=["t1", "t2"], geometry="resample"), spacings=2).cases == 1


def test_as_many_cases_at_once_as_the_memory_holds(tmp_path, monkeypatch):
    root, threads = write_blobs(tmp_path, 2), []
    write_pair(root, "large", blobs(0, (36, 22, 25)))
    needed = (2 * 2 + BYTES_PER_VOXEL) * 9 * 22 * 25

    def mapped(work, pairs, count, ended):
        threads.append(count)
        return map(work, pairs)

    monkeypatch.setattr(advise_module, "mapped_in_window", mapped)
    for memory in (needed, 3 * needed, 9 * needed):
        monkeypatch.setattr(advise_module, "available_memory", lambda memory=memory: memory)
        failed = advise(root, spacings=1, workers=4).failed
        assert [one.case for one in failed] == ["large"] * (memory < 4 * needed)
        assert all("does not fit into the memory" in one.problem for one in failed)
    assert threads == [1, 3, 2]


def test_a_case_for_which_the_memory_does_not_suffice_is_named(dataset, monkeypatch):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr("monai_mriprep.volume.round_trip.kept", fail)
    with pytest.raises(DatasetError, match=r"case_0\.nii\.gz: does not fit into the memory"):
        advise(dataset, spacings=1)


def test_cases_without_a_class_count_for_the_voxels_alone(tmp_path):
    root = write_blobs(tmp_path, 2)
    write_pair(root, "nothing", np.zeros((9, 20, 20), np.int16))
    write_pair(root, "below", np.full((9, 20, 20), -1, np.int16))
    advice = advise(root, spacings=3)
    assert advice.empty == ("below", "nothing")
    assert advice.cases == 4
    assert advice.labels[1].cases == 2


def test_one_slice_and_one_voxel(tmp_path):
    write_pair(tmp_path, "slice", blobs(3, (1, 30, 30), (5,)), (8.0, 1.0, 1.0))
    write_pair(tmp_path, "voxel", np.full((1, 1, 1), 5, np.uint8), (8.0, 1.0, 1.0))
    advice = advise(tmp_path, spacings=9)
    assert advice.cases == 2
    assert advice.default.dice == {5: 1}


def test_without_labels_it_says_that_it_needs_some(tmp_path):
    root = write_blobs(tmp_path)
    for path in (root / "LabelsTr").iterdir():
        path.unlink()
    with pytest.raises(DatasetError, match="no image has a label"):
        advise(root)
    (root / "LabelsTr").rmdir()
    with pytest.raises(DatasetError, match="has no folder LabelsTr"):
        advise(root)
    (root / "ImagesTr").rename(root / "imagesTs")
    with pytest.raises(DatasetError, match="holds images without labels"):
        advise(root)


def test_where_nothing_can_be_compared_it_says_why(tmp_path):
    write_pair(tmp_path / "background", "a", np.zeros((3, 4, 5), np.int16))
    with pytest.raises(DatasetError, match="hold no class"):
        advise(tmp_path / "background")
    write_pair(tmp_path / "broken", "a", np.full((3, 4, 5), 0.5, np.float32))
    with pytest.raises(DatasetError, match=r"not one of 1 case can be compared; the first: .*0\.5 is not an integer"):
        advise(tmp_path / "broken")


def test_excluded_cases_are_left_out(tmp_path):
    root = write_blobs(tmp_path / "dataset")
    (tmp_path / "exclude.txt").write_text("case_1\n", encoding="utf-8")
    assert advise(root, spacings=2, exclude=tmp_path / "exclude.txt").cases == 2


@register_step
class Upside(Step):
    """A step from outside, which turns the volumes and does not look at the image."""

    name = "advice_upside"
    follows = "orientation"

    def grid(self, grid, params=None):
        return Turn(reverse=(True, False, False)).grid(grid)

    def apply(self, volume, role, grid, params):
        return Turn(reverse=(True, False, False)).array(volume)


@register_step
class Broken(Step):
    """A step from outside that has a fault."""

    name = "advice_broken"

    def apply(self, volume, role, grid, params):
        raise ZeroDivisionError


def test_steps_from_outside_take_part(tmp_path):
    root = write_blobs(tmp_path, 1)
    recipe = Recipe(steps=[{"step": "advice_upside"}], target_spacing=(4.0, 1.1, 1.1))
    advice = advise(root, recipe, spacings=2)
    ((label, spacing),) = labels_of(root)
    for candidate in advice.candidates:
        assert candidate.dice == pytest.approx(plain_dice(label[::-1], spacing, candidate.spacing), abs=1e-9)
    with pytest.raises(DatasetError, match="unexpected ZeroDivisionError"):
        advise(root, Recipe(steps=[{"step": "advice_broken"}]))
