"""The shell around a list of steps: forward as MONAI and scipy, back to exactly the original grid."""

from __future__ import annotations

import copy
import math
import pickle
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data.dataloader import DataLoader
from monai.data.dataset import Dataset, PersistentDataset
from monai.data.meta_tensor import MetaTensor
from monai.data.utils import decollate_batch, pad_list_data_collate
from monai.transforms.compose import Compose
from monai.transforms.croppad.dictionary import CropForegroundd
from monai.transforms.io.dictionary import LoadImaged
from monai.transforms.post.dictionary import Invertd
from monai.transforms.spatial.dictionary import Flipd, Orientationd

from monai_mriprep import AnisotropyAwareSpacingd, LoadNpzd, LoadVolumed, SaveNpzd, build_transforms, load_recipe
from monai_mriprep.errors import GeometryError, ResamplingError
from monai_mriprep.recipe import Recipe
from monai_mriprep.restore.arrays import restore_array
from monai_mriprep.steps import steps_of
from monai_mriprep.steps.crop import NonZeroCrop
from monai_mriprep.steps.normalization import Normalization
from monai_mriprep.steps.orientation import Orientation
from monai_mriprep.steps.resampling import Resampling
from monai_mriprep.transforms.apply_steps import ApplyStepsd, trace_of
from monai_mriprep.transforms.tensors import grid_of, on_grid
from monai_mriprep.types import FOREGROUND, IMAGE, LABEL
from monai_mriprep.volume.geometry import Grid
from monai_mriprep.volume.resample import apply_plan, plan_resampling
from tests.oracles import (
    SCANS,
    dictionary,
    nearest,
    new_affine,
    plan,
    read,
    relative_error,
    rotation,
    spline,
    way_back,
    z_score,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*the crop loses:monai_mriprep.errors.MriprepWarning"),
]

GRID = Grid((9, 16, 18), np.diag([3.1, 1.2, 1.2, 1.0]))
TARGET = (2.0, 1.0, 0.9)


def blob(grid: Grid) -> MetaTensor:
    """A smooth label: an ellipsoid of half the extent, int16, that is no voxel's size."""
    axes = [np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in grid.shape]
    radius = np.sqrt(sum(a**2 for a in np.meshgrid(*axes, indexing="ij")))
    return on_grid(torch.from_numpy((radius < 0.71).astype(np.int16))[None], grid)


def dice(found: torch.Tensor, expected: torch.Tensor) -> float:
    found, expected = torch.as_tensor(found).bool(), torch.as_tensor(expected).bool()
    return 2 * int((found & expected).sum()) / max(1, int(found.sum() + expected.sum()))


def there_and_back(label: MetaTensor, target: tuple[float, ...], rule: str = "monai") -> MetaTensor:
    spacing = AnisotropyAwareSpacingd(["label"], target=target, order=0, grid=rule)
    return spacing.inverse(spacing({"label": label}))["label"]


@pytest.mark.parametrize("factor", [0.8, 2.3], ids="factor {}".format)
@pytest.mark.parametrize("rule", ["monai", "nnunet", "itk"])
@pytest.mark.parametrize("scan", SCANS)
def test_every_scan_comes_back(scans, scan, rule, factor):
    grid = grid_of(LoadVolumed(["image"])({"image": str(scans / scan)})["image"])
    label = blob(grid)
    back = there_and_back(label, tuple(factor * s for s in grid.spacing), rule)
    assert grid_of(back) == grid
    assert back.dtype == label.dtype
    assert back.applied_operations == []
    assert factor > 1 or dice(back, label) >= 0.97


