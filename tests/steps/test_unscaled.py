"""The image keeps its units."""

from __future__ import annotations

import pytest
import torch

from monai_mriprep.steps import backward, forward
from monai_mriprep.steps.unscaled import Unscaled
from monai_mriprep.types import IMAGE
from tests.steps.cases import GRIDS, volumes_on

GRID = GRIDS["straight"]


@pytest.mark.parametrize("dtype", [torch.int16, torch.float32, torch.float64])
def test_there_and_back(dtype):
    image = volumes_on(GRID, dtype, channels=2)
    done, trace = forward([Unscaled()], image, GRID)
    assert torch.equal(done.by_role[IMAGE], image.by_role[IMAGE].float())
    assert torch.equal(backward(trace, done.by_role[IMAGE], IMAGE)[0], done.by_role[IMAGE])
