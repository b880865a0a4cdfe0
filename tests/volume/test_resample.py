"""The kernel against scipy, MONAI, scikit-image and ITK, on small volumes and on every real scan."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import skimage.transform
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data.meta_tensor import MetaTensor
from monai.transforms.spatial.array import Spacing, SpatialResample

from monai_mriprep.errors import ResamplingError
from monai_mriprep.volume.geometry import Grid, target_grid
from monai_mriprep.volume.resample import ResamplingPlan, apply_plan, plan_half_pixel, plan_resampling
from monai_mriprep.volume.spline import NEGLIGIBLE, HalfPixelAxis, axis_matrix
from tests import oracles
from tests.oracles import SCANS, affine_of, itk_image, read, relative_error

TOLERANCE = 2e-6
"""Of the range, on every real scan."""


def volume_on(shape: tuple[int, ...], affine: np.ndarray, seed: int = 0) -> tuple[torch.Tensor, Grid]:
    values = np.random.default_rng(seed).normal(100, 30, shape).astype(np.float32)
    return torch.from_numpy(values)[None], Grid(shape, affine)


def resampled(volume: torch.Tensor, source: Grid, target: Grid, order=3, boundary="nearest") -> np.ndarray:
    return apply_plan(volume, plan_resampling(source, target, order, boundary))[0].numpy()


# --- Real scans -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def load(path: Path) -> tuple[np.ndarray, np.ndarray]:
    array, affine = read(path)
    return array.astype(np.float32), affine


@pytest.fixture(params=SCANS)
def scan(request, scans) -> tuple[str, np.ndarray, np.ndarray]:
    return request.param, *load(scans / request.param)


def thrifty_target(shape: tuple[int, ...], spacing: np.ndarray) -> tuple[float, float, float]:
    """Finer through the first axis, coarser in plane: about 200,000 voxels, none of the ratios simple."""
    coarser = max(1.137, float(np.sqrt(np.prod(shape) * 1.37 / 200_000)))
    z, y, x = spacing * (1 / 1.37, coarser, coarser * 1.03)
    return float(z), float(y), float(x)


def grids(array: np.ndarray, affine: np.ndarray, rule: str) -> tuple[Grid, Grid, list[oracles.Axis]]:
    """Source, target, and the oracle's plan for the same target."""
    target = thrifty_target(array.shape, np.linalg.norm(affine[:3, :3], axis=0))
    source = Grid(array.shape, affine)
    return source, target_grid(source, target, rule), oracles.plan(array.shape, affine, target, rule)


def test_every_real_scan_is_covered(scans):
    found = {str(path.relative_to(scans)) for path in scans.glob("mixed/ImagesTr/*")}
    found |= {str(path.relative_to(scans)) for path in scans.glob("traps/*/*")}
    labels = {path for path in found if "annotation" in path or path.endswith("stale_label/ProstateX-0000.nii.gz")}
    assert found - labels - {"traps/four_d/example4d.nii.gz"} == set(SCANS)
    mixed = {path.name for path in scans.glob("mixed/ImagesTr/*")}
    assert {path.name for path in scans.glob("anisotropic/ImagesTr/*")} <= mixed


def test_scan_equals_monai_spatial_resample_onto_our_grid(scan):
    _, array, affine = scan
    source, target, _ = grids(array, affine, "monai")
    resample = SpatialResample(mode=3, padding_mode="border", dtype=np.float64)
    volume = torch.from_numpy(array)[None]
    peer = resample(MetaTensor(volume, affine=affine), torch.tensor(target.affine), target.shape)
    np.testing.assert_allclose(peer.affine, target.affine, atol=1e-6)
    assert relative_error(resampled(volume, source, target), peer[0].numpy()) < TOLERANCE


def noise_of(affine: np.ndarray) -> float:
    """How far the axes are from perpendicular."""
    direction = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return float(np.abs(direction.T @ direction - np.eye(3)).max())


def test_scan_equals_monai_spacing_where_it_keeps_its_rule(scan):
    _, array, affine = scan
    source, target, _ = grids(array, affine, "monai")
    volume = torch.from_numpy(array)[None]
    spacing = Spacing(pixdim=target.spacing, mode=3, padding_mode="border", dtype=np.float64)
    peer = spacing(MetaTensor(volume, affine=affine))
    keeps_its_rule = np.allclose(peer.affine[:3, 3], affine[:3, 3], atol=1e-6)
    assert keeps_its_rule or noise_of(affine) > 1e-9, "only noise misleads the corner test of MONAI's Spacing"
    if keeps_its_rule:
        assert tuple(peer.shape[1:]) == target.shape
        np.testing.assert_allclose(peer.affine, target.affine, atol=1e-6)
        assert relative_error(resampled(volume, source, target), peer[0].numpy()) < TOLERANCE


