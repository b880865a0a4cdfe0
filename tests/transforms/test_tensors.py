"""What MONAI hands over becomes a tensor that knows its place, or an error; what goes back keeps what was known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data.meta_obj import set_track_meta
from monai.data.meta_tensor import MetaTensor
from monai.data.utils import list_data_collate
from monai.transforms.spatial.dictionary import Flipd

from monai_mriprep.errors import ResamplingError
from monai_mriprep.transforms.tensors import (
    as_tracked,
    file_of,
    grid_of,
    has_place,
    on_grid,
    require_channels,
    score_marks,
    spacing_marks,
    tensor_of,
    volume_of,
    with_values,
)
from monai_mriprep.volume.geometry import Grid
from tests.oracles import affine_of

GRID = Grid((4, 5, 6), affine_of((3.0, 1.1, 0.9), 12, (40, -50, 60)))


def volume(**meta: object) -> MetaTensor:
    affine = torch.tensor(GRID.affine)
    return MetaTensor(torch.rand(1, *GRID.shape), affine=affine, meta={"filename_or_obj": "scan.mha", **meta})


# --- In ---------------------------------------------------------------------------------------------------------------


def test_arrays_and_tensors_become_tensors_of_the_same_values():
    array = np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3)
    assert np.array_equal(volume_of(array, "image"), array)
    tensor = torch.from_numpy(array)
    assert volume_of(tensor, "image") is tensor
    assert type(tensor_of(volume())) is torch.Tensor


@pytest.mark.parametrize(("value", "found"), [("scan.mha", "not str"), (None, "not NoneType"), ([[1.0]], "not list")])
def test_what_is_no_tensor_is_named(value, found):
    with pytest.raises(ResamplingError, match=f"t2: expected a tensor or array .*{found}; load it first"):
        volume_of(value, "t2")


def test_what_is_pending_is_done_and_the_input_left_alone():
    lazy = Flipd("image", 1, lazy=True)({"image": volume()})["image"]
    done = volume_of(lazy, "image")
    assert lazy.has_pending_operations
    assert not done.has_pending_operations
    np.testing.assert_allclose(done, torch.flip(lazy.as_tensor(), [2]), atol=1e-6)


def test_where_a_tensor_lies():
    assert grid_of(volume()) == GRID
    assert grid_of(volume().as_tensor()) == Grid(GRID.shape, np.eye(4))
    assert has_place(volume())
    assert not has_place(volume().as_tensor())
    assert not has_place(with_values(torch.zeros(1, 2, 2, 2), torch.ones(1, 2, 2, 2)))


@pytest.mark.parametrize("shape", [(4, 5, 6), (2, 1, 4, 5, 6), (5,)])
def test_without_a_channel_or_with_a_batch_the_remedy_is_named(shape):
    with pytest.raises(ResamplingError, match="EnsureChannelFirstd"):
        require_channels(torch.zeros(shape))


def test_a_file_or_else_the_key():
    assert file_of(volume(), "image") == "scan.mha"
    assert file_of(volume().as_tensor(), "image") == "image"


# --- Out --------------------------------------------------------------------------------------------------------------


def test_a_new_place_keeps_what_is_known_of_the_file():
    known = volume(array_axes="xyz", spatial_shape=torch.tensor([9, 9, 9]))
    known.push_applied_operation({"class": "before"})
    other = Grid((2, 2, 2), affine_of((1.0, 2.0, 3.0)))
    moved = on_grid(torch.zeros(1, 2, 2, 2), other, known, more=7)
    assert grid_of(moved) == other
    assert moved.applied_operations == known.applied_operations
    assert {key: moved.meta[key] for key in ("filename_or_obj", "array_axes", "more")} == {
        "filename_or_obj": "scan.mha",
        "array_axes": "xyz",
        "more": 7,
    }
    assert moved.meta["spatial_shape"].tolist() == [9, 9, 9]
    fresh = on_grid(torch.zeros(1, 2, 2, 2), other)
    assert fresh.meta["array_axes"] == "zyx"
    assert np.array_equal(fresh.meta["original_affine"], other.affine)


def test_new_values_stay_where_they_were():
    known = volume()
    found = with_values(known.as_tensor() + 1, known, more=7)
    assert torch.equal(found.affine, known.affine)
    assert (found.meta["filename_or_obj"], found.meta["more"]) == ("scan.mha", 7)
    assert "more" not in known.meta


def test_after_set_track_meta_results_are_plain():
    try:
        set_track_meta(False)
        assert type(as_tracked(volume())) is torch.Tensor
        assert type(with_values(torch.zeros(1, 1, 1, 1), volume())) is torch.Tensor
    finally:
        set_track_meta(True)
    known = volume()
    assert as_tracked(known) is known


def test_marks_can_be_collated():
    one, two = ({"mean": [1.5] * n, "voxels": [7] * n} for n in (1, 2))
    assert score_marks(one) == {"foreground_mean": 1.5, "foreground_voxels": 7}
    assert score_marks(two)["foreground_mean"].tolist() == [1.5, 1.5]
    marks = {**score_marks(two), **spacing_marks((3.0, 1.0, 1.0), GRID)}
    assert marks["target_spacing"].tolist() == [3.0, 1.0, 1.0]
    np.testing.assert_allclose(marks["grid_spacing"], GRID.spacing)
    batch = list_data_collate([{"image": volume(**marks)}] * 2)
    assert batch["image"].meta["foreground_mean"].shape == (2, 2)
