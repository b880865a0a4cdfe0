"""One grid for image, label and mask; the affine is tracked; the way back."""

from __future__ import annotations

import pickle

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data.dataset import PersistentDataset
from monai.data.meta_tensor import MetaTensor
from monai.transforms.compose import Compose
from monai.transforms.spatial.dictionary import Spacingd
from monai.transforms.utility.dictionary import EnsureTyped

from monai_mriprep.errors import GeometryError, MriprepWarning, ResamplingError
from monai_mriprep.transforms import (
    AnisotropyAwareSpacingd,
    CastLabeld,
    LoadVolumed,
    NormalizeNonZerod,
)
from tests import oracles
from tests.oracles import affine_of, phantom, relative_error

SHAPE, SPACING, TARGET = (9, 24, 22), (3.0, 1.1, 0.9), (1.3, 0.8, 1.0)
AFFINE = affine_of(SPACING, 12, (40, -50, 60))
BOTH = ["image", "label"]


def tensor_on(array: np.ndarray, affine: np.ndarray = AFFINE, name: str = "scan.mha") -> MetaTensor:
    values = torch.from_numpy(array.astype(np.int32 if array.dtype == np.uint16 else array.dtype))[None]
    return MetaTensor(values, affine=torch.tensor(affine), meta={"filename_or_obj": name, "array_axes": "zyx"})


def case(image_affine: np.ndarray = AFFINE, label_affine: np.ndarray = AFFINE) -> dict[str, MetaTensor]:
    image, label = phantom(SHAPE)
    return {"image": tensor_on(image, image_affine), "label": tensor_on(label, label_affine, "seg.mha")}


# --- Resampling -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("boundary", ["nearest", "mirror"])
@pytest.mark.parametrize("grid", ["monai", "nnunet"])
@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("order", [3, (1, 3, 2)], ids=str)
def test_every_option_equals_the_oracle(grid, boundary, order, clip):
    data = case()
    spacing = AnisotropyAwareSpacingd(BOTH, target=TARGET, order=[order, 0], grid=grid, boundary=boundary, clip=clip)
    found = spacing(data)
    axes = oracles.plan(SHAPE, AFFINE, TARGET, grid)
    image = oracles.spline(data["image"][0].numpy(), axes, order, boundary)
    if clip:
        image = image.clip(float(data["image"].min()), float(data["image"].max()))
    assert relative_error(found["image"][0].numpy(), image) < 1e-6
    assert np.array_equal(found["label"][0].numpy(), oracles.nearest(data["label"][0].numpy(), axes, boundary))
    assert (found["image"].dtype, found["label"].dtype) == (torch.float32, torch.int16)
    for volume in found.values():
        np.testing.assert_allclose(volume.affine, oracles.new_affine(AFFINE, axes), atol=1e-10)
        assert volume.meta["target_spacing"].tolist() == list(TARGET)
        assert volume.meta["spatial_shape"].tolist() == list(SHAPE)  # of the file, as SaveImage wants it


def test_a_later_monai_transform_sees_the_true_spacing():
    found = AnisotropyAwareSpacingd(BOTH, target=TARGET)(case())
    np.testing.assert_allclose(found["image"].pixdim, TARGET, atol=1e-9)
    again = Spacingd(BOTH, pixdim=TARGET, mode=("bilinear", "nearest"))(found)
    assert torch.equal(again["label"].as_tensor(), found["label"].as_tensor())
    np.testing.assert_allclose(again["image"], found["image"], atol=1e-3)


def test_a_table_gives_the_target_by_the_anisotropy_rule(tmp_path):
    table = tmp_path / "mri_statistics.csv"
    table.write_text("median_spacing,10th_percentile_spacing\n[3.6 1.0 1.2],[1.9 0.9 0.9]\n", encoding="utf-8")
    found = AnisotropyAwareSpacingd(BOTH, statistics=table, axis_order="zyx")(case())
    np.testing.assert_allclose(found["image"].pixdim, (1.9, 1.0, 1.2))
    table.write_text("median_spacing,10th_percentile_spacing\n[1.0 1.0 3.6],[0.9 0.9 1.5]\n", encoding="utf-8")
    with pytest.warns(MriprepWarning, match=r"mri_statistics\.csv.*z y x order"):
        AnisotropyAwareSpacingd(BOTH, statistics=table, axis_order="zyx")


