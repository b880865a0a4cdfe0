"""What was cropped, padded or turned goes back as the whole does, with zeros for what is gone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from monai_mriprep.errors import ResamplingError
from monai_mriprep.steps import AppliedStep, Trace, backward
from monai_mriprep.steps.resampling import Resampling
from monai_mriprep.types import LABEL, PREDICTION
from monai_mriprep.volume.axes import Turn
from monai_mriprep.volume.fit import fit_onto
from monai_mriprep.volume.geometry import Grid, target_grid
from tests.oracles import affine_of, nearest, plan, spline, way_back

SPACING, TARGET = (3.0, 1.1, 0.9), (1.3, 0.8, 1.0)
SOURCE = Grid((9, 24, 22), affine_of(SPACING, 12, (40, -50, 60)))
WHOLE = target_grid(SOURCE, TARGET)
TRACE = Trace(SOURCE, (AppliedStep(Resampling(target=TARGET), {"grid": WHOLE.to_json()}, SOURCE),))
AXES = way_back(plan(SOURCE.shape, SOURCE.affine, TARGET))
ROLES = pytest.mark.parametrize("role", [LABEL, PREDICTION], ids=lambda role: role.name)


def values(grid: Grid, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).integers(1, 200, (2, *grid.shape))).to(dtype)


def by_scipy(volume: torch.Tensor, linear: bool) -> np.ndarray:
    """The whole on the source grid."""
    return np.stack([spline(one, AXES, 1) if linear else nearest(one, AXES) for one in volume.numpy()])


@ROLES
def test_the_whole_wherever_its_header_has_noise(role):
    volume = values(WHOLE)
    expected = by_scipy(volume, role is PREDICTION)
    for grid in (None, WHOLE, Grid(WHOLE.shape, WHOLE.affine + 1e-12)):
        found, where = backward(TRACE, volume, role, grid)
        assert where == SOURCE
        np.testing.assert_allclose(found, expected, atol=1e-4)
        assert torch.equal(found, backward(TRACE, volume, role)[0])


@ROLES
def test_a_margin_is_left_out(role):
    """Whatever a network made of the padding."""
    volume, margin = values(WHOLE), (3, 5, 0)
    padded = torch.nn.functional.pad(volume, (0, 2, 5, 1, 3, 4), value=7e3)
    affine = WHOLE.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ margin
    found, _ = backward(TRACE, padded, role, Grid(padded.shape[1:], affine))
    np.testing.assert_allclose(found, by_scipy(volume, role is PREDICTION), atol=1e-4)


@ROLES
def test_turned_axes_are_turned_back(role):
    volume, turn = values(WHOLE), Turn((2, 0, 1), (True, False, True))
    found, _ = backward(TRACE, turn.array(volume), role, turn.grid(WHOLE))
    np.testing.assert_allclose(found, by_scipy(volume, role is PREDICTION), atol=1e-4)


@given(st.data())
def test_a_part_by_nearest_neighbour_is_the_whole_with_zeros_outside(data):
    ends = [sorted(data.draw(st.lists(st.integers(0, n), min_size=2, max_size=2, unique=True))) for n in WHOLE.shape]
    (k, d), (j, h), (i, w) = ends
    volume = values(WHOLE, torch.uint8)
    part = WHOLE.part((k, j, i), (d, h, w))
    zeros = torch.zeros_like(volume)
    zeros[:, k:d, j:h, i:w] = volume[:, k:d, j:h, i:w]
    found, _ = backward(TRACE, volume[:, k:d, j:h, i:w], grid=part)
    assert found.dtype == torch.uint8
    assert np.array_equal(found, by_scipy(zeros, linear=False))


def test_a_part_linearly_is_the_whole_inside_and_zero_outside():
    low, high = np.array((6, 9, 4)), np.array((18, 33, 19))  # the last slices reach the end, where the edge is repeated
    high[0] = WHOLE.shape[0]
    z, y, x = (slice(a, b) for a, b in zip(low, high, strict=True))
    volume = values(WHOLE)
    found, _ = backward(TRACE, volume[:, z, y, x], grid=WHOLE.part(low, high))
    expected = by_scipy(volume, linear=True)
    indices = np.moveaxis(np.indices(SOURCE.shape), 0, -1) * np.divide(SOURCE.spacing, WHOLE.spacing)
    deep = ((indices >= low) & (indices <= np.where(high == WHOLE.shape, 99, high - 1))).all(axis=-1)
    gone = ((indices < low - 0.51) | ((indices > high - 0.49) & (high < WHOLE.shape))).any(axis=-1)
    assert min(deep.sum(), gone.sum()) > 10
    np.testing.assert_allclose(found[:, deep], expected[:, deep], atol=1e-4)
    assert float(found[:, gone].abs().max()) == 0
    assert bool((found[:, ~gone] != 0).all())


def test_another_spacing_goes_back_from_where_it_is():
    """A prediction at half the resolution, of a function that is linear in the world."""
    half = target_grid(WHOLE, (2.6, 1.6, 2.0))
    z, y, x = np.indices(half.shape) * np.array(half.spacing)[:, None, None, None]
    found, _ = backward(TRACE, torch.from_numpy(2 * z - y + 3 * x).float()[None], grid=half)
    z, y, x = np.indices(SOURCE.shape) * np.array(SOURCE.spacing)[:, None, None, None]
    inside = tuple(
        slice(0, int((n - 1) * s / t)) for n, s, t in zip(half.shape, half.spacing, SOURCE.spacing, strict=True)
    )
    np.testing.assert_allclose(found[0][inside], (2 * z - y + 3 * x)[inside], atol=1e-4)


def test_class_numbers_at_another_spacing_are_never_mixed():
    half = target_grid(WHOLE, (2.6, 1.6, 2.0))
    classes = values(half, torch.int16) % 2 * 100
    found, _ = backward(TRACE, classes, PREDICTION, half)
    assert found.unique().tolist() == [0, 100]
    assert torch.equal(found, backward(TRACE, classes.float(), LABEL, half)[0])


@pytest.mark.parametrize(("shift", "share"), [(5e-5, 0.0), (0.05, 0.05)], ids=["noise of a header", "moved"])
def test_only_what_lies_elsewhere_is_interpolated(shift, share):
    volume, affine = values(WHOLE), WHOLE.affine.copy()
    affine[:3, 3] += shift * affine[:3, 0]
    fitted, _ = fit_onto(volume, Grid(WHOLE.shape, affine), WHOLE, 1)
    before = torch.cat([volume[:, :1], volume[:, :-1]], dim=1)
    np.testing.assert_allclose(fitted, (1 - share) * volume + share * before, rtol=0, atol=1e-4 if share else 0)


def test_of_a_shifted_part_as_large_as_the_whole_the_edge_is_repeated():
    """Cropped on one side and padded on the other: it has the whole's shape, and does not lie where that lies."""
    volume, affine = values(WHOLE), WHOLE.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ (-2, 0, 1)
    fitted, _ = fit_onto(volume, Grid(WHOLE.shape, affine), WHOLE)
    z, _, x = map(np.arange, WHOLE.shape)
    expected = volume.numpy()[:, np.minimum(z + 2, z[-1])][..., np.maximum(x - 1, 0)]
    assert np.array_equal(fitted, expected)