@st.composite
def grids(draw) -> Grid:
    """Rotated, mirrored, permuted and shifted, with noise in the last digits."""
    shape = draw(st.tuples(*[st.integers(1, 24)] * 3))
    spacing = draw(st.tuples(*[st.floats(0.3, 5.0)] * 3))
    flips = np.diag(draw(st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3)))
    axes = np.eye(3)[:, draw(st.permutations(range(3)))]
    affine = np.eye(4)
    affine[:3, :3] = rotation(draw(st.floats(-180, 180))).astype(np.float32) @ flips @ axes * spacing
    affine[:3, 3] = draw(st.tuples(*[st.floats(-500, 500)] * 3))
    return Grid(shape, affine)


@settings(max_examples=200)
@given(grid=grids(), factors=st.tuples(*[st.floats(0.3, 3.0)] * 3), rule=st.sampled_from(["monai", "nnunet", "itk"]))
def test_random_grids_come_back(grid, factors, rule):
    label = blob(grid)
    back = there_and_back(label, tuple(f * s for f, s in zip(factors, grid.spacing, strict=True)), rule)
    assert grid_of(back) == grid


@settings(max_examples=200)
@given(grid=grids(), factors=st.tuples(*[st.floats(0.3, 1.0)] * 3), rule=st.sampled_from(["monai", "nnunet", "itk"]))
def test_where_the_target_is_not_coarser_labels_survive(grid, factors, rule):
    label = blob(grid)
    back = there_and_back(label, tuple(f * s for f, s in zip(factors, grid.spacing, strict=True)), rule)
    assert torch.equal(back.as_tensor(), label.as_tensor())


@pytest.mark.parametrize("order", [1, 3])
def test_probabilities_come_back(order):
    """A smooth probability, thresholded after the way back, is the original's thresholded."""
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in (30, 40, 44)), indexing="ij")
    smooth = torch.from_numpy(1 / (1 + np.exp(8 * (np.sqrt(sum(a**2 for a in axes)) - 0.6)))).float()
    image = on_grid(smooth[None], Grid((30, 40, 44), np.diag([2.0, 1.0, 1.0, 1.0])))
    spacing = AnisotropyAwareSpacingd(["image"], target=(1.3, 0.9, 0.8), order=order)
    back = spacing.inverse(spacing({"image": image}))["image"]
    assert grid_of(back) == grid_of(image)
    assert dice(back > 0.5, image > 0.5) >= 0.99
    assert torch.allclose(back.as_tensor(), image.as_tensor(), atol=0.05)


class Predict:
    """A network that gives three channels of floats on the target grid; a copy of itself in each worker."""

    def __init__(self, spacing: AnisotropyAwareSpacingd) -> None:
        self.spacing = spacing

    def __call__(self, data: dict) -> dict:
        result = self.spacing(data)
        image = result["image"].as_tensor()
        return {**result, "pred": MetaTensor(torch.cat([image.sin(), image.cos(), 0.5 * image]))}


@pytest.fixture
def case() -> dict[str, MetaTensor]:
    values = torch.from_numpy(np.random.default_rng(0).normal(size=(1, *GRID.shape)).astype(np.float32))
    return {"image": on_grid(values, GRID), "label": blob(GRID)}


@pytest.mark.parametrize("method", ["fork", "forkserver", pytest.param("spawn", marks=pytest.mark.stress)])
def test_invertd_after_workers(case, method):
    """Both interpolations from one batch, against scipy's."""
    spacing = AnisotropyAwareSpacingd(["image", "label"], target=TARGET)
    loader = DataLoader(
        Dataset([case, case], Predict(spacing)), batch_size=2, num_workers=1, multiprocessing_context=method
    )
    (batch,) = loader
    assert batch["pred"].shape[:2] == (2, 3)
    expected = Predict(spacing)(case)
    axes = way_back(plan(GRID.shape, GRID.affine, TARGET))
    for item in decollate_batch(batch):
        hard, soft = (
            Invertd("pred", spacing, orig_keys="image", nearest_interp=asked)(item)["pred"] for asked in (True, False)
        )
        assert grid_of(hard) == grid_of(soft) == GRID
        for channel, values in enumerate(expected["pred"].numpy()):
            assert np.array_equal(hard[channel], nearest(values, axes))
            np.testing.assert_allclose(soft[channel], spline(values, axes, 1), atol=1e-6)