def test_scan_equals_skimage_on_the_half_pixel_grid(scan):
    _, array, affine = scan
    source, target, _ = grids(array, affine, "nnunet")
    peer = skimage.transform.resize(
        array.astype(np.float64), target.shape, order=3, mode="edge", anti_aliasing=False, clip=False
    )
    assert relative_error(resampled(torch.from_numpy(array)[None], source, target), peer) < TOLERANCE


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("size", [4, 9, 7])
def test_clip_by_slice_equals_skimage_slice_by_slice(axis, size):
    """Two channels of very different range, each slice clipped to its own, then picked; more, fewer and as many."""
    before, after = [8, 9, 10], [11, 6, 13]
    before[axis], after[axis] = 7, size
    volume = np.random.default_rng(axis).normal(0, 1, (2, *before)).astype(np.float32)
    volume[1] *= 1000
    result = apply_plan(
        torch.from_numpy(volume), plan_half_pixel(before, after, 3, separate=axis), clip="slice"
    ).numpy()
    picks = np.floor((7 / size * (np.arange(size) + 0.5) - 0.5).clip(0, 6) + 0.5).astype(int)
    within = [n for a, n in enumerate(after) if a != axis]
    for channel, ours in zip(volume.astype(np.float64), result, strict=True):
        slices = [
            skimage.transform.resize(one, within, 3, mode="edge", anti_aliasing=False)
            for one in np.moveaxis(channel, axis, 0)
        ]
        peer = np.moveaxis(np.stack(slices)[picks], 0, axis)
        assert relative_error(ours, peer) < TOLERANCE
        assert all(
            one.min() >= channel.take(pick, axis).min() and one.max() <= channel.take(pick, axis).max()
            for one, pick in zip(np.moveaxis(ours, axis, 0), picks, strict=True)
        )


def test_clip_by_slice_without_a_separate_axis_is_by_channel():
    volume = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 6, 7, 8)).astype(np.float32))
    two = ResamplingPlan((*plan_half_pixel((6, 7, 8), (9, 9, 9), 0).axes[:2], HalfPixelAxis.of(8, 9, 3)))
    for plan in (plan_half_pixel((6, 7, 8), (9, 9, 9)), two):
        assert torch.equal(apply_plan(volume, plan, clip="slice"), apply_plan(volume, plan, clip=True))


def test_clip_by_channel_is_that_across_a_separate_axis_too():
    volume = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 6, 7, 8)).astype(np.float32))
    plan = plan_half_pixel((6, 7, 8), (9, 9, 9), separate=0)
    whole, (low, high) = apply_plan(volume, plan), torch.aminmax(volume.flatten(1), dim=1)
    expected = torch.clamp(whole, low[:, None, None, None], high[:, None, None, None])
    assert torch.equal(apply_plan(volume, plan, clip=True), expected)
    assert not torch.equal(whole, expected)


def test_clip_by_slice_leaves_slices_that_are_only_picked_as_they_are():
    volume = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 4, 5, 6)).astype(np.float32))
    result = apply_plan(volume, plan_half_pixel((4, 5, 6), (8, 5, 6), separate=0), clip="slice")
    assert torch.equal(result, volume.repeat_interleave(2, 1))


@pytest.mark.parametrize("rule", ["monai", "nnunet"])
def test_scan_equals_itk_with_mirror_inside_its_buffer(scan, rule):
    """ITK finds its own way through origin, spacing and direction."""
    _, array, affine = scan
    source, target, axes = grids(array, affine, rule)
    onto = itk_image(np.zeros(target.shape, np.uint8), target.affine)
    moving = itk_image(array.astype(np.float64), affine)
    peer = SimpleITK.Resample(moving, onto, SimpleITK.Transform(), SimpleITK.sitkBSpline, np.nan)
    peer = SimpleITK.GetArrayFromImage(peer)
    inside = np.ix_(*((axis.positions > -0.499) & (axis.positions < axis.n_in - 0.501) for axis in axes))
    found = resampled(torch.from_numpy(array)[None], source, target, boundary="mirror")
    assert peer[inside].size > 0.9 * peer.size
    assert relative_error(found[inside], peer[inside]) < TOLERANCE


