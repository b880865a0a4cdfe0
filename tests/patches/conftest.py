"""Scans that patches are taken from, and the output folder of a virtual run."""

from __future__ import annotations

from pathlib import Path

import pytest
import SimpleITK

from monai_mriprep import Recipe, preprocess
from tests.oracles import affine_of, itk_image, phantom

TARGET = (2.2, 1.3, 0.9)
SCANS = {"case_1": ((12, 30, 26), (3.0, 1.0, 1.1), 0), "case_2": ((14, 25, 28), (2.5, 1.2, 0.9), 14)}
"""Shape and spacing of each case, and by how many degrees it is turned."""


@pytest.fixture(scope="session")
def scanned(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("scanned")
    for folder in ("ImagesTr", "LabelsTr"):
        (root / folder).mkdir()
    for seed, (case, (shape, spacing, degrees)) in enumerate(SCANS.items()):
        for folder, array in zip(("ImagesTr", "LabelsTr"), phantom(shape, seed), strict=True):
            image = itk_image(array.clip(0), affine_of(spacing, degrees, (11.0, -7.0, 3.0)))
            SimpleITK.WriteImage(image, str(root / folder / f"{case}.mha"))
    return root


@pytest.fixture(scope="session")
def virtual(scanned, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("virtual") / "output"
    preprocess(scanned, output, Recipe(target_spacing=TARGET), virtual=True, report=False)
    return output