def test_invertd_of_class_numbers_in_floats(case):
    """`AsDiscrete` gives floats: asked for nearest, no value may be made up in between."""
    spacing = AnisotropyAwareSpacingd(["image", "label"], target=TARGET)
    data = spacing(case)
    data["pred"] = data["label"].float() * 3
    back = Invertd("pred", spacing, orig_keys="image", nearest_interp=True)(data)["pred"]
    assert back.unique().tolist() == [0.0, 3.0]
    assert dice(back, case["label"]) >= 0.97
    assert grid_of(back) == GRID


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int64])
@pytest.mark.parametrize("way", ["inverse", "Invertd"])
def test_integers_go_back_by_nearest_neighbour_whatever_way_the_image_came(case, dtype, way):
    """An argmax has the image's history, which says cubic; between its classes 0 and 7 there is nothing."""
    spacing = AnisotropyAwareSpacingd(["image"], target=TARGET)
    image = spacing({"image": case["image"]})["image"]
    classes = 7 * (image.as_tensor() > 0.3).to(dtype)
    plan = plan_resampling(grid_of(image), GRID, 0)
    if way == "inverse":
        prediction = MetaTensor(classes, meta=image.meta, applied_operations=image.applied_operations)
        back = spacing.inverse({"image": prediction})["image"]
    else:
        inverter = Invertd("pred", spacing, orig_keys="image", nearest_interp=False, to_tensor=False)
        back = inverter({"image": image, "pred": MetaTensor(classes)})["pred"]
    assert back.unique().tolist() == [0, 7]
    assert torch.equal(back.as_tensor().to(dtype), apply_plan(classes, plan))


def test_each_volume_goes_back_to_its_own_affine(case):
    """A label's header may differ from its image's in the last digits; what was there comes back, not a copy."""
    own = GRID.affine + np.array([[0, 0, 0, 2e-6], [0, 1e-7, 0, 0], [0, 0, 0, -1e-6], [0, 0, 0, 0]])
    label = on_grid(case["label"].as_tensor(), Grid(GRID.shape, own))
    spacing = AnisotropyAwareSpacingd(["image", "label"], target=TARGET)
    back = spacing.inverse(spacing({"image": case["image"], "label": label}))
    assert np.array_equal(back["image"].affine.numpy(), GRID.affine)
    assert np.array_equal(back["label"].affine.numpy(), own)


def test_of_two_resamplings_the_last_is_undone_first():
    first, second = (AnisotropyAwareSpacingd(["label"], target=t, order=0) for t in (TARGET, (1.0, 0.7, 0.6)))
    label = blob(GRID)
    once = first({"label": label})
    back = second.inverse(second(once))
    assert grid_of(back["label"]) == grid_of(once["label"])
    assert len(back["label"].applied_operations) == 1
    home = first.inverse(back)["label"]
    assert grid_of(home) == GRID
    assert torch.equal(home.as_tensor(), label.as_tensor())


def test_each_transform_undoes_its_own_record_whatever_another_has_done_since(case):
    """Voxels at half the spacing, and then at a quarter: those of the source are among them."""
    shell = ApplyStepsd({"image": IMAGE, "label": LABEL}, [Resampling(target=(1.55, 0.6, 0.6))])
    finer = AnisotropyAwareSpacingd(["image", "label"], target=(0.775, 0.3, 0.3))
    home = shell.inverse(finer(shell(case)))
    for key, volume in case.items():
        assert grid_of(home[key]) == GRID
        assert home[key].applied_operations == []
        np.testing.assert_allclose(home[key].numpy(), volume.numpy(), atol=1e-5)


