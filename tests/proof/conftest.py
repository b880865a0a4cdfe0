"""A dataset of two cases, and a folder that a run has made of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from monai_mriprep import preprocess
from monai_mriprep.recipe import Recipe
from tests.proof.locks import write_lock
from tests.runs import write_cases


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """Resampled along z, so that every step takes part; with the lock of the folder."""
    root = tmp_path_factory.mktemp("proof")
    recipe = Recipe(target_spacing=(2.0, 1.0, 1.0))
    preprocess(write_cases(root / "dataset", 2), root / "out", recipe, workers=0, report=False)
    write_lock(root / "out", root / "data.lock")
    return root


@pytest.fixture
def place(finished, tmp_path) -> Path:
    """A copy of all three: the dataset lies elsewhere than when it was locked."""
    for name in ("dataset", "out"):
        shutil.copytree(finished / name, tmp_path / name)
    shutil.copy(finished / "data.lock", tmp_path / "data.lock")
    return tmp_path
