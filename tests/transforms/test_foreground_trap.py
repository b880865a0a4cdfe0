"""The foreground trap, and the transform that does the pair right."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from monai.data.meta_obj import set_track_meta
from monai.data.meta_tensor import MetaTensor
from monai.transforms.compose import Compose
from monai.transforms.spatial.dictionary import RandAffined, Spacingd

from monai_mriprep import build_transforms, load_recipe
from monai_mriprep.errors import MriprepWarning, RecipeError
from monai_mriprep.steps.resampling import Resampling
from monai_mriprep.transforms import (
    AnisotropyAwareSpacingd,
    ApplyStepsd,
    LoadVolumed,
    NonZeroMaskd,
    NormalizeNonZero,
    NormalizeNonZerod,
    ResampleNormalize,
    ResampleNormalized,
)
from monai_mriprep.types import IMAGE
from tests.oracles import SYNTHETIC_TARGET, dictionary, phantom

CASE = "10001_0002"
TARGET = (1.3, 0.8, 1.0)


def scan(channels: int = 1) -> MetaTensor:
    values = phantom((9, 24, 22))[0].astype(np.float32)
    stack = np.stack([values * (1 + channel) + 5 * channel * (values > 0) for channel in range(channels)])
    affine = torch.diag(torch.tensor([3.0, 1.1, 0.9, 1], dtype=torch.float64))
    return MetaTensor(torch.from_numpy(stack), affine=affine, meta={"filename_or_obj": "scan.mha", "array_axes": "zyx"})


SPLINES = {
    "ours": AnisotropyAwareSpacingd("image", target=TARGET),
    "ours, order 2 along z": AnisotropyAwareSpacingd("image", target=TARGET, order=[(2, 0, 0)]),
    "a list of steps": ApplyStepsd({"image": IMAGE}, [Resampling(target=TARGET, order=2)]),
    "MONAI": Spacingd("image", pixdim=TARGET, mode=3, padding_mode="nearest"),
    "MONAI, nested": RandAffined("image", prob=1, rotate_range=0.1, mode=3, padding_mode="nearest"),
}


@pytest.mark.parametrize("name", SPLINES)
def test_zeros_that_a_spline_has_smeared_are_not_taken_for_foreground_in_silence(name):
    resampled = SPLINES[name]({"image": scan()})
    inside = float((scan() != 0).float().mean())
    assert float((resampled["image"] != 0).float().mean()) > inside + 0.1  # this is what goes wrong
    with pytest.warns(MriprepWarning, match=r"scan\.mha: a spline .*mask_key.*ResampleNormalized.*foreground="):
        NormalizeNonZerod("image")(resampled)


@pytest.mark.parametrize(
    ("normalize", "resample"),
    [
        (NormalizeNonZerod("image", foreground="resampled"), SPLINES["ours"]),
        (NormalizeNonZerod("image", mask_key="image"), SPLINES["ours"]),
        (NormalizeNonZerod("image"), AnisotropyAwareSpacingd("image", target=TARGET, mode="bilinear")),
        (NormalizeNonZerod("image"), Spacingd("image", pixdim=TARGET, mode="nearest")),
        (NormalizeNonZerod("image"), lambda data: data),
    ],
)
def test_nothing_is_said_where_it_is_meant_or_harmless(normalize, resample):
    resampled = resample({"image": scan()})
    with warnings.catch_warnings():
        warnings.simplefilter("error", MriprepWarning)
        normalize(resampled)


def test_options_that_contradict_each_other_are_refused():
    with pytest.raises(RecipeError, match="either mask_key or foreground"):
        NormalizeNonZerod("image", mask_key="foreground", foreground="resampled")
    with pytest.raises(RecipeError, match="not 'native'"):
        NormalizeNonZero(foreground="native")


def test_the_recipe_of_resampled_foregrounds_is_meant(synthetic):
    recipe = load_recipe(overrides=["normalization.foreground=resampled"])
    with warnings.catch_warnings():
        warnings.simplefilter("error", MriprepWarning)
        build_transforms(recipe, SYNTHETIC_TARGET, "inference")({"image": dictionary(synthetic, "10001_0001")["image"]})


@pytest.mark.filterwarnings("ignore:.*negative label voxel:monai_mriprep.errors.MriprepWarning")
def test_the_pair_in_one_is_the_recipe(synthetic):
    paths = dictionary(synthetic, CASE)
    found = Compose([LoadVolumed(["image", "label"]), ResampleNormalized(["image", "label"], SYNTHETIC_TARGET)])(paths)
    expected = build_transforms(target=SYNTHETIC_TARGET)(paths)
    assert torch.equal(found["image"].as_tensor(), expected["image"].as_tensor())
    assert torch.equal(found["label"].clamp(min=0).as_tensor(), expected["label"].as_tensor().to(found["label"].dtype))
    for name in ("foreground_mean", "foreground_std", "foreground_voxels"):
        assert found["image"].meta[name] == expected["image"].meta[name]


def test_every_image_has_its_own_foreground_and_labels_have_none():
    data = {"t2": scan(2), "adc": scan().roll(3, -1), "label": (scan() > 300).to(torch.uint8)}
    pair = ResampleNormalized(["t2", "adc", "label"], target=TARGET, mode=["bicubic", 1, "nearest"])
    found = pair(data)
    for key, mode in (("t2", "bicubic"), ("adc", 1)):
        steps = [
            NonZeroMaskd(key),
            AnisotropyAwareSpacingd([key, "foreground"], target=TARGET, mode=[mode, "nearest"]),
            NormalizeNonZerod(key, mask_key="foreground"),
        ]
        expected = Compose(steps)({key: data[key]})[key]
        assert torch.equal(found[key].as_tensor(), expected.as_tensor())
        assert len(found[key].applied_operations) == 1
    assert found["label"].unique().tolist() == [0, 1]
    back = pair.inverse(found)
    for key, volume in data.items():
        assert back[key].shape == volume.shape
        assert torch.equal(back[key].affine, volume.affine)
        assert back[key].applied_operations == []
    assert ResampleNormalize(TARGET, clip=True)(scan()).shape == found["adc"].shape


def test_it_works_without_tracking():
    expected = ResampleNormalize(TARGET)(scan())
    set_track_meta(False)
    try:
        found = ResampleNormalize(TARGET)(scan())
    finally:
        set_track_meta(True)
    assert type(found) is torch.Tensor
    assert torch.equal(found, expected.as_tensor())
