"""Datasets of all kinds are locked and made again: series, detached voxels, odd names, steps of others."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from monai_mriprep import Recipe, Step, preprocess, register_step
from monai_mriprep.proof.lock_file import read_lock
from tests.formats.dicom_series import write_series
from tests.proof.locks import edited, made_again, told, write_lock
from tests.runs import write_case, write_cases

pytestmark = pytest.mark.filterwarnings("ignore::monai_mriprep.errors.MriprepWarning")

STACK = np.random.default_rng(0).integers(1, 900, (4, 8, 9), np.int16)


@register_step
class Doubled(Step):
    """A step that only this file knows."""

    name = "doubled_for_a_lock"

    def apply(self, volume, role, grid, params):
        return volume * 2 if role.is_continuous else volume


def locked(dataset: Path, recipe: Recipe | None = None) -> Path:
    """The lock of what a run makes of it."""
    preprocess(dataset, dataset.parent / "out", recipe, workers=0, report=False)
    return write_lock(dataset.parent / "out", dataset.parent / "data.lock")


def assert_the_same(lock: Path, dataset: Path) -> None:
    """All bits, from a copy of the dataset."""
    copy = shutil.copytree(dataset, dataset.parent / "copy")
    found = made_again(lock, copy, against=dataset.parent / "out")
    assert (found.exact, found.differ) == (read_lock(lock).head.cases, ())


def with_label(image: Path, label: Path) -> None:
    """A label of 1 on the grid of an image."""
    reader = SimpleITK.ImageSeriesReader()
    if image.is_dir():
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(image)))
        found = reader.Execute()
    else:
        found = SimpleITK.ReadImage(str(image))
    one = SimpleITK.GetImageFromArray(np.ones(found.GetSize()[::-1], np.uint8))
    one.CopyInformation(found)
    label.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(one, str(label))


@pytest.mark.stress
def test_a_dicom_series(tmp_path):
    dataset = tmp_path / "dataset"
    series = write_series(dataset / "ImagesTr/case_0", STACK)
    with_label(series, dataset / "LabelsTr/case_0.mha")
    lock = locked(dataset)
    (source,) = read_lock(lock).case("case_0").sources["image"]
    assert (source.path, source.size, len(source.data)) == ("ImagesTr/case_0", None, 4)
    assert_the_same(lock, dataset)
    slices = sorted((tmp_path / "copy/ImagesTr/case_0").iterdir())
    slices[1].write_bytes(slices[1].read_bytes()[:-2] + b"xy")
    assert told(made_again(lock, tmp_path / "copy"))["case_0"][0][:2] == ("source", f"ImagesTr/case_0/{slices[1].name}")
    slices[2].unlink()
    assert [subject for _, subject, _ in told(made_again(lock, tmp_path / "copy"))["case_0"]] == [
        "ImagesTr/case_0",
        *(
            f"ImagesTr/case_0/{path.name}"
            for path in sorted(slices[1:3], key=lambda path: names(source).index(path.name))
        ),
    ]


def names(source) -> list[str]:
    return [file.name for file in source.data]


@pytest.mark.stress
def test_detached_nrrd(tmp_path):
    dataset = tmp_path / "dataset"
    write_case(dataset, "case_0")
    image = SimpleITK.ReadImage(str(dataset / "ImagesTr/case_0.mha"))
    (dataset / "ImagesTr/case_0.mha").unlink()
    SimpleITK.WriteImage(image, str(dataset / "ImagesTr/case_0.nhdr"))
    lock = locked(dataset)
    (source,) = read_lock(lock).case("case_0").sources["image"]
    assert names(source) == ["case_0.raw"] or names(source) == ["case_0.raw.gz"]
    assert_the_same(lock, dataset)


@pytest.mark.stress
def test_names_that_are_no_text_or_steer_a_terminal(tmp_path):
    dataset = tmp_path / "dataset"
    for case, name in enumerate((b"case_\xff", b"case \x7f\x1b[31m", "fäll \u202e".encode())):
        write_case(dataset, "x", seed=case)
        for folder in ("ImagesTr", "LabelsTr"):
            (dataset / folder / "x.mha").rename(dataset / folder / f"{os.fsdecode(name)}.mha")
    lock = locked(dataset)
    assert lock.read_bytes().isascii()
    assert len(read_lock(lock).head.cases) == 3
    assert_the_same(lock, dataset)


def test_a_step_of_others_where_it_is_registered_and_where_it_is_not(tmp_path):
    dataset = write_cases(tmp_path / "dataset", 1)
    lock = locked(dataset, Recipe(steps=("doubled_for_a_lock",), intensity="none"))
    assert_the_same(lock, dataset)


def test_a_target_that_nobody_can_make_fails_its_case(place):
    def change(facts):
        if "lock" in facts:
            facts["target_spacing"] = [1e-5, 1e-5, 1e-5]
            facts["fingerprint"] = "9e2ec23b9a4ff1c2"

    lock = edited(place / "data.lock", change)
    with pytest.raises(Exception, match="they give the fingerprint") as found:
        made_again(lock, place / "dataset")
    right = str(found.value).split("give the fingerprint ")[1][:16]
    edited(lock, lambda facts: facts.update(fingerprint=right) if "lock" in facts else None)
    for ((kind, _, problem),) in told(made_again(lock, place / "dataset")).values():
        assert kind == "failed"
        assert "not attempted: the case needs about" in problem


@pytest.mark.stress
@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(preset="nnunet"),
        Recipe(preset="panther2025"),
        Recipe(crop="nonzero", orientation="RAS", order=1, grid="itk", intensity="percentile"),
        Recipe(target_spacing=(3.0, 0.9, 1.1), boundary="mirror", clip=True),
    ],
    ids=["nnunet", "panther2025", "crop", "mirror"],
)
def test_other_recipes_on_real_scans(scans, tmp_path, recipe):
    dataset = shutil.copytree(scans / "anisotropic", tmp_path / "dataset")
    assert_the_same(locked(dataset, recipe), dataset)
