"""``preset: panther2025`` against what its authors run: a script of ten lines around SimpleITK, on every scan."""

from __future__ import annotations

import platform
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from monai.data.meta_tensor import MetaTensor

from monai_mriprep import LoadNpzd, Recipe, build_transforms, restore
from monai_mriprep.run.check import check_dataset
from monai_mriprep.verify.audit import verify_output
from tests.oracles import (
    SCANS,
    affine_of,
    affine_of_itk,
    itk_image,
    itk_resample,
    phantom,
    plan_axis,
    read,
    relative_error,
)
from tests.presets import assert_resumes, made_by

pytestmark = pytest.mark.filterwarnings("ignore:.*:monai_mriprep.errors.MriprepWarning")

PRESET = Recipe(preset="panther2025")
TOLERANCE = 2e-6
"""Of the range."""
NOTHING = 1e-7
"""Of the maximum: so little that its sign is rounding's. A spline leaves it where the scan holds exact zeros."""
ITK_ROUNDS_ALIKE = platform.machine() in ("x86_64", "AMD64")
"""Elsewhere SimpleITK's packages fuse multiplications with additions, and round otherwise."""
TIE = 1e-4
"""Voxels from a tie of the nearest neighbour, or from an outer face, that float noise may decide."""

TARGETS = {
    "isotropic": (1.0, 1.0, 1.0),  # what the rule makes of the table of `mixed`
    "anisotropic": (2.98, 0.664062, 0.664062),  # and of that of `anisotropic`
    "coarser": 1.37,
    "finer and coarser": (0.31, 1.37, 1.21),
}
"""Spacings z y x in mm; the last two as shares of each scan's own."""
LARGE = ("20001", "20005", "20007")
QUICK = {scan for scan in SCANS if scan.startswith("mixed/") and not any(name in scan for name in LARGE)}
"""Those that are small; ``make stress`` does the others."""


def script(image: SimpleITK.Image, target: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The authors' way, in float64: the resampled image, its z-scores, and its affine."""
    resampled = itk_resample(SimpleITK.Cast(image, SimpleITK.sitkFloat64), target, SimpleITK.sitkBSpline)
    values = SimpleITK.GetArrayFromImage(resampled)
    positive = values[values > 0]
    return values, (values - positive.mean()) / (positive.std() + 1e-6), affine_of_itk(resampled)


def opened(path: Path) -> SimpleITK.Image:
    """Read by ITK; the spacing of a NIfTI from its affine, as nibabel and we take it, not from pixdim.

    The two may differ in the eighth digit, which at the far end of an axis is 1e-5 voxels.
    """
    image = SimpleITK.ReadImage(str(path))
    if ".nii" in path.name:
        image.SetSpacing(np.linalg.norm(nibabel.load(path).affine[:3, :3], axis=0).tolist())
    return image


def assert_equal_to_the_script(image: Path, label: Path | None, target: tuple[float, ...]) -> None:
    paths = {"image": str(image)} if label is None else {"image": str(image), "label": str(label)}
    found = build_transforms(PRESET, target, "inference" if label is None else "training")(paths)
    values, expected, affine = script(opened(image), target)
    assert found["image"].shape[1:] == expected.shape
    np.testing.assert_allclose(found["image"].affine, affine, atol=1e-6)
    assert_scores(found["image"], values, expected)
    if label is None:
        return
    picked = itk_resample(SimpleITK.ReadImage(str(label)), target, SimpleITK.sitkNearestNeighbor)
    clear = away_from_ties(label, target)
    labels = np.maximum(SimpleITK.GetArrayFromImage(picked), 0)
    assert found["label"].shape[1:] == labels.shape
    np.testing.assert_allclose(found["label"].affine, affine, atol=1e-4)
    assert labels[clear].size > 0.5 * labels.size
    assert np.array_equal(found["label"][0].numpy()[clear], labels[clear])


def assert_scores(found: MetaTensor, values: np.ndarray, expected: np.ndarray) -> None:
    """Equal; where ITK rounds otherwise, each voxel that holds next to nothing may count to the foreground or not."""
    mean, std, voxels = (found.meta[f"foreground_{name}"] for name in ("mean", "std", "voxels"))
    scores = found[0].double().numpy()
    assert relative_error(scores * (std + 1e-6) + mean, values) < TOLERANCE
    nothing = np.abs(values) < NOTHING * values.max()
    doubtful = 0 if ITK_ROUNDS_ALIKE else int((nothing & (values != 0)).sum())
    positive = int((values > 0).sum())
    assert abs(voxels - positive) <= doubtful
    assert relative_error(scores, expected) < TOLERANCE + doubtful / positive


def away_from_ties(path: Path, target: tuple[float, ...]) -> tuple[np.ndarray, ...]:
    array, affine = read(path)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    axes = [plan_axis(n, s, t, "itk") for n, s, t in zip(array.shape, spacing, target, strict=True)]
    return np.ix_(*(np.abs(axis.positions % 1 - 0.5) > TIE for axis in axes))


def label_of(image: Path) -> Path | None:
    """The label of a scan of `mixed` that has one."""
    label = image.parents[1] / "LabelsTr" / f"{image.name.rpartition('_')[0]}_seg.mha"
    return label if label.exists() else None


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "scan", [pytest.param(scan, marks=[] if scan in QUICK else pytest.mark.stress) for scan in SCANS]
)
def test_every_scan_is_as_the_script_makes_it(scans, scan, target):
    path, wanted = scans / scan, TARGETS[target]
    spacing = np.array(opened(path).GetSpacing()[::-1])
    mm = wanted if "isotropic" in target else tuple((spacing * wanted).tolist())
    assert_equal_to_the_script(path, label_of(path), mm)


