"""``preset: nnunet`` against nnU-Net's own preprocessor: shapes, voxels and labels."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import torch

pytest.importorskip("nnunetv2", reason="nnU-Net has an environment of its own (docs/nnunet.md)")

from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from monai_mriprep import Recipe, build_transforms, open_dataset, preprocess
from monai_mriprep.steps import backward
from monai_mriprep.transforms.way_back import trace_of
from tests.oracles import affine_of, itk_image

pytestmark = pytest.mark.filterwarnings("ignore")

CAMPAIGN = os.environ.get("MRIPREP_CAMPAIGN") == "1"
BENCH = Path(__file__).parents[3] / "shared" / "bench" / "make_dataset.py"
TOLERANCE = 2e-6
"""Of the range."""
CONSTANT = 1e-6
"""Z-scores within this are those of a constant channel, which has no range to speak of."""
FORCED = (2.3, 1.1, 0.9)
"""A target that is none of the datasets', mm, z y x."""
RANDOM = 240 if CAMPAIGN else 60

RESAMPLING = {"order_z": 0, "force_separate_z": None}


def plans_of(recipe: Recipe, target: tuple[float, ...]) -> PlansManager:
    """Plans that say what a recipe does at a target, z y x."""
    axes, with_mask = recipe.transposition(target), recipe.normalization.foreground == "filled"
    channels = recipe.channel_count
    fullres = {
        "architecture": {},  # else nnU-Net takes the plans for those of an old version
        "spacing": [target[axis] for axis in axes],
        "normalization_schemes": ["ZScoreNormalization"] * channels,
        "use_mask_for_norm": [with_mask] * channels,
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, **RESAMPLING},
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, **RESAMPLING},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, **RESAMPLING},
    }
    plans = {
        "transpose_forward": list(axes),
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {str(channel): {} for channel in range(channels)},
        "configurations": {"3d_fullres": fullres},
    }
    return PlansManager(plans)


