"""Grids: sizes, spacing, centres; header noise; when two grids are the same."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_mriprep.errors import GeometryError
from monai_mriprep.volume.axes import Turn
from monai_mriprep.volume.geometry import Grid, reverse_axes, round_size, same_grid_problem, target_grid
from monai_mriprep.volume.resample import plan_resampling
from tests.oracles import SCANS, affine_of, new_affine, plan, read

SPACINGS = st.tuples(*[st.floats(0.2, 8)] * 3)
SHAPES = st.tuples(*[st.integers(1, 400)] * 3)
RULES = st.sampled_from(["monai", "nnunet", "itk"])
NOISE = 1e-7


def noisy(affine: np.ndarray, seed: int) -> np.ndarray:
    """Every direction cosine off by up to 1e-7 (even seeds), or every spacing by a share of up to 1e-7 (odd)."""
    rng = np.random.default_rng(seed)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    result = affine.copy()
    if seed % 2:
        result[:3, :3] *= 1 + rng.uniform(-NOISE, NOISE, 3)
    else:
        result[:3, :3] += rng.uniform(-NOISE, NOISE, (3, 3)) * spacing
    return result


def farthest(one: Grid, other: Grid) -> float:
    """Largest distance in mm between voxels of equal index; it is reached in a corner."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in one.shape])).reshape(3, -1)
    moved = (one.affine - other.affine) @ np.vstack([corners, np.ones(8)])
    return float(np.linalg.norm(moved[:3], axis=0).max())


# --- Sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        *((12.5, 12), (13.5, 14), (13.5 - 9e-5, 14), (12.5 + 9e-5, 12), (12.5 + 2e-4, 13), (13.5 - 2e-4, 13)),
        *((12.4, 12), (7.0, 7), (0.2, 1), (0.5, 1), (1.5, 2)),
    ],
)
def test_size_rounds_half_to_even(size, expected):
    assert round_size(size) == expected


@given(SHAPES, SPACINGS, SPACINGS, RULES, st.floats(0, 40))
def test_target_grid_equals_the_oracle(shape, spacing, target, rule, degrees):
    affine = affine_of(spacing, degrees, (5, -60, 31))
    axes = plan(shape, affine, target, rule)
    grid = target_grid(Grid(shape, affine), target, rule)
    assert grid.shape == tuple(axis.n_out for axis in axes)
    np.testing.assert_allclose(grid.affine, new_affine(affine, axes), atol=1e-9)


@given(SHAPES, SPACINGS, SPACINGS)
def test_monai_rule_keeps_the_first_centre_and_the_exact_spacing(shape, spacing, target):
    source = Grid(shape, affine_of(spacing, 10, (1, 2, 3)))
    grid = target_grid(source, target)
    assert np.array_equal(grid.origin, source.origin)
    expected = [s if abs(s - t) < min(1e-3, 1e-3 * s) else t for s, t in zip(source.spacing, target, strict=True)]
    np.testing.assert_allclose(grid.spacing, expected, rtol=1e-14)


@given(SHAPES, SPACINGS, SPACINGS)
def test_nnunet_rule_keeps_the_extent(shape, spacing, target):
    source = Grid(shape, affine_of(spacing, 10, (1, 2, 3)))
    grid = target_grid(source, target, "nnunet")
    for corner in (lambda shape: [-0.5] * 3, lambda shape: [n - 0.5 for n in shape]):
        outer = source.affine @ [*corner(source.shape), 1]
        np.testing.assert_allclose(grid.affine @ [*corner(grid.shape), 1], outer, atol=1e-9)


@given(SHAPES, SPACINGS, SPACINGS, RULES)
def test_the_way_back_returns_the_shape(shape, spacing, target, rule):
    source = Grid(shape, affine_of(spacing, 20))
    grid = target_grid(source, target, rule)
    there, back = plan_resampling(source, grid), plan_resampling(grid, source)
    assert (back.shape_in, back.shape_out) == (there.shape_out, there.shape_in) == (grid.shape, source.shape)
    for one, other in zip(there.axes, back.axes, strict=True):
        np.testing.assert_allclose(other.start + other.step * one.positions, np.arange(one.n_out), atol=1e-8)