@pytest.mark.parametrize("rule", ["monai", "nnunet"])
def test_scan_nearest_equals_scipy_away_from_ties(scan, rule):
    _, array, affine = scan
    source, target, axes = grids(array, affine, rule)
    clear = np.ix_(*(np.abs(axis.positions % 1 - 0.5) > 1e-3 for axis in axes))
    peer = oracles.spline(array, axes, 0)
    assert peer[clear].size > 0.5 * peer.size
    assert np.array_equal(resampled(torch.from_numpy(array)[None], source, target, order=0)[clear], peer[clear])


# --- Small volumes: every choice against scipy ------------------------------------------------------------------------

SMALL = {
    "finer": ((7, 12, 15), (3.0, 1.0, 1.2), (1.0, 0.6, 0.7)),
    "coarser": ((30, 33, 41), (1.0, 0.5, 0.5), (2.3, 1.7, 0.9)),
    "z only": ((5, 21, 22), (4.0, 1.0, 1.0), (1.1, 1.0, 1.0)),
    "z last": ((4, 40, 50), (5.0, 0.5, 0.5), (1.0, 1.0, 1.1)),
    "y only": ((5, 21, 22), (4.0, 1.0, 1.0), (4.0, 0.7, 1.0)),
    "x only": ((5, 21, 22), (4.0, 1.0, 1.0), (4.0, 1.0, 1.6)),
    "in plane": ((5, 21, 22), (4.0, 1.0, 1.0), (4.0, 0.7, 1.6)),
    "long": ((130, 3, 140), (1.0, 1.0, 1.0), (0.8, 0.9, 1.1)),
    "single voxels": ((1, 9, 1), (3.0, 1.0, 1.0), (1.0, 0.8, 2.0)),
    "two voxels": ((2, 3, 2), (3.0, 1.0, 1.0), (0.7, 0.4, 0.3)),
}


@pytest.mark.parametrize("order", [3, 2, 1, 0, (0, 3, 3), (1, 3, 2), (3, 0, 1)], ids=str)
@pytest.mark.parametrize("boundary", ["nearest", "mirror"])
@pytest.mark.parametrize("rule", ["monai", "nnunet", "itk"])
@pytest.mark.parametrize("name", SMALL)
def test_small_volume_equals_scipy(name, rule, boundary, order):
    shape, spacing, target = SMALL[name]
    affine = affine_of(spacing, 21, (4, -8, 15))
    volume, source = volume_on(shape, affine)
    axes = oracles.plan(shape, affine, target, rule)
    grid = target_grid(source, target, rule)
    assert grid.shape == tuple(axis.n_out for axis in axes)
    expected = oracles.spline(volume[0].numpy(), axes, order if order else (0, 0, 0), boundary)
    assert relative_error(resampled(volume, source, grid, order, boundary), expected) < 1e-6


def test_channels_are_resampled_each_for_itself():
    volume, source = volume_on((6, 8, 9), affine_of((3, 1, 1)))
    plan = plan_resampling(source, target_grid(source, (1.0, 0.7, 1.3)))
    both = apply_plan(torch.cat([volume, 2 - volume]), plan)
    assert torch.equal(both[:1], apply_plan(volume, plan))
    assert torch.equal(both[1:], apply_plan(2 - volume, plan))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.float16, torch.float64])
def test_number_types(dtype):
    """A spline computes in float32; nearest neighbour keeps the type."""
    volume, source = volume_on((6, 8, 9), affine_of((3, 1, 1)))
    plan = plan_resampling(source, target_grid(source, (1.0, 0.7, 1.3)))
    typed = volume.to(dtype)
    assert torch.equal(apply_plan(typed, plan), apply_plan(typed.to(torch.float32), plan))
    labels = apply_plan(typed, plan_resampling(source, target_grid(source, (1.0, 0.7, 1.3)), 0))
    assert labels.dtype == dtype


def test_a_strided_volume_is_read_as_it_looks():
    volume, source = volume_on((6, 8, 9), affine_of((3, 1, 1)))
    plan = plan_resampling(source, target_grid(source, (1.0, 0.7, 1.3)))
    strided = volume.permute(0, 3, 2, 1).contiguous().permute(0, 3, 2, 1)
    assert not strided.is_contiguous()
    assert torch.equal(apply_plan(strided, plan), apply_plan(volume, plan))