@pytest.mark.parametrize("seed", range(6))
def test_noise_in_the_header_never_parts_image_and_label(seed):
    noise = np.zeros((4, 4))
    noise[:3] = np.random.default_rng(seed).uniform(-1e-7, 1e-7, (3, 4))
    target = (3.0 * 8 / 12.5, 1.1 * 23 / 9.5, 0.9 * 21 / 33.5)  # 13.5, 10.5 and 34.5 voxels
    exact = AnisotropyAwareSpacingd(BOTH, target=target)(case())
    noisy = AnisotropyAwareSpacingd(BOTH, target=target)(case(AFFINE, AFFINE + noise))
    assert torch.equal(noisy["label"].affine, noisy["image"].affine)
    assert noisy["label"].shape == noisy["image"].shape == exact["image"].shape == (1, 14, 10, 34)
    assert torch.equal(noisy["label"].as_tensor(), exact["label"].as_tensor())
    other = AnisotropyAwareSpacingd(BOTH, target=target)(case(AFFINE + noise, AFFINE))
    assert other["image"].shape == exact["image"].shape
    assert torch.equal(other["label"].affine, other["image"].affine)
    assert torch.equal(other["label"].as_tensor(), exact["label"].as_tensor())


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({}, "either target"),
        ({"target": TARGET, "statistics": "a.csv"}, "either target"),
        ({"target": (1, 2)}, "three positive"),
        ({"target": (1, 2, 0)}, "three positive"),
        ({"target": (1, 2, float("nan"))}, "three positive"),
        ({"target": np.array([1, 2])}, "three positive"),
        ({"target": TARGET, "order": [3]}, "one entry for each of the 2 keys"),
    ],
)
def test_contradictory_options_are_refused(options, match):
    with pytest.raises(ResamplingError, match=match):
        AnisotropyAwareSpacingd(BOTH, **options)


def test_an_array_is_a_target_and_an_unknown_grid_is_refused():
    found = AnisotropyAwareSpacingd(BOTH, target=np.array(TARGET))(case())
    np.testing.assert_allclose(found["image"].pixdim, TARGET, atol=1e-9)
    with pytest.raises(ResamplingError, match="one of monai, nnunet, itk, nnunet_exact, not 'nnU-Net'"):
        AnisotropyAwareSpacingd(BOTH, target=TARGET, grid="nnU-Net")


def test_a_label_on_another_grid_is_refused():
    with pytest.raises(GeometryError, match="differ in origin"):
        AnisotropyAwareSpacingd(BOTH, target=TARGET)(case(AFFINE, affine_of(SPACING, 12, (40, -50, 60.1))))


def test_whatever_the_order_of_its_axes_a_head_is_the_same_head(scans):
    """One scan under five axis codes, each resampled to half its spacing, turned to RAS by nibabel."""
    turned = {}
    for path in sorted((scans / "traps" / "axis_codes").iterdir()):
        volume = LoadVolumed("image")({"image": str(path)})["image"]
        target = volume.pixdim.numpy() / 2  # of each axis: the same world spacing, permuted
        found = AnisotropyAwareSpacingd("image", target=target)({"image": volume})["image"]
        image = nibabel.as_closest_canonical(nibabel.Nifti1Image(found[0].numpy(), found.affine.numpy()))
        turned[path.name] = np.asarray(image.dataobj), image.affine
    assert len(turned) == 5
    voxels, affine = turned["RAS.nii.gz"]
    for other, other_affine in turned.values():
        np.testing.assert_allclose(other_affine, affine, atol=1e-3)
        np.testing.assert_allclose(other, voxels, rtol=0, atol=2e-6 * np.ptp(voxels))


# --- The way back -----------------------------------------------------------------------------------------------------


@given(
    shape=st.tuples(*[st.integers(1, 14)] * 3),
    target=st.tuples(*[st.floats(0.5, 4)] * 3),
    grid=st.sampled_from(["monai", "nnunet"]),
)
def test_inverse_returns_shape_affine_and_types(shape, target, grid):
    image, label = phantom(shape)
    data = {"image": tensor_on(image), "label": tensor_on(label)}
    spacing = AnisotropyAwareSpacingd(BOTH, target=target, grid=grid)
    back = spacing.inverse(spacing(data))
    for key, volume in data.items():
        assert back[key].shape == volume.shape
        assert torch.equal(back[key].affine, volume.affine)
        assert back[key].applied_operations == []
        assert "target_spacing" not in back[key].meta
        assert back[key].meta["spatial_shape"].tolist() == list(shape)
    assert back["label"].dtype == torch.int16


