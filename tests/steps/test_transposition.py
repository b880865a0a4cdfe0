"""The axes in another order."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_mriprep.steps import Volumes, backward, forward
from monai_mriprep.steps.transposition import Transposition
from monai_mriprep.types import IMAGE, LABEL
from tests.steps.cases import GRIDS, centres, volumes_on

ORDERS = [(0, 1, 2), (1, 0, 2), (2, 0, 1), (2, 1, 0)]


@pytest.mark.parametrize("order", ORDERS)
def test_it_is_numpys_transpose_and_a_view(order):
    volumes, grid = volumes_on(GRIDS["oblique"]), GRIDS["oblique"]
    done, trace = forward([Transposition(order=order)], volumes, grid)
    image = volumes.by_role[IMAGE].numpy()
    assert np.array_equal(done.by_role[IMAGE].numpy(), image.transpose(0, *(axis + 1 for axis in order)))
    assert np.shares_memory(done.by_role[IMAGE].numpy(), image)
    np.testing.assert_allclose(
        centres(trace.target), centres(grid).transpose(0, *(axis + 1 for axis in order)), atol=1e-9
    )


@pytest.mark.parametrize("order", ORDERS)
def test_the_way_back_is_the_volume(order):
    volumes, grid = volumes_on(GRIDS["straight"]), GRIDS["straight"]
    done, trace = forward([Transposition(order=order)], Volumes({LABEL: volumes.by_role[LABEL]}), grid)
    back, place = backward(trace, done.by_role[LABEL], LABEL)
    assert torch.equal(back, volumes.by_role[LABEL])
    assert back.is_contiguous()
    assert place == grid