@pytest.mark.parametrize(("order", "interpolator"), [(3, SimpleITK.sitkBSpline), (0, SimpleITK.sitkNearestNeighbor)])
def test_zeros_outside_are_those_of_itk(order, interpolator):
    """The last slice and the last column lie beyond the outer faces."""
    target = (0.9, 0.71, 0.47)
    volume, source = volume_on((3, 8, 9), affine_of((4.0, 1.0, 1.2), 21, (4, -8, 15)))
    peer = oracles.itk_resample(itk_image(volume[0].double().numpy(), source.affine), target, interpolator)
    peer = SimpleITK.GetArrayFromImage(peer)
    plan = plan_resampling(source, target_grid(source, target, "itk"), order, "mirror", zero_outside=True)
    found = apply_plan(volume, plan)[0].numpy()
    assert found.shape == peer.shape == (13, 11, 23)
    assert [axis.outside.nonzero()[0].tolist() for axis in plan.axes] == [[12], [], [22]]
    assert (found[12] == 0).all()
    assert relative_error(found, peer) < 1e-6
    clipped = apply_plan(volume + 1e4, plan, clip=True)[0].numpy()
    assert np.array_equal(clipped == 0, found == 0)


def test_a_centre_on_the_upper_face_is_outside():
    """Where ITK decides by the rounding of world coordinates; the lower face belongs to the volume."""
    source = Grid((3, 8, 9), affine_of((4.0, 1.0, 1.2), 21, (4, -8, 15)))
    plan = plan_resampling(source, target_grid(source, (1.0, 1.0, 1.2), "itk"), 0, zero_outside=True)
    assert plan.axes[0].positions[10] == pytest.approx(2.5)
    assert np.flatnonzero(plan.axes[0].outside).tolist() == [10, 11]
    back = plan_resampling(target_grid(source, (1.0, 1.0, 1.2), "itk"), source, 0, zero_outside=True)
    assert not any(axis.outside.any() for axis in back.axes)


def test_without_zeros_outside_the_boundary_goes_on():
    volume, source = volume_on((3, 8, 9), affine_of((4.0, 1.0, 1.2)))
    target = target_grid(source, (1.0, 1.0, 1.2), "itk")
    assert (apply_plan(volume, plan_resampling(source, target, 3, "mirror")) != 0).all()


def test_zeros_outside_carry_no_gradient():
    volume, source = volume_on((3, 8, 9), affine_of((4.0, 1.0, 1.2)))
    plan = plan_resampling(source, target_grid(source, (1.0, 0.7, 0.6), "itk"), 3, "mirror", zero_outside=True)
    volume.requires_grad_()
    out = apply_plan(volume, plan)
    y = torch.randn(out.shape, generator=torch.Generator().manual_seed(0))
    (gradient,) = torch.autograd.grad(out, volume, y)
    one, other = (float((a.double() * b.double()).sum()) for a, b in ((out.detach(), y), (volume.detach(), gradient)))
    assert one == pytest.approx(other, rel=1e-5)


def test_clip_limits_the_overshoot():
    volume = torch.zeros(1, 6, 10, 10)
    volume[:, :, 5:] = 1
    source = Grid((6, 10, 10), np.eye(4))
    plan = plan_resampling(source, target_grid(source, (0.7, 0.6, 0.6)))
    free = apply_plan(volume, plan)
    assert free.max() > 1.05
    assert free.min() < -0.05
    assert torch.equal(apply_plan(volume, plan, clip=True), free.clamp(0, 1))
    two = apply_plan(torch.cat([volume, 100 * volume]), plan, clip=True)  # each channel has a range of its own
    assert torch.equal(two[:1], free.clamp(0, 1))
    assert float(two[1].max()) == 100


# --- Properties -------------------------------------------------------------------------------------------------------

SHAPES = st.tuples(*[st.integers(1, 24)] * 3)
SPACINGS = st.tuples(*[st.floats(0.4, 4)] * 3)
RULES = st.sampled_from(["monai", "nnunet"])
BOUNDARIES = st.sampled_from(["nearest", "mirror"])


