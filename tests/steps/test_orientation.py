"""Axes as nibabel and MONAI turn them, for every orientation that there is, and back."""

from __future__ import annotations

from itertools import permutations, product

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data.meta_tensor import MetaTensor
from monai.transforms.spatial.array import Orientation as MonaiOrientation
from pydantic import ValidationError

from monai_mriprep.steps import Volumes, backward, forward
from monai_mriprep.steps.orientation import Orientation
from monai_mriprep.types import IMAGE, PREDICTION
from monai_mriprep.volume.geometry import Grid, reverse_axes
from tests.oracles import SCANS, affine_of, read, rotation
from tests.steps.cases import GRIDS

ENDS = ("RL", "AP", "SI")
CODES = ["".join(ends) for axes in permutations(ENDS) for ends in product(*axes)]


def numbered(grid: Grid) -> torch.Tensor:
    """No two voxels alike."""
    return torch.arange(np.prod(grid.shape), dtype=torch.int32).reshape(1, *grid.shape)


def turned(grid: Grid, codes: str) -> tuple[torch.Tensor, Grid]:
    volumes, trace = forward([Orientation(codes=codes)], Volumes({IMAGE: numbered(grid)}), grid)
    back, place = backward(trace, volumes.by_role[IMAGE])
    assert torch.equal(back, numbered(grid))
    assert place == grid
    return volumes.by_role[IMAGE], trace.target


def by_nibabel(grid: Grid, codes: str) -> tuple[np.ndarray, np.ndarray]:
    """In z y x, as ours."""
    image = nibabel.Nifti1Image(numbered(grid)[0].numpy().T, reverse_axes(grid.affine))
    wanted = nibabel.orientations.axcodes2ornt(codes)
    way = nibabel.orientations.ornt_transform(nibabel.io_orientation(image.affine), wanted)
    image = image.as_reoriented(way)
    return np.asarray(image.dataobj).T, reverse_axes(image.affine)


def by_monai(grid: Grid, codes: str) -> tuple[np.ndarray, np.ndarray]:
    xyz = numbered(grid).permute(0, 3, 2, 1)
    result = MonaiOrientation(axcodes=codes, labels=None)(MetaTensor(xyz, reverse_axes(grid.affine)))
    return result.as_tensor()[0].numpy().T, reverse_axes(result.affine.numpy())


@pytest.mark.parametrize("codes", CODES)
@pytest.mark.parametrize("name", GRIDS)
def test_as_nibabel_and_monai(name, codes):
    found, grid = turned(GRIDS[name], codes)
    for array, affine in (by_nibabel(GRIDS[name], codes), by_monai(GRIDS[name], codes)):
        assert np.array_equal(found[0].numpy(), array)
        np.testing.assert_allclose(grid.affine, affine, atol=1e-10)
    assert "".join(nibabel.aff2axcodes(reverse_axes(grid.affine))) == codes


@given(
    degrees=st.floats(-180, 180),
    spacing=st.tuples(*[st.floats(0.4, 6)] * 3),
    order=st.permutations(range(3)),
    signs=st.tuples(*[st.sampled_from([-1, 1])] * 3),
    codes=st.sampled_from(CODES),
)
def test_as_nibabel_however_oblique(degrees, spacing, order, signs, codes):
    affine = affine_of(spacing)
    affine[:3, :3] = rotation(degrees)[:, order] * signs * spacing
    grid = Grid((2, 3, 4), affine)
    found, where = turned(grid, codes)
    array, expected = by_nibabel(grid, codes)
    assert np.array_equal(found[0].numpy(), array)
    np.testing.assert_allclose(where.affine, expected, atol=1e-9)


@pytest.mark.parametrize("scan", SCANS)
def test_every_scan_as_nibabel_turns_it_and_back(scans, scan):
    array, affine = read(scans / scan)
    grid = Grid(array.shape, affine)
    for codes in ("RAS", "PIL"):
        found, where = turned(grid, codes)
        expected, place = by_nibabel(grid, codes)
        assert np.array_equal(found[0].numpy(), expected)
        np.testing.assert_allclose(where.affine, place, atol=1e-9)


def test_what_is_there_already_is_left_alone():
    grid = Grid((2, 3, 4), reverse_axes(np.diag([1.0, 2, 3, 1])))
    assert Orientation(codes="RAS").grid(grid) is grid


@pytest.mark.parametrize("codes", ["ras", "RAX", "RLS", "RA", "RASS", "", None, 3])
def test_what_is_no_orientation_is_refused(codes):
    with pytest.raises(ValidationError):
        Orientation(codes=codes)


def test_the_way_back_is_for_what_lies_on_the_turned_grid():
    step, grid = Orientation(codes="LSA"), GRIDS["oblique"]
    there = step.apply(numbered(grid), PREDICTION, grid, {})
    assert tuple(there.shape[1:]) == step.grid(grid).shape != grid.shape
    assert there.is_contiguous()
    assert step.invert(there, PREDICTION, grid, {}).is_contiguous()
