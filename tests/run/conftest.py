"""A dataset, and a finished run of it, for the tests of `plan`."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import pytest

from monai_mriprep import preprocess
from monai_mriprep.errors import MriprepWarning
from tests.runs import write_cases


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return write_cases(tmp_path_factory.mktemp("planned") / "data", 3)


@pytest.fixture(scope="module")
def ran(source, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("ran") / "out"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MriprepWarning)
        preprocess(source, out, workers=0)
    return out


@pytest.fixture
def dataset(source, tmp_path) -> Path:
    return shutil.copytree(source, tmp_path / "data")


@pytest.fixture
def out(ran, tmp_path) -> Path:
    """A finished run of the same cases."""
    return shutil.copytree(ran, tmp_path / "out")