@given(SHAPES, SPACINGS, SPACINGS, RULES, BOUNDARIES, st.integers(0, 3))
def test_constants_stay_constant(shape, spacing, target, rule, boundary, order):
    source = Grid(shape, affine_of(spacing, 9))
    grid = target_grid(source, target, rule)
    result = resampled(torch.full((1, *shape), 1234.5), source, grid, order, boundary)
    np.testing.assert_allclose(result, 1234.5, rtol=rounding_of(plan_resampling(source, grid, order, boundary)))


def rounding_of(plan: ResamplingPlan) -> float:
    """The most that float32 sums can be off, as a share of a constant, in whatever order a processor adds.

    A sum of n terms is off by at most n times 2^-24 of the sum of their magnitudes; one more is the sum of the
    weights themselves; the axes follow one another.
    """
    matrices = [np.abs(axis_matrix(axis)) for axis in plan.axes if not axis.is_identity]
    terms = sum(np.count_nonzero(matrix >= NEGLIGIBLE, axis=1).max() + 1 for matrix in matrices)
    magnitudes = np.prod([matrix.sum(axis=1).max() for matrix in matrices])
    return float(terms * magnitudes) * 2.0**-24


@given(SPACINGS, RULES, st.sampled_from([1, 2, 3]))
def test_ramps_are_reproduced_inside(target, rule, order):
    """World coordinates, resampled, are the world coordinates of the new grid: checks the grid's place, too."""
    shape, affine = (44, 45, 46), affine_of((1.1, 0.9, 1.0), 33, (20, -30, 40))
    source = Grid(shape, affine)
    grid = target_grid(source, target, rule)
    worlds = [
        np.einsum("ra,a...->r...", g.affine[:3, :3], np.indices(g.shape)) + g.origin[:, None, None, None]
        for g in (source, grid)
    ]
    found = apply_plan(torch.from_numpy(worlds[0].astype(np.float32)), plan_resampling(source, grid, order)).numpy()
    inverse = np.linalg.inv(affine)
    index = np.einsum("ra,a...->r...", inverse[:3, :3], worlds[1]) + inverse[:3, 3][:, None, None, None]
    inside = np.all([(index[a] > 14) & (index[a] < shape[a] - 15) for a in range(3)], axis=0)
    assert inside.any()
    assert np.abs(found - worlds[1])[:, inside].max() < 1e-4


@given(SHAPES, st.integers(0, 3), BOUNDARIES, RULES)
def test_axes_on_their_target_are_left_bit_for_bit(shape, order, boundary, rule):
    volume, source = volume_on(shape, affine_of((2.0, 1.1, 0.7), 40, (90, -70, 33)))
    target = (2.0 + 9e-4, 1.1 - 9e-4, 0.7)
    plan = plan_resampling(source, target_grid(source, target, rule), order, boundary)
    assert torch.equal(apply_plan(volume, plan), volume)


@given(SHAPES, SPACINGS, st.floats(-180, 180), st.integers(0, 2), RULES)
def test_an_axis_left_alone_is_not_computed_whatever_the_rounding(shape, spacing, degrees, dim, rule):
    """Forth and back, in spite of steps of 1 + 1e-16 and starts of 1e-17 voxels that affines bring with them."""
    source = Grid(shape, affine_of(spacing, degrees, (90, -70, 33)))
    target = [0.7 * s for s in source.spacing]
    target[dim] = source.spacing[dim]
    grid = target_grid(source, tuple(target), rule)
    for plan in (plan_resampling(source, grid), plan_resampling(grid, source)):
        assert plan.axes[dim].is_identity


@pytest.mark.parametrize(("noise", "is_identity"), [(1e-15, True), (1e-8, False)])
def test_rounding_of_an_affine_is_no_step(noise, is_identity):
    affine = affine_of((3.3, 1.1, 0.7), 23)
    assert plan_resampling(Grid((5, 6, 7), affine), Grid((5, 6, 7), affine * (1 + noise))).is_identity == is_identity


@pytest.mark.parametrize("rule", ["monai", "nnunet"])
@pytest.mark.parametrize("dim", range(3))
def test_an_axis_left_alone_does_not_mix(rule, dim):
    """Slices along it are resampled each for itself, with the same bits."""
    volume, source = volume_on((9, 14, 12), affine_of((2.0, 1.1, 0.7), 40, (90, -70, 33)))
    target = [1.3, 0.8, 0.9]
    target[dim] = source.spacing[dim]
    plan = plan_resampling(source, target_grid(source, tuple(target), rule))
    changed = volume.clone()
    changed.select(dim + 1, 0).add_(1e6)
    kept = [
        result.narrow(dim + 1, 1, result.shape[dim + 1] - 1)
        for result in (apply_plan(v, plan) for v in (volume, changed))
    ]
    assert torch.equal(*kept)


