"""A whole run under a preset, as the tests of each preset make it."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from monai_mriprep import Recipe, preprocess
from tests.oracles import write_dataset

__all__ = ["assert_resumes", "made_by"]


def made_by(recipe: Recipe, folders: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A dataset of three cases, and what a run has made of it."""
    dataset = folders.mktemp("dataset")
    write_dataset(dataset)
    output = folders.mktemp("output")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(preprocess(dataset, output, recipe, workers=0).done) == 3
    return dataset, output


def assert_resumes(dataset: Path, output: Path, recipe: Recipe) -> None:
    """Nothing is done again, not by the recipe with all its keys written out either."""
    assert len(preprocess(dataset, output, recipe, workers=0).skipped) == 3
    spelled = Recipe.model_validate(recipe.as_dict() | {"preset": "default"})
    assert len(preprocess(dataset, output, spelled, workers=0).skipped) == 3
