"""Mask, z-scores and label types as transforms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data.meta_tensor import MetaTensor
from monai.transforms.intensity.array import NormalizeIntensity

from monai_mriprep.errors import LabelError, MriprepWarning, RecipeError, ResamplingError
from monai_mriprep.transforms import AnisotropyAwareSpacingd, CastLabeld, NonZeroMaskd, NormalizeNonZerod
from tests.oracles import affine_of, phantom

AFFINE = torch.tensor(affine_of((3.0, 1.1, 0.9), 12, (40, -50, 60)))


def tensor_of(array: np.ndarray | torch.Tensor, name: str = "scan.mha") -> MetaTensor:
    return MetaTensor(torch.as_tensor(array)[None], affine=AFFINE, meta={"filename_or_obj": name, "array_axes": "zyx"})


def scan() -> MetaTensor:
    return tensor_of(phantom((9, 24, 22))[0].astype(np.float32))


def test_mask_is_what_is_not_zero():
    image = tensor_of(np.array([[[0.0, -3, 1e-30, 7]]]))
    mask = NonZeroMaskd()({"image": image})["foreground"]
    assert mask.dtype == torch.bool
    assert mask.flatten().tolist() == [False, True, True, True]
    assert torch.equal(mask.affine, AFFINE)


def test_mask_takes_keys():
    assert set(NonZeroMaskd("scan", "body")({"scan": scan()})) == {"scan", "body"}


def test_scores_over_the_images_own_foreground():
    image = scan()
    values = image.double().numpy()
    inside = values[values != 0]
    found = NormalizeNonZerod("image")({"image": image})["image"]
    np.testing.assert_allclose(found, (values - inside.mean()) / inside.std(), atol=1e-6)
    meta = found.meta
    facts = (meta["foreground_mean"], meta["foreground_std"], meta["foreground_voxels"])
    assert facts == pytest.approx((inside.mean(), inside.std(), inside.size), rel=1e-12)
    assert torch.equal(found.affine, AFFINE)


def test_scores_over_a_carried_foreground():
    """The spline smears the zeros of the air; the carried mask does not count them."""
    steps = (NonZeroMaskd(), AnisotropyAwareSpacingd(["image", "foreground"], target=(1.3, 0.8, 1.0)))
    data = {"image": scan()}
    for step in steps:
        data = step(data)
    mask = data["foreground"].as_tensor()
    assert mask.dtype == torch.bool
    assert int((data["image"] != 0).sum()) > 1.2 * int(mask.sum())
    inside = NormalizeNonZerod("image", mask_key="foreground")(data)["image"].as_tensor()[mask].double()
    assert (float(inside.mean()), float(inside.std(correction=0))) == pytest.approx((0, 1), abs=1e-5)


def test_an_empty_foreground_warns_and_changes_nothing():
    image = tensor_of(np.zeros((2, 3, 4), np.int16))
    with pytest.warns(MriprepWarning, match=r"scan\.mha: the foreground is empty"):
        found = NormalizeNonZerod("image")({"image": image})["image"]
    assert torch.equal(found.as_tensor(), torch.zeros(1, 2, 3, 4))


def test_channels_are_scored_each_for_itself():
    """By MONAI's own transform, which has `channel_wise` for it."""
    low, high = scan().as_tensor(), 7 * scan().as_tensor() + 40
    image = MetaTensor(torch.cat([low, high]), affine=AFFINE, meta={"filename_or_obj": "scan.mha"})
    found = NormalizeNonZerod("image")({"image": image})["image"]
    expected = NormalizeIntensity(nonzero=True, channel_wise=True)(image.clone())
    inside = (image != 0).as_tensor()
    np.testing.assert_allclose(found[inside], expected[inside], atol=2e-6)
    assert found.meta["foreground_voxels"].tolist() == inside.flatten(1).sum(1).tolist()
    means = [float(channel[where].double().mean()) for channel, where in zip(image.as_tensor(), inside, strict=True)]
    assert found.meta["foreground_mean"].tolist() == pytest.approx(means, rel=1e-12)
    alone = NormalizeNonZerod("image")({"image": image[:1]})["image"]
    assert torch.equal(found[:1].as_tensor(), alone.as_tensor())
    assert isinstance(alone.meta["foreground_mean"], float)


