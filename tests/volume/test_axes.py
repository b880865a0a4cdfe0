"""Axes in any order and sense, against numpy's own transposition."""

from __future__ import annotations

from itertools import permutations, product

import nibabel
import numpy as np
import pytest
import torch

from monai_mriprep.errors import ResamplingError
from monai_mriprep.volume.axes import Turn, axis_codes, turn_onto, turn_to_codes
from monai_mriprep.volume.geometry import Grid
from tests.oracles import affine_of, rotation

TURNS = [Turn(o, r) for o in permutations(range(3)) for r in product([False, True], repeat=3)]
GRID = Grid((2, 3, 4), affine_of((3.0, 1.1, 0.9), 12, (40, -50, 60)))


def world(grid: Grid) -> np.ndarray:
    """Where every voxel lies, shape (3, D, H, W)."""
    indices = np.moveaxis(np.indices(grid.shape), 0, -1)
    return np.moveaxis(indices @ grid.affine[:3, :3].T + grid.origin, -1, 0)


@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_every_voxel_stays_where_it_was(turn):
    places = torch.from_numpy(world(GRID))
    turned = turn.grid(GRID)
    np.testing.assert_allclose(turn.array(places), world(turned), atol=1e-12)
    assert turn_onto(GRID.affine, turned.affine) == turn
    assert turn_onto(turned.affine, GRID.affine) == turn.back
    assert torch.equal(turn.back.array(turn.array(places)), places)
    np.testing.assert_allclose(turn.back.grid(turned).affine, GRID.affine, atol=1e-12)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "uint32", "uint64", "float16", "float64"])
def test_volumes_of_every_type(dtype):
    volume = np.arange(48).reshape(2, *GRID.shape).astype(dtype)
    turned = Turn((2, 0, 1), (True, False, True)).array(torch.from_numpy(volume))
    np.testing.assert_array_equal(turned.numpy(), volume.transpose(0, 3, 1, 2)[:, ::-1, :, ::-1])
    assert turned.numpy().dtype == dtype


def test_nothing_to_do_copies_nothing():
    volume = torch.zeros(1, *GRID.shape)
    assert Turn().array(volume) is volume
    assert Turn().grid(GRID) is GRID


@pytest.mark.parametrize("degrees", [2, 45, 88])
def test_a_rotation_is_no_turn(degrees):
    rotated = GRID.affine.copy()
    rotated[:3, :3] = rotation(degrees) @ rotated[:3, :3]
    with pytest.raises(ResamplingError, match="in whatever order"):
        turn_onto(rotated, GRID.affine)


def test_noise_of_headers_is_no_rotation():
    noise = np.random.default_rng(0).uniform(-2e-6, 2e-6, (4, 4))
    assert turn_onto(GRID.affine + noise, GRID.affine) == Turn()


def test_a_part_lies_where_it_did():
    part = GRID.part((0, 1, 1), (2, 3, 2))
    assert part.shape == (2, 2, 1)
    np.testing.assert_allclose(world(part), world(GRID)[:, 0:2, 1:3, 1:2], atol=1e-12)
    assert GRID.part((0, 0, 0), GRID.shape) is GRID


def assert_as_nibabel(grid: Grid) -> None:
    codes = axis_codes(grid)
    assert codes == "".join(nibabel.aff2axcodes(grid.affine)[::-1])
    assert turn_to_codes(grid, codes).is_identity
    turned = turn_to_codes(grid, "PIR").grid(grid)
    assert axis_codes(turned) == "PIR"


@pytest.mark.parametrize("turn", TURNS, ids=str)
@pytest.mark.parametrize("angle", [0, 12, 45, 50])
def test_codes_are_nibabels(turn, angle):
    assert_as_nibabel(turn.grid(Grid((2, 3, 4), affine_of((3.0, 1.1, 0.9), angle, (40, -50, 60)))))


def test_codes_of_any_direction_are_nibabels():
    rng = np.random.default_rng(0)
    for _ in range(300):
        directions, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        affine = np.eye(4)
        affine[:3, :3] = directions * rng.uniform(0.5, 6, 3)
        assert_as_nibabel(Grid((2, 3, 4), affine))