def test_only_an_image_says_of_what_its_z_scores_were_made(case):
    found = ApplyStepsd({"image": IMAGE, "label": LABEL}, [Normalization()])(case)
    inside = case["image"].numpy()[case["image"].numpy() != 0].astype(np.float64)
    assert found["image"].meta["foreground_mean"] == pytest.approx(inside.mean(), rel=1e-9)
    assert not [name for name in found["label"].meta if str(name).startswith("foreground")]


# --- Orientation and crop, as MONAI does them -------------------------------------------------------------------------

BOTH = ("image", "label")
UNLIKE = (
    "mixed/ImagesTr/20001_0002_t2w.mha",
    "traps/axis_codes/PIR.nii.gz",
    "traps/axis_codes/RSP.nii.gz",
    "traps/permuted_axes/ProstateX-0000_sag.mha",
    "traps/stale_label/ProstateX-0000_0000.nii.gz",
)
"""Straight, permuted and oblique."""

BORDER = (slice(None), slice(1, -1), slice(3, -2), slice(0, -5))
CODES = {"keep": None, "RAS": "SAR", "LPS": "SPL", "ASL": "LSA"}
"""In a recipe they name the file's axes x y z, and in MONAI those of the array, z y x."""


def bordered(path: Path) -> dict[str, MetaTensor]:
    """A scan in a border of zeros, and a label that reaches beyond its box."""
    scan = LoadVolumed("image")({"image": str(path)})["image"]
    image = torch.zeros_like(scan)
    image[BORDER] = scan[BORDER] + 1 - scan.min()
    label = on_grid(blob(grid_of(scan)).as_tensor(), grid_of(scan), scan)
    label[:, 0] = 2
    return {"image": image, "label": label}


def by_monai(spacing: tuple[float, ...], codes: str | None, margin: float | None) -> Compose:
    """Of arrays whose axes, once turned, have this spacing."""
    steps = [] if codes is None else [Orientationd(BOTH, axcodes=codes, labels=None)]
    if margin is not None:
        voxels = [math.ceil(margin / s) for s in spacing]
        steps += [CropForegroundd(BOTH, "image", partial(torch.ne, other=0), margin=voxels, allow_smaller=True)]
    return Compose(steps)


def recipe_of(codes: str, margin: float | None, **options: object) -> Recipe:
    crop = {} if margin is None else {"crop": "nonzero", "crop_margin": margin}
    return Recipe(orientation=codes, **crop, **options)


@pytest.mark.parametrize(("codes", "margin"), [("RAS", None), ("keep", 0.0), ("LPS", 2.5), ("ASL", 0.7)])
@pytest.mark.parametrize("scan", UNLIKE)
def test_orientation_and_crop_are_those_of_monai(scans, scan, codes, margin):
    data = bordered(scans / scan)
    steps = [] if codes == "keep" else [Orientation(codes=codes)]
    steps += [] if margin is None else [NonZeroCrop(margin=margin)]
    shell = ApplyStepsd({"image": IMAGE, "label": LABEL}, steps)
    found = shell(data)
    monai = by_monai(grid_of(found["image"]).spacing, CODES[codes], margin)
    back, expected = shell.inverse(found), monai(data)
    home = monai.inverse(expected)
    for key in BOTH:
        assert torch.equal(found[key].as_tensor(), expected[key].as_tensor())
        np.testing.assert_allclose(found[key].affine, expected[key].affine, atol=1e-9)
        assert torch.equal(back[key].as_tensor(), home[key].as_tensor())
        assert grid_of(back[key]) == grid_of(data[key])


