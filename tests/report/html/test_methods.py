"""The paragraph for a paper says what the recipe does."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from monai_mriprep.recipe import Recipe
from monai_mriprep.recipe.presets import PRESETS
from monai_mriprep.report.html.methods import Study, paper_of
from tests.report.html.pages import grid

VERSIONS = {"python": "3.11.7", "monai-mriprep": "0.6.0", "monai": "1.6.1", "torch": "2.13.0"}


GRIDS = [grid((10, 200, 300), (3.0, 1.0, 0.5)), grid((20, 200, 100), (4.0, 1.0, 0.7)), grid((24, 250, 100), (6, 1, 1))]


def paragraph(recipe: Recipe, **changes) -> str:
    facts = {"target_from": "published", "done": 3, "failed": 0, "excluded": 0, "has_labels": True, "grids": GRIDS}
    return paper_of(Study(recipe, (3.0, 0.8, 0.8), versions=VERSIONS, **facts | changes)).methods


def test_the_default_recipe():
    assert paragraph(Recipe()) == (
        "3 MRI scans and their segmentations were preprocessed with monai-mriprep 0.6.0, based on MONAI 1.6.1 "
        "(Cardoso et al., 2022) and PyTorch 2.13.0, following nnU-Net (Isensee et al., 2021). The scans had a median "
        "voxel size of 4 x 1 x 0.7 (range 3 x 1 x 0.5 to 6 x 1 x 1) mm and a median size of 20 x 200 x 100 (range 10 "
        "x 200 x 100 to 24 x 250 x 300) voxels (z, y, x). All volumes were resampled to 3 x 0.8 x 0.8 mm (z, y, x), "
        "the median spacing of the dataset (along z the 10th percentile, if the median along z is at least three "
        "times that along x). Images were resampled by cubic B-spline interpolation (values repeated beyond the "
        "border), labels by nearest-neighbour interpolation; the centres of the first voxels coincide. Intensities "
        "were z-scored: the mean of the foreground was subtracted from the whole image, which was divided by the "
        "standard deviation of the foreground; the foreground is the non-zero voxels of the original scan, carried to "
        "the new grid by nearest-neighbour interpolation."
    )


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {"order": (0, 3, 3)},
            "by nearest-neighbour along z, cubic B-spline along y, cubic B-spline along x interpolation",
        ),
        ({"order": 1}, "by linear interpolation"),
        ({"boundary": "mirror", "clip": True}, "(values mirrored beyond the border, clipped to the range of the scan)"),
        ({"grid": "nnunet"}, "the extents of the volumes coincide"),
        ({"grid": "itk"}, "as in SimpleITK"),
        ({"orientation": "RAS"}, "turned to RAS"),
        ({"crop": "nonzero", "crop_margin": 5.0}, "cropped to the non-zero voxels of the image, with a margin of 5 mm"),
        ({"intensity": "percentile"}, "clipped to the 0.5 and 99.5 percentile of the foreground"),
        ({"intensity": "none"}, "Intensities were not normalised."),
        ({"normalization": {"foreground": "native", "epsilon": 0.5}}, "foreground (plus 0.5)"),
        ({"normalization": {"foreground": "native"}}, "scan, before resampling"),
        ({"normalization": {"foreground": "resampled_positive"}}, "resampled image that are greater than zero"),
        ({"channels": ["t1", "flair"]}, "Intensities of each channel were z-scored"),
        ({"label_map": {2: 1, 7: 0}}, "renumbered (2 to 1, 7 to 0)"),
        ({"geometry": "resample"}, "Labels and channels on another grid"),
        ({"channels": ["t1", "flair"]}, "of 2 channels each (t1, flair)"),
        ({"transpose": "coarsest_first"}, "The axes were put into another order."),
        ({"clip": "slice"}, "clipped to the range of the slice"),
        (
            {"preset": "nnunet"},
            "differed by more than 3 times, the coarsest axis was interpolated by nearest neighbour",
        ),
        ({"preset": "nnunet"}, "labels by linear interpolation of each class, of which the highest wins"),
        ({"preset": "nnunet"}, "all voxels that the crop leaves"),
        ({"crop": "nonzero_filled", "normalization": {"foreground": "filled"}}, "what lies outside stays 0"),
    ],
)
def test_a_recipe_that_differs_from_the_default_is_told(keys, said):
    text = paragraph(Recipe.model_validate(keys))
    assert said in text
    assert said not in paragraph(Recipe())


def test_the_target_of_a_training_set_and_cases_that_failed_are_told():
    text = paragraph(Recipe(), target_from="training", has_labels=False, failed=2, excluded=1)
    assert "(z, y, x), that of the training set." in text
    assert "1 further case was excluded. 2 further cases could not be preprocessed." in text
    assert "label" not in text
    assert "segmentations" not in text


def test_the_target_of_plans_is_told():
    assert "(z, y, x), that of nnU-Net's plans." in paragraph(Recipe(target_rule="plans.json"), target_from="plans")


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_has_a_paragraph(preset):
    assert "monai-mriprep 0.6.0" in paragraph(Recipe(preset=preset))


def test_one_scan_and_scans_of_one_grid_have_no_median():
    text = paragraph(Recipe(channels=["t1", "t2"]), done=1, grids=[grid((10, 20, 30), (3, 1, 1))], has_labels=False)
    assert text.startswith("One MRI scan of 2 channels (t1, t2) was preprocessed")
    assert "The scan had a voxel size of 3 x 1 x 1 mm and a size of 10 x 20 x 30 voxels (z, y, x)." in text
    assert "The scans had a voxel size of 3" in paragraph(Recipe(), done=2, grids=[grid((10, 20, 30), (3, 1, 1))] * 2)


def test_an_unknown_version_is_left_out():
    recipe = Recipe()
    paper = paper_of(Study(recipe, (3.0, 0.8, 0.8), "recipe", 1, 0, 0, True, (), {}))
    assert paper.methods.startswith("One MRI scan and its segmentation were preprocessed with monai-mriprep, following")
    assert "version =" not in paper.bibtex


def test_bibtex_names_the_version_and_closes_its_braces():
    bibtex = paper_of(Study(Recipe(), (3.0, 0.8, 0.8), "recipe", 1, 0, 0, True, (), VERSIONS)).bibtex
    assert "version = {0.6.0}" in bibtex
    assert bibtex.count("{") == bibtex.count("}")
    assert [line.partition("{")[0] for line in bibtex.split("\n") if line.startswith("@")] == [
        "@article",
        "@article",
        "@software",
    ]


@pytest.mark.parametrize(
    ("target_from", "said"), [("nnunet", "by the rule of nnU-Net."), ("recipe", "which was set beforehand.")]
)
def test_the_rule_of_the_target_is_told(target_from, said):
    assert f"to 3 x 0.8 x 0.8 mm (z, y, x), {said}" in paragraph(Recipe(), target_from=target_from)


def test_steps_of_ones_own_are_named():
    recipe = Recipe().model_copy(update={"steps": (SimpleNamespace(name="denoise"), SimpleNamespace(name="smooth"))})
    assert paragraph(recipe).endswith(" Further steps: denoise, smooth.")