def by_nnunet(
    images: list[str], label: str | None, recipe: Recipe, target: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
    plans, reader = plans_of(recipe, target), SimpleITKIO()
    data, properties = reader.read_images(images)
    seg = None if label is None else reader.read_seg(label)[0]
    classes = {"background": 0} | {str(value): value for value in range(1, 50)}
    configuration = plans.get_configuration("3d_fullres")
    preprocessor = DefaultPreprocessor(verbose=False)
    done = preprocessor.run_case_npy(data, seg, properties, plans, configuration, {"labels": classes})
    return done[:2]


def assert_as_nnunet(images: list[str], label: str | None, recipe: Recipe, target: tuple[float, ...]) -> None:
    expected, seg = by_nnunet(images, label, recipe, target)
    item = {"image": images if len(images) > 1 else images[0], **({} if label is None else {"label": label})}
    found = build_transforms(recipe, target, "inference" if label is None else "training")(item)
    assert_equal(found["image"].numpy(), expected)
    if label is not None:
        assert found["label"].numpy().dtype == seg.dtype
        assert np.array_equal(found["label"].numpy(), seg)


def assert_equal(image: np.ndarray, expected: np.ndarray) -> None:
    assert image.shape == expected.shape
    for found, wanted in zip(image, expected.astype(np.float64), strict=True):
        assert np.abs(found - wanted).max() < TOLERANCE * max(float(np.ptp(wanted)), CONSTANT)


def recipe_of(**keys) -> Recipe:
    return Recipe(**{"preset": "nnunet", **keys})


@pytest.mark.parametrize("foreground", ["crop", "filled"])
@pytest.mark.parametrize("target", [None, FORCED], ids=["own target", "forced target"])
@pytest.mark.parametrize("dataset", ["mixed", "anisotropic"])
def test_every_scan_of_a_dataset(shared_data, dataset, target, foreground):
    if (target is None) != (foreground == "crop") and not CAMPAIGN:
        pytest.skip("up to 30 seconds, and told by the others: MRIPREP_CAMPAIGN=1 does it")
    recipe = recipe_of(normalization={"foreground": foreground})
    items, _, derivation = open_dataset(shared_data / dataset, recipe)
    for item in items:
        assert_as_nnunet([item["image"]], item["label"], recipe, target or derivation.spacing)


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Path:
    if not BENCH.is_file():
        pytest.skip(f"the script that makes these scans is not here: {BENCH}")
    folder, (cases, scale) = tmp_path_factory.mktemp("bench"), (("12", "1") if CAMPAIGN else ("3", "0.5"))
    subprocess.run([sys.executable, str(BENCH), str(folder), "--cases", cases, "--scale", scale], check=True)
    return folder


def test_a_run_of_a_dataset_of_the_size_of_abdomens(bench, tmp_path):
    summary = preprocess(bench, tmp_path, recipe_of(), workers=0)
    items, _, derivation = open_dataset(bench, recipe_of())
    assert len(summary.done) == len(items)
    for item in items:
        expected, seg = by_nnunet([item["image"]], item["label"], recipe_of(), derivation.spacing)
        image, label = (
            np.load(tmp_path / folder / f"{Path(item[role]).stem}.npz")["arr_0"]
            for role, folder in (("image", "imagesTr"), ("label", "labelsTr"))
        )
        assert_equal(image, expected)
        assert np.array_equal(label, seg)


# --- Small arrays with exact ties -------------------------------------------------------------------------------------

EDGES = (0.5, 1.0, 1.25, 2.0, 3.0, 4.0)


def write(path: str, voxels: np.ndarray, affine: np.ndarray, spacing: tuple[float, ...]) -> None:
    """The spacing to the last digit, which the length of an affine's column has not."""
    image = itk_image(voxels, affine)
    image.SetSpacing(spacing[::-1])
    SimpleITK.WriteImage(image, path)


def random_case(folder: Path, seed: int) -> tuple[list[str], str, Recipe, tuple[float, ...]]:
    """Few classes, spacings whose quotients are exact, thin axes, any axis the coarsest, oblique or not."""
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.choice([1, 2, 3, 5, 8, 12, 13, 18], 3))
    spacing, target = (tuple(float(edge) for edge in rng.choice(EDGES, 3)) for _ in range(2))
    affine = affine_of(spacing, float(rng.choice([0, 0, 17.3])), (1.5, -20.25, 3.0))
    channels = int(rng.integers(1, 4))
    air = rng.random(shape) < rng.choice([0.0, 0.3, 0.8])
    air[: shape[0] // 3] |= rng.random() < 0.5
    air[:, :, -(shape[2] // 4) or shape[2] :] = True
    of_channels = np.where(air | (rng.random((channels, *shape)) < 0.1), 0, rng.integers(1, 1000, (channels, *shape)))
    images = [str(folder / f"{seed}_{channel:04d}.mha") for channel in range(channels)]
    for path, voxels in zip(images, of_channels.astype(np.int16), strict=True):
        write(path, voxels, affine, spacing)
    box = [
        np.ptp(index) + 1 if len(index) else n
        for index, n in zip(of_channels.any(axis=0).nonzero(), shape, strict=True)
    ]
    target = tuple(
        min(1.5 * n * s, t) for n, s, t in zip(box, spacing, target, strict=True)
    )  # at least one voxel is left
    classes = rng.choice([0, 1, 2, 49, 200], int(rng.integers(2, 5)), replace=False)
    blocks = rng.choice(classes, [-(-n // 2) for n in shape])  # pairs of voxels: ties at even factors
    label = blocks.repeat(2, 0).repeat(2, 1).repeat(2, 2)[: shape[0], : shape[1], : shape[2]]
    label = np.where(rng.random(shape) < 0.2, rng.choice(classes, shape), label).astype(np.int16)
    write(str(folder / f"{seed}.mha"), label, affine, spacing)
    keys = {
        "channels": [f"{channel:04d}" for channel in range(channels)],
        "normalization": {"foreground": str(rng.choice(["crop", "filled"]))},
        "transpose": [(0, 1, 2), (2, 0, 1), "coarsest_first", "none"][rng.integers(4)],
    }
    return images, str(folder / f"{seed}.mha"), recipe_of(**keys), target


@pytest.mark.parametrize("seed", range(RANDOM))
def test_small_arrays_with_ties(tmp_path, seed):
    images, label, recipe, target = random_case(tmp_path, seed)
    assert_as_nnunet(images, label, recipe, target)
    assert_as_nnunet(images, None, recipe, target)


@pytest.mark.parametrize("seed", range(RANDOM // 2))
def test_scores_go_back_as_by_nnunets_export(tmp_path, seed):
    """Resampled to the crop, put into the scan, and turned back."""
    images, _, recipe, target = random_case(tmp_path, seed)
    item = {"image": images if len(images) > 1 else images[0]}
    trace = trace_of(build_transforms(recipe, target, "inference")(item)["image"])
    scores = np.random.default_rng(seed).normal(size=(3, *trace.target.shape)).astype(np.float32)
    back = backward(trace, torch.from_numpy(scores))[0].numpy()
    plans, (_, properties) = plans_of(recipe, target), SimpleITKIO().read_images(images)
    axes, crop = recipe.transposition(target), next(one for one in trace.steps if one.step.name == "filled_crop")
    box = tuple(slice(*ends) for ends in zip(crop.params["begin"], crop.params["end"], strict=True))
    configuration, spacing = plans.get_configuration("3d_fullres"), [properties["spacing"][axis] for axis in axes]
    shape = [part.stop - part.start for part in box]
    expected = configuration.resampling_fn_probabilities(scores, shape, configuration.spacing, spacing)
    turned = back.transpose(0, *(axis + 1 for axis in axes))
    assert np.abs(turned[(slice(None), *box)] - expected).max() < TOLERANCE * np.ptp(expected)
    turned[(slice(None), *box)] = 0
    assert not turned.any()


@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".nrrd"])
@pytest.mark.parametrize("degrees", [0, 17.3, 100])
def test_sizes_at_exact_halves_of_oblique_scans(tmp_path, suffix, degrees):
    """A NIfTI has its directions in float32, so that lengths of the affine's columns are off in the eighth digit."""
    for number, (spacing, target) in enumerate(
        [((3.3, 0.5, 0.7), (2.2, 1.0, 0.4)), ((0.9, 1.5, 3.0), (0.6, 1.0, 1.0))]
    ):
        voxels = np.random.default_rng(number).integers(1, 99, (7, 13, 9)).astype(np.int16)
        path = str(tmp_path / f"{number}{suffix}")
        write(path, voxels, affine_of(spacing, degrees, (10.5, 20, -7)), spacing)
        assert_as_nnunet([path], None, recipe_of(transpose="none"), target)