@pytest.mark.parametrize("rule", ["monai", "nnunet"])
@pytest.mark.parametrize("offset", [0.0, 9e-4, -9e-4])
def test_an_axis_near_its_target_is_left_as_it_is(rule, offset):
    source = Grid((9, 30, 40), affine_of((3.0, 1.0 + offset, 0.8), 25, (50, 60, -70)))
    grid = target_grid(source, (1.5, 1.0, 0.8), rule)
    assert grid.shape[1:] == (30, 40)
    assert np.array_equal(grid.affine[:3, 1:3], source.affine[:3, 1:3])
    assert [axis.step for axis in plan_resampling(source, grid).axes[1:]] == [1, 1]
    assert grid.shape[0] != 9


def test_the_itk_rule_keeps_the_first_centre_and_takes_the_target_as_it_is():
    source = Grid((11, 30, 40), affine_of((3.0, 1.0 + 9e-4, 0.8), 25, (50, 60, -70)))
    grid = target_grid(source, (3.0, 1.0, 0.6), "itk")
    assert grid.shape == (11, 30, 53)
    assert np.array_equal(grid.origin, source.origin)
    np.testing.assert_allclose(grid.spacing, (3.0, 1.0, 0.6), rtol=1e-14)
    z, y, _ = plan_resampling(source, grid).axes
    assert (z.is_identity, y.is_identity) == (True, False)


@pytest.mark.parametrize(("spacing", "expected"), [(7.5, 82), (7.5000024, 83), (7.4999976, 82)])
def test_the_itk_rule_rounds_plainly(spacing, expected):
    """82.5 voxels of 1 mm, and what a header's seventh digit makes of it; half to even, as Python rounds."""
    assert expected == round(11 * spacing)
    grid = target_grid(Grid((11, 4, 4), affine_of((spacing, 1, 1), 40)), (1, 1, 1), "itk")
    assert grid.shape == (expected, 4, 4)


@pytest.mark.parametrize(("spacing", "target"), [(1.0011, 1.0), (0.3, 0.30031), (0.003, 0.003004), (0.0008, 0.0011)])
def test_an_axis_a_little_farther_from_its_target_is_resampled(spacing, target):
    grid = target_grid(Grid((9, 30, 40), np.diag([3.0, spacing, 0.8, 1])), (3, target, 0.8))
    assert grid.spacing[1] == pytest.approx(target, rel=1e-12)


@pytest.mark.parametrize(("spacing", "target"), [(0.3, 0.30029), (0.003, 0.003002), (300.0, 300.0009)])
def test_a_tolerance_is_a_share_of_the_voxel(spacing, target):
    source = Grid((9, 30, 40), np.diag([3.0, spacing, 0.8, 1]))
    assert target_grid(source, (3, target, 0.8)) == source