@pytest.mark.parametrize(("codes", "margin"), [("RAS", None), ("keep", 3.0), ("LPS", 1.0)])
@pytest.mark.parametrize("factors", [(0.7, 0.9, 0.8), (1.7, 1.4, 2.2)], ids=["finer", "coarser"])
@pytest.mark.parametrize("case", ["10001_0002", "10002_0001"])
@pytest.mark.filterwarnings("ignore:.*negative label voxel:monai_mriprep.errors.MriprepWarning")
def test_the_recipe_is_monais_turn_and_crop_and_then_scipys_spline(synthetic, case, codes, margin, factors):
    paths = dictionary(synthetic, case)
    loaded = LoadVolumed(BOTH)(paths)
    spacing = grid_of(by_monai((), CODES[codes], None)(loaded)["image"]).spacing
    native = by_monai(spacing, CODES[codes], margin)(loaded)
    grid = grid_of(native["image"])
    target = tuple(f * s for f, s in zip(factors, grid.spacing, strict=True))
    axes = plan(grid.shape, grid.affine, target)
    image, label = (native[key][0].numpy() for key in BOTH)

    found = build_transforms(recipe_of(codes, margin), target)(paths)

    expected = z_score(spline(image, axes, 3), nearest(image != 0, axes))
    assert relative_error(found["image"][0].numpy(), expected) < 1e-6
    assert np.array_equal(found["label"][0], nearest(label, axes).clip(0))
    for volume in found.values():
        np.testing.assert_allclose(volume.affine, new_affine(grid.affine, axes), atol=1e-9)
        assert volume.meta["target_spacing"].tolist() == list(target)
        assert volume.meta["array_axes"] == "zyx"
        np.testing.assert_allclose(volume.meta["original_affine"], read(Path(paths["image"]))[1], atol=1e-9)


# --- The one way back -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scan", "codes", "factor"), [*((scan, "LPS", 2.3) for scan in SCANS), *((scan, "RAS", 0.8) for scan in UNLIKE)]
)
def test_invertd_gives_the_voxels_of_restore(scans, scan, codes, factor):
    """Labels, one channel and many: none may differ."""
    path = str(scans / scan)
    loaded = LoadVolumed("image")({"image": path})["image"]
    native = Orientation(codes=codes).grid(grid_of(loaded))
    target = tuple(factor * s for s in native.spacing)
    steps = build_transforms(recipe_of(codes, 2.0), target, "inference")
    data = steps({"image": path})
    hard = (data["image"].as_tensor() * 3).round().clamp(0, 5).to(torch.uint8)
    soft = torch.stack([data["image"].as_tensor()[0].mul(turn).sin() for turn in (1, 2, 3)]).softmax(0)
    predictions = {"hard": MetaTensor(hard), "one": MetaTensor(soft[:1]), "many": MetaTensor(soft)}
    invert = Invertd([*predictions], steps, orig_keys="image", nearest_interp=[True, False, False], to_tensor=False)
    back, trace = invert({**data, **predictions}), trace_of(data["image"])
    for key, volume in predictions.items():
        assert grid_of(back[key]) == grid_of(loaded)
        restored = restore_array(volume.numpy(), trace, probabilities=key != "hard")
        assert np.array_equal(back[key].numpy().reshape(restored.shape), restored)
    classes = restore_array(soft.numpy(), trace)
    assert np.array_equal(back["many"].argmax(0), classes)


def test_what_stands_after_an_orientation_knows_its_axes(synthetic, tmp_path):
    """A second resampling, a file, and the way back through both."""
    path = dictionary(synthetic, "10002_0001")["image"]
    oriented = build_transforms(recipe_of("RSA", None), (1.5, 2.5, 2.0), "inference")  # arrays run to A, S, R
    data = oriented({"image": path})
    assert nibabel.aff2axcodes(data["image"].affine) == ("A", "S", "R")
    spacing = AnisotropyAwareSpacingd("image", target=(2.0, 1.0, 3.0))
    again = spacing(data)["image"]
    np.testing.assert_allclose(again.pixdim, (2.0, 1.0, 3.0))
    SaveNpzd("image", tmp_path)({"image": again})
    stored = LoadNpzd("image")({"image": str(tmp_path / "imagesTr" / "10002_0001_t2w.npz")})["image"]
    assert torch.equal(stored.affine, again.affine)
    assert stored.meta["target_spacing"].tolist() == [2.0, 1.0, 3.0]
    once = spacing.inverse({"image": again})["image"]
    assert grid_of(once) == grid_of(data["image"])
    for name, value in data["image"].meta.items():
        assert np.array_equal(once.meta[name], value), name
    home = oriented.inverse({"image": once})["image"]
    assert grid_of(home) == grid_of(LoadVolumed("image")({"image": path})["image"])
    assert home.meta.keys() == LoadVolumed("image")({"image": path})["image"].meta.keys() | {
        f"foreground_{name}" for name in ("mean", "std", "voxels")
    }


