"""Volumes on any other grid against ITK and scipy."""

from __future__ import annotations

import numpy as np
import SimpleITK
import torch

from monai_mriprep.volume.geometry import Grid
from monai_mriprep.volume.onto import resample_label_onto
from tests.oracles import affine_of, itk_image, read


def test_label_onto_a_flipped_and_permuted_grid():
    label = torch.from_numpy(np.random.default_rng(3).integers(0, 5, (1, 4, 5, 6), dtype=np.int16))
    grid = Grid((4, 5, 6), affine_of((3, 2, 1), 20, (1, 2, 3)))
    index = np.array([[0, 0, 1, 0], [-1, 0, 0, 4], [0, 1, 0, 0], [0, 0, 0, 1.0]])  # (a, b, c) is at (c, 4 - a, b)
    moved = resample_label_onto(label, grid, Grid((5, 6, 4), grid.affine @ index))
    assert moved.dtype == torch.int16
    assert torch.equal(moved, label.flip(2).permute(0, 2, 3, 1))


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
