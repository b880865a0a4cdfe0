"""Fixtures that several rooms share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import settings

from tests.oracles import write_dataset

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"

settings.register_profile("frugal", max_examples=25, deadline=None, derandomize=True)
settings.load_profile("frugal")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real scans, which stands beside the project and is not part of it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the real scans are not here: {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory) -> Path:
    """Three small pairs, written by SimpleITK: isotropic, anisotropic, oblique; and one image without a label."""
    return write_dataset(tmp_path_factory.mktemp("synthetic"))


@pytest.fixture
def threads():
    """Set torch's number of threads for one test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)
