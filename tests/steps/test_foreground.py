"""The mask of the foreground."""

from __future__ import annotations

import torch

from monai_mriprep.steps import Volumes, forward
from monai_mriprep.steps.foreground import ForegroundMask
from monai_mriprep.types import FOREGROUND, IMAGE, LABEL
from tests.steps.cases import GRIDS, volumes_on

GRID = GRIDS["straight"]


def test_the_mask_marks_what_is_not_zero_in_each_channel():
    image = torch.zeros(2, *GRID.shape)
    image[0, 1, 2, 3], image[1, 4, 5, 6] = -1.0, 1e-20
    volumes, trace = forward([ForegroundMask()], Volumes({IMAGE: image}), GRID)
    mask = volumes.by_role[FOREGROUND]
    assert mask.dtype == torch.bool
    assert mask.nonzero().tolist() == [[0, 1, 2, 3], [1, 4, 5, 6]]
    assert trace.target == GRID


def test_the_image_stays_first_and_nothing_else_changes():
    before = volumes_on(GRID)
    after, _ = forward([ForegroundMask()], before.replaced({IMAGE: before.by_role[IMAGE]}), GRID)
    assert list(after.by_role) == [IMAGE, FOREGROUND]
    assert after.by_role[IMAGE] is before.by_role[IMAGE]


def test_a_label_that_comes_alone_has_no_mask():
    label = torch.ones(1, *GRID.shape, dtype=torch.int8)
    after, _ = forward([ForegroundMask()], Volumes({LABEL: label}), GRID)
    assert list(after.by_role) == [LABEL]
