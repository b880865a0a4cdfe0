"""The way back of every kind of prediction, voxel by voxel against what a formula says."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from monai_mriprep.recipe import Recipe
from monai_mriprep.restore.arrays import restore_array
from monai_mriprep.steps import Trace, Volumes, final_grid, forward, native_steps, steps_of
from monai_mriprep.types import IMAGE
from monai_mriprep.volume.geometry import Grid
from tests.oracles import affine_of, phantom

BORDER = ((2, 1), (0, 4), (3, 5))
"""Slices of zeros before and after the phantom, along z, y, x."""

STRAIGHT = affine_of((2.5, 1.1, 0.7), 0.0, (-31.0, 4.0, 12.0))
OBLIQUE = affine_of((3.3333333333333335, 1.1, 0.7), 17.0, (-11.1, 1 / 3, 70.7))
PERMUTED = affine_of((0.9, 2.4, 1.3), 28.0, (5.0, -80.0, 3.0))[:, [2, 0, 1, 3]] * [-1, 1, -1, 1]
SCANS = {"straight": STRAIGHT, "oblique": OBLIQUE, "permuted": PERMUTED}

RECIPES = [
    {"orientation": orientation, "crop": crop, "crop_margin": 1.7 if crop == "nonzero" else 0.0, "order": 1}
    for orientation, crop in product(("keep", "RAS", "LPS", "ASL"), ("none", "nonzero"))
]

FACTORS = {"coarser": (1.6, 1.9, 1.45), "finer": (0.7, 0.55, 0.8), "half as fine": (2.0, 2.0, 2.0)}
"""Of the target spacing to the scan's; with the last, every other position lies on a tie."""


def scan(affine: np.ndarray) -> tuple[np.ndarray, Grid]:
    """A phantom in an empty border."""
    image = np.pad(phantom((9, 13, 12))[0].astype(np.float32), BORDER)
    return image, Grid(image.shape, affine)


def trace_of(image: np.ndarray, grid: Grid, settings: dict, factors: tuple[float, ...]) -> Trace:
    """What a recipe does to the scan, as a record keeps it."""
    native = final_grid(native_steps(Recipe(**settings)), grid)
    target = tuple(s * factor for s, factor in zip(native.spacing, factors, strict=True))
    steps = steps_of(Recipe(**settings, target_spacing=target), target)
    _, trace = forward(steps, Volumes({IMAGE: torch.from_numpy(image[None])}), grid)
    return Trace.from_json(trace.to_json())


def kept_box(image: np.ndarray, grid: Grid, margin: float) -> np.ndarray:
    """True for the voxels of the scan that the crop keeps."""
    kept = np.zeros(image.shape, bool)
    ends = []
    for axis, indices in enumerate(np.nonzero(image)):
        voxels = int(np.ceil(margin / grid.spacing[axis]))
        ends.append(slice(max(0, indices.min() - voxels), indices.max() + voxels + 1))
    kept[tuple(ends)] = True
    return kept


def places(trace: Trace) -> np.ndarray:
    """``(3, D, H, W)``: where each voxel of the source lies on the target grid, in voxels; at its edge where beyond."""
    index = np.stack([*np.indices(trace.source.shape), np.ones(trace.source.shape)])
    found = np.einsum("ij,jklm->iklm", np.linalg.solve(trace.target.affine, trace.source.affine), index)[:3]
    return np.clip(found, 0, np.subtract(trace.target.shape, 1)[:, None, None, None])


def world(affine: np.ndarray, index: np.ndarray) -> np.ndarray:
    """``(3, D, H, W)`` in mm, of indices."""
    return np.einsum("ij,jklm->iklm", affine[:3, :3], index) + affine[:3, 3][:, None, None, None]


@pytest.fixture(params=[*product(SCANS, range(len(RECIPES)), FACTORS)], ids=lambda case: "-".join(map(str, case)))
def case(request) -> tuple[Trace, np.ndarray]:
    """The trace, and which voxels of the source the crop has kept."""
    affine, settings, factors = SCANS[request.param[0]], RECIPES[request.param[1]], FACTORS[request.param[2]]
    image, grid = scan(affine)
    trace = trace_of(image, grid, settings, factors)
    kept = (
        kept_box(image, grid, settings["crop_margin"]) if settings["crop"] == "nonzero" else np.ones(image.shape, bool)
    )
    return trace, kept


def test_what_is_linear_in_the_world_is_back_everywhere(case):
    """Linear interpolation is exact for it; beyond the outermost centres the edge is repeated, outside a crop is 0."""
    trace, kept = case
    slopes = np.array([[0.031, -0.017, 0.011], [-0.013, 0.023, 0.029]])
    predicted = np.tensordot(slopes, world(trace.target.affine, np.indices(trace.target.shape)), 1)
    expected = np.tensordot(slopes, world(trace.target.affine, places(trace)), 1) * kept
    found = restore_array(predicted.astype(np.float32), trace, probabilities=True)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)
    assert (found[:, ~kept] == 0).all()
    sure = np.abs(expected[0] - expected[1]) > 1e-4
    classes = restore_array(predicted.astype(np.float32), trace)
    np.testing.assert_array_equal(classes[sure], expected.argmax(0)[sure])
    assert (classes[~kept] == 0).all()


def test_class_numbers_come_from_the_nearest_voxel(case):
    """Of two that are equally near, the one with the higher index of the preprocessed array."""
    trace, kept = case
    labels = np.random.default_rng(0).integers(1, 30000, trace.target.shape).astype(np.int16)
    k, j, i = np.floor(places(trace) + 0.5001).astype(int)
    found = restore_array(labels[None], trace)
    np.testing.assert_array_equal(found, labels[k, j, i] * kept)
    assert found.dtype == np.int16


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "uint16", "uint32", "int64", "float16", "float64"])
def test_class_numbers_of_every_type_go_the_same_way(dtype):
    image, grid = scan(PERMUTED)
    trace = trace_of(image, grid, RECIPES[-1], FACTORS["finer"])
    labels = np.random.default_rng(0).integers(0, 2, (1, *trace.target.shape))
    np.testing.assert_array_equal(restore_array(labels.astype(dtype), trace), restore_array(labels, trace))
