"""A store in memory, which needs no server; and no pauses between tries."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_mriprep.remote import objects
from tests.runs import write_cases


@pytest.fixture
def store():
    """The objects below an address in memory."""
    fsspec = pytest.importorskip("fsspec", reason="needs the extra remote")
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    yield objects.Objects("memory://bucket/scans")
    memory.store.clear()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(objects, "PAUSES", (0.0, 0.0))


@pytest.fixture
def address(store, tmp_path) -> Path:
    """Of a dataset, as the command line gets it."""
    from tests.remote.test_dataset import put_folder

    put_folder(store, write_cases(tmp_path / "scans", 2))
    return Path(store.address)