@given(SHAPES, SPACINGS, SPACINGS, RULES, BOUNDARIES, st.sampled_from([1, 2, 3, (0, 3, 3), (3, 1, 0)]))
def test_gradient_is_the_adjoint(shape, spacing, target, rule, boundary, order):
    """``<Ax, y> == <x, A'y>``, where ``A'y`` comes from autograd."""
    source = Grid(shape, affine_of(spacing))
    plan = plan_resampling(source, target_grid(source, target, rule), order, boundary)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((1, *shape), generator=generator, requires_grad=True)
    out = apply_plan(x, plan)
    y = torch.randn(out.shape, generator=generator)
    (gradient,) = torch.autograd.grad(out, x, y)
    one, other = (float((a.double() * b.double()).sum()) for a, b in ((out.detach(), y), (x.detach(), gradient)))
    scale = float(out.detach().norm() * y.norm()) + 1e-6
    assert abs(one - other) < 2e-6 * scale


@pytest.mark.parametrize("count", [1, 2])
def test_gradients_of_gradients_and_no_gradient(count, threads):
    threads(count)
    volume, source = volume_on((6, 8, 9), affine_of((3, 1, 1)))
    plan = plan_resampling(source, target_grid(source, (1.0, 0.7, 1.3)))
    x = volume.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(apply_plan(x, plan).square().sum(), x, create_graph=True)
    gradient.square().sum().backward()
    assert x.grad is not None
    y = volume.clone().requires_grad_()
    apply_plan(y, plan_half_pixel((6, 8, 9), (9, 9, 9), separate=0), clip="slice").sum().backward()
    assert y.grad is not None
    with torch.inference_mode():
        assert torch.equal(apply_plan(volume, plan), apply_plan(x, plan))


# --- The same bits ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
def test_threads_do_not_change_a_bit(name, threads):
    shape, spacing, target = SMALL[name]
    volume, source = volume_on(shape, affine_of(spacing, 21))
    plan = plan_resampling(source, target_grid(source, target))
    results = []
    for count in (1, 2, 3):
        threads(count)
        results.append(apply_plan(volume, plan))
        assert torch.get_num_threads() == count
        with ThreadPoolExecutor(1) as later:
            assert later.submit(torch.get_num_threads).result() == count, "the default of threads yet to come"
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


@pytest.mark.parametrize("order", [0, 3])
def test_the_input_is_not_written_to(order):
    volume, source = volume_on((6, 8, 9), affine_of((3, 1, 1)))
    before = volume.clone()
    apply_plan(volume, plan_resampling(source, target_grid(source, (1.0, 0.7, 1.3)), order), clip=True)
    assert torch.equal(volume, before)


# --- Errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "boundary"), [(4, "nearest"), (-1, "nearest"), ((3, 3), "nearest"), (3, "wrap"), ((3, 3, 9), "mirror")]
)
def test_unknown_orders_and_boundaries_are_refused(order, boundary):
    grid = Grid((4, 4, 4), np.eye(4))
    with pytest.raises(ResamplingError, match="order must be 0 to 3"):
        plan_resampling(grid, grid, order, boundary)


@pytest.mark.parametrize("degrees", [1, 0.01, 1e-3])
def test_grids_with_other_axes_are_refused(degrees):
    with pytest.raises(ResamplingError, match="do not share their axes"):
        plan_resampling(Grid((4, 4, 4), np.eye(4)), Grid((4, 4, 4), affine_of((1, 1, 1), degrees)))


def test_rounding_to_float32_leaves_axes_shared():
    affine = affine_of((3, 1, 1), 30)
    plan_resampling(Grid((4, 4, 4), affine), Grid((4, 4, 4), affine.astype(np.float32).astype(np.float64)))


@pytest.mark.parametrize("shape", [(4, 4, 4), (1, 4, 4, 5), (1, 1, 4, 4, 4)])
def test_a_volume_of_another_shape_is_refused(shape):
    grid = Grid((4, 4, 4), np.eye(4))
    with pytest.raises(ResamplingError, match=r"expected a volume of shape \(C, 4, 4, 4\)"):
        apply_plan(torch.zeros(shape), plan_resampling(grid, grid))