def test_inverse_of_a_finer_grid_restores_the_values():
    data = case()
    spacing = AnisotropyAwareSpacingd(BOTH, target=[s / 3 for s in SPACING])
    back = spacing.inverse(spacing(data))
    assert torch.equal(back["label"].as_tensor(), data["label"].as_tensor())
    inside = (..., slice(2, -2), slice(3, -3), slice(3, -3))
    np.testing.assert_allclose(back["image"][inside], data["image"][inside], atol=2)


def test_inverse_of_a_label_whose_header_has_noise():
    """As much as `MatchGeometryd` lets pass."""
    data = case(AFFINE, affine_of(SPACING, 12.01, (40, -50, 60)))
    spacing = AnisotropyAwareSpacingd(BOTH, target=[s / 3 for s in SPACING])
    back = spacing.inverse(spacing(data))["label"]
    assert torch.equal(back.as_tensor(), data["label"].as_tensor())
    assert torch.equal(back.affine, data["label"].affine)


def test_inverse_works_through_compose_and_in_another_process():
    """A worker's result is inverted by a copy of the transform."""
    steps = Compose([AnisotropyAwareSpacingd(BOTH, target=TARGET), NormalizeNonZerod("image", foreground="resampled")])
    found = pickle.loads(pickle.dumps(steps(case())))
    back = pickle.loads(pickle.dumps(steps)).inverse(found)
    assert back["label"].shape == (1, *SHAPE)
    assert torch.equal(back["image"].affine, torch.tensor(AFFINE))


def test_inverse_works_on_what_a_cache_has_kept(tmp_path):
    spacing = AnisotropyAwareSpacingd(BOTH, target=TARGET)
    for _ in ("made", "read"):
        dataset = PersistentDataset([case()], Compose([spacing]), tmp_path, track_meta=True, weights_only=False)
        back = spacing.inverse(dataset[0])
        assert back["label"].shape == (1, *SHAPE)
        assert torch.equal(back["label"].affine, torch.tensor(AFFINE))


def test_inverse_leaves_its_input_alone():
    spacing = AnisotropyAwareSpacingd(BOTH, target=TARGET)
    found = spacing(case())
    spacing.inverse(found)
    assert len(found["image"].applied_operations) == 1
    assert "target_spacing" in found["image"].meta
    assert spacing.inverse(found)["image"].shape == (1, *SHAPE)


@pytest.mark.filterwarnings("ignore:.*negative label voxel:monai_mriprep.errors.MriprepWarning")
def test_a_plain_label_lies_on_the_grid_of_its_image_though_it_was_cast_before():
    data = case()
    plain = CastLabeld("label")(EnsureTyped("label", track_meta=False)(data))
    spacing = AnisotropyAwareSpacingd(["image", "label"], target=TARGET)
    found, expected = spacing(plain)["label"], spacing(CastLabeld("label")(data))["label"]
    assert torch.equal(found.as_tensor(), expected.as_tensor())
    assert torch.equal(found.affine, expected.affine)
    assert spacing({"image": found, "label": found})["image"].shape == found.shape  # its place is known now


def test_a_table_whose_order_is_not_named_is_refused(tmp_path):
    """Nothing here can compare it with scans, and the other order would be as good a table."""
    table = tmp_path / "mri_statistics.csv"
    table.write_text("median_spacing,10th_percentile_spacing\n[3.6 1.0 1.2],[1.5 0.9 0.9]\n", encoding="utf-8")
    with pytest.raises(ResamplingError, match=r'mri_statistics\.csv.*axis_order="zyx" or "xyz", or use open_dataset'):
        AnisotropyAwareSpacingd(BOTH, statistics=table)


def test_a_table_in_x_y_z_order_can_be_named_so(tmp_path):
    table = tmp_path / "mri_statistics.csv"
    table.write_text("median_spacing,10th_percentile_spacing\n[9 9 9],[9 9 9]\n[0.8 0.9 2],[0.8 0.9 2]\n")
    transform = AnisotropyAwareSpacingd("image", statistics=table, statistics_row=1, axis_order="xyz")
    assert transform.target == (2.0, 0.9, 0.8)