@pytest.mark.parametrize("flipped", [False, True])
def test_arrays_in_x_y_z_are_oriented_by_the_same_names(synthetic, flipped):
    """Whatever was done to the axes before, an orientation says how they run."""
    path = {"image": dictionary(synthetic, "10002_0001")["image"]}
    shell = ApplyStepsd({"image": IMAGE}, [Orientation(codes="LPS"), Resampling(target=(1.5, 2.5, 2.0))], "xyz")
    data = LoadImaged("image", reader="ITKReader", ensure_channel_first=True)(path)
    data = Compose([Flipd("image", 1), Orientationd("image", "SPL", labels=None)])(data) if flipped else data
    found = shell(data)["image"]
    assert nibabel.aff2axcodes(found.affine) == ("L", "P", "S")
    expected = ApplyStepsd({"image": IMAGE}, shell.steps)(LoadVolumed("image")(path))["image"]
    np.testing.assert_allclose(found.permute(0, 3, 2, 1), expected, rtol=0, atol=1e-6 * float(expected.max()))
    back = shell.inverse({"image": found})["image"]
    assert back.shape == data["image"].shape
    np.testing.assert_allclose(back.affine, data["image"].affine, atol=1e-9)


# --- The trace --------------------------------------------------------------------------------------------------------


def test_the_trace_survives_whatever_monai_does_with_a_tensor(case, tmp_path):
    steps = [Orientation(codes="LPI"), NonZeroCrop(), Resampling(target=TARGET), Normalization()]
    shell = ApplyStepsd({"image": IMAGE, "label": LABEL}, steps)
    found = shell(case)
    trace = trace_of(found["image"])
    assert [one.step for one in trace.steps] == steps
    assert (trace.source, trace.target.shape) == (GRID, tuple(found["image"].shape[1:]))
    assert trace_of(found["label"]) == trace
    (batch,) = DataLoader(Dataset([case, case], shell), batch_size=2, collate_fn=pad_list_data_collate)
    options = {"track_meta": True, "weights_only": True}
    for _ in ("made", "read"):
        cached = PersistentDataset([case], Compose([shell]), tmp_path, **options)[0]
        assert trace_of(cached["image"]) == trace
    for item in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found), *decollate_batch(batch)):
        assert trace_of(item["image"]) == trace
    assert trace_of(Flipd("image", 0)(found)["image"]) == trace


def test_without_a_history_the_error_says_where_it_may_have_gone(case):
    shell = ApplyStepsd({"image": IMAGE}, [Resampling(target=TARGET)])
    for lost in (shell(case)["image"].as_tensor(), case["image"]):
        with pytest.raises(ResamplingError, match=r"no record of ApplyStepsd.*PersistentDataset"):
            trace_of(lost)
        with pytest.raises(ResamplingError, match=r"image: no record of ApplyStepsd.*by the inverse of LoadNpzd"):
            shell.inverse({"image": lost})


