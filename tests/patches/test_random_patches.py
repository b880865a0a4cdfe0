"""Which patches are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from monai_mriprep.errors import ResamplingError
from monai_mriprep.patches.random_patches import RandomPatches
from monai_mriprep.volume.class_index import ClassIndex
from monai_mriprep.volume.geometry import Grid

GRID = Grid((9, 4, 7), np.diag([2.0, 3.0, 4.0, 1.0]))
COARSER = Grid((6, 4, 7), np.diag([3.0, 3.0, 4.0, 1.0]))
FINER = Grid((18, 4, 7), np.diag([1.0, 3.0, 4.0, 1.0]))
CLASSES = ClassIndex(GRID.shape, {1: 1}, {1: np.array([np.ravel_multi_index((4, 1, 6), GRID.shape)])})


def test_every_place_has_the_same_chance():
    random, patches = np.random.RandomState(0), RandomPatches((3, 4, 6))
    starts = [patches.draw(random, GRID, None, GRID).start for _ in range(700)]
    values, counts = np.unique(starts, axis=0, return_counts=True)
    assert values.tolist() == [[z, 0, x] for z in range(7) for x in range(2)]
    assert counts == pytest.approx(np.full(14, 50), abs=25)


def test_a_class_is_in_the_middle_as_far_as_the_patch_lies_inside():
    random, patches = np.random.RandomState(0), RandomPatches((3, 2, 3), ratios=(0, 1))
    assert patches.draw(random, GRID, CLASSES, GRID).start == (3, 0, 4)
    assert patches.draw(random, FINER, CLASSES, GRID).start == (7, 0, 4)
    assert patches.draw(random, COARSER, CLASSES, GRID).start == (2, 0, 4)


def test_scale_and_flips():
    random, patches = np.random.RandomState(0), RandomPatches((3, 4, 6), scale=(0.8, 1.4), flip_prob=0.3)
    drawn = [patches.draw(random, GRID, None, GRID) for _ in range(500)]
    scales = [one.scale for one in drawn]
    assert (min(scales), np.mean(scales), max(scales)) == pytest.approx((0.8, 1.1, 1.4), abs=0.02)
    assert [np.mean([axis in one.flip for one in drawn]) for axis in range(3)] == pytest.approx([0.3] * 3, abs=0.07)
    assert RandomPatches((3, 4, 6)).draw(random, GRID, None, GRID)[1:] == (1.0, ())


@pytest.mark.parametrize(
    "settings",
    [
        {"size": (3, 0, 6)},
        {"ratios": (1, -1)},
        {"ratios": (0, 0)},
        {"scale": (1.2, 0.8)},
        {"scale": (0, 1)},
        {"scale": 1.2},
        {"flip_prob": 2},
    ],
    ids=str,
)
def test_what_cannot_be_drawn_is_refused(settings):
    with pytest.raises(ResamplingError, match="not"):
        RandomPatches(**{"size": (3, 4, 6), **settings})
