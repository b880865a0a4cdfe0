"""One preprocessed dataset for all tests of the room."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import SimpleITK

from monai_mriprep import preprocess
from tests.oracles import affine_of, itk_image, phantom
from tests.restore.files import FORMATS, SHAPE, SPACING, geometry, lesion, recipe_of, write_pair


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> tuple[Path, dict[str, tuple]]:
    """One oblique scan in each format, with digits that a float32 cannot hold, preprocessed; the sources are gone."""
    root = tmp_path_factory.mktemp("made")
    facts = {}
    for seed, (name, suffix) in enumerate(FORMATS.items()):
        image = itk_image(phantom(SHAPE, seed)[0], affine_of(SPACING, 17.0 + seed, (-11.1, 1 / 3, 70.7)))
        write_pair(root / "dataset", name, suffix, image, lesion(image))
        (path,) = (root / "dataset/ImagesTr").glob(f"{name}*[!w]")
        facts[name] = geometry(SimpleITK.ReadImage(str(path)))
    assert len(preprocess(root / "dataset", root / "out", recipe_of((2.5, 0.9, 0.7)), workers=0).done) == len(FORMATS)
    shutil.move(root / "dataset", root / "elsewhere")
    return root / "out", facts


@pytest.fixture
def predictions(tmp_path) -> Path:
    (tmp_path / "predictions").mkdir()
    return tmp_path / "predictions"