PHANTOMS = {
    "oblique": ((11, 42, 37), (3.3, 1.1, 0.9), 17.0, (1.0, 0.7, 1.3)),
    "one axis on its target": ((9, 30, 41), (3.0, 1.0, 0.8), -34.0, (3.0, 0.63, 0.8)),
    "within a thousandth of its target": ((9, 30, 41), (3.0009, 1.0, 0.8), 8.0, (3.0, 1.0, 0.8)),
    "much coarser": ((24, 50, 51), (1.0, 0.5, 0.5), 123.0, (2.9, 1.7, 1.7)),
    "slices beyond the last face": ((6, 25, 24), (6.5, 0.8, 0.8), 5.0, (0.97, 0.8, 0.61)),
    "three slices": ((3, 33, 35), (5.0, 1.0, 1.0), 61.0, (1.9, 1.2, 0.7)),
    "one slice": ((1, 33, 35), (5.0, 1.0, 1.0), 61.0, (1.9, 1.2, 0.7)),
}
"""Shape, spacing, degrees, target (z y x). Not two slices: ITK's own mirror reaches beyond two voxels."""


@pytest.mark.parametrize("name", PHANTOMS)
def test_an_oblique_noisy_phantom_is_as_the_script_makes_it(tmp_path, name):
    """Noise about zero in the air, so that greater than zero is neither not zero nor all; direction to float32."""
    shape, spacing, degrees, target = PHANTOMS[name]
    affine = affine_of(spacing, degrees, (11.0, -7.0, 3.0)).astype(np.float32).astype(np.float64)
    image, label = phantom(shape)
    noisy = image + np.random.default_rng(1).normal(0, 20, shape).astype(np.float32)
    SimpleITK.WriteImage(itk_image(noisy, affine), str(tmp_path / "image.mha"))
    SimpleITK.WriteImage(itk_image(label, affine), str(tmp_path / "label.mha"))
    assert_equal_to_the_script(tmp_path / "image.mha", tmp_path / "label.mha", target)


def test_each_key_of_the_preset_matters(synthetic):
    """Else the comparisons above could not tell one from the other."""
    path = next((synthetic / "ImagesTr").glob("10001_0002*"))
    target = (1.7, 1.1, 0.7)
    _, expected, _ = script(SimpleITK.ReadImage(str(path)), target)
    own = {"foreground": "carried"}, {"foreground": "resampled"}, {"epsilon": 1.0}
    for changed in ({"grid": "monai"}, {"boundary": "nearest"}, *({"normalization": keys} for keys in own)):
        steps = build_transforms(Recipe(preset="panther2025", **changed), target, "inference")
        found = steps({"image": str(path)})["image"][0].numpy()
        assert found.shape != expected.shape or relative_error(found, expected) > 1e-4, changed


# --- A whole run ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Path]:
    return made_by(PRESET, tmp_path_factory)


def test_check_foretells_the_shapes_and_verify_finds_them_intact(made):
    dataset, output = made
    foretold = {case.case: case.target_shape for case in check_dataset(dataset, PRESET).cases}
    volumes = LoadNpzd(["image"])
    found = {path.stem: tuple(volumes({"image": path})["image"].shape[1:]) for path in output.glob("imagesTr/*")}
    assert foretold == found
    report = verify_output(output, workers=0)
    assert not report.problems


def test_a_run_resumes_and_the_keys_written_out_are_the_same_recipe(made):
    assert_resumes(*made, PRESET)


def test_predictions_go_back_onto_the_scan(made, tmp_path):
    dataset, output = made
    restored = restore(output, output / "labelsTr", tmp_path / "restored")
    assert not restored.refused
    for path in restored.restored:
        source = SimpleITK.ReadImage(str(next((dataset / "LabelsTr").glob(f"{path.stem}*"))))
        back = SimpleITK.ReadImage(str(path))
        assert back.GetSize() == source.GetSize()
        for fact in ("GetSpacing", "GetOrigin", "GetDirection"):
            assert getattr(back, fact)() == getattr(source, fact)()
        one, other = (SimpleITK.GetArrayFromImage(image) > 0 for image in (back, source))
        assert 2 * (one & other).sum() / (one.sum() + other.sum()) > 0.9
