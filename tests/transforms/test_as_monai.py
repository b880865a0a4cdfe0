"""Wherever MONAI's own transforms may stand, ours may, and do what MONAI's do.

Where `AnisotropyAwareSpacingd` and `Spacingd` do not define the same thing: ours puts no zeros outside (``border``
is our ``nearest``), keeps the sense of the axes (``diagonal=False``), wants all keys on one grid, takes three spacings
(no -1), and sends a nearest-neighbour tie up. `NormalizeNonZerod` shifts zeros, too.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from monai import losses
from monai.data.dataloader import DataLoader
from monai.data.dataset import ArrayDataset, CacheNTransDataset, Dataset, PersistentDataset
from monai.data.meta_obj import set_track_meta
from monai.data.meta_tensor import MetaTensor
from monai.data.utils import decollate_batch, pad_list_data_collate
from monai.metrics.meandice import DiceMetric
from monai.networks.utils import one_hot
from monai.transforms.compose import Compose
from monai.transforms.croppad.dictionary import CenterSpatialCropd, SpatialPadd
from monai.transforms.intensity.dictionary import NormalizeIntensityd
from monai.transforms.io.dictionary import LoadImaged
from monai.transforms.post.array import AsDiscrete
from monai.transforms.post.dictionary import Invertd
from monai.transforms.spatial.array import Spacing
from monai.transforms.spatial.dictionary import Flipd, Orientationd, Spacingd
from monai.transforms.utility.dictionary import EnsureTyped, ToTensord
from monai.transforms.utils import allow_missing_keys_mode

from monai_mriprep import build_transforms
from monai_mriprep.errors import MriprepWarning, ResamplingError
from monai_mriprep.transforms import (
    AnisotropyAwareSpacing,
    AnisotropyAwareSpacingd,
    CastLabeld,
    LoadVolumed,
    NonZeroMaskd,
    NormalizeNonZero,
    NormalizeNonZerod,
    ResampleNormalized,
)
from monai_mriprep.volume.geometry import Grid
from monai_mriprep.volume.resample import apply_plan, plan_resampling
from tests.oracles import SYNTHETIC_TARGET, dictionary

CASE, BOTH = "10001_0001", ["image", "label"]
RNG = np.random.default_rng(3)
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*negative label voxel:monai_mriprep.errors.MriprepWarning",
    "ignore:.data_array. is not of type MetaTensor:UserWarning",
)


@pytest.fixture
def untracked():
    set_track_meta(False)
    yield
    set_track_meta(True)


def assert_as_monai(found: torch.Tensor, expected: torch.Tensor, atol: float = 1e-5) -> None:
    """Equal in type, shape, values and place."""
    assert type(found) is type(expected)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_allclose(torch.as_tensor(found), torch.as_tensor(expected), rtol=0, atol=atol)
    if isinstance(expected, MetaTensor):
        np.testing.assert_allclose(found.affine, expected.affine, rtol=0, atol=1e-9)


# --- Spacingd: MONAI's own three-dimensional cases, by the same names of options --------------------------------------

CASES = {
    "ones, two channels": (torch.ones(2, 10, 15, 20), np.eye(4), (1, 2, 1.4)),
    "one slice": (torch.ones(1, 2, 1, 2), np.eye(4), (1.0, 1.0, 1.0)),
    "fine, one slice": (torch.ones(1, 2, 1, 2), np.eye(4), (1, 1, 0.5)),
    "no change, mirrored": (torch.arange(24.0).reshape(1, 2, 3, 4), np.diag([-4.0, 5, 6, 1]), (4, 5, 6)),
    "mirrored": (torch.arange(24.0).reshape(1, 2, 3, 4), np.diag([-4.0, 5, 6, 1]), (3, 3.5, 8)),
    "permuted": (
        torch.from_numpy(RNG.random((1, 10, 9, 8), np.float32)),
        np.array([[0, 0, -1.0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]),
        (1.13, 1.21, 0.93),
    ),
    "plain 0.2": (torch.ones(2, 1, 2, 3), np.eye(4), (0.2, 0.3, 1)),
}


@pytest.mark.parametrize("mode", ["bilinear", "nearest", 3])
@pytest.mark.parametrize("name", CASES)
def test_spacing(name, mode):
    values, affine, pixdim = CASES[name]
    image = MetaTensor(values, affine=torch.from_numpy(affine))
    theirs = Spacingd("image", pixdim=pixdim, mode=mode, padding_mode="nearest" if mode == 3 else "border")
    ours = AnisotropyAwareSpacingd("image", target=pixdim, mode=mode, array_axes="zyx")
    found = ours({"image": image})
    assert_as_monai(found["image"], theirs({"image": image})["image"])
    back, expected = ours.inverse(found)["image"], theirs.inverse(theirs({"image": image}))["image"]
    assert (back.shape, back.applied_operations) == (expected.shape, expected.applied_operations)
    np.testing.assert_allclose(back.affine, expected.affine, atol=1e-9)
    if mode == "bilinear":  # ours go back linearly; at the far end MONAI rounds the way back by itself
        inside = (slice(None), *(slice(0, max(1, n - 2)) for n in image.shape[1:]))
        np.testing.assert_allclose(back[inside], expected[inside], atol=2e-5)


def test_two_affines_in_one_call_are_an_error_here():
    """MONAI resamples each key on a grid of its own, and then to the shape of the first."""
    one, other = (MetaTensor(torch.ones(1, 4, 4, 4), affine=torch.eye(4) * n) for n in (1, 2))
    with pytest.raises(Exception, match="differ in spacing"):
        AnisotropyAwareSpacingd(BOTH, target=(1, 1, 1), array_axes="zyx")({"image": one, "label": other})


# --- NormalizeIntensityd ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor, MetaTensor])
@pytest.mark.parametrize("shape", [(1, 1, 1, 4), (1, 1, 2, 2), (1, 4, 1, 1)])
@pytest.mark.parametrize("values", [[0.0, 3, 0, 4], [0.0, 0, 0, 0]])
def test_normalize(kind, shape, values):
    image = kind(np.array(values, np.float32).reshape(shape))
    expected = NormalizeIntensityd("image", nonzero=True)({"image": copy.deepcopy(image)})["image"]  # it writes into it
    if not any(values):
        with pytest.warns(MriprepWarning, match="empty"):
            found = NormalizeNonZerod("image")({"image": image})["image"]
    else:
        found = NormalizeNonZerod("image")({"image": image})["image"]
    foreground = torch.as_tensor(image) != 0
    assert type(found) is type(expected)
    np.testing.assert_allclose(found[foreground], expected[foreground], atol=1e-6)


def test_normalize_channel_wise():
    image = torch.tensor([[[[0.0, 3, 0, 4]]], [[[0.0, 4, 0, 5]]]])
    found = NormalizeNonZero()(image)
    expected = NormalizeIntensityd("image", nonzero=True, channel_wise=True)({"image": image.clone()})["image"]
    np.testing.assert_allclose(found[image != 0], expected[image != 0], atol=1e-6)


# --- Tensors without metadata -----------------------------------------------------------------------------------------

PLAIN = {
    "array": lambda data: {key: value.numpy() for key, value in data.items()},
    "tensor": lambda data: {key: value.as_tensor() for key, value in data.items()},
    "EnsureTyped": EnsureTyped(BOTH, track_meta=False),
    "ToTensord": ToTensord(BOTH, track_meta=False),
}


def pair() -> dict[str, MetaTensor]:
    image = MetaTensor(
        torch.from_numpy(RNG.random((1, 6, 9, 8), np.float32)), affine=torch.diag(torch.tensor([3.0, 1, 1, 1]))
    )
    return {"image": image, "label": (image > 0.5).to(torch.uint8)}


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_tensor_has_voxels_of_1_mm_if_its_axes_are_declared(name):
    data, pixdim = PLAIN[name](pair()), (2.0, 0.71, 1.27)
    with pytest.raises(ResamplingError, match=r"image: .*track_meta=True and weights_only=False.*array_axes"):
        AnisotropyAwareSpacingd(BOTH, target=pixdim)(data)
    with pytest.warns(MriprepWarning, match="track_meta=True and weights_only=False"):
        found = AnisotropyAwareSpacingd(BOTH, pixdim, mode=["bilinear", "nearest"], array_axes="zyx")(data)
    expected = Spacingd(BOTH, pixdim, mode=["bilinear", "nearest"], padding_mode="border", dtype=torch.float64)(data)
    assert_as_monai(found["image"], expected["image"])
    assert found["label"].dtype == torch.uint8
    assert torch.equal(found["label"].float().as_tensor(), expected["label"].as_tensor())


def test_a_transform_of_values_does_not_make_an_affine_of_none():
    data = NormalizeNonZerod("image")({"image": pair()["image"].numpy()})
    assert isinstance(data["image"], MetaTensor)
    with pytest.raises(ResamplingError, match="array_axes"):
        AnisotropyAwareSpacingd("image", target=(2, 1, 1))(data)
    with pytest.warns(MriprepWarning, match="taken for 1 mm"):
        AnisotropyAwareSpacingd("image", target=(2, 1, 1), array_axes="xyz")(data)


def test_a_tensor_that_totensord_leaves_its_metadata_is_as_before():
    marked = {key: MetaTensor(value, meta={**value.meta, "array_axes": "zyx"}) for key, value in pair().items()}
    spacing = AnisotropyAwareSpacingd(BOTH, target=(2, 1, 1))
    for step in (ToTensord(BOTH), EnsureTyped(BOTH)):
        assert torch.equal(spacing(step(marked))["image"].as_tensor(), spacing(marked)["image"].as_tensor())


def test_a_plain_mask_lies_on_the_grid_of_the_first_key():
    data = pair()
    data["image"].meta["array_axes"] = "zyx"
    spacing = AnisotropyAwareSpacingd(BOTH, target=(2.0, 0.7, 1.3))
    found = spacing({**data, "label": data["label"].numpy()})
    assert torch.equal(found["label"].affine, found["image"].affine)
    with pytest.raises(Exception, match="differ in size"):
        spacing({**data, "label": data["label"].numpy()[:, 1:]})


def test_without_tracking_values_are_the_same_and_results_plain(synthetic, untracked):
    paths = dictionary(synthetic, CASE)
    found = build_transforms(target=SYNTHETIC_TARGET)(paths)
    set_track_meta(True)
    expected = build_transforms(target=SYNTHETIC_TARGET)(paths)
    for key in BOTH:
        assert type(found[key]) is torch.Tensor
        assert torch.equal(found[key], expected[key].as_tensor())


def test_a_path_is_no_volume():
    with pytest.raises(ResamplingError, match=r"expected a tensor or array .* not str; load it first"):
        AnisotropyAwareSpacingd("image", target=(1, 1, 1))({"image": "scan.mha"})


def test_a_volume_without_channel_is_refused():
    with pytest.raises(ResamplingError, match=r"not of shape \(4, 5, 6\); EnsureChannelFirstd"):
        AnisotropyAwareSpacingd("image", target=(1, 1, 1), array_axes="zyx")({"image": MetaTensor(torch.rand(4, 5, 6))})


def test_metadata_of_any_kind_are_taken():
    for kind in (np.array, torch.tensor, list):
        image = MetaTensor(
            torch.rand(1, 4, 5, 6), meta={"spatial_shape": kind([4, 5, 6]), "original_affine": np.eye(4)}
        )
        found = AnisotropyAwareSpacing((0.5, 0.5, 0.5), array_axes="zyx")(image)
        assert [int(n) for n in found.meta["spatial_shape"]] == [4, 5, 6]


# --- Datasets ---------------------------------------------------------------------------------------------------------

CHAINS = {
    "ours": [
        LoadVolumed(BOTH),
        NonZeroMaskd(),
        AnisotropyAwareSpacingd([*BOTH, "foreground"], target=SYNTHETIC_TARGET),
        NormalizeNonZerod("image", mask_key="foreground"),
        CastLabeld("label"),
    ],
    "MONAI's loader": [
        LoadImaged(BOTH, ensure_channel_first=True),
        Orientationd(BOTH, axcodes="SPL", labels=None),
        ResampleNormalized(BOTH, target=SYNTHETIC_TARGET, array_axes="xyz"),
        Flipd(BOTH, 0),
    ],
}


def cached(kind: type, paths: dict, chain: list, cut: int, folder, **attributes: object) -> Dataset:
    """MONAI 1.6 gives `CacheNTransDataset` no such arguments, but it heeds the attributes."""
    dataset = kind([paths], Compose(chain), cache_n_trans=cut, cache_dir=folder)
    for name, value in attributes.items():
        assert hasattr(dataset, name)
        setattr(dataset, name, value)
    return dataset


@pytest.mark.parametrize(
    ("chain", "cut"), [(name, cut) for name, steps in CHAINS.items() for cut in range(1, len(steps) + 1)]
)
def test_a_cache_at_every_cut_changes_nothing(synthetic, tmp_path, chain, cut):
    paths, steps = dictionary(synthetic, CASE), CHAINS[chain]
    expected = Compose(steps)(paths)
    for _ in ("made", "read"):
        found = cached(CacheNTransDataset, paths, steps, cut, tmp_path, track_meta=True, weights_only=False)[0]
        for key in BOTH:
            assert torch.equal(found[key].as_tensor(), expected[key].as_tensor())
            assert torch.equal(found[key].affine, expected[key].affine)
        back = Compose(steps[1:]).inverse({key: found[key] for key in BOTH})
        assert back["label"].shape == steps[0](paths)["label"].shape
        np.testing.assert_allclose(back["image"].affine, steps[0](paths)["image"].affine, atol=1e-9)


def test_a_cache_that_forgets_the_affine_is_an_error(synthetic, tmp_path):
    paths = dictionary(synthetic, CASE)
    cached(CacheNTransDataset, paths, CHAINS["ours"], 1, tmp_path)[0]
    with pytest.raises(RuntimeError) as error:
        cached(CacheNTransDataset, paths, CHAINS["ours"], 2 - 1, tmp_path)[0]
    assert isinstance(error.value.__cause__, ResamplingError)
    assert "track_meta=True and weights_only=False" in str(error.value.__cause__)
    plain = PersistentDataset([paths], Compose(CHAINS["ours"]), tmp_path / "all")
    plain[0]
    with pytest.raises(ResamplingError, match=r"no record of .*track_meta=True"):
        CHAINS["ours"][2].inverse(plain[0])


def test_array_dataset():
    arrays = [pair()["image"].numpy() for _ in range(2)]
    steps = Compose([AnisotropyAwareSpacing((2, 2, 2), array_axes="zyx"), NormalizeNonZero("resampled")])
    with pytest.warns(MriprepWarning, match="1 mm"):
        found = ArrayDataset(arrays, steps, [array > 0.5 for array in arrays])[1][0]
    image = Spacing((2, 2, 2), mode=3, padding_mode="nearest")(torch.from_numpy(arrays[1]))
    np.testing.assert_allclose(found, (image - image.mean()) / image.std(correction=0), atol=1e-4)


def scans(*shapes: tuple[int, int, int]) -> list[dict[str, MetaTensor]]:
    meta = {"array_axes": "zyx"}
    affine = torch.diag(torch.tensor([3.0, 1.2, 1.1, 1], dtype=torch.float64))
    return [{"image": MetaTensor(torch.rand(1, *shape), affine=affine, meta=dict(meta))} for shape in shapes]


@pytest.mark.parametrize("method", ["symmetric", "end"])
def test_padded_in_a_batch_and_back(method):
    """Three scans of three sizes in one batch; each prediction goes back to its own scan."""
    data = scans((6, 14, 12), (5, 12, 15), (7, 9, 9))
    spacing = AnisotropyAwareSpacingd("image", target=(2.0, 0.9, 1.0))
    loader = DataLoader(
        Dataset(data, spacing), batch_size=3, collate_fn=lambda items: pad_list_data_collate(items, method=method)
    )
    (batch,) = loader
    batch["pred"] = torch.cat([batch["image"], 1 - batch["image"]], dim=1)
    for item, case in zip(decollate_batch(batch), data, strict=True):
        whole = spacing(case)["image"].as_tensor()
        source, target = (Grid(v.shape[1:], v.affine.numpy()) for v in (case["image"], spacing(case)["image"]))
        for nearest, order in ((True, 0), (False, 1)):
            back = Invertd("pred", spacing, orig_keys="image", nearest_interp=nearest)(item)["pred"]
            assert torch.equal(back.affine, case["image"].affine)
            assert back.applied_operations == []
            expected = apply_plan(torch.cat([whole, 1 - whole]), plan_resampling(target, source, order))
            assert torch.equal(back.as_tensor(), expected)


@pytest.mark.parametrize("cropped", [False, True])
def test_padded_and_cropped_on_the_way_and_back(cropped):
    """`Invertd` of the resampling alone: what MONAI's own transforms did since is in the affine."""
    (case,) = scans((6, 14, 12))
    spacing = AnisotropyAwareSpacingd("image", target=(2.0, 0.9, 1.0))
    data = spacing(case)
    whole, affine = data["image"].as_tensor(), data["image"].affine
    data["number"] = MetaTensor(torch.arange(1, whole.numel() + 1).reshape(whole.shape), affine=affine)  # of each voxel
    both, sizes = ["image", "number"], ((20, 24, 28), (5, 9, 7))
    steps = [SpatialPadd(both, sizes[0]), Flipd(both, 1), CenterSpatialCropd(both, sizes[1])]
    data = Compose(steps if cropped else steps[:2])(data)
    left = torch.isin(torch.arange(1, whole.numel() + 1), data["number"].as_tensor()).reshape(whole.shape)
    assert bool(left.all()) is not cropped
    source, target = Grid((6, 14, 12), case["image"].affine.numpy()), Grid(whole.shape[1:], affine.numpy())
    expected = apply_plan(torch.where(left, whole, 0), plan_resampling(target, source, 0))
    back = Invertd("pred", spacing, orig_keys="image")({**data, "pred": MetaTensor(data["image"].as_tensor())})["pred"]
    assert torch.equal(back.as_tensor(), expected)
    assert torch.equal(back.affine, case["image"].affine)


