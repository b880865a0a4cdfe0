"""Volumes on any other grid against ITK and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK
import torch
from scipy import ndimage

from monai_mriprep.volume.geometry import Grid
from monai_mriprep.volume.onto import overlap, resample_image_onto, resample_label_onto
from tests.oracles import affine_of, itk_image, read


def test_label_onto_a_flipped_and_permuted_grid():
    label = torch.from_numpy(np.random.default_rng(3).integers(0, 5, (1, 4, 5, 6), dtype=np.int16))
    grid = Grid((4, 5, 6), affine_of((3, 2, 1), 20, (1, 2, 3)))
    index = np.array([[0, 0, 1, 0], [-1, 0, 0, 4], [0, 1, 0, 0], [0, 0, 0, 1.0]])  # (a, b, c) is at (c, 4 - a, b)
    moved = resample_label_onto(label, grid, Grid((5, 6, 4), grid.affine @ index))
    assert moved.dtype == torch.int16
    assert torch.equal(moved, label.flip(2).permute(0, 2, 3, 1))


def test_a_place_that_is_hardly_under_a_tie_rounds_up():
    label = torch.arange(1, 7, dtype=torch.int16).reshape(1, 1, 1, 6)
    for shift, first in ((0.49995, 2), (0.4998, 1)):
        moved = resample_label_onto(label, Grid((1, 1, 6), np.eye(4)), Grid((1, 1, 5), shifted_x(shift)))
        assert moved.flatten().tolist() == list(range(first, first + 5))


def shifted_x(mm):
    affine = np.eye(4)
    affine[2, 3] = mm
    return affine


def test_label_onto_an_oblique_grid_equals_itk():
    label = np.random.default_rng(3).integers(1, 5, (9, 21, 22), dtype=np.int16)
    source, target = (
        Grid(label.shape, affine_of((3, 1, 1), 4)),
        Grid((12, 30, 31), affine_of((2, 0.9, 0.8), 13, (1, 2, -3))),
    )
    onto = itk_image(np.zeros(target.shape, np.uint8), target.affine)
    moving = itk_image(label, source.affine)
    peer = SimpleITK.Resample(moving, onto, SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor, 0)
    moved = resample_label_onto(torch.from_numpy(label)[None], source, target)[0].numpy()
    assert 0 < np.count_nonzero(moved == 0) < moved.size
    assert np.count_nonzero(moved != SimpleITK.GetArrayFromImage(peer)) <= 2  # ties and the outermost half voxel


def test_reversed_label_is_put_on_its_image(scans):
    folder = scans / "traps" / "reversed_label"
    image, affine = read(folder / "ProstateX-0000_t2w.mha")
    label, label_affine = read(folder / "ProstateX-0000_annotation.nii.gz")
    assert np.abs(affine - label_affine).max() > 0.1
    moved = resample_label_onto(
        torch.from_numpy(label.copy())[None], Grid(label.shape, label_affine), Grid(image.shape, affine)
    )
    assert label.any()
    assert np.array_equal(moved[0].numpy(), label[:, ::-1])


# --- An image ---------------------------------------------------------------------------------------------------------

FLIPPED = np.array([[0, 0, 1, 0], [-1, 0, 0, 40], [0, 1, 0, 0], [0, 0, 0, 1.0]])


def smooth(shape, seed=0):
    """An image whose edges are not flat, so that what is beyond them matters."""
    rng = np.random.default_rng(seed)
    return ndimage.gaussian_filter(rng.normal(300, 200, shape), 1.5).astype(np.float32)


def scipys(image, source, target):
    """The whole at once, in float64."""
    to_image = np.linalg.inv(source.affine) @ target.affine
    return ndimage.affine_transform(
        image.astype(np.float64), to_image[:3, :3], to_image[:3, 3], target.shape, order=3, mode="nearest"
    )


def inside(source, target, margin=0.0):
    """Voxels of `target` whose centres lie within those of `source`, by so many voxels."""
    to_source = np.linalg.inv(source.affine) @ target.affine
    index = np.indices(target.shape).reshape(3, -1)
    places = (to_source[:3, :3] @ index + to_source[:3, 3:]).reshape(3, *target.shape)
    return np.logical_and.reduce(
        [(p >= margin) & (p <= n - 1 - margin) for p, n in zip(places, source.shape, strict=True)]
    )


GRIDS = {
    "shifted": Grid((14, 30, 33), affine_of((2, 0.9, 0.8), 4, (1, 2, -3))),
    "turned": Grid((30, 14, 33), affine_of((3, 1, 1), 4) @ FLIPPED),
    "oblique": Grid((12, 30, 31), affine_of((2, 0.9, 0.8), 13, (1, 2, -3))),
    "hardly oblique": Grid((12, 30, 31), affine_of((2, 0.9, 0.8), 4.001, (1, 2, -3))),
}


@pytest.mark.parametrize("target", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.int32])
def test_an_image_on_another_grid_equals_scipy(target, dtype):
    image, source = smooth((19, 41, 42)).astype(dtype), Grid((19, 41, 42), affine_of((3, 1, 1), 4))
    expected = scipys(image, source, target)
    moved = resample_image_onto(torch.from_numpy(np.stack([image, 2 * image])), source, target)
    assert moved.dtype == torch.float32
    assert moved.shape == (2, *target.shape)
    within = inside(source, target)
    assert within.mean() > 0.1
    error = np.abs(moved[0].numpy() - expected)
    assert error[within].max() < 2e-6 * np.ptp(image)
    assert error.max() < 2e-4 * np.ptp(image)  # beyond the edge, too
    np.testing.assert_allclose(moved[1], 2 * moved[0], rtol=1e-5)


def test_an_image_on_an_oblique_grid_equals_itk_away_from_its_edge():
    image, source, target = smooth((19, 41, 42)), Grid((19, 41, 42), affine_of((3, 1, 1), 4)), GRIDS["oblique"]
    onto = itk_image(np.zeros(target.shape, np.uint8), target.affine)
    moving = itk_image(image.astype(np.float64), source.affine)
    peer = SimpleITK.GetArrayFromImage(SimpleITK.Resample(moving, onto, SimpleITK.Transform(), SimpleITK.sitkBSpline))
    moved = resample_image_onto(torch.from_numpy(image)[None], source, target)[0].numpy()
    within = inside(source, target, 7)  # ITK mirrors at the edge
    assert within.any()
    assert np.abs(moved - peer)[within].max() < 2e-4 * np.ptp(image)


def test_an_image_on_its_own_grid_is_itself():
    image, grid = smooth((5, 6, 7)), Grid((5, 6, 7), affine_of((3, 1, 1), 4))
    assert np.array_equal(resample_image_onto(torch.from_numpy(image)[None], grid, grid)[0].numpy(), image)


def test_grids_overlap_or_do_not():
    grid = Grid((9, 21, 22), affine_of((3, 1, 1), 4))
    near, far = (Grid((9, 21, 22), affine_of((3, 1, 1), 30, (x, 0, 0))) for x in (10, 100))
    assert overlap(grid, near)
    assert overlap(near, grid)
    assert not overlap(grid, far)
    assert not overlap(far, grid)


def test_grids_overlap_where_their_voxels_touch_though_no_centre_is_inside():
    grid = Grid((4, 4, 4), np.eye(4))
    for at, meets in ((3.9, True), (4.1, False), (-29.9, True), (-30.1, False)):
        other = Grid((30, 30, 30), shifted_x(at))
        assert overlap(grid, other) == overlap(other, grid) == meets
