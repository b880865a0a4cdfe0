"""Values that float32 does not hold fail their case by name; no file is written that holds one."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager

import numpy as np
import pytest
import SimpleITK

from monai_mriprep import Recipe, build_transforms, preprocess
from monai_mriprep.errors import LabelError, VoxelError
from monai_mriprep.run.check import check_dataset

TARGET = (2.0, 1.0, 0.7)
LARGEST = float(np.finfo(np.float32).max)
FOREGROUNDS = ("carried", "resampled", "resampled_positive", "native")

pytestmark = pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")


def write(path, array):
    path.parent.mkdir(exist_ok=True)
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing((1.0, 1.0, 3.0))
    SimpleITK.WriteImage(image, str(path))


@pytest.fixture
def dataset(tmp_path):
    """A case that is well and one to be spoilt, float64 images."""
    rng = np.random.default_rng(0)
    for case in ("10001_0001", "10002_0001"):
        write(tmp_path / "ImagesTr" / f"{case}.mha", rng.normal(200, 50, (5, 9, 8)))
        write(tmp_path / "LabelsTr" / f"{case}.mha", rng.integers(0, 3, (5, 9, 8)).astype(np.int16))
    return tmp_path


def spoil(dataset, value, folder="ImagesTr", dtype=np.float64):
    path = dataset / folder / "10002_0001.mha"
    array = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))).astype(dtype)
    array[2, 4, 4] = value
    write(path, array)
    return str(path)


def recipe_of(foreground, **options):
    return Recipe(normalization={"foreground": foreground}, target_spacing=TARGET, **options)


@pytest.mark.parametrize("foreground", FOREGROUNDS)
@pytest.mark.parametrize("options", [{}, {"order": 0}, {"grid": "itk", "clip": True}, {"order": (0, 1, 3)}], ids=str)
@pytest.mark.parametrize(
    ("value", "dtype"),
    [(np.finfo(np.float64).max, np.float64), (-1e39, np.float64), (1e160, np.float64)],
)
def test_a_value_beyond_float32_fails_its_case_by_name(dataset, tmp_path, foreground, options, value, dtype):
    path = spoil(dataset, value, dtype=dtype)
    summary = preprocess(dataset, tmp_path / "out", recipe_of(foreground, **options), workers=0)
    assert [result.case for result in summary.done] == ["10001_0001"]
    (failed,) = summary.failed
    assert failed.error.startswith(f"{path}: ")
    assert f"{value:g}" in failed.error
    assert "repair the scan" in failed.error
    assert [file.name for file in (tmp_path / "out" / "imagesTr").iterdir()] == ["10001_0001.npz"]


@contextmanager
def refused(error, text):
    """MONAI wraps what a transform raises."""
    with pytest.raises(RuntimeError) as caught:
        yield
    assert isinstance(caught.value.__cause__, error)
    assert re.search(text, str(caught.value.__cause__))


@pytest.mark.parametrize("foreground", FOREGROUNDS[:3])
def test_a_spline_that_overshoots_float32_is_refused_on_the_fly(dataset, foreground):
    """Each stored value fits into float32; what lies between two of them does not."""
    path = dataset / "ImagesTr" / "10002_0001.mha"
    checkered = np.where(np.indices((5, 9, 8)).sum(axis=0) % 2, LARGEST, -LARGEST).astype(np.float32)
    write(path, checkered)
    steps = build_transforms(recipe_of(foreground), stage="inference")
    with refused(VoxelError, r"10002_0001\.mha: .*3\.40282e\+38.*repair the scan"):
        steps({"image": str(path)})
    scores = build_transforms(recipe_of("native"), stage="inference")({"image": str(path)})["image"]
    assert np.isfinite(scores.numpy()).all()  # there the spline sees scores of -1 and 1


@pytest.mark.parametrize("foreground", FOREGROUNDS)
@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e30, 1e34])
def test_values_that_fit_stay_finite_and_are_the_scores_of_any_other_unit(dataset, foreground, scale):
    path = dataset / "ImagesTr" / "10002_0001.mha"
    array = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    steps = build_transforms(recipe_of(foreground), stage="inference")
    expected = steps({"image": str(path)})["image"].numpy()
    write(path, array * scale)
    np.testing.assert_allclose(steps({"image": str(path)})["image"].numpy(), expected, atol=1e-4)


def test_scores_beyond_float32_are_refused(dataset):
    """Positive voxels that hardly differ beside a negative one that is far away."""
    path = dataset / "ImagesTr" / "10002_0001.mha"
    array = np.random.default_rng(0).normal(1, 0.1, (5, 9, 8)).astype(np.float32) * np.float32(1e-12)
    array[2, 4, 4] = -1e30
    write(path, array)
    steps = build_transforms(recipe_of("resampled_positive", order=0), stage="inference")
    with refused(VoxelError, r"10002_0001\.mha: .*-1e\+30.*repair the scan"):
        steps({"image": str(path)})


@pytest.mark.parametrize("value", [1e300, 1e19, 40000.0, np.finfo(np.float64).max])
def test_a_label_that_is_no_class_fails_its_case_and_the_check(dataset, tmp_path, value):
    path = spoil(dataset, value, "LabelsTr")
    recipe = recipe_of("carried")
    with refused(LabelError, r"label value \S{1,20} is over 32767"):
        build_transforms(recipe)({"image": path.replace("Labels", "Images"), "label": path})
    (failed,) = preprocess(dataset, tmp_path / "out", recipe, workers=0).failed
    assert failed.error.startswith(f"{path}: label value")
    record = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()][-1]
    assert "traceback" not in record
    assert any("over 32767" in problem for problem in problems_of(dataset, recipe))


@pytest.mark.parametrize("value", [-1e300, -5.0])
def test_a_label_far_below_zero_becomes_background(dataset, tmp_path, value):
    spoil(dataset, value, "LabelsTr")
    assert len(preprocess(dataset, tmp_path / "out", recipe_of("carried"), workers=0).done) == 2
    assert not problems_of(dataset, recipe_of("carried"))


def test_the_check_of_voxels_names_an_image_beyond_float32(dataset):
    spoil(dataset, 1e300)
    assert any("1e+300" in problem and "repair the scan" in problem for problem in problems_of(dataset, Recipe()))


def problems_of(dataset, recipe):
    (case,) = (case for case in check_dataset(dataset, recipe, voxels=True).cases if case.case == "10002_0001")
    return case.problems