def test_missing_keys_are_passed_over_when_asked(synthetic):
    paths = dictionary(synthetic, CASE)
    steps = build_transforms(target=SYNTHETIC_TARGET)
    expected = steps(paths)
    with pytest.raises(RuntimeError, match="applying transform"):
        steps({"image": paths["image"]})
    with allow_missing_keys_mode(steps):
        image = steps({"image": paths["image"]})
        label = steps({"label": paths["label"]})
    assert list(image) == ["image"]
    assert torch.equal(image["image"].as_tensor(), expected["image"].as_tensor())
    assert torch.equal(label["label"].as_tensor(), expected["label"].as_tensor())
    with pytest.raises(RuntimeError, match="applying transform"):
        steps({"image": paths["image"]})


def test_two_channels(synthetic):
    """A stack of two images is resampled as MONAI does it, and each channel normalized for itself."""
    image = LoadVolumed("image")({"image": dictionary(synthetic, CASE)["image"]})["image"]
    stack = torch.cat([image, 3 * image + 7])
    spacing = AnisotropyAwareSpacingd("image", target=SYNTHETIC_TARGET, mode="bilinear")
    theirs = Spacingd("image", pixdim=SYNTHETIC_TARGET, mode="bilinear", padding_mode="border")
    assert_as_monai(spacing({"image": stack})["image"], theirs({"image": stack})["image"], 1e-2)
    found = NormalizeNonZerod("image")({"image": stack})["image"]
    expected = NormalizeIntensityd("image", nonzero=True, channel_wise=True)({"image": stack.float()})["image"]
    np.testing.assert_allclose(found[stack != 0], expected[stack != 0], atol=1e-5)


