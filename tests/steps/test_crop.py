"""The box of non-zero voxels, beside numpy and MONAI's `CropForeground`, and zeros around it on the way back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data.meta_tensor import MetaTensor
from monai.transforms.croppad.array import CropForeground
from pydantic import ValidationError
from scipy import ndimage

from monai_mriprep.errors import MriprepWarning, ResamplingError
from monai_mriprep.steps import Volumes, backward, forward
from monai_mriprep.steps.crop import FilledCrop, NonZeroCrop
from monai_mriprep.types import FOREGROUND, IMAGE, LABEL, PREDICTION
from monai_mriprep.volume.geometry import Grid
from tests.oracles import SCANS, read
from tests.steps.cases import GRIDS, volumes_on

GRID = Grid((6, 8, 10), np.diag([3.0, 1.0, 0.5, 1.0]))


def image_of(*voxels: tuple[int, int, int, int], channels: int = 1, dtype: torch.dtype = torch.int16) -> torch.Tensor:
    """Zeros, but for these voxels ``(channel, k, j, i)``."""
    image = torch.zeros(channels, *GRID.shape, dtype=dtype)
    for voxel in voxels:
        image[voxel] = 7
    return image


def box_of(image: torch.Tensor, margin: float = 0.0, grid: Grid = GRID) -> tuple[tuple[int, ...], tuple[int, ...]]:
    params = NonZeroCrop(margin=margin).plan(Volumes({IMAGE: image}), grid)
    return tuple(params["begin"]), tuple(params["end"])


def box_by_numpy(array: np.ndarray) -> tuple[tuple[int, ...], tuple[int, ...]]:
    places = np.argwhere((array != 0).any(axis=0))
    return tuple(places.min(axis=0)), tuple(places.max(axis=0) + 1)


@given(
    voxels=st.lists(st.tuples(*[st.integers(0, n - 1) for n in (2, *GRID.shape)]), min_size=1, max_size=5),
    dtype=st.sampled_from([torch.int16, torch.uint8, torch.float32, torch.float64]),
)
def test_the_box_holds_what_is_not_zero_in_any_channel(voxels, dtype):
    image = image_of(*voxels, channels=2, dtype=dtype)
    assert box_of(image) == box_by_numpy(image.numpy())


def test_negative_and_tiny_values_are_not_zero_and_minus_zero_is():
    image = torch.zeros(1, *GRID.shape)
    image[0, 1, 2, 3], image[0, 4, 5, 6], image[0, 5, 7, 9] = -3, 1e-30, -0.0
    assert box_of(image) == ((1, 2, 3), (5, 6, 7))


@pytest.mark.parametrize(
    ("margin", "begin", "end"),
    [
        (0.0, (2, 3, 4), (4, 6, 8)),
        (0.5, (1, 2, 3), (5, 7, 9)),
        (1.0, (1, 2, 2), (5, 7, 10)),
        (3.0, (1, 0, 0), (5, 8, 10)),
        (3.0 + 1e-9, (1, 0, 0), (5, 8, 10)),
        (3.01, (0, 0, 0), (6, 8, 10)),
        (1e9, (0, 0, 0), (6, 8, 10)),
        (1.7e308, (0, 0, 0), (6, 8, 10)),  # in voxels more than a float holds
    ],
)
def test_a_margin_is_in_mm_is_rounded_up_and_ends_where_the_scan_does(margin, begin, end):
    image = image_of((0, 2, 3, 4), (0, 3, 5, 7))
    assert box_of(image, margin) == (begin, end)


def test_a_margin_of_whole_voxels_is_not_one_more_where_a_spacing_has_noise():
    grid = Grid(GRID.shape, np.diag([2.9999999942, 0.99999995, 0.5, 1.0]))
    assert box_of(image_of((0, 2, 3, 4)), 3.0, grid) == ((1, 0, 0), (4, 7, 10))


@pytest.mark.parametrize("name", GRIDS)
def test_voxels_and_affine_are_those_of_monai(name):
    grid = GRIDS[name]
    image = volumes_on(grid, torch.float32, channels=2).by_role[IMAGE]
    volumes, trace = forward([NonZeroCrop()], Volumes({IMAGE: image}), grid)
    expected = CropForeground(select_fn=lambda x: x != 0, allow_smaller=True)(MetaTensor(image, grid.affine.copy()))
    assert torch.equal(volumes.by_role[IMAGE], expected.as_tensor())
    np.testing.assert_allclose(trace.target.affine, expected.affine.numpy(), atol=1e-10)


@pytest.mark.parametrize("scan", SCANS)
def test_every_scan_keeps_all_that_is_not_zero(scans, scan):
    array, affine = read(scans / scan)
    image = torch.from_numpy(array.astype(np.float32))[None]
    volumes, trace = forward([NonZeroCrop()], Volumes({IMAGE: image}), Grid(array.shape, affine))
    begin, end = box_by_numpy(image.numpy())
    assert torch.equal(volumes.by_role[IMAGE], image[:, begin[0] : end[0], begin[1] : end[1], begin[2] : end[2]])
    back, grid = backward(trace, volumes.by_role[IMAGE])
    assert torch.equal(back, image)  # outside there was nothing but zeros
    assert grid == Grid(array.shape, affine)


def test_the_way_back_has_zeros_outside_the_box():
    grid = GRIDS["oblique"]
    _, trace = forward([NonZeroCrop()], Volumes({IMAGE: volumes_on(grid).image[1]}), grid)
    back, _ = backward(trace, torch.ones(3, *trace.target.shape), PREDICTION)
    (z, y, x), (to_z, to_y, to_x) = (trace.params("crop")[key] for key in ("begin", "end"))
    assert back.sum() == 3 * np.prod(trace.target.shape)
    assert bool((back[:, z:to_z, y:to_y, x:to_x] == 1).all())


def test_what_was_cut_away_is_not_kept_in_memory():
    volumes, _ = forward([NonZeroCrop()], Volumes({IMAGE: image_of((0, 2, 3, 4), (0, 3, 4, 5))}), GRID)
    cropped = volumes.by_role[IMAGE]
    assert cropped.untyped_storage().nbytes() == cropped.nbytes == 8 * cropped.element_size()


def test_an_empty_image_is_not_cropped_and_says_so():
    empty = Volumes({IMAGE: image_of(), LABEL: image_of()}, {IMAGE: "scan.mha"})
    with pytest.warns(MriprepWarning, match=r"scan\.mha: the image is 0 everywhere; it is not cropped"):
        volumes, trace = forward([NonZeroCrop(margin=2.0)], empty, GRID)
    assert trace.target == GRID
    assert volumes.by_role[LABEL].shape == (1, *GRID.shape)


def test_without_an_image_there_is_no_box():
    with pytest.raises(ResamplingError, match="no image among label"):
        NonZeroCrop().plan(Volumes({LABEL: image_of()}), GRID)


@pytest.mark.parametrize("margin", [-1, float("nan"), float("inf"), "2", True, None])
def test_what_is_no_margin_is_refused(margin):
    with pytest.raises(ValidationError):
        NonZeroCrop(margin=margin)


def test_what_a_label_marks_outside_the_box_is_counted():
    image, label = image_of((0, 2, 3, 4), (0, 3, 4, 5)), image_of((0, 2, 3, 4), (0, 0, 0, 0), (0, 5, 7, 9))
    with pytest.warns(MriprepWarning, match=r"^seg\.mha: the crop loses 2 labelled voxels; a larger crop_margin"):
        NonZeroCrop().plan(Volumes({IMAGE: image, LABEL: label}, {LABEL: "seg.mha"}), GRID)
    NonZeroCrop(margin=9).plan(Volumes({IMAGE: image, LABEL: label}), GRID)  # a warning would be an error


def test_the_voxels_that_a_box_needs_keep_its_direction():
    box = NonZeroCrop().needed((range(2, -1, -1), range(1, 3), range(4)), IMAGE, GRID, {"begin": [1, 0, 5]})
    assert box == (range(3, 0, -1), range(1, 3), range(5, 9))


# --- With the mask ----------------------------------------------------------------------------------------------------


def test_the_filled_crop_has_the_same_box_and_the_mask_without_its_holes():
    grid = GRIDS["straight"]
    voxels = np.zeros((2, *grid.shape), np.int16)
    voxels[0, 1:6, 2:9, 3:8], voxels[0, 3, 4:6, 5], voxels[1, 1, 10, 3] = 5, 0, -7
    label = torch.from_numpy(voxels[:1])
    volumes, trace = forward([FilledCrop()], Volumes({IMAGE: torch.from_numpy(voxels), LABEL: label}), grid)
    plain, other = forward([NonZeroCrop()], Volumes({IMAGE: torch.from_numpy(voxels)}), grid)
    assert trace.steps[0].params == other.steps[0].params
    assert torch.equal(volumes.by_role[IMAGE], plain.by_role[IMAGE].float())
    expected = ndimage.binary_fill_holes(voxels.any(axis=0))[1:6, 2:11, 3:8]
    assert np.array_equal(volumes.by_role[FOREGROUND].numpy(), expected[None])
    assert not volumes.by_role[IMAGE].is_contiguous()
    assert {role: volume.dtype for role, volume in volumes.by_role.items()} == {
        IMAGE: torch.float32,
        LABEL: torch.int16,
        FOREGROUND: torch.bool,
    }
