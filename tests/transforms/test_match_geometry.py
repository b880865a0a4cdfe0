"""Image and label on one grid: an error where they are not, or the label is put on the image's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data.meta_tensor import MetaTensor
from monai.transforms.compose import Compose
from monai.transforms.utility.dictionary import EnsureTyped

from monai_mriprep.errors import GeometryError, ResamplingError
from monai_mriprep.transforms import CastLabeld, MatchGeometryd, NonZeroMaskd
from tests.oracles import affine_of
from tests.transforms.test_spacing import AFFINE, SHAPE, case, tensor_on


def test_strict_shows_both_geometries():
    data = case(AFFINE, affine_of((3.6, 1.1, 0.9), 12, (40, -50, 60)))
    with pytest.raises(GeometryError, match=r"(?s)spacing.*scan\.mha.*3, 1\.1, 0\.9.*seg\.mha.*3\.6, 1\.1, 0\.9"):
        MatchGeometryd()(data)


def test_volumes_are_called_by_their_keys():
    data = case(AFFINE, affine_of((3.6, 1.1, 0.9), 12, (40, -50, 60)))
    t2 = MetaTensor(data["image"].as_tensor(), affine=data["image"].affine)
    with pytest.raises(GeometryError) as caught:
        MatchGeometryd("t2", "lesion")({"t2": t2, "lesion": data["label"]})
    lines = [line.strip().split(": ")[0] for line in str(caught.value).splitlines()]
    assert lines[0].startswith("t2 and lesion differ in spacing")
    assert lines[1:3] == ["t2", "lesion seg.mha"]
    assert lines[3].startswith("check that the lesion belongs to this t2; if it does")


def test_axes_of_an_array_that_is_not_marked_are_not_called_those_of_its_file():
    marked = case(AFFINE, affine_of((3.6, 1.1, 0.9), 12, (40, -50, 60)))
    said = "z y x, so these three stand for its axes in the order they have"
    with pytest.raises(GeometryError) as of_marked:
        MatchGeometryd()(marked)
    assert said not in str(of_marked.value)
    bare = {key: MetaTensor(volume.as_tensor(), affine=volume.affine) for key, volume in marked.items()}
    with pytest.raises(GeometryError, match=said):
        MatchGeometryd()(bare)


def test_an_unknown_policy_is_refused():
    with pytest.raises(ResamplingError, match="strict, resample_label or resample, not 'resampled'"):
        MatchGeometryd(geometry="resampled")


@pytest.mark.parametrize("geometry", ["resample_label", "resample"])
def test_the_label_is_put_on_the_image(geometry):
    data = case()
    flip = np.eye(4)
    flip[1, 1], flip[1, 3] = -1, SHAPE[1] - 1
    flipped = {**data, "label": tensor_on(data["label"][0].numpy()[:, ::-1].copy(), AFFINE @ flip, "seg.mha")}
    found = MatchGeometryd(geometry=geometry)(flipped)
    assert torch.equal(found["label"].as_tensor(), data["label"].as_tensor())
    assert torch.equal(found["label"].affine, data["image"].affine)
    assert found["label"].meta["filename_or_obj"] == "seg.mha"
    assert found["image"] is data["image"]


@pytest.mark.filterwarnings("ignore:.*negative label voxel:monai_mriprep.errors.MriprepWarning")
@pytest.mark.parametrize("key", ["image", "label"])
@pytest.mark.parametrize("then", [[], [NonZeroMaskd("image", "image"), CastLabeld("label")]], ids=["bare", "wrapped"])
def test_resample_label_moves_nothing_onto_or_from_a_place_that_is_not_known(key, then):
    data = case()
    plain = Compose([EnsureTyped(key, track_meta=False), *then])(data)
    with pytest.raises(ResamplingError, match=f"{key}: a plain tensor has no affine"):
        MatchGeometryd(geometry="resample_label")(plain)