def test_after_lazy_transforms():
    (case,) = scans((6, 14, 12))
    case["image"].meta["original_affine"] = case["image"].affine.clone()
    steps = [
        Flipd("image", 2),
        Orientationd("image", axcodes="RSA", labels=None),
        AnisotropyAwareSpacingd("image", (2, 1, 0.9)),
    ]
    expected = Compose(steps)(case)["image"]
    found = Compose(steps, lazy=True)(case)["image"]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(found.affine, expected.affine, atol=1e-9)
    pending = Flipd("image", 2, lazy=True)(case)
    assert pending["image"].has_pending_operations
    alone = steps[2](pending)["image"]
    assert pending["image"].has_pending_operations  # the input is left as it was
    np.testing.assert_allclose(alone, Compose([steps[0], steps[2]])(case)["image"], atol=1e-5)
    assert not alone.has_pending_operations


# --- Integer labels ---------------------------------------------------------------------------------------------------

LOGITS = torch.from_numpy(RNG.normal(size=(2, 3, 4, 5, 6)).astype(np.float32))
CLASSES = torch.from_numpy(RNG.integers(0, 3, (2, 1, 4, 5, 6)))
DIRECTLY = {
    "DiceLoss": lambda y: losses.DiceLoss(to_onehot_y=True, softmax=True)(LOGITS, y),
    "DiceCELoss": lambda y: losses.DiceCELoss(to_onehot_y=True, softmax=True)(LOGITS, y),
    "FocalLoss": lambda y: losses.FocalLoss(to_onehot_y=True)(LOGITS, y),
    "one_hot": lambda y: one_hot(y, 3),
    "AsDiscrete": lambda y: AsDiscrete(to_onehot=3)(y[0]),
    "DiceMetric": lambda y: DiceMetric(num_classes=3)(LOGITS.argmax(1, keepdim=True), y),
}
AS_LONG = {
    "CrossEntropyLoss": lambda y: torch.nn.CrossEntropyLoss()(LOGITS, y[:, 0]),
    "NLLLoss": lambda y: torch.nn.NLLLoss()(LOGITS, y[:, 0]),
    "torch one_hot": lambda y: torch.nn.functional.one_hot(y, 3),
    "indexing": lambda y: torch.eye(3)[y],
    "NACLLoss": lambda y: losses.NACLLoss(3, dim=3)(LOGITS, y[:, 0]),
}


@pytest.mark.parametrize("dtype", [torch.int8, torch.int16])
@pytest.mark.parametrize("name", [*DIRECTLY, *AS_LONG])
def test_what_takes_a_preprocessed_label_as_it_is(name, dtype):
    """What docs/training.md says of `.long()`."""
    label = CLASSES.to(dtype)
    if name in AS_LONG:
        with pytest.raises((RuntimeError, IndexError)):
            AS_LONG[name](label)
        AS_LONG[name](label.long())
    else:
        assert torch.equal(torch.as_tensor(DIRECTLY[name](label)), torch.as_tensor(DIRECTLY[name](CLASSES)))