def test_an_empty_channel_is_named():
    image = MetaTensor(torch.stack([torch.zeros(2, 3, 4), torch.rand(2, 3, 4)]), affine=AFFINE)
    with pytest.warns(MriprepWarning, match="image: the foreground of channel 0 is empty"):
        NormalizeNonZerod("image")({"image": image})


def test_a_constant_foreground_warns_and_loses_its_mean():
    image = tensor_of(np.array([[[0, 5, 5, 0]]], np.int16))
    with pytest.warns(MriprepWarning, match=r"scan\.mha: the foreground is constant"):
        found = NormalizeNonZerod("image")({"image": image})["image"]
    assert found.flatten().tolist() == [-5, 0, 0, -5]


@pytest.mark.parametrize("value", [0.1, 137.7, 65535.0])
def test_a_constant_image_stays_constant_though_resampled(value):
    image = tensor_of(np.full((9, 14, 12), value, np.float32))
    resampled = AnisotropyAwareSpacingd("image", target=(1.3, 0.8, 1.0))({"image": image})
    with pytest.warns(MriprepWarning, match="constant"):
        found = NormalizeNonZerod("image", foreground="resampled")(resampled)["image"]
    assert float(found.abs().max()) < 1e-5 * value


def test_labels_are_cast_and_clamping_warns():
    label = tensor_of(np.array([[[-1, 0, 3, -1000]]], np.int16), "seg.mha")
    with pytest.warns(MriprepWarning, match=r"seg\.mha: 2 negative label voxels became 0"):
        found = CastLabeld("label")({"label": label})["label"]
    assert found.dtype == torch.int8
    assert found.flatten().tolist() == [0, 0, 3, 0]
    assert torch.equal(found.affine, AFFINE)


def test_a_bad_label_is_named():
    with pytest.raises(LabelError, match=r"seg\.mha: label value 40000"):
        CastLabeld("label")({"label": tensor_of(np.full((1, 1, 1), 40000, np.int32), "seg.mha")})


def test_scores_over_what_is_greater_than_zero_with_an_epsilon():
    values = np.random.default_rng(0).normal(3, 20, (4, 9, 8)).astype(np.float32)
    positive = values[values > 0].astype(np.float64)
    steps = NormalizeNonZerod("image", foreground="resampled_positive", epsilon=0.5)
    found = steps({"image": tensor_of(values)})["image"]
    np.testing.assert_allclose(found[0], (values - positive.mean()) / (positive.std() + 0.5), atol=1e-6)
    assert found.meta["foreground_voxels"] == positive.size
    assert found.meta["foreground_std"] == pytest.approx(positive.std())


@pytest.mark.parametrize(
    "options",
    [{"foreground": "carried"}, {"foreground": "resampled", "mask_key": "m"}, {"epsilon": -1}, {"epsilon": np.nan}],
    ids=str,
)
def test_what_makes_no_score_is_refused(options):
    with pytest.raises(RecipeError, match=r"must be|not both"):
        NormalizeNonZerod("image", **options)


@pytest.mark.parametrize("shape", [(5, 6, 7), (6, 7), (2, 1, 5, 6, 7)])
def test_what_has_no_channels_or_is_a_batch_is_not_scored(shape):
    """The first axis counts as channels: a volume without would have scores of its own in each slice."""
    with pytest.raises(ResamplingError, match=r"expected a tensor \(C, D, H, W\), not of shape .* EnsureChannelFirstd"):
        NormalizeNonZerod("image")({"image": torch.rand(shape)})


def test_bfloat16_is_scored_as_the_same_numbers_in_float32():
    image = scan().as_tensor().to(torch.bfloat16)
    same = {"image": image.float(), "foreground": (image != 0).to(torch.bfloat16)}
    normalize = NormalizeNonZerod("image", mask_key="foreground")
    assert torch.equal(*(normalize({**same, "image": x})["image"].as_tensor() for x in (image, image.float())))


def test_complex_numbers_are_refused():
    with pytest.raises(ResamplingError, match=r"image: expected real values, not torch\.complex64; take the magnitude"):
        NormalizeNonZerod("image")({"image": torch.ones(1, 2, 2, 2, dtype=torch.complex64)})