@pytest.mark.parametrize("order", [0, 1])
def test_of_a_part_at_another_spacing_what_lies_beyond_its_faces_is_not_there(order):
    half = target_grid(WHOLE, (2.6, 1.6, 2.0))
    low, high = np.array((3, 4, 2)), np.array((7, 11, 9))
    fitted, present = fit_onto(torch.ones(1, *(high - low)), half.part(low, high), WHOLE, order)
    centres = np.moveaxis(np.indices(WHOLE.shape), 0, -1) * np.divide(WHOLE.spacing, half.spacing)
    assert np.array_equal(present[0], ((centres >= low - 0.5 - 1e-4) & (centres < high - 0.5 - 1e-4)).all(axis=-1))
    assert bool((fitted == 1).all())


def test_what_is_not_there_is_told_apart_from_what_is_0():
    volume = torch.zeros(1, *WHOLE.shape)
    whole, nothing_missing = fit_onto(volume, WHOLE, WHOLE)
    assert whole is volume
    assert nothing_missing is None
    _, present = fit_onto(volume[:, 2:, :-1], WHOLE.part((2, 0, 0), np.subtract(WHOLE.shape, (0, 1, 0))), WHOLE)
    expected = np.zeros((1, *WHOLE.shape), bool)
    expected[:, 2:, :-1] = True
    assert np.array_equal(present, expected)


def test_nothing_in_common_is_an_error():
    far = Grid((4, 4, 4), WHOLE.affine @ np.array([[1, 0, 0, 99], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))
    with pytest.raises(ResamplingError, match="no voxel of the grid"):
        backward(TRACE, values(far), grid=far)
