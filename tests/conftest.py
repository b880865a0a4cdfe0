"""Fixtures that several rooms share."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from tests.oracles import write_dataset
from tests.phantoms import write_stand_ins

METAIMAGE = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False",
    "TransformMatrix": "1 0 0 0 1 0 0 0 1",
    "Offset": "1 2 3",
    "ElementSpacing": "0.5 0.75 3",
    "DimSize": "4 3 2",
    "ElementType": "MET_SHORT",
}
METAIMAGE_BODY = np.arange(24, dtype="<i2").tobytes()

SHARED_DATA = Path(os.environ.get("MRIPREP_SCANS", Path(__file__).parents[2] / "shared" / "data"))
"""The real scans; ``MRIPREP_SCANS=none make test`` tests as somebody who has none."""

settings.register_profile("frugal", max_examples=25, deadline=None, derandomize=True)
settings.load_profile("frugal")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real scans, which stands beside the project; for figures of theirs, which phantoms do not have."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the real scans are not here: {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def scans(tmp_path_factory) -> Path:
    """The real scans; where they are absent, phantoms with their names and geometry, so that no claim goes untested."""
    return SHARED_DATA if SHARED_DATA.is_dir() else write_stand_ins(tmp_path_factory.mktemp("scans"))


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


@pytest.fixture
def write_mha(tmp_path):
    """Write an honest 4 x 3 x 2 MetaImage, with changes to its header."""

    def write(path=tmp_path / "volume.mha", *, body=METAIMAGE_BODY, data_file="LOCAL", drop=(), **changes):
        fields = {key: value for key, value in (METAIMAGE | changes).items() if key not in drop}
        lines = [f"{key} = {value}\n" for key, value in fields.items()] + [f"ElementDataFile = {data_file}\n"]
        path.write_bytes("".join(lines).encode() + body)
        return path

    return write
