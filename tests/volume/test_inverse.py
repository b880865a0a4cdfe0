"""What was cropped or padded goes back as the whole does, with zeros for what is gone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from monai_mriprep.errors import ResamplingError
from monai_mriprep.volume.geometry import Grid, target_grid
from monai_mriprep.volume.inverse import resample_back
from monai_mriprep.volume.resample import apply_plan, plan_resampling
from tests.oracles import affine_of

SOURCE = Grid((9, 24, 22), affine_of((3.0, 1.1, 0.9), 12, (40, -50, 60)))
WHOLE = target_grid(SOURCE, (1.3, 0.8, 1.0))
ORDERS = pytest.mark.parametrize("order", [0, 1, 3])


def values(grid: Grid, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).integers(1, 200, (2, *grid.shape))).to(dtype)


def back_from_whole(volume: torch.Tensor, order: int = 0) -> torch.Tensor:
    return apply_plan(volume, plan_resampling(WHOLE, SOURCE, order))


@ORDERS
def test_the_whole_keeps_its_bits(order):
    volume = values(WHOLE)
    noisy = Grid(WHOLE.shape, WHOLE.affine + 1e-12)
    for grid in (WHOLE, noisy):
        assert torch.equal(resample_back(volume, grid, WHOLE, SOURCE, order), back_from_whole(volume, order))


@ORDERS
def test_a_margin_is_left_out(order):
    """Whatever a network made of the padding."""
    volume, margin = values(WHOLE), (3, 5, 0)
    padded = torch.nn.functional.pad(volume, (0, 2, 5, 1, 3, 4), value=7e3)
    affine = WHOLE.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ margin
    found = resample_back(padded, Grid(padded.shape[1:], affine), WHOLE, SOURCE, order)
    assert torch.equal(found, back_from_whole(volume, order))


@given(st.data())
def test_a_part_by_nearest_neighbour_is_the_whole_with_zeros_outside(data):
    ends = [sorted(data.draw(st.lists(st.integers(0, n), min_size=2, max_size=2, unique=True))) for n in WHOLE.shape]
    (k, d), (j, h), (i, w) = ends
    volume = values(WHOLE, torch.uint8)
    part = WHOLE.part((k, j, i), (d, h, w))
    zeros = torch.zeros_like(volume)
    zeros[:, k:d, j:h, i:w] = volume[:, k:d, j:h, i:w]
    found = resample_back(volume[:, k:d, j:h, i:w], part, WHOLE, SOURCE)
    assert found.dtype == torch.uint8
    assert torch.equal(found, back_from_whole(zeros))


@pytest.mark.parametrize("order", [1, 3])
def test_a_part_by_spline_is_the_whole_inside_and_zero_outside(order):
    low, high = np.array((6, 9, 4)), np.array((18, 33, 19))  # the last slices reach the end, where the edge is repeated
    high[0] = WHOLE.shape[0]
    z, y, x = (slice(a, b) for a, b in zip(low, high, strict=True))
    volume = values(WHOLE)
    found = resample_back(volume[:, z, y, x], WHOLE.part(low, high), WHOLE, SOURCE, order)
    expected = back_from_whole(volume, order)
    indices = np.moveaxis(np.indices(SOURCE.shape), 0, -1) * np.divide(SOURCE.spacing, WHOLE.spacing)
    reach = 0.5 if order == 1 else 5  # what the new edge does to a cubic spline shrinks by 0.268 a voxel
    deep = ((indices >= low + reach) & (indices <= np.where(high == WHOLE.shape, 99, high - 1 - reach))).all(axis=-1)
    gone = ((indices < low - 0.51) | ((indices > high - 0.49) & (high < WHOLE.shape))).any(axis=-1)
    assert min(deep.sum(), gone.sum()) > 10
    np.testing.assert_allclose(found[:, deep], expected[:, deep], atol=1e-4 if order == 1 else 1)
    assert float(found[:, gone].abs().max()) == 0
    assert bool((found[:, ~gone] != 0).all())


def test_another_spacing_goes_back_from_where_it_is():
    """A prediction at half the resolution, of a function that is linear in the world: exact by order 1."""
    half = target_grid(WHOLE, (2.6, 1.6, 2.0))
    z, y, x = np.indices(half.shape) * np.array(half.spacing)[:, None, None, None]
    volume = torch.from_numpy(2 * z - y + 3 * x).float()[None]
    found = resample_back(volume, half, WHOLE, SOURCE, 1)
    z, y, x = np.indices(SOURCE.shape) * np.array(SOURCE.spacing)[:, None, None, None]
    inside = tuple(
        slice(0, int((n - 1) * s / t)) for n, s, t in zip(half.shape, half.spacing, SOURCE.spacing, strict=True)
    )
    np.testing.assert_allclose(found[0][inside], (2 * z - y + 3 * x)[inside], atol=1e-4)


def test_nothing_in_common_is_an_error():
    far = Grid((4, 4, 4), WHOLE.affine @ np.array([[1, 0, 0, 99], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))
    with pytest.raises(ResamplingError, match="no voxel of the grid"):
        resample_back(values(far), far, WHOLE, SOURCE)