@pytest.mark.parametrize("rule", ["monai", "nnunet"])
def test_a_scan_in_metres_gets_the_grid_of_the_same_scan_in_millimetres(rule):
    def scan(unit):
        return target_grid(Grid((22, 80, 90), affine_of((3.3 * unit, 0.9 * unit, 0.9 * unit), 15)), target(unit), rule)

    def target(unit):
        return (2.2 * unit, 0.6 * unit, 0.9 * unit)

    assert scan(1e-3).shape == scan(1).shape
    np.testing.assert_allclose(scan(1e-3).affine[:3], scan(1).affine[:3] * 1e-3, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("target", [(1.0, 1.0, 1.0), (2.98, 0.664062, 0.664062), None])
@pytest.mark.parametrize("scan", SCANS)
def test_no_axis_of_a_real_scan_is_decided_otherwise_than_by_the_millimetre(scans, scan, target):
    array, affine = read(scans / scan)
    source = Grid(array.shape, affine)
    target = target or tuple(round(s, 5) for s in source.spacing)
    left = [bool(column) for column in (target_grid(source, target).affine == source.affine)[:3, :3].all(axis=0)]
    assert left == [abs(s - t) < 1e-3 for s, t in zip(source.spacing, target, strict=True)]


# --- Header noise -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["monai", "nnunet"])
@pytest.mark.parametrize("target", [(1.0, 1.0, 1.0), (2.98, 0.664062, 0.664062), (0.7, 1.3, 1.9)])
@pytest.mark.parametrize("scan", SCANS)
def test_noise_in_a_real_header_changes_nothing(scans, scan, target, rule):
    array, affine = read(scans / scan)
    clean = target_grid(Grid(array.shape, affine), target, rule)
    for seed in range(8):
        changed = target_grid(Grid(array.shape, noisy(affine, seed)), target, rule)
        assert changed.shape == clean.shape
        assert farthest(changed, clean) < 1e-4


HALVES = [(n, k) for n in (2, 5, 22, 101, 320) for k in (1, 6, 7, 12, 13, 250)]


@pytest.mark.parametrize("rule", ["monai", "nnunet"])
@pytest.mark.parametrize(("n", "k"), HALVES)
def test_noise_at_an_exact_half_changes_no_shape(n, k, rule):
    """``k + 0.5`` voxels, on all three axes of an oblique grid."""
    target = 1.3
    spacing = target * ((k - 0.5) / (n - 1) if rule == "monai" else (k + 0.5) / n)
    affine = affine_of((spacing,) * 3, 17)
    even = k if k % 2 == 0 else k + 1
    for seed in range(10):
        grid = target_grid(Grid((n,) * 3, noisy(affine, seed)), (target,) * 3, rule)
        assert grid.shape == (even,) * 3


# --- Grids as values --------------------------------------------------------------------------------------------------


# --- nnU-Net's own sizes ----------------------------------------------------------------------------------------------

DECIMALS = st.integers(20, 80000).map(lambda number: number / 10000)


@given(spacing=st.tuples(*[DECIMALS] * 3), degrees=st.floats(-180, 180), is_float32=st.booleans())
def test_the_spacing_that_a_header_states_survives_an_oblique_direction(spacing, degrees, is_float32):
    stated = tuple(float(np.float32(s)) if is_float32 else s for s in spacing)
    assert Grid((2, 3, 4), affine_of(stated, degrees)).stated_spacing == stated


@pytest.mark.parametrize("spacing", [(6.499999999999998, 0.7812499999999999, 0.7812499999999999), (0.1 + 0.2, 1, 1)])
def test_noise_that_a_header_states_is_left_where_axes_are_those_of_the_world(spacing):
    grid = Grid((2, 3, 4), affine_of(spacing)[:, [0, 2, 1, 3]])
    assert grid.stated_spacing == tuple(spacing[axis] for axis in (0, 2, 1))


def test_the_spacing_that_a_header_states_beside_its_affine_counts_where_it_is_that_of_the_affine():
    rounded = affine_of((3.0, 0.5, 0.25), 17).astype(np.float32)
    grid = Grid((20, 30, 40), rounded, (3.0, 0.5, 0.25))
    assert grid.spacing != grid.stated_spacing == (3.0, 0.5, 0.25)
    assert grid.part((1, 2, 3), (5, 6, 7)).stated_spacing == (3.0, 0.5, 0.25)
    assert Turn((2, 0, 1)).grid(grid).stated_spacing == (0.25, 3.0, 0.5)
    assert pickle.loads(pickle.dumps(grid)).stated_spacing == (3.0, 0.5, 0.25)
    assert grid == Grid(grid.shape, grid.affine)
    assert Grid(grid.shape, rounded, (0.25, 0.5, 3.0)).stated_spacing == Grid(grid.shape, rounded).stated_spacing


@pytest.mark.parametrize("degrees", [0, 17.3, 61])
@pytest.mark.parametrize(("spacing", "target"), [(0.3, 0.2), (0.8, 1.6), (0.9, 0.6), (3.3, 2.2), (1.125, 0.75)])
def test_exact_sizes_are_those_of_the_quotient_rounded_plainly_oblique_or_not(spacing, target, degrees):
    for n in range(1, 60):
        grid = Grid((n, n, n), affine_of((spacing,) * 3, degrees))
        expected = max(1, round(spacing / target * n))
        assert target_grid(grid, (target,) * 3, "nnunet_exact").shape == (expected,) * 3


def test_the_exact_grid_keeps_the_extent_and_leaves_no_axis_for_being_near():
    grid = Grid((1000, 3, 4), affine_of((1.0, 1.0, 3.0)))
    found = target_grid(grid, (0.9995, 1.0, 1.5), "nnunet_exact")
    assert found.shape == (1001, 3, 8)
    np.testing.assert_allclose(np.multiply(found.shape, found.spacing), (1000, 3, 12), rtol=1e-12)
    np.testing.assert_allclose(found.origin, ((1000 / 1001 - 1) / 2, 0, -0.75), atol=1e-12)


def test_grid_is_a_value():
    affine = affine_of((3, 2, 1), 30, (4, 5, 6))
    grid = Grid((3, 4, 5), affine)
    assert grid == pickle.loads(pickle.dumps(grid)) == Grid(np.array([3, 4, 5]), affine.tolist())
    assert len({grid, pickle.loads(pickle.dumps(grid)), Grid((3, 4, 6), affine)}) == 2
    affine[0, 0] = 99
    assert grid.spacing == pytest.approx((3, 2, 1))
    with pytest.raises(ValueError, match="read-only"):
        grid.affine[0, 0] = 1


@pytest.mark.parametrize("shape", [(0, 4, 4), (4, 4), (1, 4, 4, 4), (4, 4, -1)])
def test_an_empty_shape_is_refused(shape):
    with pytest.raises(GeometryError, match="three sizes"):
        Grid(shape, np.eye(4))


@pytest.mark.parametrize(
    "affine", [np.eye(3), np.full((4, 4), np.nan), np.diag([1.0, 0, 1, 1]), np.ones((4, 4)), np.diag([1, np.inf, 1, 1])]
)
def test_an_affine_without_volume_is_refused(affine):
    with pytest.raises(GeometryError, match="invertible"):
        Grid((2, 2, 2), affine)


def test_reverse_axes_is_its_own_inverse():
    affine = affine_of((3, 2, 1), 30, (4, 5, 6))
    np.testing.assert_allclose(reverse_axes(affine) @ [7, 8, 9, 1], affine @ [9, 8, 7, 1])
    assert np.array_equal(reverse_axes(reverse_axes(affine)), affine)


@pytest.mark.parametrize(
    ("shape", "spacing", "degrees", "origin", "problem"),
    [
        ((3, 4, 5), (3, 2, 1), 30, (4, 5, 6), None),
        ((3, 4, 5), (3.0009, 2, 1), 30, (4, 5, 6), None),
        ((3, 4, 5), (3, 2, 1), 30.04, (4, 5, 6), None),
        ((3, 4, 5), (3, 2, 1), 30, (4.009, 5, 6), None),
        ((3, 5, 4), (3, 2, 1), 30, (4, 5, 6), "size"),
        ((3, 4, 5), (3.0011, 2, 1), 30, (4, 5, 6), "spacing"),
        ((3, 4, 5), (3, 2, 1), 30.2, (4, 5, 6), "direction"),
        ((3, 4, 5), (3, 2, 1), 30, (4.011, 5, 6), "origin"),
        ((3, 4, 5), (3, 2, 1), 30, (4.007, 5.007, 6.007), "origin"),  # a distance, not a largest coordinate
        ((3, 4, 5), (3, 2, 1), 30, (4.0055, 5.0055, 6.0055), None),
    ],
)
def test_same_grid_problem_names_what_differs(shape, spacing, degrees, origin, problem):
    grid = Grid((3, 4, 5), affine_of((3, 2, 1), 30, (4, 5, 6)))
    assert same_grid_problem(grid, Grid(shape, affine_of(spacing, degrees, origin))) == problem


def test_a_small_voxel_narrows_the_tolerances():
    """Half a voxel apart, in a dataset whose headers are in metres."""
    grid = Grid((3, 4, 5), affine_of((0.003, 0.002, 0.001)))
    assert same_grid_problem(grid, Grid((3, 4, 5), affine_of((0.003, 0.002, 0.001), 0, (0.0005, 0, 0)))) == "origin"
    assert same_grid_problem(grid, Grid((3, 4, 5), affine_of((0.003, 0.002, 0.0015)))) == "spacing"
