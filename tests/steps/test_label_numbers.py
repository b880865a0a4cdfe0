"""Labels get the numbers of the map, on the scan's own grid."""

from __future__ import annotations

import pytest
import torch

from monai_mriprep.errors import LabelError
from monai_mriprep.steps import Volumes, backward, forward
from monai_mriprep.steps.label_numbers import LabelNumbers
from monai_mriprep.types import IMAGE, LABEL, PREDICTION, Role
from tests.steps.cases import GRIDS, volumes_on

GRID = GRIDS["straight"]


def test_only_labels_are_renumbered_and_every_one():
    volumes = volumes_on(GRID)
    other = Role("zones", "", "label")
    both = volumes.replaced({**volumes.by_role, other: volumes.by_role[LABEL].flip(3)})
    done, _ = forward([LabelNumbers(new={2: 5, 3: 0})], both, GRID)
    label = volumes.by_role[LABEL]
    expected = label.clone()
    expected[label == 2], expected[label == 3] = 5, 0
    assert torch.equal(done.by_role[LABEL], expected)
    assert torch.equal(done.by_role[other], expected.flip(3))
    assert done.by_role[IMAGE] is volumes.by_role[IMAGE]


def test_a_prediction_keeps_the_new_numbers():
    done, trace = forward([LabelNumbers(new={2: 5, 3: 0})], volumes_on(GRID), GRID)
    assert backward(trace, done.by_role[LABEL], PREDICTION)[0] is done.by_role[LABEL]


def test_a_merge_that_is_not_named_names_the_file():
    volumes = Volumes(volumes_on(GRID).by_role, {LABEL: "seg.mha"})
    with pytest.raises(LabelError, match=r"^seg\.mha: label 1 occurs, .* 1 is the new number of 2"):
        forward([LabelNumbers(new={2: 1})], volumes, GRID)