def test_a_label_that_comes_alone(case):
    """The foreground and the z-scores are the image's; so is the box of a crop, without which there is no grid."""
    roles = {"image": IMAGE, "label": LABEL}
    whole = ApplyStepsd(roles, steps_of(Recipe(), TARGET))
    with pytest.raises(KeyError):
        whole({"label": case["label"]})
    for recipe in (
        Recipe(),
        Recipe(normalization={"foreground": "native"}),
        load_recipe(overrides=["preset=panther2025"]),
    ):
        shell = ApplyStepsd(roles, steps_of(recipe, TARGET), allow_missing_keys=True)
        assert torch.equal(shell({"label": case["label"]})["label"].as_tensor(), shell(case)["label"].as_tensor())
    cropped = ApplyStepsd(roles, [NonZeroCrop()], allow_missing_keys=True)
    with pytest.raises(ResamplingError, match="there is no image"):
        cropped({"label": case["label"]})


def test_a_mask_of_your_own_for_the_z_scores(case):
    """The normalisation takes the mask that it is given, and drops it; the way back does without."""
    roles = {"image": IMAGE, "body": FOREGROUND}
    body = on_grid(case["label"].as_tensor() > 0, GRID)
    shell = ApplyStepsd(roles, [Resampling(target=TARGET), Normalization(over="foreground")])
    found = shell({"image": case["image"], "body": body, "name": "a"})
    assert set(found) == {"image", "name"}
    axes = plan(GRID.shape, GRID.affine, TARGET)
    expected = z_score(spline(case["image"][0].numpy(), axes, 3), nearest(body[0].numpy(), axes))
    assert relative_error(found["image"][0].numpy(), expected) < 1e-6
    assert grid_of(shell.inverse(found)["image"]) == GRID


def test_two_keys_of_one_role_are_refused():
    with pytest.raises(ResamplingError, match="a role of its own"):
        ApplyStepsd({"t2": IMAGE, "adc": IMAGE}, [])


# --- Memory -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "further",
    [torch.ones(1, 9, 16, 17), on_grid(torch.ones(1, 9, 16, 17), GRID.part((0, 0, 0), (9, 16, 17)))],
    ids=["plain", "tracked"],
)
def test_what_lies_elsewhere_than_the_first_is_named_by_its_key(further):
    apply = ApplyStepsd({"t2": IMAGE, "brain": FOREGROUND}, [])
    with pytest.raises(GeometryError, match=r"^t2 and brain differ in size"):
        apply({"t2": on_grid(torch.rand(1, *GRID.shape), GRID), "brain": further})


def case_and_arrays() -> tuple[dict[str, MetaTensor], dict[str, weakref.ref]]:
    """An image and a label, and whether the memory of their voxels is still held."""
    arrays = {"image": np.random.default_rng(0).random((1, *GRID.shape)), "label": np.ones((1, *GRID.shape), np.int16)}
    volumes = {key: on_grid(torch.from_numpy(array), GRID) for key, array in arrays.items()}
    return volumes, {key: weakref.ref(array) for key, array in arrays.items()}


@pytest.mark.skipif(sys.version_info < (3, 11), reason="before 3.11 a call holds its arguments until it returns")
def test_volumes_that_are_handed_over_are_freed_once_a_step_has_replaced_them():
    volumes, arrays = case_and_arrays()
    held = {}

    @contextmanager
    def around(step: str) -> Iterator[None]:
        held[step] = [key for key, array in arrays.items() if array() is not None]
        yield

    steps = steps_of(Recipe(), TARGET)
    done = ApplyStepsd({"image": IMAGE, "label": LABEL}, steps, around=around).consume(volumes)
    assert done is volumes
    assert held == {
        "foreground": ["image", "label"],
        "resampling": ["image", "label"],
        "normalization": [],
        "label_cast": [],
    }


def test_a_call_leaves_the_volumes_where_they_were():
    volumes, arrays = case_and_arrays()
    before = {key: (volume, volume.clone()) for key, volume in volumes.items()}
    called = ApplyStepsd({"image": IMAGE, "label": LABEL}, steps_of(Recipe(), TARGET))(volumes)
    assert called.keys() == volumes.keys() == arrays.keys()
    for key, (volume, values) in before.items():
        assert volumes[key] is volume
        assert torch.equal(volume, values)
        assert grid_of(volume) == GRID
